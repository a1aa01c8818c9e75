"""Plots of the page as files: the numbers of the page, in both formats."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from benchmark.cli.main import main
from benchmark.report.content import collect
from benchmark.report.figures import critical_diagram
from benchmark.report.plots import FIFTHS, PLOT, pictures

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def content(store, leaderboards):
    return collect(store, leaderboards)


def test_dots_are_the_subjects_of_each_row(content):
    drawn = pictures(content)
    for board in content.boards:
        root = ElementTree.fromstring(drawn[f"{board.name}__subjects"].svg())
        words = {text.text: text for text in root.iter(f"{SVG}text")}
        ticks = {
            text.text: float(text.get("x"))
            for text in root.iter(f"{SVG}text")
            if text.get("text-anchor") == "middle"
        }
        left = ticks["0"]
        assert [ticks[f"{value:g}"] - left for value in FIFTHS] == pytest.approx(
            [PLOT * value for value in FIFTHS], abs=0.01
        )
        dots = {}
        for dot in root.iter(f"{SVG}circle"):
            place = (float(dot.get("cx")) - left) / PLOT
            dots.setdefault(float(dot.get("cy")), []).append(place)
        rows = [
            board.provenance[str(number)]["scores"]
            for number, line in enumerate(board.lines)
            if line.subjects
        ]
        assert len(dots) == len(rows)
        for scores, (_, places) in zip(rows, sorted(dots.items()), strict=True):
            tested = sorted(score for score in scores if score is not None)
            assert sorted(places) == pytest.approx(tested, abs=2e-4)
        for line in board.lines:
            assert (line.name in words) == (line.subjects is not None)


def test_critical_differences_have_a_label_a_model(content):
    ranks = [("a", 1.2), ("b", 2.0), ("c", 3.4), ("d", 3.5)]
    ranked = dataclasses.replace(content, diagram=critical_diagram(ranks, 1.0))
    root = ElementTree.fromstring(pictures(ranked)["ranks"].svg())
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {f"{name} {rank:.2f}" for name, rank in ranks} < set(words)


def test_the_command_writes_both_formats(store, leaderboards, content, tmp_path, capsys):
    words = ["report", "--runs", str(store.root), "--leaderboards", str(leaderboards)]
    words += ["--out", str(tmp_path / "report.html"), "--plots", str(tmp_path / "plots")]
    assert main(words) == 0
    expected = set(pictures(content))
    board = content.boards[0].name
    assert {f"{board}__{kind}" for kind in ("subjects", "size", "latency")} <= expected
    for suffix in (".svg", ".png"):
        written = {path.stem for path in (tmp_path / "plots").glob(f"*{suffix}")}
        assert written == expected
    for path in (tmp_path / "plots").glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).min() < 100  # something is drawn
    capsys.readouterr()

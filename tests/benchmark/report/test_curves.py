"""Learning curves on the page: drawn where the numbers are, and no more of them than is said."""

import json
import re

import numpy as np
import pytest

from benchmark.boards.scores import scored_results
from benchmark.curves import METRICS, curves_text
from benchmark.report.curves import BOX, DRAWN, EDGES, POINTS, row_curves
from benchmark.store import RESULT
from tests.benchmark.made_up import cohorts_of, stored
from tests.benchmark.report.conftest import SUBJECTS, asked, done

TOP, RIGHT, BOTTOM, LEFT = EDGES
WIDTH, HEIGHT = BOX[0] - LEFT - RIGHT, BOX[1] - TOP - BOTTOM


def curve(n_epochs, seed, names=("loss", "accuracy", "macro_f1")):
    rng = np.random.default_rng(seed)
    return {
        epoch: {
            f"{part}_{name}": float(rng.uniform()) for part in ("train", "val") for name in names
        }
        for epoch in range(1, n_epochs + 1)
    }


def row(folder, curves, chosen=2, model="cnn", **fields):
    """The row of runs with these curves, a seed for each."""
    runs = [asked(model, fold=0, seed=seed, subjects=SUBJECTS[:3]) for seed in range(len(curves))]
    epochs = [(max(c, default=1), chosen) for c in curves]
    results = [done(r, 0.5, epochs=e, **fields) for r, e in zip(runs, epochs, strict=True)]
    store = stored(folder, results)
    for run, values in zip(runs, curves, strict=True):
        if values:
            (store.folder(run) / METRICS).write_text(curves_text(values))
    (cohort,) = cohorts_of(scored_results(store))
    return store, cohort.rows[0]


def places(path):
    """The points of path data, line by line."""
    lines = []
    for line in path.split("M")[1:]:
        if line.endswith("h.1"):
            lines.append([tuple(map(int, line.removesuffix("h.1").split()))])
            continue
        first, rest = line.split("l")
        points = [tuple(map(int, first.split()))]
        numbers = iter(map(int, re.findall(r"-?\d+", rest)))
        for across, down in zip(numbers, numbers, strict=True):
            points.append((points[-1][0] + across, points[-1][1] + down))
        lines.append(points)
    return lines


def expected(points, last, end=1.0):
    return [(LEFT + WIDTH * (e - 1) / (last - 1), TOP + HEIGHT * (1 - v / end)) for e, v in points]


def test_lines_dots_and_mean_are_where_the_numbers_are(tmp_path):
    curves = [curve(6, seed) for seed in range(4)]
    store, of_four = row(tmp_path, curves, chosen=3)
    page = row_curves(of_four, store)
    assert page.about == "4 runs"
    assert [panel.measure for panel in page.panels] == ["loss", "accuracy", "macro F1"]
    panel = page.panels[2]
    for part in ("train", "val"):
        drawn = places(panel.thin[part])
        lines = [[(e, v[f"{part}_macro_f1"]) for e, v in c.items()] for c in curves]
        for found, line in zip(drawn, lines, strict=True):
            np.testing.assert_allclose(found, expected(line, 6), atol=0.51)
        means = [(e, np.mean([line[e - 1][1] for line in lines])) for e in range(1, 7)]
        np.testing.assert_allclose(places(panel.mean[part])[0], expected(means, 6), atol=0.51)
    dots = [(3, c[3]["val_macro_f1"]) for c in curves]
    np.testing.assert_allclose(np.concatenate(places(panel.chosen)), expected(dots, 6), atol=0.51)
    assert [text for _, text in panel.up] == ["0", "0.5", "1"]
    assert [text for _, text in panel.across] == ["1", "6"]
    assert "chosen epoch 3 (median)" in panel.said


def test_many_runs_are_drawn_in_part_and_it_is_said(tmp_path):
    store, of_many = row(tmp_path, [curve(100, seed) for seed in range(40)], chosen=42)
    page = row_curves(of_many, store)
    assert page.about == f"40 runs, {DRAWN} of them drawn, one epoch in 4"
    for panel in page.panels:
        lines = places(panel.thin["val"])
        assert len(lines) == DRAWN
        assert all(len(line) <= POINTS + 2 for line in lines)
        assert {line[-1][0] for line in lines} == {BOX[0] - RIGHT}  # the last epoch is there
        assert all(dot[0] in line for dot, line in zip(places(panel.chosen), lines, strict=True))
    assert sum(len(p.thin[part]) for p in page.panels for part in p.thin) < 12_000


def test_the_mean_ends_where_half_of_the_runs_do(tmp_path):
    curves = [curve(n, n) for n in (3, 4, 6, 10)]
    store, uneven = row(tmp_path, curves)
    panel = row_curves(uneven, store).panels[1]
    (mean,) = places(panel.mean["val"])
    assert len(mean) == 6
    values = [(e, np.mean([c[e]["val_accuracy"] for c in curves if e in c])) for e in range(1, 7)]
    np.testing.assert_allclose(mean, expected(values, 10), atol=0.51)


def test_one_run_that_diverges_does_not_hide_the_others(tmp_path):
    curves = [curve(50, seed) for seed in range(3)]
    curves[1][50]["val_loss"] = 1e9
    curves[2][50]["val_loss"] = float("inf")
    store, diverging = row(tmp_path, curves)
    loss = row_curves(diverging, store).panels[0]
    assert float(loss.up[2][1]) <= 1.2
    lines = places(loss.thin["val"])
    assert lines[1][-1] == (BOX[0] - RIGHT, TOP)  # cut off
    assert lines[2][-1][0] < BOX[0] - RIGHT


def test_earlier_results_have_no_accuracy(tmp_path):
    store, old = row(tmp_path, [{}])
    path = store.folder(old.results[0].run) / METRICS
    path.write_text(
        "epoch,step,train_loss,train_macro_f1,val_loss,val_macro_f1\n"
        "0,1,,,0.5,0.25\n0,1,0.75,0.5,,\n1,3,,,0.25,0.5\n1,3,0.5,0.75,,\n"
    )
    page = row_curves(old, store)
    assert [panel.measure for panel in page.panels] == ["loss", "macro F1"]
    (line,) = places(page.panels[1].thin["val"])
    np.testing.assert_allclose(line, expected([(1, 0.25), (2, 0.5)], 2), atol=0.51)


def test_one_epoch_is_a_dot(tmp_path):
    store, short = row(tmp_path, [curve(1, 0)], chosen=1)
    panel = row_curves(short, store).panels[0]
    assert [len(line) for line in places(panel.thin["val"])] == [1]


def test_without_curves_there_are_none(tmp_path):
    assert row_curves(*row(tmp_path / "none", [{}, {}])[::-1]) is None
    store, partly = row(tmp_path / "partly", [curve(2, 0), {}])
    assert row_curves(partly, store).about.startswith("1 run of 2 that are done")


@pytest.mark.parametrize("text", ["a,b\n1,2\n", None])
def test_damaged_curves_are_not_shown(tmp_path, caplog, text):
    """Either they are no curves, or they are not those that were committed."""
    store, _ = row(tmp_path, [curve(2, 0), curve(2, 1)])
    folder = next(store.root.glob("*/*/0-1-*"))
    if text:
        (folder / METRICS).write_text(text)
    else:
        values = json.loads((folder / RESULT).read_text())
        values["files"][METRICS] = "0" * 64
        (folder / RESULT).write_text(json.dumps(values))
    (cohort,) = cohorts_of(scored_results(store))
    page = row_curves(cohort.rows[0], store)
    assert page.about.startswith("1 run of 2")
    assert "no curves of" in caplog.text

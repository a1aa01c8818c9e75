"""What a calibration adds, against a plain loop over predictions; boards of their own."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from benchmark.boards.board import write_leaderboards
from benchmark.boards.calibration import AGAINST_NONE, uncalibrated
from benchmark.boards.statistics import compare, holm
from benchmark.report.content import collect
from benchmark.report.page import html
from benchmark.run import Run
from benchmark.store import Store
from datamodules.protocol import Protocol

CALIBRATIONS = ("none", "baseline:1", "unlabelled", "whole")
OPTIONS = {"n_subjects": 6, "phase": 180.0, "effect": 0.3}
PLAIN = "synthetic_effect_0.3_n_subjects_6__stress__subject_3_fold"


@pytest.fixture(scope="module")
def calibrated(workshop: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    runs = workshop.plan(
        ["majority", "lda", "random_forest", "cnn"],
        splits=("subject_k_fold",),
        protocol=Protocol("subject_k_fold", 3),
        options={"synthetic": OPTIONS},
        calibrations=CALIBRATIONS,
    )
    store = workshop.do(runs, tmp_path_factory.mktemp("runs"))
    folder = tmp_path_factory.mktemp("boards")
    boards = write_leaderboards(store, folder)
    table = pd.read_csv(folder / "calibration.csv", comment="#")
    return SimpleNamespace(runs=runs, store=store, folder=folder, boards=boards, table=table)


def units_of(store: Store, runs: list[Run]) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Target and prediction of each score unit, from the files of predictions alone."""
    windows: dict[tuple[Any, ...], list[tuple[int, np.ndarray]]] = {}
    for run in runs:
        columns = np.load(store.folder(run) / "predictions.npz")
        names = ("subject", "session", "trial", "unit")
        for row in range(len(columns["label"])):
            key = tuple(columns[name][row].item() for name in names)
            windows.setdefault(key, []).append(
                (columns["label"][row], columns["probabilities"][row])
            )
    return {
        key: (int(found[0][0]), int(np.mean([p for _, p in found], axis=0).argmax()))
        for key, found in windows.items()
    }


def test_both_are_scored_on_the_same_units_of_the_same_people(calibrated: Any) -> None:
    table = calibrated.table
    assert sorted(set(table["model"])) == ["cnn", "lda", "random_forest"]
    assert len(table) == 9
    for line in table.to_dict("records"):
        arms = [
            units_of(
                calibrated.store,
                [
                    run
                    for run in calibrated.runs
                    if run.model == line["model"] and run.protocol.calibration == calibration
                ],
            )
            for calibration in (line["calibration"], "none")
        ]
        shared = arms[0].keys() & arms[1].keys()
        assert len(shared) == line["n_units"] == len(arms[0])
        assert (len(shared) < len(arms[1])) == line["calibration"].startswith("baseline")
        scores: list[list[float]] = [[], []]
        for subject in sorted({key[0] for key in shared}):
            for arm, of_arm in zip(arms, scores, strict=True):
                pairs = [arm[key] for key in shared if key[0] == subject]
                of_arm.append(f1_score(*zip(*pairs, strict=True), average="macro"))
        comparison = compare(*scores)
        assert line["n_subjects"] == 6
        assert line["calibrated"] == pytest.approx(np.mean(scores[0]), rel=1e-3)
        assert line["none"] == pytest.approx(np.mean(scores[1]), rel=1e-3)
        assert line["adds"] == pytest.approx(comparison.difference, rel=1e-3, abs=1e-9)
        assert line["p"] == pytest.approx(comparison.p, rel=1e-3)


def test_p_values_are_corrected_within_a_board(calibrated: Any) -> None:
    for _, of_board in calibrated.table.groupby("board"):
        assert of_board["p_corrected"].tolist() == pytest.approx(
            holm(of_board["p"].tolist()), rel=1e-3
        )
        assert of_board["claim"].all()


def test_comparisons_have_a_family_of_them(calibrated: Any) -> None:
    comparisons = pd.read_csv(calibrated.folder / "comparisons.csv")
    family = comparisons[comparisons["family"] == AGAINST_NONE]
    assert len(family) == len(calibrated.table)
    merged = family.merge(calibrated.table, on=["board", "model"], suffixes=("", "_"))
    assert len(merged) == len(family)
    assert merged["difference"].tolist() == pytest.approx(merged["adds"].tolist())
    assert set(merged["against"]) == {f"{m} without calibration" for m in merged["model"]}


def test_each_calibration_has_a_board_of_its_own_that_says_so(calibrated: Any) -> None:
    names = {board.name: " ".join(board.head) for board in calibrated.boards}
    ends = ("", "__calibrated_by_baseline_1_min", "__calibrated_by_unlabelled")
    assert set(names) == {f"{PLAIN}{end}" for end in (*ends, "__calibrated_by_whole")}
    assert "calibration" not in names[PLAIN]
    assert "transductive" in names[f"{PLAIN}__calibrated_by_whole"]
    assert "causal" in names[f"{PLAIN}__calibrated_by_unlabelled"]
    assert "first 1 min of the first rest" in names[f"{PLAIN}{ends[1]}"]
    tables = {board.name: board.table.set_index("model") for board in calibrated.boards}
    assert tables[f"{PLAIN}__calibrated_by_whole"].loc["cnn", "input"] == "offline"
    assert tables[f"{PLAIN}__calibrated_by_whole"].loc["majority", "input"] == "none"


def test_they_are_ranked_nowhere_else(calibrated: Any) -> None:
    overall = pd.read_csv(calibrated.folder / "overall.csv", comment="#")
    assert [name for name in overall if "calibrated" in name] == []
    assert PLAIN in overall
    assert not (calibrated.folder / "leak_audit.csv").exists()


def test_the_report_shows_what_it_adds(calibrated: Any) -> None:
    content = collect(calibrated.store, calibrated.folder)
    (extra,) = (extra for extra in content.extras if extra.key == "calibration")
    (part,) = extra.parts
    assert part.title == "synthetic effect 0.3 n subjects 6 · stress · subject 3 fold"
    assert len(part.table.lines) == len(calibrated.table)
    assert all(column.hint for column in part.table.columns)
    plain = "subject 3 fold, effect 0.3, n_subjects 6"
    assert {page.subtitle for page in content.boards} == {
        plain,
        *(f"{plain}, calibrated: {name}" for name in CALIBRATIONS[1:]),
    }
    assert "adds" in html(content)


def test_nothing_is_left_of_what_a_calibration_changes() -> None:
    run = Run("wesad", "stress", Protocol(), 0, 0, "cnn", ("eda",), ("S2",), "a" * 16)
    other = dataclasses.replace(
        run, protocol=Protocol(calibration="whole"), subjects=("S3",), data="b" * 16
    )
    taught, student = (dataclasses.replace(one, teachers=(one,)) for one in (run, other))
    assert uncalibrated(taught) == uncalibrated(student)
    assert uncalibrated(run) == uncalibrated(other)
    assert uncalibrated(dataclasses.replace(run, model="lstm")) != uncalibrated(other)


def test_without_calibrated_boards_there_is_no_table(
    calibrated: Any, finished: Store, tmp_path: Path
) -> None:
    write_leaderboards(finished, tmp_path)
    assert not (tmp_path / "calibration.csv").exists()
    content = (calibrated.folder / "calibration.csv").read_bytes()
    (tmp_path / "calibration.csv").write_bytes(content)
    write_leaderboards(finished, tmp_path)
    assert not (tmp_path / "calibration.csv").exists()
    assert "calibration" not in {e.key for e in collect(finished, tmp_path).extras}

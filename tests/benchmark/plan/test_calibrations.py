"""Calibrations in a plan: boards of their own, people who rest too little, what does not apply."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.plan.expand import Prepared, expand
from benchmark.plan.narrow import narrowed
from benchmark.plan.parse import load_suite
from benchmark.plan.suite import Suite, SuiteError
from benchmark.recordings.prepare import prepare
from datamodules.digests import digest

NAMES = tuple(f"S{number}" for number in range(8))
RESTING = Prepared(
    NAMES,
    {},
    "d" * 16,
    longest={"stress": 240.0},
    contents={name: f"content of {name}" for name in NAMES},
    rests={"stress": {name: 60.0 * number for number, name in enumerate(NAMES) if number}},
)


def suite(**values: object) -> Suite:
    keys = {"datasets": ("stress_predict",), "models": ("lda",), "splits": ("subject_k_fold",)}
    return Suite("small", **{**keys, **values})  # type: ignore[arg-type]


def test_each_calibration_is_a_board_with_all_folds() -> None:
    plan = expand(suite(calibrations=("none", "unlabelled", "whole")), {"stress_predict": RESTING})
    boards = [run.board for run in plan.runs]
    plain = "stress_predict__stress__subject_5_fold"
    assert list(dict.fromkeys(boards)) == [
        plain,
        f"{plain}__calibrated_by_unlabelled",
        f"{plain}__calibrated_by_whole",
    ]
    assert len(boards) == 15
    assert not plan.not_applicable
    assert expand(suite(), {"stress_predict": RESTING}).runs == plan.runs[:5]


def test_who_rests_too_little_is_left_out_with_the_reason() -> None:
    plan = expand(suite(calibrations=("baseline:3",)), {"stress_predict": RESTING})
    run = plan.runs[0]
    assert run.subjects == NAMES[3:]
    assert run.data == digest([f"content of {name}" for name in NAMES[3:]])
    assert plan.notes[run.board] == ["left out: S0, S1, S2: the first rest is shorter than 3 min"]
    everybody = expand(suite(calibrations=("whole",)), {"stress_predict": RESTING})
    assert everybody.runs[0].subjects == NAMES
    assert everybody.notes[everybody.runs[0].board] == []


def test_fewer_people_than_can_be_split_are_a_reason() -> None:
    plan = expand(suite(calibrations=("none", "baseline:6")), {"stress_predict": RESTING})
    board = "stress_predict__stress__subject_5_fold__calibrated_by_baseline_6_min"
    assert "expected at least 3 people" in plan.not_applicable[f"{board}/lda"]
    assert {run.protocol.calibration for run in plan.runs} == {"none"}


def test_a_task_without_rest_has_no_baseline() -> None:
    values = {"datasets": ("deap",), "splits": ("subject_k_fold",)}
    calibrations = ("none", "baseline", "whole")
    plan = expand(suite(**values, calibrations=calibrations), {"deap": RESTING})
    (reason,) = plan.not_applicable.values()
    assert "says when people rest" in reason
    assert {run.protocol.calibration for run in plan.runs} == {"none", "whole"}


def test_splits_within_people_are_not_calibrated() -> None:
    values = {"datasets": ("seed_v",), "splits": ("trial_k_fold",)}
    with pytest.raises(SuiteError, match=r"calibration whole: expected a split over people"):
        suite(**values, calibrations=("whole",))


def test_no_window_around_a_unit_reaches_into_a_baseline() -> None:
    longer = {"recipes": {"cnn": {"window": 120.0}}, "models": ("cnn",)}
    for calibration, window in (("unlabelled", 120.0), ("baseline:1", 0.0)):
        plan = expand(suite(**longer, calibrations=(calibration,)), {"stress_predict": RESTING})
        assert {run.window for run in plan.runs} == {window}


def test_a_baseline_shorter_than_windows_does_not_apply() -> None:
    rests = {"stress": dict.fromkeys(NAMES, 45.0)}
    plan = expand(
        suite(calibrations=("baseline:0.5",)), {"stress_predict": replace(RESTING, rests=rests)}
    )
    (reason,) = plan.not_applicable.values()
    assert "expected windows of at most 30 s" in reason
    assert not plan.runs


def test_flaws_are_not_calibrated() -> None:
    with pytest.raises(SuiteError, match="no flags, found flag scale_on_all"):
        suite(calibrations=("whole",), flaws=(("scale_on_all",),))
    with pytest.raises(SuiteError, match="at least one of calibrations"):
        suite(calibrations=())
    with pytest.raises(SuiteError, match="no calibration 'hole'"):
        suite(calibrations=("hole",))


def test_a_call_may_name_calibrations_that_the_suite_has_not() -> None:
    chosen = narrowed(suite(), calibrations=["unlabelled", "baseline:2"])
    assert chosen.calibrations == ("unlabelled", "baseline:2")


def test_the_suite_of_this_project_has_each_kind() -> None:
    kinds = [text.partition(":")[0] for text in load_suite("calibration").calibrations]
    assert kinds == ["none", "baseline", "unlabelled", "whole"]


def test_first_rests_are_measured_when_recordings_are_read(tmp_path: Path) -> None:
    options = {"n_subjects": 3, "phase": 90.0}
    prepared = prepare("synthetic", Path("none"), tmp_path, options, ())
    assert prepared.rests == {"stress": dict.fromkeys(prepared.subjects, 90.0)}
    assert prepared.resting("stress", 90.0) == (prepared.subjects, prepared.data)
    assert prepared.resting("stress", 91.0)[0] == ()

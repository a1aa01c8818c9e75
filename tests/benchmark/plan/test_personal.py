"""Runs of labelled minutes: which there are, and why others are not."""

import pytest

from benchmark.plan.expand import expand
from benchmark.plan.parse import load_suite
from benchmark.plan.suite import SuiteError
from benchmark.recordings.prepare import prepare
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol

PHASE = {"n_subjects": 4, "phase": 150.0}


@pytest.fixture
def planned(workshop, tmp_path):
    def plan(models, options=PHASE, **fields):
        suite = workshop.suite(models, options={"synthetic": options}, **fields)
        found = prepare("synthetic", tmp_path, workshop.cache, options, ())
        return expand(suite, {"synthetic": found})

    return plan


def test_models_times_folds_times_adapters_times_minutes(planned):
    minutes = (0.0, 1.0, 5.0)
    plan = planned(["lda", "cnn"], adapters=("head", "prior_shift"), labelled_minutes=minutes)
    tests = [run for run in plan.runs if run.trained]
    assert len(plan.runs) - len(tests) == 2 * 4
    # as they are; two adapters and two numbers of minutes; and the head of a network without any
    assert len(tests) == 4 * (2 + 2 * 2 * 2 + 1)
    assert len({run.id for run in tests}) == len(tests)
    ordinary = [run for run in plan.runs if not run.trained]
    assert all(run.trained[0] in ordinary for run in tests)
    assert {run.board for run in tests if run.protocol.calibration == "labelled:5"} == {
        f"{ordinary[0].board}__calibrated_by_labelled_5_min"
    }


def test_without_adapters_there_are_none(planned):
    assert not [run for run in planned(["lda"]).runs if run.trained]


def test_minutes_of_none_are_always_there(planned):
    plan = planned(["lda"], adapters=("prior_shift",), labelled_minutes=(5.0,))
    calibrations = {run.protocol.calibration for run in plan.runs if run.trained}
    assert calibrations == {"labelled:0", "labelled:5"}


def test_short_recordings_have_one_reason(planned):
    plan = planned(["lda", "cnn"], options={"n_subjects": 4, "phase": 60.0}, adapters=("head",))
    assert not [run for run in plan.runs if run.trained]
    (reason,) = plan.not_applicable.values()
    assert "expected people with a score unit after 10 labelled minutes and a gap" in reason


@pytest.mark.parametrize(
    ("model", "adapter", "reason"),
    [
        ("lda", "last_layer", "a probe has no last layer"),
        ("minirocket", "head", "it has no head to refit"),
        ("majority", "prior_shift", "it sees no signal"),
    ],
)
def test_what_an_adapter_cannot_do_has_a_reason(model, adapter, reason, planned):
    plan = planned([model], adapters=(adapter,))
    assert not [run for run in plan.runs if run.adapter]
    assert reason in "".join(plan.not_applicable.values())


def test_a_window_that_is_longer_than_the_gap_allows(planned):
    plan = planned(
        ["attention_lrcn"],
        adapters=("prior_shift",),
        recipes={"attention_lrcn": {"window": 140.0}},
    )
    (reason,) = plan.not_applicable.values()
    assert "expected windows of at most 120 s" in reason


def test_labelled_minutes_are_no_calibration_of_a_training(workshop):
    with pytest.raises(SuiteError, match="labelled minutes are given to adapters"):
        workshop.suite(["lda"], calibrations=("labelled:5",))


@pytest.mark.parametrize("minutes", [-1.0, 10.5])
def test_minutes_beyond_the_tested_part_are_refused(minutes, workshop):
    with pytest.raises(SuiteError, match="expected labelled minutes from 0 to 10"):
        workshop.suite(["lda"], adapters=("head",), labelled_minutes=(minutes,))


def test_an_adapter_that_nobody_knows(workshop):
    with pytest.raises(SuiteError, match="did you mean prior_shift"):
        workshop.suite(["lda"], adapters=("prior_shif",))


@pytest.mark.parametrize("text", ["labelled", "labelled:11", "labelled:x", "none:0", "whole:1"])
def test_words_that_are_no_labelled_minutes(text):
    with pytest.raises(IncompatibleRunError, match="no calibration"):
        Protocol(calibration=text)


def test_words_of_labelled_minutes():
    assert Protocol(calibration="labelled:0").calibration == "labelled:0"
    assert Protocol(calibration="labelled:2.50").calibration == "labelled:2.5"
    assert Protocol(calibration="labelled:5").calibrating.minutes == 5
    assert not Protocol(calibration="labelled:5").calibrating.scales


def test_the_suite_of_this_project():
    suite = load_suite("personalisation")
    assert suite.labelled_minutes == (0.0, 1.0, 2.0, 5.0, 10.0)
    assert suite.adapters == ("head", "last_layer", "prior_shift")

"""Models that tell electrodes apart by name, in a plan: before recordings are read, and after."""

from dataclasses import replace

import pytest

from benchmark.plan.expand import signals_of
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Distillation
from datamodules.eegmat import EEG

READ = Prepared(tuple(f"s{number}" for number in range(8)), {}, "e" * 16, channels={"eeg": EEG})
MIDLINE = replace(READ, channels={"eeg": ("Fz", "Cz", "Pz")})
DIFFERING = replace(READ, channels={"eeg": ("", "", *EEG[2:])})
KEYS = {"datasets": ("eegmat",), "models": ("tsception", "eegnet"), "recipe": "fast"}


def test_a_model_that_asks_for_sides_is_planned_where_there_are(plan):
    expanded = plan(READ, **KEYS)
    assert not expanded.not_applicable
    assert {run.model: run.signals for run in expanded.runs} == {
        "tsception": ("eeg",),
        "eegnet": ("eeg",),
    }


@pytest.mark.parametrize(
    ("recordings", "found"),
    [(MIDLINE, "found Fz, Cz, Pz"), (DIFFERING, "give other names to channel 1, 2")],
    ids=["midline", "differing"],
)
def test_where_there_are_none_it_alone_does_not_apply(plan, recordings, found):
    expanded = plan(recordings, **KEYS)
    ((cell, reason),) = expanded.not_applicable.items()
    assert cell.endswith("/tsception")
    assert found in reason
    assert expanded.runs == tuple(run for run in plan(READ, **KEYS).runs if run.model == "eegnet")


def test_its_signals_are_asked_for_before_a_file_is_read(suite_of):
    assert signals_of(suite_of(**{**KEYS, "models": ("tsception",)}), "eegmat") == ("eeg",)


def test_a_pair_with_it_is_planned_where_there_are_sides(plan_pairs):
    pair = Distillation("soft_targets", "dnn", "tsception", student_signals=("ecg",))
    expanded = plan_pairs(pair, recordings=READ, datasets=("eegmat",))
    assert {run.model for run in expanded.runs} == {"dnn", "tsception"}
    refused = plan_pairs(pair, recordings=DIFFERING, datasets=("eegmat",))
    assert not refused.runs
    assert ["give other names" in reason for reason in refused.not_applicable.values()] == [True]

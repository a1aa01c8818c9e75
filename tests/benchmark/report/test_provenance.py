"""Provenance: every field of a run and its protocol that is not a default is said somewhere."""

import dataclasses

import pytest

from benchmark.boards.cohort import build_cohort
from benchmark.report.provenance import SAID, SHOWN, failures, provenance
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.protocol import Protocol
from lightning_modules.recipe import Recipe
from tests.benchmark.made_up import make_run

SUBJECTS = ("S1", "S2", "S3", "S4")


def run(fold: int = 0, **fields) -> Run:
    values = {"dataset": "wesad", "task": "stress", "model": "cnn", "signals": ("eda",), "seed": 0}
    values |= {"subjects": SUBJECTS, "data": "d" * 16, "recipe": Recipe("a paper"), **fields}
    return make_run(fold=fold, **values)


def facts(**fields) -> dict[str, dict[str, str]]:
    results = [
        Scored(run(fold, **fields), "done", scores={subject: {"macro_f1": 0.5}}, classes=("a", "b"))
        for fold, subject in enumerate(SUBJECTS)
    ]
    cohort = build_cohort("board", results)
    sections = provenance(cohort.rows[0], cohort.tested)["sections"]
    return {name: dict(lines) for name, lines in sections.items()}


def test_names_that_are_shown_are_fields():
    assert {field.name for field in dataclasses.fields(Run)} >= SHOWN
    assert {field.name for field in dataclasses.fields(Protocol)} >= SAID


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({}, "version", str(Protocol().version)),
        ({"version": 3}, "version", "3"),
        ({"rule": "median"}, "threshold", "median, where a task cuts ratings"),
        ({"padding": "edge", "mask": True}, "whole trials", "padding edge, mask"),
        ({"split": "subject_k_fold", "folds": 2}, "split", "subject 2 fold: subjects disjoint"),
        ({"test_share": 0.3}, "test share", "0.3"),
        ({"validation": False}, "validation", "False"),
        ({"score_windows": True}, "score windows", "True"),
        ({"code": "c" * 12}, "code", "c" * 12),
    ],
    ids=str,
)
def test_protocol_is_said(fields, name, value):
    assert facts(**fields)["Protocol"][name] == value


def test_defaults_of_a_protocol_are_not_said():
    assert facts()["Protocol"].keys() == {
        *("version", "split", "epoch", "seeds", "task", "threshold", "scores"),
    }


def test_every_value_of_the_recipe_is_said():
    recipe = Recipe("a paper", lr=0.5, patience=4, tuned_on=("wesad", "deap"))
    model = facts(recipe=recipe, arguments=(("layers", "study_1"),))["Model"]
    assert model["layers"] == "study_1"
    values = {name: str(value) for name, value in vars(recipe).items()}
    assert {name: model[name] for name in values} == {**values, "tuned_on": "wesad, deap"}
    assert model["source"] == "a paper"
    assert "tuned_on" not in facts(recipe=Recipe("a paper"))["Model"]


def test_ids_are_those_that_folders_are_named_after(tmp_path):
    folder = tmp_path / "board" / "cnn" / "0-0-0123456789ab"
    failed = Scored(run(), "failed", error="ValueError: no", folder=folder)
    (failure,) = failures([failed])
    assert failure["runs"] == [(0, 0, "01234567")]
    cohort = build_cohort("board", [failed])
    assert provenance(cohort.rows[0], cohort.tested)["runs"] == {"0": "01234567"}

"""Tests on disturbed recordings: which models are tested again, and why others are not."""

import dataclasses

import pytest

from benchmark.plan.parse import load_suite
from benchmark.plan.suite import Distillation, SuiteError
from datamodules.corruptions import CORRUPTIONS
from datamodules.protocol import Protocol

WRIST = [name for name, one in CORRUPTIONS.items() if one.touched(("bvp", "eda", "temp", "acc"))]


def with_corruption(plan, name):
    return [run for run in plan.runs if run.protocol.corruption == name]


def test_each_trained_model_is_tested_again(plan):
    alone = plan(models=("lda", "dnn"), seeds=(0, 1)).runs
    made = plan(models=("lda", "dnn"), seeds=(0, 1), corruptions=("all",))
    assert [run for run in made.runs if not run.trained] == list(alone)
    for name in WRIST:
        runs = with_corruption(made, name)
        assert [run.trained for run in runs] == [(run,) for run in alone]
        for run, (trained,) in ((run, run.trained) for run in runs):
            same = dataclasses.replace(trained, protocol=run.protocol, trained=(trained,))
            assert dataclasses.replace(run, code=trained.code) == same
            assert run.code != trained.code  # what disturbs recordings is part of it
            assert run.protocol == dataclasses.replace(trained.protocol, corruption=name)
            assert run.board == f"{trained.board}__tested_with_{name}"
    assert len(made.runs) == len(alone) * (1 + len(WRIST))
    assert len({run.id for run in made.runs}) == len(made.runs)
    assert not made.not_applicable  # all: what the dataset cannot have is not spoken of


def test_no_run_without_a_corruption_changes(plan):
    assert all(run.protocol == Protocol() for run in plan(models=("lda",)).runs)


@pytest.mark.parametrize(
    ("models", "signals", "corruption", "reason"),
    [
        (("majority",), (), "eda_detached", "it sees no signal"),
        (("lda",), ("bvp", "temp"), "missing_eda", "it sees no eda, so that its score stays"),
        (("lda",), ("eda",), "missing_eda", "it sees no other signal"),
        (("lda",), ("bvp",), "missing_bvp", "it sees no other signal"),  # its beats are gone too
        (("lda",), ("eda",), "clock_offset", "all that it sees is late alike"),
        (("lda",), (), "missing_eeg", "the dataset has nothing of the kind"),
    ],
)
def test_why_a_model_is_not_tested_again(plan, models, signals, corruption, reason):
    made = plan(models=(*models, "motion"), signals=signals, corruptions=(corruption,))
    assert not [run for run in with_corruption(made, corruption) if run.model in models]
    (said,) = {
        words
        for cell, words in made.not_applicable.items()
        if cell.endswith(f"/{models[0]} on disturbed recordings")
    }
    assert reason in said


def test_students_and_their_teachers_are_tested_and_out_of_fold_teachers_not(plan_pairs):
    pair = Distillation("soft_targets", "dnn", "lstm", student_signals=("eda",))
    made = plan_pairs(pair, corruptions=("eda_detached",))
    runs = with_corruption(made, "eda_detached")
    assert {run.name for run in runs} == {"dnn", "lstm", "dnn-by_soft_targets-of_lstm"}
    student = next(run for run in runs if run.distiller)
    assert student.needs == student.trained
    assert student.trained[0].teachers[0] in [run.trained[0] for run in runs]
    several = dataclasses.replace(pair, out_of_fold=2)
    made = plan_pairs(several, corruptions=("eda_detached",))
    assert {run.name for run in with_corruption(made, "eda_detached")} == {
        "dnn",
        "dnn-by_soft_targets-of_lstm",
    }


def test_flaws_are_tested_on_recordings_as_they_are(plan):
    made = plan(flaws=(("scale_on_all",),), models=("dnn",), corruptions=("eda_detached",))
    assert {run.protocol.flags for run in with_corruption(made, "eda_detached")} == {()}
    assert any(run.protocol.flags for run in made.runs)


def test_a_corruption_is_no_part_of_the_protocol_of_a_suite(suite_of):
    suite = suite_of()
    with pytest.raises(SuiteError, match="expected eda_detached among corruptions"):
        dataclasses.replace(suite, protocol=Protocol(corruption="eda_detached"))
    with pytest.raises(SuiteError, match="did you mean eda_detached"):
        suite_of(corruptions=("eda_detach",))


def test_the_suite_has_a_row_with_modality_dropout_beside_each_plain_one(plan):
    suite = load_suite("robustness")
    values = {name: getattr(suite, name) for name in ("parts", "corruptions", "recipe", "splits")}
    runs = plan(**values, folds=2).runs
    labels = {(run.model, run.recipe_label) for run in runs if run.model == "cnn"}
    assert labels == {("cnn", "fast"), ("cnn", "fast modality_dropout=0.3")}
    assert {run.protocol.corruption for run in runs} == {"", *WRIST}


def test_a_network_with_one_signal_cannot_do_without_it(plan):
    recipes = {"cnn": {"modality_dropout": 0.3}}
    made = plan(models=("cnn", "lda"), signals=("eda",), recipes=recipes)
    assert {run.model for run in made.runs} == {"lda"}
    (reason,) = made.not_applicable.values()
    assert "modality_dropout: expected two signals or more" in reason

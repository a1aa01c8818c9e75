"""Studies: which trainings have one, and who takes part in its inner runs."""

import dataclasses

import pytest

from benchmark.plan.prepared import Prepared
from benchmark.plan.studies import FOLDS, space_of, values_of, with_values
from benchmark.plan.suite import Distillation, SuiteError
from benchmark.probes.catalogue import PROBES
from benchmark.probes.spaces import SPACES as OF_PROBES
from datamodules.digests import digest
from lightning_modules.catalogue import MODELS
from lightning_modules.spaces import NETWORK, SPACES, Choice, Range

PEOPLE = tuple(f"S{number}" for number in range(1, 9))
EIGHT = Prepared(PEOPLE, {}, "d" * 16, contents={name: f"content of {name}" for name in PEOPLE})
SPLITS = ("subject_k_fold", "leave_one_subject_out", "subject_hold_out")


def study_of(plan, **keys):
    return plan(EIGHT, **{"budget": 2, "models": ("cnn",), "splits": SPLITS[:1], **keys}).studies


def test_there_is_a_study_for_each_training_and_none_without_a_budget(plan):
    planned = plan(EIGHT, models=("cnn", "lda"), budget=5, seeds=(0, 1), splits=SPLITS[:1])
    assert [study.run for study in planned.studies] == list(planned.runs)
    assert {study.budget for study in planned.studies} == {5}
    assert plan(EIGHT, models=("cnn", "lda")).studies == ()


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", [0, 3])
def test_nobody_who_is_tested_is_in_an_inner_run(split, seed, plan):
    for study in study_of(plan, splits=(split,), seeds=(seed,)):
        protocol, fold = study.run.protocol, study.run.fold
        members = protocol.splitting.members(
            dict.fromkeys(PEOPLE, ()), protocol.dealing(fold, seed)
        )
        inner = study.inner_runs(study.first)
        assert len(inner) == FOLDS
        for run in inner:
            assert set(run.subjects) == {*members.train, *members.val}
            assert set(run.subjects).isdisjoint(members.test)
            assert run.data == digest([f"content of {name}" for name in run.subjects])
            assert run.inner
            assert run.folder.startswith("tuning/")
            assert run.board.endswith("__tuning")


def test_inner_folds_test_everybody_once(plan):
    (study, *_) = study_of(plan)
    tested = [
        name
        for run in study.inner_runs(study.first)
        for name in run.protocol.splitting.people(run.subjects, run.protocol.dealing(run.fold, 0))
    ]
    assert sorted(tested) == sorted(study.people)


def test_windows_signals_and_code_stay_and_values_change(plan):
    (study, *_) = study_of(plan)
    run = study.inner_runs({**study.first, "lr": 0.002, "balance": "oversample"})[1]
    tuned = study.tuned_run({**study.first, "lr": 0.002}, ["0123456789ab"])
    for name in ("signals", "window", "code", "model", "seed", "dataset", "task", "options"):
        assert getattr(run, name) == getattr(tuned, name) == getattr(study.run, name)
    assert (run.recipe.lr, run.recipe.balance) == (0.002, "oversample")
    assert dataclasses.replace(run.recipe, lr=1e-3, balance="none") == study.run.recipe
    assert tuned.subjects == study.run.subjects
    assert tuned.protocol == study.run.protocol
    assert (tuned.budget, tuned.chosen_by, tuned.inner) == (2, ("0123456789ab",), False)
    assert tuned.name == "cnn-tuned"
    assert tuned.changed == ("lr",)


def test_folds_of_a_tuned_row_differ_in_what_was_chosen_alone(plan):
    first, second, *_ = study_of(plan)
    one = first.tuned_run({**first.first, "lr": 0.002, "batch_size": 64}, ["a"])
    other = second.tuned_run({**second.first, "lr": 0.004}, ["b"])
    assert one.untuned == dataclasses.replace(other.untuned, fold=one.fold)
    assert one.untuned.recipe_label == "published tuned budget=2"
    assert one.recipe_label == "published tuned budget=2 batch_size=64 lr=0.002"


def test_the_values_of_the_untuned_run_come_first_and_widen_the_space(plan):
    (study, *_) = study_of(plan, recipes={"cnn": {"lr": 0.5, "batch_size": 48}})
    assert study.first["lr"] == 0.5
    assert study.space["lr"] == Range(1e-4, 0.5, log=True)
    assert study.space["batch_size"] == Choice((*NETWORK["batch_size"].values, 48))
    assert with_values(study.run, study.first) == study.run


def test_arguments_of_a_probe_are_values_too(plan):
    (study, *_) = study_of(plan, models=("random_forest",))
    assert study.first == {"max_features": "sqrt", "min_leaf": 5}
    run = study.inner_runs({"max_features": "log2", "min_leaf": 5})[0]
    assert run.arguments == (("max_features", "log2"),)
    assert values_of(run, study.space) == {"max_features": "log2", "min_leaf": 5}


def test_arguments_of_a_network_are_values_too(plan, monkeypatch):
    space = {"cells": Choice((8, 16)), "lr": Range(1e-4, 1e-2, log=True)}
    monkeypatch.setitem(SPACES, "mlstm_fcn", space)
    (study, *_) = study_of(plan, models=("mlstm_fcn",))
    assert study.first == {"cells": 8, "lr": 1e-3}
    (run, *_) = study.inner_runs({"cells": 16, "lr": 2e-3})
    assert (run.arguments, run.recipe.lr) == ((("cells", 16),), 2e-3)
    assert run.untuned.arguments == ()
    assert study.inner_runs(study.first)[0].arguments == ()


@pytest.mark.parametrize("model", [*MODELS, *PROBES])
def test_every_model_has_a_space_that_it_takes(model, plan):
    """So that a network, or a probe that may win, is not left out by mistake."""
    space = space_of(model)
    chooses_itself = model == "minirocket" or (model in PROBES and bool(PROBES[model].encoder))
    assert bool(space) == (model in MODELS or not (PROBES[model].blind or chooses_itself))
    if space and plan(EIGHT, models=(model,)).runs:
        (study, *_) = study_of(plan, models=(model,))
        for name, values in study.space.items():
            ends = values.values if isinstance(values, Choice) else (values.low, values.high)
            whole = isinstance(values, Range) and values.whole
            for value in ends:
                made = with_values(study.run, {name: int(value) if whole else value})
                assert values_of(made, [name]) == {name: value}


def test_a_probe_that_should_lose_is_on_the_board_once(plan):
    planned = plan(EIGHT, models=("majority", "time", "motion"), budget=5)
    assert planned.studies == ()
    assert planned.not_applicable == {}


def test_what_cannot_be_tuned_says_why(plan):
    planned = plan(EIGHT, datasets=("deap",), models=("dnn",), budget=2)
    (reason,) = (why for cell, why in planned.not_applicable.items() if cell.endswith("-tuned"))
    assert planned.studies == ()
    assert "dealt by person" in reason
    planned = plan(EIGHT, models=("cnn",), budget=2, flags=("select_on_test",))
    (reason,) = planned.not_applicable.values()
    assert "honest protocol alone" in reason
    few = dataclasses.replace(EIGHT, subjects=PEOPLE[:3])
    planned = plan(few, models=("cnn",), budget=2)
    (reason,) = planned.not_applicable.values()
    assert "expected at least 3 subjects" in reason
    assert len(planned.runs) == 3


def test_a_space_with_a_name_that_the_model_lacks(plan, monkeypatch):
    monkeypatch.setitem(SPACES, "cnn", {"lrr": Range(0.1, 0.2)})
    with pytest.raises(SuiteError, match="did you mean lr"):
        study_of(plan)
    monkeypatch.setitem(OF_PROBES, "lda", {"shrinkage": Range(0.1, 0.2)})
    with pytest.raises(SuiteError, match="expected a number, found 'auto'"):
        study_of(plan, models=("lda",))


def test_a_budget_of_one_candidate_is_none(plan):
    with pytest.raises(SuiteError, match="at least 2 candidates"):
        study_of(plan, budget=1)


def test_students_and_teachers_are_not_tuned(plan_pairs):
    pair = Distillation("soft_targets", "cnn", "dnn")
    planned = plan_pairs(pair, recordings=EIGHT, models=("lda",), budget=2)
    assert {run.model for run in planned.runs} == {"lda", "cnn", "dnn"}
    assert {study.run.model for study in planned.studies} == {"lda"}

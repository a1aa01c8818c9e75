"""Ensembles: of which models, and who takes part in the inner runs that choose among them."""

import dataclasses

import pytest

from benchmark.plan.ensembles import Ensemble
from benchmark.plan.prepared import Prepared
from benchmark.plan.studies import FOLDS
from benchmark.plan.suite import Distillation, SuiteError
from datamodules.catalogue import DATASETS
from datamodules.digests import digest

PEOPLE = tuple(f"S{number}" for number in range(1, 9))
EIGHT = Prepared(PEOPLE, {}, "d" * 16, contents={name: f"content of {name}" for name in PEOPLE})
SPLITS = ("subject_k_fold",)


def ensembles_of(planned):
    return [study for study in planned.studies if isinstance(study, Ensemble)]


def test_an_ensemble_of_each_fold_and_seed_chooses_among_what_may_win(plan):
    models = ("majority", "cnn", "lda", "minirocket", "motion")
    planned = plan(EIGHT, models=models, ensemble=("all",), seeds=(0, 1), splits=SPLITS)
    ensembles = ensembles_of(planned)
    assert [(one.run.fold, one.run.seed) for one in ensembles] == [
        (fold, seed) for seed in (0, 1) for fold in range(5)
    ]
    for one in ensembles:
        assert [member.model for member in one.run.members] == ["cnn", "lda", "minirocket"]
        assert set(one.trainings) == set(one.run.members) <= set(planned.runs)
        assert {(member.fold, member.seed) for member in one.run.members} == {
            (one.run.fold, one.run.seed)
        }
        assert set(one.run.signals) == {s for member in one.run.members for s in member.signals}
        assert one.at_most == len(one.inner_runs) == 3 * FOLDS
        assert (one.run.weights, one.run.chosen_by, one.run.needs) == ((), (), ())
    assert planned.not_applicable == {}
    assert one.run.name == "ensemble"


def test_nobody_who_is_tested_is_in_an_inner_run_of_an_ensemble(plan):
    planned = plan(EIGHT, models=("cnn", "lda"), ensemble=("all",), splits=SPLITS)
    for one in ensembles_of(planned):
        protocol = one.run.protocol
        tested = protocol.splitting.people(PEOPLE, protocol.dealing(one.run.fold, one.run.seed))
        for run in one.inner_runs:
            assert tested
            assert set(run.subjects) == set(PEOPLE) - set(tested)
            assert run.data == digest([f"content of {name}" for name in run.subjects])


def test_ensembles_members_and_inner_runs_see_samples_of_their_own_signals_and_people(plan):
    names = DATASETS["synthetic"].signals
    samples = {name: {s: f"{s} of {name}" for s in names} for name in PEOPLE}

    def seen(people, signals):
        return digest({s: [f"{s} of {name}" for name in people] for s in signals})

    keys = {"models": ("cnn", "lda"), "splits": SPLITS}
    recordings = dataclasses.replace(EIGHT, samples=samples)
    ensembles = ensembles_of(plan(recordings, ensemble=("all",), **keys))
    assert ensembles
    for one in ensembles:
        for run in (one.run, *one.run.members, *one.inner_runs):
            assert run.samples == seen(run.subjects, run.signals)
    others = {**samples, "S3": {**samples["S3"], "bvp": "other"}}
    changed = dataclasses.replace(recordings, samples=others)
    again = ensembles_of(plan(changed, ensemble=("all",), **keys))
    assert not {one.run.id for one in ensembles} & {one.run.id for one in again}


def test_inner_runs_of_an_ensemble_are_those_with_which_studies_begin(plan):
    """So that a board that is tuned as well does them once."""
    changes = {"recipes": {"cnn": {"lr": 0.5}}, "arguments": {"lda": {"shrinkage": 0.3}}}
    keys = {"models": ("cnn", "lda"), "splits": SPLITS, **changes}
    planned = plan(EIGHT, ensemble=("all",), budget=2, **keys)
    ensembles = ensembles_of(planned)
    studies = [study for study in planned.studies if study not in ensembles]
    first = {run.id for study in studies for run in study.inner_runs(study.first)}
    assert {run.id for one in ensembles for run in one.inner_runs} == first
    assert len(first) == 2 * 5 * FOLDS


def test_what_cannot_be_an_ensemble_says_why(plan):
    def reason(recordings=EIGHT, **keys):
        keys = {"models": ("cnn", "lda"), "ensemble": ("all",), **keys}
        planned = plan(recordings, **keys)
        assert ensembles_of(planned) == []
        (why,) = (w for cell, w in planned.not_applicable.items() if cell.endswith("/ensemble"))
        return why

    assert "two models or more to choose among, found cnn" in reason(models=("cnn", "time"))
    assert "honest protocol alone" in reason(flags=("select_on_test",))
    assert "dealt by person" in reason(datasets=("deap",), models=("dnn", "lda"))
    few = dataclasses.replace(EIGHT, subjects=PEOPLE[:3])
    assert "expected at least 3 subjects" in reason(few)


def test_members_are_models_of_the_suite(plan):
    named = plan(EIGHT, models=("cnn", "lda", "logistic"), ensemble=("lda", "cnn"))
    assert {m.model for one in ensembles_of(named) for m in one.run.members} == {"cnn", "lda"}
    with pytest.raises(SuiteError, match="member of the ensemble 'logistic' is not known"):
        plan(EIGHT, models=("cnn", "lda"), ensemble=("lda", "logistic"))
    pairs = plan(EIGHT, models=("cnn", "lda"), ensemble=("all",))
    taught = plan(
        EIGHT,
        models=("cnn", "lda"),
        ensemble=("all",),
        distillations=(Distillation("soft_targets", "cnn", "dnn"),),
    )
    assert [one.run for one in ensembles_of(taught)] == [one.run for one in ensembles_of(pairs)]

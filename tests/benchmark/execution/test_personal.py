"""Each tested person has a model of their own; without minutes it is that of the ordinary run."""

import numpy as np
import pytest

from benchmark.adapters.catalogue import ADAPTERS, ONE_CLASS
from benchmark.execution.execute import execute
from benchmark.execution.personal import seen
from benchmark.plan.expand import expand
from benchmark.probes.catalogue import PROBES
from benchmark.recordings.prepare import prepare
from benchmark.store import Store
from lightning_modules.units import UNIT

OPTIONS = {"synthetic": {"n_subjects": 4, "phase": 150.0}}
"""Eight phases, twenty minutes of each person."""
MODELS = ("lda", "cnn")


@pytest.fixture(scope="module")
def done(workshop, tmp_path_factory):
    """All runs of fold 0, done; results by model, adapter and minutes."""
    places = workshop.places(tmp_path_factory.mktemp("personal"))
    suite = workshop.suite(
        MODELS,
        options=OPTIONS,
        adapters=tuple(ADAPTERS),
        labelled_minutes=(2.0, 10.0),
        recipes={"cnn": {"max_epochs": 1, "stride": 30.0}},
    )
    found = prepare("synthetic", places.root("synthetic"), workshop.cache, OPTIONS["synthetic"], ())
    runs = [run for run in expand(suite, {"synthetic": found}).runs if run.fold == 0]
    results = {}
    for run in runs:
        result = execute(run, places)
        assert result.status == "done", result.traceback
        minutes = run.protocol.calibrating.minutes if run.trained else None
        results[run.model, run.adapter, minutes] = result
    return results, Store(places.runs)


def test_every_adapter_is_run_with_all_minutes_it_is_for(done):
    results, _ = done
    assert set(results) == {
        *((model, "", None) for model in MODELS),
        *((model, "", 0.0) for model in MODELS),
        *(
            (m, a, minutes)
            for m in MODELS
            for a in ADAPTERS
            for minutes in (2.0, 10.0)
            if a != "last_layer" or m == "cnn"
        ),
        ("cnn", "head", 0.0),
    }


@pytest.mark.parametrize("model", MODELS)
def test_without_minutes_it_answers_as_the_ordinary_run_on_these_units(model, done):
    results, store = done
    before, after = (store.predictions(results[model, "", minutes].run) for minutes in (None, 0.0))
    names = ("subject", *UNIT, "start")
    keys = [
        list(zip(*(columns[name].tolist() for name in names), strict=True))
        for columns in (before, after)
    ]
    rows = [keys[0].index(key) for key in keys[1]]
    assert 0 < len(rows) < len(keys[0])
    assert np.abs(before["probabilities"][rows] - after["probabilities"]).max() < 1e-5
    assert (before["label"][rows] == after["label"]).all()


def test_all_are_tested_on_the_same_units(done):
    results, _ = done
    units = [result.units for result in results.values() if result.run.trained]
    assert all(one == units[0] for one in units)


@pytest.mark.parametrize("model", MODELS)
def test_minutes_change_the_answers_of_each_adapter(model, done):
    results, store = done
    plain = store.predictions(results[model, "", 0.0].run)["probabilities"]
    for adapter in ADAPTERS:
        if model in PROBES and not ADAPTERS[adapter].of_probes:
            continue
        few, many = (
            store.predictions(results[model, adapter, minutes].run)["probabilities"]
            for minutes in (2.0, 10.0)
        )
        assert few.sum(axis=1) == pytest.approx(np.ones(len(few)))
        assert np.abs(many - few).max() > 1e-6
        assert max(np.abs(few - plain).max(), np.abs(many - plain).max()) > 1e-6


def test_notes_name_the_people_whose_minutes_have_one_class(done):
    """A phase is longer than two minutes, and all four of ten minutes are not of one class."""
    results, _ = done
    (person,) = results["lda", "head", 2.0].scores
    assert results["lda", "head", 2.0].notes == (ONE_CLASS + person,)
    assert results["lda", "head", 10.0].notes in ((), (ONE_CLASS + person,))


def test_each_person_is_answered_for_by_minutes_of_their_own(done, workshop, monkeypatch):
    """Other labels of one person change nothing for another."""
    _, store = done
    suite = workshop.suite(
        ["lda"],
        options=OPTIONS,
        adapters=("prior_shift",),
        labelled_minutes=(10.0,),
        splits=("subject_hold_out",),
    )
    places = workshop.places(store.root)
    found = prepare("synthetic", places.root("synthetic"), workshop.cache, OPTIONS["synthetic"], ())
    from_expand = expand(suite.with_protocol(test_share=0.5), {"synthetic": found}).runs
    runs = [run for run in from_expand if run.fold == 0]
    assert len(runs) == 3
    for run in runs:
        assert execute(run, places).status == "done"
    last = runs[-1]
    before = store.predictions(last)
    people = np.unique(before["subject"]).tolist()
    assert len(people) == 2

    def changed(predictor, module, windows):
        its = seen(predictor, module, windows)
        other = np.array(module.subjects)[windows.subject] == people[0]
        return its._replace(target=np.where(other, 1 - its.target, its.target))

    monkeypatch.setattr("benchmark.execution.personal.seen", changed)
    assert execute(last, places).status == "done"
    after = store.predictions(last)
    same = (before["probabilities"] == after["probabilities"]).all(axis=1)
    assert same[before["subject"] == people[1]].all()


def test_minutes_that_overlap_the_test_are_refused(done, workshop, monkeypatch):
    results, store = done
    run = results["lda", "head", 10.0].run
    monkeypatch.setattr(
        "datamodules.datamodule.minutes_of", lambda fold, minutes: fold.windows("test")
    )
    result = execute(run, workshop.places(store.root))
    assert result.status == "failed"
    assert "leak: a labelled window of" in result.error

"""Values that a study chose: a planted leak is refused, and so is what no inner run chose."""

import dataclasses
import shutil

import pytest

from benchmark.checks.verify import verify
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.studies import training_people
from benchmark.store import Store
from datamodules.synthetic import SyntheticReader


@pytest.fixture
def places(tuned, workshop, tmp_path):
    """Folders of a copy of the finished store."""
    shutil.copytree(tuned.store.root, tmp_path / "runs")
    return workshop.places(tmp_path / "runs")


@pytest.fixture
def run(tuned):
    """A tuned probe, which is quick."""
    return next(one for one in tuned.outcome.runs if one.name == "lda-tuned")


def inner_runs(store, run):
    folders = store.inner_folders()
    return [store.load(folders[name]).run for name in run.chosen_by]


def of_everybody(run):
    """Fields of an inner run in which everybody takes part."""
    return {"subjects": run.subjects, "data": run.data, "samples": run.samples}


def test_an_inner_run_with_a_tested_person_is_refused(run, places):
    store = Store(places.runs)
    leaky = dataclasses.replace(inner_runs(store, run)[0], **of_everybody(run))
    assert execute(leaky, places).status == "done"
    planted = dataclasses.replace(run, chosen_by=(*run.chosen_by, leaky.id))
    result = execute(planted, places)
    assert result.status == "failed"
    (stranger, *_) = [name for name in run.subjects if name not in training_people(run)]
    assert result.error.startswith("LeakError: leak: values were chosen by the inner run")
    assert leaky.id in result.error
    assert stranger in result.error


def test_an_inner_run_under_a_false_name_is_refused(run, places):
    """One that holds a tested person, in the place of one that does not."""
    store = Store(places.runs)
    first, *_ = inner_runs(store, run)
    leaky = dataclasses.replace(first, **of_everybody(run))
    execute(leaky, places)
    shutil.rmtree(store.folder(first))
    shutil.copytree(store.folder(leaky), store.folder(first))
    result = execute(dataclasses.replace(run, alone="0123456789ab"), places)
    assert result.status == "failed"
    assert f"expected the inner run {first.id}, found {leaky.id}" in result.error


def test_values_that_no_inner_run_chose_are_refused(run, places):
    other = dataclasses.replace(run, arguments=(("shrinkage", 0.5),))
    result = execute(other, places)
    assert result.status == "failed"
    assert "expected the values that its inner runs chose" in result.error
    few = dataclasses.replace(run, chosen_by=())
    assert "expected the inner runs" in execute(few, places).error


def test_inner_runs_that_are_gone_are_missed(run, places):
    shutil.rmtree(places.runs / "tuning")
    again = dataclasses.replace(run, alone="0123456789ab")  # what is done is not done again
    result = execute(again, places)
    assert result.status == "failed"
    assert f"found {len(run.chosen_by)} of {len(run.chosen_by)} missing" in result.error


def test_nothing_of_a_tested_person_is_read(run, tuned, tmp_path, monkeypatch):
    """In an empty cache, with recordings of the tested people that cannot be read."""
    people, read = training_people(run), SyntheticReader.read

    def guarded(reader, subject):
        assert subject in people, f"{subject} was read"
        return read(reader, subject)

    monkeypatch.setattr(SyntheticReader, "read", guarded)
    places = Places(tmp_path / "data", tmp_path / "cache", tmp_path / "runs")
    for inner in inner_runs(tuned.store, run)[:3]:
        result = execute(inner, places)
        assert result.status == "done", result.traceback
        before = (tuned.store.folder(inner) / "predictions.npz").read_bytes()
        assert (Store(tmp_path / "runs").folder(inner) / "predictions.npz").read_bytes() == before


def test_a_tuned_run_and_an_inner_run_are_verified(run, tuned, workshop, in_process):
    store = tuned.store
    places = workshop.places(store.root)
    for folder in (store.folder(run), store.inner_folders()[run.chosen_by[0]]):
        verdict = verify(folder, places, in_process(), tolerance=0.0)
        assert verdict.equal, verdict

"""Predictions of validation people: whose they are, what they are; nothing else changes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.boards.scores import scored_results
from benchmark.execution import execute as module
from benchmark.execution.assemble import make_datamodule
from benchmark.execution.checkpoint import load_predictor
from benchmark.execution.execute import execute
from benchmark.plan.suite import Distillation
from benchmark.run import Run
from benchmark.store import PREDICTIONS, VALIDATION, Store, parsed
from datamodules.errors import IncompatibleRunError
from datamodules.guard import check_no_leak
from datamodules.protocol import Protocol
from lightning_modules.units import score_units
from tests.datamodules.as_recorded import as_recorded

RECIPES = {"cnn": {"max_epochs": 3, "stride": 30.0}}


def kept(store: Store, run: Run) -> dict[str, np.ndarray]:
    folder = store.folder(run)
    return parsed(store.read(folder, store.load(folder), VALIDATION), folder, VALIDATION)


def members(run: Run, workshop: Any, tmp_path: Path) -> Any:
    data = make_datamodule(run, workshop.places(tmp_path))
    data.prepare_data()
    data.setup()
    return data


@pytest.mark.parametrize("model", ["cnn", "lda", "majority", "subject_mean", "minirocket"])
def test_they_are_of_the_validation_people_alone(workshop, tmp_path, model):
    (run, *_) = workshop.plan([model])
    store = workshop.do([run], tmp_path)
    data, columns = members(run, workshop, tmp_path), kept(store, run)
    people = data.fold.members
    assert set(columns["subject"]) == set(people.val)
    assert not set(columns["subject"]) & {*people.test, *people.train}
    assert list(columns) == list(store.predictions(run))
    expected = data.columns("val")
    for name, column in expected.items():
        np.testing.assert_array_equal(columns[name], column)
    assert columns["probabilities"].sum(axis=1) == pytest.approx(1)
    assert store.result(run).files[VALIDATION]
    assert not (store.folder(run) / VALIDATION).is_symlink()


@pytest.mark.parametrize("model", ["cnn", "lda"])
def test_they_are_those_of_the_model_that_is_tested(workshop, tmp_path, model):
    """The checkpoint, by itself, on the windows of the validation part: the best epoch counts."""
    (run, *_) = workshop.plan([model], recipes={"cnn": {"max_epochs": 6, "stride": 30.0}})
    store = workshop.do([run], tmp_path)
    data = members(run, workshop, tmp_path)
    predictor = load_predictor(store.folder(run))
    raw = as_recorded(data, data.windows("val"))
    windows = raw[torch.arange(len(raw))].signals
    expected = predictor.probabilities(windows)
    np.testing.assert_allclose(kept(store, run)["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("model", ["cnn", "random_forest"])
def test_what_is_tested_is_the_same_without_them(workshop, tmp_path, model, monkeypatch):
    (run, *_) = workshop.plan([model])
    one = workshop.do([run], tmp_path / "one")
    monkeypatch.setattr(module, "keeps_validation", lambda fold: False)
    other = workshop.do([run], tmp_path / "other")
    assert VALIDATION not in other.result(run).files
    digests = [store.result(run).files[PREDICTIONS] for store in (one, other)]
    assert digests[0] == digests[1]
    assert scored_results(one)[0].scores == scored_results(other)[0].scores


def test_tested_people_are_not_read_for_them(workshop, tmp_path, monkeypatch):
    """Predictions of validation people are the same when those who are tested are gone."""
    (run, *_) = workshop.plan(["lda"])
    everybody = members(run, workshop, tmp_path)
    data = everybody.testing_validation()
    tested = {data.subjects.index(name) for name in everybody.fold.members.test}
    for part in ("train", "val", "test"):
        assert not set(data.windows(part).subject.tolist()) & tested
    parts = {part: data.windows(part) for part in ("train", "test")}
    check_no_leak(data.fold.archive, data.fold.members, parts)


@pytest.mark.parametrize("model", ["cnn", "lda"])
def test_a_second_fit_on_them_keeps_none(workshop, tmp_path, model):
    (run, *_) = workshop.plan([model], recipes={model: {**RECIPES.get(model, {}), "refit": True}})
    store = workshop.do([run], tmp_path)
    assert VALIDATION not in store.result(run).files
    assert not (store.folder(run) / VALIDATION).exists()


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(validation=False),
        Protocol(flags=("select_on_test",)),
        Protocol(flags=("scale_on_all",)),
    ],
)
def test_protocols_without_validation_people_keep_none(workshop, tmp_path, protocol):
    for planned in (workshop.plan([model])[0] for model in ("cnn", "lda")):
        run = dataclasses.replace(planned, protocol=protocol)
        result = execute(run, workshop.places(tmp_path))
        assert result.status == "done", result.traceback
        assert VALIDATION not in Store(tmp_path).result(run).files


def test_inner_runs_keep_none(workshop, tmp_path):
    (run, *_) = workshop.plan(["lda"])
    inner = dataclasses.replace(run, inner=True)
    assert execute(inner, workshop.places(tmp_path)).status == "done"
    assert VALIDATION not in Store(tmp_path).result(inner).files


def test_a_student_keeps_its_own(workshop, tmp_path):
    pair = Distillation("soft_targets", teacher="cnn", student="cnn")
    runs = workshop.plan(["cnn"], distillations=(pair,))
    student = next(run for run in runs if run.distiller)
    store = workshop.do([*student.teachers, student], tmp_path)
    columns, teachers = kept(store, student), kept(store, student.teachers[0])
    np.testing.assert_array_equal(columns["subject"], teachers["subject"])
    assert not np.array_equal(columns["probabilities"], teachers["probabilities"])
    predictor = load_predictor(store.folder(student))
    data = members(student, workshop, tmp_path)
    raw = as_recorded(data, data.windows("val"))
    expected = predictor.probabilities(raw[torch.arange(len(raw))].signals)
    np.testing.assert_allclose(columns["probabilities"], expected, atol=1e-5)


def test_an_ensemble_keeps_the_mean_of_its_members(ensembled):
    for run in ensembled.runs:
        means = score_units(kept(ensembled.store, run))
        taken = {member: score_units(kept(ensembled.store, member)) for member in run.taken}
        for person, units in means.items():
            expected = sum(
                weight * taken[member][person].probabilities for member, weight in run.taken.items()
            )
            assert units.probabilities == pytest.approx(expected / sum(run.weights))
            assert {of[person].digest for of in taken.values()} == {units.digest}


def test_nothing_is_calibrated_where_nobody_is_kept_apart(workshop, tmp_path):
    (run, *_) = workshop.plan(["lda"])
    data = members(
        dataclasses.replace(run, protocol=Protocol(validation=False)), workshop, tmp_path
    )
    with pytest.raises(IncompatibleRunError, match="expected validation people"):
        data.testing_validation()

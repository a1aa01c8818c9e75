"""A trained model is tested as it was kept; what has seen the tested people is refused."""

import dataclasses
import shutil

import numpy as np
import pytest

from benchmark.checks.verify import VerifyError, verify
from benchmark.errors import BenchmarkError
from benchmark.execution.checkpoint import load_predictor
from benchmark.execution.execute import execute
from benchmark.plan.trained import test_of as again_of
from benchmark.probes.catalogue import PROBES
from benchmark.store import Store
from datamodules.errors import IncompatibleRunError

MODELS = ("lda", "minirocket", "cnn", "attention_lrcn")
"""Features, windows, feature rows and samples."""


@pytest.fixture
def places(workshop, tmp_path):
    return workshop.places(tmp_path)


def trained(workshop, model, **changes):
    recipe = {} if model in PROBES else {"max_epochs": 1}
    run = workshop.plan([model], recipes={model: recipe} if recipe else {})[0]
    return dataclasses.replace(run, **changes)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_is_tested_again_answers_as_it_did(model, workshop, places):
    first = trained(workshop, model)
    run = again_of(first, first.protocol)
    done, again = execute(first, places), execute(run, places)
    assert (done.status, again.status) == ("done", "done"), again.error
    store = Store(places.runs)
    before, after = store.predictions(first), store.predictions(run)
    for name in set(before) - {"probabilities"}:
        assert (before[name] == after[name]).all(), name
    assert np.abs(before["probabilities"] - after["probabilities"]).max() < 1e-5
    assert again.parameters == done.parameters
    assert not (store.folder(run) / "model.ckpt").exists()
    assert not (store.folder(run) / "model.skops").exists()
    with pytest.raises(BenchmarkError, match=f"predict with {first.id}"):
        load_predictor(store.folder(run))


def test_a_model_that_saw_the_tested_people_is_refused(workshop, places):
    first = trained(workshop, "lda")
    assert execute(first, places).status == "done"
    other = dataclasses.replace(first, fold=1)
    assert execute(other, places).status == "done"
    result = execute(dataclasses.replace(first, trained=(other,)), places)
    assert result.status == "failed"
    assert "no model of the fold that is tested: its fold differs" in result.error


def test_the_people_of_the_checkpoint_count_and_not_what_its_run_says(
    workshop, places, monkeypatch
):
    first = trained(workshop, "lda")
    assert execute(first, places).status == "done"
    tested = first.protocol.splitting.people(first.subjects, first.protocol.dealing(0, 0))

    def planted(path):
        return dataclasses.replace(load_predictor(path), subjects=first.subjects)

    monkeypatch.setattr("benchmark.execution.trained.load_predictor", planted)
    result = execute(again_of(first, first.protocol), places)
    assert result.status == "failed"
    assert f"the model was trained on {tested}, which this run tests" in result.error


def test_a_model_that_is_not_there_is_asked_for(workshop, places):
    first = trained(workshop, "lda")
    result = execute(again_of(first, first.protocol), places)
    assert "expected a finished run whose model is tested, found none" in result.error


def test_what_keeps_no_model_is_not_tested_again(workshop):
    with pytest.raises(IncompatibleRunError, match="sees no signal"):
        again_of(trained(workshop, "majority"), workshop.plan(["majority"])[0].protocol)


def test_it_is_verified_with_the_same_model(workshop, places, in_process):
    first = trained(workshop, "lda")
    run = again_of(first, first.protocol)
    store = Store(places.runs)
    execute(first, places)
    execute(run, places)
    assert verify(store.folder(run), places, in_process()).equal
    shutil.rmtree(store.folder(first))
    with pytest.raises(VerifyError, match="expected its trained run"):
        verify(store.folder(run), places, in_process())

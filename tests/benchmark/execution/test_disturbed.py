"""Tests on disturbed recordings, from the store and by plain Lightning."""

import dataclasses
import shutil

import lightning as L
import numpy as np
import pytest

from benchmark.boards.scores import scored_results
from benchmark.execution.assemble import ready
from benchmark.execution.execute import execute
from benchmark.store import Store
from datamodules.datamodule import EmotionDataModule, Selection
from datamodules.synthetic import SYNTHETIC
from lightning_modules.catalogue import MODELS

MODEL = "cnn_lstm"


@pytest.fixture(scope="module")
def done(workshop, tmp_path_factory):
    """A store of a network and a probe, and of their tests under three corruptions, of one fold."""
    runs = workshop.plan(
        [MODEL, "lda"],
        recipes={MODEL: {"max_epochs": 1, "window": 30.0, "stride": 30.0}},
        corruptions=("missing_eda", "motion_strong", "clock_offset"),
    )
    places = workshop.places(tmp_path_factory.mktemp("disturbed"))
    for run in runs:
        if run.fold == 0:
            result = execute(run, places)
            assert result.status == "done", result.traceback
    return Store(places.runs), [run for run in runs if run.fold == 0]


def test_models_are_tested_on_the_same_units_with_other_answers(done):
    store, runs = done
    for run in runs:
        if not run.trained:
            continue
        before, after = store.predictions(run.trained[0]), store.predictions(run)
        for name in set(before) - {"probabilities"}:
            assert (before[name] == after[name]).all(), name
        assert np.abs(before["probabilities"] - after["probabilities"]).max() > 1e-3


@pytest.mark.parametrize("corruption", ["missing_eda", "motion_strong", "clock_offset"])
def test_plain_lightning_gives_the_numbers_of_the_runner(corruption, done, workshop):
    store, runs = done
    run = next(r for r in runs if r.model == MODEL and r.protocol.corruption == corruption)
    path = store.folder(run.trained[0]) / "model.ckpt"
    model = MODELS[MODEL].load_from_checkpoint(path, weights_only=True)
    module = EmotionDataModule.for_recipe(
        model.recipe,
        SYNTHETIC,
        selection=Selection(run.task, run.signals, run.subjects, options=dict(run.options)),
        protocol=run.protocol,
        fold=run.fold,
        seed=run.seed,
        cache_dir=workshop.cache,
    )
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    (logged,) = trainer.test(model, datamodule=module, verbose=False)
    (result,) = [r for r in scored_results(store) if r.id == run.id]
    (subject,) = result.scores
    for name, score in result.scores[subject].items():
        assert logged[f"test_{name}/{subject}"] == pytest.approx(score, abs=1e-5), name


def test_recordings_that_are_planned_on_are_those_as_they_are(done, workshop):
    store, runs = done
    run = next(r for r in runs if r.trained)
    module = ready(run, workshop.places(store.root))
    assert (run.data, run.samples) == (run.trained[0].data, run.trained[0].samples)
    assert module.fold.archive.key == run.data
    assert dataclasses.replace(run.protocol, corruption="") == run.trained[0].protocol


def test_a_model_that_is_trained_on_disturbed_recordings_is_refused(workshop, tmp_path):
    """In the cache, the disturbed samples of somebody who is trained on lie in place of theirs."""
    runs = workshop.plan(["lda"], corruptions=("eda_detached",))
    first = next(run for run in runs if run.fold == 0 and not run.trained)
    cache = tmp_path / "cache"
    places = dataclasses.replace(workshop.places(tmp_path / "runs"), cache=cache)
    honest = ready(first, places)
    disturbed = next(
        module
        for run in runs
        if run.trained
        for module in [ready(run, places)]
        if set(module.fold.members.test) <= set(honest.fold.members.train)
    )
    (person,) = disturbed.fold.members.test
    for one, other in zip(disturbed._disturbed.subjects, honest.fold.archive.subjects, strict=True):
        if one.subject == person:
            source, target = (s.samples("eda").folder for s in (one, other))
    assert source != target
    shutil.rmtree(target)
    shutil.copytree(source, target)
    result = execute(first, places)
    assert result.status == "failed"
    assert "expected the recordings that this run was planned on" in result.error

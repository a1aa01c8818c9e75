"""Test of a trained model: that of another run, as it was kept, on what this run tests."""

import time
from typing import Any

import numpy as np

from benchmark.execution.assemble import make_datamodule
from benchmark.execution.checkpoint import load_predictor
from benchmark.execution.circumstances import peak_memory
from benchmark.execution.needed import finished
from benchmark.execution.personal import adapted
from benchmark.execution.places import Places
from benchmark.execution.predictor import NetworkPredictor, Predictor
from benchmark.execution.teachers import tested_of
from benchmark.execution.transferred import let_test_unseen
from benchmark.run import Run
from benchmark.store import Store
from datamodules.datamodule import EmotionDataModule
from datamodules.digests import digest
from datamodules.errors import LeakError
from lightning_modules.units import Columns, predictions

SHARED = ("options", "task", "fold", "seed", "subjects", "data", "samples")
"""Fields of a run that are equal in its trained run, where both are of one dataset."""


def test_trained(
    run: Run, module: EmotionDataModule, places: Places
) -> tuple[dict[str, Any], Columns]:
    """Return what is known of a run without a training, as fields of its result, and predictions.

    Args:
        run: Run with a trained one.
        module: Its datamodule, which leaves samples as recorded, after its setup.
        places: Folders and device.

    Raises:
        BenchmarkError: A trained run that is not finished, or keeps no model.
        LeakError: It has seen what this run tests.
    """
    started = time.perf_counter()
    result = finished(run.trained[0], Store(places.runs), "run whose model is tested")
    predictor = load_predictor(Store(places.runs).folder(result.run))
    if run.protocol.splitting.trains:
        check_trained(run, predictor, module)
    else:
        let_test_unseen(run, predictor, module, make_datamodule(run.trained[0], places))
    if isinstance(predictor, NetworkPredictor):
        predictor.model.to(places.device)
    prepared = time.perf_counter()
    notes: tuple[str, ...] = ()
    if run.adapter:
        probabilities, notes = adapted(run, predictor, module, result.trained_on)
    else:
        probabilities = np.concatenate(
            [predictor.probabilities(batch.signals) for batch in module.test_dataloader()]
        )
    subjects = module.fold.archive.subjects
    return {
        "parameters": result.parameters,
        "efficiency": result.efficiency,
        "epochs": result.epochs,
        "trained_on": result.trained_on,
        "chosen_with": result.chosen_with,
        "classes": module.task.classes,
        "labels": module.task.source,
        "seconds": {
            "prepare": round(prepared - started, 3),
            "train": 0.0,
            "predict": round(time.perf_counter() - prepared, 3),
        },
        "peak_memory": peak_memory(places.device),
        "notes": notes,
        "raw": digest({s.recordings[0].subject: dict(s.files) for s in subjects}),
    }, predictions(module.columns("test"), probabilities)


def check_trained(run: Run, predictor: Predictor, module: EmotionDataModule) -> None:
    """Refuse a model of another fold, or one that was trained or chosen on what a run tests.

    Who it was trained on, and who chose its epoch, is read from its checkpoint.

    Raises:
        LeakError: Naming the field that differs, or the subjects or trials.
    """
    (trained,) = run.trained
    differing = [name for name in SHARED if getattr(trained, name) != getattr(run, name)]
    if trained.dataset != run.dataset or differing:
        raise LeakError(
            f"leak: the model of {trained.label} is no model of the fold that is tested: its "
            f"{', '.join(differing) or 'dataset'} differs."
        )
    sides = (
        ("trained", predictor.subjects, predictor.trials),
        ("chosen", predictor.chosen_on, predictor.chosen_on_trials),
    )
    for verb, subjects, trials in sides:
        if tested := tested_of(module, subjects, trials, ()):
            raise LeakError(f"leak: the model was {verb} on {tested}, which this run tests.")

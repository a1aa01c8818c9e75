"""The datamodule and the model of a run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lightning as L

from benchmark.encoders.embeddings import Frozen
from benchmark.encoders.files import weights_of
from benchmark.encoders.fit import freeze
from benchmark.execution.places import Places
from benchmark.execution.teachers import make_distiller, taught_signals
from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from benchmark.store import Store
from datamodules.catalogue import DATASETS
from datamodules.datamodule import EmotionDataModule, Loading, Selection
from datamodules.errors import DatasetCorruptedError
from datamodules.flags import OF_EPOCHS
from datamodules.fold import Windowing
from datamodules.protocol import Protocol
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import MODELS
from lightning_modules.recipe import Recipe

CHUNK = 50
"""Batches in a step of the Trainer, whose own work a step is half that of a small network."""


def ready(run: Run, places: Places) -> EmotionDataModule:
    """Return the datamodule of a run, set up, and set all seeds.

    Raises:
        DatasetCorruptedError: The recordings are not those that the run was planned on.
    """
    module = make_datamodule(run, places)
    module.prepare_data()
    module.setup()
    _check_recordings(run, module)
    L.seed_everything(run.seed, workers=True, verbose=False)
    return module


def _check_recordings(run: Run, module: EmotionDataModule) -> None:
    """Refuse other recordings than those that a run was planned on."""
    archive = module.fold.archive
    planned, read = (run.data, run.samples), (archive.key, archive.samples_key(run.signals))
    if planned != read:
        raise DatasetCorruptedError(
            f"{run.dataset}: expected the recordings that this run was planned on "
            f"({' '.join(planned)}), found others ({' '.join(read)}). The files changed meanwhile; "
            "run again."
        )


def make_datamodule(
    run: Run, places: Places, signals: Sequence[str] | None = None
) -> EmotionDataModule:
    """Return the dataset, task and fold of a run, on the windows that its recipe asks for.

    Args:
        run: Run.
        places: Folders and device.
        signals: Names of signals; None takes the run's own.
    """
    windowing, loading = _windows(run, places)
    return EmotionDataModule(
        DATASETS[run.dataset].brought(run.brought),
        places.root(run.dataset),
        Selection(
            run.task,
            run.signals if signals is None else signals,
            run.subjects,
            run.without,
            dict(run.options),
        ),
        run.protocol if isinstance(run.recipe, Recipe) else _without_epochs(run.protocol),
        run.fold,
        run.seed,
        windowing,
        loading,
        places.cache,
    )


def make_model(run: Run, module: EmotionDataModule) -> EmotionClassifier:
    """Return the untrained model of a run."""
    build: Any = MODELS[run.model]
    model: EmotionClassifier = build(
        dict(module.inputs), module.n_classes, recipe=run.recipe, **dict(run.arguments)
    )
    return model


def frozen(run: Run, module: EmotionDataModule, places: Places) -> Frozen:
    """Return the network of a run's encoder, with the weights that the run was planned with.

    Raises:
        WeightsError: The file of weights is not there, or is another one by now.
    """
    encoder = PROBES[run.model].encoder
    assert encoder  # it is asked for only where there is one
    file = weights_of(places.encoders, run.model, run.pretrained) if run.pretrained else None
    archive = module.fold.archive
    channels = [name for signal in run.signals for name in archive.stored(signal)[0].channels]
    network = freeze(encoder, channels, module.length, file, run.seed)
    origin = run.pretrained or f"seed {run.seed}"
    return Frozen(encoder, network, f"{run.code} {origin}", places.device)


def taught(
    run: Run, model: EmotionClassifier, module: EmotionDataModule, places: Places
) -> tuple[EmotionClassifier, EmotionDataModule]:
    """Return the module that is fitted and its data: the model, or its distiller with teachers.

    Whatever it learns from, the model is tested alone and on its own signals.

    Raises:
        DatasetCorruptedError: The recordings are not those that a teacher was planned on.
    """
    if not run.distiller:
        return model, module
    both = make_datamodule(run, places, taught_signals(run))
    both.prepare_data()
    both.setup()
    for teacher in run.teachers:
        _check_recordings(teacher, both)
    return make_distiller(run, model, both, Store(places.runs)), both


def _windows(run: Run, places: Places) -> tuple[Windowing, Loading]:
    recipe = run.recipe
    if not isinstance(recipe, Recipe):
        return Windowing(recipe.window, recipe.stride, "none", longest=run.window), Loading()
    if run.trained:  # its model knows the scaling that it was trained with
        recorded = replace(Windowing.of(recipe), scaling="none", longest=run.window)
        return recorded, Loading(recipe.batch_size)
    single = run.distiller or places.group_of(run) or recipe.precision != "32-true"
    return (
        replace(Windowing.of(recipe), longest=run.window),
        Loading(recipe.batch_size, 1 if single else CHUNK),
    )


def _without_epochs(protocol: Protocol) -> Protocol:
    """Return the protocol of a probe, which chooses no epoch."""
    return protocol.with_flags([flag for flag in protocol.flags if flag not in OF_EPOCHS])

"""Fitting of probes, and the features or samples that they see."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmark.probes.catalogue import Probe
from benchmark.probes.classifiers import CLASSIFIERS, learned_values, most_frequent
from benchmark.probes.personal import personal_features
from benchmark.probes.windows import Rows, Windows
from benchmark.typed import Value
from datamodules.archive import Archive
from datamodules.datamodule import EmotionDataModule
from datamodules.fold import Grid, Part
from datamodules.gathering import WindowDataset
from datamodules.protocol import Padding
from datamodules.resident import RESIDENT, Shelf
from datamodules.scaling import Scaling
from datamodules.signals.features import features
from datamodules.windows import WindowIndex, first_samples, n_samples, recorded_samples

CHUNK = 256
"""Windows whose samples are in memory at once while features are computed."""

Features = npt.NDArray[np.float64]
_features: Shelf[Features] = RESIDENT.keep(Shelf(8))
"""Features of the windows that folds and probes share."""


@dataclass(frozen=True, eq=False)
class FittedProbe:
    """A fitted classifier.

    Attributes:
        probe: The probe that was fitted.
        classifier: Fitted classifier of scikit-learn.
        n_classes: Number of classes K.
        trained_on: Number of windows of each class that it was fitted on.
        notes: Lines that a reader of its scores must know.
    """

    probe: Probe
    classifier: Any
    n_classes: int
    trained_on: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def predict(self, module: EmotionDataModule) -> npt.NDArray[np.float64]:
        """Return the probabilities of the test windows, shape (N, K); 0 for an untrained class."""
        columns = _columns(self.probe, module, "test")
        probabilities = np.zeros((len(columns), self.n_classes))
        probabilities[:, self.classifier.classes_] = self.classifier.predict_proba(columns)
        return probabilities

    @property
    def size(self) -> int:
        """Number of learned values."""
        return learned_values(self.classifier)


def fit_probe(
    probe: Probe,
    module: EmotionDataModule,
    seed: int,
    arguments: Mapping[str, Value] | None = None,
) -> FittedProbe:
    """Fit a probe on the training windows of a fold, those that a network is trained on.

    A class without a training window has probability 0 ever after. Where there is one class alone,
    every probe is certain of it, and a note says so.

    Args:
        probe: The probe.
        module: Its data, set up.
        seed: Seed of the classifier.
        arguments: Arguments of the classifier that differ from the probe's defaults.
    """
    grid, rows = _windows(module, "train")
    target = grid.target[rows]
    columns = _columns(probe, module, "train")
    counts = np.bincount(target, minlength=module.n_classes)
    present = np.flatnonzero(counts)
    constant = len(present) == 1  # there is nothing to tell apart
    build = most_frequent if constant else CLASSIFIERS[probe.classifier]
    changed = {} if constant else probe.with_arguments(arguments or {})
    classifier = build(seed, len(present), columns.shape, **changed)
    people = {"groups": grid.subject[rows]} if _asks_for_people(classifier) else {}
    classifier = classifier.fit(columns, target, **people)
    only = module.task.classes[present[0]]
    note = f"every training window of a fold is of class {only}: a constant was fitted"
    return FittedProbe(
        probe,
        classifier,
        module.n_classes,
        tuple(counts.tolist()),
        (note,) if constant else (),
    )


def _asks_for_people(classifier: Any) -> bool:
    """Return whether a classifier is to be told whose windows it is fitted on, to split by them."""
    return "groups" in inspect.signature(classifier.fit).parameters


def _windows(module: EmotionDataModule, part: Part) -> tuple[WindowIndex, npt.NDArray[np.int64]]:
    """Return the windows of all subjects, cut as a part wants them, and the rows of the part."""
    grid: Grid = "units" if part == "test" else "segments"
    return module.fold.grids[grid], module.fold.rows_of(grid, part)


def _columns(probe: Probe, module: EmotionDataModule, part: Part) -> Features | Windows:
    """Return what a probe sees of the windows of a part: features (N, F), or the windows."""
    grid, rows = _windows(module, part)
    if probe.sees == "windows":
        inputs = {name: module.inputs[name] for name in module.signals}
        fold = module.fold
        scaling = fold.personal_scaling(grid) if module.protocol.calibrating.scales else None
        gather = gathering(fold.archive, grid, module.signals, module.protocol.padding, scaling)
        return Windows(inputs, len(rows), lambda numbers: gather(rows[numbers]))
    if probe.sees == "nothing":
        return np.zeros((len(rows), 1))
    if probe.sees == "time":
        offsets = np.array([recording.offset for recording in module.fold.archive.recordings])
        return (offsets[grid.recording] + grid.start)[rows, None]
    if probe.sees == "stimulus":
        _, numbers = np.unique(module.fold.archive.trial_keys, return_inverse=True)
        return numbers[grid.segment[rows], None].astype(np.float64)
    if probe.sees == "length":
        return grid.seconds[rows, None]
    table = personal_features(
        module.fold,
        "units" if part == "test" else "segments",
        lambda windows: window_features(
            module.fold.archive, windows, module.signals, module.protocol.padding
        ),
    )
    if probe.sees == "subject":
        subjects = range(len(module.subjects))
        means = np.array([table[grid.subject == subject].mean(axis=0) for subject in subjects])
        return np.asarray(means[grid.subject[rows]])
    return table[rows]


def window_features(
    archive: Archive, windows: WindowIndex, signals: tuple[str, ...], padding: Padding | None
) -> Features:
    """Return the features of windows, shape (N, F).

    They are kept for the folds and probes that share the windows. Each row is a function of its own
    window alone: nothing is fitted, so that computing the rows of all subjects at once carries
    nothing from one to another.
    """
    key = (archive, windows, signals, padding)
    return _features.kept(key, lambda: _computed(archive, windows, signals, padding))


def _computed(
    archive: Archive, windows: WindowIndex, signals: tuple[str, ...], padding: Padding | None
) -> Features:
    gather = gathering(archive, windows, signals, padding)
    rates = {signal: archive.stored(signal)[0].sfreq for signal in signals}
    chunks = []
    for rows in np.array_split(np.arange(len(windows)), range(CHUNK, len(windows), CHUNK)):
        samples = gather(rows)
        chunks.append(
            np.concatenate(
                [features(signal, samples[signal], rates[signal])[0] for signal in signals], axis=1
            )
        )
    return np.concatenate(chunks)


def gathering(
    archive: Archive,
    windows: WindowIndex,
    signals: tuple[str, ...],
    padding: Padding | None,
    scaling: Scaling | None = None,
) -> Callable[[Rows], dict[str, npt.NDArray[np.float32]]]:
    """Return a function that gathers the samples of some windows, (n, C, T) by signal."""
    specs = {signal: archive.stored(signal)[0] for signal in signals}
    dataset = WindowDataset(
        {signal: RESIDENT.array(archive, signal, None) for signal in signals},
        windows,
        {signal: first_samples(archive, signal, windows) for signal in signals},
        {signal: n_samples(windows.length, specs[signal].sfreq) for signal in signals},
        scaling,
        padding,
        {signal: recorded_samples(windows, specs[signal].sfreq) for signal in signals},
    )

    def gather(rows: Rows) -> dict[str, npt.NDArray[np.float32]]:
        batch = dataset[torch.from_numpy(rows)]
        return {signal: batch.signals[signal].numpy() for signal in signals}

    return gather

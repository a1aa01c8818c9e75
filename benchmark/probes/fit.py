"""Fitting of probes, and the features that they see."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmark.probes.catalogue import Probe
from benchmark.probes.classifiers import CLASSIFIERS, learned_values
from datamodules.archive import Archive
from datamodules.datamodule import EmotionDataModule
from datamodules.fold import Part
from datamodules.gathering import WindowDataset
from datamodules.protocol import Padding
from datamodules.resident import RESIDENT, Shelf
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
    """

    probe: Probe
    classifier: Any
    n_classes: int
    trained_on: tuple[int, ...] = ()

    def predict(self, module: EmotionDataModule) -> npt.NDArray[np.float64]:
        """Return the probabilities of the test windows, shape (N, K)."""
        columns = _columns(self.probe, module, "test")
        probabilities = np.zeros((len(columns), self.n_classes))
        probabilities[:, self.classifier.classes_] = self.classifier.predict_proba(columns)
        return probabilities

    @property
    def size(self) -> int:
        """Number of learned values."""
        return learned_values(self.classifier)


def fit_probe(probe: Probe, module: EmotionDataModule, seed: int) -> FittedProbe:
    """Fit a probe on all windows of a fold that are not tested."""
    parts: tuple[Part, ...] = ("train", "val")
    columns = np.concatenate([_columns(probe, module, part) for part in parts])
    target = np.concatenate([_grid(module, part).target[_rows(module, part)] for part in parts])
    classifier = CLASSIFIERS[probe.classifier](seed, module.n_classes, columns.shape)
    counts = tuple(np.bincount(target, minlength=module.n_classes).tolist())
    return FittedProbe(probe, classifier.fit(columns, target), module.n_classes, counts)


def _grid(module: EmotionDataModule, part: str) -> WindowIndex:
    return module.fold.grids["units" if part == "test" else "segments"]


def _rows(module: EmotionDataModule, part: Part) -> npt.NDArray[np.int64]:
    """Return the rows of a part in its grid; validation subjects give training windows here."""
    return module.fold.rows_of("units" if part == "test" else "segments", part)


def _columns(probe: Probe, module: EmotionDataModule, part: Part) -> Features:
    """Return the features that a probe sees of the windows of a part, shape (N, F)."""
    grid, rows = _grid(module, part), _rows(module, part)
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
    table = window_features(module.fold.archive, grid, module.signals, module.protocol.padding)
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
    specs = {signal: archive.recordings[0].signals[signal] for signal in signals}
    dataset = WindowDataset(
        {signal: torch.from_numpy(archive.samples(signal)) for signal in signals},
        windows,
        {signal: first_samples(archive, signal, windows) for signal in signals},
        {signal: n_samples(windows.length, specs[signal].sfreq) for signal in signals},
        None,
        padding,
        {signal: recorded_samples(windows, specs[signal].sfreq) for signal in signals},
    )
    chunks = []
    for rows in torch.arange(len(windows)).split(CHUNK):
        batch = dataset[rows]
        chunks.append(
            np.concatenate(
                [
                    features(signal, batch.signals[signal].numpy(), specs[signal].sfreq)[0]
                    for signal in signals
                ],
                axis=1,
            )
        )
    return np.concatenate(chunks)

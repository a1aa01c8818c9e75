"""Fitting of an encoder's head on a fold, and what it predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmark.encoders.embeddings import Frozen, Table, embeddings
from benchmark.encoders.head import LinearHead
from benchmark.encoders.weights import load_weights, read_weights
from benchmark.probes.encoders import Encoder
from benchmark.probes.personal import personal_features
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import IncompatibleRunError
from datamodules.fold import Grid, Part
from datamodules.windows import WindowIndex, n_samples


@dataclass(frozen=True, eq=False)
class FittedEncoder:
    """A frozen network with a head.

    Attributes:
        frozen: The network.
        head: Head; None where the training windows are of one class, of which it is certain.
        classes: Classes that were trained on, shape (K',).
        n_classes: Number of classes K of the task.
        trained_on: Number of windows of each class that the head was fitted on.
        notes: Lines that a reader of its scores must know.
    """

    frozen: Frozen
    head: LinearHead | None
    classes: npt.NDArray[np.int64]
    n_classes: int
    trained_on: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def predict(self, module: EmotionDataModule) -> npt.NDArray[np.float64]:
        """Return the probabilities of the test windows, shape (N, K); 0 for an untrained class."""
        table, _ = _part(self.frozen, module, "test")
        probabilities = np.zeros((len(table), self.n_classes))
        probabilities[:, self.classes] = self.head.predict_proba(table) if self.head else 1.0
        return probabilities

    @property
    def size(self) -> int:
        """Number of values of the network and of the head."""
        return self.frozen.size + (self.head.size if self.head else 0)


def freeze(
    encoder: Encoder,
    channels: Sequence[str],
    seconds: float,
    weights: Path | str | None = None,
    seed: int = 0,
) -> nn.Module:
    """Return the network of an encoder, for windows of some seconds.

    Args:
        encoder: The encoder.
        channels: Names of the channels that it takes.
        seconds: Length of a window.
        weights: File of its weights; None: random ones.
        seed: Seed of random weights.

    Raises:
        IncompatibleRunError: Channels or windows that it cannot take.
        WeightsError: A file that does not fit it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network: nn.Module = encoder.build(channels, n_samples(seconds, encoder.sfreq))
        except ValueError as error:
            raise IncompatibleRunError(str(error)) from error
    if weights:
        load_weights(network, read_weights(Path(weights)), encoder.unused, str(weights))
    return network.eval().requires_grad_(False)


def fit_encoder(frozen: Frozen, module: EmotionDataModule) -> FittedEncoder:
    """Fit a head on the embeddings of the training windows of a fold.

    A class without a training window has probability 0 ever after. Where there is one class alone,
    the row is certain of it, and a note says so.

    Args:
        frozen: The network.
        module: The fold, set up.
    """
    table, windows = _part(frozen, module, "train")
    counts = np.bincount(windows.target, minlength=module.n_classes)
    present = np.flatnonzero(counts)
    constant = len(present) == 1  # there is nothing to tell apart
    head = None if constant else LinearHead().fit(table, windows.target, windows.subject)
    only = module.task.classes[present[0]]
    note = f"every training window of a fold is of class {only}: a constant was fitted"
    return FittedEncoder(
        frozen,
        head,
        present,
        module.n_classes,
        tuple(counts.tolist()),
        (note,) if constant else (),
    )


def _part(frozen: Frozen, module: EmotionDataModule, part: Part) -> tuple[Table, WindowIndex]:
    """Return the embeddings (N, D) of a part, and its windows, cut as the part wants them."""
    grid: Grid = "units" if part == "test" else "segments"
    fold = module.fold
    rows = fold.rows_of(grid, part)
    indices: dict[str, WindowIndex] = {str(name): w for name, w in fold.grids.items()}
    if fold.baselines:
        indices["rest"] = fold.resting_windows
    tables = embeddings(frozen, fold.archive, indices, module.folder)
    table = tables[grid]
    if module.protocol.calibrating.scales:
        measured = {index: tables[name].astype(np.float64) for name, index in indices.items()}
        table = personal_features(fold, grid, measured.__getitem__).astype(np.float32)
    return table[rows], fold.grids[grid].take(rows)

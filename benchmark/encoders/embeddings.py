"""Embeddings of windows: computed once for all folds, kept in memory and in the cache.

A row is a function of its own window and recording, and of weights that nobody here has fitted:
computing the rows of all people at once carries nothing from one to another.
"""

import fcntl
import io
import logging
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmark.files import write_bytes
from benchmark.probes.encoders import Encoder
from datamodules.archive import Archive
from datamodules.digests import digest
from datamodules.errors import IncompatibleRunError
from datamodules.machine import caching
from datamodules.resident import RESIDENT, Shelf
from datamodules.signals.recording import Signal
from datamodules.signals.steps import BandPass, Notch, Resample, Step
from datamodules.stored import as_recording
from datamodules.windows import WindowIndex, n_samples

LOGGER = logging.getLogger(__name__)
FOLDER = "embeddings"
"""Folder in that of a dataset in the cache."""
VALUES = 2**20
"""Largest number of samples in a batch of windows, unless one window has more."""

Table = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
_tables: Shelf[Table] = RESIDENT.keep(Shelf(8))
"""Embeddings that folds and heads share."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """A network that is not trained any more.

    Args:
        encoder: Encoder, which says what the network takes.
        network: The network, with its weights.
        key: Everything that decides its embeddings: digest of code and weights, or seed.
        device: ``"cpu"`` or ``"cuda"``.
    """

    encoder: Encoder
    network: nn.Module
    key: str
    device: str = "cpu"

    @property
    def size(self) -> int:
        """Number of values of the network."""
        return sum(values.numel() for values in self.network.parameters())


def embeddings(
    frozen: Frozen, archive: Archive, grids: Mapping[str, WindowIndex], folder: Path
) -> dict[str, Table]:
    """Return the embeddings of the windows of each grid, shape (N, D).

    A window that is in several grids, or several times in one, is computed once.

    Args:
        frozen: The network.
        archive: Recordings that the windows are of.
        grids: Windows of all people, of one length.
        folder: Folder of the dataset in the cache.

    Raises:
        IncompatibleRunError: Recordings that differ in their channels, or embeddings that are none.
    """
    rate = frozen.encoder.sfreq
    (n_times,) = {n_samples(windows.length, rate) for windows in grids.values()}
    places = [
        np.stack([windows.recording, np.rint(windows.start * rate).astype(np.int64)], axis=1)
        for windows in grids.values()
    ]
    distinct, rows = np.unique(np.concatenate(places), axis=0, return_inverse=True)
    recordings = [archive.key, archive.samples_key(frozen.encoder.signals)]
    key = digest([frozen.key, recordings, n_times, distinct.tolist()])
    path = folder / FOLDER / f"{key}.npz"
    table = _tables.kept(key, lambda: _from_cache(frozen, archive, distinct, n_times, path))
    ends = np.cumsum([len(one) for one in places])[:-1]
    return {name: table[part] for name, part in zip(grids, np.split(rows, ends), strict=True)}


def _from_cache(
    frozen: Frozen, archive: Archive, places: Places, n_times: int, path: Path
) -> Table:
    """Return embeddings from a file of the cache, after computing them if need be.

    Another process that computes them at this moment is waited for. The file is a zip archive,
    whose checksum is compared when it is read.
    """
    with caching(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_suffix(".lock")):
        with caching(path.parent):
            if path.is_file():
                try:
                    with np.load(path) as file:
                        return np.asarray(file["embeddings"])
                except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
                    LOGGER.warning("%s: not what was written there; it is computed anew", path)
        table = _computed(frozen, archive, places, n_times)
        packed = io.BytesIO()
        np.savez(packed, embeddings=table)
        with caching(path.parent):
            write_bytes(path, packed.getvalue())
        return table


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time into a block, where the file system can tell them apart.

    Where it cannot, they do the same work, and the file of the last one stays.
    """
    with caching(path.parent), path.open("w") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _computed(frozen: Frozen, archive: Archive, places: Places, n_times: int) -> Table:
    """Return the embeddings of windows, shape (N, D).

    Args:
        frozen: The network.
        archive: Recordings.
        places: Number of the recording of each window, and its first sample at the rate of the
            encoder, shape (N, 2), in order.
        n_times: Number of samples in a window.
    """
    network, encoder = frozen.network.to(frozen.device), frozen.encoder
    channels = [archive.stored(name)[0].channels for name in encoder.signals]
    recordings = ((one, n) for one in archive.subjects for n in range(len(one.recordings)))
    parts = []
    for number, (subject, place) in enumerate(recordings):
        first = places[places[:, 0] == number, 1]
        if not len(first):
            continue
        recorded = as_recording(subject, place, encoder.signals).signals
        signals = [recorded[name] for name in encoder.signals]
        if [signal.channels for signal in signals] != channels:
            raise IncompatibleRunError(
                f"{subject.subject}: expected the channels of the first recording, found others"
            )
        parts.append(
            _embedded(network, as_one_array(signals, encoder), first, n_times, frozen.device)
        )
    table = np.concatenate(parts)
    if not np.isfinite(table).all():
        raise IncompatibleRunError(
            "expected embeddings that are numbers, found NaN or infinity: the weights do not fit "
            "these signals, or their units"
        )
    return table


def as_one_array(signals: Sequence[Signal], encoder: Encoder) -> Table:
    """Return the channels of a recording's signals at the rate of an encoder, shape (C, T)."""
    parts = []
    for signal in signals:
        for step in steps(encoder, signal.sfreq):
            signal = step(signal)
        parts.append(signal.samples)
    shortest = min(part.shape[1] for part in parts)  # they differ by a sample where rates do
    return np.concatenate([part[:, :shortest] for part in parts]).astype(np.float32)


def steps(encoder: Encoder, sfreq: float) -> tuple[Step, ...]:
    """Return the steps that bring a recording of some rate to what an encoder takes.

    Edges of filters from half the rate upwards are left out: there is nothing to be filtered.
    """
    low, high = encoder.band
    high = high if high and high < sfreq / 2 else None
    taken: list[Step] = [BandPass(low, high)] if low or high else []
    if encoder.notch and encoder.notch < sfreq / 2:
        taken.append(Notch(encoder.notch))
    if sfreq != encoder.sfreq:
        taken.append(Resample(encoder.sfreq))
    return tuple(taken)


def _embedded(
    network: nn.Module, samples: Table, first: npt.NDArray[np.int64], n_times: int, device: str
) -> Table:
    """Return the embeddings of windows of one recording, shape (n, D).

    A window whose length is a whole number of samples is kept inside the recording although its
    start is rounded.
    """
    if samples.shape[1] < n_times:
        raise IncompatibleRunError(
            f"expected recordings of {n_times} samples at least, found {samples.shape[1]}"
        )
    first = np.minimum(first, samples.shape[1] - n_times)
    views = np.lib.stride_tricks.sliding_window_view(samples, n_times, axis=1)  # (C, T', n_times)
    step = max(1, VALUES // (len(samples) * n_times))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(first), step):
            windows = np.ascontiguousarray(views[:, first[start : start + step]].swapaxes(0, 1))
            values = network(torch.from_numpy(windows).to(device)).float().cpu().numpy()
            if values.ndim != 2 or len(values) != len(windows):
                raise IncompatibleRunError(
                    f"expected embeddings of shape ({len(windows)}, D), found {values.shape}"
                )
            parts.append(values)
    return np.concatenate(parts)

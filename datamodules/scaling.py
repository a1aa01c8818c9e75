"""Scaling: a shift and a factor for each channel, fitted on training segments."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.archive import Archive

TINY = 1e-12
"""Standard deviation below which a channel never changes, whatever its mean."""


@dataclass(frozen=True)
class Scaling:
    """Shift and divisor of each channel, for all windows or for each of them.

    Attributes:
        mean: By signal, shape (C, 1), or (N, C, 1) of N windows; the lowest value where the range
            is scaled to 0 ... 1.
        std: By signal, likewise; the range, there; 1 for a channel that never changes.
    """

    mean: Mapping[str, Tensor]
    std: Mapping[str, Tensor]


Moments = tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Count, mean and mean squared deviation of segments: shapes (S, 1), (S, C), (S, C)."""


def segment_moments(archive: Archive, signal: str) -> Moments:
    """Return the moments of a signal in every segment of an archive, whatever its label."""
    shape = (len(archive.segments), len(archive.samples(signal)[0]))
    count = np.zeros((len(archive.segments), 1))
    mean, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for position, samples in enumerate(_pieces(archive, signal)):
        piece = samples.astype(np.float64, order="C")  # sums are the same however samples lie
        count[position] = piece.shape[1]
        mean[position], variance[position] = piece.mean(axis=1), piece.var(axis=1)
    return count, mean, variance


def _pieces(archive: Archive, signal: str) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the samples of a signal in every segment, at least one, shape (C, T) each."""
    pieces, signals = archive.samples(signal), archive.stored(signal)
    for row, segment in archive.segments:
        stored = signals[row]
        first = min(round(segment.start * stored.sfreq), stored.n_times - 1)
        stop = max(first + 1, round(segment.stop * stored.sfreq))
        yield pieces[row][:, first:stop]


def fit_scaling(moments: Mapping[str, Moments], segments: npt.NDArray[np.bool_]) -> Scaling:
    """Return the scaling from some segments.

    Args:
        moments: Moments from ``segment_moments``, by signal.
        segments: Which segments are trained on, shape (S,).
    """
    means, stds = {}, {}
    for signal, (count, mean, variance) in moments.items():
        n, m, v = count[segments], mean[segments].astype(np.float64), variance[segments]
        centre = (n * m).sum(axis=0) / n.sum()
        std = np.sqrt((n * (v + (m - centre) ** 2)).sum(axis=0) / n.sum())
        std[std <= np.maximum(1e-6 * np.abs(centre), TINY)] = 1.0
        means[signal] = torch.tensor(centre, dtype=torch.float32)[:, None]
        stds[signal] = torch.tensor(std, dtype=torch.float32)[:, None]
    return Scaling(means, stds)


def fit_range(archive: Archive, signals: Iterable[str], segments: npt.NDArray[np.bool_]) -> Scaling:
    """Return the scaling of each channel's range over some segments to 0 ... 1.

    Args:
        archive: The recordings.
        signals: Their signals.
        segments: Which segments are looked at, shape (S,).
    """
    lowest, ranges = {}, {}
    for signal in signals:
        extrema = np.array(
            [
                (piece.min(axis=1), piece.max(axis=1))
                for position, piece in enumerate(_pieces(archive, signal))
                if segments[position]
            ]
        )
        low, high = extrema[:, 0].min(axis=0), extrema[:, 1].max(axis=0)
        lowest[signal] = torch.from_numpy(low)[:, None]
        ranges[signal] = torch.from_numpy(np.where(high > low, high - low, 1))[:, None]
    return Scaling(lowest, ranges)

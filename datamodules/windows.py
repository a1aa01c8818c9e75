"""Windows as rows of an index; the samples stay where they are until a batch asks for them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.batch import LENGTH, Batch, Chunk
from datamodules.cache import Archive
from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Segment
from datamodules.tasks import Task

Padding = Literal["zero", "mean", "edge"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)

TINY = 1e-12
"""Standard deviation below which a channel never changes, whatever its mean."""
EPSILON = 1e-6
"""Seconds by which rounding may push the end of a window past the end of its segment."""


@dataclass(frozen=True, eq=False)
class WindowIndex:
    """N windows, a row each; all columns have shape (N,).

    Attributes:
        recording: Position in ``Archive.recordings``.
        segment: Position in ``Archive.segments``.
        start: Seconds from the recording's time zero.
        seconds: How much of the window is recorded; the rest, if any, is padding.
        target: Class index.
        subject: Position in ``Archive.subjects``.
        trial: The publisher's trial number.
        unit: Number of the score unit within the trial; -1 where windows are not cut in units.
        length: Seconds, the same for all, padding included.
    """

    recording: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    start: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    target: npt.NDArray[np.int64]
    subject: npt.NDArray[np.int64]
    trial: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    length: float

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: npt.NDArray[np.int64]) -> "WindowIndex":
        """The given rows, in the given order."""
        columns = {
            column.name: getattr(self, column.name)[rows]
            for column in fields(self)
            if column.name != "length"
        }
        return WindowIndex(**columns, length=self.length)


def index_windows(
    archive: Archive,
    task: Task,
    length: float,
    stride: float,
    unit: float | None,
    in_units: bool,
    each: bool = False,
) -> WindowIndex:
    """Every complete window of a task, in order of subject, session and time.

    Windows never cross a segment; for scoring they never cross a score unit either.

    Args:
        archive: The recordings.
        task: Says which segments take part, and their class.
        length: Of a window, in seconds.
        stride: From one window's start to the next, in seconds.
        unit: Length of a score unit in seconds; a segment is cut into as many whole units as it
            holds, from its start, and what is left over is not scored. None: the whole segment.
        in_units: Cut inside score units (for validation and test) or inside segments (training).
        each: Every window is a score unit by itself.
    """
    spans: list[tuple[int, int, int, float, float]] = []
    for position, (_, segment), target in _labelled(archive, task):
        if not in_units or unit is None:
            parts = [(0 if in_units else -1, segment.start, segment.stop)]
        else:
            parts = [
                (k, segment.start + k * unit, segment.start + (k + 1) * unit)
                for k in range(int((segment.duration + EPSILON) // unit))
            ]
        spans += [(position, target, *part) for part in parts]
    table = np.array(spans, dtype=np.float64).reshape(-1, 5)
    start, stop = table[:, 3], table[:, 4]
    counts = np.floor((stop - start - length + EPSILON) / stride).astype(np.int64) + 1
    counts = np.where(stop - start + EPSILON >= length, counts, 0)
    owner = np.repeat(np.arange(len(table)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = table[owner].astype(np.int64)
    return _window_index(
        archive,
        segment=columns[:, 0],
        target=columns[:, 1],
        unit=within if each else columns[:, 2],
        start=start[owner] + within * stride,
        seconds=np.full(len(owner), length),
        length=length,
    )


def index_trials(archive: Archive, task: Task, length: float) -> WindowIndex:
    """Every segment of a task as one window that is filled up with padding.

    Args:
        archive: The recordings.
        task: Says which segments take part, and their class.
        length: Of all windows, in seconds.

    Raises:
        IncompatibleRunError: A segment that is longer.
    """
    found = list(_labelled(archive, task))
    seconds = np.array([segment.duration for _, (_, segment), _ in found])
    if (seconds > length + EPSILON).any():
        raise IncompatibleRunError(
            f"expected trials of at most {length:g} s to pad, found one of {seconds.max():g} s. "
            "Run without padding."
        )
    return _window_index(
        archive,
        segment=np.array([position for position, _, _ in found], dtype=np.int64),
        target=np.array([target for _, _, target in found], dtype=np.int64),
        unit=np.zeros(len(found), dtype=np.int64),
        start=np.array([segment.start for _, (_, segment), _ in found]),
        seconds=seconds,
        length=length,
    )


def _labelled(archive: Archive, task: Task) -> Iterator[tuple[int, tuple[int, Segment], int]]:
    """Position, segment and class of every segment that is part of a task."""
    for position, (row, segment) in enumerate(archive.segments):
        target = task.label(archive.recordings[row].subject, segment)
        if target is not None:
            yield position, (row, segment), target


def _window_index(archive: Archive, segment: npt.NDArray[np.int64], **columns: Any) -> WindowIndex:
    """Windows, with what their segments say of them."""
    owners = np.array([row for row, _ in archive.segments], dtype=np.int64)
    trials = np.array([found.trial for _, found in archive.segments], dtype=np.int64)
    counts = [len(stored.recordings) for stored in archive.subjects]
    subjects = np.repeat(np.arange(len(counts)), counts)
    recording = owners[segment]
    return WindowIndex(
        recording=recording,
        segment=segment,
        subject=subjects[recording],
        trial=trials[segment],
        **columns,
    )


def first_samples(archive: Archive, signal: str, windows: WindowIndex) -> npt.NDArray[np.int64]:
    """First sample of each window in ``archive.samples(signal)``, shape (N,).

    A window whose length is a whole number of samples is kept inside its recording although the
    start is rounded to the nearest sample.
    """
    recordings = archive.recordings
    sfreq = recordings[0].signals[signal].sfreq
    n_times = np.array([recording.signals[signal].n_times for recording in recordings])
    last = n_times[windows.recording] - recorded_samples(windows, sfreq)
    first = np.minimum(np.rint(windows.start * sfreq).astype(np.int64), last)
    if (first < 0).any():
        raise IncompatibleRunError(
            f"expected recordings of at least {windows.length} s, found shorter ones of {signal}"
        )
    rows: npt.NDArray[np.int64] = archive.offsets(signal)[windows.recording] + first
    return rows


def recorded_samples(windows: WindowIndex, sfreq: float) -> npt.NDArray[np.int64]:
    """Samples of each window that are recorded and not padding, at least one, shape (N,)."""
    return np.maximum(1, np.rint(windows.seconds * sfreq)).astype(np.int64)


def n_samples(seconds: float, sfreq: float) -> int:
    """Samples in a window, at least one."""
    return max(1, round(seconds * sfreq))


@dataclass(frozen=True)
class Scaling:
    """What is taken from each channel, and what it is divided by; fitted on training segments.

    Attributes:
        mean: By signal, shape (C, 1); the lowest value where the range is scaled to 0 ... 1.
        std: By signal, shape (C, 1); the range, there; 1 for a channel that never changes.
    """

    mean: Mapping[str, Tensor]
    std: Mapping[str, Tensor]


Moments = tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Count, mean and mean squared deviation of segments: shapes (S, 1), (S, C), (S, C)."""


def segment_moments(archive: Archive, signal: str) -> Moments:
    """Moments of a signal in every segment of an archive, whatever its label."""
    shape = (len(archive.segments), len(archive.samples(signal)))
    count = np.zeros((len(archive.segments), 1))
    mean, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for position, found in enumerate(_pieces(archive, signal)):
        piece = found.astype(np.float64, order="C")  # sums are the same however samples lie
        count[position] = piece.shape[1]
        mean[position], variance[position] = piece.mean(axis=1), piece.var(axis=1)
    return count, mean, variance


def _pieces(archive: Archive, signal: str) -> Iterator[npt.NDArray[np.float32]]:
    """Samples of a signal in every segment, at least one, shape (C, T) each."""
    samples, offsets = archive.samples(signal), archive.offsets(signal)
    for row, segment in archive.segments:
        stored = archive.recordings[row].signals[signal]
        first = min(round(segment.start * stored.sfreq), stored.n_times - 1)
        stop = max(first + 1, round(segment.stop * stored.sfreq))
        yield samples[:, offsets[row] + first : offsets[row] + stop]


def fit_scaling(moments: Mapping[str, Moments], segments: npt.NDArray[np.bool_]) -> Scaling:
    """Scaling from some segments.

    Args:
        moments: Of ``segment_moments``, by signal.
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
    """Scaling of each channel's range over some segments to 0 ... 1.

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


class WindowDataset(torch.utils.data.Dataset[Batch]):
    """Batches of windows, each gathered in one indexed read a signal.

    An item is a whole batch: index it with an int64 tensor of rows. Nothing is copied until then,
    so overlapping windows cost no memory.

    Args:
        arrays: Samples by signal, float32 of shape (C, T of all recordings), on any one device.
        windows: The rows.
        first: By signal, first sample of each window in its array, shape (N,).
        n_times: By signal, samples in a window.
        scaling: None leaves the samples as recorded.
        padding: What stands, after scaling, where nothing is recorded: ``"zero"``; ``"mean"``: the
            mean of the recorded part of each channel; ``"edge"``: its last sample. None: every
            window is recorded whole.
        recorded: By signal, recorded samples of each window, shape (N,); read where padding is.
        mask: Whether batches say how much is recorded, as the signal ``LENGTH``.
    """

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        windows: WindowIndex,
        first: Mapping[str, npt.NDArray[np.int64]],
        n_times: Mapping[str, int],
        scaling: Scaling | None,
        padding: Padding | None = None,
        recorded: Mapping[str, npt.NDArray[np.int64]] | None = None,
        mask: bool = False,
    ) -> None:
        device = next(iter(arrays.values())).device
        self.arrays, self.n_times, self.padding = dict(arrays), dict(n_times), padding
        self.views = {}
        if padding is None:
            self.views = {
                signal: array.unfold(1, n_times[signal], 1).transpose(0, 1)
                for signal, array in arrays.items()
            }
        self.first = {s: torch.from_numpy(rows).to(device) for s, rows in first.items()}
        self.recorded = {s: torch.from_numpy(n).to(device) for s, n in (recorded or {}).items()}
        self.target = torch.from_numpy(windows.target).to(device)
        self.subject = torch.from_numpy(windows.subject).to(device)
        self.trial = torch.from_numpy(windows.trial).to(device)
        share = torch.from_numpy(windows.seconds / windows.length).float()
        self.share = share.to(device)[:, None, None] if mask else None
        self.mean = {s: scaling.mean[s].to(device) for s in arrays} if scaling else {}
        self.std = {s: scaling.std[s].to(device) for s in arrays} if scaling else {}
        self.device = device

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: Tensor) -> Batch:
        rows = rows.to(self.device)
        signals = {}
        for name in self.arrays:
            window = self._gathered(name, rows)
            if name in self.mean:
                window.sub_(self.mean[name]).div_(self.std[name])
            signals[name] = self._filled(name, rows, window)
        if self.share is not None:
            signals[LENGTH] = self.share[rows]
        return self.labelled(rows, signals)

    def labelled(self, rows: Tensor, signals: dict[str, Tensor]) -> Batch:
        """A batch of signals of these rows, on the device of the recordings."""
        return Batch(signals, self.target[rows], self.subject[rows], self.trial[rows], rows)

    def _gathered(self, name: str, rows: Tensor) -> Tensor:
        """Samples of windows, (B, C, T); beyond the recorded ones the last of them is repeated."""
        first = self.first[name][rows]
        if self.padding is None:
            # Only along the first axis does index_select read a strided view without a copy of it.
            return self.views[name].index_select(0, first)
        steps = torch.arange(self.n_times[name], device=self.device)
        index = first[:, None] + torch.minimum(steps, self.recorded[name][rows, None] - 1)
        return self.arrays[name][:, index].transpose(0, 1).contiguous()

    def _filled(self, name: str, rows: Tensor, window: Tensor) -> Tensor:
        if self.padding in (None, "edge"):
            return window
        recorded = self.recorded[name][rows, None, None]
        padded = torch.arange(self.n_times[name], device=self.device) >= recorded  # (B, 1, T)
        window.masked_fill_(padded, 0.0)
        if self.padding == "mean":
            window += padded * (window.sum(dim=2, keepdim=True) / recorded)
        return window


class BatchRows(torch.utils.data.Sampler[Tensor]):
    """Rows of each batch of an epoch, as int64 tensors.

    Args:
        n_windows: N.
        batch_size: Windows in a batch.
        generator: Shuffles anew each epoch; None keeps the order, last batch included. A shuffled
            last batch of a single window is left out, since batch statistics need two.
        share: Number of this process, from 0, and how many share each batch: each takes every
            so-manieth row. A batch without two rows for each goes to all of them whole.
    """

    def __init__(
        self,
        n_windows: int,
        batch_size: int,
        generator: torch.Generator | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.n_windows, self.batch_size, self.generator = n_windows, batch_size, generator
        self.share = share

    def __len__(self) -> int:
        whole, rest = divmod(self.n_windows, self.batch_size)
        return whole + (rest > 1 if self.generator else rest > 0)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - Sampler's own is untyped
        if self.generator:
            order = torch.randperm(self.n_windows, generator=self.generator)
        else:
            order = torch.arange(self.n_windows)
        rank, size = self.share
        for rows in order.split(self.batch_size)[: len(self)]:
            yield rows[rank::size] if len(rows) >= 2 * size else rows


class ChunkDataset(torch.utils.data.Dataset[Chunk]):
    """Batches of windows, several at a time; an item is a Chunk.

    Args:
        gather: Makes a batch of rows.
        n_windows: N.
    """

    def __init__(self, gather: Callable[[Tensor], Batch], n_windows: int) -> None:
        self.gather, self.n_windows = gather, n_windows

    def __len__(self) -> int:
        return self.n_windows

    def __getitem__(self, rows: Sequence[Tensor]) -> Chunk:
        return Chunk(self.gather, rows)


class ChunkRows(torch.utils.data.Sampler[Sequence[Tensor]]):
    """Rows of each chunk of an epoch: those of its batches.

    Args:
        batches: Rows of each batch.
        size: Batches in a chunk; the last may have fewer.
    """

    def __init__(self, batches: BatchRows, size: int) -> None:
        self.batches, self.size = batches, size

    def __len__(self) -> int:
        return -(-len(self.batches) // self.size)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - Sampler's own is untyped
        rows = list(self.batches)
        for first in range(0, len(rows), self.size):
            yield rows[first : first + self.size]

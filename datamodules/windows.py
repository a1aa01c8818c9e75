"""Windows as rows of an index; the samples stay where they are until a batch asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.batch import Batch
from datamodules.cache import Archive
from datamodules.errors import IncompatibleRunError
from datamodules.tasks import Task

EPSILON = 1e-6
"""Seconds by which rounding may push the end of a window past the end of its segment."""


@dataclass(frozen=True, eq=False)
class WindowIndex:
    """N windows, a row each; all columns have shape (N,).

    Attributes:
        recording: Position in ``Archive.recordings``.
        start: Seconds from the recording's time zero.
        target: Class index.
        subject: Position in ``Archive.subjects``.
        trial: The publisher's trial number.
        unit: Number of the score unit within the trial; -1 where windows are not cut in units.
        length: Seconds, the same for all.
    """

    recording: npt.NDArray[np.int64]
    start: npt.NDArray[np.float64]
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
    archive: Archive, task: Task, length: float, stride: float, unit: float | None, in_units: bool
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
    """
    spans: list[tuple[int, int, int, int, int, float, float]] = []
    positions = {stored.folder: row for row, stored in enumerate(archive.subjects)}
    row = 0
    for stored in archive.subjects:
        for recording in stored.recordings:
            for segment in recording.segments:
                target = task.label(segment)
                if target is None:
                    continue
                subject = positions[stored.folder]
                if not in_units:
                    parts = [(-1, segment.start, segment.stop)]
                elif unit is None:
                    parts = [(0, segment.start, segment.stop)]
                else:
                    parts = [
                        (k, segment.start + k * unit, segment.start + (k + 1) * unit)
                        for k in range(int((segment.duration + EPSILON) // unit))
                    ]
                spans += [(row, subject, target, segment.trial, *part) for part in parts]
            row += 1
    table = np.array(spans, dtype=np.float64).reshape(-1, 7)
    start, stop = table[:, 5], table[:, 6]
    counts = np.floor((stop - start - length + EPSILON) / stride).astype(np.int64) + 1
    counts = np.where(stop - start + EPSILON >= length, counts, 0)
    owner = np.repeat(np.arange(len(table)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = table[owner].astype(np.int64)
    return WindowIndex(
        recording=columns[:, 0],
        start=start[owner] + within * stride,
        target=columns[:, 2],
        subject=columns[:, 1],
        trial=columns[:, 3],
        unit=columns[:, 4],
        length=length,
    )


def first_samples(archive: Archive, signal: str, windows: WindowIndex) -> npt.NDArray[np.int64]:
    """First sample of each window in ``archive.samples(signal)``, shape (N,).

    A window whose length is a whole number of samples is kept inside its recording although the
    start is rounded to the nearest sample.
    """
    recordings = archive.recordings
    sfreq = recordings[0].signals[signal].sfreq
    n_times = np.array([recording.signals[signal].n_times for recording in recordings])
    last = n_times[windows.recording] - n_samples(windows.length, sfreq)
    first = np.minimum(np.rint(windows.start * sfreq).astype(np.int64), last)
    if (first < 0).any():
        raise IncompatibleRunError(
            f"expected recordings of at least {windows.length} s, found shorter ones of {signal}"
        )
    rows: npt.NDArray[np.int64] = archive.offsets(signal)[windows.recording] + first
    return rows


def n_samples(seconds: float, sfreq: float) -> int:
    """Samples in a window, at least one."""
    return max(1, round(seconds * sfreq))


@dataclass(frozen=True)
class Scaling:
    """Per-channel mean and standard deviation, fitted on the training subjects alone.

    Attributes:
        mean: By signal, shape (C, 1).
        std: By signal, shape (C, 1); 1 for a channel that never changes.
    """

    mean: Mapping[str, Tensor]
    std: Mapping[str, Tensor]


def recording_moments(
    archive: Archive, task: Task, signal: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Count, mean and sum of squared deviations of the task's segments, a row each recording.

    Returns:
        Shapes (R, 1), (R, C), (R, C).
    """
    samples, offsets = archive.samples(signal), archive.offsets(signal)
    recordings = archive.recordings
    shape = (len(recordings), len(samples))
    count, mean, deviation = np.zeros((len(recordings), 1)), np.zeros(shape), np.zeros(shape)
    for row, recording in enumerate(recordings):
        sfreq = recording.signals[signal].sfreq
        pieces = [
            samples[:, offsets[row] + round(s.start * sfreq) : offsets[row] + round(s.stop * sfreq)]
            for s in recording.segments
            if task.label(s) is not None
        ]
        if pieces:
            joined = np.concatenate(pieces, axis=1).astype(np.float64)
            count[row] = joined.shape[1]
            mean[row] = joined.mean(axis=1)
            deviation[row] = ((joined - mean[row][:, None]) ** 2).sum(axis=1)
    return count, mean, deviation


def fit_scaling(
    archive: Archive,
    moments: Mapping[
        str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]
    ],
    subjects: tuple[str, ...],
) -> Scaling:
    """Scaling from the recordings of some subjects.

    Args:
        archive: The recordings.
        moments: Of ``recording_moments``, by signal.
        subjects: The training subjects.
    """
    rows = [recording.subject in subjects for recording in archive.recordings]
    means, stds = {}, {}
    for signal, (count, mean, deviation) in moments.items():
        n, m, d = count[rows], mean[rows], deviation[rows]
        centre = (n * m).sum(axis=0) / n.sum()
        variance = (d + n * (m - centre) ** 2).sum(axis=0) / n.sum()
        std = np.sqrt(variance)
        std[std <= 1e-6 * np.maximum(1.0, np.abs(centre))] = 1.0
        means[signal] = torch.tensor(centre, dtype=torch.float32)[:, None]
        stds[signal] = torch.tensor(std, dtype=torch.float32)[:, None]
    return Scaling(means, stds)


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
    """

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        windows: WindowIndex,
        first: Mapping[str, npt.NDArray[np.int64]],
        n_times: Mapping[str, int],
        scaling: Scaling | None,
    ) -> None:
        device = next(iter(arrays.values())).device
        self.views = {
            signal: array.unfold(1, n_times[signal], 1).transpose(0, 1)
            for signal, array in arrays.items()
        }
        self.first = {s: torch.from_numpy(rows).to(device) for s, rows in first.items()}
        self.target = torch.from_numpy(windows.target).to(device)
        self.subject = torch.from_numpy(windows.subject).to(device)
        self.trial = torch.from_numpy(windows.trial).to(device)
        self.mean = {s: scaling.mean[s].to(device) for s in arrays} if scaling else {}
        self.std = {s: scaling.std[s].to(device) for s in arrays} if scaling else {}
        self.device = device

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: Tensor) -> Batch:
        rows = rows.to(self.device)
        signals = {}
        for name, view in self.views.items():
            # Only along the first axis does index_select read a strided view without a copy of it.
            window = view.index_select(0, self.first[name][rows])
            if name in self.mean:
                window.sub_(self.mean[name]).div_(self.std[name])
            signals[name] = window
        return Batch(signals, self.target[rows], self.subject[rows], self.trial[rows])


class BatchRows(torch.utils.data.Sampler[Tensor]):
    """Rows of each batch of an epoch, as int64 tensors.

    Args:
        n_windows: N.
        batch_size: Windows in a batch.
        generator: Shuffles anew each epoch; None keeps the order, last batch included. A shuffled
            last batch of a single window is left out, since batch statistics need two.
    """

    def __init__(
        self, n_windows: int, batch_size: int, generator: torch.Generator | None = None
    ) -> None:
        self.n_windows, self.batch_size, self.generator = n_windows, batch_size, generator

    def __len__(self) -> int:
        whole, rest = divmod(self.n_windows, self.batch_size)
        return whole + (rest > 1 if self.generator else rest > 0)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - Sampler's own is untyped
        if self.generator:
            order = torch.randperm(self.n_windows, generator=self.generator)
        else:
            order = torch.arange(self.n_windows)
        yield from order.split(self.batch_size)[: len(self)]

"""Windows as rows of an index; the samples stay where they are until a batch asks for them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.archive import Archive
from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Segment
from datamodules.tasks import Task

EPSILON = 1e-6
"""Seconds by which rounding may push the end of a window past the end of its segment."""


@dataclass(frozen=True, eq=False)
class WindowIndex:
    """N windows, a row each; all columns have shape (N,).

    Attributes:
        recording: Position in ``Archive.recordings``.
        segment: Position in ``Archive.segments``.
        start: Seconds from the recording's time zero.
        seconds: Seconds of the window that are recorded; the rest, if any, is padding.
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
        """Return the given rows, in the given order."""
        columns = {
            column.name: getattr(self, column.name)[rows]
            for column in fields(self)
            if column.name != "length"
        }
        return WindowIndex(**columns, length=self.length)


@dataclass(frozen=True)
class Cutting:
    """Lengths and rules by which windows are cut from segments.

    Args:
        length: Length of a window in seconds. Where it is more than a unit, a unit is scored by one
            window around it.
        stride: Seconds from one window's start to the next.
        unit: Length of a score unit in seconds; None: the whole segment.
        padded: Whether every segment is one window, filled up to ``length``.
        each: Whether every window is a score unit by itself.
    """

    length: float
    stride: float
    unit: float | None = None
    padded: bool = False
    each: bool = False

    @property
    def around(self) -> bool:
        """True if windows are longer than a unit and are placed around it."""
        return (
            self.unit is not None
            and not (self.padded or self.each)
            and self.length > self.unit + EPSILON
        )


def window_grids(archive: Archive, task: Task, cutting: Cutting) -> tuple[WindowIndex, WindowIndex]:
    """Return the windows of all subjects: cut inside segments, and those of the score units.

    Training takes the first, validation and test the second; padded trials are the same in both.

    Raises:
        IncompatibleRunError: A segment that does not hold the window of a score unit.
    """
    if cutting.padded:
        trials = index_trials(archive, task, cutting.length)
        return trials, trials
    segments = index_windows(
        archive, task, cutting.length, cutting.stride, cutting.unit, in_units=False
    )
    if cutting.around and cutting.unit is not None:
        return segments, index_around_units(archive, task, cutting.length, cutting.unit)
    units = index_windows(
        archive,
        task,
        cutting.length,
        cutting.stride,
        None if cutting.each else cutting.unit,
        in_units=True,
        each=cutting.each,
    )
    return segments, units


def index_windows(
    archive: Archive,
    task: Task,
    length: float,
    stride: float,
    unit: float | None,
    in_units: bool,
    each: bool = False,
) -> WindowIndex:
    """Return every complete window of a task, in order of subject, session and time.

    Windows never cross a segment; for scoring they never cross a score unit either.

    Args:
        archive: The recordings.
        task: Says which segments take part, and their class.
        length: Length of a window in seconds.
        stride: Seconds from one window's start to the next.
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
                for k in range(count_units(segment, unit))
            ]
        spans += [(position, target, *part) for part in parts]
    table = np.array(spans, dtype=np.float64).reshape(-1, 5)
    start, stop = table[:, 3], table[:, 4]
    counts = np.floor((stop - start - length + EPSILON) / stride).astype(np.int64) + 1
    counts = np.where(stop - start + EPSILON >= length, counts, 0)
    owner = np.repeat(np.arange(len(table)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = table[owner].astype(np.int64)
    return windows_of(
        archive,
        segment=columns[:, 0],
        target=columns[:, 1],
        unit=within if each else columns[:, 2],
        start=start[owner] + within * stride,
        seconds=np.full(len(owner), length),
        length=length,
    )


def index_around_units(archive: Archive, task: Task, length: float, unit: float) -> WindowIndex:
    """Return one window for each score unit, longer than the unit and inside its segment.

    The unit is in the middle of its window, unless the window would leave the segment there: then
    it begins or ends with the segment.

    Args:
        archive: The recordings.
        task: Says which segments take part, and their class.
        length: Length of a window in seconds.
        unit: Length of a score unit in seconds.

    Raises:
        IncompatibleRunError: A segment that holds a unit and is shorter than a window.
    """
    rows: list[tuple[int, int, int, float]] = []
    for position, (row, segment), target in _labelled(archive, task):
        n_units = count_units(segment, unit)
        if n_units and segment.duration + EPSILON < length:
            raise IncompatibleRunError(
                f"expected segments of at least {length:g} s around score units of {unit:g} s, "
                f"found one of {segment.duration:g} s: {archive.recordings[row].subject}, trial "
                f"{segment.trial}. Take a window of at most {segment.duration:g} s."
            )
        last = max(segment.start, segment.stop - length)
        for number in range(n_units):
            start = segment.start + (number + 0.5) * unit - length / 2
            rows.append((position, target, number, min(max(start, segment.start), last)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    columns = table[:, :3].astype(np.int64)
    return windows_of(
        archive,
        segment=columns[:, 0],
        target=columns[:, 1],
        unit=columns[:, 2],
        start=table[:, 3],
        seconds=np.full(len(table), length),
        length=length,
    )


def count_units(segment: Segment, unit: float) -> int:
    """Return the number of whole score units, of so many seconds, that a segment holds."""
    return int((segment.duration + EPSILON) // unit)


def shortest_with_unit(archive: Archive, task: Task, unit: float) -> float:
    """Return the seconds of the shortest segment of a task that holds a score unit; 0: none does.

    No longer window can be placed around every unit.
    """
    return min(
        (s.duration for _, (_, s), _ in _labelled(archive, task) if count_units(s, unit)),
        default=0.0,
    )


def index_trials(archive: Archive, task: Task, length: float) -> WindowIndex:
    """Return every segment of a task as one window, filled up with padding.

    Args:
        archive: The recordings.
        task: Says which segments take part, and their class.
        length: Length of all windows in seconds.

    Raises:
        IncompatibleRunError: A segment that is longer.
    """
    trials = list(_labelled(archive, task))
    seconds = np.array([segment.duration for _, (_, segment), _ in trials])
    if (seconds > length + EPSILON).any():
        raise IncompatibleRunError(
            f"expected trials of at most {length:g} s to pad, found one of {seconds.max():g} s. "
            "Run without padding."
        )
    return windows_of(
        archive,
        segment=np.array([position for position, _, _ in trials], dtype=np.int64),
        target=np.array([target for _, _, target in trials], dtype=np.int64),
        unit=np.zeros(len(trials), dtype=np.int64),
        start=np.array([segment.start for _, (_, segment), _ in trials]),
        seconds=seconds,
        length=length,
    )


def _labelled(archive: Archive, task: Task) -> Iterator[tuple[int, tuple[int, Segment], int]]:
    """Yield position, segment and class of every segment that is part of a task."""
    for position, (row, segment) in enumerate(archive.segments):
        target = task.label(archive.recordings[row].subject, segment)
        if target is not None:
            yield position, (row, segment), target


def windows_of(archive: Archive, segment: npt.NDArray[np.int64], **columns: Any) -> WindowIndex:
    """Return windows, with subject, trial and recording of their segments."""
    owners = np.array([row for row, _ in archive.segments], dtype=np.int64)
    trials = np.array([cut.trial for _, cut in archive.segments], dtype=np.int64)
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
    """Return the first sample of each window, counted through all recordings, shape (N,).

    A window whose length is a whole number of samples is kept inside its recording although the
    start is rounded to the nearest sample.
    """
    recordings = archive.stored(signal)
    sfreq = recordings[0].sfreq
    n_times = np.array([stored.n_times for stored in recordings])
    last = n_times[windows.recording] - recorded_samples(windows, sfreq)
    first = np.minimum(np.rint(windows.start * sfreq).astype(np.int64), last)
    if (first < 0).any():
        raise IncompatibleRunError(
            f"expected recordings of at least {windows.length} s, found shorter ones of {signal}"
        )
    rows: npt.NDArray[np.int64] = archive.offsets(signal)[windows.recording] + first
    return rows


def recorded_samples(windows: WindowIndex, sfreq: float) -> npt.NDArray[np.int64]:
    """Return the recorded samples of each window, padding apart, at least one, shape (N,)."""
    return np.maximum(1, np.rint(windows.seconds * sfreq)).astype(np.int64)


def n_samples(seconds: float, sfreq: float) -> int:
    """Return the number of samples in a window, at least one."""
    return max(1, round(seconds * sfreq))

"""Labelled minutes: the beginning of a person's recordings, with labels, and what is tested after.

A person's minutes are minutes of labelled signal: they are counted over the segments that are part
of the task, in the order of the record (recording after recording, session after session), and
stand still in between. So they are those of the first session, unless it holds fewer. Tested are
the score units that begin after the largest number of minutes and a gap, whatever the number is.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from datamodules.archive import Archive
from datamodules.calibration import MOST_LABELLED
from datamodules.doubles import check_parts
from datamodules.errors import LeakError
from datamodules.fold import PARTS, Fold
from datamodules.tasks import Task
from datamodules.windows import (
    EPSILON,
    WindowIndex,
    count_units,
    index_trials,
    index_windows,
)

LONGEST = 120.0
"""Seconds of the longest window of a model that is given labelled minutes; gaps follow from it."""
SHOWN = 5
"""Number of windows named in a message."""
Flags = npt.NDArray[np.bool_]
Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """A moment of a person's recordings.

    Attributes:
        recording: Position of the recording in the archive.
        second: Seconds from the recording's time zero.
    """

    recording: int
    second: float


def labelled_clock(archive: Archive, task: Task) -> Seconds:
    """Return the seconds of labelled signal of its person before each segment, shape (S,).

    NaN for a segment that is not part of the task.
    """
    clock = np.full(len(archive.segments), np.nan)
    passed: dict[str, float] = {}
    order = sorted(
        range(len(archive.segments)),
        key=lambda at: (archive.segments[at][0], archive.segments[at][1].start),
    )
    for position in order:
        row, segment = archive.segments[position]
        person = archive.recordings[row].subject
        if task.label(person, segment) is not None:
            clock[position] = passed.get(person, 0.0)
            passed[person] = clock[position] + segment.duration
    return clock


def ends_of_minutes(archive: Archive, task: Task, minutes: float) -> dict[str, Moment]:
    """Return the moment at which so many labelled minutes of each person are over.

    Who has fewer is left out.
    """
    ends: dict[str, Moment] = {}
    clock = labelled_clock(archive, task)
    for position in np.argsort(clock, kind="stable")[: np.isfinite(clock).sum()].tolist():
        row, segment = archive.segments[position]
        rest = 60 * minutes - clock[position]
        if -EPSILON <= rest <= segment.duration + EPSILON:
            ends.setdefault(archive.recordings[row].subject, Moment(row, segment.start + rest))
    return ends


def gap_of(archive: Archive, task: Task, unit: float | None) -> float:
    """Return the seconds between the last labelled minute and the first tested score unit.

    They are twice the longest window that any model has on these recordings, so that a window and a
    unit fit in between also where a window begins before its unit.

    Args:
        archive: Recordings.
        task: Task.
        unit: Length of a score unit in seconds; None: the whole segment.
    """
    durations = [
        segment.duration
        for row, segment in archive.segments
        if task.label(archive.recordings[row].subject, segment) is not None
        and (unit is None or count_units(segment, unit))
    ]
    return 2 * max(unit or 0.0, min([*durations, LONGEST]))


def units_after(archive: Archive, task: Task, unit: float | None, units: WindowIndex) -> Flags:
    """Return which windows are of score units that are tested, shape (N,).

    Args:
        archive: Recordings.
        task: Task.
        unit: Length of a score unit in seconds; None: the whole segment.
        units: Windows of score units of any people.
    """
    ends, gap = ends_of_minutes(archive, task, MOST_LABELLED), gap_of(archive, task, unit)
    starts = np.array([segment.start for _, segment in archive.segments])[units.segment]
    starts = starts + units.unit * (unit or 0.0)
    after = np.zeros(len(units), dtype=bool)
    for person, end in ends.items():
        since = seconds_since(archive, end, units, starts)
        its = np.array([recording.subject == person for recording in archive.recordings])
        after |= its[units.recording] & (since > gap - EPSILON)
    return after


def seconds_since(
    archive: Archive, moment: Moment, windows: WindowIndex, starts: Seconds
) -> Seconds:
    """Return the time from a moment to the starts of windows of the same person, shape (N,).

    Recordings of one session are placed by their offsets where these are known. Later ones of which
    no offset is known, and those of later sessions, are infinitely far; earlier ones are in the
    infinite past.

    Args:
        archive: Recordings.
        moment: Moment.
        windows: Windows.
        starts: Seconds from the time zero of each window's recording, shape (N,).
    """
    recordings = archive.recordings
    session, offset = (getattr(recordings[moment.recording], n) for n in ("session", "offset"))
    shifts = np.array(
        [
            one.offset - offset
            if row == moment.recording or (one.session == session and one.offset != offset)
            else np.copysign(np.inf, row - moment.recording)
            for row, one in enumerate(recordings)
        ]
    )
    return np.asarray(starts + shifts[windows.recording] - moment.second)


def after_minutes(fold: Fold) -> Fold:
    """Return a fold in which only what comes after the labelled minutes and the gap is tested."""
    units = fold.grids["units"]
    parts = np.full(len(units), -1)
    for number, part in enumerate(PARTS):
        parts[np.isin(units.segment, fold.segments[part])] = number
    after = units_after(fold.archive, fold.published, fold.cutting.unit, units)
    parts[(parts == PARTS.index("test")) & ~after] = -1
    return replace(fold, dealt={"units": parts})


def minutes_of(fold: Fold, minutes: float) -> WindowIndex:
    """Return the windows of the tested people that end within their first labelled minutes.

    They are cut as for training.
    """
    windows = fold.grids["segments"]
    starts = np.array([segment.start for _, segment in fold.archive.segments])
    clock = labelled_clock(fold.archive, fold.published) - starts
    ends = clock[windows.segment] + windows.start + windows.seconds
    people = np.array([one.subject in fold.members.test for one in fold.archive.recordings])
    within = people[windows.recording] & (ends <= 60 * minutes + EPSILON)
    return windows.take(np.flatnonzero(within))


def check_minutes(fold: Fold, minutes: WindowIndex) -> None:
    """Refuse labelled minutes that overlap what is tested, or are closer to it than the gap.

    Between the end of the last of a person's labelled windows and the start of the first tested one
    lie at least a window and a score unit, by the recordings that their samples come from.

    Args:
        fold: Fold.
        minutes: Windows whose labels a model is given.

    Raises:
        LeakError: Naming the offenders.
    """
    archive, tested = fold.archive, fold.windows("test")
    check_parts(archive, {"the labelled minutes": minutes, "test": tested})
    least = fold.cutting.length + (fold.cutting.unit or fold.cutting.length)
    names = np.array([recording.subject for recording in archive.recordings])
    of_tested, of_minutes = names[tested.recording], names[minutes.recording]
    for row in range(len(minutes)):
        end = Moment(int(minutes.recording[row]), float(minutes.start[row] + minutes.seconds[row]))
        same = tested.take(np.flatnonzero(of_tested == of_minutes[row]))
        since = seconds_since(archive, end, same, same.start)
        close = np.flatnonzero(since < least - EPSILON)
        if len(close):
            listed = ", ".join(f"{same.start[at]:g} s" for at in close[:SHOWN])
            raise LeakError(
                f"leak: a labelled window of {of_minutes[row]} ends at {end.second:g} s, less than "
                f"{least:g} s (a window and a score unit) before {len(close)} tested window(s), at "
                f"{listed}{', ...' if len(close) > SHOWN else ''}."
            )


def people_after(archive: Archive, task: Task, unit: float | None) -> tuple[str, ...]:
    """Return who has a score unit that is tested after the labelled minutes and the gap.

    Args:
        archive: Recordings.
        task: Task.
        unit: Length of a score unit in seconds; None: the whole segment.
    """
    if unit is None:
        units = index_trials(archive, task, np.inf)
    else:
        units = index_windows(archive, task, unit, unit, unit, in_units=True)
    after = units.take(np.flatnonzero(units_after(archive, task, unit, units)))
    who = {archive.recordings[row].subject for row in after.recording.tolist()}
    return tuple(stored.subject for stored in archive.subjects if stored.subject in who)

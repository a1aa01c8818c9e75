"""Baselines: the first minutes of each person's first rest, and the windows in and near them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.archive import Archive
from datamodules.errors import IncompatibleRunError
from datamodules.stored import StoredRecording
from datamodules.tasks import ConditionTask, Task
from datamodules.windows import EPSILON, WindowIndex, windows_of

SHOWN = 5
"""Number of people named in a message."""


@dataclass(frozen=True)
class Rest:
    """A stretch of rest.

    Attributes:
        recording: Position of its recording among those that were looked at.
        segment: Position of the segment of rest among those of all these recordings.
        start: Seconds from the recording's time zero.
        stop: The end likewise.
    """

    recording: int
    segment: int
    start: float
    stop: float


def rest_of(task: Task) -> ConditionTask:
    """Return a task that says when people rest.

    Raises:
        IncompatibleRunError: A task that does not.
    """
    if isinstance(task, ConditionTask) and task.rest:
        return task
    raise IncompatibleRunError(
        f"{task.name}: expected a task that says when people rest, found one that does not: there "
        "is no baseline to calibrate by"
    )


def first_rests(recordings: Iterable[StoredRecording], task: Task) -> dict[str, Rest]:
    """Return the first rest of each person who has one, in order of session and time.

    Raises:
        IncompatibleRunError: A task that does not say when people rest.
    """
    resting, rests = rest_of(task), dict[str, Rest]()
    number = -1
    for row, recording in enumerate(recordings):
        for segment in recording.segments:
            number += 1
            if recording.subject not in rests and resting.is_rest(segment):
                start = 0.0 if resting.rests_before else segment.start
                rests[recording.subject] = Rest(row, number, start, segment.stop)
    return rests


def too_short(rests: Mapping[str, Rest], subjects: Iterable[str], seconds: float) -> dict[str, str]:
    """Return why some people have no baseline of so many seconds, by person."""
    return {
        subject: f"expected a first rest of {seconds:g} s for the baseline, found a shorter one"
        for subject in subjects
        if subject not in rests or rests[subject].stop - rests[subject].start < seconds - EPSILON
    }


def baselines(archive: Archive, task: Task, seconds: float) -> dict[str, Rest]:
    """Return the baseline of every person: the first seconds of the first rest.

    Raises:
        IncompatibleRunError: A task that does not say when people rest, or people who rest less.
    """
    rests = first_rests(archive.recordings, task)
    if lacking := too_short(rests, (stored.subject for stored in archive.subjects), seconds):
        raise IncompatibleRunError(
            f"baseline: expected {seconds:g} s of rest of everybody, found less of "
            f"{', '.join(list(lacking)[:SHOWN])}{', ...' if len(lacking) > SHOWN else ''}. Leave "
            "them out, or take fewer minutes."
        )
    return {
        subject: Rest(rest.recording, rest.segment, rest.start, rest.start + seconds)
        for subject, rest in rests.items()
    }


def near(
    archive: Archive, resting: Iterable[Rest], windows: WindowIndex, gap: float
) -> npt.NDArray[np.bool_]:
    """Return which windows overlap a baseline or lie closer to it than a gap, shape (N,).

    Recordings of one session are placed by their offsets, where these are known.

    Args:
        archive: Recordings.
        resting: Baselines.
        windows: Windows of any people.
        gap: Seconds.
    """
    recordings = archive.recordings
    offsets = np.array([recording.offset for recording in recordings])
    close = np.zeros(len(windows), dtype=bool)
    for rest in resting:
        of = recordings[rest.recording]
        same = np.array(
            [
                row == rest.recording
                or (
                    (one.subject, one.session) == (of.subject, of.session)
                    and one.offset != of.offset
                )
                for row, one in enumerate(recordings)
            ]
        )
        starts = windows.start + offsets[windows.recording] - of.offset
        before = starts + windows.seconds > rest.start - gap + EPSILON
        close |= same[windows.recording] & before & (starts < rest.stop + gap - EPSILON)
    return close


def baseline_windows(
    archive: Archive, resting: Iterable[Rest], length: float, stride: float
) -> WindowIndex:
    """Return the windows inside baselines, in order of person and time; they have no class.

    Args:
        archive: Recordings.
        resting: Baselines.
        length: Length of a window in seconds.
        stride: Seconds from one window's start to the next.
    """
    starts = [
        (rest.segment, start)
        for rest in resting
        for start in np.arange(rest.start, rest.stop - length + EPSILON, stride).tolist()
    ]
    segment = np.array([position for position, _ in starts], dtype=np.int64)
    return windows_of(
        archive,
        segment=segment,
        target=np.full(len(starts), -1, dtype=np.int64),
        unit=np.full(len(starts), -1, dtype=np.int64),
        start=np.array([start for _, start in starts], dtype=np.float64),
        seconds=np.full(len(starts), length),
        length=length,
    )

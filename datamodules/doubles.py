"""Refuses a person under two names, and a stretch of signal that is stored twice in two parts.

It goes by the samples alone (``datamodules.repeats``), whatever files and subjects are called.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from datamodules.archive import Archive
from datamodules.errors import LeakError
from datamodules.repeats import Repeat, find_repeats
from datamodules.stored import StoredRecording, StoredSubject
from datamodules.windows import EPSILON, WindowIndex

NAMED = 5
"""Largest number of pairs that a message names."""


@dataclass(frozen=True)
class Double:
    """Two subjects who share signal, or a subject whose signal is stored twice.

    Attributes:
        subject: The first one.
        other: The second one; the same name where a subject's own recordings repeat.
        seconds: Seconds that are proved to be equal, by signal, the most first.
        first: Session and second at which the first equal stretch begins, for ``subject``.
        second: The same for ``other``.
    """

    subject: str
    other: str
    seconds: Mapping[str, float]
    first: tuple[str, float]
    second: tuple[str, float]

    @property
    def shared(self) -> str:
        """Time and signals that are equal, in words."""
        return ", ".join(f"{_time(seconds)} of {name}" for name, seconds in self.seconds.items())

    def __str__(self) -> str:
        shared = self.shared
        one, other = (f"session {session} at {at:g} s" for session, at in (self.first, self.second))
        if self.subject == self.other:
            return f"{self.subject} has {shared} twice ({one} and {other})"
        return (
            f"{self.subject} and {self.other} share {shared} "
            f"({self.subject}, {one}; {self.other}, {other})"
        )


def find_doubles(
    recordings: Sequence[StoredRecording], repeats: Iterable[Repeat]
) -> tuple[Double, ...]:
    """Return who shares signal with whom, each pair once.

    Args:
        recordings: Recordings that the repeats name by their position.
        repeats: Equal stretches.
    """
    by_pair: dict[tuple[str, str], list[Repeat]] = {}
    for repeat in repeats:
        pair = recordings[repeat.recording].subject, recordings[repeat.other].subject
        by_pair.setdefault(pair, []).append(repeat)
    doubles = []
    for (subject, other), shared in by_pair.items():
        seconds: dict[str, float] = {}
        for repeat in shared:
            seconds[repeat.signal] = seconds.get(repeat.signal, 0.0) + repeat.seconds
        most = dict(sorted(seconds.items(), key=lambda item: -item[1]))
        first = min(
            (repeat for repeat in shared if repeat.signal == next(iter(most))),
            key=lambda repeat: (repeat.recording, repeat.start),
        )
        doubles.append(
            Double(
                subject,
                other,
                most,
                (recordings[first.recording].session, first.start),
                (recordings[first.other].session, first.start + first.shift),
            )
        )
    return tuple(doubles)


def doubles_between(
    first: Sequence[StoredSubject], second: Sequence[StoredSubject]
) -> tuple[Double, ...]:
    """Return who of some subjects shares signal with whom of others, each pair once.

    Args:
        first: Subjects, the first of each pair.
        second: Subjects of another archive, whatever their names.
    """
    subjects = (*first, *second)
    recordings = [recording for subject in subjects for recording in subject.recordings]
    count = sum(len(subject.recordings) for subject in first)
    across = [r for r in find_repeats(subjects) if r.recording < count <= r.other]
    return find_doubles(recordings, across)


def check_people(archive: Archive) -> None:
    """Refuse two subjects who share signal, on whatever side of a split: they are one person.

    Raises:
        LeakError: Naming the pairs.
    """
    doubles = find_doubles(archive.recordings, archive.repeats)
    pairs = [str(double) for double in doubles if double.subject != double.other]
    if pairs:
        raise LeakError(
            f"leak: {'; '.join(pairs[:NAMED])}{'; ...' if len(pairs) > NAMED else ''}: expected "
            "every subject to be a person of their own. Leave one of each pair out (--subject "
            "names those who take part), or get the right file."
        )


def check_parts(archive: Archive, parts: Mapping[str, WindowIndex]) -> None:
    """Refuse a stretch of a subject's signal that is stored twice, once in each of two parts.

    Args:
        archive: Recordings that the windows are cut from.
        parts: Windows by part.

    Raises:
        LeakError: Naming the stretches.
    """
    for repeat in archive.repeats:
        for one, other in permutations(parts, 2):
            ours = _spans(parts[one], repeat.recording) + repeat.shift
            theirs = _spans(parts[other], repeat.other)
            begin, end = repeat.start + repeat.shift, repeat.stop + repeat.shift
            if (at := _meeting(ours.clip(begin, end), theirs)) is not None:
                first, second = (
                    archive.recordings[repeat.recording],
                    archive.recordings[repeat.other],
                )
                raise LeakError(
                    f"leak: {first.subject}, session {first.session}, has the same {repeat.signal} "
                    f"at {at - repeat.shift:g} s, in {one}, as session {second.session} at "
                    f"{at:g} s, in {other}: expected every trial to be stored once. Leave the "
                    "subject out (--subject names those who take part), or get the right file."
                )


def _spans(windows: WindowIndex, recording: int) -> npt.NDArray[np.float64]:
    """Return start and stop in seconds of the windows of a recording, shape (N, 2)."""
    rows = windows.recording == recording
    return np.stack([windows.start[rows], (windows.start + windows.seconds)[rows]], axis=1)


def _meeting(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> float | None:
    """Return the first second at which two sets of spans overlap; None: nowhere."""
    begin = np.maximum(ours[:, None, 0], theirs[None, :, 0])
    end = np.minimum(ours[:, None, 1], theirs[None, :, 1])
    overlapping = begin[end - begin > EPSILON]
    return float(overlapping.min()) if overlapping.size else None


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"

"""The leak guard: asserts on the actual index of a run that nothing stands on two sides."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from datamodules.cache import Archive
from datamodules.errors import LeakError
from datamodules.splits import Split
from datamodules.windows import WindowIndex

SHOWN = 5
"""Offenders named in a message."""


def check_no_leak(archive: Archive, split: Split, parts: Mapping[str, WindowIndex]) -> None:
    """Refuse a run in which a subject, a trial or a stretch of signal is on two sides.

    Who a window belongs to is taken from the recording that its samples come from, not from the
    column that says so; that column is checked against it.

    Args:
        archive: The recordings that the windows are cut from.
        split: Who should be where.
        parts: Windows by part, under the names of the split's own fields.

    Raises:
        LeakError: Naming the offenders.
    """
    recordings = archive.recordings
    subjects = {}
    for part, windows in parts.items():
        used = np.unique(windows.recording)
        subjects[part] = {recordings[row].subject for row in used}
        strangers = sorted(subjects[part] - set(getattr(split, part)))
        if strangers:
            rows = np.flatnonzero(
                [recordings[row].subject in strangers for row in windows.recording]
            )
            named = ", ".join(
                f"{recordings[windows.recording[row]].subject} at {windows.start[row]:g} s"
                for row in rows[:SHOWN]
            )
            raise LeakError(
                f"leak: {len(rows)} window(s) in {part} are of subjects who are not in it: {named}"
                f"{', ...' if len(rows) > SHOWN else ''}. {part} has {list(getattr(split, part))}."
            )
        claimed = np.array([s.recordings[0].subject for s in archive.subjects])[windows.subject]
        actual = np.array([recording.subject for recording in recordings])[windows.recording]
        if (claimed != actual).any():
            row = int(np.flatnonzero(claimed != actual)[0])
            raise LeakError(
                f"leak: a window in {part} is labelled as of subject {claimed[row]}, but its "
                f"samples are of {actual[row]} at {windows.start[row]:g} s."
            )
    for one, other in combinations(parts, 2):
        _check_pair(archive, (one, parts[one]), (other, parts[other]))


def _check_pair(
    archive: Archive, one: tuple[str, WindowIndex], other: tuple[str, WindowIndex]
) -> None:
    recordings = archive.recordings
    sides = f"both {one[0]} and {other[0]}"
    for recording in np.intersect1d(one[1].recording, other[1].recording):
        name = f"{recordings[recording].subject}, session {recordings[recording].session}"
        here = one[1].take(np.flatnonzero(one[1].recording == recording))
        there = other[1].take(np.flatnonzero(other[1].recording == recording))
        trials = np.intersect1d(here.trial, there.trial)
        if len(trials):
            first = here.start[np.isin(here.trial, trials)].min()
            raise LeakError(
                f"leak: trial(s) {trials[:SHOWN].tolist()} of {name} are in {sides}, the first at "
                f"{first:g} s."
            )
        starts = np.sort(there.start)
        after = np.searchsorted(starts, here.start - there.length + 1e-6)
        found = np.flatnonzero(
            (after < len(starts))
            & (starts[np.minimum(after, len(starts) - 1)] < here.start + here.length - 1e-6)
        )
        if len(found):
            raise LeakError(
                f"leak: {len(found)} window(s) of {name} overlap across {sides}, the first at "
                f"{here.start[found[0]]:g} s."
            )
    here_too, there_too = (
        {recordings[row].subject for row in np.unique(windows.recording)}
        for _, windows in (one, other)
    )
    if here_too & there_too:
        raise LeakError(f"leak: subject(s) {sorted(here_too & there_too)} are in {sides}.")

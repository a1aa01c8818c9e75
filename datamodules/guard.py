"""The leak guard: asserts on the actual index of a run that nothing stands on two sides.

What a protocol flag names may pass under that flag, and nothing else.
"""

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
import numpy.typing as npt

from datamodules.cache import Archive
from datamodules.errors import LeakError
from datamodules.protocol import REPORTED, Flag
from datamodules.splits import Split
from datamodules.windows import EPSILON, WindowIndex

SHOWN = 5
"""Offenders named in a message."""


def check_no_leak(
    archive: Archive,
    split: Split,
    parts: Mapping[str, WindowIndex],
    flags: Collection[Flag] = (),
) -> None:
    """Refuse a run in which a subject, a trial or a stretch of signal is on two sides.

    Who a window belongs to is taken from the recording that its samples come from, and which trial
    from the segment that they lie in, not from the columns that say so; those are checked against
    them. Where the split is within a subject, the subject may be on all sides, its trials not.

    Args:
        archive: The recordings that the windows are cut from.
        split: Who and what should be where.
        parts: Windows by part, under the names of the split's own fields.
        flags: Flaws that are asked for.

    Raises:
        LeakError: Naming the offenders.
    """
    subjects = np.array([recording.subject for recording in archive.recordings])
    keys = archive.trial_keys
    for part, windows in parts.items():
        _check_members(subjects[windows.recording], part, windows, getattr(split, part), "subjects")
        _check_columns(archive, subjects, part, windows)
        if split.trials is not None:
            _check_members(keys[windows.segment], part, windows, split.trials[part], "trials")
    for one, other in combinations(parts, 2):
        if (one, other) == ("val", "test") and "select_on_test" in flags:
            continue
        if "random_windows" in flags:
            if "oversample_before_split" not in flags:
                _check_copies(archive, (one, parts[one]), (other, parts[other]))
            continue
        _check_overlap(archive, (one, parts[one]), (other, parts[other]))
        if "random_trials" in flags:
            continue
        for what, names, column in (("subject", subjects, "recording"), ("trial", keys, "segment")):
            if split.within if what == "subject" else split.trials is None:
                continue
            here, there = (set(names[getattr(parts[p], column)].tolist()) for p in (one, other))
            if here & there:
                raise LeakError(
                    f"leak: {what}(s) {sorted(here & there)[:SHOWN]} are in both {one} and {other}."
                )


def check_fitted(
    archive: Archive,
    what: str,
    used: npt.NDArray[np.int64],
    trained: npt.NDArray[np.int64],
    flag: Flag,
    flags: Collection[Flag] = (),
) -> None:
    """Refuse scaling or label thresholds that were fitted on more than what is trained on.

    Args:
        archive: The recordings.
        what: Was fitted, as in the message.
        used: Positions of the segments that it was fitted on.
        trained: Positions of the segments that are trained on.
        flag: Lets it pass.
        flags: Flaws that are asked for.

    Raises:
        LeakError: Naming subjects and trials.
    """
    strangers = np.setdiff1d(used, trained)
    if not len(strangers) or flag in flags:
        return
    named = [archive.segments[position] for position in strangers[:SHOWN]]
    listed = ", ".join(f"{archive.recordings[r].subject} trial {s.trial}" for r, s in named)
    raise LeakError(
        f"leak: {what} fitted on {len(strangers)} segment(s) that are not trained on: {listed}"
        f"{', ...' if len(strangers) > SHOWN else ''}."
    )


def check_padding(windows: WindowIndex, mask: bool, flags: Collection[Flag] = ()) -> None:
    """Refuse windows with unlike amounts of padding that models are not told of.

    Raises:
        LeakError: Saying how unlike they are.
    """
    shortest, longest = windows.seconds.min(), windows.seconds.max()
    if mask or longest - shortest <= EPSILON or "pad_reveals_length" in flags:
        return
    raise LeakError(
        f"leak: trials of {shortest:g} to {longest:g} s are filled up to {windows.length:g} s with "
        "no mask, so that the amount of padding tells them apart."
    )


def check_read(flags: Collection[Flag] = ()) -> None:
    """Refuse to read the test part while a model is fitted.

    Raises:
        LeakError: No flag says that it may be.
    """
    if not set(REPORTED) & set(flags):
        raise LeakError("leak: the test part is read while the model is fitted.")


def _check_columns(
    archive: Archive, subjects: npt.NDArray[np.str_], part: str, windows: WindowIndex
) -> None:
    """The columns of an index say what its samples are."""
    claimed = np.array([stored.subject for stored in archive.subjects])[windows.subject]
    actual = subjects[windows.recording]
    if (claimed != actual).any():
        row = int(np.flatnonzero(claimed != actual)[0])
        raise LeakError(
            f"leak: a window in {part} is labelled as of subject {claimed[row]}, but its "
            f"samples are of {actual[row]} at {windows.start[row]:g} s."
        )
    spans = np.array([(row, s.start, s.stop, s.trial) for row, s in archive.segments])
    own = spans[windows.segment]
    outside = (
        (own[:, 0] != windows.recording)
        | (own[:, 3] != windows.trial)
        | (windows.start < own[:, 1] - EPSILON)
        | (windows.start + windows.seconds > own[:, 2] + EPSILON)
    )
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise LeakError(
            f"leak: a window in {part} is labelled as of trial {windows.trial[row]}, but its "
            f"samples, of {actual[row]} at {windows.start[row]:g} s, are not all of that trial."
        )


def _check_members(
    names: npt.NDArray[np.str_],
    part: str,
    windows: WindowIndex,
    allowed: tuple[str, ...] | frozenset[str],
    what: str,
) -> None:
    strangers = np.flatnonzero(~np.isin(names, sorted(allowed)))
    if len(strangers):
        named = ", ".join(f"{names[row]} at {windows.start[row]:g} s" for row in strangers[:SHOWN])
        raise LeakError(
            f"leak: {len(strangers)} window(s) in {part} are of {what} that are not in it: {named}"
            f"{', ...' if len(strangers) > SHOWN else ''}. {part} has {sorted(allowed)[:SHOWN]}"
            f"{', ...' if len(allowed) > SHOWN else ''}."
        )


def _check_copies(
    archive: Archive, one: tuple[str, WindowIndex], other: tuple[str, WindowIndex]
) -> None:
    """No window is on two sides as a whole."""
    here, there = (
        set(zip(part.segment.tolist(), np.rint(part.start / EPSILON).tolist(), strict=True))
        for part in (one[1], other[1])
    )
    if both := sorted(here & there):
        row, segment = archive.segments[both[0][0]]
        raise LeakError(
            f"leak: {len(both)} window(s) are in both {one[0]} and {other[0]}, the first of "
            f"{archive.recordings[row].subject}, trial {segment.trial}, at "
            f"{both[0][1] * EPSILON:g} s."
        )


def _check_overlap(
    archive: Archive, one: tuple[str, WindowIndex], other: tuple[str, WindowIndex]
) -> None:
    sides = f"both {one[0]} and {other[0]}"
    for recording in np.intersect1d(one[1].recording, other[1].recording):
        found = archive.recordings[recording]
        name = f"{found.subject}, session {found.session}"
        here = one[1].take(np.flatnonzero(one[1].recording == recording))
        there = other[1].take(np.flatnonzero(other[1].recording == recording))
        trials = np.intersect1d(here.trial, there.trial)
        if len(trials):
            first = here.start[np.isin(here.trial, trials)].min()
            raise LeakError(
                f"leak: trial(s) {trials[:SHOWN].tolist()} of {name} are in {sides}, the first at "
                f"{first:g} s."
            )
        order = np.argsort(there.start)
        starts, stops = there.start[order], (there.start + there.seconds)[order]
        # Windows of one side may overlap each other: the latest end so far is what counts.
        reach = np.maximum.accumulate(stops)
        before = np.searchsorted(starts, here.start + here.seconds - EPSILON) - 1
        clashing = np.flatnonzero((before >= 0) & (reach[before] > here.start + EPSILON))
        if len(clashing):
            raise LeakError(
                f"leak: {len(clashing)} window(s) of {name} overlap across {sides}, the first at "
                f"{here.start[clashing[0]]:g} s."
            )

"""The leak guard: asserts on the actual index of a run that nothing stands on two sides.

Each of its checks has a name. ``datamodules.flaws`` says which of them may fail under which
protocol flag; without a flag all of them hold. One has none, as no published protocol asks for it:
no person takes part under two names. Where stretches of signal may overlap, one may also be stored
twice.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from datamodules.archive import Archive
from datamodules.baseline import Rest, near
from datamodules.doubles import check_parts, check_people
from datamodules.errors import LeakError
from datamodules.fold import PARTS, Fold
from datamodules.splits import Members
from datamodules.windows import EPSILON, WindowIndex

Check = Literal[
    "groups",
    "stimuli",
    "overlap",
    "copies",
    "choice",
    "scaling",
    "thresholds",
    "padding",
    "teacher",
    "reading",
]
"""Names of the checks: subjects and trials on two sides; stimuli on two sides; signal on
two sides; one window on two sides; test windows that choose the epoch; scaling and thresholds
fitted on what is not trained on; padding that shows the length; teachers chosen on test; test
windows read while fitting."""

SHOWN = 5
"""Number of offenders named in a message."""


def check_fold(fold: Fold, passed: Collection[Check] = ()) -> None:
    """Refuse a fold with a leak.

    Args:
        fold: Fold to look at.
        passed: Checks that may fail.

    Raises:
        LeakError: Naming the offenders.
    """
    parts: dict[str, WindowIndex] = {
        part: fold.windows(part) for part in PARTS if part != "val" or fold.chosen_on != "train"
    }
    check_no_leak(fold.archive, fold.members, parts, passed)
    check_people(fold.archive)
    if "overlap" not in passed:
        chosen_on_test = {"val"} if "choice" in passed else set()
        check_parts(fold.archive, {p: parts[p] for p in parts if p not in chosen_on_test})
    if fold.baselines:
        check_baselines(fold.archive, fold.baselines.values(), fold.gap, parts)
        check_parts(fold.archive, {"a baseline": fold.resting_windows, "test": parts["test"]})
    trained = fold.segments_of("train")
    if fold.scaling is not None and "scaling" not in passed:
        check_fitted(fold.archive, "the scaling was", fold.scaled_on, trained)
    if fold.fits_thresholds and "thresholds" not in passed:
        check_fitted(fold.archive, "label thresholds were", fold.thresholds_from, trained)
    if fold.cutting.padded and not fold.protocol.mask and "padding" not in passed:
        check_padding(fold.grid("test"))


def check_no_leak(
    archive: Archive,
    members: Members,
    parts: Mapping[str, WindowIndex],
    passed: Collection[Check] = (),
) -> None:
    """Refuse parts that share a subject, a trial, a stimulus or a stretch of signal.

    The subject of a window is that of the recording that its samples come from, and its trial that
    of the segment that they lie in, not those of the columns; the columns are checked against them.
    Where the split is within a subject, the subject may be on all sides, its trials not. Where
    subjects and stimuli are both apart, no stimulus may be on two sides, whoever got it.

    Args:
        archive: Recordings that the windows are cut from.
        members: Subjects and trials that each part should have.
        parts: Windows by part.
        passed: Checks that may fail.

    Raises:
        LeakError: Naming the offenders.
    """
    subjects = np.array([recording.subject for recording in archive.recordings])
    keys = archive.trial_keys
    for part, windows in parts.items():
        _check_members(
            subjects[windows.recording], part, windows, getattr(members, part), "subjects"
        )
        _check_columns(archive, subjects, part, windows)
        if members.trials is not None:
            _check_members(keys[windows.segment], part, windows, members.trials[part], "trials")
    apart: dict[str, tuple[Check, npt.NDArray[np.str_], str]] = {}
    if not members.within:
        apart["subject"] = "groups", subjects, "recording"
        if members.trials is not None:
            apart["stimulus"] = "stimuli", keys, "segment"
    elif members.trials is not None:
        apart["trial"] = "groups", keys, "segment"
    for one, other in combinations(parts, 2):
        if (one, other) == ("val", "test") and "choice" in passed:
            continue
        if "overlap" not in passed:
            _check_overlap(archive, (one, parts[one]), (other, parts[other]))
        elif "copies" not in passed:
            _check_copies(archive, (one, parts[one]), (other, parts[other]))
        for kind, (check, names, column) in apart.items():
            if check in passed:
                continue
            ours, theirs = (set(names[getattr(parts[p], column)].tolist()) for p in (one, other))
            if both := sorted(ours & theirs):
                raise LeakError(f"leak: {kind}(s) {both[:SHOWN]} are in both {one} and {other}.")


def check_fitted(
    archive: Archive, fitted: str, used: npt.NDArray[np.int64], trained: npt.NDArray[np.int64]
) -> None:
    """Refuse scaling or label thresholds that were fitted on more than what is trained on.

    Args:
        archive: Recordings.
        fitted: Beginning of the message: name of what was fitted, and "was" or "were".
        used: Positions of the segments that it was fitted on.
        trained: Positions of the segments that are trained on.

    Raises:
        LeakError: Naming subjects and trials.
    """
    strangers = np.setdiff1d(used, trained)
    if not len(strangers):
        return
    named = [archive.segments[position] for position in strangers[:SHOWN]]
    listed = ", ".join(f"{archive.recordings[r].subject} trial {s.trial}" for r, s in named)
    raise LeakError(
        f"leak: {fitted} fitted on {len(strangers)} segment(s) that are not trained on: {listed}"
        f"{', ...' if len(strangers) > SHOWN else ''}."
    )


def check_baselines(
    archive: Archive, rests: Iterable[Rest], gap: float, parts: Mapping[str, WindowIndex]
) -> None:
    """Refuse windows in a person's baseline, or closer to it than a gap.

    Args:
        archive: Recordings.
        rests: Baselines.
        gap: Seconds.
        parts: Windows by part.

    Raises:
        LeakError: Naming the offenders.
    """
    rests = tuple(rests)
    for part, windows in parts.items():
        close = np.flatnonzero(near(archive, rests, windows, gap))
        if len(close):
            named = ", ".join(
                f"{archive.recordings[windows.recording[row]].subject} at {windows.start[row]:g} s"
                for row in close[:SHOWN]
            )
            raise LeakError(
                f"leak: {len(close)} window(s) in {part} are in a baseline that calibrates, or "
                f"closer to it than {gap:g} s: {named}{', ...' if len(close) > SHOWN else ''}."
            )


def check_padding(windows: WindowIndex) -> None:
    """Refuse windows with unequal amounts of padding, for models without a mask.

    Raises:
        LeakError: Naming the shortest and the longest trial.
    """
    shortest, longest = windows.seconds.min(), windows.seconds.max()
    if longest - shortest > EPSILON:
        raise LeakError(
            f"leak: trials of {shortest:g} to {longest:g} s are filled up to "
            f"{windows.length:g} s with no mask, so that the amount of padding tells them apart."
        )


def check_undisturbed(archive: Archive, gathered: Archive, part: str, windows: WindowIndex) -> None:
    """Refuse a part that is not tested, if its windows are gathered from disturbed recordings.

    Args:
        archive: Recordings as they are.
        gathered: Recordings that the windows are gathered from.
        part: Part of the fold.
        windows: Its windows.

    Raises:
        LeakError: Naming the subjects.
    """
    pairs = zip(archive.subjects, gathered.subjects, strict=True)
    differing = np.array([one.folder != other.folder for one, other in pairs])
    rows = np.flatnonzero(differing[windows.subject])
    if len(rows):
        names = np.array([stored.subject for stored in archive.subjects])[windows.subject[rows]]
        raise LeakError(
            f"leak: {len(rows)} window(s) in {part} are of disturbed recordings, of "
            f"{', '.join(np.unique(names)[:SHOWN])}: nothing but what is tested may be disturbed."
        )


def check_read(passed: Collection[Check] = ()) -> None:
    """Refuse to read the test part while a model is fitted.

    Raises:
        LeakError: That check may not fail.
    """
    if "reading" not in passed:
        raise LeakError("leak: the test part is read while the model is fitted.")


def _check_columns(
    archive: Archive, subjects: npt.NDArray[np.str_], part: str, windows: WindowIndex
) -> None:
    """Refuse columns of an index that do not agree with its samples."""
    claimed = np.array([stored.subject for stored in archive.subjects])[windows.subject]
    actual = subjects[windows.recording]
    if (claimed != actual).any():
        row = int(np.flatnonzero(claimed != actual)[0])
        raise LeakError(
            f"leak: a window in {part} is labelled as of subject {claimed[row]}, but its "
            f"samples are of {actual[row]} at {windows.start[row]:g} s."
        )
    spans = np.array([(row, s.start, s.stop, s.trial) for row, s in archive.segments])
    lying_in = spans[windows.segment]
    outside = (
        (lying_in[:, 0] != windows.recording)
        | (lying_in[:, 3] != windows.trial)
        | (windows.start < lying_in[:, 1] - EPSILON)
        | (windows.start + windows.seconds > lying_in[:, 2] + EPSILON)
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
    kind: str,
) -> None:
    strangers = np.flatnonzero(~np.isin(names, sorted(allowed)))
    if len(strangers):
        named = ", ".join(f"{names[row]} at {windows.start[row]:g} s" for row in strangers[:SHOWN])
        raise LeakError(
            f"leak: {len(strangers)} window(s) in {part} are of {kind} that are not in it: {named}"
            f"{', ...' if len(strangers) > SHOWN else ''}. {part} has {sorted(allowed)[:SHOWN]}"
            f"{', ...' if len(allowed) > SHOWN else ''}."
        )


def _check_copies(
    archive: Archive, one: tuple[str, WindowIndex], other: tuple[str, WindowIndex]
) -> None:
    """Refuse a window that is on two sides."""
    ours, theirs = (
        set(zip(part.segment.tolist(), np.rint(part.start / EPSILON).tolist(), strict=True))
        for part in (one[1], other[1])
    )
    if both := sorted(ours & theirs):
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
        stored = archive.recordings[recording]
        name = f"{stored.subject}, session {stored.session}"
        ours = one[1].take(np.flatnonzero(one[1].recording == recording))
        theirs = other[1].take(np.flatnonzero(other[1].recording == recording))
        trials = np.intersect1d(ours.trial, theirs.trial)
        if len(trials):
            first = ours.start[np.isin(ours.trial, trials)].min()
            raise LeakError(
                f"leak: trial(s) {trials[:SHOWN].tolist()} of {name} are in {sides}, the first at "
                f"{first:g} s."
            )
        order = np.argsort(theirs.start)
        starts, stops = theirs.start[order], (theirs.start + theirs.seconds)[order]
        # Windows of one side may overlap each other: the latest end so far is what counts.
        reach = np.maximum.accumulate(stops)
        before = np.searchsorted(starts, ours.start + ours.seconds - EPSILON) - 1
        clashing = np.flatnonzero((before >= 0) & (reach[before] > ours.start + EPSILON))
        if len(clashing):
            raise LeakError(
                f"leak: {len(clashing)} window(s) of {name} overlap across {sides}, the first at "
                f"{ours.start[clashing[0]]:g} s."
            )

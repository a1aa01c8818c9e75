"""Flaws of published protocols: each makes another fold of a fold, and fails checks of the guard.

Flaws are carried out in the order of ``FLAWS``. One that changes nothing about a fold (the test
part is read early, say) still has its line, as the guard refuses it without its flag.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from datamodules.flags import Flag
from datamodules.fold import PARTS, Fold, Grid, oversampled, segments_of
from datamodules.guard import Check
from datamodules.splits import Members, random_parts
from datamodules.windows import EPSILON


def everybody(subjects: tuple[str, ...]) -> Members:
    """Return members of whom everybody is in every part, for flaws that deal out anew."""
    return Members(subjects, subjects, subjects, disjoint=False)


def random_trials(fold: Fold) -> Fold:
    """Deal out labelled trials at random, regardless of subject."""
    labelled = np.flatnonzero(fold.labelled)
    parts = np.full(len(fold.archive.segments), -1)
    parts[labelled] = _dealt(fold, len(labelled))
    segments = {part: np.flatnonzero(parts == number) for number, part in enumerate(PARTS)}
    return replace(
        fold,
        segments=segments,
        thresholds_from=segments["train"],
        scaling_from=segments["train"],
    )


def same_stimuli(fold: Fold) -> Fold:
    """Train on the tested stimuli in place of as many others, drawn at random; people as before."""
    trials = fold.members.trials or {}
    others = sorted(trials["train"])
    rng = np.random.default_rng([fold.dealing.seed, fold.dealing.fold])
    kept = rng.permutation(len(others))[len(trials["test"]) :]
    train = trials["test"] | {others[row] for row in kept}
    members = replace(fold.members, trials={**trials, "train": train}, disjoint=False)
    segments = {**fold.segments, "train": segments_of(fold.archive, members, "train")}
    return replace(
        fold,
        members=members,
        segments=segments,
        thresholds_from=segments["train"],
        scaling_from=segments["train"],
    )


def random_windows(fold: Fold) -> Fold:
    """Deal out windows at random; one that is in both grids is one window and goes to one part."""
    grids = list(fold.grids.values())
    windows = [
        np.column_stack([grid.segment, np.rint(grid.start / EPSILON).astype(np.int64)])
        for grid in grids
    ]
    distinct, which = np.unique(np.concatenate(windows), axis=0, return_inverse=True)
    parts = _dealt(fold, len(distinct))[which.ravel()]
    names: list[Grid] = list(fold.grids)
    return replace(fold, dealt=dict(zip(names, np.split(parts, [len(windows[0])]), strict=True)))


def oversample_before_split(fold: Fold) -> Fold:
    """Repeat windows of rarer classes and deal out the copies, each to a part of its own.

    Copies that are tested are left out, as their originals are tested once anyway.
    """
    target = fold.grids["segments"].target
    every = np.arange(len(target))
    copies = oversampled(every, target, seed=0)[len(every) :]
    return replace(
        fold,
        copies=(copies, _dealt(fold, len(copies))),
        windowing=replace(fold.windowing, oversample=False),
    )


def scale_on_all(fold: Fold) -> Fold:
    """Fit the scaling on all segments."""
    return replace(fold, scaling_from=np.arange(len(fold.archive.segments)))


def labels_from_all_ratings(fold: Fold) -> Fold:
    """Fit the thresholds on all ratings."""
    return replace(fold, thresholds_from=np.arange(len(fold.archive.segments)))


def select_on_test(fold: Fold) -> Fold:
    """Let the test part choose the epoch; those who would choose it are not used."""
    members = fold.members
    trials = {**members.trials, "val": members.trials["test"]} if members.trials else None
    return replace(
        fold,
        members=replace(members, val=members.test, trials=trials, disjoint=False),
        chosen_on="test",
    )


def unchanged(fold: Fold) -> Fold:
    """Return the fold as it is: the flaw lies in how it is used."""
    return fold


def _dealt(fold: Fold, count: int) -> npt.NDArray[np.int64]:
    """Return the part of each of so many windows or trials, by position in PARTS."""
    dealing, protocol = fold.dealing, fold.protocol
    folds = protocol.n_folds(len(fold.subjects))
    parts = random_parts(count, dealing.fold, folds, dealing.seed, protocol.test_share)
    if not protocol.validation:
        parts[parts == PARTS.index("val")] = PARTS.index("train")
    return parts


@dataclass(frozen=True)
class Flaw:
    """A flaw of a protocol.

    Args:
        carry_out: Function that makes the flawed fold.
        passes: Checks of the guard that may fail under its flag.
    """

    carry_out: Callable[[Fold], Fold]
    passes: frozenset[Check]


FLAWS: dict[Flag, Flaw] = {
    "random_trials": Flaw(random_trials, frozenset({"groups"})),
    "same_stimuli": Flaw(same_stimuli, frozenset({"stimuli"})),
    "labels_from_all_ratings": Flaw(labels_from_all_ratings, frozenset({"thresholds"})),
    "random_windows": Flaw(random_windows, frozenset({"groups", "overlap"})),
    "oversample_before_split": Flaw(oversample_before_split, frozenset({"copies"})),
    "scale_on_all": Flaw(scale_on_all, frozenset({"scaling"})),
    "select_on_test": Flaw(select_on_test, frozenset({"choice"})),
    "pad_reveals_length": Flaw(unchanged, frozenset({"padding"})),
    "teacher_selected_on_test": Flaw(unchanged, frozenset({"teacher"})),
    "report_best_epoch": Flaw(unchanged, frozenset({"reading"})),
    "report_mean_over_epochs": Flaw(unchanged, frozenset({"reading"})),
}


def with_flaws(fold: Fold, flags: Collection[Flag]) -> Fold:
    """Return a fold with some flaws."""
    for flag, flaw in FLAWS.items():
        if flag in flags:
            fold = flaw.carry_out(fold)
    return fold


def passes(flags: Collection[Flag]) -> frozenset[Check]:
    """Return the checks of the guard that may fail under some flags."""
    return frozenset(check for flag in flags for check in FLAWS[flag].passes)

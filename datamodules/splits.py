"""Who is trained on, who chooses the epoch, who is tested: splits over ids, never samples.

Most splits are over subjects. Two are within each subject, over trials; one is over subjects and
stimuli at once, for stimuli that a model gets to see, as PMEmo's songs.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, train_test_split

from datamodules.errors import IncompatibleRunError

SplitName = Literal[
    "subject_hold_out",
    "subject_k_fold",
    "leave_one_subject_out",
    "subject_stimulus_k_fold",
    "trial_k_fold",
    "session_out",
]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
SUBJECT_SPLITS: tuple[SplitName, ...] = (
    "leave_one_subject_out",
    "subject_k_fold",
    "subject_hold_out",
)
"""Splits that every dataset has."""
WITHIN_SUBJECT: tuple[SplitName, ...] = ("trial_k_fold", "session_out")
"""Splits that train and test on the same subject, one subject a fold."""

VALIDATION_SHARE = 0.2
"""Share of the subjects (or trials) outside the test set that choose the epoch; at least one."""
HOLD_OUT_SHARE = 0.2
"""Share of the subjects that ``subject_hold_out`` tests on; at least one subject."""


@dataclass(frozen=True)
class Split:
    """What is trained on, what chooses the epoch, what is tested: no group is empty.

    Args:
        train: Subjects.
        val: Subjects.
        test: Subjects.
        trials: Keys of the trials of each part, shared by all who got the same stimulus; None: all
            trials of its subjects.
        flawed: Whether a protocol flag lets parts share subjects or trials; the guard knows which.

    Raises:
        ValueError: An empty group, a trial in two groups, or a subject in two groups where trials
            do not tell them apart.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    trials: Mapping[str, frozenset[str]] | None = None
    flawed: bool = False

    def __post_init__(self) -> None:
        groups = {"train": self.train, "val": self.val, "test": self.test}
        if self.flawed:
            return
        _check_disjoint("subject", {} if self.within else groups)
        if self.trials is not None:
            _check_disjoint("trial", {name: self.trials.get(name, frozenset()) for name in groups})

    @property
    def within(self) -> bool:
        """Whether all parts are of one subject."""
        return self.trials is not None and self.train == self.val == self.test


def _check_disjoint(what: str, groups: Mapping[str, Sequence[str] | frozenset[str]]) -> None:
    for name, members in groups.items():
        if not members:
            raise ValueError(f"expected at least one {name} {what}, found none")
    everyone = [member for members in groups.values() for member in members]
    twice = sorted(member for member, count in Counter(everyone).items() if count > 1)
    if twice:
        raise ValueError(f"expected disjoint groups of {what}s, found {twice} in two of them")


def n_folds(split: SplitName, n_subjects: int, folds: int = 5, shuffled: bool = False) -> int:
    """Number of folds that test every subject once (one for the hold-out).

    Args:
        split: Name of the split.
        n_subjects: Number of subjects there are.
        folds: Folds of a k-fold; sessions of ``session_out``; the others do not read it.
        shuffled: Whether windows or trials are dealt out whosever they are, for which any number of
            subjects will do.

    Raises:
        IncompatibleRunError: Fewer subjects, folds or sessions than the split needs.
    """
    if split in WITHIN_SUBJECT or split.endswith("k_fold"):
        what = "sessions" if split == "session_out" else "folds"
        if folds < 2:
            raise IncompatibleRunError(f"{split}: expected at least 2 {what}, found {folds}")
    if split in WITHIN_SUBJECT:
        return n_subjects * folds
    wanted = {"subject_hold_out": 1, "leave_one_subject_out": n_subjects}.get(split, folds)
    least = _least(wanted) if split.endswith("k_fold") else max(3, wanted)
    if n_subjects < least and not shuffled:
        raise IncompatibleRunError(
            f"{split}: expected at least {least} subjects (each fold needs one to train on, one to "
            f"choose the epoch and one to test on), found {n_subjects}. Add subjects or take fewer "
            "folds."
        )
    return wanted


def _least(folds: int) -> int:
    """Names of which every fold leaves two or more: to train on, and to choose the epoch."""
    return max(4 if folds == 2 else 3, folds)


def _check_fold(split: SplitName, fold: int, count: int) -> None:
    if not 0 <= fold < count:
        raise IncompatibleRunError(f"{split}: expected a fold from 0 to {count - 1}, found {fold}")


def split_subjects(
    split: SplitName,
    subjects: Sequence[str],
    fold: int,
    seed: int,
    folds: int = 5,
    test_share: float = HOLD_OUT_SHARE,
) -> Split:
    """Subjects of one fold.

    The test subjects depend on the fold alone, so that every seed tests the same people; which of
    the others choose the epoch depends on fold and seed.

    Args:
        split: Name of a split over subjects.
        subjects: Distinct subject ids, in the dataset's order.
        fold: Number of the fold, from 0.
        seed: Seed of the run.
        folds: Folds of ``subject_k_fold``.
        test_share: Share of the subjects that ``subject_hold_out`` tests on.

    Raises:
        IncompatibleRunError: Fewer subjects than the split needs, or a fold it does not have.
    """
    count = n_folds(split, len(subjects), folds)
    _check_fold(split, fold, count)
    if split == "subject_hold_out":
        rest, test = train_test_split(list(subjects), test_size=test_share, random_state=0)
    else:
        rest, test = _fold(subjects, fold, count, shuffle=split != "leave_one_subject_out")
    val = _validation(rest, np.random.default_rng([seed, fold]))
    return Split(
        train=tuple(subject for subject in subjects if subject in rest and subject not in val),
        val=tuple(subject for subject in subjects if subject in val),
        test=tuple(subject for subject in subjects if subject in test),
    )


def split_trials(
    split: SplitName,
    trials: Mapping[str, Sequence[tuple[str, str]]],
    fold: int,
    seed: int,
    folds: int,
    blocks: int | None = None,
) -> Split:
    """Subjects and trials of one fold of a split that looks at trials.

    ``trial_k_fold`` and ``session_out`` take one subject after the other, each with all its folds.
    ``subject_stimulus_k_fold`` tests one group of subjects on one group of stimuli; those subjects
    with other stimuli, and those stimuli with other subjects, are used nowhere in the fold. As in
    the splits over subjects, the seed chooses what validates, never what is tested.

    Args:
        split: Name of the split.
        trials: Session and key of every trial, in order of time, by subject in the dataset's order.
        fold: Number of the fold, from 0.
        seed: Seed of the run.
        folds: Folds of a k-fold; sessions of ``session_out``.
        blocks: Blocks of consecutive trials that a session has, each with every class:
            ``trial_k_fold`` takes a block of each session for a fold, and one block of one session
            validates; None: trials are dealt at random. Keys are in natural order there, and all
            that anybody has count, so that a block stays the same where somebody lacks a trial.

    Raises:
        IncompatibleRunError: Fewer subjects, trials or sessions than the split needs, or a fold it
            does not have.
    """
    subjects = list(trials)
    _check_fold(split, fold, n_folds(split, len(subjects), folds))
    rng = np.random.default_rng([seed, fold])
    if split == "subject_stimulus_k_fold":
        whole = split_subjects("subject_k_fold", subjects, fold, seed, folds)
        keys = sorted({key for own in trials.values() for _, key in own}, key=_natural)
        _check_trials(split, len(keys), _least(folds), "stimuli")
        rest, test = _fold(keys, fold, folds, shuffle=True)
        val = _validation(rest, rng)
        parts = {"train": set(rest) - val, "val": val, "test": set(test)}
        return replace(whole, trials={part: frozenset(names) for part, names in parts.items()})
    subject, inner = subjects[fold // folds], fold % folds
    own = trials[subject]
    sessions = list(dict.fromkeys(session for session, _ in own))
    parted = [_blocks(trials, own, session, blocks) for session in sessions] if blocks else []
    if split == "session_out":
        _check_trials(split, len(sessions), folds, f"sessions of {subject}")
        tested = {key for session, key in own if session == sessions[inner]}
    elif blocks:
        if folds != blocks:
            raise IncompatibleRunError(f"{split}: expected {blocks} folds, found {folds}")
        tested = {key for own_blocks in parted for key in own_blocks[inner]}
        _check_trials(split, len(tested), 1, f"trials of {subject} in fold {fold}")
    else:
        keys = list(dict.fromkeys(key for _, key in own))
        _check_trials(split, len(keys), _least(folds), f"trials of {subject}")
        tested = set(_fold(keys, inner, folds, shuffle=True)[1])
    rest = list(dict.fromkeys(key for _, key in own if key not in tested))
    _check_trials(split, len(rest), 2, f"trials of {subject} outside of fold {fold}")
    val = _validation(rest, rng)
    if blocks:
        left = [kept for own_blocks in parted for block in own_blocks if (kept := block & {*rest})]
        val = left[rng.integers(len(left))]
    return Split(
        (subject,),
        (subject,),
        (subject,),
        {"train": frozenset(rest) - val, "val": frozenset(val), "test": frozenset(tested)},
    )


def random_parts(
    count: int, fold: int, folds: int, seed: int, test_share: float = HOLD_OUT_SHARE
) -> npt.NDArray[np.int64]:
    """Part of each of some windows or trials that are dealt out at random, whosever they are.

    Every one is tested in one of the folds (one fold alone tests ``test_share`` of them). As in the
    other splits, the seed chooses what validates, never what is tested.

    Args:
        count: N.
        fold: Number of the fold, from 0.
        folds: Number of folds.
        seed: Seed of the run.
        test_share: Of one fold alone.

    Returns:
        0 for train, 1 for val, 2 for test, shape (N,).
    """
    dealt = np.random.default_rng(0).permutation(count)
    share = max(1, round(test_share * count))
    test = dealt[:share] if folds == 1 else np.array_split(dealt, folds)[fold]
    rest = np.setdiff1d(dealt, test)
    rng = np.random.default_rng([seed, fold])
    parts = np.zeros(count, dtype=np.int64)
    parts[test] = 2
    parts[rng.permutation(rest)[: max(1, round(VALIDATION_SHARE * len(rest)))]] = 1
    return parts


def _blocks(
    trials: Mapping[str, Sequence[tuple[str, str]]],
    own: Sequence[tuple[str, str]],
    session: str,
    blocks: int,
) -> list[set[str]]:
    """Keys of the own trials of a session, in consecutive blocks of those that anybody has."""
    there = {key for anybody in trials.values() for name, key in anybody if name == session}
    _check_trials("trial_k_fold", len(there), blocks, f"trials in session {session}")
    mine = {key for name, key in own if name == session}
    split = np.array_split(np.array(sorted(there, key=_natural)), blocks)
    return [mine & set(block.tolist()) for block in split]


def _fold(
    names: Sequence[str], fold: int, count: int, shuffle: bool
) -> tuple[list[str], list[str]]:
    """The names outside and inside one of some folds."""
    how = {"shuffle": True, "random_state": 0} if shuffle else {}
    rest, test = list(KFold(count, **how).split(names))[fold]
    return [names[row] for row in rest], [names[row] for row in test]


def _validation(rest: Sequence[str], rng: np.random.Generator) -> set[str]:
    n_val = max(1, round(VALIDATION_SHARE * len(rest)))
    return {rest[row] for row in rng.permutation(len(rest))[:n_val]}


def _check_trials(split: SplitName, found: int, least: int, what: str) -> None:
    if found < least:
        raise IncompatibleRunError(f"{split}: expected at least {least} {what}, found {found}")


def _natural(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sorts numbers inside names as numbers: 2 before 10; names never tie, as 2 and 02 would."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts], name

"""Who is trained on, who chooses the epoch, who is tested: splits over ids, never samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from sklearn.model_selection import KFold, train_test_split

from datamodules.errors import IncompatibleRunError

SplitName = Literal["subject_hold_out", "subject_k_fold", "leave_one_subject_out"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

VALIDATION_SHARE = 0.2
"""Share of the subjects outside the test set that choose the epoch; at least one subject."""
HOLD_OUT_SHARE = 0.2
"""Share of the subjects that ``subject_hold_out`` tests on; at least one subject."""


@dataclass(frozen=True)
class Split:
    """Three disjoint groups of subjects, none of them empty.

    Raises:
        ValueError: An empty group, or a subject in two groups.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        groups = {"train": self.train, "val": self.val, "test": self.test}
        for name, subjects in groups.items():
            if not subjects:
                raise ValueError(f"expected at least one {name} subject, found none")
        everyone = [*self.train, *self.val, *self.test]
        twice = sorted({subject for subject in everyone if everyone.count(subject) > 1})
        if twice:
            raise ValueError(f"expected disjoint groups of subjects, found {twice} in two of them")


def n_folds(split: SplitName, n_subjects: int, folds: int = 5) -> int:
    """Number of folds that test every subject once (one for the hold-out).

    Args:
        split: Name of the split.
        n_subjects: Number of subjects there are.
        folds: Folds of ``subject_k_fold``; the other splits do not read it.

    Raises:
        IncompatibleRunError: Fewer subjects than the split needs.
    """
    wanted = {"subject_hold_out": 1, "subject_k_fold": folds, "leave_one_subject_out": n_subjects}
    if split == "subject_k_fold" and folds < 2:
        raise IncompatibleRunError(f"{split}: expected at least 2 folds, found {folds}")
    least = max(3, wanted[split])
    if n_subjects < least:
        raise IncompatibleRunError(
            f"{split}: expected at least {least} subjects (each fold needs one to train on, one to "
            f"choose the epoch and one to test on), found {n_subjects}. Add subjects or take fewer "
            "folds."
        )
    return wanted[split]


def split_subjects(
    split: SplitName, subjects: Sequence[str], fold: int, seed: int, folds: int = 5
) -> Split:
    """Subjects of one fold.

    The test subjects depend on the fold alone, so that every seed tests the same people; which of
    the others choose the epoch depends on fold and seed.

    Args:
        split: Name of the split.
        subjects: Distinct subject ids, in the dataset's order.
        fold: Number of the fold, from 0.
        seed: Seed of the run.
        folds: Folds of ``subject_k_fold``.

    Raises:
        IncompatibleRunError: Fewer subjects than the split needs, or a fold it does not have.
    """
    count = n_folds(split, len(subjects), folds)
    if not 0 <= fold < count:
        raise IncompatibleRunError(f"{split}: expected a fold from 0 to {count - 1}, found {fold}")
    if split == "subject_hold_out":
        rest, test = train_test_split(list(subjects), test_size=HOLD_OUT_SHARE, random_state=0)
    else:
        shuffle = {"shuffle": True, "random_state": 0} if split == "subject_k_fold" else {}
        rest_rows, test_rows = list(KFold(count, **shuffle).split(subjects))[fold]
        rest = [subjects[row] for row in rest_rows]
        test = [subjects[row] for row in test_rows]
    n_val = max(1, round(VALIDATION_SHARE * len(rest)))
    order = np.random.default_rng([seed, fold]).permutation(len(rest))
    val = {rest[row] for row in order[:n_val]}
    return Split(
        train=tuple(subject for subject in subjects if subject in rest and subject not in val),
        val=tuple(subject for subject in subjects if subject in val),
        test=tuple(subject for subject in subjects if subject in test),
    )

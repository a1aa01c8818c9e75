"""Splits into training, validation and test: over ids, never samples.

Most splits are over subjects. Two are within each subject, over trials; one is over subjects and
stimuli at once, for people who share films, songs or videos. A split is one class, and one line in
``SPLITS``.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from datamodules.errors import IncompatibleRunError
from datamodules.stimuli import held_out, kinds_of, natural, stimulus_groups

VALIDATION_SHARE = 0.2
"""Share of the subjects (or trials) outside the test set that choose the epoch; at least one."""
HOLD_OUT_SHARE = 0.2
"""Share of the subjects that ``subject_hold_out`` tests on; at least one subject."""

Trials = Mapping[str, Sequence[tuple[str, str]]]
"""Session and key of every trial, in order of time, by subject in the dataset's order."""


@dataclass(frozen=True)
class Members:
    """Subjects and trials that are trained on, that choose the epoch, that are tested.

    Args:
        train: Subjects.
        val: Subjects.
        test: Subjects.
        trials: Keys of the trials of each part, shared by all who got the same stimulus; None: all
            trials of its subjects.
        disjoint: Whether no subject (or trial) may be in two parts.

    Raises:
        ValueError: An empty part where anybody is trained on, a trial in two parts, or a subject in
            two parts where trials do not tell them apart.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    trials: Mapping[str, frozenset[str]] | None = None
    disjoint: bool = True

    def __post_init__(self) -> None:
        parts = {"train": self.train, "val": self.val, "test": self.test}
        if not self.disjoint or (self.tests_only and self.test):
            return
        _check_disjoint("subject", {} if self.within else parts)
        if self.trials is not None:
            _check_disjoint("trial", {name: self.trials.get(name, frozenset()) for name in parts})

    @property
    def within(self) -> bool:
        """True if all parts are of one subject."""
        return self.trials is not None and self.train == self.val == self.test

    @property
    def tests_only(self) -> bool:
        """True if nobody is trained on, and nobody chooses an epoch."""
        return not (self.train or self.val)


def _check_disjoint(kind: str, parts: Mapping[str, Sequence[str] | frozenset[str]]) -> None:
    for name, members in parts.items():
        if not members:
            raise ValueError(f"expected at least one {name} {kind}, found none")
    everyone = [member for members in parts.values() for member in members]
    twice = sorted(member for member, count in Counter(everyone).items() if count > 1)
    if twice:
        raise ValueError(f"expected disjoint groups of {kind}s, found {twice} in two of them")


@dataclass(frozen=True)
class Dealing:
    """Number of a fold and the values of a protocol that a split reads.

    Args:
        fold: Number of the fold, from 0.
        seed: Seed of the run; it chooses what validates, never what is tested.
        folds: Number of folds of a k-fold; number of sessions of ``session_out``.
        test_share: Share of the subjects that ``subject_hold_out`` tests on.
        blocks: Number of blocks of consecutive trials that a session has, each with every class:
            ``trial_k_fold`` takes a block of each session for a fold, and within a subject one
            block of one session validates; None: trials are dealt at random. Keys are in natural
            order there, and all that anybody has count, so that a block stays the same where
            somebody lacks a trial.
        stimulus_folds: Number of groups of stimuli that each group of subjects is tested on.
        partitions: Number of times that subjects are dealt into folds anew; the folds of the first
            partition come first.
        classes: Class of each stimulus, within which stimuli are dealt; empty where people differ.
        validation: Whether a part is kept apart to choose the epoch. Otherwise all that is not
            tested is trained on and chooses it.
    """

    fold: int
    seed: int
    folds: int = 5
    test_share: float = HOLD_OUT_SHARE
    blocks: int | None = None
    stimulus_folds: int = 4
    partitions: int = 1
    classes: Mapping[str, int] = field(default_factory=dict)
    validation: bool = True

    def members(
        self,
        train: Sequence[str],
        val: Collection[str],
        test: Sequence[str],
        trials: Mapping[str, frozenset[str]] | None = None,
    ) -> Members:
        """Return members; without a part that is kept apart, what is trained on validates too.

        Args:
            train: Subjects.
            val: Subjects; not read without such a part.
            test: Subjects.
            trials: Keys of the trials of each part; None: all.

        Raises:
            ValueError: Nobody to train on or to test, or somebody in two parts.
        """
        if self.validation:
            return Members(tuple(train), tuple(val), tuple(test), trials)
        if train != test:  # else the split is within a subject
            _check_disjoint("subject", {"train": train, "test": test})
        if trials is not None:
            _check_disjoint("trial", {name: trials[name] for name in ("train", "test")})
            trials = {**trials, "val": trials["train"]}
        return Members(tuple(train), tuple(train), tuple(test), trials, disjoint=False)


class Split(ABC):
    """A way of dealing subjects and trials into folds.

    Attributes:
        name: Key in ``SPLITS`` and value on the command line.
        about: One line for ``affectbench list splits`` and for the report.
        disjoint: Words for the head of a board: groups that no two parts share.
        chosen_on: Words: groups that choose the epoch.
        tested: Words: groups that are tested.
        over_subjects: Whether it needs nothing but subject ids.
        within_subject: Whether it trains and tests on the same subject, one subject a fold.
        tests_everybody: Whether its folds are sure to test every subject.
        crosses_stimuli: Whether no stimulus of the test part is trained on, of whomever; it needs
            people who share stimuli.
        counts: Unit of a protocol's ``folds``; empty where the split does not read it.
        in_blocks: Whether it takes the blocks of trials of a dataset for its folds.
        holds_out: Whether it reads a protocol's ``test_share``.
        repeats: Whether it reads a protocol's ``partitions``.
        trains: Whether its folds have people to train on; otherwise they test the trained models of
            other runs.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    disjoint: ClassVar[str] = "subjects disjoint"
    chosen_on: ClassVar[str] = "validation subjects"
    tested: ClassVar[str] = "test subjects"
    over_subjects: ClassVar[bool] = False
    within_subject: ClassVar[bool] = False
    tests_everybody: ClassVar[bool] = True
    crosses_stimuli: ClassVar[bool] = False
    counts: ClassVar[str] = ""
    in_blocks: ClassVar[bool] = False
    holds_out: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    trains: ClassVar[bool] = True

    @abstractmethod
    def n_folds(self, n_subjects: int, dealing: Dealing, shuffled: bool = False) -> int:
        """Return the number of folds that test every trial once (one for a hold-out).

        Args:
            n_subjects: Number of subjects.
            dealing: How any fold is dealt; its number does not count.
            shuffled: Whether windows or trials are dealt out regardless of subject, for which any
                number of subjects will do.

        Raises:
            IncompatibleRunError: Fewer subjects, folds or sessions than the split needs.
        """

    @abstractmethod
    def people(self, subjects: Sequence[str], dealing: Dealing) -> list[str]:
        """Return the subjects of a fold's test part, as far as their names tell."""

    def members(self, trials: Trials, dealing: Dealing) -> Members:
        """Return the subjects and trials of one fold.

        Args:
            trials: Trials by subject; a split over subjects reads the subjects alone.
            dealing: Number of the fold, and how it is dealt.

        Raises:
            IncompatibleRunError: Fewer subjects, trials or sessions than the split needs, or a fold
                that it does not have.
        """
        count = self.n_folds(len(trials), dealing) * dealing.partitions
        if not 0 <= dealing.fold < count:
            raise IncompatibleRunError(
                f"{self.name}: expected a fold from 0 to {count - 1}, found {dealing.fold}"
            )
        return self._members(trials, dealing)

    @abstractmethod
    def _members(self, trials: Trials, dealing: Dealing) -> Members: ...

    def words(self, validation: bool = True) -> str:
        """Return the words for the head of a board: what is disjoint, what chooses, what is tested.

        Args:
            validation: Whether a part is kept apart to choose the epoch.
        """
        chosen_on = self.chosen_on if validation else "what is trained on"
        return f"{self.disjoint}, epoch chosen on {chosen_on}, {self.tested}"

    def slug(self, folds: int, stimulus_folds: int = 4) -> str:
        """Return its name in the name of a board, with the number of folds of a k-fold."""
        return self.name.replace("_k_", f"_{folds}_")

    def _check_folds(self, folds: int, counts: str = "") -> None:
        if folds < 2:
            raise IncompatibleRunError(
                f"{self.name}: expected at least 2 {counts or self.counts}, found {folds}"
            )

    def _check_subjects(
        self, n_subjects: int, least: int, dealing: Dealing, shuffled: bool
    ) -> None:
        if n_subjects < least and not shuffled:
            raise IncompatibleRunError(
                f"{self.name}: expected at least {least} subjects "
                f"({_needs(dealing.validation)}), found {n_subjects}. Add subjects, or take "
                f"{'fewer folds' if self.counts else 'another split'}."
            )

    def _check_count(self, count: int, least: int, kind: str) -> None:
        if count < least:
            raise IncompatibleRunError(
                f"{self.name}: expected at least {least} {kind}, found {count}"
            )


class _SubjectSplit(Split):
    """A split over subjects alone.

    The test subjects depend on the fold alone, so that every seed tests the same people; which of
    the others choose the epoch depends on fold and seed.
    """

    over_subjects = True

    @abstractmethod
    def _test(self, subjects: Sequence[str], dealing: Dealing) -> tuple[list[str], list[str]]:
        """Return the subjects outside and inside the test part."""

    def people(self, subjects: Sequence[str], dealing: Dealing) -> list[str]:
        return self._test(subjects, dealing)[1]

    def _members(self, trials: Trials, dealing: Dealing) -> Members:
        subjects = list(trials)
        rest, test = self._test(subjects, dealing)
        val = _validation(rest, np.random.default_rng([dealing.seed, dealing.fold]), dealing)
        return dealing.members(
            [s for s in subjects if s in rest and s not in val],
            [s for s in subjects if s in val],
            [s for s in subjects if s in test],
        )


class LeaveOneSubjectOut(_SubjectSplit):
    """Each subject is a fold."""

    name = "leave_one_subject_out"
    about = "each subject is tested by a model that has never seen them"

    def n_folds(self, n_subjects: int, dealing: Dealing, shuffled: bool = False) -> int:
        least = max(3 if dealing.validation else 2, n_subjects)
        self._check_subjects(n_subjects, least, dealing, shuffled)
        return n_subjects

    def _test(self, subjects: Sequence[str], dealing: Dealing) -> tuple[list[str], list[str]]:
        return k_fold(subjects, dealing.fold, len(subjects), shuffle=False)


class SubjectKFold(_SubjectSplit):
    """Subjects are dealt at random into folds."""

    name = "subject_k_fold"
    about = "subjects disjoint"
    counts = "folds"
    repeats = True

    def n_folds(self, n_subjects: int, dealing: Dealing, shuffled: bool = False) -> int:
        self._check_folds(dealing.folds)
        least = _least(dealing.folds, dealing.validation)
        self._check_subjects(n_subjects, least, dealing, shuffled)
        return dealing.folds

    def _test(self, subjects: Sequence[str], dealing: Dealing) -> tuple[list[str], list[str]]:
        partition, fold = divmod(dealing.fold, dealing.folds)
        return k_fold(subjects, fold, dealing.folds, shuffle=True, seed=partition)


class SubjectHoldOut(_SubjectSplit):
    """One part of the subjects is tested."""

    name = "subject_hold_out"
    about = "subjects disjoint, one part of them tested"
    tests_everybody = False
    holds_out = True

    def n_folds(self, n_subjects: int, dealing: Dealing, shuffled: bool = False) -> int:
        self._check_subjects(n_subjects, 3 if dealing.validation else 2, dealing, shuffled)
        return 1

    def _test(self, subjects: Sequence[str], dealing: Dealing) -> tuple[list[str], list[str]]:
        return hold_out(subjects, dealing.test_share)


class DatasetOut(_SubjectSplit):
    """Everybody is tested in each fold, by the model of that fold of another dataset."""

    name = "dataset_out"
    about = "everybody is tested, by models that were trained on another dataset"
    disjoint = "trained on other people, of another dataset or part of one"
    chosen_on = "validation subjects there"
    counts = "folds"
    trains = False

    def n_folds(self, n_subjects: int, dealing: Dealing, shuffled: bool = False) -> int:
        self._check_folds(dealing.folds)
        return dealing.folds

    def slug(self, folds: int, stimulus_folds: int = 4) -> str:
        return self.name if folds == Dealing(0, 0).folds else f"{self.name}_by_{folds}"

    def _test(self, subjects: Sequence[str], dealing: Dealing) -> tuple[list[str], list[str]]:
        return [], list(subjects)

    def _members(self, trials: Trials, dealing: Dealing) -> Members:
        return Members((), (), tuple(trials))


class SubjectStimulusKFold(Split):
    """Groups of subjects are crossed with groups of stimuli; each cell is a fold.

    A fold tests one group of subjects on one group of stimuli; those subjects with other stimuli,
    and those stimuli with other subjects, are used nowhere in the fold. Over all folds every trial
    is tested once. Stimuli are dealt out within each session and, where each has one class for
    everybody, within each class, so that every part has every class of which there are stimuli
    enough.
    """

    name = "subject_stimulus_k_fold"
    about = "subjects and stimuli disjoint; groups of subjects by groups of stimuli"
    disjoint = "subjects and stimuli disjoint"
    chosen_on = "validation subjects and stimuli"
    crosses_stimuli = True
    counts = "folds"

    def n_folds(self, n_subjects: int, dealing: Dealing, shuffled: bool = False) -> int:
        self._check_folds(dealing.folds)
        self._check_folds(dealing.stimulus_folds, "stimulus_folds")
        least = _least(dealing.folds, dealing.validation)
        self._check_subjects(n_subjects, least, dealing, shuffled)
        return dealing.folds * dealing.stimulus_folds

    def slug(self, folds: int, stimulus_folds: int = 4) -> str:
        crossed = folds if stimulus_folds == 4 else f"{folds}_by_{stimulus_folds}"
        return self.name.replace("_k_", f"_{crossed}_")

    def people(self, subjects: Sequence[str], dealing: Dealing) -> list[str]:
        return self._test(subjects, dealing)[1]

    def _test(self, subjects: Sequence[str], dealing: Dealing) -> tuple[list[str], list[str]]:
        group = dealing.fold // dealing.stimulus_folds
        return k_fold(subjects, group, dealing.folds, shuffle=True)

    def _members(self, trials: Trials, dealing: Dealing) -> Members:
        kinds = kinds_of(trials, dealing.classes)
        least = _least(dealing.stimulus_folds, dealing.validation)
        if len(kinds) < least:
            raise IncompatibleRunError(
                f"{self.name}: expected at least {least} stimuli ({_needs(dealing.validation)}), "
                f"found {len(kinds)}. Add stimuli, or take fewer stimulus_folds."
            )
        people, test = self._test(list(trials), dealing)
        groups = stimulus_groups(kinds, dealing.stimulus_folds)
        shown = frozenset(groups[dealing.fold % dealing.stimulus_folds])
        others = {name: kind for name, kind in kinds.items() if name not in shown}
        rng = np.random.default_rng([dealing.seed, dealing.fold])
        val = _validation(people, rng, dealing)
        chosen_on: frozenset[str] = frozenset()
        if dealing.validation:
            chosen_on = frozenset(held_out(others, VALIDATION_SHARE, rng))
        return dealing.members(
            [s for s in people if s not in val],
            [s for s in people if s in val],
            test,
            {"train": frozenset(others) - chosen_on, "val": chosen_on, "test": shown},
        )


class _WithinSubject(Split):
    """A split within a subject: one subject after the other, each with all its folds."""

    within_subject = True
    chosen_on = "validation trials"
    tested = "test trials"

    def n_folds(self, n_subjects: int, dealing: Dealing, shuffled: bool = False) -> int:
        self._check_folds(dealing.folds)
        return n_subjects * dealing.folds

    def people(self, subjects: Sequence[str], dealing: Dealing) -> list[str]:
        return [subjects[dealing.fold // dealing.folds]]

    @abstractmethod
    def _tested(
        self, trials: Trials, subject: str, fold: int, dealing: Dealing
    ) -> tuple[set[str], list[set[str]]]:
        """Return the keys that a fold of a subject tests, and its blocks if it has any."""

    def _members(self, trials: Trials, dealing: Dealing) -> Members:
        (subject,) = self.people(list(trials), dealing)
        tested, blocks = self._tested(trials, subject, dealing.fold % dealing.folds, dealing)
        rest = list(dict.fromkeys(key for _, key in trials[subject] if key not in tested))
        least = 2 if dealing.validation else 1
        self._check_count(len(rest), least, f"trials of {subject} outside of fold {dealing.fold}")
        rng = np.random.default_rng([dealing.seed, dealing.fold])
        val = _validation(rest, rng, dealing)
        if blocks and dealing.validation:
            left = [kept for block in blocks if (kept := block & {*rest})]
            val = left[rng.integers(len(left))]
        return dealing.members(
            [subject],
            [subject],
            [subject],
            {"train": frozenset(rest) - val, "val": frozenset(val), "test": frozenset(tested)},
        )

    def _blocks(self, trials: Trials, subject: str, count: int) -> list[list[set[str]]]:
        """Return a subject's keys by session, in consecutive blocks of those that anybody has."""
        sessions = []
        for session in dict.fromkeys(session for session, _ in trials[subject]):
            keys = {key for pairs in trials.values() for name, key in pairs if name == session}
            self._check_count(len(keys), count, f"trials in session {session}")
            mine = {key for name, key in trials[subject] if name == session}
            blocks = np.array_split(np.array(sorted(keys, key=natural)), count)
            sessions.append([mine & set(block.tolist()) for block in blocks])
        return sessions


class TrialKFold(_WithinSubject):
    """Trials of each subject are dealt into folds, in blocks where the dataset has them."""

    name = "trial_k_fold"
    about = "one model a subject, trials disjoint"
    disjoint = "one model a subject, trials disjoint"
    counts = "folds"
    in_blocks = True

    def _tested(
        self, trials: Trials, subject: str, fold: int, dealing: Dealing
    ) -> tuple[set[str], list[set[str]]]:
        if dealing.blocks is None:
            keys = list(dict.fromkeys(key for _, key in trials[subject]))
            least = _least(dealing.folds, dealing.validation)
            self._check_count(len(keys), least, f"trials of {subject}")
            return set(k_fold(keys, fold, dealing.folds, shuffle=True)[1]), []
        blocks = self._blocks(trials, subject, dealing.blocks)
        if dealing.folds != dealing.blocks:
            raise IncompatibleRunError(
                f"{self.name}: expected {dealing.blocks} folds, found {dealing.folds}"
            )
        tested = {key for session in blocks for key in session[fold]}
        self._check_count(len(tested), 1, f"trials of {subject} in fold {dealing.fold}")
        return tested, [block for session in blocks for block in session]


class SessionOut(_WithinSubject):
    """Each session of a subject is a fold."""

    name = "session_out"
    about = "one model a subject, sessions disjoint"
    disjoint = "one model a subject, sessions disjoint"
    counts = "sessions"

    def _tested(
        self, trials: Trials, subject: str, fold: int, dealing: Dealing
    ) -> tuple[set[str], list[set[str]]]:
        sessions = list(dict.fromkeys(session for session, _ in trials[subject]))
        self._check_count(len(sessions), dealing.folds, f"sessions of {subject}")
        tested = {key for session, key in trials[subject] if session == sessions[fold]}
        if dealing.blocks is None:
            return tested, []
        blocks = self._blocks(trials, subject, dealing.blocks)
        return tested, [block for session in blocks for block in session]


SPLITS: dict[str, Split] = {
    split.name: split
    for split in (
        SubjectHoldOut(),
        SubjectKFold(),
        LeaveOneSubjectOut(),
        SubjectStimulusKFold(),
        TrialKFold(),
        SessionOut(),
        DatasetOut(),
    )
}
SUBJECT_SPLITS = ("leave_one_subject_out", "subject_k_fold", "subject_hold_out")
"""Splits that every dataset has, the default first."""


def random_parts(
    count: int, fold: int, folds: int, seed: int, test_share: float = HOLD_OUT_SHARE
) -> npt.NDArray[np.int64]:
    """Return the part of each of some windows or trials, dealt out at random regardless of subject.

    Every one is tested in one of the folds (one fold alone tests ``test_share`` of them). As in the
    other splits, the seed chooses what validates, never what is tested.

    Args:
        count: N.
        fold: Number of the fold, from 0.
        folds: Number of folds.
        seed: Seed of the run.
        test_share: Share that one fold alone tests.

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


def k_fold(
    names: Sequence[str], fold: int, folds: int, shuffle: bool, seed: int = 0
) -> tuple[list[str], list[str]]:
    """Return the names outside and inside one of some folds, as scikit-learn's ``KFold`` does.

    Args:
        names: Names to deal out.
        fold: Number of the fold, from 0.
        folds: Number of folds.
        shuffle: Whether names are dealt at random.
        seed: The ``random_state``.
    """
    order = np.arange(len(names))
    if shuffle:
        np.random.RandomState(seed).shuffle(order)
    inside = set(np.array_split(order, folds)[fold].tolist())
    return (
        [name for row, name in enumerate(names) if row not in inside],
        [name for row, name in enumerate(names) if row in inside],
    )


def hold_out(names: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Return the names outside and inside a share, as scikit-learn's ``train_test_split`` does."""
    order = np.random.RandomState(0).permutation(len(names))
    count = int(np.ceil(share * len(names)))
    return [names[row] for row in order[count:]], [names[row] for row in order[:count]]


def _least(folds: int, validation: bool) -> int:
    """Return the minimum number of groups such that every fold leaves enough outside the test part.

    One to train on and one to choose the epoch; without validation one alone.
    """
    if not validation:
        return max(2, folds)
    return max(4 if folds == 2 else 3, folds)


def _needs(validation: bool) -> str:
    chosen = ", to choose the epoch" if validation else ""
    return f"each fold needs some to train on{chosen} and to test on"


def _validation(rest: Sequence[str], rng: np.random.Generator, dealing: Dealing) -> set[str]:
    """Return those who are kept apart to choose the epoch; nobody if nobody is to be."""
    if not dealing.validation:
        return set()
    n_val = max(1, round(VALIDATION_SHARE * len(rest)))
    return {rest[row] for row in rng.permutation(len(rest))[:n_val]}

"""Protocol: everything that decides who is trained on and tested, and how it is scored."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

from datamodules.calibration import Calibration, parse
from datamodules.corruptions import CORRUPTIONS
from datamodules.errors import IncompatibleRunError
from datamodules.flags import REPORTED, SHUFFLED, Flag, known_flags, teacher_flags
from datamodules.splits import HOLD_OUT_SHARE, SPLITS, Dealing, Split
from datamodules.tasks import RULES, LabelRule

VERSION = 2
"""Version of everything that decides a number; boards never mix versions."""

Padding = Literal["zero", "mean", "edge"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)


@dataclass(frozen=True)
class Protocol:
    """Rules of an experiment: training, choice of the epoch, test and scores.

    Args:
        split: Name of the split, a key of ``datamodules.splits.SPLITS``.
        folds: Number of folds of a k-fold; number of sessions for ``session_out``; number of groups
            of subjects that ``subject_stimulus_k_fold`` crosses with groups of stimuli.
        rule: Rule for the threshold between low and high ratings; see ``datamodules.thresholds``.
        padding: Value that whole trials are filled up with; None cuts windows.
        mask: Whether models are told how much of a padded trial is recorded.
        test_share: Share that ``subject_hold_out`` tests on: of the subjects or, where flags deal
            them out, of windows or trials.
        validation: Whether a part is kept apart to choose the epoch. Otherwise all that is not
            tested is trained on, and the epoch is chosen there, or under ``select_on_test`` on the
            test part.
        score_windows: Whether each window is scored by itself, wherever in a trial it begins, and
            not a score unit by its windows; units do not cap the length of windows then.
        flags: Flaws of a published protocol; none: the honest protocol, the only ranked one.
        version: Version of the protocol.
        stimulus_folds: Number of groups of stimuli for ``subject_stimulus_k_fold``.
        partitions: Number of times that ``subject_k_fold`` deals the subjects into folds; each
            subject is tested once in each.
        corruption: Fault of the recordings of the people who are tested, a key of
            ``datamodules.corruptions.CORRUPTIONS``, with boards of its own; empty: there is none.
            Nobody else's recordings are changed.
        calibration: What a model is given of each person beforehand; see
            ``datamodules.calibration``.

    Raises:
        IncompatibleRunError: A name that is not known, or values that do not go together.
    """

    split: str = "leave_one_subject_out"
    folds: int = 5
    rule: LabelRule = "midpoint"
    padding: Padding | None = None
    mask: bool = False
    test_share: float = HOLD_OUT_SHARE
    validation: bool = True
    score_windows: bool = False
    flags: tuple[Flag, ...] = ()
    version: int = VERSION
    stimulus_folds: int = 4
    partitions: int = 1
    corruption: str = ""
    calibration: str = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "flags", known_flags(self.flags))
        object.__setattr__(self, "calibration", str(parse(self.calibration)))
        for name, value, choices in (
            ("split", self.split, tuple(SPLITS)),
            ("rule", self.rule, RULES),
            ("padding", self.padding, (None, *PADDINGS)),
            ("corruption", self.corruption, ("", *CORRUPTIONS)),
        ):
            if value not in choices:
                listed = ", ".join(str(choice) for choice in choices if choice)
                raise IncompatibleRunError(f"no {name} {value!r}: expected one of {listed}")
        counted = {self.splitting.counts or "folds": self.folds}
        for name, count in {**counted, "stimulus_folds": self.stimulus_folds}.items():
            if count < 2:
                raise IncompatibleRunError(
                    f"{self.split}: expected at least 2 {name}, found {count}"
                )
        if self.partitions < 1 or (self.partitions > 1 and not self._may_repeat):
            repeating = ", ".join(name for name, split in SPLITS.items() if split.repeats)
            raise IncompatibleRunError(
                f"expected partitions to be 1, or more with the split {repeating} and no flags, "
                f"found {self.partitions} with {self.split} {' '.join(self.flags)}"
            )
        if not 0 < self.test_share < 1:
            raise IncompatibleRunError(
                f"expected test_share between 0 and 1, found {self.test_share}"
            )
        if self.mask and self.padding is None:
            raise IncompatibleRunError("expected padding where there is a mask, found none")
        beside = [*self.flags, *([self.calibration] if self.calibrating else [])]
        if self.corruption and beside:
            raise IncompatibleRunError(
                f"corruption {self.corruption}: expected no flags and no calibration beside it, "
                f"found {', '.join(beside)}"
            )
        check_flags(self.flags, self.split, self.rule, self.padding is not None and not self.mask)
        self._check_calibration()

    def _check_calibration(self) -> None:
        excluding = [f"flag {flag}" for flag in self.flags]
        excluding += [f"padding {self.padding}"] if self.padding else []
        excluding += [] if not self.splitting.within_subject else [f"split {self.split}"]
        if self.calibrating and excluding:
            raise IncompatibleRunError(
                f"calibration {self.calibration}: expected a split over people, windows without "
                f"padding and no flags, found {', '.join(excluding)}"
            )

    @property
    def calibrating(self) -> Calibration:
        """What is known of each person beforehand; false if nothing is."""
        return parse(self.calibration)

    @property
    def _may_repeat(self) -> bool:
        return self.splitting.repeats and not self.flags

    @property
    def splitting(self) -> Split:
        """The split itself."""
        return SPLITS[self.split]

    @property
    def shuffled(self) -> bool:
        """True if a flag deals out windows or trials regardless of subject."""
        return bool(set(SHUFFLED) & set(self.flags))

    @property
    def reports_epochs(self) -> bool:
        """True if a flag has the test part read after every epoch."""
        return bool(set(REPORTED) & set(self.flags))

    def n_folds(self, n_subjects: int) -> int:
        """Return the number of folds that test everybody once in each partition.

        Raises:
            IncompatibleRunError: Fewer subjects, folds or sessions than the split needs.
        """
        folds = self.splitting.n_folds(n_subjects, self.dealing(0, 0), self.shuffled)
        return folds * self.partitions

    def partition(self, fold: int) -> int:
        """Return the number of the partition that a fold is of, from 0.

        Where a split trains nobody, each fold tests everybody, and is one by itself.
        """
        if not self.splitting.trains:
            return fold
        return fold // self.folds if self.partitions > 1 else 0

    def dealing(self, fold: int, seed: int, blocks: int | None = None) -> Dealing:
        """Return what the split reads of it, with the number of a fold.

        Args:
            fold: Number of the fold, from 0.
            seed: Seed of the run.
            blocks: Number of blocks that the trials of a session make; see ``Dealing``.
        """
        return Dealing(
            fold,
            seed,
            self.folds,
            self.test_share,
            blocks,
            self.stimulus_folds,
            self.partitions,
            validation=self.validation,
        )

    @property
    def slug(self) -> str:
        """Name of the split in the name of a board, with its numbers of folds."""
        slug = self.splitting.slug(self.folds, self.stimulus_folds)
        return f"{slug}_times_{self.partitions}" if self.partitions > 1 else slug

    def with_flags(self, flags: Collection[Flag]) -> "Protocol":
        """Return the same protocol under other flags."""
        return replace(self, flags=known_flags(flags))

    def of_teachers(self) -> "Protocol":
        """Return the protocol under which the teachers of a run are trained."""
        return self.with_flags(teacher_flags(self.flags))

    @property
    def ranked(self) -> bool:
        """True if its boards are ranked: no flag is set, and nothing is disturbed."""
        return not (self.flags or self.corruption)

    @property
    def honest(self) -> bool:
        """True if no flag is set."""
        return not self.flags

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the protocol that ``as_dict`` described."""
        return cls(**{**values, "flags": tuple(values.get("flags", ()))})


def check_flags(flags: Collection[Flag], split: str, rule: LabelRule, bare_padding: bool) -> None:
    """Refuse flags that exclude each other, or that lack what they are about.

    Args:
        flags: Flags that are set.
        split: Name of the split.
        rule: Rule for the threshold between low and high ratings.
        bare_padding: Whether whole trials are padded without a mask.

    Raises:
        IncompatibleRunError: Naming what does not go together, and what would.
    """

    def refuse(why: str) -> None:
        raise IncompatibleRunError(f"protocol flags {', '.join(flags)}: {why}")

    for exclusive in (SHUFFLED, REPORTED):
        if all(flag in flags for flag in exclusive):
            refuse(f"{' and '.join(exclusive)} exclude each other; take one of them")
    shuffled = [flag for flag in SHUFFLED if flag in flags]
    if shuffled and not SPLITS[split].over_subjects:
        over_subjects = [name for name, one in SPLITS.items() if one.over_subjects]
        refuse(
            f"{shuffled[0]} deals out anew what a split over subjects would: expected one of "
            f"{', '.join(over_subjects)}, found {split}"
        )
    if "oversample_before_split" in flags and "random_windows" not in flags:
        refuse(
            "copies of a window stay with its subject or trial, on one side, unless windows are "
            "dealt out at random: add random_windows"
        )
    if "labels_from_all_ratings" in flags and rule == "midpoint":
        refuse("the midpoint is fitted on no ratings: take rule: median or kmeans")
    if "random_windows" in flags and rule != "midpoint" and "labels_from_all_ratings" not in flags:
        refuse(
            f"every trial has windows on both sides, so that the rule {rule} sees all ratings: add "
            "labels_from_all_ratings, or take rule: midpoint"
        )
    if "pad_reveals_length" in flags and not bare_padding:
        refuse("expected padding without a mask")

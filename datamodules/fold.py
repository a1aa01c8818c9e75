"""Fold: which windows train, which choose the epoch, which are tested, and what is fitted on which.

``make_fold`` reads as the protocol section of a paper. What it fixes is who is where; thresholds,
windows and scaling follow from that.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self, get_args
from typing import Protocol as TypingProtocol

import numpy as np
import numpy.typing as npt
import torch

from datamodules.archive import Archive
from datamodules.baseline import Rest, baseline_windows, baselines, near
from datamodules.errors import IncompatibleRunError
from datamodules.personal import (
    people,
    resting_means,
    scaled_by_all,
    scaled_by_past,
    shifted_by_rest,
)
from datamodules.protocol import Protocol
from datamodules.resident import RESIDENT
from datamodules.scaling import Scaling, fit_range, fit_scaling
from datamodules.splits import Dealing, Members, Trials
from datamodules.tasks import ConditionTask, RatingTask, Task
from datamodules.thresholds import fit_thresholds
from datamodules.windows import Cutting, WindowIndex

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
Grid = Literal["segments", "units"]
Positions = npt.NDArray[np.int64]


class WindowRecipe(TypingProtocol):
    """The part of a recipe of training that windows follow from."""

    @property
    def window(self) -> float: ...
    @property
    def stride(self) -> float: ...
    @property
    def scaling(self) -> Literal["standard", "min_max", "none"]: ...
    @property
    def balance(self) -> str: ...
    @property
    def batch_size(self) -> int: ...


@dataclass(frozen=True)
class Windowing:
    """Windows as a model's recipe wants them.

    Args:
        length: Length of a window in seconds; the shortest trial caps it, or the score unit, or
            where that is more, ``longest``.
        stride: Seconds from one training window's start to the next.
        scaling: ``"standard"`` for zero mean and unit variance a channel over the training
            segments; ``"min_max"`` for their range to be 0 to 1; ``"none"`` for the samples as
            recorded.
        oversample: Whether training windows of rarer classes are repeated, drawn at random, until
            all classes have as many as the most frequent one.
        longest: Seconds up to which a window may be longer than a score unit. Such a window is
            placed around each unit, inside the same segment, and every segment with a unit has to
            hold one. 0: no window is longer than a unit.
    """

    length: float = 60.0
    stride: float = 30.0
    scaling: Literal["standard", "min_max", "none"] = "standard"
    oversample: bool = False
    longest: float = 0.0

    @classmethod
    def of(cls, recipe: WindowRecipe) -> Self:
        """Return windows as a recipe wants them."""
        return cls(recipe.window, recipe.stride, recipe.scaling, recipe.balance == "oversample")


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold of one dataset and task.

    Args:
        archive: Recordings of all subjects.
        subjects: Their names, in the dataset's order.
        signals: Names of the signals in a window.
        published: Task as the dataset states it, before thresholds are fitted.
        protocol: Rule for thresholds, padding and the like.
        dealing: Number of the fold, and seed.
        windowing: Windows as the recipe wants them.
        cutting: Windows as they are cut, with the unit that is scored.
        members: Subjects and trials of each part.
        segments: Positions of each part's segments in ``archive.segments``.
        thresholds_from: Positions of the segments whose ratings give the thresholds.
        scaling_from: Positions of the segments that the scaling is fitted on.
        chosen_on: Part whose windows choose the epoch.
        dealt: Part of every window of a grid, where it is not that of the window's segment.
        copies: Rows of training windows that are repeated, and the part that each copy is in.
    """

    archive: Archive
    subjects: tuple[str, ...]
    signals: tuple[str, ...]
    published: Task
    protocol: Protocol
    dealing: Dealing
    windowing: Windowing
    cutting: Cutting
    members: Members
    segments: Mapping[Part, Positions]
    thresholds_from: Positions
    scaling_from: Positions
    chosen_on: Part = "val"
    dealt: Mapping[Grid, Positions] = field(default_factory=dict)
    copies: tuple[Positions, Positions] | None = None

    @cached_property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """True for each segment that is part of the task, shape (S,)."""
        return labelled(self.archive, self.published)

    @cached_property
    def fits_thresholds(self) -> bool:
        """True if thresholds between low and high are fitted on ratings."""
        return isinstance(self.published, RatingTask) and self.protocol.rule != "midpoint"

    @cached_property
    def task(self) -> Task:
        """Task with its thresholds fitted."""
        if not isinstance(self.published, RatingTask):
            return self.published
        rated = [self.archive.segments[position] for position in self.thresholds_from]
        ratings = [(self.archive.recordings[row].subject, segment) for row, segment in rated]
        return fit_thresholds(self.published, self.protocol.rule, ratings, self.subjects)

    @cached_property
    def grids(self) -> Mapping[Grid, WindowIndex]:
        """Windows of all subjects: cut inside segments, and those of the score units."""
        segments, units = RESIDENT.grids(self.archive, self.task, self.cutting)
        return {"segments": segments, "units": units}

    @cached_property
    def rows(self) -> Mapping[Part, Positions]:
        """Rows of each part in its grid.

        Raises:
            IncompatibleRunError: A part without a window.
        """
        rows = {part: self.rows_of(self._grid_of(part), part) for part in PARTS}
        for part, windows in rows.items():
            if not len(windows) and (part == "test" or not self.members.tests_only):
                raise IncompatibleRunError(
                    f"{self.task.name}: no window of {self.cutting.length:g} s in {part} "
                    f"(subjects {', '.join(getattr(self.members, part))}). Take a shorter window, "
                    "more subjects or fewer folds."
                )
        if self.windowing.oversample:
            target = self.grids["segments"].target
            rows["train"] = oversampled(rows["train"], target, self.dealing.seed)
        return rows

    @cached_property
    def baselines(self) -> Mapping[str, Rest]:
        """Baseline of each person; empty unless the protocol calibrates by one.

        Raises:
            IncompatibleRunError: People who rest less, or a task that does not say when they do.
        """
        seconds = self.protocol.calibrating.seconds
        return baselines(self.archive, self.published, seconds) if seconds else {}

    @property
    def gap(self) -> float:
        """Seconds around a baseline that are neither trained on nor tested: one score unit."""
        return max(self.cutting.length, self.cutting.unit or 0.0)

    @cached_property
    def resting_windows(self) -> WindowIndex:
        """Return the windows inside baselines, as close to each other as those of training."""
        cutting = self.cutting
        return baseline_windows(
            self.archive, self.baselines.values(), cutting.length, cutting.stride
        )

    @cached_property
    def _kept_out(self) -> Mapping[Grid, npt.NDArray[np.bool_]]:
        """Whether a window of a grid is in or near a baseline, shape (N,) each."""
        rests = self.baselines.values()
        return {
            name: near(self.archive, rests, windows, self.gap)
            for name, windows in self.grids.items()
        }

    @cached_property
    def scaled_on(self) -> Positions:
        """Positions of the labelled segments that the scaling is fitted on."""
        chosen = np.zeros(len(self.archive.segments), dtype=bool)
        chosen[self.scaling_from] = True
        return np.flatnonzero(chosen & self.labelled)

    @cached_property
    def scaling(self) -> Scaling | None:
        """Scaling that is fitted on training segments; None where samples are as recorded.

        None, too, where each person's own recordings give it. Of people who are calibrated by a
        baseline, it is the spread after their level at rest is taken away.
        """
        if self.windowing.scaling == "none" or self.members.tests_only:
            return None
        calibration = self.protocol.calibrating
        if calibration.scales:
            return self._rested_scaling if calibration.seconds else None
        chosen = np.zeros(len(self.archive.segments), dtype=bool)
        chosen[self.scaled_on] = True
        if self.windowing.scaling == "min_max":
            return fit_range(self.archive, self.signals, chosen)
        moments = {name: RESIDENT.moments(self.archive, name) for name in self.signals}
        return fit_scaling(moments, chosen)

    def means(self, signals: Sequence[str]) -> Mapping[str, torch.Tensor]:
        """Return the mean of signals over what a scaling is fitted on, by signal, shape (C, 1)."""
        chosen = np.zeros(len(self.archive.segments), dtype=bool)
        chosen[self.scaled_on] = True
        moments = {name: RESIDENT.moments(self.archive, name) for name in signals}
        return fit_scaling(moments, chosen).mean

    @cached_property
    def _resting_means(self) -> Mapping[str, npt.NDArray[np.float64]]:
        return {name: resting_means(self.archive, name, self.baselines) for name in self.signals}

    @cached_property
    def _rested_scaling(self) -> Scaling:
        chosen = np.zeros(len(self.archive.segments), dtype=bool)
        chosen[self.scaled_on] = True
        owner = people(self.archive)[[row for row, _ in self.archive.segments]]
        moments = {}
        for name, means in self._resting_means.items():
            count, mean, variance = RESIDENT.moments(self.archive, name)
            moments[name] = count, (mean - means[owner]).astype(np.float32), variance
        fitted = fit_scaling(moments, chosen)
        return Scaling({n: torch.zeros_like(m) for n, m in fitted.mean.items()}, fitted.std)

    def personal_scaling(self, windows: WindowIndex) -> Scaling:
        """Return the scaling of windows by their people's own recordings, (N, C, 1) a signal.

        Args:
            windows: Windows of any people, as those of a grid.
        """
        kind = self.protocol.calibrating.kind
        if kind == "baseline":
            return shifted_by_rest(self.archive, self._resting_means, self._rested_scaling, windows)
        scale = {"whole": scaled_by_all, "unlabelled": scaled_by_past}[kind]
        return scale(self.archive, self.signals, windows)

    def scaling_of(self, part: Part) -> Scaling | None:
        """Return the scaling of the windows of a part; None leaves the samples as recorded."""
        if self.windowing.scaling == "none" or not self.protocol.calibrating.scales:
            return self.scaling
        scaling, rows = self.personal_scaling(self.grid(part)), torch.from_numpy(self.rows[part])
        return Scaling(
            *({n: v[rows] for n, v in both.items()} for both in (scaling.mean, scaling.std))
        )

    def segments_of(self, part: Part) -> Positions:
        """Return the positions of the segments of a part's subjects and trials."""
        return self.segments[self._read_as(part)]

    def rows_of(self, grid: Grid, part: Part) -> Positions:
        """Return the rows of a grid that belong to a part, copies behind the others."""
        if grid not in self.dealt:
            inside = np.isin(self.grids[grid].segment, self.segments_of(part))
            return np.flatnonzero(inside & ~self._kept_out[grid] if self.baselines else inside)
        number = PARTS.index(self._read_as(part))
        rows = np.flatnonzero(self.dealt[grid] == number)
        if grid == "units" or self.copies is None:
            return rows
        repeated, parts = self.copies
        return np.concatenate([rows, repeated[parts == number]])

    def grid(self, part: Part) -> WindowIndex:
        """Return the windows of all subjects, cut as a part wants them."""
        return self.grids[self._grid_of(part)]

    def windows(self, part: Part) -> WindowIndex:
        """Return the windows of a part, in order of subject, session and time."""
        return self.grid(part).take(self.rows[part])

    def _grid_of(self, part: Part) -> Grid:
        return "segments" if part == "train" else "units"

    def _read_as(self, part: Part) -> Part:
        """Return the part whose windows a part has: its own, but for the choice of the epoch."""
        return self.chosen_on if part == "val" else part


def make_fold(
    archive: Archive,
    subjects: Sequence[str],
    signals: Sequence[str],
    task: Task,
    members: Members,
    protocol: Protocol,
    dealing: Dealing,
    windowing: Windowing,
    cutting: Cutting,
) -> Fold:
    """Return the fold of some members: everything is fitted on what is trained on.

    Args:
        archive: Recordings of all subjects.
        subjects: Their names, in the dataset's order.
        signals: Names of the signals in a window.
        task: Task as the dataset states it.
        members: Subjects and trials of each part, see ``deal_members``.
        protocol: Rule for thresholds, padding and the like.
        dealing: Number of the fold, and seed.
        windowing: Windows as the recipe wants them.
        cutting: Windows as they are cut.
    """
    segments = {part: segments_of(archive, members, part) for part in PARTS}
    return Fold(
        archive,
        tuple(subjects),
        tuple(signals),
        task,
        protocol,
        dealing,
        windowing,
        cutting,
        members,
        segments,
        thresholds_from=segments["train"],
        scaling_from=segments["train"],
        chosen_on="val" if protocol.validation else "train",
    )


def deal_members(
    archive: Archive,
    subjects: Sequence[str],
    task: Task,
    protocol: Protocol,
    dealing: Dealing,
    without: Sequence[str] = (),
) -> Members:
    """Return who is trained on, who chooses the epoch and who is tested.

    Args:
        archive: Recordings of all subjects.
        subjects: Their names, in the dataset's order.
        task: Task; trials that are not part of it are not dealt.
        protocol: Split, and whether a part is kept apart to choose the epoch.
        dealing: Number of the fold, and seed.
        without: Subjects that are not trained on.

    Raises:
        IncompatibleRunError: Fewer subjects, trials or sessions than the split needs.
    """
    dealing = replace(dealing, validation=protocol.validation)
    if protocol.splitting.crosses_stimuli:
        dealing = replace(dealing, classes=stimulus_classes(archive, task))
    members = protocol.splitting.members(trials_of(archive, subjects, task), dealing)
    members = replace(members, train=tuple(s for s in members.train if s not in without))
    return members if protocol.validation else replace(members, val=members.train)


def without_validation(members: Members, subjects: Sequence[str]) -> Members:
    """Return members of whom all that are not tested are trained on, and choose the epoch."""
    if members.disjoint:
        rest = {*members.train, *members.val}
        members = replace(members, train=tuple(s for s in subjects if s in rest), disjoint=False)
    trials = members.trials
    if trials is not None:
        train = trials["train"] | trials["val"]
        trials = {"train": train, "val": train, "test": trials["test"]}
    return replace(members, val=members.train, trials=trials, disjoint=False)


def join_validation(fold: Fold) -> Fold:
    """Return a fold in which the part that chose the epoch is trained on too.

    Scaling is fitted on both. Label thresholds stay those of the training part, so that the labels
    of what is tested are those of all other models.

    Args:
        fold: Fold with a part kept apart to choose the epoch.

    Raises:
        IncompatibleRunError: A fold without such a part.
    """
    if fold.chosen_on != "val":
        raise IncompatibleRunError(
            "refit: expected a validation part to train on as well, found an epoch that is chosen "
            f"on {fold.chosen_on}"
        )
    train, val = PARTS.index("train"), PARTS.index("val")
    copies = fold.copies
    return replace(
        fold,
        members=without_validation(fold.members, fold.subjects),
        segments={
            **fold.segments,
            "train": np.union1d(fold.segments["train"], fold.segments["val"]),
        },
        scaling_from=np.union1d(fold.scaling_from, fold.segments["val"]),
        chosen_on="train",
        dealt={name: np.where(parts == val, train, parts) for name, parts in fold.dealt.items()},
        copies=copies and (copies[0], np.where(copies[1] == val, train, copies[1])),
    )


def test_alone(fold: Fold, subjects: Collection[str]) -> Fold:
    """Return a fold whose test part has some of its subjects only."""
    members = replace(fold.members, test=tuple(s for s in fold.members.test if s in subjects))
    segments = {**fold.segments, "test": segments_of(fold.archive, members, "test")}
    return replace(fold, members=members, segments=segments)


def keeps_validation(fold: Fold) -> bool:
    """Return whether other people than those who are tested choose the epoch, on the honest path.

    They are neither trained on nor tested then.
    """
    return fold.chosen_on == "val" and fold.protocol.honest and not fold.members.within


def validation_tested(fold: Fold) -> Fold:
    """Return a fold whose tested part is the one that chooses the epoch; it has no tested people.

    Args:
        fold: Fold with a part kept apart to choose the epoch.

    Raises:
        IncompatibleRunError: A fold without such a part.
    """
    if not keeps_validation(fold):
        raise IncompatibleRunError(
            "expected validation people, who are neither trained on nor tested, found an epoch "
            f"that is chosen on {fold.chosen_on}, under {fold.protocol.split}"
        )
    members, trials = fold.members, fold.members.trials
    return replace(
        fold,
        members=replace(
            members,
            test=members.val,
            trials=trials and {**trials, "test": trials["val"]},
            disjoint=False,
        ),
        segments={**fold.segments, "test": fold.segments["val"]},
    )


def trials_of(archive: Archive, subjects: Sequence[str], task: Task) -> Trials:
    """Return session and key of every trial that is part of a task, by subject."""
    trials: dict[str, list[tuple[str, str]]] = {subject: [] for subject in subjects}
    for (row, segment), key in zip(archive.segments, archive.trial_keys.tolist(), strict=True):
        recording = archive.recordings[row]
        if task.label(recording.subject, segment) is not None:
            trials[recording.subject].append((recording.session, key))
    return trials


def stimulus_classes(archive: Archive, task: Task) -> dict[str, int]:
    """Return the class of each stimulus; none where people differ about any of them.

    So what one person felt has no say in who is trained on what.
    """
    classes: dict[str, int] = {}
    for (row, segment), key in zip(archive.segments, archive.trial_keys.tolist(), strict=True):
        label = task.label(archive.recordings[row].subject, segment)
        if label is not None and classes.setdefault(key, label) != label:
            return {}
    return classes


def segments_of(archive: Archive, members: Members, part: Part) -> Positions:
    """Return the positions of the segments of a part's subjects and trials."""
    owners = [archive.recordings[row].subject for row, _ in archive.segments]
    inside = np.isin(owners, getattr(members, part))
    if members.trials is not None:
        inside &= np.isin(archive.trial_keys, list(members.trials[part]))
    return np.flatnonzero(inside)


def labelled(archive: Archive, task: Task) -> npt.NDArray[np.bool_]:
    """Return whether each segment is part of a task, shape (S,)."""
    return np.array(
        [
            task.label(archive.recordings[row].subject, segment) is not None
            for row, segment in archive.segments
        ]
    )


def oversampled(rows: Positions, target: npt.NDArray[np.int64], seed: int) -> Positions:
    """Return rows and repeats of them, so that every class has as many as the largest.

    Args:
        rows: Training windows.
        target: Class index of every window of the grid that they are rows of.
        seed: Seed that chooses the repeats.
    """
    classes, counts = np.unique(target[rows], return_counts=True)
    rng = np.random.default_rng(seed)
    repeats = [
        rng.choice(rows[target[rows] == label], counts.max() - count)
        for label, count in zip(classes, counts, strict=True)
    ]
    return np.concatenate([rows, *repeats])


def class_counts(fold: Fold) -> torch.Tensor:
    """Return the number of training windows of each class, shape (K,)."""
    target = fold.windows("train").target
    return torch.from_numpy(np.bincount(target, minlength=len(fold.task.classes)))


def conditions(fold: Fold) -> Positions:
    """Return the position of each training window's condition in the list of the task, shape (N,).

    Two conditions may be one class. Where a task has no conditions, it is the class.
    """
    windows = fold.windows("train")
    task = fold.published
    if not isinstance(task, ConditionTask):
        return windows.target
    segments, inverse = np.unique(windows.segment, return_inverse=True)
    positions = [task.position(fold.archive.segments[segment][1]) for segment in segments]
    return np.array(positions, dtype=np.int64)[inverse]

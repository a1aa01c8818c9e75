"""Task: from the publisher's annotations of a segment to a class index."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Segment

LabelRule = Literal["midpoint", "median", "kmeans"]
RULES: tuple[LabelRule, ...] = get_args(LabelRule)

Rated = tuple[str, Segment]
"""A subject and a segment that was rated."""

CLUSTERING_STARTS = 10
"""Starting points of k-means, of which the best clustering counts; unspecified where published."""


class Task(Protocol):
    """What is to be told apart, and where the classes come from. Equal tasks label alike."""

    @property
    def name(self) -> str:
        """Catalogue key, e.g. ``"stress"``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes in order of their index."""

    @property
    def source(self) -> str:
        """Who set the task: a paper, or the publisher's own readme."""

    def label(self, subject: str, segment: Segment) -> int | None:
        """Class index of a subject's segment; None if it is not part of this task."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class ConditionTask:
    """Classes are conditions that the publisher names.

    Args:
        name: Catalogue key, e.g. ``"stress"``.
        classes: Names of the K classes in order of their index.
        conditions: Class index of each published condition; the others are not part of the task.
        source: Who set the task.
        annotation: Key of the condition among a segment's annotations.

    Raises:
        ValueError: Fewer than two classes, or an index that names none of them.
    """

    name: str
    classes: tuple[str, ...]
    conditions: Mapping[str, int]
    source: str
    annotation: str = "condition"

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or set(self.conditions.values()) != set(range(len(self.classes))):
            raise ValueError(
                f"task {self.name}: expected conditions for each of {self.classes}, "
                f"found {dict(self.conditions)}"
            )

    def label(self, subject: str, segment: Segment) -> int | None:
        """Class index of the segment's condition; None for a condition that is not part of it."""
        return self.conditions.get(str(segment.annotations.get(self.annotation)))


@dataclass(frozen=True)
class RatingTask:
    """Low or high on a rating scale: above a threshold is high, ties are low.

    The threshold is the midpoint of the scale (default), or is fitted on ratings by ``fitted``.

    Args:
        name: Catalogue key and key of the rating among a segment's annotations.
        midpoint: Of the scale.
        source: Who set the task.
        plane: The two ratings that k-means clusters together.
        thresholds: By subject, where there is one; ``midpoint`` for everybody else.
    """

    name: str
    midpoint: float
    source: str
    plane: tuple[str, str] = ("arousal", "valence")
    thresholds: tuple[tuple[str, float], ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Low and high."""
        return "low", "high"

    def label(self, subject: str, segment: Segment) -> int | None:
        """1 for a rating above the subject's threshold; None for a segment without one."""
        rating = segment.annotations.get(self.name)
        if rating is None:
            return None
        return int(float(rating) > self._own.get(subject, self.midpoint))

    @cached_property
    def _own(self) -> dict[str, float]:
        return dict(self.thresholds)

    def fitted(
        self, rule: LabelRule, ratings: Iterable[Rated], everybody: Iterable[str]
    ) -> "RatingTask":
        """The task with thresholds from ratings, of training segments alone.

        A subject among the raters gets the threshold of the own ratings, everybody else that of all
        of them together: nothing about a new person is known.

        Args:
            rule: ``"midpoint"``: as published, nothing is fitted. ``"median"``: the median rating.
                ``"kmeans"``: the ratings of ``plane`` in two clusters, and the middle between their
                centres on this task's axis (RTCAN-1D, Yin et al. 2022, figure 2).
            ratings: Training segments and their subjects.
            everybody: All subjects of the run.

        Raises:
            IncompatibleRunError: No training segment has the ratings.
        """
        if rule == "midpoint":
            return self
        plane = self.plane if rule == "kmeans" else (self.name,)
        axis = plane.index(self.name)
        rated: dict[str, list[list[float]]] = {}
        for subject, segment in ratings:
            if all(name in segment.annotations for name in plane):
                point = [float(segment.annotations[name]) for name in plane]
                rated.setdefault(subject, []).append(point)
        if not rated:
            raise IncompatibleRunError(
                f"{self.name}, label rule {rule}: expected training trials with ratings of "
                f"{' and '.join(plane)}, found none. Take the rule midpoint or other subjects."
            )
        threshold = {"median": _median, "kmeans": _between_clusters}[rule]
        pooled = threshold(np.array([p for own in rated.values() for p in own]))[axis]
        own = {subject: threshold(np.array(points))[axis] for subject, points in rated.items()}
        found = tuple((subject, float(own.get(subject, pooled))) for subject in everybody)
        return replace(self, thresholds=found)


@dataclass(frozen=True)
class RoundedTask:
    """A class for each whole number of a rating scale; ratings in the middle go to the even one.

    Args:
        name: Catalogue key.
        rating: Key of the rating among a segment's annotations.
        scale: Lowest and highest class.
        source: Who set the task.
    """

    name: str
    rating: str
    scale: tuple[int, int]
    source: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The whole numbers of the scale."""
        lowest, highest = self.scale
        return tuple(map(str, range(lowest, highest + 1)))

    def label(self, subject: str, segment: Segment) -> int | None:
        """Position of the rounded rating on the scale; None for a segment without one."""
        rating = segment.annotations.get(self.rating)
        return None if rating is None else round(float(rating)) - self.scale[0]


@dataclass(frozen=True)
class QuadrantTask:
    """Low or high valence and arousal at once, of ratings rounded to whole numbers.

    Args:
        name: Catalogue key.
        high: Rounded ratings from here on are high.
        source: Who set the task.
    """

    name: str
    high: int
    source: str
    classes: tuple[str, ...] = (
        "low_valence_low_arousal",
        "low_valence_high_arousal",
        "high_valence_low_arousal",
        "high_valence_high_arousal",
    )

    def label(self, subject: str, segment: Segment) -> int | None:
        """Position of the quadrant among the classes; None for a segment without both ratings."""
        ratings = [segment.annotations.get(name) for name in ("valence", "arousal")]
        if any(rating is None for rating in ratings):
            return None
        valence, arousal = (round(float(rating)) >= self.high for rating in ratings)  # type: ignore[arg-type]
        return 2 * valence + arousal


def _median(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median of each column of (n, d) ratings."""
    return np.asarray(np.median(points, axis=0))


def _between_clusters(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Middle of the two k-means centres of (n, d) ratings; of one single rating: itself."""
    if len(np.unique(points, axis=0)) < 2:
        return np.asarray(points[0])
    found = KMeans(2, n_init=CLUSTERING_STARTS, random_state=0).fit(points)
    return np.asarray(found.cluster_centers_.mean(axis=0))

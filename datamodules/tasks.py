"""Task: from the publisher's annotations of a segment to a class index."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args

from datamodules.signals.recording import Segment

LabelRule = Literal["midpoint", "median", "kmeans"]
RULES: tuple[LabelRule, ...] = get_args(LabelRule)


class Task(Protocol):
    """Classes to be recognised, and where they come from. Equal tasks label alike."""

    @property
    def name(self) -> str:
        """Catalogue key, e.g. ``"stress"``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes in order of their index."""

    @property
    def source(self) -> str:
        """Paper or publisher's readme that set the task."""

    def label(self, subject: str, segment: Segment) -> int | None:
        """Return the class index of a subject's segment; None if it is not part of this task."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class ConditionTask:
    """Classes are conditions that the publisher names.

    Args:
        name: Catalogue key, e.g. ``"stress"``.
        classes: Names of the K classes in order of their index.
        conditions: Class index of each published condition; the others are not part of the task.
        source: Paper or readme that set the task.
        annotation: Key of the condition among a segment's annotations.
        rest: Conditions under which a person rests, of those that take part.
        rests_before: Whether a recording is rest from its beginning on, before its segment of rest.
        partial: Whether classes may lack a condition, as in a task that only tests the models of
            another one.

    Raises:
        ValueError: Fewer than two classes, a class without a condition, an index that names no
            class, or a rest that is not among the conditions.
    """

    name: str
    classes: tuple[str, ...]
    conditions: Mapping[str, int]
    source: str
    annotation: str = "condition"
    rest: tuple[str, ...] = ()
    rests_before: bool = False
    partial: bool = False

    def __post_init__(self) -> None:
        used, numbers = set(self.conditions.values()), set(range(len(self.classes)))
        fits = used == numbers or (self.partial and used < numbers)
        if len(self.classes) < 2 or not fits:
            raise ValueError(
                f"task {self.name}: expected conditions for each of {self.classes}, "
                f"found {dict(self.conditions)}"
            )
        if unknown := set(self.rest) - set(self.conditions):
            raise ValueError(
                f"task {self.name}: expected rest among {list(self.conditions)}, found "
                f"{sorted(unknown)}"
            )

    def label(self, subject: str, segment: Segment) -> int | None:
        """Return the class index of the segment's condition; None if it is not part of the task."""
        return self.conditions.get(self._condition(segment))

    def position(self, segment: Segment) -> int:
        """Return the position of the condition of a segment that takes part in ``conditions``."""
        return list(self.conditions).index(self._condition(segment))

    def is_rest(self, segment: Segment) -> bool:
        """Return whether a person rests in a segment."""
        return self._condition(segment) in self.rest

    def _condition(self, segment: Segment) -> str:
        return str(segment.annotations.get(self.annotation))


@dataclass(frozen=True)
class RatingTask:
    """Low or high on a rating scale: above a threshold is high, ties are low.

    The threshold is the midpoint of the scale (default), or is fitted on ratings, see
    ``datamodules.thresholds``.

    Args:
        name: Catalogue key and key of the rating among a segment's annotations.
        midpoint: Midpoint of the scale.
        source: Paper or readme that set the task.
        plane: Ratings that k-means clusters together, this one among them.
        thresholds: Thresholds by subject; ``midpoint`` holds for everybody else.
    """

    name: str
    midpoint: float
    source: str
    plane: tuple[str, ...] = ("arousal", "valence")
    thresholds: tuple[tuple[str, float], ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Low and high."""
        return "low", "high"

    def label(self, subject: str, segment: Segment) -> int | None:
        """Return 1 for a rating above the subject's threshold; None for a segment without one."""
        rating = segment.annotations.get(self.name)
        if rating is None:
            return None
        return int(float(rating) > self._threshold_of.get(subject, self.midpoint))

    @cached_property
    def _threshold_of(self) -> dict[str, float]:
        return dict(self.thresholds)


@dataclass(frozen=True)
class RoundedTask:
    """A class for each whole number of a rating scale; ratings in the middle go to the even one.

    Args:
        name: Catalogue key.
        rating: Key of the rating among a segment's annotations.
        scale: Lowest and highest class.
        source: Paper or readme that set the task.
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
        """Return the position of the rounded rating on the scale; None without a rating."""
        rating = segment.annotations.get(self.rating)
        return None if rating is None else round(float(rating)) - self.scale[0]


@dataclass(frozen=True)
class QuadrantTask:
    """Low or high valence and arousal at once, of ratings rounded to whole numbers.

    Args:
        name: Catalogue key.
        high: Rounded ratings from here on are high.
        source: Paper or readme that set the task.
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
        """Return the position of the quadrant among the classes; None without both ratings."""
        ratings = [segment.annotations.get(name) for name in ("valence", "arousal")]
        if any(rating is None for rating in ratings):
            return None
        valence, arousal = (round(float(rating)) >= self.high for rating in ratings)  # type: ignore[arg-type]
        return 2 * valence + arousal

"""Spaces: the values among which a study chooses those of a model. It needs no torch.

A space has a range or a choice for each value, by name: a field of ``Recipe``, or an argument of
the model's constructor. Windows are in none, so that rows of a board see windows of one length.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included.

    Args:
        low: Smallest number.
        high: Largest number.
        log: Whether equal ratios are equally likely, and not equal differences.
        whole: Whether they are whole numbers.

    Raises:
        ValueError: Ends that are no range.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"expected a range from low to high, found {self}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low to be positive where log is true, found {self}")
        if self.whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ValueError(f"expected whole ends of a range of whole numbers, found {self}")

    def including(self, value: Value) -> "Range":
        """Return the range, wide enough for a value.

        Raises:
            ValueError: It cannot be in such a range.
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"expected a number, found {value!r}")
        return replace(self, low=min(self.low, value), high=max(self.high, value))


@dataclass(frozen=True)
class Choice:
    """A few values, without an order.

    Args:
        values: The values.

    Raises:
        ValueError: Fewer than two values.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < 2:
            raise ValueError(f"expected two values or more to choose from, found {self.values}")

    def including(self, value: Value) -> "Choice":
        """Return the choice with a value among the others."""
        return self if value in self.values else Choice((*self.values, value))


Space = Mapping[str, Range | Choice]

NETWORK: Space = {
    "lr": Range(1e-4, 1e-2, log=True),
    "weight_decay": Choice((0.0, 1e-5, 1e-4, 1e-3, 1e-2)),
    "batch_size": Choice((32, 64, 128, 256)),
    "balance": Choice(("none", "class_weights", "oversample")),
}
"""Space of every network that has none of its own: equal care for all."""
SPACES: dict[str, Space] = {}
"""Spaces by model; a plug-in adds those of its own models."""

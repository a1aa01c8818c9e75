"""Values in files: checks of arrays, and short descriptions of any value for messages."""

from collections.abc import Iterable, Sequence
from itertools import islice
from reprlib import Repr
from typing import Any

import numpy as np
import numpy.typing as npt

SHOWN, MANY = 80, 60
"""Largest number of characters of a value that a message shows, and of values in a row."""
SHARES = ((0.01, "under 1 %"), (0.1, "1 to 10 %"), (0.5, "10 to 50 %"), (1.0, "over half"))
"""Shares of a recording in coarse steps, so that equal faults have equal reasons."""


def share(flags: npt.NDArray[np.bool_]) -> str:
    """Return the share of flags that are set, in the words of ``SHARES`` or ``"all"``."""
    mean = float(flags.mean())
    return "all" if mean == 1 else next(words for most, words in SHARES if mean <= most)


def describe(values: object) -> str:
    """Return type and shape of an array, or the type of another value, for messages."""
    if isinstance(values, np.ndarray):
        return f"{values.dtype} {values.shape}"
    return f"a {type(values).__name__}"


class _Short(Repr):
    """Writes the beginning of a value, however much is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, SHOWN, SHOWN

    def repr_ndarray(self, values: npt.NDArray[Any], level: int) -> str:
        return describe(values)

    def repr_int(self, value: int, level: int) -> str:
        digits = value.bit_length() * 3 // 10
        return f"a number of about {digits} digits" if digits > SHOWN else repr(value)


def shown(value: object) -> str:
    """Return a value of a file as a message shows it: 80 characters at most, made in no time.

    What is in a file may refer to itself or to one part many times, so that it has no end when it
    is written out.
    """
    text = _Short().repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def listed(values: Iterable[object]) -> str:
    """Return the first of some values, such as the keys of a dict, as a message shows them."""
    first = [shown(value) for value in islice(values, MANY + 1)]
    return f"[{', '.join(first[:MANY] + ['...'] * (len(first) > MANY))}]"


def keys_of(content: object) -> str:
    """Return the keys of a dict in order, or what another value is, for messages."""
    if not isinstance(content, dict):
        return describe(content)
    return listed(sorted(content, key=shown))


def is_numbers(values: object, shape: Sequence[int | None]) -> bool:
    """Return whether a value is an array of real numbers of some shape.

    Args:
        values: Any value.
        shape: Length of each axis; None: any length above 0.
    """
    return (
        isinstance(values, np.ndarray)
        and values.dtype.kind in "fiu"
        and values.ndim == len(shape)
        and all(
            length == expected if expected is not None else length > 0
            for length, expected in zip(values.shape, shape, strict=True)
        )
    )

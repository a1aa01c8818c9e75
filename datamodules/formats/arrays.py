"""Arrays in files: checks, and short descriptions of them for messages."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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

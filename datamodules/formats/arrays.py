"""What is wrong with what a file holds, in few words."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SHARES = ((0.01, "under 1 %"), (0.1, "1 to 10 %"), (0.5, "10 to 50 %"), (1.0, "over half"))
"""How much of a recording, so that equal faults have equal reasons."""


def share(flags: npt.NDArray[np.bool_]) -> str:
    """How many of some flags are set, in the words of ``SHARES`` or ``"all"``."""
    mean = float(flags.mean())
    return "all" if mean == 1 else next(words for most, words in SHARES if mean <= most)


def describe(values: object) -> str:
    """What was found instead of an array, for messages."""
    if isinstance(values, np.ndarray):
        return f"{values.dtype} {values.shape}"
    return f"a {type(values).__name__}"


def is_numbers(values: object, shape: Sequence[int | None]) -> bool:
    """Whether it is an array of real numbers of a shape, in which None is any length above 0."""
    return (
        isinstance(values, np.ndarray)
        and values.dtype.kind in "fiu"
        and values.ndim == len(shape)
        and all(
            length == wanted if wanted is not None else length > 0
            for length, wanted in zip(values.shape, shape, strict=True)
        )
    )

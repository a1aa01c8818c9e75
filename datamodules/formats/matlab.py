"""Matlab files up to version 7, with errors that say what is wrong with the file."""

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy.io import loadmat
from scipy.io.matlab import MatReadError, MatReadWarning

from datamodules.errors import DatasetCorruptedError

BROKEN = (
    MatReadError,
    MatReadWarning,
    EOFError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What SciPy raises on files that are cut short or are no Matlab files."""


def load_matlab(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Some variables of a Matlab file; the others are not read.

    SciPy's demand that a compressed variable ends where its contents do is not made: files of
    AMIGOS that are otherwise sound do not meet it. zlib's own check sum is verified all the same.

    Args:
        path: A file of version 5 to 7.
        names: Variables that must be there.

    Returns:
        By name: arrays; a cell array is one of dtype object.

    Raises:
        DatasetCorruptedError: The file is cut short, is no Matlab file of these versions, or lacks
            a variable.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", MatReadWarning)
            content: dict[str, Any] = loadmat(
                path, variable_names=list(names), verify_compressed_data_integrity=False
            )
    except BROKEN as error:
        raise DatasetCorruptedError(
            f"{path}: expected a whole Matlab file of version 5 to 7, found one that cannot be "
            f"read ({type(error).__name__}: {error}). Fetch the file anew from its publisher."
        ) from error
    for name in names:
        if name not in content:
            found = sorted(key for key in content if not key.startswith("__"))
            raise DatasetCorruptedError(
                f"{path}: expected a variable {name!r}, found "
                f"{', '.join(found) or 'none of those wanted'}"
            )
    return {name: content[name] for name in names}

"""Matlab files up to version 7, with errors that say what is wrong with the file."""

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import scipy

from datamodules.errors import DatasetCorruptedError
from datamodules.machine import refuse_machine

BROKEN = (
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
"""Errors of SciPy on files that are cut short or are no Matlab files, besides its own classes."""


def load_matlab(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Read some variables of a Matlab file.

    SciPy's check that a compressed variable ends where its contents do is switched off: files of
    AMIGOS that are otherwise sound do not pass it. zlib's own check sum is verified all the same.

    Args:
        path: A file of version 5 to 7.
        names: Names of variables that the file must have.

    Returns:
        Arrays by name; a cell array has the dtype object.

    Raises:
        DatasetCorruptedError: The file is cut short, is no Matlab file of these versions, or lacks
            a variable.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", scipy.io.matlab.MatReadWarning)
            content: dict[str, npt.NDArray[Any]] = scipy.io.loadmat(
                path, variable_names=list(names), verify_compressed_data_integrity=False
            )
    except (*BROKEN, scipy.io.matlab.MatReadError, scipy.io.matlab.MatReadWarning) as error:
        refuse_machine(error, path)
        raise DatasetCorruptedError(
            f"{path}: expected a whole Matlab file of version 5 to 7, found one that cannot be "
            f"read ({type(error).__name__}: {error}). Fetch the file anew from its publisher."
        ) from error
    for name in names:
        if name not in content:
            variables = sorted(key for key in content if not key.startswith("__"))
            raise DatasetCorruptedError(
                f"{path}: expected a variable {name!r}, found "
                f"{', '.join(variables) or 'none of those wanted'}"
            )
    return {name: content[name] for name in names}

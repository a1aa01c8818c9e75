"""Tables of comma-separated values; pandas, which parses them, is loaded with the first table."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import lazy_loader
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy_loader.load("pandas")

Float = TypeVar("Float", np.float32, np.float64)


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of columns in the first line of a file; raises ValueError if it is empty."""
    return tuple(map(str, pd.read_csv(path, nrows=0).columns))


def read_columns(
    path: Path, types: Mapping[str, type[str] | type[np.number[Any]]]
) -> dict[str, npt.NDArray[Any]]:
    """Read some columns of a file whose first line names its columns.

    Args:
        path: The file; it may have other columns.
        types: ``str`` or a numpy type by name of the column.

    Returns:
        Cells by name of the column, shape (rows,). An empty cell is ``""`` in a column of text and
        NaN in a column of floats.

    Raises:
        ValueError: A column that is missing, or a cell that is not of the column's type.
    """
    frame = pd.read_csv(path, usecols=list(types), dtype=dict(types))
    return {
        name: frame[name].fillna("").to_numpy(np.str_) if kind is str else frame[name].to_numpy()
        for name, kind in types.items()
    }


def read_numbers(
    file: IO[str] | IO[bytes],
    dtype: type[Float],
    n_skipped: int = 0,
    n_columns: int | None = None,
    blank_rows: bool = False,
) -> npt.NDArray[Float]:
    """Read lines of numbers from an open file.

    Args:
        file: Lines without names of columns, after those that are skipped.
        dtype: Type of the numbers.
        n_skipped: Number of lines to skip.
        n_columns: Number of columns; None: as many as the first line has.
        blank_rows: Whether a blank line is a row of empty cells; else it is no row.

    Returns:
        Cells, shape (rows, columns); NaN if empty, infinite if beyond the type.

    Raises:
        ValueError: No line, a cell that is no number, or a line with more cells than the first.
    """
    names = None if n_columns is None else range(n_columns)
    frame = pd.read_csv(
        file,
        header=None,
        skiprows=n_skipped,
        names=names,
        dtype=dtype,
        skip_blank_lines=not blank_rows,
    )
    return frame.to_numpy(dtype)


def write_columns(
    path: Path, columns: Mapping[str, npt.NDArray[Any]], float_format: str = "%.6g"
) -> None:
    """Write a file whose first line names its columns; NaN becomes an empty cell.

    Args:
        path: The new file.
        columns: Cells by name of the column, shape (rows,) each.
        float_format: Format of floats, as the operator ``%`` takes it.
    """
    frame = pd.DataFrame(dict(columns))
    frame.to_csv(path, index=False, float_format=float_format, lineterminator="\n")

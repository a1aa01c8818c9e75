"""Samples by name of column, from CSV, Parquet, EDF or npz files that somebody laid out freely.

Where columns of a CSV or Parquet file have different rates, the shorter ones end in empty cells;
cells that are empty in between are refused. Nothing is interpolated, and nothing is left out.
"""

import csv
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.arrays import describe, is_numbers, listed
from datamodules.formats.edf import BLOCK, BYTES, VOLTS, read_channels
from datamodules.formats.folder_head import SignalEntry
from datamodules.formats.packed import BROKEN
from datamodules.machine import extra, refuse_machine

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy_loader.load("pandas")

Samples = npt.NDArray[np.float32]

CSV, PARQUET, NPZ = ".csv", ".parquet", ".npz"
ENCODING = "utf-8-sig"
"""UTF-8, with or without a byte order mark."""
SUFFIXES = (CSV, PARQUET, *BYTES, NPZ)
MOST_BYTES = 8_000_000_000
"""Largest size of an array in an npz file: an hour of 256 channels at 1 kHz in 64 bits has 7.4e9
bytes."""
BROKEN_ARRAYS = (
    *BROKEN,
    *(OSError, KeyError, MemoryError, OverflowError),
    *(SyntaxError, TokenError, TypeError),  # a header that is not the text that numpy writes
)
"""Errors of ``numpy.load`` on files that are damaged or no archives of arrays."""
DISCONTINUOUS = (b"EDF+D", b"BDF+D")
"""Beginning of the reserved field of a header whose records have gaps between them."""
RATE_ERROR = 1e-6
"""Largest relative difference of two rates that are the same."""


def read_samples(path: Path, entry: SignalEntry) -> Samples:
    """Return the samples of a signal in its unit, shape (C, T).

    An EDF file says rate and unit itself: the rate is compared, voltages are converted, any other
    unit must be the same unless the head has a factor.

    Args:
        path: The file; its ending says what it is.
        entry: What the head says of the signal.

    Raises:
        DatasetCorruptedError: The file is not as described.
        MissingExtraError: It is a Parquet file, and pyarrow is not installed.
    """
    columns, n_channels = entry.columns, len(entry.channels)
    if path.suffix not in SUFFIXES:
        raise DatasetCorruptedError(
            f"{path}: expected a file that ends in {', '.join(SUFFIXES)}, found {path.name}"
        )
    if n_channels and path.suffix != NPZ:
        raise DatasetCorruptedError(
            f"{path}: expected an {NPZ} file, as only its arrays have several channels; name the "
            "columns instead of channels"
        )
    if path.suffix == CSV:
        parts = _of_csv(path, columns)
    elif path.suffix == PARQUET:
        parts = _of_parquet(path, columns)
    elif path.suffix == NPZ:
        parts = _of_npz(path, columns, n_channels)
    else:
        parts = _of_edf(path, entry)
    lengths = {name: part.shape[-1] for name, part in parts.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        raise DatasetCorruptedError(
            f"{path}: expected columns of one length, found "
            f"{', '.join(f'{name} with {length}' for name, length in lengths.items())} numbers"
        )
    samples = np.concatenate([np.atleast_2d(parts[name]) for name in columns])
    factor = np.float32(1 if entry.scale is None else entry.scale)
    return np.ascontiguousarray(samples * factor, dtype=np.float32)


def _check_names(path: Path, columns: Sequence[str], names: Sequence[str]) -> None:
    missing = [name for name in columns if names.count(name) != 1]
    if missing:
        hint = " Separate columns by commas." if any(";" in name for name in names) else ""
        raise DatasetCorruptedError(
            f"{path}: expected one column {', '.join(missing)}, found {listed(names)}.{hint}"
        )


def _of_csv(path: Path, columns: Sequence[str]) -> dict[str, Samples]:
    try:
        with warnings.catch_warnings(), np.errstate(over="ignore"):
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells without a column
            with path.open(encoding=ENCODING, newline="") as file:
                names = next(csv.reader(file), [])
            _check_names(path, columns, names)
            frame = pd.read_csv(  # with usecols, cells beyond the last column would go unseen
                path,
                dtype=dict.fromkeys(columns, np.float32),
                index_col=False,  # else cells that have no name of their own move the others
                skip_blank_lines=False,  # of one column, a line without a number is an empty cell
                encoding=ENCODING,
                low_memory=False,
            )
    except (csv.Error, ValueError, pd.errors.ParserWarning) as error:
        raise _not_numbers(path, error) from error
    return {name: _without_end(path, name, frame[name].to_numpy()) for name in columns}


def _of_parquet(path: Path, columns: Sequence[str]) -> dict[str, Samples]:
    with extra("pyarrow", "parquet", f"{path}: to read Parquet"):
        from pyarrow import parquet  # an extra, and takes long to import
    parts = {}
    try:
        with parquet.ParquetFile(path) as file:
            _check_names(path, columns, file.schema_arrow.names)
            table = file.read(columns=list(columns))
        for name in columns:
            values = table[name].to_numpy()
            if not is_numbers(values, (None,)):
                raise ValueError(f"{name}: {describe(values)}")
            parts[name] = _without_end(path, name, values.astype(np.float32))
    except (ValueError, OSError, NotImplementedError) as error:
        refuse_machine(error, path)
        raise _not_numbers(path, error) from error
    return parts


def _without_end(path: Path, name: str, values: Samples) -> Samples:
    """Return a column up to its last number; empty cells before that are refused."""
    filled = np.flatnonzero(~np.isnan(values))
    values = values[: filled[-1] + 1] if len(filled) else values[:0]
    empty = np.flatnonzero(np.isnan(values))
    if len(empty):
        raise DatasetCorruptedError(
            f"{path}: expected a number in every row of {name} up to its last one, found "
            f"{len(empty)} empty cell(s), the first in row {empty[0] + 1} after the names"
        )
    return _finite(path, name, values)


def _finite(path: Path, name: str, values: npt.NDArray[Any]) -> Samples:
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    beyond = np.flatnonzero(~np.isfinite(values).reshape(-1))
    if len(beyond):
        raise DatasetCorruptedError(
            f"{path}: expected finite numbers in {name}, found {len(beyond)} that are not or do "
            f"not fit 32 bits, the first at {beyond[0]}"
        )
    return values


def _of_npz(path: Path, columns: Sequence[str], n_channels: int) -> dict[str, Samples]:
    parts = {}
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        names = [name.removesuffix(".npy") for name in sizes]
        _check_names(path, columns, names)
        if large := [name for name in columns if sizes[f"{name}.npy"] > MOST_BYTES]:
            raise ValueError(f"{large[0]} has more than {MOST_BYTES} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            for name in columns:
                values = arrays[name]
                shape = (n_channels, None) if n_channels else (None,)
                if not is_numbers(values, shape):
                    expected = f"({n_channels}, T)" if n_channels else "(T,)"
                    raise ValueError(f"{name}: {describe(values)}, expected the shape {expected}")
                parts[name] = _finite(path, name, values)
    except BROKEN_ARRAYS as error:
        refuse_machine(error, path)
        raise _not_numbers(path, error) from error
    return parts


def _of_edf(path: Path, entry: SignalEntry) -> dict[str, Samples]:
    with path.open("rb") as file:
        reserved = file.read(BLOCK)[192:236]
    if reserved.startswith(DISCONTINUOUS):
        raise DatasetCorruptedError(
            f"{path}: expected a recording without gaps, found {reserved[:5].decode()}, in which "
            "a sample's place does not say its time. Export it without gaps, or in parts."
        )
    channels, rate = read_channels(path, entry.columns)
    if abs(rate - entry.rate) > RATE_ERROR * entry.rate:
        raise DatasetCorruptedError(
            f"{path}: expected {', '.join(entry.columns)} at {entry.rate:g} Hz, as the head says, "
            f"found {rate:g} Hz. Correct the head."
        )
    return {
        name: _finite(path, name, channel.samples * _factor(path, name, channel.unit, entry))
        for name, channel in channels.items()
    }


def _factor(path: Path, name: str, unit: str, entry: SignalEntry) -> float:
    """Return by what the numbers of a channel are multiplied before the head's own factor."""
    if entry.scale is not None or unit == entry.unit:
        return 1.0
    if unit in VOLTS and entry.unit in VOLTS:
        return VOLTS[unit] / VOLTS[entry.unit]
    raise DatasetCorruptedError(
        f"{path}: expected {name} in {entry.unit}, as the head says, found {unit or 'no unit'}. "
        "Correct the head; scale there says by what the numbers are to be multiplied."
    )


def _not_numbers(path: Path, error: BaseException) -> DatasetCorruptedError:
    if isinstance(error, DatasetCorruptedError):
        return error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return DatasetCorruptedError(
        f"{path}: expected a whole {path.suffix} file with columns of numbers, found otherwise "
        f"({reason[:200]})"
    )

"""Samples in the cache: arrays in numpy's own files, whose checksums are kept elsewhere.

The checksum is a CRC-32, which finds a file that a disk, a copy or another program has changed; it
is no protection from somebody who changes the checksum too. A file is read through once by each
process that opens it, and again only after it has changed.
"""

import zlib
from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
FLOAT = np.dtype(np.float32)


class DamagedError(Exception):
    """A file of the cache is not what was written there."""


def checksum(samples: Samples) -> int:
    """Return the checksum of samples, shape (C, T), however they lie in memory."""
    return zlib.crc32(np.ascontiguousarray(samples).data.cast("B") if samples.size else b"")


def write_samples(path: Path, samples: Samples) -> None:
    """Write an array of shape (C, T) as ``numpy.save`` does; errors of writing have a number."""
    with path.open("wb") as file:
        file.write(_header(samples.shape, False))
        file.write(np.ascontiguousarray(samples).data)


def join_samples(
    path: Path, shape: tuple[int, int], by_time: bool, pieces: Iterable[Samples]
) -> None:
    """Write pieces one after another in time as one array.

    Nothing is written through a memory map, as a full disk kills a process that does.

    Args:
        path: The new file.
        shape: Shape of all pieces together, (C, T).
        by_time: Whether the channels of a sample lie side by side; else time runs first.
        pieces: Arrays of shape (C, any).
    """
    header = _header(shape, by_time)
    n_times, offset = shape[1], 0
    with path.open("wb") as file:
        file.write(header)
        for piece in pieces:
            if by_time:
                file.write(np.ascontiguousarray(piece.T).data)
                continue
            for channel, values in enumerate(piece):
                file.seek(len(header) + FLOAT.itemsize * (channel * n_times + offset))
                file.write(np.ascontiguousarray(values).data)
            offset += piece.shape[1]


def map_samples(
    path: Path, shape: tuple[int, int], by_time: bool = False, mode: Literal["r", "c"] = "r"
) -> Samples:
    """Return an array of a known shape, memory-mapped.

    Raises:
        DamagedError: Another array, or none.
    """
    header = _header(shape, by_time)
    try:
        with path.open("rb") as file:
            start = file.read(len(header))
        size = path.stat().st_size
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DamagedError(f"{path}: {error.strerror}") from error
    if start != header or size != len(header) + FLOAT.itemsize * shape[0] * shape[1]:
        raise DamagedError(f"{path}: another array than was written")
    return np.memmap(path, FLOAT, mode, len(header), shape, "F" if by_time else "C")


def checksums(
    path: Path, shape: tuple[int, int], by_time: bool, bounds: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the checksum of each piece of an array.

    Args:
        path: The file.
        shape: Shape of the array, (C, T).
        by_time: Whether the channels of a sample lie side by side.
        bounds: First sample of each piece, and the one after the last.

    Raises:
        DamagedError: Another array, or none.
    """
    try:
        stat = path.stat()
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: {error.strerror}") from error
    return _checksums(path, stat.st_size, stat.st_mtime_ns, shape, by_time, bounds)


@lru_cache(maxsize=4096)
def _checksums(
    path: Path,
    size: int,
    changed: int,
    shape: tuple[int, int],
    by_time: bool,
    bounds: tuple[int, ...],
) -> tuple[int, ...]:
    samples = map_samples(path, shape, by_time)
    return tuple(checksum(samples[:, start:stop]) for start, stop in pairwise(bounds))


def _header(shape: tuple[int, ...], by_time: bool) -> bytes:
    """Return the beginning of numpy's file of an array."""
    file = BytesIO()
    described = {"descr": FLOAT.str, "fortran_order": by_time, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()

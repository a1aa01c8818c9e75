"""Samples in the cache: a file of numpy's for each signal of a subject, kept with its checksums.

Its recordings lie one after another, each as rows of channels or, below ``SPARSE``, as rows of
samples. The checksum is a CRC-32, which finds a file that a disk, a copy or another program has
changed; it is no protection from somebody who changes the checksum too. A file is read through once
by each process that opens it, and again only after it has changed.
"""

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
FLOAT = np.dtype(np.float32)
SPARSE = 1.0
"""Rate in Hz below which the channels of a sample lie side by side, as a window holds few samples
and is gathered sooner so. Otherwise time runs first."""
AT_ONCE = 1 << 20
"""Bytes that are in memory at once while a file is read through."""


class DamagedError(Exception):
    """A file of the cache is not what was written there."""


class Layout(NamedTuple):
    """How the samples of a recording lie in the file.

    Attributes:
        n_channels: C.
        n_times: T.
        by_time: Whether the channels of a sample lie side by side.
    """

    n_channels: int
    n_times: int
    by_time: bool

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n_channels * self.n_times


class SamplesWriter:
    """Writes recordings of a signal one after another.

    Nothing is written through a memory map, as a full disk kills a process that does.

    Args:
        file: New file, open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, 0
        file.write(bytes(HEAD))

    def write(self, samples: Samples, by_time: bool) -> memoryview:
        """Write samples, shape (C, T), and return them as bytes as they lie in the file."""
        data = np.ascontiguousarray(samples.T if by_time else samples).data.cast("B")
        self.file.write(data)
        self.size += samples.size
        return data

    def finish(self) -> None:
        """Write the head of the file."""
        self.file.seek(0)
        self.file.write(_head(self.size))


def map_samples(path: Path, layouts: Sequence[Layout]) -> tuple[Samples, ...]:
    """Return the samples of each recording, shape (C, T), memory-mapped.

    Raises:
        DamagedError: Another array, or none.
    """
    # Heavy, and only those need it who gather windows. A map of numpy's keeps its file open, and
    # systems allow few open files.
    from torch import float32, from_file

    size = _checked_size(path, layouts)
    values = from_file(str(path), False, HEAD // FLOAT.itemsize + size, dtype=float32).numpy()
    pieces = _cut(values[HEAD // FLOAT.itemsize :], layouts)
    return tuple(
        piece.reshape(layout.n_times, layout.n_channels).T
        if layout.by_time
        else piece.reshape(layout.n_channels, layout.n_times)
        for layout, piece in zip(layouts, pieces, strict=True)
    )


def checksums(path: Path, layouts: tuple[Layout, ...]) -> tuple[int, ...]:
    """Return the checksum of each recording in a file.

    Raises:
        DamagedError: Another array, or none.
    """
    try:
        stat = path.stat()
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: {error.strerror}") from error
    return _checksums(path, stat.st_size, stat.st_mtime_ns, layouts)


@lru_cache(maxsize=1 << 16)
def _checksums(path: Path, size: int, changed: int, layouts: tuple[Layout, ...]) -> tuple[int, ...]:
    _checked_size(path, layouts)
    sums = []
    with path.open("rb") as file:
        file.seek(HEAD)
        for layout in layouts:
            value, left = 0, FLOAT.itemsize * layout.size
            while left:
                data = file.read(min(left, AT_ONCE))
                if not data:
                    raise DamagedError(f"{path}: shorter than what was written")
                value, left = zlib.crc32(data, value), left - len(data)
            sums.append(value)
    return tuple(sums)


def _cut(values: Samples, layouts: Sequence[Layout]) -> Iterator[Samples]:
    stops = accumulate(layout.size for layout in layouts)
    for layout, stop in zip(layouts, stops, strict=True):
        yield values[stop - layout.size : stop]


def _checked_size(path: Path, layouts: Sequence[Layout]) -> int:
    """Return the number of values in a file, after a look at its head and its size."""
    size = sum(layout.size for layout in layouts)
    head = _head(size)
    try:
        with path.open("rb") as file:
            start = file.read(len(head))
        n_bytes = path.stat().st_size
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DamagedError(f"{path}: {error.strerror}") from error
    if start != head or n_bytes != len(head) + FLOAT.itemsize * size:
        raise DamagedError(f"{path}: another array than was written")
    return size


def _head(size: int) -> bytes:
    """Return the beginning of numpy's file of an array of so many values."""
    file = BytesIO()
    described = {"descr": FLOAT.str, "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


HEAD = len(_head(0))
"""Bytes of it, whatever the size: numpy leaves room for the digits."""

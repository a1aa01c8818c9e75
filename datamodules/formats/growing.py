"""Lines of a text file that grows while it is read."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError

CHUNK = 1024
"""Bytes that are read at a time, and more than a line of samples has: of an Empatica E4 they are
two seconds of the pulse and half a minute of skin conductance."""
COMPARED = 64
"""Bytes before the place of reading that must be what they were."""


class Piece(NamedTuple):
    """New samples of a recording that is not over.

    Attributes:
        at: Seconds on the clock of ``time.perf_counter`` when they had been received.
        samples: float32 of shape (C, new samples) by signal; of each at its own rate, from where
            its last piece ended. NaN where a sample is missing.
    """

    at: float
    samples: Mapping[str, npt.NDArray[np.float32]]


class GrowingLines:
    """A file to which lines are appended.

    Only what was appended is read, and the last line once it has an end. The last bytes that were
    read before are read once more and compared.

    Args:
        path: The file, which may come later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_lines = 0
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self._size = 0
        self._before = b""

    def read(self, most: int | None = None) -> bytes:
        """Return lines that were appended, with their ends; none while there are none.

        Args:
            most: Largest number of lines; None: as many as ``CHUNK`` bytes hold.

        Raises:
            DatasetCorruptedError: The file was shortened, replaced or taken away, is none, or has
                a line that is too long.
        """
        content = self._content()
        if content is None:
            return b""
        if not content.startswith(self._before):
            raise self._refusal("lines that were there are others now")
        new = content[len(self._before) :]
        end = new.rfind(b"\n") + 1
        if not end and len(new) == CHUNK:
            raise self._refusal(f"a line of {CHUNK} characters or more after line {self.n_lines}")
        lines = b"".join(new[:end].splitlines(keepends=True)[:most]) if most else new[:end]
        self.n_lines += lines.count(b"\n")
        self._offset += len(lines)
        self._before = (self._before + lines)[-COMPARED:]
        return lines

    def _content(self) -> bytes | None:
        """Return the bytes before the place of reading and after it; None if there is no file."""
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):  # a pipe would wait for its writer
                raise self._refusal("something else than a file")
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                file.seek(self._offset - len(self._before))
                content = file.read(len(self._before) + CHUNK)
        except FileNotFoundError as error:
            if self._identity is None:
                return None
            raise self._refusal("it is gone") from error
        if self._identity not in (None, (found.st_dev, found.st_ino)):
            raise self._refusal("another file in its place")
        if found.st_size < self._size:
            raise self._refusal(f"{found.st_size} bytes where {self._size} had been")
        self._identity, self._size = (found.st_dev, found.st_ino), found.st_size
        return content

    def _refusal(self, found: str) -> DatasetCorruptedError:
        return DatasetCorruptedError(
            f"{self.path}: expected a file to which lines are appended, found {found}. Whoever "
            "writes it must append to the same file (rsync: with --append); follow it anew."
        )

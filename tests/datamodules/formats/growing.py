"""Files that grow in a test: a copy of a session, piece by piece."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np


def pieces(content: bytes, rng: np.random.Generator, largest: int) -> Iterator[bytes]:
    """Yield random pieces of a file, which cut lines and numbers."""
    place = 0
    while place < len(content):
        size = int(rng.integers(1, largest))
        yield content[place : place + size]
        place += size


class Copy:
    """A copy of some files that goes on by a piece of each with every call.

    Args:
        source: Folder with the files.
        target: Folder of the copy.
        names: Names of the files.
        seed: Seed of the sizes of the pieces.
        largest: Largest number of bytes of a piece.
    """

    def __init__(
        self, source: Path, target: Path, names: tuple[str, ...], seed: int, largest: int
    ) -> None:
        target.mkdir(exist_ok=True)
        rng = np.random.default_rng(seed)
        self._rng, self._target = rng, target
        self._left = {name: pieces((source / name).read_bytes(), rng, largest) for name in names}

    def __call__(self) -> None:
        """Write on in some of the files."""
        for name, left in self._left.items():
            if self._rng.random() < 0.7 and (piece := next(left, b"")):
                with (self._target / name).open("ab") as file:
                    file.write(piece)

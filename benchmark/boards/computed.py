"""Numbers that take boards long to compute, kept for the next call.

``<store>/statistics.json`` holds p-values and detectable differences under the digest of the scores
that they follow from, as ``scores.json`` does of predictions; see benchmark.boards.scores. They
count for the code that computed them, and for the version of numpy, whose random numbers they are
made with. A row that is added changes the scores of its board, and no other board. What the latest
leaderboards had no use for is dropped.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.boards.scores import Cache, Entry, read_cache
from benchmark.files import DiskFullError, write_text
from datamodules.source import code_digest

CACHE = "statistics.json"
CODE = (
    "benchmark.boards.cohort",
    "benchmark.boards.computed",
    "benchmark.boards.decisions",
    "benchmark.boards.power",
    "benchmark.boards.statistics",
)
"""Modules that the numbers follow from: where one of them has changed, the cache is old."""


class Computed:
    """Numbers by the digest of what they follow from, and those of an earlier call.

    Args:
        root: Folder of the store; None: nothing is read, and nothing can be written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._path = root and root / CACHE
        self._versions = {CACHE: code_digest(CODE, CODE), "numpy": np.__version__} if root else {}
        before = read_cache(self._path) if self._path else Cache()
        self._before = before.entries if before.versions == self._versions else {}
        self._used: dict[str, Entry] = {}

    def values(
        self,
        name: str,
        scores: npt.NDArray[np.float64],
        compute: Callable[[], Sequence[float]],
    ) -> list[float]:
        """Return numbers that follow from scores; they are computed where they are not kept.

        Args:
            name: What is computed.
            scores: All that it follows from.
            compute: Function that computes it.
        """
        text = f"{name} {scores.shape} {hashlib.sha256(scores.tobytes()).hexdigest()}"
        key = hashlib.sha256(text.encode()).hexdigest()
        entry = self._used.get(key) or self._before.get(key)
        if entry is None:
            entry = {"values": [float(value) for value in compute()]}
        self._used[key] = entry
        return list(entry["values"])

    def write(self) -> None:
        """Keep the numbers that were asked for, in place of those of earlier calls."""
        if self._path and self._used != self._before:
            with suppress(OSError, DiskFullError):  # boards need no cache
                write_text(self._path, Cache(self._used, self._versions).as_text())

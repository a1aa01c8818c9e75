"""A session of an Empatica E4 whose files grow: a device, or a copy, still writes them.

It is read as ``datamodules.formats.empatica`` reads a session that is over, with three differences
that come from not knowing what follows. A blank line is a missing sample, as it cannot be
interpolated. Time zero is the latest start of the files that are asked for, not of all that may
come. Skin conductance and temperature wait for their first five seconds, in which artefacts of
switching on are replaced by the first good sample.
"""

import io
import math
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.empatica import (
    ENCODING,
    FILES,
    SIGNALS,
    check_spread,
    in_unit,
    read_head,
    start_up_samples,
    without_start_up,
)
from datamodules.formats.growing import GrowingLines, Piece
from datamodules.formats.tables import read_numbers

Samples = npt.NDArray[np.float32]
POLL = 0.1
"""Seconds from one look at the files to the next."""


def _sleep() -> None:
    time.sleep(POLL)


class GrowingSession:
    """Signals of a session folder, as their files grow.

    Args:
        place: The folder.
        names: Names of the signals to read.
        idle: Seconds after which the session is over, if nothing was appended to any file that is
            waited for.
        wait: Function that is called when there is nothing new, and takes ``POLL`` seconds.

    Raises:
        DatasetNotFoundError: No such folder.
    """

    def __init__(
        self,
        place: Path,
        names: Collection[str],
        idle: float,
        wait: Callable[[], None] = _sleep,
    ) -> None:
        if not place.is_dir():
            raise DatasetNotFoundError(
                f"no folder {str(place)!r}: expected the folder of an Empatica E4 session, "
                f"in which {', '.join(FILES[name] for name in names)} grow"
            )
        self.place = place
        self.start = math.nan
        self._files = {name: _GrowingSignal(place / FILES[name], name) for name in names}
        self._patience = math.ceil(idle / POLL)
        self._wait = wait

    def read(self, needed: Collection[str]) -> Piece | None:
        """Return new samples of some signals; waits for them.

        Args:
            needed: Names of the signals; of the others nothing is read.

        Returns:
            The samples, from time zero on, at least one; None when the session is over.

        Raises:
            DatasetCorruptedError: A file that is none of an E4, or was not only appended to.
            DatasetNotFoundError: The session is over, and a file had not begun.
        """
        left = self._patience
        while True:
            before = self._n_lines
            if self._begun() and (piece := self._piece(needed, over=False)):
                return piece
            if self._n_lines > before:  # of the head, before time zero, or of the start-up
                left = self._patience
            elif left:
                left -= 1
                self._wait()
            else:
                break
        if waiting := [FILES[name] for name, file in self._files.items() if file.start is None]:
            raise DatasetNotFoundError(
                f"{self.place}: expected the first two lines of {', '.join(waiting)}, found none "
                f"for {self._patience * POLL:g} s"
            )
        return self._piece(needed, over=True)

    @property
    def _n_lines(self) -> int:
        return sum(file.n_lines for file in self._files.values())

    def _begun(self) -> bool:
        """Return whether all files have begun, and put them side by side when they have."""
        if not math.isnan(self.start):
            return True
        heads = {name: file.start_if_there() for name, file in self._files.items()}
        starts = {name: start for name, start in heads.items() if start is not None}
        if len(starts) < len(heads):
            return False
        check_spread(self.place, "start", starts)
        self.start = max(starts.values())
        for name, file in self._files.items():
            file.n_skipped = round((self.start - starts[name]) * SIGNALS[name][1])
        return True

    def _piece(self, needed: Collection[str], over: bool) -> Piece | None:
        at = time.perf_counter()
        samples = {name: self._files[name].read(over) for name in needed}
        new = {name: values for name, values in samples.items() if values.shape[1]}
        return Piece(at, new) if new else None


class _GrowingSignal:
    """Samples of one file.

    Attributes:
        start: UTC seconds of its first sample; None while it has not begun.
        n_skipped: Number of samples that are still to be left out.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.start: float | None = None
        self.n_skipped = 0
        self._name = name
        self._lines = GrowingLines(path)
        self._head: list[str] = []
        self._early: Sequence[Samples] = ()  # samples of the start-up, until it is over
        self._n_early = start_up_samples(name)

    @property
    def n_lines(self) -> int:
        return self._lines.n_lines

    def start_if_there(self) -> float | None:
        while self.start is None and (line := self._lines.read(most=1)):
            try:
                self._head.append(line.decode("ascii" if self._head else ENCODING))
            except ValueError as error:
                raise self._refusal(repr(line[:70])) from error
            if len(self._head) == 2:
                self.start = read_head(self._lines.path, self._name, *self._head)
        return self.start

    def read(self, over: bool) -> Samples:
        samples = self._numbers()
        if self._n_early:
            self._early = (*self._early, samples)
            together = np.concatenate(self._early, axis=1)
            if together.shape[1] < self._n_early and not over:
                return samples[:, :0]
            samples, self._early, self._n_early = without_start_up(together, self._name), (), 0
        left_out = min(self.n_skipped, samples.shape[1])
        self.n_skipped -= left_out
        return samples[:, left_out:]

    def _numbers(self) -> Samples:
        n_channels, _ = SIGNALS[self._name]
        before = self._lines.n_lines
        lines = self._lines.read()
        if not lines:
            return np.empty((n_channels, 0), np.float32)
        first = b",".join([b"0"] * n_channels) + b"\n"  # says how many cells a line has
        try:
            samples = read_numbers(io.BytesIO(first + lines), np.float32, blank_rows=True)[1:].T
        except ValueError as error:
            raise self._refusal(f"otherwise after line {before} ({error})") from error
        blank = np.isnan(samples).all(axis=0)
        broken = np.flatnonzero(~np.isfinite(samples).all(axis=0) & ~blank)
        if len(broken):
            raise self._refusal(f"otherwise in line {before + broken[0] + 1}")
        return in_unit(np.ascontiguousarray(samples), self._name)

    def _refusal(self, found: str) -> DatasetCorruptedError:
        return DatasetCorruptedError(
            f"{self._lines.path}: expected a start in UTC seconds, a rate, then "
            f"{SIGNALS[self._name][0]} number(s) a line, found {found}. Follow another copy."
        )

"""Samples that come as lines of text while they are recorded: ``signal,time,value[,value...]``.

A line is one sample: the name of its signal, its time in seconds (UTC since 1970, or of any one
clock), and a value for each channel, in the unit that the signal has in its dataset. Signals may be
mixed; lines of one signal come in order of time. A sample belongs to the place of its time, rounded
to the signal's own rate from its first sample on; places in between that no line came for are
missing samples. Blank lines, and lines that begin with ``#``, say nothing.
"""

import math
import time
from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.growing import Piece

Samples = npt.NDArray[np.float32]
APART = 600.0
"""Seconds by which one signal may be ahead of another, or a line of the line before."""
MOST_BYTES = 65536
"""Bytes that are taken at a time, if as many are there, and the longest line."""
LARGEST = float(np.finfo(np.float32).max)
SHOWN = 70
"""Number of characters of a line that a message shows."""


class Bytes(Protocol):
    """An open stream, as ``sys.stdin.buffer``."""

    def read1(self, size: int, /) -> bytes:
        """Return bytes that are there, waiting for the first one; none at the end."""


class SampleLines:
    """Signals from a stream of lines.

    Args:
        stream: The stream.
        rates: Rate in Hz of each signal; other signals are passed over.
    """

    def __init__(self, stream: Bytes, rates: Mapping[str, float]) -> None:
        self.start = math.nan
        self._stream = stream
        self._rates = rates
        self._rest = b""
        self._n_lines = 0
        self._starts: dict[str, float] = {}
        self._ends: dict[str, int] = {}  # number of samples so far, missing ones among them
        self._n_channels: dict[str, int] = {}
        self._held: dict[str, Samples] = {}  # until every signal has begun

    def read(self, needed: Collection[str]) -> Piece | None:
        """Return new samples of any signals; waits for them.

        Args:
            needed: Names of the signals that are waited for, which a stream does not ask.

        Returns:
            The samples, from time zero on; None at the end of the stream. A last line without an
            end may be cut off and is left out.

        Raises:
            DatasetCorruptedError: A line that is none, a time that falls back or leaps, or a signal
                for which nothing comes.
        """
        while received := self._stream.read1(MOST_BYTES):
            at = time.perf_counter()
            *lines, self._rest = (self._rest + received).split(b"\n")
            if len(self._rest) > MOST_BYTES:
                raise self._refusal(f"a line of more than {MOST_BYTES} characters")
            if new := self._begun(self._samples(lines)):
                return Piece(at, new)
        return None

    def _samples(self, lines: list[bytes]) -> dict[str, Samples]:
        """Return the samples of some lines, by signal, missing ones among them."""
        rows: dict[str, list[list[float]]] = {}
        for line in lines:
            self._n_lines += 1
            if not line.strip() or line.startswith(b"#"):
                continue
            name, place, values = self._parsed(line)
            if name not in self._rates:
                continue
            n_missing = place - self._ends.get(name, 0)
            rows.setdefault(name, []).extend([[math.nan] * len(values)] * n_missing)
            rows[name].append(values)
            self._ends[name] = place + 1
            self._check_pace()
        return {name: np.array(values, np.float32).T for name, values in rows.items()}

    def _parsed(self, line: bytes) -> tuple[str, int, list[float]]:
        """Return signal, place and values of a line."""
        try:
            name, moment, *cells = line.decode("utf-8-sig").split(",")
            seconds, values = float(moment), [float(cell) for cell in cells]
        except ValueError as error:
            raise self._refusal(repr(line[:SHOWN])) from error
        name = name.strip()
        if not values or not all(abs(number) <= LARGEST for number in (seconds, *values)):
            raise self._refusal(repr(line[:SHOWN]))
        if name not in self._rates:
            return name, 0, values
        if len(values) != self._n_channels.setdefault(name, len(values)):
            raise self._refusal(f"{len(values)} values of {name}, {self._n_channels[name]} before")
        elapsed = (seconds - self._starts.setdefault(name, seconds)) * self._rates[name]
        end = self._ends.get(name, 0)
        if elapsed - end > APART * self._rates[name]:
            raise self._refusal(f"{name} more than {APART:g} s after its last sample")
        place = round(elapsed)
        if place < end:
            raise self._refusal(
                f"{name} at {moment.strip()}, less than a sample at {self._rates[name]:g} Hz after "
                "its last one"
            )
        return name, place, values

    def _check_pace(self) -> None:
        first = min(self._starts.values())
        ends = {
            name: self._starts.get(name, first) + self._ends.get(name, 0) / rate
            for name, rate in self._rates.items()
        }
        slow, fast = min(ends, key=lambda n: ends[n]), max(ends, key=lambda n: ends[n])
        if ends[fast] - ends[slow] > APART:
            raise self._refusal(f"nothing of {slow} for {APART:g} s of {fast}")

    def _begun(self, new: dict[str, Samples]) -> dict[str, Samples]:
        """Return samples from time zero on; none while a signal has not begun."""
        if not math.isnan(self.start):
            return new
        for name, samples in new.items():
            before = self._held.get(name, samples[:, :0])
            self._held[name] = np.concatenate([before, samples], axis=1)
        if len(self._starts) < len(self._rates):
            return {}
        latest = max(self._starts.values())
        firsts = {n: round((latest - self._starts[n]) * rate) for n, rate in self._rates.items()}
        if any(self._held[name].shape[1] <= first for name, first in firsts.items()):
            return {}  # a signal has not reached time zero
        self.start = latest
        held, self._held = self._held, {}
        return {name: held[name][:, first:] for name, first in firsts.items()}

    def _refusal(self, found: str) -> DatasetCorruptedError:
        return DatasetCorruptedError(
            f"line {self._n_lines} of the input: expected signal,time,value[,value...] with a "
            f"value for each channel, times in order, found {found}"
        )

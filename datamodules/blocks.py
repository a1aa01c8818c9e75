"""Hashes of blocks of raw samples, by which equal stretches of signal are found again.

A block begins where the samples themselves say so, not on a grid in time: where a hash of eight
samples in a row is small. Two copies of a signal therefore have the same blocks, also if one of
them begins later, ends sooner, or lies elsewhere in its recording. ``datamodules.repeats`` compares
the blocks of all recordings.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from datamodules.signals.recording import STATIC_RATE, Signal

BLOCK = np.dtype(
    [("signal", "<i4"), ("recording", "<i4"), ("start", "<i4"), ("stop", "<i4"), ("hash", "<u8")]
)
"""A block: position of its signal in the list of names, number of its recording, its first sample
and the one after its last, and the hash of its samples."""
SECONDS, SAMPLES = 4.0, 64
"""Length of a block: the longer of the two."""
SPACING = 2.0
"""Mean seconds from a block of a channel to the next one, for up to eight channels; more channels
share the blocks of eight, so that their number does not grow."""
SHARING = 8
DISTINCT = 16
"""Smallest number of different values among the samples that are hashed: a block of fewer (a
sensor that was not worn, a temperature that stays, an acceleration at rest) says nothing about
who it is of."""
TRIAL_SECONDS = 60.0
"""A recording that is shorter is one block more, from its beginning to its end, so that a trial
that is stored twice is found although few blocks begin in it."""
SLOW = 1.0
"""Rate in Hz below which a sample of all channels is a block, as for features that are published
one vector a few seconds."""

Unsigned = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]

DOUBLINGS = tuple(np.uint32(odd) for odd in (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35))
"""Odd multipliers: each doubles the number of samples in a row that a hash is of."""
RUN = 2 ** len(DOUBLINGS)
PIECE = 1 << 15
"""Number of samples that are hashed at once: few enough for the processor's cache."""


def multipliers(count: int) -> npt.NDArray[np.uint64]:
    """Return odd numbers by which the samples of a block are multiplied, the same everywhere."""
    digests = (hashlib.sha256(str(number).encode()).digest()[:8] for number in range(count))
    return np.frombuffer(b"".join(digests), "<u8") | np.uint64(1)


def blocks_of(
    signals: Mapping[str, Signal], recording: int, hashed: list[tuple[str, float]]
) -> npt.NDArray[np.void]:
    """Return the blocks of a recording.

    Args:
        signals: Signals as they were read, before any step.
        recording: Number of the recording.
        hashed: Name and rate of the signals that were met so far; new ones are added.

    Returns:
        Blocks, dtype ``BLOCK``.
    """
    tables = [np.empty(0, BLOCK)]
    for name, signal in signals.items():
        if signal.sfreq <= STATIC_RATE:
            continue
        if (name, signal.sfreq) not in hashed:
            hashed.append((name, signal.sfreq))
        start, stop, hashes = signal_blocks(signal)
        blocks = np.empty(len(start), BLOCK)
        blocks["signal"], blocks["recording"] = hashed.index((name, signal.sfreq)), recording
        blocks["start"], blocks["stop"], blocks["hash"] = start, stop, hashes
        tables.append(blocks)
    return np.concatenate(tables)


def signal_blocks(signal: Signal) -> tuple[Positions, Positions, npt.NDArray[np.uint64]]:
    """Return first sample, the one after the last, and hash of each block of a signal."""
    bits = np.ascontiguousarray(signal.samples).view(np.uint32)
    n_channels, n_times = bits.shape
    if signal.sfreq < SLOW:
        rows = np.arange(n_times)
        return _hashed(rows, rows + 1, bits.T)
    length = max(SAMPLES, round(SECONDS * signal.sfreq))
    row, start = block_starts(bits, length, spacing(signal))
    lengths = np.full(len(row), length)
    if SAMPLES <= n_times < TRIAL_SECONDS * signal.sfreq:
        row = np.r_[row, np.arange(n_channels)]
        start = np.r_[start, np.zeros(n_channels, np.int64)]
        lengths = np.r_[lengths, np.full(n_channels, n_times)]
    first = (row * n_times + start)[:, None]
    places = first + lengths[:, None] * np.arange(SAMPLES) // SAMPLES
    return _hashed(start, start + lengths, bits.reshape(-1)[places])


def _hashed(
    start: Positions, stop: Positions, sampled: Unsigned
) -> tuple[Positions, Positions, npt.NDArray[np.uint64]]:
    """Return those blocks whose samples, shape (blocks, any), are different enough, and hashes."""
    distinct = (np.diff(np.sort(sampled, axis=1), axis=1) != 0).sum(axis=1) + 1
    telling = distinct >= DISTINCT
    hashes = sampled[telling].astype(np.uint64) @ multipliers(sampled.shape[1])
    return start[telling], stop[telling], hashes


def spacing(signal: Signal) -> float:
    """Return the mean number of samples from a block of a channel to the next one."""
    return SPACING * signal.sfreq * max(1.0, len(signal.channels) / SHARING)


def block_starts(bits: Unsigned, length: int, apart: float) -> tuple[Positions, Positions]:
    """Return channel and first sample of each block.

    Args:
        bits: Samples as unsigned integers, shape (C, T).
        length: Number of samples in a block.
        apart: Mean number of samples from one start to the next.
    """
    flat, n_times = bits.reshape(-1), bits.shape[1]
    limit = np.uint32(min(2**32 - 1, 2**32 / apart))
    product, *hashes = np.empty((3, PIECE + RUN), np.uint32)
    small = np.empty(PIECE + RUN, bool)
    parts = []
    # Channels lie end to end, so that one pass is enough; what crosses an end is dropped below.
    for first in range(0, len(flat), PIECE):
        piece, reach = flat[first : first + PIECE + RUN], 1
        for doubling, odd in enumerate(DOUBLINGS):
            count = max(0, len(piece) - reach)
            np.multiply(piece[:count], odd, out=product[:count])
            sums = hashes[doubling % 2][:count]
            piece = np.add(product[:count], piece[reach : reach + count], out=sums)
            reach *= 2
        count = min(PIECE, len(piece))
        here = np.flatnonzero(np.less(piece[:count], limit, out=small[:count]))
        # Of a run of equal hashes, as where a signal stays, none begins a block but the first.
        parts.append(first + here[piece[here] != piece[here - 1]])
    starts = np.concatenate([np.empty(0, np.int64), *parts])
    row, start = np.divmod(starts, n_times)
    inside = start + length <= n_times
    return row[inside], start[inside]

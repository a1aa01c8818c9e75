"""Hashes of blocks of raw samples, by which equal stretches of signal are found again.

A block begins where the samples themselves say so, not on a grid in time: where a hash of eight
samples in a row is small. Two copies of a signal therefore have the same blocks, also if one of
them begins later, ends sooner, or lies elsewhere in its recording. All channels of a signal are
added up before, so that a block is of all of them. ``datamodules.repeats`` compares the blocks of
all recordings.
"""

import hashlib
from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from datamodules.signals.recording import STATIC_RATE, Signal

BLOCK = np.dtype(
    [("signal", "<i4"), ("recording", "<i4"), ("start", "<i4"), ("stop", "<i4"), ("hash", "<u8")]
)
"""A block: position of its signal in the list of those that are hashed, number of its recording,
its first sample and the one after its last, and the hash of its samples."""
SECONDS, SAMPLES = 8.0, 64
"""Length of a block: the longer of the two. So many of its samples are hashed, evenly spaced."""
SPACING = 4.0
"""Mean seconds from the start of a block to that of the next one: blocks overlap."""
DISTINCT = 16
"""Smallest number of different values among the samples that are hashed. A block with fewer (a
sensor that was not worn, a temperature that hardly moves, a hand that rests) says nothing about who
it is of."""
TRIAL_SECONDS = 60.0
"""A recording that is shorter is one block more, from its beginning to its end, so that a trial
that is stored twice is found although few blocks begin in it."""
SLOW = 1.0
"""Rate in Hz below which a sample of all channels is a block, as for features that are published
one vector a few seconds."""
PIECE = 1 << 15
"""Number of samples that are hashed at once: few enough for the processor's cache."""
DOUBLINGS = tuple(np.uint32(odd) for odd in (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35))
"""Odd multipliers: each doubles the number of samples in a row that a hash is of."""
RUN = 2 ** len(DOUBLINGS)

Unsigned = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]


@cache
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
    alike: dict[tuple[float, int, int | None], list[tuple[int, Unsigned]]] = {}
    tables = [np.empty(0, BLOCK)]
    for name, signal in signals.items():
        if signal.sfreq <= STATIC_RATE:
            continue
        if (name, signal.sfreq) not in hashed:
            hashed.append((name, signal.sfreq))
        number = hashed.index((name, signal.sfreq))
        bits = np.ascontiguousarray(signal.samples).view(np.uint32)
        n_times = bits.shape[1]
        if signal.sfreq < SLOW:
            rows = np.arange(n_times)
            tables.append(_table(np.full(n_times, number), rows, rows + 1, bits.T))
        else:
            added = np.add.reduce(bits, axis=0, dtype=np.uint32) if len(bits) > 1 else bits[0]
            alone = number if n_times > PIECE else None
            alike.setdefault((signal.sfreq, n_times, alone), []).append((number, added))
    # Short signals of one rate and length go together; long ones are worth no copy.
    for (sfreq, _, _), numbered in alike.items():
        numbers, samples = zip(*numbered, strict=True)
        together = samples[0][None] if len(samples) == 1 else np.stack(samples)
        row, start, stop, sampled = timed_blocks(together, sfreq)
        tables.append(_table(np.array(numbers)[row], start, stop, sampled))
    blocks = np.concatenate(tables)
    blocks["recording"] = recording
    return blocks


def timed_blocks(
    samples: Unsigned, sfreq: float
) -> tuple[Positions, Positions, Positions, Unsigned]:
    """Return row, first sample, the one after the last, and samples to be hashed of each block.

    Args:
        samples: Signals of one length, all channels added up, shape (signals, T).
        sfreq: Their rate in Hz.
    """
    n_signals, n_times = samples.shape
    length = max(SAMPLES, round(SECONDS * sfreq))
    row, start = np.divmod(small_hashes(samples.reshape(-1), SPACING * sfreq), n_times)
    inside = start + length <= n_times
    row, start = row[inside], start[inside]
    stop = start + length
    if SAMPLES <= n_times < TRIAL_SECONDS * sfreq:
        row = np.append(row, np.arange(n_signals))
        start = np.append(start, np.zeros(n_signals, np.int64))
        stop = np.append(stop, np.full(n_signals, n_times))
    places = start[:, None] + (stop - start)[:, None] * np.arange(SAMPLES) // SAMPLES
    return row, start, stop, samples[row[:, None], places]


def small_hashes(samples: Unsigned, apart: float) -> Positions:
    """Return where a hash of samples in a row is small.

    Args:
        samples: Samples as unsigned integers, shape (T,).
        apart: Mean number of samples from one such place to the next.
    """
    limit = np.uint32(min(2**32 - 1, 2**32 / apart))
    size = min(len(samples), PIECE + RUN)
    product, *hashes = np.empty((3, size), np.uint32)
    small = np.empty(size, bool)
    places = [np.empty(0, np.int64)]
    for first in range(0, len(samples) - RUN + 1, PIECE):
        piece, reach = samples[first : first + PIECE + RUN], 1
        for doubling, odd in enumerate(DOUBLINGS):
            count = len(piece) - reach
            np.multiply(piece[:count], odd, out=product[:count])
            sums = hashes[doubling % 2][:count]
            piece = np.add(product[:count], piece[reach:], out=sums)
            reach *= 2
        count = min(PIECE, len(piece))
        here = np.flatnonzero(np.less(piece[:count], limit, out=small[:count]))
        # Of a run of equal hashes, as where a signal stays, the first alone counts.
        places.append(first + here[piece[here] != piece[here - 1]])
    return np.concatenate(places)


def _table(
    signal: Positions, start: Positions, stop: Positions, sampled: Unsigned
) -> npt.NDArray[np.void]:
    """Return those blocks whose samples, shape (blocks, any), are different enough, hashed."""
    ordered = np.sort(sampled, axis=1)
    distinct = 1 + np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1)
    telling = distinct >= DISTINCT
    blocks = np.zeros(np.count_nonzero(telling), BLOCK)
    blocks["signal"], blocks["start"], blocks["stop"] = (
        signal[telling],
        start[telling],
        stop[telling],
    )
    blocks["hash"] = sampled[telling].astype(np.uint64) @ multipliers(sampled.shape[1])
    return blocks

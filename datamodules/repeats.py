"""Equal stretches of signal in two places: a person under two names, a trial that is stored twice.

The hashes of raw blocks that were kept at reading (``datamodules.blocks``) are compared over all
recordings at once, by sorting. One equal block proves nothing; blocks that follow each other at the
same distance in time, for a minute or half a trial, do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.blocks import BLOCK, multipliers
from datamodules.stored import StoredRecording, StoredSubject, open_blocks

SHARED_SECONDS = 60.0
"""Seconds of equal signal, in one distance, that make a repeat."""
SHARED_PART = 0.5
"""Part of the shorter recording that makes one too, as trials may be shorter than that."""
NEIGHBOURS = 64
"""Number of equal blocks that a block is compared with, so that what repeats itself endlessly does
not take forever. Of more copies than that, each is compared with those next to it."""


@dataclass(frozen=True)
class Repeat:
    """A stretch of one recording whose samples are also in another, or elsewhere in the same one.

    Attributes:
        signal: Name of the signal.
        recording: Position of the first recording in the archive.
        other: Position of the second recording; the same for a recording that repeats itself.
        start: First second of the stretch in the first recording.
        stop: The end of it.
        shift: Seconds from a sample in the first recording to its copy in the second.
        seconds: Seconds of the stretch that are proved to be equal.
    """

    signal: str
    recording: int
    other: int
    start: float
    stop: float
    shift: float
    seconds: float


def find_repeats(subjects: Sequence[StoredSubject]) -> tuple[Repeat, ...]:
    """Return the equal stretches in the recordings of some subjects, in order of recording."""
    recordings = [recording for subject in subjects for recording in subject.recordings]
    names, blocks = _gathered(subjects)
    one, other = _equal(blocks)
    if not len(one):
        return ()
    lag = blocks["start"][other] - blocks["start"][one]
    keys = np.stack(
        [blocks["signal"][one], blocks["recording"][one], blocks["recording"][other], lag]
    )
    order = np.lexsort((blocks["start"][one], *keys[::-1]))
    keys, start, stop = keys[:, order], blocks["start"][one][order], blocks["stop"][one][order]
    heads = np.flatnonzero(np.r_[True, (np.diff(keys, axis=1) != 0).any(axis=0)])
    covered = np.add.reduceat(_new_samples(start, stop, heads), heads)
    stretches = zip(
        keys[:, heads].T.tolist(),
        start[heads].tolist(),
        np.maximum.reduceat(stop, heads).tolist(),
        covered.tolist(),
        strict=True,
    )
    repeats = []
    for (signal, row, copy, shift), first, last, samples in stretches:
        name, rate = names[signal]
        if samples / rate >= _needed(recordings[row], recordings[copy]):
            times = (first / rate, last / rate, shift / rate, samples / rate)
            repeats.append(Repeat(name, row, copy, *times))
    return tuple(sorted(repeats, key=lambda repeat: (repeat.recording, repeat.other)))


def _new_samples(
    start: npt.NDArray[np.int32], stop: npt.NDArray[np.int32], heads: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the number of samples of each block that no earlier block of its stretch has.

    Args:
        start: First sample of each block, rising within a stretch.
        stop: The sample after the last of each block.
        heads: Position of the first block of each stretch.
    """
    stretch = np.searchsorted(heads, np.arange(len(start)), side="right")
    base = stretch << 32  # further apart than any two samples, so that stretches never meet
    reach = np.maximum.accumulate(stop + base)
    before = np.r_[0, reach[:-1]]
    added: npt.NDArray[np.int64] = stop + base - np.maximum(start + base, before)
    return added.clip(min=0)


def _gathered(
    subjects: Sequence[StoredSubject],
) -> tuple[list[tuple[str, float]], npt.NDArray[np.void]]:
    """Return name and rate of each hashed signal, and the blocks of all recordings, numbered."""
    names = list(dict.fromkeys(name for subject in subjects for name in subject.hashed))
    tables, offset = [np.empty(0, BLOCK)], 0
    for subject in subjects:
        blocks = open_blocks(subject.folder)
        positions = np.array([names.index(name) for name in subject.hashed], np.int32)
        blocks["signal"] = positions[blocks["signal"]]
        blocks["recording"] += offset
        offset += len(subject.recordings)
        tables.append(blocks)
    return names, np.concatenate(tables)


def _equal(blocks: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of blocks that are equal: of the earlier one, and of the later one."""
    key = blocks["hash"] * multipliers(1) + blocks["signal"].astype(np.uint64)
    order = np.argsort(key, kind="stable")
    several = np.zeros(len(order), bool)
    several[1:] = key[order][1:] == key[order][:-1]
    several[:-1] |= several[1:]
    order = order[several]
    key = key[order]
    ones, others = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for distance in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
        equal = np.flatnonzero(key[distance:] == key[:-distance])
        if not len(equal):
            break
        ones.append(order[equal])
        others.append(order[equal + distance])
    one, other = np.concatenate(ones), np.concatenate(others)
    places = blocks["recording"].astype(np.int64) << 32 | blocks["start"]
    swapped = places[one] > places[other]
    one, other = np.where(swapped, other, one), np.where(swapped, one, other)
    # A short recording may be one block twice, which is no copy of itself.
    apart = places[one] != places[other]
    return one[apart], other[apart]


def _needed(one: StoredRecording, other: StoredRecording) -> float:
    return min(SHARED_SECONDS, SHARED_PART * min(one.duration, other.duration))

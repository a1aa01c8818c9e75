"""Blocks: starts and hashes again by plain loops, what has none, and copies that begin later."""

import hashlib
import struct
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.blocks import (
    DISTINCT,
    DOUBLINGS,
    PIECE,
    SAMPLES,
    SECONDS,
    SPACING,
    blocks_of,
)
from datamodules.signals.recording import STATIC_RATE, Signal

Samples = npt.NDArray[np.float32]


def signal(samples: Samples, sfreq: float) -> Signal:
    samples = np.atleast_2d(samples).astype(np.float32)
    return Signal(samples, sfreq, tuple(f"c{row}" for row in range(len(samples))), "a.u.")


def noise(seed: int, *shape: int) -> Samples:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def hash_of(words: list[int]) -> int:
    """Hash of samples: their sum, each times an odd number that its place gives."""
    odd = (
        struct.unpack("<Q", hashlib.sha256(b"%d" % place).digest()[:8])[0] | 1
        for place in range(len(words))
    )
    return sum(word * factor for word, factor in zip(words, odd, strict=True)) % 2**64


def by_loops(made: Signal) -> set[tuple[int, int, int]]:
    """First sample, the one after the last, and hash of each block, one sample at a time."""
    one, two, four = map(int, DOUBLINGS)
    factors = [
        (1 if k % 2 else one) * (1 if k // 2 % 2 else two) * (1 if k // 4 else four)
        for k in range(8)
    ]
    length = max(SAMPLES, round(SECONDS * made.sfreq))
    limit = 2**32 // Fraction(SPACING * made.sfreq)
    words = [
        sum(struct.unpack("<I", struct.pack("<f", value))[0] for value in values) % 2**32
        for values in made.samples.T
    ]
    spans = []
    before = None
    for first in range(len(words) - length + 1):
        run = sum(words[first + k] * factors[k] for k in range(8)) % 2**32
        if run < limit and run != before:
            spans.append((first, length))
        before = run
    if len(words) < 60 * made.sfreq:
        spans.append((0, len(words)))
    blocks = set()
    for first, count in spans:
        inside = [words[first + k * count // SAMPLES] for k in range(SAMPLES)]
        if len(set(inside)) >= DISTINCT:
            blocks.add((first, first + count, hash_of(inside)))
    return blocks


def found(made: Signal) -> set[tuple[int, int, int]]:
    return set(blocks_of({"signal": made}, 0, [])[["start", "stop", "hash"]].tolist())


def quantised(seed: int, n_times: int, step: float) -> Samples:
    """A slow walk in steps, which often stays where it is."""
    walk = np.cumsum(np.random.default_rng(seed).normal(size=n_times))
    return (np.round(walk / step) * step).astype(np.float32)


@pytest.mark.parametrize(
    ("made", "fewest"),
    [
        (signal(noise(0, 3, 2000), 8.0), 50),
        (signal(noise(1, 1, 1900), 64.0), 2),
        (signal(noise(2, 12, 700), 16.0), 3),
        (signal(quantised(3, 4000, 0.5), 4.0), 25),
        (signal(np.r_[noise(4, 300), np.zeros(500), noise(5, 300)], 4.0), 5),
        (signal(noise(6, 2, PIECE + 500), 100.0), 50),
    ],
    ids=["three channels", "short", "many channels", "steps", "lost for a while", "pieces"],
)
def test_blocks_by_plain_loops(made: Signal, fewest: int) -> None:
    blocks = found(made)
    assert blocks == by_loops(made)
    assert len(blocks) > fewest


def test_samples_of_all_channels_below_one_hertz() -> None:
    made = signal(noise(7, 20, 30), 0.25)
    words = made.samples.T.copy().view(np.uint32).tolist()
    assert found(made) == {(k, k + 1, hash_of(row)) for k, row in enumerate(words)}
    assert not found(signal(noise(7, DISTINCT - 1, 30), 0.25))


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(5000),
        np.full(5000, 33.25),
        np.tile([0.0, 0.0013], 2500),
        np.tile(np.arange(DISTINCT - 1), 400),
        np.repeat(np.arange(50), 100) * 0.02,
        np.random.default_rng(0).integers(0, DISTINCT - 1, 5000) / 64,
        noise(8, SAMPLES - 1),
    ],
    ids=["zero", "flat", "dither", "periodic", "slow steps", "at rest", "too short"],
)
def test_what_says_nothing_has_no_block(samples: Samples) -> None:
    assert not found(signal(samples, 4.0))


def test_copies_have_the_blocks_of_the_original() -> None:
    samples = noise(9, 2, 6000)
    whole = found(signal(samples, 16.0))
    for first, last in ((0, 6000), (1, 6000), (16, 5000), (32, 6000), (4321, 6000)):
        assert last - first > 60 * 16
        moved = {(a + first, b + first, h) for a, b, h in found(signal(samples[:, first:last], 16))}
        assert moved == {block for block in whole if first <= block[0] and block[1] <= last}
        assert moved


def test_other_signals_have_other_blocks() -> None:
    hashes = [{h for *_, h in found(signal(noise(seed, 4, 20_000), 8.0))} for seed in range(5)]
    assert min(map(len, hashes)) > 500
    assert sum(map(len, hashes)) == len(set.union(*hashes))


def test_signals_of_a_recording() -> None:
    hashed: list[tuple[str, float]] = [("resp", 8.0)]
    signals = {
        "music": signal(noise(0, 50, 1), STATIC_RATE),
        "eda": signal(noise(1, 1000), 4.0),
        "resp": signal(noise(2, 1000), 8.0),
    }
    blocks = blocks_of(signals, 7, hashed)
    assert hashed == [("resp", 8.0), ("eda", 4.0)]
    assert set(blocks["recording"].tolist()) == {7}
    for number, (name, _) in enumerate(hashed):
        chosen = blocks[blocks["signal"] == number][["start", "stop", "hash"]]
        assert set(chosen.tolist()) == found(signals[name])
    assert len(blocks_of({"music": signals["music"]}, 0, hashed)) == 0

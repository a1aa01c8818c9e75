"""Recordings on their way into the cache, and out of it again in batches."""

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch

from datamodules import preparing
from datamodules.archive import Archive
from datamodules.catalogue import DATASETS
from datamodules.gathering import BatchRows, WindowDataset
from datamodules.preparing import store_subjects
from datamodules.recorded import Joined, Mapped, Recorded
from datamodules.synthesis import deap, wesad
from datamodules.tasks import RatingTask
from datamodules.windows import first_samples, index_windows
from tests.benchmarks.speed.table import NO_AIM, Row

PEOPLE, WINDOW, STRIDE, BATCH = 2, 4.0, 2.0, 64
"""People of DEAP in full size, and windows of them."""
WRISTS, MINUTES = 4, 8.0
"""People of WESAD, and minutes of a condition: a quarter of the size that is published."""
REPEATS = 5


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deap.write(folder / "deap", PEOPLE)
        found = [*_of_signals(folder), *_of_batches(folder)]
        wesad.write(folder / "wesad", WRISTS, minutes=MINUTES)
        return [*found, *_of_processes(folder)]


def _of_signals(folder: Path) -> list[Row]:
    """One signal against all of them: CPU time and bytes on the disk."""
    pairs = [
        (
            _alone(_prepared, folder / "deap", folder / f"one {turn}", ("eeg",)),
            _alone(_prepared, folder / "deap", folder / f"all {turn}", None),
        )
        for turn in range(REPEATS)
    ]
    one, everything = (median(seconds) for seconds in zip(*pairs, strict=True))
    samples = 4 * PEOPLE * 40 * 32 * 8064
    size = sum(path.stat().st_size for path in (folder / "one 0").rglob("*") if path.is_file())
    return [
        Row(
            f"EEG of {PEOPLE} people of DEAP, prepared",
            "all their signals (CPU)",
            f"{one:.2f} s",
            f"{everything:.2f} s",
            f"{one / everything:.2f}x",
            "<= 0.6x",
            one <= 0.6 * everything,
        ),
        Row(
            "bytes of it in the cache",
            "its samples",
            f"{size / 1e6:.1f} MB",
            f"{samples / 1e6:.1f} MB",
            f"{size / samples:.3f}x",
            "<= 1.02x",
            size <= 1.02 * samples,
        ),
    ]


def _of_batches(folder: Path) -> list[Row]:
    """A pass in batches, out of a file a person and out of one array, in turn."""
    torch.set_num_threads(1)
    dataset = DATASETS["deap"]
    reader = dataset.make_reader(folder / "deap")
    stored, _ = store_subjects(dataset, reader, reader.subjects[:PEOPLE], folder / "c", ("eeg",))
    archive = Archive(tuple(stored.values()))
    pieces = archive.samples("eeg")
    task = RatingTask("valence", 5.0, "a benchmark")
    windows = index_windows(archive, task, WINDOW, STRIDE, None, in_units=False)

    def gathered(recorded: Recorded) -> Callable[[], float]:
        first = {"eeg": first_samples(archive, "eeg", windows)}
        data = WindowDataset({"eeg": recorded}, windows, first, {"eeg": 512}, None)

        def once() -> float:
            start = time.process_time()
            for rows in BatchRows(len(data), BATCH, torch.Generator().manual_seed(0)):
                data[rows]
            return time.process_time() - start

        return once

    mapped = gathered(Mapped(pieces, archive.offsets("eeg")))
    joined = gathered(Joined.of(pieces, torch.device("cpu")))
    pairs = [(mapped(), joined()) for _ in range(REPEATS + 1)][1:]
    ours, theirs = (median(seconds) for seconds in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    return [
        Row(
            f"{len(windows)} windows of 4 s of EEG, in batches of {BATCH}",
            "out of one array in memory",
            f"{1e3 * ours:.0f} ms",
            f"{1e3 * theirs:.0f} ms",
            f"{ratio:.2f}x",
            "<= 1.2x",
            ratio <= 1.2,
        )
    ]


def _of_processes(folder: Path) -> list[Row]:
    """Subjects side by side against one after another, by the clock; both in a new process."""
    pairs = [
        (
            _alone(_by_the_clock, folder / "wesad", folder / f"both {turn}", preparing.cores()),
            _alone(_by_the_clock, folder / "wesad", folder / f"alone {turn}", 1),
        )
        for turn in range(3)
    ]
    ours, theirs = (median(seconds) for seconds in zip(*pairs, strict=True))
    return [
        Row(
            f"{WRISTS} people of WESAD, read by {min(WRISTS, preparing.cores())} processes",
            "one after another",
            f"{ours:.1f} s",
            f"{theirs:.1f} s",
            f"{theirs / ours:.2f}x",
            NO_AIM,
            True,
        )
    ]


def _alone(work: Callable[..., float], *arguments: object) -> float:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _prepared(root: Path, cache: Path, signals: tuple[str, ...] | None) -> float:
    """CPU seconds of this process, which reads, and of those that it starts."""
    preparing.cores = lambda: 1
    start = sum(os.times()[:4])
    dataset = DATASETS["deap"]
    reader = dataset.make_reader(root)
    store_subjects(dataset, reader, reader.subjects[:PEOPLE], cache, signals)
    return sum(os.times()[:4]) - start


def _by_the_clock(root: Path, cache: Path, processes: int) -> float:
    preparing.cores = lambda: processes
    start = time.perf_counter()
    dataset = DATASETS["wesad"]
    reader = dataset.make_reader(root)
    store_subjects(dataset, reader, reader.subjects[:WRISTS], cache)
    return time.perf_counter() - start

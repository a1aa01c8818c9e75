"""EEG of DEAP prepared and read in batches, beside TorchEEG, which is in an environment of its own.

TORCHEEG_PYTHON names the Python of that environment; without it there is nothing to compare with.
"""

import json
import os
import subprocess
import tempfile
import time
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
from datamodules.recorded import Mapped
from datamodules.synthesis import deap
from datamodules.tasks import RatingTask
from datamodules.windows import first_samples, index_windows
from tests.benchmarks.speed.table import NO_AIM, Row

PEOPLE, WINDOW, STRIDE, BATCH = 4, 4.0, 2.0, 64
"""People of DEAP in full size, and windows of them."""
REPEATS = 3
SIDE = Path(__file__).with_name("torcheeg_side.py")


def rows() -> list[Row]:
    python = os.environ.get("TORCHEEG_PYTHON")
    if not python:
        return [Row("EEG of DEAP", "TorchEEG", "", "not installed", "", NO_AIM, True)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deap.write(folder / "deap", PEOPLE)
        ours, theirs = [], []
        for turn in range(REPEATS):
            alone = _alone(folder / "deap", folder / f"alone {turn}", 1)
            both = _alone(folder / "deap", folder / f"both {turn}", preparing.cores())
            ours.append({**both, "cpu": alone["cpu"]})
            theirs.append(_beside(python, folder / "deap", folder / f"theirs {turn}"))
    facts = [
        {name: median(one[name] for one in side) for name in ours[0]} for side in (ours, theirs)
    ]
    what = f"EEG of {PEOPLE} people of DEAP"
    return [
        _row(f"{what}, prepared", "TorchEEG (CPU)", facts, "cpu", 0.5, "s"),
        _row(f"{what}, prepared", "TorchEEG (by the clock)", facts, "clock", 0.25, "s"),
        _row(f"{what} on the disk", "TorchEEG", facts, "megabytes", 1 / 3, "MB"),
        _row(f"{what}, a pass in batches of {BATCH}", "TorchEEG", facts, "pass", 1 / 8, "s"),
    ]


def _row(
    what: str, against: str, facts: list[dict[str, float]], name: str, aim: float, unit: str
) -> Row:
    ours, theirs = (side[name] for side in facts)
    ratio = ours / theirs
    shown = (f"{ours:.2f} {unit}", f"{theirs:.2f} {unit}", f"{ratio:.2f}x", f"<= {aim:.2f}x")
    return Row(what, against, *shown, ratio <= aim)


def _beside(python: str, root: Path, store: Path) -> dict[str, float]:
    """Return what TorchEEG takes: by the clock with as many workers as do it soonest."""
    numbers = f"{WINDOW:g} {STRIDE:g} {BATCH}".split()
    several = []
    for workers in (0, preparing.cores()):
        words = [python, str(SIDE), str(root / "data_preprocessed_python")]
        words += [f"{store} {workers}", *numbers, str(workers)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        several.append(json.loads(done.stdout.splitlines()[-1]))
    return {**several[0], "clock": min(one["clock"] for one in several)}


def _alone(root: Path, cache: Path, processes: int) -> dict[str, float]:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_prepared, root, cache, processes).result()


def _prepared(root: Path, cache: Path, processes: int) -> dict[str, float]:
    """Prepare the EEG and read it once; in a process of its own."""
    torch.set_num_threads(1)
    preparing.cores = lambda: processes
    dataset = DATASETS["deap"]
    reader = dataset.make_reader(root)
    cpu, clock = sum(os.times()[:4]), time.perf_counter()
    stored, _ = store_subjects(dataset, reader, reader.subjects[:PEOPLE], cache, ("eeg",))
    cpu, clock = sum(os.times()[:4]) - cpu, time.perf_counter() - clock
    archive = Archive(tuple(stored.values()))
    task = RatingTask("valence", 5.0, "a benchmark")
    windows = index_windows(archive, task, WINDOW, STRIDE, None, in_units=False)
    recorded = Mapped(archive.samples("eeg"), archive.offsets("eeg"))
    first = {"eeg": first_samples(archive, "eeg", windows)}
    data = WindowDataset({"eeg": recorded}, windows, first, {"eeg": round(WINDOW * 128)}, None)
    kept = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    seconds = min(_timed(data) for _ in range(2))
    return {"cpu": cpu, "clock": clock, "megabytes": kept / 1e6, "pass": seconds}


def _timed(data: WindowDataset) -> float:
    start = time.perf_counter()
    for rows in BatchRows(len(data), BATCH, torch.Generator().manual_seed(0)):
        data[rows]
    return time.perf_counter() - start

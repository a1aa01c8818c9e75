"""Windows that overlap, ready to train, against a table of them with a spectrogram each."""

import ctypes
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch

from datamodules.datamodule import EmotionDataModule, Loading
from datamodules.fold import Windowing
from datamodules.resident import RESIDENT
from lightning_modules.layers import Spectrogram
from tests.benchmarks.speed.made_up import LONG
from tests.benchmarks.speed.table import Row

WINDOW, STRIDE, BATCH = 120.0, 1.0, 256
M_MMAP_THRESHOLD = -3
"""As numbered in glibc's malloc.h."""
SAMPLE, REPEATS = 512, 5
"""Windows of which a table is made in earnest; all of them would fill the memory."""


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name)
        module = _module(cache)
        module.prepare_data()
        module.setup()
        words = [sys.executable, "-m", "tests.benchmarks.speed.data_path", name]
        taken = int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        pairs = [(_ready(cache), _table(cache)) for _ in range(REPEATS)]
        dataset = module.gathered("train")
        recordings = sum(array.nbytes for array in dataset.arrays.values())
        limit = recordings + dataset[torch.arange(BATCH)].signals["bvp"].nbytes
    windows = sum(len(rows) for rows in module.fold.rows.values())
    ours = median(seconds for seconds, _ in pairs)
    a_window, size = median(seconds for _, (seconds, _) in pairs), pairs[0][1][1]
    yield Row(
        f"{windows} windows of 120 s, ready to train",
        f"their table, by {SAMPLE} of them",
        f"{1e3 * ours:.0f} ms",
        f"{windows * a_window:.1f} s",
        f"{windows * a_window / ours:.0f}x",
        ">= 100x",
        windows * a_window >= 100 * ours,
    )
    yield Row(
        "memory to gather all of them, by batches of 256",
        "recordings and one batch; the table",
        f"{taken / 2**20:.0f} MiB",
        f"{limit / 2**20:.0f} MiB",
        f"{taken / limit:.2f}x",
        f"<= 1x; table {windows * size / 2**30:.1f} GiB",
        taken <= limit,
    )


def _gather_all(cache: Path) -> int:
    """Bytes that a process has more in its memory, at most, while it gathers all windows."""
    torch.set_num_threads(1)
    if platform.libc_ver()[0] == "glibc":  # what is freed goes back, and is not counted
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)
    module = _module(cache)
    module.setup()
    dataset = module.gathered("train")
    before, peak = _resident(), 0
    for rows in torch.arange(len(dataset)).split(BATCH):
        batch = dataset[rows]
        peak = max(peak, _resident())
        del batch
    return peak - before


def _module(cache: Path) -> EmotionDataModule:
    windowing, loading = Windowing(WINDOW, STRIDE, "none"), Loading(BATCH)
    return EmotionDataModule(LONG, windowing=windowing, loading=loading, cache_dir=cache)


def _ready(cache: Path) -> float:
    """Seconds from recordings in the cache to the first batch, by a process that knows no index."""
    RESIDENT.clear()
    start = time.perf_counter()
    module = _module(cache)
    module.prepare_data()
    module.setup()
    next(iter(module.train_dataloader()))
    return time.perf_counter() - start


def _table(cache: Path) -> tuple[float, int]:
    """Seconds and bytes that a window takes in a table of windows and spectrograms."""
    module = _module(cache)
    module.setup()
    dataset, spec = module.gathered("train"), module.inputs["bvp"]
    spectrogram = Spectrogram(spec.sfreq, spec.n_times)
    start = time.perf_counter()
    for rows in torch.arange(SAMPLE).split(64):
        window = dataset[rows].signals["bvp"]
        spectrum = spectrogram(window)
    seconds = time.perf_counter() - start
    return seconds / SAMPLE, window[0].nbytes + spectrum[0].nbytes


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(_gather_all(Path(sys.argv[1])))

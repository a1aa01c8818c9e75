"""Many small runs on one device: one worker against 8 and 16."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmark.engines.devices import gpus
from benchmark.engines.engine import Terms
from benchmark.engines.local import run_all
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import prepare
from benchmark.run import Run
from benchmark.store import Store
from tests.benchmarks.gpu.scale import Scale
from tests.benchmarks.speed.table import NO_AIM, Row

MODELS = ("dnn", "cnn", "lstm")
PACKED = (8, 16)
CLOSE = 0.05
"""Largest difference of probabilities that rounding makes in so short a training."""


def rows(scale: Scale) -> Iterator[Row]:
    """Yield runs a minute; a second seed is left out of a trial."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = {"n_subjects": scale.times(12, 4), "phase": 60.0}
        prepared = {"synthetic": prepare("synthetic", Path(), folder / "cache", options, ())}
        suite = Suite(
            "gpu",
            ("synthetic",),
            models=MODELS,
            seeds=tuple(range(scale.times(2, 1))),
            options={"synthetic": options},
            recipes={model: {"max_epochs": 5} for model in MODELS},
        )
        runs = expand(suite, prepared).runs
        device = gpus()[0] if scale.cuda else "cpu"
        warm = Places(folder, folder / "cache", folder / "warm")
        run_all(runs[:1], warm, [device], lambda event: None, Terms())  # compiles, fills the cache
        seconds: dict[int, float] = {}
        stores: dict[int, Store] = {}
        for count in (1, *PACKED) if scale.cuda else (1, 2):
            places = Places(folder, folder / "cache", folder / str(count))
            start = time.perf_counter()
            run_all(runs, places, [device] * count, lambda event: None, Terms())
            seconds[count] = time.perf_counter() - start
            stores[count] = Store(places.runs)
            done = all(stores[count].status(run) == "done" for run in runs)
            yield Row(
                f"{len(runs)} runs, {count} workers on one device",
                "one worker",
                f"{60 * len(runs) / seconds[count]:.0f} /min",
                f"{60 * len(runs) / seconds[1]:.0f} /min",
                f"{seconds[1] / seconds[count]:.2f}x",
                "all done" if count == 1 else f"within {CLOSE:g}",
                done and _difference(stores[1], stores[count], runs) <= CLOSE,
            )
        peak = max(stores[1].result(run).peak_memory for run in runs)
        yield Row("largest memory of a run", "", f"{peak / 2**20:.0f} MiB", "", "", NO_AIM, True)


def _difference(one: Store, other: Store, runs: Sequence[Run]) -> float:
    """Return the largest difference of probabilities of two stores."""
    return max(
        float(
            np.abs(
                one.predictions(run)["probabilities"] - other.predictions(run)["probabilities"]
            ).max()
        )
        for run in runs
    )

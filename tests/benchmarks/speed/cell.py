"""A cell of 15 folds, and the start of its runs, against a fresh process a fold."""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
import yaml

from datamodules.datamodule import EmotionDataModule, Selection
from datamodules.fold import Windowing
from tests.benchmarks.speed import defaults
from tests.benchmarks.speed.made_up import CLOCK, MADE_UP, RECIPES
from tests.benchmarks.speed.table import NO_AIM, Row, call

SUITE = {
    "datasets": ["made_up"],
    "splits": ["leave_one_subject_out"],
    "models": ["mlp"],
    "seeds": [0],
}
CLOCKS = ("wall", "CPU")
REACH = 8
"""How often ours must fit into theirs by the clock; CPU time has no aim of its own."""
WORKERS = 2
MEASURED = 3
"""Folds that are done their way, each beside the whole cell ours; the rest would take as long."""


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_folds = _write(folder)
        ours, theirs, starts, own_starts = [], [], [], []
        script = [sys.executable, defaults.__file__, str(folder)]
        for fold in range(MEASURED):
            began = time.time()
            theirs.append(call([*script, str(fold)]))
            starts.append(float((folder / f"fold {fold}" / "started").read_text()) - began)
            *both, own = _ours(folder / f"ours {fold}")
            ours.append(both)
            own_starts += own
    for mine, others, clock in zip(
        zip(*ours, strict=True), zip(*theirs, strict=True), CLOCKS, strict=True
    ):
        ratio = median(n_folds * b / a for a, b in zip(mine, others, strict=True))
        yield Row(
            f"cell of {n_folds} folds, mlp, {WORKERS} workers, {clock}",
            f"process a fold, defaults, {MEASURED} measured",
            f"{median(mine):.1f} s",
            f"{n_folds * median(others):.1f} s",
            f"{ratio:.1f}x",
            f">= {REACH}x" if clock == "wall" else NO_AIM,
            clock != "wall" or ratio >= REACH,
        )
    mine, other = median(own_starts), median(starts)
    yield Row(
        "start of a run in a worker, until it trains",
        "fresh process, until it trains",
        f"{1e3 * mine:.1f} ms",
        f"{1e3 * other:.0f} ms",
        f"{other / mine:.0f}x",
        ">= 100x",
        other >= 100 * mine,
    )


def _write(folder: Path) -> int:
    """Features, targets and subjects of all windows; returns the number of subjects."""
    recipe = RECIPES["mlp"]
    module = EmotionDataModule(
        MADE_UP,
        selection=Selection(signals=["rows"]),
        windowing=Windowing(recipe.window, recipe.stride, "none"),
        cache_dir=folder / "their cache",
    )
    module.prepare_data()
    module.setup()
    batches = [
        data[torch.arange(len(data))]
        for data in (module.gathered(part) for part in ("train", "val", "test"))
    ]
    columns = {
        "features": [batch.signals["rows"].squeeze(2) for batch in batches],
        "target": [batch.target for batch in batches],
        "subject": [batch.subject for batch in batches],
    }
    for name, parts in columns.items():
        np.save(folder / f"{name}.npy", torch.cat(parts).numpy())
    return len(module.subjects)


def _ours(folder: Path) -> tuple[float, float, list[float]]:
    """Of ``affectbench run``, from an empty cache to the board: seconds by the clock, CPU seconds;
    and seconds of the start of each run but a worker's first."""
    folder.mkdir()
    suite, clock = folder / "cell.yaml", folder / "clock"
    suite.write_text(yaml.safe_dump(SUITE))
    words = ["run", str(suite), "--devices", "cpu", "--jobs-per-device", str(WORKERS)]
    for name in ("data", "cache", "runs", "leaderboards"):
        words += [f"--{name}", str(folder / name)]
    command = [sys.executable, "-m", "tests.benchmarks.speed.affectbench", *words]
    seconds, computing = call(command, **{CLOCK: str(clock)})
    begun: dict[str, float] = {}
    starts: dict[str, list[float]] = {}
    for line in clock.read_text().splitlines():
        process, event, moment = line.split()
        if event == "run":
            begun[process] = float(moment)
        else:
            starts.setdefault(process, []).append(float(moment) - begun[process])
    return seconds, computing, [start for own in starts.values() for start in own[1:]]

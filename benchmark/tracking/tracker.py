"""Trackers: what finished runs found, written for Weights & Biases or TensorBoard.

Runs are taken from the store once they are committed, in a thread of the runner: workers know of no
tracker, wait for no network, and nothing that goes wrong here can change a run. Runs that were
finished before, under another tracker or none, are taken too.
"""

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store
from datamodules.catalogue import DATAMODULES

LoggerName = Literal["csv", "wandb", "tensorboard", "none"]
LOGGERS: tuple[LoggerName, ...] = get_args(LoggerName)
WandbMode = Literal["offline", "online", "disabled"]
WANDB_MODES: tuple[WandbMode, ...] = get_args(WandbMode)

CELL = 88
"""Pixels of a cell in the picture of a confusion matrix, and of its labels."""
DARKEST = np.array([33, 102, 172])
"""Colour of a cell that holds its whole row."""


class Writer(Protocol):
    """Keeps results in one tracker's own form."""

    def has(self, run: Run) -> bool:
        """Whether a run was written, in this call or an earlier one."""
        ...

    def write(self, result: Result, curves: Mapping[int, Mapping[str, float]]) -> None:
        """Write one run, instead of what was written of it before.

        Args:
            result: Done or failed.
            curves: Values by name, by epoch from 1.
        """
        ...

    def write_boards(self, folder: Path) -> None:
        """Write the leaderboards of a folder, and the report if it is there."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Tracker:
    """Gives finished runs to a writer, one after another, in a thread of its own.

    Leaving the block waits until everything is written, or, after an exception, for the run that is
    being written only.

    Args:
        store: Holds the runs.
        make_writer: Called in the thread when there is something to write; None: nothing is.
        warn: Told once if something goes wrong.
    """

    def __init__(
        self,
        store: Store,
        make_writer: Callable[[], Writer] | None,
        warn: Callable[[str], None],
    ) -> None:
        self._store, self._make_writer, self._warn = store, make_writer, warn
        self._thread = ThreadPoolExecutor(1, "tracker")
        self._made: Writer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)
        if self._made:
            self._guarded(self._made.close)

    def add(self, run: Run, anew: bool = False) -> None:
        """Take a run that is done or failed.

        Args:
            run: Which one.
            anew: Whether to write it also if it was written before.
        """
        self._do(self._write, run, anew)

    def add_boards(self, folder: Path) -> None:
        """Take the leaderboards."""
        self._do(lambda: self._writer().write_boards(folder))

    def _write(self, run: Run, anew: bool) -> None:
        if not anew and self._writer().has(run):
            return
        result = self._store.result(run)
        if result:
            curves = read_curves(self._store.folder(run) / "metrics.csv")
            self._writer().write(result, curves)

    def _writer(self) -> Writer:
        if self._made is None:
            assert self._make_writer
            self._made = self._make_writer()
        return self._made

    def _do(self, task: Callable[..., None], *given: Any) -> None:
        if self._make_writer:
            self._thread.submit(self._guarded, task, *given)

    def _guarded(self, task: Callable[..., None], *given: Any) -> None:
        try:
            task(*given)
        except Exception as error:  # a tracker is never worth a run
            self._warn(f"not everything is tracked: {type(error).__name__}: {error}")
            self._warn = lambda _: None


def make_tracker(
    name: LoggerName, mode: WandbMode, suite: str, store: Store, warn: Callable[[str], None]
) -> Tracker:
    """The tracker that was asked for; its library is imported when there is something to write.

    Args:
        name: ``"csv"`` and ``"none"`` need none.
        mode: Of Weights & Biases; ``"disabled"`` needs none either.
        suite: Name of the suite.
        store: Holds the runs; files of a tracker are in a folder of its name beside them.
        warn: Told at most once of what goes wrong, once that it is offline.
    """

    def make_wandb() -> Writer:
        # Read when wandb is imported: reports on itself go to its makers only if one asks for it.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        from benchmark.tracking.wandb import WandbWriter

        return WandbWriter(mode, suite, store.root, warn)

    def make_tensorboard() -> Writer:
        from benchmark.tracking.tensorboard import TensorBoardWriter

        return TensorBoardWriter(store.root / "tensorboard")

    if name == "wandb" and mode != "disabled":
        return Tracker(store, make_wandb, warn)
    return Tracker(store, make_tensorboard if name == "tensorboard" else None, warn)


def read_curves(path: Path) -> dict[int, dict[str, float]]:
    """What Lightning's CSV logger wrote: values by name, by epoch from 1; empty without a file."""
    if not path.is_file():
        return {}
    curves: dict[int, dict[str, float]] = {}
    for row in pd.read_csv(path).drop(columns="step").to_dict("records"):
        values = {str(name): float(value) for name, value in row.items() if not pd.isna(value)}
        curves.setdefault(int(values.pop("epoch")) + 1, {}).update(values)
    return curves


def mean_scores(result: Result) -> dict[str, float]:
    """Mean of each score over the test subjects, as ``test_<score>``; empty if there are none."""
    table = pd.DataFrame(list(result.scores.values()))
    return {f"test_{name}": float(table[name].mean()) for name in table}


def plain(value: object) -> Any:
    """A value as it is in ``result.json``."""
    return json.loads(json.dumps(value))


def draw_confusion(result: Result) -> npt.NDArray[np.uint8]:
    """Picture of a confusion matrix, shape (height, width, 3): a row a true class.

    Cells hold the count over all test subjects and the share of their row, which colours them.

    Args:
        result: Of a run that is done.
    """
    classes = DATAMODULES[result.run.dataset].tasks[result.run.task].classes
    counts = np.sum(list(result.confusion.values()), axis=0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = CELL * (len(classes) + 1)
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    draw.multiline_text((CELL / 2, CELL / 2), "true v\npredicted >", "black", anchor="mm")
    for row, name in enumerate(classes, start=1):
        across, down = (CELL / 2, (row + 0.5) * CELL), ((row + 0.5) * CELL, CELL / 2)
        for place in (across, down):
            draw.text(place, name, "black", anchor="mm")
        for column in range(1, len(classes) + 1):
            share = shares[row - 1, column - 1]
            colour = tuple(np.rint(255 + share * (DARKEST - 255)).astype(int).tolist())
            corner = np.array([column, row]) * CELL
            draw.rectangle((*corner, *(corner + CELL - 1)), fill=colour)
            text = f"{counts[row - 1, column - 1]}\n{share:.0%}"
            ink = "white" if share > 0.5 else "black"
            draw.multiline_text(tuple(corner + CELL / 2), text, ink, anchor="mm", align="center")
    return np.asarray(image)

"""Trackers: results of finished runs, written for Weights & Biases or TensorBoard.

Runs are read from the store once they are committed, in a thread of the calling process: workers
know of no tracker, wait for no network, and nothing that goes wrong here can change a run. Runs
that were finished before, under another tracker or none, are written too.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from benchmark.curves import METRICS, read_curves
from benchmark.run import Run
from benchmark.scored import Scored, scored
from benchmark.store import Store
from benchmark.tracking.names import LoggerName, WandbMode
from datamodules.machine import extra


class Writer(Protocol):
    """Writes results in the format of one tracker."""

    def has(self, run: Run) -> bool:
        """Return whether a run was written, in this call or an earlier one."""
        ...

    def write(self, result: Scored, curves: Mapping[int, Mapping[str, float]]) -> None:
        """Write one run, in place of what was written of it before.

        Args:
            result: Result of a run that is done or failed.
            curves: Values by name, by epoch from 1.
        """
        ...

    def write_boards(self, folder: Path) -> None:
        """Write the leaderboards of a folder, and the report if it is there."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...


class Tracker:
    """Passes finished runs to a writer, one after another, in a thread of its own.

    Leaving the block waits until everything is written; after an exception, only for the run that
    is being written.

    Args:
        store: Store of the runs.
        make_writer: Function that makes the writer, called in the thread when there is something to
            write; None: nothing is written.
        warn: Function that takes a warning; called once, if something goes wrong.
    """

    def __init__(
        self,
        store: Store,
        make_writer: Callable[[], Writer] | None,
        warn: Callable[[str], None],
    ) -> None:
        self._store, self._make_writer, self._warn = store, make_writer, warn
        self._thread = ThreadPoolExecutor(1, "tracker")
        self._open_writer: Writer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)
        if self._open_writer:
            self._guarded(self._open_writer.close)

    def add(self, run: Run, anew: bool = False) -> None:
        """Write a run that is done or failed.

        Args:
            run: The run.
            anew: Whether to write it also if it was written before.
        """
        self._do(self._write, run, anew)

    def add_boards(self, folder: Path) -> None:
        """Write the leaderboards."""
        self._do(lambda: self._writer().write_boards(folder))

    def _write(self, run: Run, anew: bool) -> None:
        if not anew and self._writer().has(run):
            return
        result = scored(self._store, run)
        if result:
            path = self._store.folder(run) / METRICS
            curves = read_curves(path.read_text()) if path.is_file() else {}
            self._writer().write(result, curves)

    def _writer(self) -> Writer:
        if self._open_writer is None:
            assert self._make_writer
            self._open_writer = self._make_writer()
        return self._open_writer

    def _do(self, task: Callable[..., None], *arguments: Any) -> None:
        if self._make_writer:
            self._thread.submit(self._guarded, task, *arguments)

    def _guarded(self, task: Callable[..., None], *arguments: Any) -> None:
        try:
            task(*arguments)
        except Exception as error:  # a tracker is never worth a run
            self._warn(f"not everything is tracked: {type(error).__name__}: {error}")
            self._warn = lambda _: None


def make_tracker(
    name: LoggerName, mode: WandbMode, suite: str, store: Store, warn: Callable[[str], None]
) -> Tracker:
    """Return the tracker of a name; its library is imported when there is something to write.

    Args:
        name: Name of the tracker; ``"csv"`` and ``"none"`` write nothing here.
        mode: Mode of Weights & Biases; ``"disabled"`` writes nothing either.
        suite: Name of the suite.
        store: Store of the runs; files of a tracker are in a folder of its name beside them.
        warn: Function that takes a warning: at most one of an error, and one of going offline.

    Raises:
        MissingExtraError: The library of the tracker is an extra, and not installed.
    """

    def make_wandb() -> Writer:
        # Read when wandb is imported: reports on itself go to its makers only if one asks for it.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        from benchmark.tracking.wandb import WandbWriter  # imports wandb

        return WandbWriter(mode, suite, store.root, warn)

    def make_tensorboard() -> Writer:
        from benchmark.tracking.tensorboard import TensorBoardWriter  # imports tensorboard

        return TensorBoardWriter(store.root / "tensorboard")

    if name == "tensorboard":  # before any run, as the thread would only warn after the first
        with extra("tensorboard", "tensorboard", "--logger tensorboard"):
            importlib.import_module("tensorboard.version")
    if name == "wandb" and mode != "disabled":
        return Tracker(store, make_wandb, warn)
    return Tracker(store, make_tensorboard if name == "tensorboard" else None, warn)

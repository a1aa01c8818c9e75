"""Store: a folder of results, one folder a run, that survives being killed at any moment.

    <root>/<board>/<model>/<fold>-<seed>-<id>/   run.json  predictions.npz  model.ckpt
                                                 metrics.csv  log.txt  result.json
    <root>/<board>/<model>/not_applicable.json   why a model has no runs on a board
    <root>/<board>/notes.json                    what a reader of the board must know
    <root>/plan.json                             what the latest call asked for

Every file is written under a temporary name, flushed to the disk and renamed. ``result.json`` comes
last: without it a run has not happened. It is created by a link, which fails if the name is taken,
so of two that finish the same run the first wins.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.run import BenchmarkError, Result, Run

RESULT = "result.json"
READABLE = 0o644
"""Mode of finished files; temporary ones are the owner's alone."""
ANEW = "Delete it; affectbench run writes it anew."


class StoreError(BenchmarkError):
    """A store that cannot be read or written."""


class Store:
    """Results under one folder.

    Args:
        root: Made when the first result is saved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, run: Run) -> Path:
        """Where a run's files are."""
        return self.root / run.folder

    def status(self, run: Run) -> str | None:
        """``"done"``, ``"failed"``, or None if the run has not happened."""
        path = self.folder(run) / RESULT
        with _understood(path):
            return str(_read_json(path)["status"]) if path.is_file() else None

    def results(self) -> Iterator[Result]:
        """Every result, in order of path."""
        for path in sorted(self.root.glob(f"*/*/*/{RESULT}")):
            with _understood(path):
                result = Result.from_dict(_read_json(path))
            yield result

    def save(
        self,
        result: Result,
        predictions: Mapping[str, npt.NDArray[Any]] | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> bool:
        """Commit a result, side files first.

        Args:
            result: Done or failed. A failed result is replaced by the next; a done one never.
            predictions: Columns a window, for ``predictions.npz``.
            files: Finished files to move in, by name.

        Returns:
            False if the run was already done; nothing is changed then.
        """
        folder = self.folder(result.run)
        before = self.status(result.run)
        if before == "done":
            return False
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "run.json", result.run.as_dict())
        if predictions is not None:
            with _replaced(folder / "predictions.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **predictions)
                _flush(file.fileno())
        for name, path in (files or {}).items():
            with _replaced(folder / name) as temporary:
                shutil.copyfile(path, temporary)
                with temporary.open("rb") as file:
                    _flush(file.fileno())
        _flush_folder(folder)
        if before == "failed":
            (folder / RESULT).unlink(missing_ok=True)
        return self._link(folder / RESULT, result)

    def _link(self, path: Path, result: Result) -> bool:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        temporary = Path(name)
        try:
            temporary.chmod(READABLE)
            with os.fdopen(descriptor, "w") as file:
                file.write(_as_text(result.as_dict()))
                file.flush()
                _flush(file.fileno())
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return False
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)
        return True

    def predictions(self, run: Run) -> dict[str, npt.NDArray[Any]]:
        """Columns a window of a finished run."""
        with np.load(self.folder(run) / "predictions.npz", allow_pickle=False) as file:
            return dict(file)

    def note_cells(self, notes: Mapping[str, list[str]], reasons: Mapping[str, str]) -> None:
        """Keep notes by board, and reasons by ``board/model`` for what is not run."""
        for board, lines in notes.items():
            write_json(self.root / board / "notes.json", lines)
        for cell, reason in reasons.items():
            write_json(self.root / cell / "not_applicable.json", reason)

    def notes(self, board: str) -> list[str]:
        """Of a board."""
        path = self.root / board / "notes.json"
        with _understood(path, ANEW):
            return list(_read_json(path)) if path.is_file() else []

    def not_applicable(self, board: str) -> dict[str, str]:
        """Reasons by model that is not run on a board."""
        found = sorted((self.root / board).glob("*/not_applicable.json"))
        reasons = {}
        for path in found:
            with _understood(path, ANEW):
                reasons[path.parent.name] = str(_read_json(path))
        return reasons

    def save_plan(self, runs: list[Run]) -> None:
        """Keep what the latest call asked for, for ``affectbench status``."""
        write_json(self.root / "plan.json", [run.as_dict() for run in runs])

    def plan(self) -> list[Run]:
        """What the latest call asked for; empty if there was none."""
        path = self.root / "plan.json"
        if not path.is_file():
            return []
        with _understood(path, ANEW):
            return [Run.from_dict(run) for run in _read_json(path)]


def write_json(path: Path, value: object) -> None:
    """Write a JSON file at once, or leave it as it was."""
    write_text(path, _as_text(value))


def write_text(path: Path, text: str) -> None:
    """Write a text file at once, or leave it as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replaced(path) as temporary, temporary.open("w") as file:
        file.write(text)
        file.flush()
        _flush(file.fileno())


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place if the block ends well."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        temporary.chmod(READABLE)
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush(descriptor: int) -> None:
    os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot flush a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_text(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@contextmanager
def _understood(
    path: Path, remedy: str = "Delete its folder to have the run computed again."
) -> Iterator[None]:
    """Turn what goes wrong while a file is read and taken apart into a StoreError."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StoreError(
            f"{path}: expected JSON of this version, found otherwise ({error!r}). {remedy}"
        ) from error

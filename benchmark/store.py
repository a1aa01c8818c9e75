"""Store: a folder of results, one folder a run, that survives being killed at any moment.

    <root>/<board>/<model>/<fold>-<seed>-<id>/   run.json  predictions.npz  model.ckpt
                                                 metrics.csv  log.txt  result.json
    <root>/<board>/<model>/not_applicable.json   why a model has no runs on a board
    <root>/<board>/notes.json                    what a reader of the board must know
    <root>/plan.json                             what the latest call asked for
    <root>/boards.json                           boards that any call asked for
    <root>/calls/<id>.json                       when a call was, and how long it was inside runs

A run's files are written into a hidden folder that belongs to who commits it, flushed to the disk,
``result.json`` last, and the folder is renamed at once to the run's own. That fails if the run has
files already, so of two that finish the same run the first wins, with all of its files; what the
second found goes to ``conflict-<digest>.json`` beside them if it differs. Other files are written
under a temporary name, flushed and renamed. There are no locks and no shared files that grow, so
that a network file system and several machines will do.
"""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from benchmark.errors import BenchmarkError
from benchmark.result import Result
from benchmark.run import Run

RESULT = "result.json"
READABLE = 0o644
"""Mode of finished files; temporary ones are the owner's alone."""
MANY = 8
"""So many names are listed in a message."""
ANEW = "Delete it; affectbench run writes it anew."


class StoreError(BenchmarkError):
    """A store that cannot be read or written."""


class DiskFullError(BenchmarkError):
    """No room for what must be written."""

    status = 1


def is_full(error: BaseException) -> TypeGuard[OSError]:
    """Whether it says that a disk, or its user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def full_disk(*paths: Path) -> DiskFullError:
    """What to say when a file cannot be written for want of room: where there is least."""
    chains = [(path, *path.absolute().parents) for path in paths]
    there = [next(folder for folder in chain if folder.is_dir()) for chain in chains]
    left, fullest = min((shutil.disk_usage(folder).free, folder) for folder in there)
    free = left / 2**20
    return DiskFullError(
        f"{fullest}: no room to write, {free:.1f} MiB are free there (a quota may allow less). "
        "What was finished is kept: make room and call again, or name folders elsewhere with "
        "--runs, --cache, --leaderboards and TMPDIR"
    )


@contextmanager
def _room(path: Path) -> Iterator[None]:
    """Say of a full disk where it is full."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise full_disk(path) from error
        raise


@dataclass(frozen=True)
class Call:
    """Times of one call that did runs, in seconds.

    Args:
        started: Of the call, since the epoch.
        begun: When the first run began.
        ended: When the last run had ended.
        workers: That took runs.
        runs: That ended, done or failed.
        busy: That workers spent inside runs, all together.
    """

    started: float
    begun: float
    ended: float
    workers: int
    runs: int
    busy: float


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

    def result(self, run: Run) -> Result | None:
        """What is on record of a run."""
        path = self.folder(run) / RESULT
        with _understood(path):
            try:
                return Result.from_dict(_read_json(path))
            except FileNotFoundError:
                return None

    def conflicts(self) -> list[Path]:
        """Results that differ from those which were committed before them."""
        return sorted(self.root.glob("*/*/*/conflict-*.json"))

    def save(
        self,
        result: Result,
        predictions: Mapping[str, npt.NDArray[Any]] | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> bool:
        """Commit a result with its side files.

        Args:
            result: Done or failed. A failed result is replaced by the next; a done one never.
            predictions: Columns a window, for ``predictions.npz``.
            files: Finished files to copy, by name.

        Returns:
            False if the run was already done; at most a conflict is added then.

        Raises:
            DiskFullError: There is no room; the store is as it was.
        """
        folder = self.folder(result.run)
        with _room(folder):
            if self._done_before(result):
                return False
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _own_folder(folder) as stage:
                _write(stage / "run.json", _as_text(result.run.as_dict()))
                if predictions is not None:
                    with (stage / "predictions.npz").open("wb") as file:
                        np.savez(file, allow_pickle=False, **predictions)
                        _flush(file.fileno())
                for name, path in (files or {}).items():
                    shutil.copyfile(path, stage / name)
                    with (stage / name).open("rb") as file:
                        _flush(file.fileno())
                _write(stage / RESULT, _as_text(result.as_dict()))
                _flush_folder(stage)
                return self._install(stage, result)

    def _install(self, stage: Path, result: Result) -> bool:
        folder = self.folder(result.run)
        while not _renamed(stage, folder):
            if self._done_before(result):
                return False
            with _own_folder(folder) as aside:  # what failed before, or an interrupted older commit
                with suppress(FileNotFoundError):  # another has just done the same
                    folder.rename(aside)
                if _is_done(aside / RESULT):  # another has committed since the look
                    _renamed(aside, folder)
        _flush_folder(folder.parent)
        return True

    def _done_before(self, result: Result) -> bool:
        """Whether the run is done already; a result that differs is kept as evidence."""
        if self.status(result.run) != "done":
            return False
        first = self.result(result.run)
        if first and result.status == "done" and first.findings != result.findings:
            found = hashlib.sha256(_as_text(result.findings).encode()).hexdigest()[:12]
            write_json(self.folder(result.run) / f"conflict-{found}.json", result.as_dict())
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

    def save_call(self, call: Call) -> None:
        """Keep the times of a call in a file of its own."""
        write_json(self.root / "calls" / f"{uuid.uuid4().hex}.json", dataclasses.asdict(call))

    def calls(self) -> list[Call]:
        """Times of every call, in order."""
        found = []
        for path in self.root.glob("calls/[!.]*.json"):
            with _understood(path, "Delete it."):
                found.append(Call(**_read_json(path)))
        return sorted(found, key=lambda call: call.started)

    def find(self, name: str) -> list[Path]:
        """Folders of results of a run, by its id or the beginning of it, or by its folder."""
        if name and (Path(name) / RESULT).is_file():
            return [Path(name)]
        folders = sorted(path.parent for path in self.root.glob(f"*/*/*/{RESULT}"))
        return [path for path in folders if path.name.rpartition("-")[2].startswith(name)]

    def find_one(self, name: str) -> Path:
        """The one folder that ``find`` finds.

        Raises:
            StoreError: There is none, or there are several.
        """
        found = self.find(name)
        if not found:
            raise StoreError(
                f"no run {name!r} has ended in {str(self.root)!r}: expected its id, the beginning "
                "of it, or its folder; name where runs are with --runs"
            )
        if len(found) > 1:
            names = ", ".join(path.name.rpartition("-")[2] for path in found[:MANY])
            raise StoreError(
                f"expected one run, found {len(found)} runs whose id begins with {name!r}: "
                f"{names}{', ...' if len(found) > MANY else ''}. Give more of the id"
            )
        return found[0]

    def load(self, folder: Path) -> Result:
        """What is on record in a run's folder."""
        path = folder / RESULT
        with _understood(path):
            return Result.from_dict(_read_json(path))

    def save_plan(self, runs: list[Run]) -> None:
        """Keep what the latest call asked for, and on which boards any call ever did."""
        write_json(self.root / "plan.json", [run.as_dict() for run in runs])
        boards = {*self.boards(), *(run.board for run in runs)}
        if boards != self.boards():
            write_json(self.root / "boards.json", sorted(boards))

    def boards(self) -> set[str]:
        """Boards that calls with this store have asked for, whether their runs are still there."""
        path = self.root / "boards.json"
        with _understood(path, ANEW):
            return set(_read_json(path)) if path.is_file() else set()

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
    with _room(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _room(path), _replaced(path) as temporary:
        _write(temporary, text)


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


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """A new hidden folder, on the disk of ``path`` and out of sight of who looks for results."""
    folder = path.parent.parent / f".{path.name}-{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _renamed(folder: Path, name: Path) -> bool:
    """Give a folder a name; False if a folder with files in it has that name."""
    try:
        folder.rename(name)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _is_done(path: Path) -> bool:
    try:
        return bool(_read_json(path)["status"] == "done")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        _flush(file.fileno())


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

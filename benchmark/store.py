"""Store: a folder of results, one folder a run, that survives being killed at any moment.

    <root>/<board>/<model>/<fold>-<seed>-<id>/   run.json  predictions.npz  log.txt  result.json
                                                 model.ckpt or model.skops  metrics.csv
                                                 validation.npz
    <root>/tuning/<board>/<model>/<fold>-<seed>-<id>/   the same of an inner run of a study
    <root>/<board>/<model>/not_applicable.json   why a model has no runs on a board
    <root>/<board>/notes.json                    what a reader of the board must know
    <root>/plan.json                             what the latest call asked for
    <root>/boards.json                           boards that any call asked for
    <root>/scores.json                           scores of predictions, see benchmark.boards.scores
    <root>/uncertainty.json                      calibration, see benchmark.boards.calibrated
    <root>/statistics.json                       p-values, see benchmark.boards.computed
    <root>/calls/<id>.json                       when a call was, and how long it was inside runs

A run's files are written into a hidden folder that belongs to who commits it, flushed to the disk,
``result.json`` last, and the folder is renamed at once to the run's own. That fails if the run has
files already, so of two that finish the same run the first wins, with all of its files; where the
predictions of the second differ, they and its result go to ``conflict-<digest>.npz`` and ``.json``
beside them. Other files are written at once, see benchmark.files. There are no locks and no shared
files that grow, so that a network file system and several machines will do.

``result.json`` holds the digests of the files beside it: a file that is not the one which was
committed is refused when it is read (a result of schema 1 has no digests; its files are believed).

A ``result.json`` that is damaged, that lies in another folder than that of its run, or whose run
this version does not know is set aside: the log names it once, its status is ``"damaged"``, nothing
replaces it, and all others are read as ever. No text from a file becomes a path unless it can be
the name of a file, see benchmark.run.
"""

import dataclasses
import errno
import hashlib
import io
import json
import logging
import math
import shutil
import tokenize
import uuid
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmark.errors import BenchmarkError
from benchmark.files import (
    GONE,
    as_json,
    flush,
    flush_folder,
    matching,
    room_at,
    visible,
    write_bytes,
    write_flushed,
    write_json,
)
from benchmark.result import Result
from benchmark.run import INNER, Run, path_part
from benchmark.typed import check_fields
from benchmark.upgrade import SCHEMA, SchemaError, upgrade_run
from datamodules.errors import IncompatibleRunError
from datamodules.temporary import owned
from lightning_modules.units import Columns

RESULT = "result.json"
PREDICTIONS = "predictions.npz"
"""Predictions: subject, session, trial, unit, start, label and probabilities of each window."""
VALIDATION = "validation.npz"
"""The same of the part that chose the epoch, where one was kept apart."""
BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, SyntaxError, tokenize.TokenError)
"""Errors of an archive that is none, is cut short or wants a password, and of headers in it."""
HEADER, SIGNATURE = 30, b"PK\x03\x04"
"""Length of the header of a part of an archive, without its name and what follows that, and how it
begins."""
MANY = 8
"""Number of names that a message lists."""
ANEW = "Delete it; affectbench run writes it anew."
AGAIN = "Delete its folder to have the run computed again."


class StoreError(BenchmarkError):
    """A store that cannot be read or written."""


class DamagedError(StoreError):
    """A file that is not the one which was committed, or that is gone."""


@dataclass(frozen=True)
class Call:
    """Times of one call that did runs, in seconds.

    Args:
        started: Start of the call, since the epoch.
        begun: Start of the first run.
        ended: End of the last run.
        workers: Number of workers that took runs.
        runs: Number of runs that ended, done or failed.
        busy: Time that all workers together spent inside runs.
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
        root: Folder, which is made when the first result is saved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._named: set[Path] = set()

    def folder(self, run: Run) -> Path:
        """Return the folder of a run's files."""
        return self.root / run.folder

    def status(self, run: Run) -> str | None:
        """Return ``"done"``, ``"failed"``, ``"damaged"``, or None if the run has not happened."""
        folder = self.folder(run)
        try:
            result = self._entry(folder)
        except StoreError as error:
            self.put_aside(folder, error)
            return "damaged"
        return result.status if result else None

    def entries(self) -> Iterator[tuple[Path, Result]]:
        """Yield every result with its folder, in order of path; damaged ones are set aside."""
        for folder in self._folders():
            try:
                result = self._entry(folder)
            except StoreError as error:
                self.put_aside(folder, error)
            else:
                if result:  # otherwise another process is about to replace it
                    yield folder, result

    def folders(self) -> list[Path]:
        """Return the folders of all runs that have ended, in order of path."""
        return list(self._folders())

    def _folders(self) -> Iterator[Path]:
        """Yield the same folders, model by model."""
        for model in matching(self.root, "*/*"):
            for path in matching(model, f"*/{RESULT}"):
                yield path.parent

    def inner_folders(self) -> dict[str, Path]:
        """Return the folders of all inner runs of studies that have ended, by id."""
        paths = matching(self.root, f"{INNER}/*/*/*/{RESULT}")
        return {path.parent.name.rpartition("-")[2]: path.parent for path in paths}

    def inner_results(self) -> Iterator[Result]:
        """Yield the result of every inner run; damaged ones are set aside."""
        for folder in self.inner_folders().values():
            try:
                result = self._entry(folder)
            except StoreError as error:
                self.put_aside(folder, error)
            else:
                if result:
                    yield result

    @property
    def set_aside(self) -> list[Path]:
        """Folders of damaged results that were met so far, in order."""
        return sorted(self._named)

    def put_aside(self, folder: Path, error: Exception) -> None:
        """Name a damaged result, once."""
        if folder not in self._named:
            self._named.add(folder)
            logging.getLogger(__name__).warning("set aside: %s", error)

    def _entry(self, folder: Path) -> Result | None:
        """Return the result in a folder of the store, if it is of the run that the folder is of.

        Raises:
            StoreError: It is damaged, of another run, or a later version wrote it.
        """
        try:
            result = self.load(folder)
        except SchemaError as error:
            raise StoreError(f"{folder / RESULT}: {error}") from error
        except OSError as error:
            if error.errno in GONE:
                return None
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # no fault of the file
                raise
            raise StoreError(
                f"{folder / RESULT}: expected to read it, found: {error.strerror}. Mend that, or "
                "move its folder out of the store."
            ) from error
        with _understood(folder / RESULT):
            expected = Path(result.run.folder)
        place = folder.relative_to(self.root)
        if not result.files:  # ids of schema 1, which has no digests, were others
            place, expected = place.parent, expected.parent
        if place != expected:
            raise StoreError(
                f"{folder / RESULT}: expected the run that its folder is named after, found one of "
                f"{expected}: it was changed, or moved. {AGAIN}"
            )
        return result

    def results(self) -> Iterator[Result]:
        """Yield every result, in order of path."""
        for _, result in self.entries():
            yield result

    def result(self, run: Run) -> Result | None:
        """Return the result of a run; None if the run has not happened."""
        try:
            return self.load(self.folder(run))
        except FileNotFoundError:
            return None

    def load(self, folder: Path) -> Result:
        """Return the result in a run's folder; raises FileNotFoundError if there is none."""
        path = folder / RESULT
        with _understood(path):
            values = _read_json(path)
            if "schema" not in values:
                values["ended"] = path.stat().st_mtime
            result = Result.from_dict(values)
            if values.get("schema", 1) > 1 and result.status == "done" and not result.files:
                raise ValueError("expected digests of the files beside it, found none")
            return result

    def conflicts(self) -> list[Path]:
        """Return results that differ from those which were committed before them."""
        return matching(self.root, "*/*/*/conflict-*.json")

    def save(
        self,
        result: Result,
        predictions: Columns | None = None,
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
        table = None if predictions is None else as_npz(predictions)
        with room_at(folder):
            if self._done_before(result, table):
                return False
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _own_folder(folder) as stage:
                write_flushed(
                    stage / "run.json", as_json({**result.run.as_dict(), "schema": SCHEMA})
                )
                if table is not None:
                    write_flushed(stage / PREDICTIONS, table)
                for name, path in (files or {}).items():
                    shutil.copyfile(path, stage / name)
                    with (stage / name).open("rb") as file:
                        flush(file)
                digests = {path.name: _digest(path) for path in visible(stage)}
                committed = dataclasses.replace(result, files=digests)
                write_flushed(stage / RESULT, as_json(committed.as_dict()))
                flush_folder(stage)
                return self._install(stage, result, table)

    def _install(self, stage: Path, result: Result, table: bytes | None) -> bool:
        folder = self.folder(result.run)
        while not _renamed(stage, folder):
            if self._done_before(result, table):
                return False
            with _own_folder(folder) as aside:  # what failed before, or an interrupted older commit
                with suppress(FileNotFoundError):  # another has just done the same
                    folder.rename(aside)
                if _is_done(aside / RESULT):  # another has committed since the look
                    _renamed(aside, folder)
        flush_folder(folder.parent)
        return True

    def _done_before(self, result: Result, table: bytes | None) -> bool:
        """Return whether the run is done already; predictions that differ are kept as evidence."""
        folder = self.folder(result.run)
        before = self._entry(folder)  # one that is damaged is not replaced
        if before is None or before.status != "done":
            return False
        if result.status == "done" and table is not None and not _agrees(folder, table):
            name = f"conflict-{hashlib.sha256(table).hexdigest()[:12]}"
            write_bytes(folder / f"{name}.npz", table)
            write_json(folder / f"{name}.json", result.as_dict())
        return True

    def read(self, folder: Path, result: Result, name: str) -> bytes:
        """Return the bytes of a file beside a result, which are those that were committed.

        Args:
            folder: Folder of the result.
            result: The result, which holds the digest; one of schema 1 has none, and its files are
                believed.
            name: Name of the file.

        Raises:
            DamagedError: The file is gone, or is another.
        """
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            raise DamagedError(
                f"{folder / name}: expected the file that was committed, found none. {AGAIN}"
            ) from None
        named = name in result.files or name == PREDICTIONS  # others may be written later
        committed = result.files.get(name, "none")
        if result.files and named and hashlib.sha256(content).hexdigest() != committed:
            raise DamagedError(
                f"{folder / name}: expected the file that was committed (SHA-256 "
                f"{committed[:12]}...), found another. {AGAIN}"
            )
        return content

    def predictions(self, run: Run) -> dict[str, npt.NDArray[Any]]:
        """Return the predictions of a finished run; raises DamagedError if they are not its own."""
        folder = self.folder(run)
        return parsed(self.read(folder, self.load(folder), PREDICTIONS), folder)

    def note_cells(self, notes: Mapping[str, list[str]], reasons: Mapping[str, str]) -> None:
        """Keep notes by board, and reasons by ``board/model`` for what is not run."""
        for board, lines in notes.items():
            write_json(self.root / board / "notes.json", lines)
        for cell, reason in reasons.items():
            write_json(self.root / cell / "not_applicable.json", reason)

    def notes(self, board: str) -> list[str]:
        """Return the notes of a board."""
        path = self.root / board / "notes.json"
        with _understood(path, ANEW):
            lines = _read_if_there(path, [])
            if not isinstance(lines, list) or any(type(line) is not str for line in lines):
                raise TypeError("expected a list of lines")
            return lines

    def not_applicable(self, board: str) -> dict[str, str]:
        """Return why models are not run on a board, by model."""
        reasons = {}
        for path in matching(self.root / board, "*/not_applicable.json"):
            with _understood(path, ANEW):
                reasons[path.parent.name] = str(_read_json(path))
        return reasons

    def save_call(self, call: Call) -> None:
        """Keep the times of a call in a file of its own."""
        write_json(self.root / "calls" / f"{uuid.uuid4().hex}.json", dataclasses.asdict(call))

    def calls(self) -> list[Call]:
        """Return the times of every call, in order."""
        calls = []
        for path in matching(self.root, "calls/*.json"):
            with _understood(path, "Delete it."):
                calls.append(Call(**_read_json(path)))
                check_fields(calls[-1])
        return sorted(calls, key=lambda call: call.started)

    def find(self, name: str) -> list[Path]:
        """Return the folders of results of a run, by the beginning of its id or by its folder."""
        if name and (Path(name) / RESULT).is_file():
            return [Path(name)]
        folders = [*self.folders(), *self.inner_folders().values()]
        return [path for path in folders if path.name.rpartition("-")[2].startswith(name)]

    def find_one(self, name: str) -> Path:
        """Return the one folder that ``find`` returns.

        Raises:
            StoreError: There is none, or there are several.
        """
        folders = self.find(name)
        if not folders:
            raise StoreError(
                f"no run {name!r} has ended in {str(self.root)!r}: expected its id, the beginning "
                "of it, or its folder; name where runs are with --runs"
            )
        if len(folders) > 1:
            names = ", ".join(path.name.rpartition("-")[2] for path in folders[:MANY])
            raise StoreError(
                f"expected one run, found {len(folders)} runs whose id begins with {name!r}: "
                f"{names}{', ...' if len(folders) > MANY else ''}. Give more of the id"
            )
        return folders[0]

    def save_plan(self, runs: list[Run], studies: Sequence[Run] = ()) -> None:
        """Keep the runs that the latest call asked for, and the boards of all calls.

        Args:
            runs: The runs.
            studies: Runs whose studies have not chosen yet; what these choose comes later.
        """
        plan = {
            "schema": SCHEMA,
            "runs": [run.as_dict() for run in runs],
            "studies": Counter(run.board for run in studies),
        }
        write_json(self.root / "plan.json", plan)
        boards = {*self.boards(), *(run.board for run in runs)}
        if boards != self.boards():
            write_json(self.root / "boards.json", sorted(boards))

    def boards(self) -> set[str]:
        """Return the boards that calls have asked for, also those whose runs are gone."""
        path = self.root / "boards.json"
        with _understood(path, ANEW):
            return {path_part(name) for name in _read_if_there(path, [])}

    def open_studies(self) -> dict[str, int]:
        """Return the number of studies of the latest call that have not chosen yet, by board."""
        path = self.root / "plan.json"
        with _understood(path, ANEW):
            values = _read_if_there(path, {})
            studies = values.get("studies", {}) if isinstance(values, dict) else {}
            return {str(board): int(count) for board, count in studies.items()}

    def plan(self) -> list[Run]:
        """Return the runs that the latest call asked for; empty if there was none."""
        path = self.root / "plan.json"
        with _understood(path, ANEW):
            values = _read_if_there(path, [])
            if isinstance(values, list):
                values = {"schema": 1, "runs": values}
            schema, runs = values["schema"], values["runs"]
            return [Run.from_dict(upgrade_run(run, schema)) for run in runs]


def check_committed(path: Path) -> None:
    """Raise DamagedError for a file that is not the one that ``result.json`` beside it names."""
    if path.with_name(RESULT).is_file():
        store = Store(path.parent)
        store.read(path.parent, store.load(path.parent), path.name)


def load_run(folder: Path) -> Run:
    """Return the run of a folder's ``run.json``; raises OSError, or StoreError if it is none."""
    path = folder / "run.json"
    with _understood(path):
        values = _read_json(path)
        schema = values.pop("schema", 1)
        return Run.from_dict(upgrade_run(values, schema))


def parsed(content: bytes, folder: Path, name: str = PREDICTIONS) -> dict[str, npt.NDArray[Any]]:
    """Return predictions from the bytes of their file; raises DamagedError if they are none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            parts = file.infolist()
            return {p.filename.removesuffix(".npy"): _array(_part(content, file, p)) for p in parts}
    except (*BROKEN, ValueError, OSError, EOFError, KeyError) as error:
        raise DamagedError(
            f"{folder / name}: expected predictions, found otherwise ({error!r}). {AGAIN}"
        ) from error


def _part(content: bytes, file: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a part of an archive.

    A part that is stored as it is, as numpy stores arrays, is cut out of the archive, which is many
    times sooner than to open it. Any other, and one that is not as the archive says, is left to
    ``ZipFile``.
    """
    begin = part.header_offset
    name, extra = (int.from_bytes(content[begin + k : begin + k + 2], "little") for k in (26, 28))
    start = begin + HEADER + name + extra
    cut = content[start : start + part.file_size]
    plain = part.compress_type == zipfile.ZIP_STORED and not part.flag_bits
    begins = content[begin : begin + len(SIGNATURE)] == SIGNATURE
    named = content[begin + HEADER : start - extra] == part.orig_filename.encode()
    sound = plain and begins and named and zlib.crc32(cut) == part.CRC
    return cut if sound else file.read(part)


def _array(content: bytes) -> npt.NDArray[Any]:
    """Return the array of a .npy file, read-only; raises ValueError if it is none, or of objects.

    It is numpy's own reader for the format of these files, but for one thing: headers are taken
    apart once, as tens of thousands of columns have but a few.
    """
    length = len(np.lib.format.magic(1, 0)) + 2
    start = length + int.from_bytes(content[length - 2 : length], "little")
    shape, fortran, dtype = _header(content[:start])
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise ValueError(f"expected as many numbers or texts as the header says, found {dtype}")
    order: Literal["C", "F"] = "F" if fortran else "C"
    return np.ndarray(shape, dtype, content, start, order=order)


@lru_cache(maxsize=1024)
def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of a .npy file of version 1.0 from its first bytes."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("expected version 1.0 of the .npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, fortran, dtype


def as_npz(columns: Columns) -> bytes:
    """Return columns as bytes, the same ones for the same columns."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **columns)
    return file.getvalue()


def _agrees(folder: Path, table: bytes) -> bool:
    """Return whether the predictions of a folder are those of ``table``, however written."""
    try:
        content = (folder / PREDICTIONS).read_bytes()
        ours, theirs = parsed(content, folder), parsed(table, folder)
    except (FileNotFoundError, DamagedError):
        return False
    return ours.keys() == theirs.keys() and all(
        np.array_equal(column, theirs[name]) for name, column in ours.items()
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """Yield a new hidden folder on the disk of ``path``, where no result is looked for."""
    folder = path.parent.parent / f"{owned(f'.{path.name}')}{uuid.uuid4().hex}"
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


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def _read_if_there(path: Path, default: object) -> Any:
    """Return the values of a file of JSON; the default if there is none."""
    try:
        return _read_json(path)
    except OSError as error:
        if error.errno in GONE:
            return default
        raise


@contextmanager
def _understood(path: Path, remedy: str = AGAIN) -> Iterator[None]:
    """Turn what goes wrong while a file is read and taken apart into a StoreError."""
    try:
        yield
    except IncompatibleRunError as error:
        raise StoreError(
            f"{path}: expected a run that this version of affectbench knows: {error}. Another "
            "version or other code wrote it, or it was changed: read it with that, or move its "
            "folder out of the store."
        ) from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{path}: expected JSON of this version, found otherwise ({error!r}). {remedy}"
        ) from error

"""Prepared recordings on disk: read once from the raw files, then memory-mapped by every run.

    <cache>/<dataset>/<subject>-<key>/   one subject: meta.json, blocks.npy, and samples in
                                         <recording>.<signal>.npy
    <cache>/<dataset>/all-<key>/         all subjects, end to end: <signal>.npy

A subject's key is a digest of everything that made it: the raw files (name, size, time of change),
the reader and its options, the preprocessing steps, and the source code of all of these. Everything
is written under a temporary name and renamed, so a folder that exists is complete. What lies there
is compared with its checksums by each process that opens it; what has changed since is written
anew. The cache may be deleted at any time.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from datamodules.digests import digest, file_digest
from datamodules.errors import DatasetCorruptedError
from datamodules.machine import caching, reading, refuse_machine
from datamodules.samples import DamagedError
from datamodules.signals.preprocessing import Derived, Preprocessing, preprocess, steps_of
from datamodules.signals.recording import Fault, Recording, Signal
from datamodules.source import code_digest
from datamodules.stored import StoredSubject, open_subject
from datamodules.temporary import owned
from datamodules.writer import SubjectWriter

LOGGER = logging.getLogger(__name__)

NOT_READING = frozenset(
    f"datamodules.{name}"
    for name in ("catalogue", "datamodule", "dataset", "download", "splits", "tasks", "temporary")
)
"""Modules that the file of a dataset imports for what comes after reading. No sample depends on
them, so that a change in one keeps the recordings in the cache."""
NAMED_FILES = 2
"""Largest number of files of a subject that a message names: where each trial has a file, the
reasons of the trials say more, and are equal from subject to subject."""
READABLE = 0o755
"""Mode of a finished folder: a cache may be shared; temporary ones are the owner's alone."""


class Reader(Protocol):
    """Reads one dataset from the files that its publisher ships; knows nothing of labels or torch.

    A frozen dataclass: its fields, without ``root``, are the options it was built with.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects that the dataset has by its publisher's account, in natural order."""

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the raw files that ``read`` opens for a subject.

        Raises:
            DatasetNotFoundError: No such subject, or no such file.
        """

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield the recordings of a subject in order of session and trial, and their faults."""


def store_subject(
    folder: Path,
    reader: Reader,
    preprocessing: Preprocessing,
    subject: str,
    checked: Collection[str] = (),
) -> StoredSubject:
    """Return a subject from the cache, after reading it from the raw files if need be.

    Args:
        folder: The dataset's folder in the cache.
        reader: Reader of the raw files.
        preprocessing: Steps by signal.
        subject: One of ``reader.subjects``.
        checked: Signals whose samples will be read, and are compared with their checksums.

    Raises:
        DatasetNotFoundError: The subject's files are missing.
        DatasetCorruptedError: They are not what the publisher ships.
        MachineError: They cannot be read, or the cache cannot be written.
    """
    with reading(subject):
        target = subject_folder(folder, reader, preprocessing, subject)

    def as_written() -> bool:
        with suppress(DamagedError):
            open_subject(target, checked)
            return True
        return False

    with caching(folder):
        damaged = target.is_dir() and not as_written()
        if damaged:
            LOGGER.warning("%s: not what was written there, so it is read anew", target)
        if damaged or not target.is_dir():
            with written_folder(target, as_written) as temporary:
                _write_subject(temporary, reader, preprocessing, subject)
        return open_subject(target)


def subject_folder(
    folder: Path, reader: Reader, preprocessing: Preprocessing, subject: str
) -> Path:
    """Return the folder of a subject in the cache, arguments as of ``store_subject``.

    Raises:
        DatasetNotFoundError: The subject's files are missing.
    """
    return folder / f"{subject}-{_key(reader, preprocessing, subject)}"


@contextmanager
def written_folder(folder: Path, as_written: Callable[[], bool] = lambda: True) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` that takes its name if the block ends well.

    If another process was quicker, its folder stays and this one is dropped.

    Args:
        folder: The new folder.
        as_written: Function that returns whether a folder of that name is what was written there;
            one that is not makes room.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=owned(f".{folder.name}"), dir=folder.parent))
    aside = temporary.with_name(f"{temporary.name}-aside")
    try:
        yield temporary
        temporary.chmod(READABLE)
        if folder.is_dir() and not as_written():
            with suppress(FileNotFoundError):  # another process does the same
                folder.rename(aside)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        for left in (temporary, aside):
            shutil.rmtree(left, ignore_errors=True)


def _key(reader: Reader, preprocessing: Preprocessing, subject: str) -> str:
    """Return the digest of everything that makes the stored form of a subject."""
    steps = {name: steps_of(entry) for name, entry in preprocessing.items()}
    modules = {type(step).__module__ for chain in steps.values() for step in chain}
    options = {f.name: repr(getattr(reader, f.name)) for f in fields(reader) if f.name != "root"}
    return digest(
        {
            "reader": [type(reader).__qualname__, options],
            "steps": {
                name: repr(entry) if isinstance(entry, Derived) else [repr(step) for step in entry]
                for name, entry in preprocessing.items()
            },
            "code": code_of_reading(type(reader), modules),
            "files": [
                [_name(reader, path), path.stat().st_size, path.stat().st_mtime_ns]
                for path in reader.files(subject)
            ],
            "subject": subject,
        }
    )


def code_of_reading(reader: type[Reader], modules: Iterable[str] = ()) -> str:
    """Return the digest of the code that makes the stored form of a subject.

    Args:
        reader: Class of the reader.
        modules: Names of the modules of steps.
    """
    packages = {__name__.partition(".")[0], reader.__module__.partition(".")[0]}
    packages |= {name.partition(".")[0] for name in modules}
    return code_digest({reader.__module__, __name__, *modules}, packages, NOT_READING)


def _name(reader: Reader, path: Path) -> str:
    """Return the path of a raw file in the dataset: several folders may hold the same name."""
    root = getattr(reader, "root", None)
    if isinstance(root, Path) and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.name


def _write_subject(
    folder: Path, reader: Reader, preprocessing: Preprocessing, subject: str
) -> None:
    """Read a subject and write its samples and what describes them.

    Raises:
        DatasetNotFoundError: The subject's files are missing.
        DatasetCorruptedError: They are not what the publisher ships.
        MachineError: They cannot be read.
        OSError: The folder cannot be written.
    """
    writer = SubjectWriter(folder)
    faults: list[Fault] = []
    for item, signals in read_subject(reader, preprocessing, subject):
        if isinstance(item, Fault):
            faults.append(item)
        else:
            writer.write(item, signals)
    with reading(subject):
        paths = {_name(reader, path): path for path in reader.files(subject)}
        files: dict[str, dict[str, str | int]] = {
            name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
            for name, path in paths.items()
        }
    if not writer.recordings:
        reasons = "; ".join(sorted({fault.reason for fault in faults}))
        where = f" in {' and '.join(files)}" if 0 < len(files) <= NAMED_FILES else ""
        raise DatasetCorruptedError(
            f"{subject}: expected at least one recording{where}, found none"
            + (f"; all {len(faults)} trials are left out: {reasons}" if faults else "")
        )
    writer.finish(subject, faults, files)


def read_subject(
    reader: Reader, preprocessing: Preprocessing, subject: str
) -> Iterator[tuple[Recording | Fault, Mapping[str, Signal]]]:
    """Yield faults, and recordings with their signals after all steps.

    Nothing that is wrong with the cache comes to pass here: what does is about the raw files.
    """
    try:
        with reading(subject):
            for item in reader.read(subject):
                if isinstance(item, Fault):
                    yield item, {}
                else:
                    signals = preprocess(item.signals, preprocessing)
                    _check_finite(signals)
                    yield item, signals
    except (ValueError, KeyError, EOFError) as error:
        refuse_machine(error, subject)
        raise DatasetCorruptedError(f"{subject}: {error}") from error


def _check_finite(signals: Mapping[str, Signal]) -> None:
    for name, signal in signals.items():
        if not np.isfinite(signal.samples).all():
            raise ValueError(f"{name}: expected finite samples, found NaN or infinity")

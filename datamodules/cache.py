"""Prepared recordings on disk: read once from the raw files, then memory-mapped by every run.

    <cache>/<dataset>/<subject>-<key>/             one subject: meta.json, blocks.npy
    <cache>/<dataset>/<subject>-<key>.<signal>/    a signal of the subject: meta.json, samples.npy

What describes a subject is of all signals, whichever of them are prepared: those that somebody asks
for, with no steps but their own. The others come when they are asked for.

The key is a digest of everything that made it: the raw files (name, size, time of change), the
reader and its options, the preprocessing steps, and the source code of all of these. Everything is
written under a temporary name and renamed, so a folder that exists is complete. What lies there is
compared with its checksums by each process that opens it; what has changed since is written anew.
The cache may be deleted at any time.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol

import numpy as np

from datamodules.digests import digest, file_digest
from datamodules.errors import DatasetCorruptedError
from datamodules.machine import caching, reading, refuse_machine
from datamodules.samples import DamagedError
from datamodules.signals.preprocessing import (
    Derived,
    Preprocessing,
    durations,
    preprocess,
    steps_of,
)
from datamodules.signals.recording import Fault, Recording, Signal
from datamodules.source import code_digest
from datamodules.stored import (
    StoredSubject,
    open_signal,
    open_subject,
    samples_file,
    signal_folder,
)
from datamodules.temporary import owned
from datamodules.writer import SignalWriter, SubjectWriter

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


class Change(Protocol):
    """A change of recordings as they were read, before any step; a frozen dataclass.

    Its ``repr`` is part of the cache key, and the code of its module.
    """

    def __call__(self, recording: Recording, number: int) -> Recording:
        """Return a changed recording, from its number among those of its subject, from 0."""


def store_subject(
    folder: Path,
    reader: Reader,
    preprocessing: Preprocessing,
    subject: str,
    signals: Collection[str] | None = None,
    checked: bool = False,
    change: Change | None = None,
) -> StoredSubject:
    """Return a subject from the cache, after reading the raw files if need be.

    Args:
        folder: The dataset's folder in the cache.
        reader: Reader of the raw files.
        preprocessing: Steps by signal.
        subject: One of ``reader.subjects``.
        signals: Signals that are in the cache then, as far as the subject has them; None: all.
        checked: Whether their samples are compared with their checksums, if they were there.
        change: Change of recordings before their steps; None: there is none.

    Raises:
        DatasetNotFoundError: The subject's files are missing.
        DatasetCorruptedError: They are not what the publisher ships.
        MachineError: They cannot be read, or the cache cannot be written.
    """
    with reading(subject):
        target = subject_folder(folder, reader, preprocessing, subject, change)
    with caching(folder):
        missing = _missing(target, signals, checked)
        if missing is None or missing:
            _write_subject(target, reader, preprocessing, subject, missing, checked, change)
        return open_subject(target)


def is_stored(target: Path, signals: Collection[str] | None) -> bool:
    """Return whether signals of a subject are in the cache; what they hold is not looked at.

    Args:
        target: Folder of the subject.
        signals: Names of signals; None: all.
    """
    if not target.is_dir():
        return False
    try:
        names = open_subject(target).signals
    except DamagedError:
        return False
    wanted = names if signals is None else [name for name in signals if name in names]
    return all(signal_folder(target, name).is_dir() for name in wanted)


def is_as_written(subject: StoredSubject, signals: Iterable[str]) -> bool:
    """Return whether a subject and some signals, as far as it has them, are what was written.

    Raises:
        MachineError: They cannot be read.
    """
    names = [name for name in signals if name in subject.signals]
    with caching(subject.folder.parent):
        return _opens(partial(open_subject, subject.folder)) and all(
            _opens(partial(open_signal, signal_folder(subject.folder, name), True))
            for name in names
        )


SUBJECT = ""
"""Name of what describes a subject, among names of its signals."""


def _missing(
    target: Path, signals: Collection[str] | None, checked: bool
) -> tuple[str, ...] | None:
    """Return what of a subject is not in the cache: names of signals, SUBJECT; None: everything.

    Args:
        target: Folder of the subject.
        signals: Names of signals; None: all that the subject has.
        checked: Whether samples are compared with their checksums.
    """
    described = _is_sound(target, lambda: open_subject(target))
    if described:
        names = open_subject(target).signals
        wanted = names if signals is None else tuple(n for n in names if n in signals)
    elif signals is None:
        return None
    else:
        wanted = tuple(signals)
    missing = [] if described else [SUBJECT]
    for name in wanted:
        place = signal_folder(target, name)
        if not _is_sound(place, partial(open_signal, place, checked)):
            missing.append(name)
    return tuple(missing)


def _is_sound(folder: Path, opened: Callable[[], object]) -> bool:
    """Return whether a folder is there and can be opened; one that cannot is warned of."""
    if not folder.is_dir():
        return False
    sound = _opens(opened)
    if not sound:
        LOGGER.warning("%s: not what was written there, so it is read anew", folder)
    return sound


def _opens(opened: Callable[[], object]) -> bool:
    with suppress(DamagedError):
        opened()
        return True
    return False


def subject_folder(
    folder: Path,
    reader: Reader,
    preprocessing: Preprocessing,
    subject: str,
    change: Change | None = None,
) -> Path:
    """Return the folder of a subject in the cache, arguments as of ``store_subject``.

    Raises:
        DatasetNotFoundError: The subject's files are missing.
    """
    return folder / f"{subject}-{_key(reader, preprocessing, subject, change)}"


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


def _key(reader: Reader, preprocessing: Preprocessing, subject: str, change: Change | None) -> str:
    """Return the digest of everything that makes the stored form of a subject."""
    steps = {name: steps_of(entry) for name, entry in preprocessing.items()}
    modules = {type(step).__module__ for chain in steps.values() for step in chain}
    options = {f.name: repr(getattr(reader, f.name)) for f in fields(reader) if f.name != "root"}
    changed: dict[str, str] = {}
    if change is not None:
        modules.add(type(change).__module__)
        changed["change"] = repr(change)
    return digest(
        {
            **changed,
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
    target: Path,
    reader: Reader,
    preprocessing: Preprocessing,
    subject: str,
    missing: Collection[str] | None,
    checked: bool,
    change: Change | None,
) -> None:
    """Read a subject and write what is missing of it; the raw files are read once.

    Raises:
        DatasetNotFoundError: The subject's files are missing.
        DatasetCorruptedError: They are not what the publisher ships.
        MachineError: They cannot be read.
        OSError: The folder cannot be written.
    """
    names = None if missing is None else [name for name in missing if name != SUBJECT]
    describes = missing is None or SUBJECT in missing
    faults: list[Fault] = []
    about, writers = SubjectWriter(), dict[str, tuple[Path, SignalWriter]]()
    with ExitStack() as stack:
        folder = target
        if describes:
            sound = partial(_opens, partial(open_subject, target))
            folder = stack.enter_context(written_folder(target, sound))
        for item, signals, seconds in read_subject(reader, preprocessing, subject, names, change):
            if isinstance(item, Fault):
                faults.append(item)
                continue
            for name in signals:
                if name not in writers:
                    place = signal_folder(target, name)
                    sound = partial(_opens, partial(open_signal, place, checked))
                    written = stack.enter_context(written_folder(place, sound))
                    file: BinaryIO = stack.enter_context(samples_file(written).open("wb"))
                    writers[name] = written, SignalWriter(file)
                    for _ in about.recordings:
                        writers[name][1].add(None)
            about.add(item, seconds)
            if describes:
                about.hash(item)
            for name, (_, writer) in writers.items():
                writer.add(signals.get(name))
        with reading(subject):
            paths = {_name(reader, path): path for path in reader.files(subject)}
            if not about.recordings:
                raise DatasetCorruptedError(_nothing(subject, list(paths), faults))
            files: dict[str, dict[str, str | int]] = {}
            if describes:
                files = {
                    name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
                    for name, path in paths.items()
                }
        if describes:
            about.finish(folder, subject, faults, files)
        elif about.content() != open_subject(target).content:
            raise DatasetCorruptedError(
                f"{subject}: expected the recordings that were read from the same files before, "
                f"found others. Delete {target}, and call again"
            )
        for written, writer in writers.values():
            writer.finish(written)


def _nothing(subject: str, files: Sequence[str], faults: Sequence[Fault]) -> str:
    """Return the message about a subject without a recording."""
    reasons = "; ".join(sorted({fault.reason for fault in faults}))
    where = f" in {' and '.join(files)}" if 0 < len(files) <= NAMED_FILES else ""
    return f"{subject}: expected at least one recording{where}, found none" + (
        f"; all {len(faults)} trials are left out: {reasons}" if faults else ""
    )


def read_subject(
    reader: Reader,
    preprocessing: Preprocessing,
    subject: str,
    names: Collection[str] | None = None,
    change: Change | None = None,
) -> Iterator[tuple[Recording | Fault, Mapping[str, Signal], Mapping[str, float]]]:
    """Yield faults, and recordings with signals after all of their steps.

    Nothing that is wrong with the cache comes to pass here: what does is about the raw files.

    Args:
        reader: Reader of the raw files.
        preprocessing: Steps by signal.
        subject: One of ``reader.subjects``.
        names: Names of signals; None: all.
        change: Change of recordings before their steps; None: there is none.

    Yields:
        A fault or a recording; those signals of it; and the duration of every signal of it.
    """
    number = 0
    try:
        with reading(subject):
            for item in reader.read(subject):
                if isinstance(item, Fault):
                    yield item, {}, {}
                    continue
                if change is not None:
                    item, number = change(item, number), number + 1
                untouched = {n: s for n, s in item.signals.items() if n not in preprocessing}
                _check_finite(untouched)
                seconds = durations(item.signals, preprocessing)
                signals = preprocess(item.signals, preprocessing, names)
                _check_finite({n: s for n, s in signals.items() if n not in untouched})
                for name, signal in signals.items():
                    _check_length(name, signal, seconds[name])
                yield item, signals, seconds
    except (ValueError, KeyError, EOFError) as error:
        refuse_machine(error, subject)
        raise DatasetCorruptedError(f"{subject}: {error}") from error


def _check_length(name: str, signal: Signal, seconds: float) -> None:
    """Refuse a signal that its steps left shorter than they say."""
    if signal.duration < seconds:
        raise ValueError(
            f"{name}: expected {seconds:g} s after its steps, found {signal.duration:g} s. A step "
            "that shortens a signal says so in n_times"
        )


def _check_finite(signals: Mapping[str, Signal]) -> None:
    for name, signal in signals.items():
        if not np.isfinite(signal.samples).all():
            raise ValueError(f"{name}: expected finite samples, found NaN or infinity")

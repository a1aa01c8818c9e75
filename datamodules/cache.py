"""Prepared recordings on disk: read once from the raw files, then memory-mapped by every run.

    <cache>/<dataset>/<subject>-<key>/   meta.json  <recording>.<signal>.npy   one subject
    <cache>/<dataset>/all-<key>/         <signal>.npy                          the same, end to end

A subject's key is a digest of everything that made it: the raw files (name, size, time of change),
the reader and its options, the preprocessing steps, and the source code of all of these. Everything
is written under a temporary name and renamed, so a folder that exists is complete. The cache may be
deleted at any time.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from datamodules.blocks import blocks_of
from datamodules.digests import digest, file_digest
from datamodules.errors import AffectbenchError, DatasetCorruptedError
from datamodules.signals.preprocessing import Derived, Preprocessing, preprocess, steps_of
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.source import code_digest
from datamodules.stored import StoredSubject, blocks_file, meta_file, open_subject, samples_file
from datamodules.temporary import owned

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
    folder: Path, reader: Reader, preprocessing: Preprocessing, subject: str
) -> StoredSubject:
    """Return a subject from the cache, after reading it from the raw files if need be.

    Args:
        folder: The dataset's folder in the cache.
        reader: Reader of the raw files.
        preprocessing: Steps by signal.
        subject: One of ``reader.subjects``.

    Raises:
        DatasetNotFoundError: The subject's files are missing.
        DatasetCorruptedError: They are not what the publisher ships.
    """
    target = folder / f"{subject}-{_key(reader, preprocessing, subject)}"
    if not target.is_dir():
        with written_folder(target) as temporary:
            _write_subject(temporary, reader, preprocessing, subject)
    return open_subject(target)


@contextmanager
def written_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` that takes its name if the block ends well.

    If another process was quicker, its folder stays and this one is dropped.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=owned(f".{folder.name}"), dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(READABLE)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
    """
    writer = _Writer(folder)
    faults: list[dict[str, Any]] = []
    try:
        for item in reader.read(subject):
            if isinstance(item, Fault):
                faults.append(asdict(item))
            else:
                writer.write(item, preprocess(item.signals, preprocessing))
    except AffectbenchError:
        raise
    except (ValueError, KeyError, EOFError, OSError) as error:
        raise DatasetCorruptedError(f"{subject}: {error}") from error
    files = {_name(reader, path): path for path in reader.files(subject)}
    if not writer.recordings:
        reasons = "; ".join(sorted({fault["reason"] for fault in faults}))
        where = f" in {' and '.join(files)}" if 0 < len(files) <= NAMED_FILES else ""
        raise DatasetCorruptedError(
            f"{subject}: expected at least one recording{where}, found none"
            + (f"; all {len(faults)} trials are left out: {reasons}" if faults else "")
        )
    np.save(blocks_file(folder), np.concatenate(writer.blocks))
    meta = {
        "subject": subject,
        "recordings": writer.recordings,
        "channels": writer.channels,
        "hashed": writer.hashed,
        "faults": faults,
        "content": writer.content(),
        "files": {
            name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
            for name, path in files.items()
        },
    }
    meta_file(folder).write_text(json.dumps(meta))


def _described(segment: Segment) -> dict[str, Any]:
    """Return the values of a segment; of people who share no stimuli, digests stay as they were."""
    return {name: value for name, value in asdict(segment).items() if name != "stimulus" or value}


@dataclass
class _Writer:
    """Writes the recordings of a subject one after another.

    Attributes:
        folder: Folder of the samples.
        recordings: Descriptions of the recordings as JSON holds them.
        channels: Channel names of each signal. Its recordings share them, as there may be
            thousands: each recording holds a position in this list.
        blocks: Hashes of the raw blocks of each recording, by which copies are found.
        hashed: Name and rate of the signals that they are of.
    """

    folder: Path
    recordings: list[dict[str, Any]] = field(default_factory=list)
    channels: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    blocks: list[npt.NDArray[np.void]] = field(default_factory=list)
    hashed: list[tuple[str, float]] = field(default_factory=list)
    _samples: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, recording: Recording, signals: dict[str, Signal]) -> None:
        """Write a recording whose signals have been through their steps.

        Raises:
            ValueError: Samples that are not finite.
        """
        self.blocks.append(blocks_of(recording.signals, len(self.recordings), self.hashed))
        described = {name: self._write_signal(name, signal) for name, signal in signals.items()}
        # A step that changes the rate may shorten its signal by a part of a sample.
        shortest = min(signal.duration for signal in signals.values())
        self.recordings.append(
            {
                "subject": recording.subject,
                "session": recording.session,
                "signals": described,
                "segments": [
                    _described(replace(segment, stop=min(segment.stop, shortest)))
                    for segment in recording.segments
                    if segment.start < shortest
                ],
                "offset": recording.offset,
            }
        )

    def content(self) -> str:
        """Return the digest of all samples and descriptions."""
        described = json.dumps([self.recordings, self.channels], sort_keys=True).encode()
        content = self._samples.copy()
        content.update(described)
        return content.hexdigest()[:16]

    def _write_signal(self, name: str, signal: Signal) -> dict[str, Any]:
        if not np.isfinite(signal.samples).all():
            raise ValueError(f"{name}: expected finite samples, found NaN or infinity")
        samples = np.ascontiguousarray(signal.samples)
        np.save(samples_file(self.folder, len(self.recordings), name), samples)
        self._samples.update(samples.data)
        variants = self.channels.setdefault(name, [])
        if signal.channels not in variants:
            variants.append(signal.channels)
        return {
            "n_times": samples.shape[1],
            "sfreq": signal.sfreq,
            "channels": variants.index(signal.channels),
            "unit": signal.unit,
        }

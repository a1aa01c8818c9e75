"""Prepared recordings on disk: read once from the raw files, then memory-mapped by every run.

    <cache>/<dataset>/<subject>-<key>/   meta.json  <session>.<signal>.npy   one subject
    <cache>/<dataset>/all-<key>/         <signal>.npy                        the same, end to end

A subject's key is a digest of everything that made it: the raw files (name, size, time of change),
the reader and its options, the preprocessing steps, and the source code of all of these. Everything
is written under a temporary name and renamed, so a folder that exists is whole. The cache may be
deleted at any time.
"""

import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from datamodules.errors import AffectbenchError, DatasetCorruptedError
from datamodules.signals.preprocessing import Step
from datamodules.signals.recording import Recording, Segment, Signal

SHARED_SOURCES = ("signals/*.py", "synthesis/physiology.py")
"""Files that any reader may use, from this folder; a change in one makes new cache entries."""


class Reader(Protocol):
    """Reads one dataset from the files that its publisher ships; knows nothing of labels or torch.

    A frozen dataclass: its fields, without ``root``, are the options it was built with.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects that the dataset has by its publisher's account, in natural order."""

    def files(self, subject: str) -> tuple[Path, ...]:
        """Raw files that ``read`` opens for a subject; raises DatasetNotFoundError without them."""

    def read(self, subject: str) -> Iterator[Recording]:
        """Recordings of a subject, one a session, in order of time."""


READABLE = 0o755
"""Mode of a finished folder: a cache may be shared; temporary ones are the owner's alone."""


@dataclass(frozen=True)
class StoredSignal:
    """A signal of a stored recording, without its samples."""

    n_times: int
    sfreq: float
    channels: tuple[str, ...]
    unit: str


@dataclass(frozen=True)
class StoredRecording:
    """A recording in the cache, without its samples."""

    subject: str
    session: str
    signals: Mapping[str, StoredSignal]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class StoredSubject:
    """One subject in the cache.

    Attributes:
        folder: Where the samples are.
        recordings: One a session.
        content: Digest of samples and segments, equal wherever they are equal.
        files: Size in bytes and sha256 of each raw file, by name.
    """

    folder: Path
    recordings: tuple[StoredRecording, ...]
    content: str
    files: Mapping[str, Mapping[str, str | int]]


def digest(value: object) -> str:
    """Hexadecimal digest (16 digits) of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def written_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that takes its name if the block ends well.

    If another process was quicker, its folder stays and this one is dropped.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
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


@cache
def _sources(module: str) -> str:
    here = Path(__file__).parent
    shared = (path for pattern in SHARED_SOURCES for path in sorted(here.glob(pattern)))
    return digest([inspect.getsource(sys.modules[module]), *(path.read_text() for path in shared)])


def _key(reader: Reader, steps: Mapping[str, Sequence[Step]], subject: str) -> str:
    modules = {type(step).__module__ for chain in steps.values() for step in chain}
    modules.add(type(reader).__module__)
    options = {f.name: repr(getattr(reader, f.name)) for f in fields(reader) if f.name != "root"}
    return digest(
        {
            "reader": [type(reader).__qualname__, options],
            "steps": {name: [repr(step) for step in chain] for name, chain in steps.items()},
            "sources": [_sources(module) for module in sorted(modules)],
            "files": [
                [path.name, path.stat().st_size, path.stat().st_mtime_ns]
                for path in reader.files(subject)
            ],
            "subject": subject,
        }
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store_subject(
    folder: Path, reader: Reader, steps: Mapping[str, Sequence[Step]], subject: str
) -> StoredSubject:
    """Read a subject, or find it in the cache.

    Args:
        folder: The dataset's folder in the cache.
        reader: Of the raw files.
        steps: Preprocessing of signals, by name; a signal that is not named stays as read.
        subject: One of ``reader.subjects``.

    Raises:
        DatasetNotFoundError: The subject's files are not there.
        DatasetCorruptedError: They are not what the publisher ships.
    """
    target = folder / f"{subject}-{_key(reader, steps, subject)}"
    if not target.is_dir():
        with written_folder(target) as temporary:
            _write_subject(temporary, reader, steps, subject)
    return _open_subject(target)


def _write_subject(
    folder: Path, reader: Reader, steps: Mapping[str, Sequence[Step]], subject: str
) -> None:
    content = hashlib.sha256()
    recordings = []
    try:
        for found in reader.read(subject):
            signals = {}
            for name, signal in found.signals.items():
                for step in steps.get(name, ()):
                    signal = step(signal)
                if not np.isfinite(signal.samples).all():
                    raise ValueError(f"{name}: expected finite samples, found NaN or infinity")
                samples = np.ascontiguousarray(signal.samples)
                np.save(folder / f"{found.session}.{name}.npy", samples)
                content.update(samples.data)
                signals[name] = asdict(
                    StoredSignal(samples.shape[1], signal.sfreq, signal.channels, signal.unit)
                )
            recordings.append(
                {
                    "subject": found.subject,
                    "session": found.session,
                    "signals": signals,
                    "segments": [asdict(segment) for segment in found.segments],
                }
            )
    except AffectbenchError:
        raise
    except (ValueError, KeyError, EOFError, OSError) as error:
        raise DatasetCorruptedError(f"{subject}: {error}") from error
    if not recordings:
        raise DatasetCorruptedError(f"{subject}: expected at least one recording, found none")
    content.update(json.dumps(recordings, sort_keys=True).encode())
    meta = {
        "recordings": recordings,
        "content": content.hexdigest()[:16],
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            for path in reader.files(subject)
        },
    }
    (folder / "meta.json").write_text(json.dumps(meta))


def _open_subject(folder: Path) -> StoredSubject:
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
    recordings = tuple(
        StoredRecording(
            subject=stored["subject"],
            session=stored["session"],
            signals={
                name: StoredSignal(
                    signal["n_times"], signal["sfreq"], tuple(signal["channels"]), signal["unit"]
                )
                for name, signal in stored["signals"].items()
            },
            segments=tuple(Segment(**segment) for segment in stored["segments"]),
        )
        for stored in meta["recordings"]
    )
    return StoredSubject(folder, recordings, meta["content"], meta["files"])


@dataclass(eq=False)
class Archive:
    """All recordings of a dataset, each signal as one memory-mapped array.

    Args:
        folder: The dataset's folder in the cache.
        subjects: In the dataset's order.
    """

    folder: Path
    subjects: tuple[StoredSubject, ...]
    _mapped: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of what all subjects hold."""
        return digest([subject.content for subject in self.subjects])

    @property
    def recordings(self) -> tuple[StoredRecording, ...]:
        """Of all subjects, in their order."""
        return tuple(found for subject in self.subjects for found in subject.recordings)

    def offsets(self, signal: str) -> npt.NDArray[np.int64]:
        """First sample of each recording in the array of a signal, shape (recordings,)."""
        lengths = [recording.signals[signal].n_times for recording in self.recordings]
        return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)

    def join(self, signal: str) -> None:
        """Write the array of a signal, unless it is there."""
        target = self._array(signal)
        if target.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        n_channels = len(self.recordings[0].signals[signal].channels)
        n_times = sum(recording.signals[signal].n_times for recording in self.recordings)
        temporary = target.with_name(f".{target.name}-{os.getpid()}")
        try:
            joined = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=np.float32, shape=(n_channels, n_times)
            )
            for offset, (folder, recording) in zip(
                self.offsets(signal), self._places(), strict=True
            ):
                samples = np.load(folder / f"{recording.session}.{signal}.npy", mmap_mode="r")
                joined[:, offset : offset + samples.shape[1]] = samples
            joined.flush()
            del joined
            temporary.rename(target)
        finally:
            temporary.unlink(missing_ok=True)

    def samples(self, signal: str) -> npt.NDArray[np.float32]:
        """Memory-mapped samples of all recordings, float32 of shape (C, T of all)."""
        if signal not in self._mapped:
            self._mapped[signal] = np.load(self._array(signal), mmap_mode="c")
        return self._mapped[signal]

    def _array(self, signal: str) -> Path:
        return self.folder / f"all-{self.key}" / f"{signal}.npy"

    def _places(self) -> Iterator[tuple[Path, StoredRecording]]:
        for subject in self.subjects:
            for recording in subject.recordings:
                yield subject.folder, recording


def as_recording(subject: StoredSubject, stored: StoredRecording) -> Recording:
    """A stored recording with its samples, memory-mapped."""
    return Recording(
        stored.subject,
        stored.session,
        {
            name: Signal(
                np.load(subject.folder / f"{stored.session}.{name}.npy", mmap_mode="r"),
                signal.sfreq,
                signal.channels,
                signal.unit,
            )
            for name, signal in stored.signals.items()
        },
        stored.segments,
    )

"""Prepared recordings on disk: read once from the raw files, then memory-mapped by every run.

    <cache>/<dataset>/<subject>-<key>/   meta.json  <recording>.<signal>.npy   one subject
    <cache>/<dataset>/all-<key>/         <signal>.npy                          the same, end to end

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from datamodules.errors import AffectbenchError, DatasetCorruptedError
from datamodules.signals.preprocessing import Derived as Derived
from datamodules.signals.preprocessing import Preprocessing as Preprocessing
from datamodules.signals.preprocessing import preprocess, steps_of
from datamodules.signals.recording import Fault, Recording, Segment, Signal

SHARED_SOURCES = ("signals/*.py", "formats/*.py", "synthesis/physiology.py")
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

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Recordings of a subject in order of session and trial, and what is wrong with them."""


NAMED_FILES = 2
"""A subject's files are named in a message if they are so many or fewer: where each trial has its
own, the reasons of the trials say more, and are equal from subject to subject."""
SPARSE = 1.0
"""Hz below which the channels of a sample lie side by side in the array of a signal, as a window
holds few samples and is gathered sooner so. Otherwise time runs first."""
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
    offset: float

    def trial_key(self, segment: Segment) -> str:
        """What a trial is called across subjects: its stimulus, else its place in the session."""
        stimulus = segment.annotations.get("stimulus")
        return f"{self.session}/{segment.trial}" if stimulus is None else str(stimulus)


@dataclass(frozen=True)
class StoredSubject:
    """One subject in the cache.

    Attributes:
        subject: The publisher's name.
        folder: Where the samples are.
        recordings: In order of session and trial.
        faults: Trials that the reader left out or repaired.
        content: Digest of samples and segments, equal wherever they are equal.
        files: Size in bytes and sha256 of each raw file, by its path in the dataset.
    """

    subject: str
    folder: Path
    recordings: tuple[StoredRecording, ...]
    faults: tuple[Fault, ...]
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


def _key(reader: Reader, preprocessing: Preprocessing, subject: str) -> str:
    modules = {type(step).__module__ for how in preprocessing.values() for step in steps_of(how)}
    modules.add(type(reader).__module__)
    options = {f.name: repr(getattr(reader, f.name)) for f in fields(reader) if f.name != "root"}
    return digest(
        {
            "reader": [type(reader).__qualname__, options],
            "steps": {
                name: repr(how) if isinstance(how, Derived) else [repr(step) for step in how]
                for name, how in preprocessing.items()
            },
            "sources": [_sources(module) for module in sorted(modules)],
            "files": [
                [_name(reader, path), path.stat().st_size, path.stat().st_mtime_ns]
                for path in reader.files(subject)
            ],
            "subject": subject,
        }
    )


def _name(reader: Reader, path: Path) -> str:
    """Path of a raw file in the dataset: a name may be there in several folders."""
    root = getattr(reader, "root", None)
    if isinstance(root, Path) and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.name


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, changed: int) -> str:
    """Digest of a file, computed once for as long as it does not change: subjects share files."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store_subject(
    folder: Path, reader: Reader, preprocessing: Preprocessing, subject: str
) -> StoredSubject:
    """Read a subject, or find it in the cache.

    Args:
        folder: The dataset's folder in the cache.
        reader: Of the raw files.
        preprocessing: Of signals, by name.
        subject: One of ``reader.subjects``.

    Raises:
        DatasetNotFoundError: The subject's files are not there.
        DatasetCorruptedError: They are not what the publisher ships.
    """
    target = folder / f"{subject}-{_key(reader, preprocessing, subject)}"
    if not target.is_dir():
        with written_folder(target) as temporary:
            _write_subject(temporary, reader, preprocessing, subject)
    return _open_subject(target)


def _write_subject(
    folder: Path, reader: Reader, preprocessing: Preprocessing, subject: str
) -> None:
    content = hashlib.sha256()
    recordings: list[dict[str, Any]] = []
    faults = []
    channels: dict[str, list[tuple[str, ...]]] = {}
    try:
        for found in reader.read(subject):
            if isinstance(found, Fault):
                faults.append(asdict(found))
                continue
            signals = {}
            for name, signal in preprocess(found.signals, preprocessing).items():
                if not np.isfinite(signal.samples).all():
                    raise ValueError(f"{name}: expected finite samples, found NaN or infinity")
                samples = np.ascontiguousarray(signal.samples)
                np.save(folder / f"{len(recordings)}.{name}.npy", samples)
                content.update(samples.data)
                # Recordings of a signal share their channels, of which there may be thousands.
                known = channels.setdefault(name, [])
                if signal.channels not in known:
                    known.append(signal.channels)
                signals[name] = {
                    "n_times": samples.shape[1],
                    "sfreq": signal.sfreq,
                    "channels": known.index(signal.channels),
                    "unit": signal.unit,
                }
            # A step that changes the rate may shorten its signal by a part of a sample.
            shortest = min(kept["n_times"] / kept["sfreq"] for kept in signals.values())
            recordings.append(
                {
                    "subject": found.subject,
                    "session": found.session,
                    "signals": signals,
                    "segments": [
                        asdict(replace(segment, stop=min(segment.stop, shortest)))
                        for segment in found.segments
                        if segment.start < shortest
                    ],
                    "offset": found.offset,
                }
            )
    except AffectbenchError:
        raise
    except (ValueError, KeyError, EOFError, OSError) as error:
        raise DatasetCorruptedError(f"{subject}: {error}") from error
    if not recordings:
        reasons = "; ".join(sorted({fault["reason"] for fault in faults}))
        names = [_name(reader, path) for path in reader.files(subject)]
        where = f" in {' and '.join(names)}" if 0 < len(names) <= NAMED_FILES else ""
        raise DatasetCorruptedError(
            f"{subject}: expected at least one recording{where}, found none"
            + (f"; all {len(faults)} trials are left out: {reasons}" if faults else "")
        )
    content.update(json.dumps([recordings, channels], sort_keys=True).encode())
    stats = {path: path.stat() for path in reader.files(subject)}
    meta = {
        "subject": subject,
        "recordings": recordings,
        "channels": channels,
        "faults": faults,
        "content": content.hexdigest()[:16],
        "files": {
            _name(reader, path): {
                "bytes": stat.st_size,
                "sha256": _sha256(path, stat.st_size, stat.st_mtime_ns),
            }
            for path, stat in stats.items()
        },
    }
    (folder / "meta.json").write_text(json.dumps(meta))


def _open_subject(folder: Path) -> StoredSubject:
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
    channels = {name: [tuple(own) for own in known] for name, known in meta["channels"].items()}
    recordings = tuple(
        StoredRecording(
            subject=stored["subject"],
            session=stored["session"],
            signals={
                name: StoredSignal(
                    signal["n_times"],
                    signal["sfreq"],
                    channels[name][signal["channels"]],
                    signal["unit"],
                )
                for name, signal in stored["signals"].items()
            },
            segments=tuple(Segment(**segment) for segment in stored["segments"]),
            offset=stored["offset"],
        )
        for stored in meta["recordings"]
    )
    faults = tuple(Fault(**fault) for fault in meta["faults"])
    return StoredSubject(
        meta["subject"], folder, recordings, faults, meta["content"], meta["files"]
    )


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

    @cached_property
    def key(self) -> str:
        """Digest of what all subjects hold."""
        return digest([subject.content for subject in self.subjects])

    @cached_property
    def recordings(self) -> tuple[StoredRecording, ...]:
        """Of all subjects, in their order."""
        return tuple(found for subject in self.subjects for found in subject.recordings)

    @cached_property
    def segments(self) -> tuple[tuple[int, Segment], ...]:
        """Of all recordings, in their order, each with the position of its recording."""
        return tuple((row, s) for row, found in enumerate(self.recordings) for s in found.segments)

    @cached_property
    def trial_keys(self) -> npt.NDArray[np.str_]:
        """What the trial of each segment is called across subjects, shape (segments,)."""
        return np.array([self.recordings[row].trial_key(s) for row, s in self.segments])

    def offsets(self, signal: str) -> npt.NDArray[np.int64]:
        """First sample of each recording in the array of a signal, shape (recordings,).

        Raises:
            DatasetCorruptedError: A recording without the signal.
        """
        for recording in self.recordings:
            if signal not in recording.signals:
                raise DatasetCorruptedError(
                    f"{recording.subject}, session {recording.session}: expected a signal "
                    f"{signal!r}, found {', '.join(recording.signals)}. Leave the subject or the "
                    "signal out."
                )
        lengths = [recording.signals[signal].n_times for recording in self.recordings]
        return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)

    def join(self, signal: str) -> None:
        """Write the array of a signal, unless it is there."""
        target = self._array(signal)
        if target.is_file():
            return
        offsets = self.offsets(signal)
        target.parent.mkdir(parents=True, exist_ok=True)
        first = self.recordings[0].signals[signal]
        n_channels = len(first.channels)
        n_times = sum(recording.signals[signal].n_times for recording in self.recordings)
        temporary = target.with_name(f".{target.name}-{os.getpid()}")
        try:
            joined = np.lib.format.open_memmap(
                temporary,
                mode="w+",
                dtype=np.float32,
                shape=(n_channels, n_times),
                fortran_order=first.sfreq < SPARSE,
            )
            for offset, path in zip(offsets, self._paths(signal), strict=True):
                samples = np.load(path)
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

    def _paths(self, signal: str) -> Iterator[Path]:
        for subject in self.subjects:
            for number in range(len(subject.recordings)):
                yield subject.folder / f"{number}.{signal}.npy"


def as_recording(subject: StoredSubject, number: int) -> Recording:
    """A stored recording by its number, with its samples, memory-mapped."""
    stored = subject.recordings[number]
    return Recording(
        stored.subject,
        stored.session,
        {
            name: Signal(
                np.load(subject.folder / f"{number}.{name}.npy", mmap_mode="r"),
                signal.sfreq,
                signal.channels,
                signal.unit,
            )
            for name, signal in stored.signals.items()
        },
        stored.segments,
        stored.offset,
    )

"""Recordings as they lie in the cache: everything about them but their samples.

    <subject>-<key>/             one subject: meta.json, blocks.npy
    <subject>-<key>.<signal>/    a signal of the subject: meta.json, samples.npy

A description holds its own digest and the checksums of the arrays beside it, so that no changed
file is taken for what was written.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.digests import digest
from datamodules.samples import SPARSE, DamagedError, Layout, Samples, checksums, map_samples
from datamodules.signals.recording import Fault, Recording, Segment, Signal

SEAL = "seal"
"""Key of the digest of a description among what it describes."""


@dataclass(frozen=True)
class StoredSignal:
    """A signal of a stored recording, without its samples."""

    n_times: int
    sfreq: float
    channels: tuple[str, ...]
    unit: str

    @property
    def layout(self) -> Layout:
        """How its samples lie in the file."""
        return Layout(len(self.channels), self.n_times, self.sfreq < SPARSE)


@dataclass(frozen=True)
class StoredRecording:
    """A recording in the cache, without its samples.

    Attributes:
        subject: The publisher's name of the subject.
        session: The publisher's name of the session.
        signals: Names of the signals that it has, derived ones last, in the cache or not.
        segments: Annotated stretches in order of time.
        offset: Time zero in seconds from the start of the session.
        duration: Seconds that all of its signals cover.
    """

    subject: str
    session: str
    signals: tuple[str, ...]
    segments: tuple[Segment, ...]
    offset: float
    duration: float

    def trial_key(self, segment: Segment) -> str:
        """Return a name of a trial across subjects: its stimulus, else its place in the session."""
        return segment.stimulus or f"{self.session}/{segment.trial}"


@dataclass(frozen=True)
class StoredSamples:
    """A signal of one subject in the cache.

    Attributes:
        folder: Its folder.
        recordings: The signal of each recording; None where a recording lacks it.
        checksums: Checksum of the samples of each recording that has it.
        content: Digest of samples, rates, channels and units, equal wherever they are equal.
    """

    folder: Path
    recordings: tuple[StoredSignal | None, ...]
    checksums: tuple[int, ...]
    content: str

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """How the samples of each recording that has it lie in the file."""
        return tuple(stored.layout for stored in self.recordings if stored)

    def pieces(self) -> tuple[Samples | None, ...]:
        """Return the samples of each recording, shape (C, T), memory-mapped."""
        pieces = iter(map_samples(samples_file(self.folder), self.layouts))
        return tuple(next(pieces) if stored else None for stored in self.recordings)


@dataclass(frozen=True)
class StoredSubject:
    """One subject in the cache.

    Attributes:
        subject: The publisher's name.
        folder: Folder of the description; those of the signals are beside it.
        recordings: Recordings in order of session and trial.
        faults: Trials that the reader left out or repaired.
        content: Digest of sessions, segments and names of signals, equal wherever they are equal.
        files: Size in bytes and sha256 of each raw file, by its path in the dataset.
        hashed: Name and raw rate of the signals whose blocks are hashed, see ``open_blocks``.
        blocks: Checksum of the file of blocks.
    """

    subject: str
    folder: Path
    recordings: tuple[StoredRecording, ...]
    faults: tuple[Fault, ...]
    content: str
    files: Mapping[str, Mapping[str, str | int]]
    hashed: tuple[tuple[str, float], ...]
    blocks: int

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals that some of the recordings have."""
        return tuple(dict.fromkeys(name for r in self.recordings for name in r.signals))

    def samples(self, signal: str) -> StoredSamples:
        """Return a signal that is in the cache.

        Raises:
            DamagedError: It is not there, or not as it was written.
        """
        return open_signal(signal_folder(self.folder, signal))


def signal_folder(folder: Path, signal: str) -> Path:
    """Return the folder of a signal of a subject.

    Args:
        folder: Folder of the subject.
        signal: Name of the signal.
    """
    return folder.with_name(f"{folder.name}.{signal}")


def samples_file(folder: Path) -> Path:
    """Return the file of the samples of a signal."""
    return folder / "samples.npy"


def meta_file(folder: Path) -> Path:
    """Return the file that describes a subject or a signal."""
    return folder / "meta.json"


def blocks_file(folder: Path) -> Path:
    """Return the file of the hashes of a subject's raw blocks."""
    return folder / "blocks.npy"


def open_blocks(folder: Path) -> npt.NDArray[np.void]:
    """Return the blocks of a subject, dtype ``datamodules.blocks.BLOCK``."""
    blocks: npt.NDArray[np.void] = np.load(blocks_file(folder))
    return blocks


def as_meta(described: Mapping[str, Any]) -> str:
    """Return a description as it is written, with its digest."""
    return json.dumps({**described, SEAL: digest(described)})


def open_subject(folder: Path) -> StoredSubject:
    """Return the subject in a folder, each file of which is read once a process.

    Raises:
        DamagedError: A file that is not as it was written.
    """
    return _open_subject(folder, _state(meta_file(folder)), _state(blocks_file(folder)))


def open_signal(folder: Path, checked: bool = False) -> StoredSamples:
    """Return the signal in a folder, whose description is read once a process.

    Args:
        folder: Its folder.
        checked: Whether its samples are compared with their checksums; else they are not read.

    Raises:
        DamagedError: A file that is not as it was written.
    """
    stored = _open_signal(folder, _state(meta_file(folder)))
    path = samples_file(folder)
    if checked and checksums(path, stored.layouts) != stored.checksums:
        raise DamagedError(f"{path}: other samples than were written")
    return stored


def _state(path: Path) -> tuple[int, int]:
    """Return the size of a file, and when it was changed."""
    try:
        stat = path.stat()
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: {error.strerror}") from error
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=1 << 12)
def _open_subject(folder: Path, meta: tuple[int, int], blocks: tuple[int, int]) -> StoredSubject:
    """Return the subject in a folder; its description and its blocks are checked.

    Args:
        folder: Folder of the subject.
        meta: Size of the description, and when it was changed.
        blocks: The same of the blocks.
    """
    described = _read_meta(meta_file(folder))
    recordings = tuple(
        StoredRecording(
            subject=stored["subject"],
            session=stored["session"],
            signals=tuple(stored["signals"]),
            segments=tuple(Segment(**segment) for segment in stored["segments"]),
            offset=stored["offset"],
            duration=stored["duration"],
        )
        for stored in described["recordings"]
    )
    faults = tuple(Fault(**fault) for fault in described["faults"])
    if file_checksum(blocks_file(folder)) != described["blocks"]:
        raise DamagedError(f"{blocks_file(folder)}: others than were written")
    return StoredSubject(
        described["subject"],
        folder,
        recordings,
        faults,
        described["content"],
        described["files"],
        tuple((name, rate) for name, rate in described["hashed"]),
        described["blocks"],
    )


@lru_cache(maxsize=1 << 16)
def _open_signal(folder: Path, meta: tuple[int, int]) -> StoredSamples:
    described = _read_meta(meta_file(folder))
    channels = [tuple(names) for names in described["channels"]]
    return StoredSamples(
        folder,
        tuple(
            stored
            and StoredSignal(
                stored["n_times"], stored["sfreq"], channels[stored["channels"]], stored["unit"]
            )
            for stored in described["recordings"]
        ),
        tuple(described["checksums"]),
        described["content"],
    )


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_bytes())
        if isinstance(meta, dict) and meta.pop(SEAL, None) == digest(meta):
            return meta
    except (ValueError, RecursionError, FileNotFoundError, IsADirectoryError) as error:
        raise DamagedError(f"{path}: {error}") from error
    raise DamagedError(f"{path}: other values than were written")


def file_checksum(path: Path) -> int:
    """Return the checksum of a file; raises DamagedError if there is none."""
    try:
        return zlib.crc32(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DamagedError(f"{path}: {error.strerror}") from error


def as_recording(
    subject: StoredSubject, number: int, signals: Sequence[str] | None = None
) -> Recording:
    """Return a stored recording with its samples, memory-mapped.

    Args:
        subject: Subject in the cache.
        number: Number of the recording, from 0.
        signals: Names of signals that are in the cache; None: all that the recording has.
    """
    stored = subject.recordings[number]
    opened = {}
    for name in stored.signals if signals is None else signals:
        samples = subject.samples(name)
        about, piece = samples.recordings[number], samples.pieces()[number]
        if about is not None and piece is not None:
            opened[name] = Signal(piece, about.sfreq, about.channels, about.unit)
    return Recording(stored.subject, stored.session, opened, stored.segments, stored.offset)

"""Recordings as they lie in the cache: everything about them but their samples.

A subject's description holds its own digest and the checksums of its arrays, so that no changed
file is taken for what was written.
"""

import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.digests import digest
from datamodules.samples import DamagedError, checksums, map_samples
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
    def shape(self) -> tuple[int, int]:
        """Shape of its samples, (C, T)."""
        return len(self.channels), self.n_times


@dataclass(frozen=True)
class StoredRecording:
    """A recording in the cache, without its samples."""

    subject: str
    session: str
    signals: Mapping[str, StoredSignal]
    segments: tuple[Segment, ...]
    offset: float

    def trial_key(self, segment: Segment) -> str:
        """Return a name of a trial across subjects: its stimulus, else its place in the session."""
        return segment.stimulus or f"{self.session}/{segment.trial}"


@dataclass(frozen=True)
class StoredSubject:
    """One subject in the cache.

    Attributes:
        subject: The publisher's name.
        folder: Folder of the samples.
        recordings: Recordings in order of session and trial.
        faults: Trials that the reader left out or repaired.
        content: Digest of samples and segments, equal wherever they are equal.
        files: Size in bytes and sha256 of each raw file, by its path in the dataset.
        hashed: Name and raw rate of the signals whose blocks are hashed, see ``open_blocks``.
        blocks: Checksum of the file of blocks.
        checksums: Checksum of the samples of each recording, by signal, in order of ``recordings``.
    """

    subject: str
    folder: Path
    recordings: tuple[StoredRecording, ...]
    faults: tuple[Fault, ...]
    content: str
    files: Mapping[str, Mapping[str, str | int]]
    hashed: tuple[tuple[str, float], ...]
    blocks: int
    checksums: tuple[Mapping[str, int], ...]


def samples_file(folder: Path, number: int, signal: str) -> Path:
    """Return the file of a signal of a recording, by the recording's number from 0."""
    return folder / f"{number}.{signal}.npy"


def meta_file(folder: Path) -> Path:
    """Return the file that describes a subject's recordings."""
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


def open_subject(folder: Path, checked: Collection[str] = ()) -> StoredSubject:
    """Return the subject in a folder, each file of which is read once a process.

    Args:
        folder: Folder of the samples.
        checked: Signals whose samples are compared with their checksums; no others are read.

    Raises:
        DamagedError: A file that is not as it was written.
    """
    try:
        stats = [path.stat() for path in (meta_file(folder), blocks_file(folder))]
    except FileNotFoundError as error:
        raise DamagedError(f"{error.filename}: {error.strerror}") from error
    subject = _open(folder, *((stat.st_size, stat.st_mtime_ns) for stat in stats))
    for number, recording in enumerate(subject.recordings):
        for name, signal in recording.signals.items():
            if name in checked:
                path = samples_file(folder, number, name)
                (checksum,) = checksums(path, signal.shape, False, (0, signal.n_times))
                if checksum != subject.checksums[number][name]:
                    raise DamagedError(f"{path}: other samples than were written")
    return subject


@lru_cache(maxsize=4096)
def _open(folder: Path, meta: tuple[int, int], blocks: tuple[int, int]) -> StoredSubject:
    """Return the subject in a folder; its description and its blocks are checked.

    Args:
        folder: Folder of the samples.
        meta: Size of the description, and when it was changed.
        blocks: The same of the blocks.
    """
    described = _read_meta(meta_file(folder))
    channels = {
        name: [tuple(names) for names in variants]
        for name, variants in described["channels"].items()
    }
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
        tuple(described["checksums"]),
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


def as_recording(subject: StoredSubject, number: int) -> Recording:
    """Return a stored recording by its number, with its samples, memory-mapped."""
    stored = subject.recordings[number]
    return Recording(
        stored.subject,
        stored.session,
        {
            name: Signal(
                map_samples(samples_file(subject.folder, number, name), signal.shape),
                signal.sfreq,
                signal.channels,
                signal.unit,
            )
            for name, signal in stored.signals.items()
        },
        stored.segments,
        stored.offset,
    )

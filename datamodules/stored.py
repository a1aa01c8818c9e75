"""Recordings as they lie in the cache: everything about them but their samples."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.signals.recording import Fault, Recording, Segment, Signal


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
    """

    subject: str
    folder: Path
    recordings: tuple[StoredRecording, ...]
    faults: tuple[Fault, ...]
    content: str
    files: Mapping[str, Mapping[str, str | int]]
    hashed: tuple[tuple[str, float], ...]


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


def open_subject(folder: Path) -> StoredSubject:
    """Return the subject in a folder; no samples are read."""
    meta: dict[str, Any] = json.loads(meta_file(folder).read_text())
    channels = {
        name: [tuple(names) for names in variants] for name, variants in meta["channels"].items()
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
        for stored in meta["recordings"]
    )
    faults = tuple(Fault(**fault) for fault in meta["faults"])
    return StoredSubject(
        meta["subject"],
        folder,
        recordings,
        faults,
        meta["content"],
        meta["files"],
        tuple((name, rate) for name, rate in meta["hashed"]),
    )


def as_recording(subject: StoredSubject, number: int) -> Recording:
    """Return a stored recording by its number, with its samples, memory-mapped."""
    stored = subject.recordings[number]
    return Recording(
        stored.subject,
        stored.session,
        {
            name: Signal(
                np.load(samples_file(subject.folder, number, name), mmap_mode="r"),
                signal.sfreq,
                signal.channels,
                signal.unit,
            )
            for name, signal in stored.signals.items()
        },
        stored.segments,
        stored.offset,
    )

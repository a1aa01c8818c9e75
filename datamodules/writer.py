"""Writers of what lies in the cache of one subject: its description, and each of its signals."""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from datamodules.blocks import blocks_of
from datamodules.samples import SPARSE, SamplesWriter
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.stored import as_meta, blocks_file, file_checksum, meta_file

DIGITS = 16
"""Hexadecimal digits of the digest of what was written."""


def _described(segment: Segment) -> dict[str, Any]:
    """Return the values of a segment; of people who share no stimuli, digests stay as they were."""
    return {name: value for name, value in asdict(segment).items() if name != "stimulus" or value}


@dataclass
class SubjectWriter:
    """Gathers what describes the recordings of a subject, one after another.

    Attributes:
        recordings: Descriptions of the recordings as JSON holds them.
        recorded: Names of the signals of each recording that were measured.
        blocks: Hashes of the raw blocks of each recording, by which copies are found.
        hashed: Name and rate of the signals that they are of.
    """

    recordings: list[dict[str, Any]] = field(default_factory=list)
    recorded: list[list[str]] = field(default_factory=list)
    blocks: list[npt.NDArray[np.void]] = field(default_factory=list)
    hashed: list[tuple[str, float]] = field(default_factory=list)

    def add(self, recording: Recording, seconds: Mapping[str, float]) -> None:
        """Describe a recording.

        Args:
            recording: Recording as it was read.
            seconds: Duration of each of its signals after its steps, derived ones included.
        """
        # A step that changes the rate may shorten its signal by a part of a sample.
        shortest = min(seconds.values())
        self.recorded.append(sorted(recording.signals))
        self.recordings.append(
            {
                "subject": recording.subject,
                "session": recording.session,
                "signals": list(seconds),
                "segments": [
                    _described(replace(segment, stop=min(segment.stop, shortest)))
                    for segment in recording.segments
                    if segment.start < shortest
                ],
                "offset": recording.offset,
                "duration": shortest,
            }
        )

    def hash(self, recording: Recording) -> None:
        """Hash the raw blocks of the recording that was added last."""
        self.blocks.append(blocks_of(recording.signals, len(self.recordings) - 1, self.hashed))

    def content(self) -> str:
        """Return the digest of all descriptions; what is derived of signals does not count."""
        left_out = ("signals", "duration")
        described = [
            [names, {key: value for key, value in recording.items() if key not in left_out}]
            for names, recording in zip(self.recorded, self.recordings, strict=True)
        ]
        text = json.dumps(described, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

    def finish(
        self,
        folder: Path,
        subject: str,
        faults: Sequence[Fault],
        files: Mapping[str, Mapping[str, str | int]],
    ) -> None:
        """Write what describes the recordings, of which there is one at least.

        Args:
            folder: Folder of the subject.
            subject: The publisher's name.
            faults: Trials that the reader left out or repaired.
            files: Size in bytes and sha256 of each raw file.
        """
        blocks = blocks_file(folder)
        with blocks.open("wb") as file:
            np.lib.format.write_array(file, np.concatenate(self.blocks), allow_pickle=False)
        meta = {
            "subject": subject,
            "recordings": self.recordings,
            "hashed": self.hashed,
            "faults": [asdict(fault) for fault in faults],
            "content": self.content(),
            "files": files,
            "blocks": file_checksum(blocks),
        }
        meta_file(folder).write_text(as_meta(meta))


class SignalWriter:
    """Writes a signal of a subject, recording by recording.

    Args:
        file: New file of the samples, open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._samples, self._digest = SamplesWriter(file), hashlib.sha256()
        self._recordings: list[dict[str, Any] | None] = []
        # Recordings share the names of channels, as there may be thousands of both.
        self._channels: list[tuple[str, ...]] = []
        self._checksums: list[int] = []

    def add(self, signal: Signal | None) -> None:
        """Write the signal of the next recording; None: the recording lacks it."""
        if signal is None:
            self._recordings.append(None)
            return
        data = self._samples.write(signal.samples, signal.sfreq < SPARSE)
        self._digest.update(data)
        self._checksums.append(zlib.crc32(data))
        if signal.channels not in self._channels:
            self._channels.append(signal.channels)
        self._recordings.append(
            {
                "n_times": signal.samples.shape[1],
                "sfreq": signal.sfreq,
                "channels": self._channels.index(signal.channels),
                "unit": signal.unit,
            }
        )

    def finish(self, folder: Path) -> None:
        """Write the head of the samples, and what describes them into the signal's folder."""
        self._samples.finish()
        described = {"recordings": self._recordings, "channels": self._channels}
        self._digest.update(json.dumps(described, sort_keys=True).encode())
        meta = {
            **described,
            "checksums": self._checksums,
            "content": self._digest.hexdigest()[:DIGITS],
        }
        meta_file(folder).write_text(as_meta(meta))

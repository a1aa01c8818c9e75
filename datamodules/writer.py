"""Writer of the entry of one subject in the cache: samples, and what describes them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.blocks import blocks_of
from datamodules.samples import checksum, write_samples
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.stored import as_meta, blocks_file, file_checksum, meta_file, samples_file


def _described(segment: Segment) -> dict[str, Any]:
    """Return the values of a segment; of people who share no stimuli, digests stay as they were."""
    return {name: value for name, value in asdict(segment).items() if name != "stimulus" or value}


@dataclass
class SubjectWriter:
    """Writes the recordings of a subject one after another.

    Attributes:
        folder: Folder of the samples.
        recordings: Descriptions of the recordings as JSON holds them.
        channels: Channel names of each signal. Its recordings share them, as there may be
            thousands: each recording holds a position in this list.
        blocks: Hashes of the raw blocks of each recording, by which copies are found.
        hashed: Name and rate of the signals that they are of.
        checksums: Checksum of the samples of each recording, by signal.
    """

    folder: Path
    recordings: list[dict[str, Any]] = field(default_factory=list)
    channels: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    blocks: list[npt.NDArray[np.void]] = field(default_factory=list)
    hashed: list[tuple[str, float]] = field(default_factory=list)
    checksums: list[dict[str, int]] = field(default_factory=list)
    _samples: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, recording: Recording, signals: Mapping[str, Signal]) -> None:
        """Write a recording whose signals have been through their steps."""
        self.checksums.append({})
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

    def finish(
        self, subject: str, faults: Sequence[Fault], files: Mapping[str, Mapping[str, str | int]]
    ) -> None:
        """Write what describes the recordings, of which there is one at least.

        Args:
            subject: The publisher's name.
            faults: Trials that the reader left out or repaired.
            files: Size in bytes and sha256 of each raw file.
        """
        blocks = blocks_file(self.folder)
        with blocks.open("wb") as file:
            np.lib.format.write_array(file, np.concatenate(self.blocks), allow_pickle=False)
        meta = {
            "subject": subject,
            "recordings": self.recordings,
            "channels": self.channels,
            "hashed": self.hashed,
            "faults": [asdict(fault) for fault in faults],
            "content": self.content(),
            "files": files,
            "blocks": file_checksum(blocks),
            "checksums": self.checksums,
        }
        meta_file(self.folder).write_text(as_meta(meta))

    def content(self) -> str:
        """Return the digest of all samples and descriptions."""
        described = json.dumps([self.recordings, self.channels], sort_keys=True).encode()
        content = self._samples.copy()
        content.update(described)
        return content.hexdigest()[:16]

    def _write_signal(self, name: str, signal: Signal) -> dict[str, Any]:
        samples = np.ascontiguousarray(signal.samples)
        write_samples(samples_file(self.folder, len(self.recordings), name), samples)
        self._samples.update(samples.data)
        self.checksums[-1][name] = checksum(samples)
        variants = self.channels.setdefault(name, [])
        if signal.channels not in variants:
            variants.append(signal.channels)
        return {
            "n_times": samples.shape[1],
            "sfreq": signal.sfreq,
            "channels": variants.index(signal.channels),
            "unit": signal.unit,
        }

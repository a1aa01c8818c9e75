"""Archive: all recordings of a dataset, end to end, each signal as one memory-mapped array."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.digests import digest
from datamodules.errors import DatasetCorruptedError
from datamodules.repeats import Repeat, find_repeats
from datamodules.signals.recording import Segment
from datamodules.stored import StoredRecording, StoredSubject, samples_file

SPARSE = 1.0
"""Rate in Hz below which the channels of a sample lie side by side in the array of a signal, as a
window holds few samples and is gathered sooner so. Otherwise time runs first."""


@dataclass(eq=False)
class Archive:
    """All recordings of a dataset.

    Args:
        folder: The dataset's folder in the cache.
        subjects: Subjects in the dataset's order.
    """

    folder: Path
    subjects: tuple[StoredSubject, ...]
    _mapped: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Digest of the contents of all subjects."""
        return digest([subject.content for subject in self.subjects])

    @cached_property
    def recordings(self) -> tuple[StoredRecording, ...]:
        """Recordings of all subjects, in their order."""
        return tuple(recording for subject in self.subjects for recording in subject.recordings)

    @cached_property
    def segments(self) -> tuple[tuple[int, Segment], ...]:
        """Segments of all recordings, in their order, each with the position of its recording."""
        return tuple(
            (row, segment)
            for row, recording in enumerate(self.recordings)
            for segment in recording.segments
        )

    @cached_property
    def trial_keys(self) -> npt.NDArray[np.str_]:
        """Name of the trial of each segment across subjects, shape (segments,)."""
        return np.array([self.recordings[row].trial_key(s) for row, s in self.segments])

    @cached_property
    def repeats(self) -> tuple[Repeat, ...]:
        """Equal stretches of signal in two places, compared once for all folds."""
        return find_repeats(self.subjects)

    def offsets(self, signal: str) -> npt.NDArray[np.int64]:
        """Return the first sample of each recording in the array of a signal, (recordings,).

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
        """Write the array of a signal, unless it exists."""
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
        """Return the samples of all recordings, memory-mapped float32 of shape (C, T of all)."""
        if signal not in self._mapped:
            self._mapped[signal] = np.load(self._array(signal), mmap_mode="c")
        return self._mapped[signal]

    def _array(self, signal: str) -> Path:
        return self.folder / f"all-{self.key}" / f"{signal}.npy"

    def _paths(self, signal: str) -> Iterator[Path]:
        for subject in self.subjects:
            for number in range(len(subject.recordings)):
                yield samples_file(subject.folder, number, signal)

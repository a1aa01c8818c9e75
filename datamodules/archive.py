"""Archive: all recordings of a dataset, end to end, each signal as one memory-mapped array."""

import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.digests import digest
from datamodules.errors import DatasetCorruptedError
from datamodules.machine import caching
from datamodules.repeats import Repeat, find_repeats
from datamodules.samples import DamagedError, Samples, checksums, join_samples, map_samples
from datamodules.signals.recording import Segment
from datamodules.stored import StoredRecording, StoredSubject, samples_file

LOGGER = logging.getLogger(__name__)
READABLE = 0o644
"""Mode of a finished array: a cache may be shared; temporary files are the owner's alone."""
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
    _mapped: dict[str, Samples] = field(default_factory=dict)

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

    def holds(self, signal: str) -> bool:
        """Return whether the array of a signal is there, as it was joined of its subjects.

        Raises:
            DatasetCorruptedError: A recording without the signal.
            MachineError: It cannot be read.
        """
        bounds = (*self.offsets(signal).tolist(), self._shape(signal)[1])
        target = self._array(signal)
        with caching(target.parent):
            if not target.exists():
                return False
            try:
                sums = checksums(target, self._shape(signal), self._by_time(signal), bounds)
            except DamagedError:
                return False
        written = [sums[signal] for subject in self.subjects for sums in subject.checksums]
        return list(sums) == written

    def join(self, signal: str) -> bool:
        """Write the array of a signal, unless it is there.

        Returns:
            Whether another one was there, which was damaged and has been replaced.

        Raises:
            DatasetCorruptedError: A recording without the signal.
            MachineError: It cannot be read or written.
        """
        if self.holds(signal):
            return False
        target = self._array(signal)
        with caching(target.parent):
            damaged = target.exists()
            if damaged:
                LOGGER.warning("%s: not what was written there, so it is written anew", target)
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
            os.close(descriptor)
            temporary = Path(name)
            try:
                temporary.chmod(READABLE)
                join_samples(
                    temporary, self._shape(signal), self._by_time(signal), self._pieces(signal)
                )
                temporary.rename(target)
            finally:
                temporary.unlink(missing_ok=True)
        return damaged

    def samples(self, signal: str) -> Samples:
        """Return the samples of all recordings, memory-mapped float32 of shape (C, T of all)."""
        if signal not in self._mapped:
            self._mapped[signal] = map_samples(
                self._array(signal), self._shape(signal), self._by_time(signal), "c"
            )
        return self._mapped[signal]

    def _shape(self, signal: str) -> tuple[int, int]:
        signals = [recording.signals[signal] for recording in self.recordings]
        return len(signals[0].channels), sum(stored.n_times for stored in signals)

    def _by_time(self, signal: str) -> bool:
        return self.recordings[0].signals[signal].sfreq < SPARSE

    def _array(self, signal: str) -> Path:
        return self.folder / f"all-{self.key}" / f"{signal}.npy"

    def _pieces(self, signal: str) -> Iterator[Samples]:
        for subject in self.subjects:
            for number, recording in enumerate(subject.recordings):
                path = samples_file(subject.folder, number, signal)
                yield map_samples(path, recording.signals[signal].shape)

"""Archive: all recordings of some subjects, each signal of a subject one memory-mapped file."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from datamodules.digests import digest
from datamodules.errors import DatasetCorruptedError
from datamodules.repeats import Repeat, find_repeats
from datamodules.samples import Samples
from datamodules.signals.recording import Segment
from datamodules.stored import StoredRecording, StoredSignal, StoredSubject


def common_channels(stored: Iterable[StoredSignal]) -> tuple[str, ...]:
    """Return the names of the channels of a signal; ``""`` where recordings differ."""
    names = {one.channels for one in stored}
    return tuple(of_one[0] if len(set(of_one)) == 1 else "" for of_one in zip(*names, strict=False))


@dataclass(eq=False)
class Archive:
    """All recordings of some subjects.

    Args:
        subjects: Subjects in the dataset's order.
    """

    subjects: tuple[StoredSubject, ...]
    _stored: dict[str, tuple[StoredSignal, ...]] = field(default_factory=dict)
    _mapped: dict[str, tuple[Samples, ...]] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Digest of the recordings of all subjects, without the samples of their signals."""
        return digest([subject.content for subject in self.subjects])

    def samples_key(self, signals: tuple[str, ...]) -> str:
        """Return the digest of the samples of some signals; empty if there are none."""
        contents = {name: [s.samples(name).content for s in self.subjects] for name in signals}
        return digest(contents) if contents else ""

    @cached_property
    def place(self) -> str:
        """Digest of the places in the cache, which are other ones for other raw files or code."""
        return digest([str(subject.folder) for subject in self.subjects])

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

    def stored(self, signal: str) -> tuple[StoredSignal, ...]:
        """Return a signal of each recording, without its samples.

        Raises:
            DatasetCorruptedError: A recording without the signal.
        """
        if signal not in self._stored:
            for recording in self.recordings:
                if signal not in recording.signals:
                    raise DatasetCorruptedError(
                        f"{recording.subject}, session {recording.session}: expected a signal "
                        f"{signal!r}, found {', '.join(recording.signals)}. Leave the subject or "
                        "the signal out."
                    )
            self._stored[signal] = tuple(
                stored
                for subject in self.subjects
                for stored in subject.samples(signal).recordings
                if stored is not None
            )
        return self._stored[signal]

    def channels(self, signal: str) -> tuple[str, ...]:
        """Return the names of the channels of a signal, see ``common_channels``.

        Raises:
            DatasetCorruptedError: A recording without the signal.
        """
        return common_channels(self.stored(signal))

    def offsets(self, signal: str) -> npt.NDArray[np.int64]:
        """Return the number of samples of a signal before each recording, shape (recordings,)."""
        lengths = [stored.n_times for stored in self.stored(signal)]
        return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)

    def samples(self, signal: str) -> tuple[Samples, ...]:
        """Return the samples of each recording, memory-mapped float32 of shape (C, T)."""
        if signal not in self._mapped:
            self.stored(signal)  # no recording lacks it
            self._mapped[signal] = tuple(
                piece
                for subject in self.subjects
                for piece in subject.samples(signal).pieces()
                if piece is not None
            )
        return self._mapped[signal]

"""Prepared: a dataset after its recordings were read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from datamodules.digests import digest
from datamodules.signals.units import Brought
from datamodules.windows import EPSILON


@dataclass(frozen=True)
class Prepared:
    """A dataset after its recordings were read.

    Args:
        subjects: Subjects that can be used.
        left_out: Reasons why others cannot, by subject.
        data: Digest of the recordings, without the samples of their signals.
        sessions: Largest number of sessions of a subject.
        taking: Subjects and digest by task, for each task of which some have no segment.
        longest: Whole seconds that every segment with a score unit holds, by task; empty where
            trials are the unit. No window is longer.
        lacking: Subjects who lack a signal in some recording, by measured signal.
        alone: Class by task, for each task of which all score units have the same one.
        contents: Digest of the recordings of each subject, without the samples of their signals.
        samples: By subject, digest of the samples of each signal that is in the cache; empty where
            nothing was read yet.
        rests: Seconds of the first rest of each subject who has one, by task.
        channels: Names of the channels of each of these signals, see ``Archive.channels``.
        after_minutes: Subjects by task who have score units after the largest number of labelled
            minutes that an adapter is given.
        units: Units of each of these signals, over all recordings.
        brought: Measured signals that were brought to another rate or unit.
    """

    subjects: tuple[str, ...]
    left_out: Mapping[str, str]
    data: str
    sessions: int = 1
    taking: Mapping[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    longest: Mapping[str, float] = field(default_factory=dict)
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alone: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rests: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    after_minutes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    brought: Brought = ()

    def of_task(self, task: str) -> tuple[tuple[str, ...], str]:
        """Return the subjects who have segments of a task, and the digest of their recordings."""
        return self.taking.get(task, (self.subjects, self.data))

    def resting(self, task: str, seconds: float) -> tuple[tuple[str, ...], str]:
        """Return the subjects of a task who rest so long at first, and their digest likewise."""
        subjects, data = self.of_task(task)
        rests = self.rests.get(task, {})
        members = tuple(s for s in subjects if rests.get(s, 0.0) >= seconds - EPSILON)
        return members, data if members == subjects else self.data_of(members)

    def absent(self, subjects: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return who of some subjects lacks a signal, by signal; no model sees these signals."""
        lacking = {n: tuple(s for s in who if s in subjects) for n, who in self.lacking.items()}
        return {name: who for name, who in lacking.items() if who}

    def data_of(self, subjects: Iterable[str]) -> str:
        """Return the digest of the recordings of some subjects, as ``Archive.key`` is."""
        return digest([self.contents[subject] for subject in subjects])

    def samples_of(self, subjects: Sequence[str], signals: Sequence[str]) -> str:
        """Return the digest of the samples of some signals, as ``Archive.samples_key`` is."""
        if not (signals and self.samples):
            return ""
        return digest({name: [self.samples[s][name] for s in subjects] for name in signals})

"""Corruptions: what may be wrong with the recordings of the people who are tested, by name.

Training and the choice of the epoch see recordings as they are: a corruption asks a trained model
what it is still worth when a sensor fails. It is part of the protocol, and has boards of its own.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol as TypingProtocol

import numpy as np

from datamodules.signals.disturbances import Detached, Halved, Held, Late, Moved
from datamodules.signals.recording import Recording, Signal


class Disturbance(TypingProtocol):
    """A frozen dataclass that changes the signals of a recording; they stay as long as they are."""

    def touched(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names of the signals that it changes, of those that are recorded."""

    def __call__(
        self, signals: Mapping[str, Signal], random: np.random.Generator
    ) -> dict[str, Signal]:
        """Return disturbed signals."""


@dataclass(frozen=True)
class Corruption:
    """A fault of recordings at test time.

    Args:
        about: Description, as in the report.
        missing: Signal that is not there. In its place, and in that of all that is derived of it,
            models see the mean of the training people, which is what a system fills in that knows
            that a sensor is gone: zero after scaling, and no heart rate of a flat line.
        disturbance: Change of the signals as they were recorded; what is derived of them, as heart
            beats, is computed of the disturbed ones. None: there is none.
    """

    about: str
    missing: str = ""
    disturbance: Disturbance | None = None

    def why_not(self, seen: Collection[str], recorded: Collection[str]) -> str:
        """Return why it says nothing of a model; empty if it does.

        Args:
            seen: Recorded signals that the model sees, or that what it sees is derived of.
            recorded: Signals that the dataset records.
        """
        touched = self.touched(recorded)
        if not touched:
            return f"the dataset has nothing of the kind: it records {', '.join(recorded)}"
        if not set(touched) & set(seen):
            return f"it sees no {' and no '.join(touched)}, so that its score stays as it is"
        if set(seen) <= set(touched) and (self.missing or isinstance(self.disturbance, Late)):
            return "it sees no other signal" if self.missing else "all that it sees is late alike"
        return ""

    def touched(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names of the signals that it changes, of those that are recorded."""
        if self.disturbance is not None:
            return self.disturbance.touched(names)
        return (self.missing,) if self.missing in names else ()


def _missing(signal: str, words: str) -> Corruption:
    return Corruption(
        f"{words} is not there: the mean of the training people is in its place", signal
    )


CORRUPTIONS: dict[str, Corruption] = {
    "missing_eda": _missing("eda", "skin conductance"),
    "missing_bvp": _missing("bvp", "the pulse wave"),
    "missing_temp": _missing("temp", "temperature"),
    "missing_resp": _missing("resp", "breathing"),
    "missing_ecg": _missing("ecg", "the ECG"),
    "missing_eeg": _missing("eeg", "the EEG"),
    "eda_detached": Corruption(
        "skin conductance is 0 for 10 s of every 30 s", disturbance=Detached("eda", 10.0)
    ),
    "motion_light": Corruption(
        "a burst of movement of 0.1 g for 5 s of every 30 s, with an artefact of twice the pulse "
        "wave at rest",
        disturbance=Moved(0.1, 2.0, 5.0),
    ),
    "motion_strong": Corruption(
        "a burst of movement of 0.5 g for 5 s of every 30 s, with an artefact of three times the "
        "pulse wave at rest",
        disturbance=Moved(0.5, 3.0, 5.0),
    ),
    "bvp_dropout": Corruption(
        "one second in five of the pulse wave is lost, and the last sample held",
        disturbance=Held("bvp", 0.2),
    ),
    "rate_halved": Corruption(
        "every second sample of every signal is lost, with a line in its place",
        disturbance=Halved(),
    ),
    "clock_offset": Corruption(
        "the pulse wave, or else the ECG, keeps time, and all other signals are 1 s late",
        disturbance=Late(1.0),
    ),
}
"""Corruptions by name, in order of the table."""


@dataclass(frozen=True)
class Disturbed:
    """A change of recordings as they are read: the disturbance of a corruption.

    What happens to a recording follows from the corruption and from whose recording it is, and from
    no seed of a run: it is part of the test, as score units are.

    Args:
        name: Name of the corruption.
        disturbance: Its disturbance.
    """

    name: str
    disturbance: Disturbance

    def __call__(self, recording: Recording, number: int) -> Recording:
        """Return a disturbed recording.

        Args:
            recording: Recording as it was read.
            number: Number of the recording among those of its subject, from 0.
        """
        if not self.disturbance.touched(tuple(recording.signals)):
            return recording
        words = "/".join([self.name, recording.subject, recording.session, str(number)])
        seed = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")
        signals = self.disturbance(recording.signals, np.random.default_rng(seed))
        return replace(recording, signals=signals)

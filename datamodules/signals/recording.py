"""Signal, Segment, Recording, Fault: the values that every reader returns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Signal:
    """A uniformly sampled signal of one recording, starting at the recording's time zero.

    Args:
        samples: float32, shape (C, T).
        sfreq: Sampling rate in Hz.
        channels: A name for each of the C channels.
        unit: Physical unit of the samples; ``"a.u."`` where the device gives none.

    Raises:
        ValueError: Samples that are not float32 of shape (C, T) with T > 0, or a wrong number of
            channel names, or a rate that is not positive.
    """

    samples: npt.NDArray[np.float32]
    sfreq: float
    channels: tuple[str, ...]
    unit: str

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32 or not self.samples.size:
            raise ValueError(
                f"expected float32 samples of shape (C, T), found {self.samples.dtype} "
                f"{self.samples.shape}"
            )
        if len(self.channels) != len(self.samples):
            raise ValueError(f"expected {len(self.samples)} channel names, found {self.channels}")
        if not self.sfreq > 0:
            raise ValueError(f"expected a positive sampling rate, found {self.sfreq}")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return float(self.samples.shape[1] / self.sfreq)


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording with one annotation: a trial, a phase, a stimulus.

    Args:
        start: Seconds from the recording's time zero.
        stop: Seconds from the recording's time zero; not included.
        trial: Number of the trial, unique within the session.
        annotations: The publisher's statements about it (ratings, condition), in the publisher's
            terms.
        stimulus: Name of the film, song or video that was shown, equal for all who got the same
            one; empty where people share no stimuli.

    Raises:
        ValueError: A segment without a length.
    """

    start: float
    stop: float
    trial: int
    annotations: Mapping[str, str | float]
    stimulus: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"expected 0 <= start < stop, found {self.start} and {self.stop}")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class Recording:
    """One continuous stretch of one subject's session; each signal keeps its own rate.

    A session that is published whole is one recording; one that is published cut into trials is a
    recording a trial, so that no filter runs from one trial into the next.

    Args:
        subject: The publisher's name of the subject.
        session: The publisher's name of the session; ``"1"`` where there is only one.
        signals: Signals by name; all start at time zero.
        segments: Annotated stretches in order of time, none beyond the shortest signal.
        offset: Time zero in seconds from the start of the session; 0 if unknown.

    Raises:
        ValueError: No signal, or a segment that ends after a signal does.
    """

    subject: str
    session: str
    signals: Mapping[str, Signal]
    segments: tuple[Segment, ...]
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not self.signals:
            raise ValueError(f"recording {self.subject}/{self.session} has no signal")
        shortest = min(self.signals, key=lambda name: self.signals[name].duration)
        for segment in self.segments:
            if segment.stop > self.signals[shortest].duration:
                raise ValueError(
                    f"recording {self.subject}/{self.session}: trial {segment.trial} ends at "
                    f"{segment.stop} s, after {shortest} at {self.signals[shortest].duration} s"
                )

    @property
    def duration(self) -> float:
        """Seconds that all signals cover."""
        return min(signal.duration for signal in self.signals.values())


@dataclass(frozen=True)
class Fault:
    """A fault of a published trial, so that its loss or repair is on record.

    Args:
        session: The publisher's name of the session.
        trial: Number of the trial; ``WHOLE_SESSION`` for a fault of no single one.
        reason: Description of the fault, with the name of the signal if it concerns one; equal
            words for equal faults.
        omitted: Whether the trial is left out; else the reason says how it was repaired.
        doubtful: Whether it was neither left out nor repaired: it looks wrong and stays as it was.
    """

    session: str
    trial: int
    reason: str
    omitted: bool = True
    doubtful: bool = False


WHOLE_SESSION = 0
"""Number of a fault's trial where it is a fault of the session."""
STATIC_RATE = 1 / 3600
"""Rate in Hz of a vector that holds for a whole recording: a signal of one sample, an hour long."""

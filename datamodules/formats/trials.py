"""Trials that are published as one array of channels: their signals, and their faults."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.formats.arrays import share
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.signals.resistance import conductance
from datamodules.signals.steps import BaselineRemoval

SESSION = "1"
"""The only session."""
OHM = "Ohm"


@dataclass(frozen=True)
class Channels:
    """Position of a signal among the channels of a trial.

    Args:
        first: Position of its first channel, from 0.
        names: Names of its channels, which follow one another.
        unit: Unit as published; ``"Ohm"``, of one channel, is converted to microsiemens unless a
            reader is told to leave it.
    """

    first: int
    names: tuple[str, ...]
    unit: str

    @property
    def rows(self) -> slice:
        """Positions of its channels."""
        return slice(self.first, self.first + len(self.names))


@dataclass(frozen=True)
class TrialTable:
    """The format of all trials of a dataset.

    Args:
        signals: Position of each signal.
        sfreq: Rate of all signals in Hz.
        baseline: Seconds of rest before the stimulus.
        ratings: Annotations that every trial must have.
        scale: Lowest and highest rating.
        shortest: Shortest length of a stimulus in seconds.
    """

    signals: Mapping[str, Channels]
    sfreq: float
    baseline: float
    ratings: tuple[str, ...]
    scale: tuple[float, float]
    shortest: float

    def read(
        self,
        subject: str,
        trial: int,
        stimulus: str,
        samples: npt.NDArray[Any] | None,
        annotations: Mapping[str, str | float] | None,
        subtract_baseline: bool,
        keep_baseline: bool = False,
        stored_gsr: bool = False,
    ) -> Iterator[Recording | Fault]:
        """Yield the recording of a trial and faults that were repaired, or the fault it has.

        Args:
            subject: The publisher's name.
            trial: Number of the trial.
            stimulus: Name of what was shown.
            samples: Numbers, shape (C, T), baseline first; None if they are missing.
            annotations: Annotations of the trial; those that are NaN are left out. None if they are
                missing.
            subtract_baseline: Subtract each channel's mean over the baseline.
            keep_baseline: Begin the trial's segment with the baseline, not after it.
            stored_gsr: Leave a resistance as the file has it.
        """
        reasons: list[str] = []
        given = {  # NaN is unequal to itself
            name: value for name, value in (annotations or {}).items() if value == value
        }
        if samples is None:
            reasons.append("no signals")
        elif samples.shape[1] / self.sfreq < self.baseline + self.shortest:
            reasons.append(f"shorter than {self.shortest:g} s")
        else:
            reasons += self._not_finite(samples)
        reasons += ["no ratings"] if annotations is None else self._unrated(given)
        if samples is None or reasons:
            yield Fault(SESSION, trial, "; ".join(reasons))
            return
        signals = {}
        for name in self.signals:
            signals[name], repair = self._signal(name, samples, stored_gsr)
            if repair:
                yield Fault(SESSION, trial, f"{name}: {repair}", omitted=False)
        if subtract_baseline:
            remove = BaselineRemoval(self.baseline)
            signals = {name: remove(signal) for name, signal in signals.items()}
        start = 0.0 if keep_baseline else self.baseline
        segment = Segment(start, samples.shape[1] / self.sfreq, trial, given, stimulus)
        yield Recording(subject, SESSION, signals, (segment,))

    def _signal(
        self, name: str, samples: npt.NDArray[Any], stored_gsr: bool
    ) -> tuple[Signal, str | None]:
        """Return a signal, and how it was repaired; None if it was not."""
        channels, repair = self.signals[name], None
        values, unit = samples[channels.rows], channels.unit
        if unit == OHM and not stored_gsr:
            (resistance,) = values.astype(np.float64)
            microsiemens, repair = conductance(resistance)
            values, unit = microsiemens[None], "uS"
        values = np.ascontiguousarray(values, dtype=np.float32)
        return Signal(values, self.sfreq, channels.names, unit), repair

    def _not_finite(self, samples: npt.NDArray[Any]) -> Iterator[str]:
        for name, channels in self.signals.items():
            with np.errstate(over="ignore"):
                not_finite = ~np.isfinite(samples[channels.rows].astype(np.float32))
            if not_finite.any():
                yield f"{name}: {share(not_finite)} of the samples NaN or infinite"

    def _unrated(self, annotations: Mapping[str, str | float]) -> list[str]:
        low, high = self.scale
        return [
            f"{name}: no rating from {low:g} to {high:g}"
            for name in self.ratings
            if not low <= float(annotations.get(name, np.nan)) <= high
        ]

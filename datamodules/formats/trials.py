"""Trials that are published as one array of channels: their signals, or why there are none."""

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
"""The only one."""
OHM = "Ohm"


@dataclass(frozen=True)
class Channels:
    """Where a signal is among the channels of a trial.

    Args:
        first: Position of its first channel, from 0.
        names: Of its channels, which follow one another.
        unit: As published; ``"Ohm"``, of one channel, is converted to microsiemens.
    """

    first: int
    names: tuple[str, ...]
    unit: str

    @property
    def rows(self) -> slice:
        """Its positions."""
        return slice(self.first, self.first + len(self.names))


@dataclass(frozen=True)
class TrialTable:
    """What all trials of a dataset have in common.

    Args:
        signals: Where each signal is.
        sfreq: Of all signals, in Hz.
        baseline: Seconds of rest before the stimulus.
        ratings: Annotations without which a trial is of no use.
        scale: Lowest and highest rating.
        shortest: Seconds that a stimulus must last.
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
        samples: npt.NDArray[Any] | None,
        annotations: Mapping[str, str | float] | None,
        subtract_baseline: bool,
        keep_baseline: bool = False,
    ) -> Iterator[Recording | Fault]:
        """One trial: a recording, what was repaired in it, or what is wrong with it.

        Args:
            subject: The publisher's name.
            trial: Its number.
            samples: Numbers, shape (C, T), baseline first; None where there are none.
            annotations: Of the trial, those that are NaN are left out; None where there are none.
            subtract_baseline: Take each channel's mean over the baseline away.
            keep_baseline: Begin the trial's segment with the baseline, not after it.
        """
        reasons: list[str] = []
        known = {  # NaN is unequal to itself
            name: value for name, value in (annotations or {}).items() if value == value
        }
        if samples is None:
            reasons.append("no signals")
        elif samples.shape[1] / self.sfreq < self.baseline + self.shortest:
            reasons.append(f"shorter than {self.shortest:g} s")
        else:
            reasons += self._not_finite(samples)
        reasons += ["no ratings"] if annotations is None else self._unrated(known)
        if samples is None or reasons:
            yield Fault(SESSION, trial, "; ".join(reasons))
            return
        signals = {}
        for name in self.signals:
            signals[name], repair = self._signal(name, samples)
            if repair:
                yield Fault(SESSION, trial, f"{name}: {repair}", omitted=False)
        if subtract_baseline:
            remove = BaselineRemoval(self.baseline)
            signals = {name: remove(signal) for name, signal in signals.items()}
        start = 0.0 if keep_baseline else self.baseline
        segment = Segment(start, samples.shape[1] / self.sfreq, trial, known)
        yield Recording(subject, SESSION, signals, (segment,))

    def _signal(self, name: str, samples: npt.NDArray[Any]) -> tuple[Signal, str | None]:
        """The signal, and how it was repaired."""
        channels, repair = self.signals[name], None
        values, unit = samples[channels.rows], channels.unit
        if unit == OHM:
            (resistance,) = values.astype(np.float64)
            found, repair = conductance(resistance)
            values, unit = found[None], "uS"
        values = np.ascontiguousarray(values, dtype=np.float32)
        return Signal(values, self.sfreq, channels.names, unit), repair

    def _not_finite(self, samples: npt.NDArray[Any]) -> Iterator[str]:
        for name, channels in self.signals.items():
            with np.errstate(over="ignore"):
                wrong = ~np.isfinite(samples[channels.rows].astype(np.float32))
            if wrong.any():
                yield f"{name}: {share(wrong)} of the samples NaN or infinite"

    def _unrated(self, annotations: Mapping[str, str | float]) -> list[str]:
        low, high = self.scale
        return [
            f"{name}: no rating from {low:g} to {high:g}"
            for name in self.ratings
            if not low <= float(annotations.get(name, np.nan)) <= high
        ]

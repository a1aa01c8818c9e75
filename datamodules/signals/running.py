"""Causal steps on a recording that is not over: piece by piece, with the samples of the whole."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from datamodules.errors import IncompatibleRunError
from datamodules.signals.preprocessing import Derived, Preprocessing, steps_of
from datamodules.signals.recording import Signal
from datamodules.signals.steps import AveragePool, CommonAverage, Step, ZScoreOverChannels

Samples = npt.NDArray[np.float32]


def recorded_and_steps(name: str, preprocessing: Preprocessing) -> tuple[str, tuple[Step, ...]]:
    """Return the recorded signal that a signal is made of, and the steps from it."""
    entry = preprocessing.get(name, ())
    if not isinstance(entry, Derived):
        return name, tuple(steps_of(entry))
    recorded, steps = recorded_and_steps(entry.source, preprocessing)
    return recorded, (*steps, *entry.steps)


class RunningSteps:
    """Steps of one signal, on pieces of it.

    A step is called on whole groups of samples, each of which it treats by itself; what is left
    over waits for the next piece. So the samples are those of the whole recording, bit for bit.

    Args:
        steps: Steps, from the recorded signal on.
        sfreq: Rate in Hz after the steps.

    Raises:
        IncompatibleRunError: A step that is not known to work on pieces.
    """

    def __init__(self, steps: Sequence[Step], sfreq: float) -> None:
        self._steps = steps
        self._group = math.prod(map(_group_of, steps))
        self._waiting: Samples | None = None
        self.recorded_sfreq = sfreq / self.shape(1, 1.0)[1]

    def shape(self, n_channels: int, sfreq: float) -> tuple[int, float]:
        """Return number of channels and rate in Hz after the steps, from those before."""
        for step in self._steps:
            n_channels, sfreq = step.shape(n_channels, sfreq)
        return n_channels, sfreq

    def __call__(self, piece: Samples) -> Samples | None:
        """Return the samples that a piece completes, both (C, any); None for no samples.

        Raises:
            IncompatibleRunError: Channels that a step cannot take.
        """
        if not self._steps:
            return piece
        together = piece if self._waiting is None else np.concatenate([self._waiting, piece], 1)
        complete = together.shape[1] // self._group * self._group
        self._waiting = together[:, complete:]
        if not complete:
            return None
        channels = tuple(map(str, range(len(piece))))
        signal = Signal(together[:, :complete], self.recorded_sfreq, channels, "a.u.")
        try:
            for step in self._steps:
                signal = step(signal)
        except ValueError as error:
            raise IncompatibleRunError(f"{self._steps}: {error}") from error
        return signal.samples


def _group_of(step: Step) -> int:
    """Return the number of samples in a row that a step makes one sample of."""
    if isinstance(step, AveragePool):
        return step.size
    if isinstance(step, CommonAverage | ZScoreOverChannels):
        return 1
    raise IncompatibleRunError(
        f"expected steps that are known to work on a recording which is not over (of the causal "
        f"ones CommonAverage, ZScoreOverChannels and AveragePool are), found {step}"
    )

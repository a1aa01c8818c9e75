from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from datamodules.errors import IncompatibleRunError
from datamodules.signals.preprocessing import Derived, preprocess
from datamodules.signals.recording import Signal
from datamodules.signals.running import RunningSteps, recorded_and_steps
from datamodules.signals.steps import (
    STEPS,
    AveragePool,
    BandPass,
    CommonAverage,
    Step,
    ZScoreOverChannels,
)


def signal(n_channels: int = 6, n_times: int = 1000) -> Signal:
    samples = np.random.default_rng(0).normal(3, 2, (n_channels, n_times)).astype(np.float32)
    return Signal(samples, 8.0, tuple(map(str, range(n_channels))), "uV")


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (CommonAverage(),),
        (ZScoreOverChannels(),),
        (AveragePool(3),),
        (AveragePool(2), CommonAverage(), AveragePool(3)),
    ],
)
def test_pieces_give_the_samples_of_the_whole_bit_for_bit(steps: Sequence[Step]) -> None:
    whole = signal()
    expected = preprocess({"eeg": whole}, {"eeg": steps})["eeg"]
    running = RunningSteps(steps, expected.sfreq)
    assert running.recorded_sfreq == pytest.approx(whole.sfreq)
    assert running.shape(6, 8.0) == (len(expected.channels), expected.sfreq)
    rng, place, parts = np.random.default_rng(1), 0, []
    while place < 1000:
        size = int(rng.integers(1, 20))
        part = running(whole.samples[:, place : place + size])
        parts += [] if part is None else [part]
        place += size
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected.samples)


def test_every_causal_step_runs_on_pieces() -> None:
    values = {"average_pool": {"size": 2}}
    causal = {name: kind for name, kind in STEPS.items() if kind.causal}
    assert len(causal) > 2
    for name, kind in causal.items():
        step = kind(**values.get(name, {}))
        assert RunningSteps((step,), 4.0)(signal().samples[:, :8]) is not None


@dataclass(frozen=True)
class Cumulative(Step):
    """A causal step that keeps what came before."""

    causal = True

    def __call__(self, signal: Signal) -> Signal:
        return replace(signal, samples=signal.samples.cumsum(axis=1, dtype=np.float32))


@pytest.mark.parametrize("step", [Cumulative(), BandPass(1.0, 2.0)])
def test_a_step_that_is_not_known_to_is_refused(step: Step) -> None:
    with pytest.raises(IncompatibleRunError, match=type(step).__name__):
        RunningSteps((step,), 4.0)


def test_channels_that_a_step_cannot_take_are_one_message() -> None:
    with pytest.raises(IncompatibleRunError, match="at least two channels"):
        RunningSteps((CommonAverage(),), 8.0)(signal(1).samples)


def test_the_way_to_a_derived_signal_begins_at_the_recorded_one() -> None:
    steps = {"eeg": (CommonAverage(),), "small": Derived("eeg", (AveragePool(2),))}
    assert recorded_and_steps("small", steps) == ("eeg", (CommonAverage(), AveragePool(2)))
    assert recorded_and_steps("eda", steps) == ("eda", ())

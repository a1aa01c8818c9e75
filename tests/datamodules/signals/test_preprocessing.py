from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from datamodules.catalogue import DATASETS
from datamodules.signals.preprocessing import (
    BVP_BEATS,
    EDA_PARTS,
    Derived,
    derived_shapes,
    durations,
    is_causal,
    preprocess,
)
from datamodules.signals.recording import Signal
from datamodules.signals.steps import (
    AveragePool,
    BandPass,
    CommonAverage,
    DifferentialEntropy,
    Resample,
    Step,
)
from datamodules.stored import as_recording

RECORDED = {"eeg": (6, 100.0), "eda": (1, 4.0), "bvp": (1, 64.0)}
STEPS = {
    "eda_slow": Derived("eda", (Resample(2.0),)),
    "eeg_pooled": Derived("eeg", (AveragePool(3),)),
    "eeg": (BandPass(1.0, 40.0), Resample(150.0)),
}


def signals_of(shapes: dict[str, tuple[int, float]], seconds: float = 12.0) -> dict[str, Signal]:
    rng = np.random.default_rng(0)
    return {
        name: Signal(
            rng.normal(size=(n_channels, round(seconds * sfreq))).astype(np.float32),
            sfreq,
            tuple(f"c{channel}" for channel in range(n_channels)),
            "a.u.",
        )
        for name, (n_channels, sfreq) in shapes.items()
    }


def test_shapes_follow_the_steps_and_derived_signals_come_last():
    shapes = derived_shapes(RECORDED, STEPS)
    assert shapes == {
        "eeg": (6, 150.0),
        "eda": (1, 4.0),
        "bvp": (1, 64.0),
        "eda_slow": (1, 2.0),
        "eeg_pooled": (2, 50.0),
    }
    assert list(shapes) == ["eeg", "eda", "bvp", "eda_slow", "eeg_pooled"]


def test_shapes_are_those_of_the_prepared_signals():
    steps = {**STEPS, **EDA_PARTS, "entropy": Derived("eeg", (DifferentialEntropy(4.0),))}
    prepared = preprocess(signals_of(RECORDED), steps)
    shapes = derived_shapes(RECORDED, steps)
    assert list(prepared) == list(shapes)
    assert {name: (len(s.channels), s.sfreq) for name, s in prepared.items()} == shapes


@pytest.mark.parametrize("sfreq", [64.0, 62.5, 100.0])
@pytest.mark.parametrize("n_times", [700, 1001, 4999])
def test_durations_are_known_before_a_step_is_taken(sfreq, n_times):
    """Whatever the number of samples and the rates: segments are cut where the shortest ends."""
    recorded = {"eeg": (6, 250.0), "eda": (1, 4.0), "bvp": (1, sfreq)}
    signals = {
        name: Signal(
            np.random.default_rng(0).normal(size=(n, n_times)).astype(np.float32),
            rate,
            tuple(f"c{number}" for number in range(n)),
            "a.u.",
        )
        for name, (n, rate) in recorded.items()
    }
    steps = {**STEPS, **EDA_PARTS, **BVP_BEATS, "slow": Derived("bvp", (Resample(30.0),))}
    prepared = preprocess(signals, steps)
    assert durations(signals, steps) == {name: s.duration for name, s in prepared.items()}
    del signals["eda"]
    assert {"eda", "eda_slow", "eda_tonic"}.isdisjoint(durations(signals, steps))


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["eda"], []),
        (["eda_tonic"], ["eda_tonic"]),
        (["eeg_pooled"], ["eeg", "eeg_pooled"]),
        (["bvp", "eeg"], ["eeg"]),
        ([], []),
    ],
)
def test_no_steps_but_those_of_the_signals_that_are_asked_for(monkeypatch, names, taken):
    steps = {**STEPS, **EDA_PARTS}
    everything = preprocess(signals_of(RECORDED), steps)
    steps_taken = []

    def watched(entry, signal):
        steps_taken.append(entry)
        return everything[entry]

    marked = {
        name: replace(entry, steps=(Marked(name, watched),))
        if isinstance(entry, Derived)
        else (Marked(name, watched),)
        for name, entry in steps.items()
    }
    prepared = preprocess(signals_of(RECORDED), marked, names)
    assert set(prepared) == set(names)
    assert steps_taken == taken
    for name in names:
        np.testing.assert_array_equal(prepared[name].samples, everything[name].samples)


@dataclass(frozen=True)
class Marked(Step):
    """A step that says when it is taken."""

    name: str
    taken: Callable

    def __call__(self, signal):
        return self.taken(self.name, signal)


@pytest.mark.parametrize(
    ("signal", "causal"),
    [("eda", True), ("eda_slow", False), ("eeg", False), ("eeg_pooled", False), ("mixed", True)],
)
def test_a_signal_is_causal_if_all_steps_on_its_way_are(signal, causal):
    mixed = Derived("eda", (CommonAverage(), AveragePool(1)))
    assert mixed.causal
    assert is_causal(signal, {**STEPS, "mixed": mixed}) is causal


def test_a_step_for_a_signal_that_is_not_recorded_is_a_mistake():
    with pytest.raises(KeyError, match="ecg"):
        derived_shapes(RECORDED, {"ecg": (BandPass(1.0, 40.0),)})
    with pytest.raises(KeyError, match="ecg"):
        derived_shapes(RECORDED, {"ecg_slow": Derived("ecg", (Resample(2.0),))})


@pytest.mark.parametrize("key", DATASETS)
def test_declared_shapes_are_the_stored_ones(small_datasets, key):
    module = small_datasets.module(key)
    stored = [subject for subject in module._stored if subject.recordings]
    assert stored
    names = set()
    for subject in stored:
        for name, signal in as_recording(subject, 0).signals.items():
            assert (len(signal.samples), signal.sfreq) == module.dataset.signals[name], name
            names.add(name)
    assert names == set(module.dataset.signals) - set(module.dataset.optional)

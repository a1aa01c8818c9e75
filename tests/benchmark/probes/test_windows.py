"""Windows: rows as asked for, a few at a time, and as one array for estimators that take one."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from benchmark.probes.windows import OneArray, Windows, one_array
from datamodules.inputs import SignalSpec

INPUTS = {"eeg": SignalSpec(2, 5, 5.0), "ecg": SignalSpec(1, 5, 5.0)}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=(11, spec.n_channels, 5)).astype(np.float32)
        for name, spec in INPUTS.items()
    }


def test_rows_are_gathered_when_they_are_asked_for(arrays):
    asked = []

    def gather(rows: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(rows.tolist())
        return {name: samples[rows] for name, samples in arrays.items()}

    windows = Windows(INPUTS, 11, gather)
    assert len(windows) == 11
    assert windows.shape == (11, 15)
    assert asked == []
    np.testing.assert_array_equal(windows[2:4]["eeg"], arrays["eeg"][2:4])
    np.testing.assert_array_equal(windows[np.array([7, 0])]["ecg"], arrays["ecg"][[7, 0]])
    np.testing.assert_array_equal(windows[:]["eeg"], arrays["eeg"])
    assert asked == [[2, 3], [7, 0], list(range(11))]


@pytest.mark.parametrize(("values", "sizes"), [(1, 11 * [1]), (60, [4, 4, 3]), (10**6, [11])])
def test_chunks_are_all_windows_in_order(monkeypatch, arrays, values, sizes):
    monkeypatch.setattr("benchmark.probes.windows.VALUES", values)
    chunks = list(Windows.of(INPUTS, arrays).chunks())
    assert [len(chunk["eeg"]) for chunk in chunks] == sizes
    for name in INPUTS:
        np.testing.assert_array_equal(np.concatenate([c[name] for c in chunks]), arrays[name])


def test_an_estimator_gets_the_channels_of_all_signals_in_one_array(monkeypatch, arrays):
    monkeypatch.setattr("benchmark.probes.windows.VALUES", 60)
    target = np.array([0, 2] * 5 + [0])
    windows = Windows.of(INPUTS, arrays)
    together = one_array(windows[:])
    assert together.shape == (11, 3, 5)
    np.testing.assert_array_equal(together[:, 2], arrays["ecg"][:, 0])
    flat = FunctionTransformer(lambda samples: samples.reshape(len(samples), -1))
    found = OneArray(make_pipeline(flat, KNeighborsClassifier(1))).fit(windows, target)
    assert found.classes_.tolist() == [0, 2]
    np.testing.assert_array_equal(found.predict_proba(windows)[:, 1], target == 2)

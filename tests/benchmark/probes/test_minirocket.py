"""MiniRocket: each signal its share, no level, and the ridge classifier of scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler

from benchmark.probes.minirocket import ALPHAS, MiniRocket
from benchmark.probes.windows import Windows
from datamodules.inputs import SignalSpec

INPUTS = {"bvp": SignalSpec(1, 64, 16.0), "eda": SignalSpec(2, 20, 4.0)}


def made(n_classes: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Windows whose classes differ in how fast the first signal moves."""
    rng = np.random.default_rng(seed)
    target = np.arange(60) % n_classes
    arrays = {
        name: rng.normal(size=(60, spec.n_channels, spec.n_times)).astype(np.float32)
        for name, spec in INPUTS.items()
    }
    phase = rng.uniform(0, 6, (60, 1))
    speed = 0.2 * (1 + target[:, None])
    arrays["bvp"][:, 0] += 3 * np.sin(phase + speed * np.arange(64))
    return arrays, target


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_classifier_is_that_of_scikit_learn_on_its_features(n_classes):
    arrays, target = made(n_classes)
    windows = Windows.of(INPUTS, arrays)
    fitted = MiniRocket(0, 1000).fit(windows, target)
    columns = fitted.transform(windows)
    assert columns.shape == (60, 2 * (500 // 84) * 84)
    ridge = RidgeClassifierCV(np.logspace(-3, 3, 10), class_weight="balanced")
    scaled = StandardScaler().fit_transform(columns)
    values = ridge.fit(scaled, target).decision_function(scaled)
    assert fitted.alpha == ridge.alpha_
    both = np.stack([-values, values], axis=1) if n_classes == 2 else values
    expected = np.exp(both) / np.exp(both).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(windows), expected, atol=1e-4)


def test_what_it_learns_holds_for_other_windows():
    arrays, target = made(3)
    fitted = MiniRocket(0, 1000).fit(Windows.of(INPUTS, arrays), target)
    others, classes = made(3, seed=1)
    probabilities = fitted.predict_proba(Windows.of(INPUTS, others))
    assert (probabilities.argmax(axis=1) == classes).mean() > 0.8
    assert fitted.alpha in ALPHAS


def test_neither_a_level_nor_the_unit_of_a_channel_matters():
    arrays, target = made(2)
    before = MiniRocket(0, 400).fit(Windows.of(INPUTS, arrays), target)
    other = {
        "bvp": arrays["bvp"] * 1024 + 7,
        "eda": arrays["eda"] * np.array([[4], [0.5]], np.float32) - 3,
    }
    after = MiniRocket(0, 400).fit(Windows.of(INPUTS, other), target)
    np.testing.assert_allclose(
        after.predict_proba(Windows.of(INPUTS, other)),
        before.predict_proba(Windows.of(INPUTS, arrays)),
        atol=1e-2,
    )


def test_chunks_change_nothing(monkeypatch):
    arrays, target = made(2)
    windows = Windows.of(INPUTS, arrays)
    at_once = MiniRocket(0, 400).fit(windows, target).predict_proba(windows)
    monkeypatch.setattr("benchmark.probes.windows.VALUES", 7 * windows.shape[1])
    assert [len(chunk["bvp"]) for chunk in windows.chunks()] == [*(8 * [7]), 4]
    in_parts = MiniRocket(0, 400).fit(windows, target).predict_proba(windows)
    np.testing.assert_allclose(in_parts, at_once, atol=1e-6)


def test_the_seed_draws_windows_and_channels():
    arrays, target = made(2)
    windows = Windows.of(INPUTS, arrays)
    one, same, two = (MiniRocket(seed, 200).fit(windows, target) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.biases["eda"], same.biases["eda"])
    assert not np.array_equal(one.biases["eda"], two.biases["eda"])
    assert one.size == 2 * 84 * 2 + 1


def test_a_still_channel_is_no_harm():
    arrays, target = made(2)
    arrays["eda"][:, 1] = 5
    windows = Windows.of(INPUTS, arrays)
    fitted = MiniRocket(0, 400).fit(windows, target)
    assert np.isfinite(fitted.predict_proba(windows)).all()

"""Kernels of MiniRocket: against a loop over kernels, weights and samples, as the paper says it."""

from itertools import combinations

import numpy as np
import pytest

from benchmark.probes.convolutions import (
    N_KERNELS,
    Plan,
    fit_biases,
    make_plan,
    proportions,
    quantiles,
)

KERNELS = [[2 if place in twos else -1 for place in range(9)] for twos in combinations(range(9), 3)]


def convolved(window: np.ndarray, weights: list[int], dilation: int) -> list[float]:
    """Sum over channels of a convolution whose window goes on with zeros."""
    n_times = window.shape[1]
    return [
        sum(
            float(channel[t + (k - 4) * dilation]) * weight
            for channel in window
            for k, weight in enumerate(weights)
            if 0 <= t + (k - 4) * dilation < n_times
        )
        for t in range(n_times)
    ]


def by_hand(plan: Plan, biases: np.ndarray, window: np.ndarray) -> list[float]:
    """Proportions above biases, one feature after the other."""
    found: list[float] = []
    channels = list(plan.channels)
    counts = iter(plan.counts)
    for number, (dilation, n_features) in enumerate(
        zip(plan.dilations, plan.features, strict=True)
    ):
        for kernel, weights in enumerate(KERNELS):
            chosen = [channels.pop(0) for _ in range(next(counts))]
            values = convolved(window[chosen], weights, dilation)
            if (number + kernel) % 2:
                values = values[4 * dilation : len(values) - 4 * dilation]
            for _ in range(n_features):
                bias = float(biases[len(found)])
                found.append(sum(value > bias for value in values) / len(values))
    assert not channels
    return found


@pytest.mark.parametrize(
    ("n_channels", "n_times", "n_features"), [(1, 9, 84), (1, 50, 500), (3, 33, 400), (12, 40, 170)]
)
def test_proportions_are_those_of_a_loop(n_channels, n_times, n_features):
    rng = np.random.default_rng([n_channels, n_times])
    plan = make_plan(n_channels, n_times, n_features, rng)
    # whole numbers, so that every sum is exact
    windows = rng.integers(-9, 10, (3, n_channels, n_times)).astype(np.float32)
    biases = rng.integers(-20, 21, plan.n_features).astype(np.float32)
    expected = [by_hand(plan, biases, window) for window in windows]
    np.testing.assert_allclose(proportions(plan, biases, windows), expected, rtol=1e-6)


def test_biases_are_quantiles_of_the_convolution_of_a_training_window():
    rng = np.random.default_rng(3)
    plan = make_plan(2, 40, 600, rng)
    windows = rng.normal(size=(4, 2, 40)).astype(np.float32)
    biases = fit_biases(plan, lambda rows: windows[rows], 4, rng)
    golden = (np.sqrt(5) + 1) / 2
    channels, counts, found = list(plan.channels), iter(plan.counts), 0
    examples = set()
    for dilation, n_features in zip(plan.dilations, plan.features, strict=True):
        for weights in KERNELS:
            chosen = [channels.pop(0) for _ in range(next(counts))]
            share = [(n * golden) % 1 for n in range(found + 1, found + n_features + 1)]
            of_each = [
                np.quantile(convolved(window[chosen], weights, dilation), share)
                for window in windows
            ]
            mine = biases[found : found + n_features]
            match = [np.allclose(mine, expected, atol=1e-4) for expected in of_each]
            assert sum(match) == 1
            examples.add(match.index(True))
            found += n_features
    assert found == plan.n_features
    assert examples == {0, 1, 2, 3}


@pytest.mark.parametrize("n_times", [9, 17, 240, 3840, 15000])
def test_dilations_grow_until_the_kernel_is_as_long_as_the_window(n_times):
    plan = make_plan(1, n_times, 10000, np.random.default_rng(0))
    largest = np.log2((n_times - 1) / 8)
    rule = [int(2 ** (largest * step / 31)) for step in range(32)]
    assert plan.dilations.tolist() == sorted(set(rule))
    assert plan.dilations[0] == 1
    assert (n_times - 1) // 8 - 1 <= plan.dilations[-1] <= (n_times - 1) // 8
    assert plan.n_features == 9996  # as in the paper
    shares = plan.features / [rule.count(dilation) for dilation in plan.dilations]
    assert np.ptp(shares) <= 1


def test_channels_are_drawn_without_repeats():
    plan = make_plan(20, 100, 10000, np.random.default_rng(0))
    drawn = np.split(plan.channels, np.cumsum(plan.counts)[:-1])
    assert len(drawn) == N_KERNELS * len(plan.dilations)
    assert all(len(set(channels)) == len(channels) for channels in drawn)
    assert set(plan.counts) == set(range(1, 10))
    assert set(plan.channels) == set(range(20))
    assert np.median(plan.counts) == pytest.approx(np.sqrt(10), abs=1)  # even in logarithms


def test_quantiles_fill_the_unit_interval():
    found = np.sort(quantiles(1000))
    assert found[0] >= 0
    assert found[-1] < 1
    assert np.diff(found).max() < 3 / 1000


@pytest.mark.parametrize(
    "change",
    [
        {"n_times": 8},
        {"dilations": np.array([0, 2])},
        {"dilations": np.array([1, 6])},
        {"dilations": np.array([1])},
        {"features": np.array([1, -1])},
        {"counts": np.zeros(2 * N_KERNELS, int)},
        {"counts": np.full(2 * N_KERNELS, 10**9)},
        {"channels": np.full(2 * N_KERNELS, 1)},
        {"channels": np.full(2 * N_KERNELS, -1)},
        {"channels": np.zeros(5, int)},
    ],
    ids=repr,
)
def test_a_plan_that_would_read_foreign_memory_is_refused(change):
    values = {
        "n_channels": 1,
        "n_times": 40,
        "dilations": np.array([1, 4]),
        "features": np.array([2, 1]),
        "counts": np.ones(2 * N_KERNELS, int),
        "channels": np.zeros(2 * N_KERNELS, int),
    }
    assert Plan(**values).n_features == 3 * N_KERNELS
    with pytest.raises(ValueError, match="expected"):
        Plan(**{**values, **change})


@pytest.mark.parametrize(
    ("windows", "n_biases"), [((2, 1, 39), 84), ((2, 2, 40), 84), ((2, 1, 40), 83)]
)
def test_windows_and_biases_of_another_shape_are_refused(windows, n_biases):
    plan = make_plan(1, 40, 84, np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected windows of 1 x 40 samples and 84 biases"):
        proportions(plan, np.zeros(n_biases, np.float32), np.zeros(windows, np.float32))

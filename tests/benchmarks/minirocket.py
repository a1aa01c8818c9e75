"""MiniRocket of the suite against that of aeon, feature by feature.

    python tests/benchmarks/minirocket.py

aeon is not part of the suite's environment, as it asks for older versions of other libraries. In
one of its own, with numpy, scikit-learn and numba, which it brings:

    python -m venv /tmp/aeon && /tmp/aeon/bin/pip install 'aeon==1.6.*' lazy_loader
    PYTHONPATH=. /tmp/aeon/bin/python tests/benchmarks/minirocket.py

Windows of whole numbers, whose sums are exact, must have equal features; those of random numbers
may differ in a sample that is as large as its bias. Biases and channels are aeon's, as each draws
them at random in its own way.
"""

from importlib.util import find_spec
from time import perf_counter

import numpy as np

from benchmark.probes.convolutions import Plan, Samples, make_plan, proportions

SHAPES = ((1, 9), (1, 240), (1, 3840), (3, 500), (19, 1000))
"""Channels and samples of the windows."""
N_WINDOWS, N_FEATURES = 20, 10000


def windows(n_channels: int, n_times: int, whole: bool) -> Samples:
    """Return random walks."""
    rng = np.random.default_rng([n_channels, n_times])
    shape = (N_WINDOWS, n_channels, n_times)
    steps = rng.integers(-3, 4, shape) if whole else rng.normal(size=shape)
    walk = steps.cumsum(axis=2)
    return np.asarray(walk - walk[:, :, :1], np.float32)


def measure(n_channels: int, n_times: int) -> str:
    """Return how long the features of a window take."""
    rng = np.random.default_rng(0)
    plan = make_plan(n_channels, n_times, N_FEATURES, rng)
    biases = rng.normal(size=plan.n_features).astype(np.float32)
    samples = windows(n_channels, n_times, whole=False)
    proportions(plan, biases, samples[:1])  # compiled, or loaded
    started = perf_counter()
    proportions(plan, biases, samples)
    milliseconds = 1000 * (perf_counter() - started) / N_WINDOWS
    return f"{n_channels:>3} x {n_times:<6} {milliseconds:8.2f} ms a window"


def compare(n_channels: int, n_times: int, whole: bool) -> str:
    """Return how far features are from those of aeon, with its biases and channels."""
    from aeon.transformations.collection.convolution_based import (  # of another environment
        MiniRocket,
    )

    samples = windows(n_channels, n_times, whole)
    reference = MiniRocket(N_FEATURES, random_state=1).fit(samples)
    expected = np.asarray(reference.transform(samples))
    counts, channels, dilations, features, biases = reference.parameters
    numbers = [np.asarray(part, np.int64) for part in (dilations, features, counts, channels)]
    if whole:
        biases = np.rint(biases)
        reference.parameters = (counts, channels, dilations, features, biases)
        expected = np.asarray(reference.transform(samples))
    found = proportions(Plan(n_channels, n_times, *numbers), biases, samples)
    planned = make_plan(n_channels, n_times, N_FEATURES, np.random.default_rng(0))
    same = np.array_equal(planned.dilations, dilations) and np.array_equal(
        planned.features, features
    )
    off = np.abs(found - expected)
    kind = "whole" if whole else "random"
    return (
        f"{n_channels:>3} x {n_times:<6} {kind:<7} dilations and numbers of features "
        f"{'equal' if same else 'DIFFER'}; features: largest difference {off.max():.1e}, "
        f"{(off > 1e-6).mean():.1e} of them differ"
    )


if __name__ == "__main__":
    for shape in SHAPES:
        print(measure(*shape))
    if find_spec("aeon") is None:
        print("aeon: not installed here, so that nothing is compared; see the top of this file")
    else:
        for shape in SHAPES:
            print(compare(*shape, whole=True))
            print(compare(*shape, whole=False))

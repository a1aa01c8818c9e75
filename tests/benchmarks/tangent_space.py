"""Tangent space of the suite against that of pyriemann, in an environment that has it.

python -m venv /tmp/riemann && /tmp/riemann/bin/pip install pyriemann lazy_loader
PYTHONPATH=. /tmp/riemann/bin/python tests/benchmarks/tangent_space.py
"""

from importlib.util import find_spec

import numpy as np

from benchmark.probes.tangent import geometric_mean, shrunken_covariances, tangent_vectors

SHAPES = ((2, 240), (5, 100), (20, 15000), (32, 64))
"""Channels and samples of the windows."""


def compare(n_channels: int, n_times: int) -> str:
    """Return how far covariances, their mean and the vectors are from those of pyriemann."""
    from pyriemann.estimation import Covariances  # of another environment
    from pyriemann.tangentspace import TangentSpace

    rng = np.random.default_rng([n_channels, n_times])
    mixing = rng.normal(size=(30, n_channels, n_channels))
    windows = (mixing @ rng.normal(size=(30, n_channels, n_times))).astype(np.float32)
    covariances = Covariances("oas").transform(windows.astype(np.float64))
    reference = TangentSpace(metric="riemann").fit(covariances)
    found = shrunken_covariances(windows)
    mean = geometric_mean(covariances)
    pairs = (
        ("covariances", found, covariances),
        ("mean", mean, reference.reference_),
        ("vectors", tangent_vectors(covariances, mean), reference.transform(covariances)),
    )
    parts = [f"{name} {np.abs(a - b).max() / np.abs(b).max():.1e}" for name, a, b in pairs]
    return f"{n_channels:>3} x {n_times:<6} largest difference, of the largest: {', '.join(parts)}"


if __name__ == "__main__":
    if find_spec("pyriemann") is None:
        print("pyriemann: not installed here, so that nothing is compared; see this file's top")
    else:
        for shape in SHAPES:
            print(compare(*shape))

"""Classifiers of the probes: many features are reduced to components."""

import pytest

from benchmark.probes.classifiers import CLASSIFIERS, COMPONENTS, MANY


@pytest.mark.parametrize(
    ("shape", "components"),
    [
        ((500, MANY), None),
        ((500, MANY + 1), COMPONENTS),
        ((COMPONENTS + 1, MANY + 1), COMPONENTS),
        ((COMPONENTS, MANY + 1), COMPONENTS - 1),
    ],
)
def test_many_features_are_reduced_to_components(shape, components):
    steps = dict(CLASSIFIERS["linear"](3, 2, shape).steps)
    assert ("pca" in steps) == (components is not None)
    if components is not None:
        assert (steps["pca"].n_components, steps["pca"].random_state) == (components, 3)

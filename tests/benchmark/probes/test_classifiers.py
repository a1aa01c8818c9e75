"""Classifiers of the probes: many features are reduced to components."""

import numpy as np
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


def test_frequencies_by_value_are_those_of_a_loop_and_of_all_for_an_unseen_value():
    rng = np.random.default_rng(0)
    values, target = rng.integers(0, 5, 60), rng.choice([0, 2, 3], 60)
    fitted = CLASSIFIERS["by_value"](0, 4, (60, 1)).fit(values[:, None].astype(float), target)
    assert fitted.classes_.tolist() == [0, 2, 3]
    asked = np.array([0.0, 3.0, 9.0, 3.0])
    for value, found in zip(asked, fitted.predict_proba(asked[:, None]), strict=True):
        same = [t for v, t in zip(values, target, strict=True) if v == value] or target.tolist()
        assert found == pytest.approx([same.count(label) / len(same) for label in (0, 2, 3)])

"""Boosted trees as arrays: the same answers as scikit-learn, and no walk without an end."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmark.probes.boosting import AT_ONCE, BoostedTrees

VALUES = {
    "learning_rate": 0.2,
    "max_iter": 15,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 6,
    "l2": 0.5,
}


def made(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.choice(n_classes, 300, p=np.arange(1, n_classes + 1) / sum(range(n_classes + 1)))
    return rng.normal(size=(300, 6)) + target[:, None] * [1, 0, 1, 0, 0, 0.5], target


@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_answers_as_scikit_learn_does(n_classes):
    columns, target = made(n_classes)
    fitted = BoostedTrees(3, **VALUES).fit(columns, target)
    reference = HistGradientBoostingClassifier(
        learning_rate=0.2,
        max_iter=15,
        max_leaf_nodes=8,
        min_samples_leaf=6,
        l2_regularization=0.5,
        class_weight="balanced",
        early_stopping=False,
        random_state=3,
    ).fit(columns, target)
    new = np.random.default_rng(1).normal(0.5, 1.5, (AT_ONCE + 30, 6))
    np.testing.assert_allclose(
        fitted.predict_proba(new), reference.predict_proba(new), rtol=1e-9, atol=1e-12
    )
    assert fitted.classes_.tolist() == list(range(n_classes))
    nodes = sum(len(tree.nodes) for trees in reference._predictors for tree in trees)
    assert fitted.size == nodes


@pytest.mark.parametrize("child", [0, -1])
def test_a_child_before_its_parent_would_never_end(child):
    columns, target = made(2)
    fitted = BoostedTrees(0, **VALUES).fit(columns, target)
    inner = np.flatnonzero(fitted._left != np.arange(fitted.size))[1]
    fitted._left[inner] = child
    with pytest.raises(ValueError, match="a tree without an end"):
        fitted.predict_proba(columns)

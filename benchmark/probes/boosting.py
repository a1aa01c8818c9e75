"""Gradient-boosted trees of scikit-learn, kept as plain arrays once they are grown.

Arrays can be kept in a file and read without trust: walking them cannot leave them, whatever they
hold, and needs nothing of the version of scikit-learn that grew the trees.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy
from sklearn.ensemble import HistGradientBoostingClassifier

AT_ONCE = 512
"""Number of windows that are in all trees at once."""


class BoostedTrees:
    """Histogram-based gradient boosting with balanced classes (Ke et al. 2017; Friedman 2001).

    All trees are grown: how many are best could only be found on windows of people who are not
    trained on, and the split by window that scikit-learn offers for it knows no people.

    Args:
        seed: Seed of the edges of histograms where there are many windows.
        learning_rate: Share of each tree's answer that counts.
        max_iter: Number of trees, for each class where there are more than two.
        max_leaf_nodes: Largest number of leaves of a tree.
        min_samples_leaf: Smallest number of windows in a leaf.
        l2: Weight of the squared answers of leaves.

    Attributes:
        classes_: Classes of the training windows, shape (K,).
    """

    classes_: npt.NDArray[np.int64]

    def __init__(
        self,
        seed: int,
        learning_rate: float,
        max_iter: int,
        max_leaf_nodes: int,
        min_samples_leaf: int,
        l2: float,
    ) -> None:
        self.seed, self.learning_rate, self.max_iter = seed, learning_rate, max_iter
        self.max_leaf_nodes, self.min_samples_leaf, self.l2 = max_leaf_nodes, min_samples_leaf, l2

    def fit(self, columns: npt.NDArray[np.float64], target: npt.NDArray[np.int64]) -> Self:
        """Grow the trees; columns have shape (N, F)."""
        booster: Any = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2,
            class_weight="balanced",
            early_stopping=False,
            random_state=self.seed,
        )
        booster.fit(columns, target)
        self.classes_ = booster.classes_
        self._baseline = np.ravel(booster._baseline_prediction).astype(np.float64)
        trees = [tree.nodes for iteration in booster._predictors for tree in iteration]
        counts = np.array([len(nodes) for nodes in trees])
        nodes = np.concatenate(trees)
        self._roots = np.cumsum(counts) - counts
        first = np.repeat(self._roots, counts)
        leaf = nodes["is_leaf"].astype(bool)
        here = np.arange(len(nodes))
        self._left = np.where(leaf, here, nodes["left"] + first)
        self._right = np.where(leaf, here, nodes["right"] + first)
        self._feature = np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64)
        self._threshold = np.where(leaf, 0.0, nodes["num_threshold"])
        self._value = nodes["value"].astype(np.float64)
        return self

    def predict_proba(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the probabilities of each class, shape (N, K).

        Raises:
            ValueError: Trees whose walk would never end.
        """
        here = np.arange(len(self._left))
        leaf = (self._left == here) & (self._right == here)
        if not (leaf | ((self._left > here) & (self._right > here))).all():
            raise ValueError("expected children after their parents, found a tree without an end")
        parts = np.array_split(columns, np.arange(AT_ONCE, len(columns), AT_ONCE))
        raw = np.concatenate([self._raw(part) for part in parts])
        if raw.shape[1] == 1:
            second = scipy.special.expit(raw)
            return np.hstack([1 - second, second])
        return np.asarray(scipy.special.softmax(raw, axis=1))

    def _raw(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum of the answers of all trees, shape (N, 1) or (N, K)."""
        rows = np.arange(len(columns))[:, None]
        node = np.tile(self._roots, (len(columns), 1))
        while True:
            left = columns[rows, self._feature[node]] <= self._threshold[node]
            below = np.where(left, self._left[node], self._right[node])
            if (below == node).all():
                break
            node = below
        answers = self._value[node].reshape(len(columns), -1, len(self._baseline))
        return np.asarray(self._baseline + answers.sum(axis=1))

    @property
    def size(self) -> int:
        """Number of nodes of all trees."""
        return len(self._left)

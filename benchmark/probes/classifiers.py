"""The classifiers of the probes, built with scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.probes.boosting import BoostedTrees
from benchmark.probes.catalogue import ClassifierName
from benchmark.probes.minirocket import MiniRocket
from benchmark.probes.support_vectors import SupportVectors
from benchmark.probes.tangent import TangentSpace

Shape = tuple[int, int]
MANY, COMPONENTS = 1000, 60
"""Number of features beyond which principal components are taken, and how many components; the
authors of PMEmo took 60."""


def forest(
    seed: int,
    n_classes: int,
    shape: Shape,
    n_trees: int = 200,
    min_leaf: int = 5,
    max_features: str | float = "sqrt",
) -> Any:
    """Return a balanced random forest.

    Args:
        seed: Seed of the trees.
        n_classes: Number of classes in training.
        shape: Number of windows and of features.
        n_trees: Number of trees.
        min_leaf: Smallest number of windows in a leaf.
        max_features: Features that are tried at a split: ``"sqrt"`` or ``"log2"`` of their number,
            a share of them, or a whole number.
    """
    return RandomForestClassifier(
        n_trees,
        min_samples_leaf=min_leaf,
        max_features=max_features,
        class_weight="balanced",
        random_state=seed,
        n_jobs=1,
    )


def linear(seed: int, n_classes: int, shape: Shape, shrinkage: str | float = "auto") -> Any:
    """Return a linear discriminant analysis with a shrunken covariance and equal priors.

    More than MANY features are first reduced to COMPONENTS, or to as many as the windows allow.

    Args:
        seed: Seed of the components.
        n_classes: Number of classes in training.
        shape: Number of windows and of features.
        shrinkage: Weight of the diagonal in the covariance, 0 to 1; ``"auto"``: after Ledoit and
            Wolf.
    """
    priors = np.full(n_classes, 1 / n_classes)
    last = LinearDiscriminantAnalysis("lsqr", shrinkage=shrinkage, priors=priors)
    if shape[1] <= MANY:
        return make_pipeline(StandardScaler(), last)
    fewer = PCA(min(COMPONENTS, shape[0] - 1), svd_solver="randomized", random_state=seed)
    return make_pipeline(StandardScaler(), fewer, last)


def gradient_boosting(
    seed: int,
    n_classes: int,
    shape: Shape,
    learning_rate: float = 0.1,
    max_iter: int = 100,
    max_leaf_nodes: int = 31,
    min_samples_leaf: int = 20,
    l2: float = 0.0,
) -> Any:
    """Return gradient-boosted trees, with the values of scikit-learn; see ``BoostedTrees``."""
    return BoostedTrees(seed, learning_rate, max_iter, max_leaf_nodes, min_samples_leaf, l2)


def logistic(seed: int, n_classes: int, shape: Shape, C: float = 1.0) -> Any:
    """Return a balanced (multinomial) logistic regression on standardised features.

    Args:
        seed: Nothing depends on it.
        n_classes: Number of classes in training.
        shape: Number of windows and of features.
        C: Inverse weight of the squared coefficients.
    """
    last = LogisticRegression(C=C, class_weight="balanced", max_iter=5000)
    return make_pipeline(StandardScaler(), last)


def svm_rbf(
    seed: int, n_classes: int, shape: Shape, C: float = 1.0, gamma: str | float = "scale"
) -> Any:
    """Return a balanced support vector machine with probabilities; see ``SupportVectors``."""
    return SupportVectors(C, gamma)


def minirocket(seed: int, n_classes: int, shape: Shape, n_features: int = 10000) -> Any:
    """Return MiniRocket and a balanced ridge classifier; see ``MiniRocket``."""
    return MiniRocket(seed, n_features)


def tangent_space(seed: int, n_classes: int, shape: Shape, C: float = 1.0) -> Any:
    """Return a balanced logistic regression on tangent vectors; see ``TangentSpace``."""
    return TangentSpace(C)


class ByValue:
    """Class frequencies of the training windows with the same value; of all for an unseen value.

    Attributes:
        classes_: Classes of the training windows, shape (K,).
    """

    classes_: npt.NDArray[np.int64]

    def fit(self, columns: npt.NDArray[np.float64], target: npt.NDArray[np.int64]) -> "ByValue":
        """Count classes; columns have shape (N, 1)."""
        self.classes_, self._prior = np.unique(target, return_counts=True)
        same = target[:, None] == self.classes_
        self._counts = {
            value: same[columns[:, 0] == value].sum(axis=0) for value in np.unique(columns)
        }
        return self

    def predict_proba(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the frequencies of each class, shape (N, K)."""
        counts = np.array([self._counts.get(value, self._prior) for value in columns[:, 0]])
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def by_value(seed: int, n_classes: int, shape: Shape) -> Any:
    """Return a classifier that answers with class frequencies by the value of its feature."""
    return ByValue()


def frequencies(seed: int, n_classes: int, shape: Shape) -> Any:
    """Return a classifier that always answers with the class frequencies of training windows."""
    return DummyClassifier(strategy="prior")


def most_frequent(seed: int, n_classes: int, shape: Shape) -> Any:
    """Return a classifier that is always certain of the most frequent training class."""
    return DummyClassifier(strategy="most_frequent")


CLASSIFIERS: dict[ClassifierName, Callable[..., Any]] = {
    "forest": forest,
    "linear": linear,
    "gradient_boosting": gradient_boosting,
    "logistic": logistic,
    "svm_rbf": svm_rbf,
    "minirocket": minirocket,
    "tangent_space": tangent_space,
    "by_value": by_value,
    "frequencies": frequencies,
    "most_frequent": most_frequent,
}
"""Functions of the seed, the number of classes in training, the shape (N, F) of the features or (N,
samples) of the windows, and of the arguments that a probe declares, by keyword."""


def learned_values(classifier: Any) -> int:
    """Return the number of learned values of a fitted classifier.

    Coefficients and intercepts, support vectors, or nodes of trees; 0 for a constant.
    """
    last = classifier[-1] if hasattr(classifier, "steps") else classifier
    if isinstance(last, RandomForestClassifier):
        return sum(tree.tree_.node_count for tree in last.estimators_)
    if isinstance(last, BoostedTrees | SupportVectors | MiniRocket | TangentSpace):
        return last.size
    if isinstance(last, LinearDiscriminantAnalysis | LogisticRegression):
        return int(last.coef_.size + last.intercept_.size)
    return 0

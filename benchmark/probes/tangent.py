"""Tangent space: covariances of channels as points of a curved space, made flat around their mean.

References:
    Barachant, Bonnet, Congedo, Jutten: Multiclass Brain-Computer Interface Classification by
    Riemannian Geometry. IEEE Transactions on Biomedical Engineering 59(4), 2012.
    Chen, Wiesel, Eldar, Hero: Shrinkage Algorithms for MMSE Covariance Estimation. IEEE
    Transactions on Signal Processing 58(10), 2010.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.probes.scale import Scale
from benchmark.probes.windows import Windows, one_array

FLOOR = 1e-9
"""Variance that is added to every channel, whose usual variance is 1, so that a still one has a
logarithm."""
CLOSE, STEPS = 1e-8, 100
"""Length of a step at which the mean is found, and the largest number of steps."""
Matrices = npt.NDArray[np.float64]


class TangentSpace:
    """Logistic regression in the tangent space of the covariances of all channels.

    The covariance of a window is shrunken towards a multiple of the identity (oracle approximating
    shrinkage). The tangent space is that of the affine-invariant metric at the geometric mean of
    the training windows. Each channel is divided by its usual deviation in training before, which
    the metric does not notice, but the shrinkage does.

    Args:
        C: Inverse weight of the squared coefficients of the logistic regression.

    Attributes:
        classes_: Classes of the training windows, shape (K,).
    """

    classes_: npt.NDArray[np.int64]

    def __init__(self, C: float) -> None:
        self.C = C

    def fit(self, windows: Windows, target: npt.NDArray[np.int64]) -> Self:
        """Fit the mean and the logistic regression on all windows."""
        self.scale = Scale.of(windows)
        covariances = self._covariances(windows)
        self.mean = geometric_mean(covariances)
        self.logistic: Any = make_pipeline(
            StandardScaler(), LogisticRegression(C=self.C, class_weight="balanced", max_iter=5000)
        ).fit(tangent_vectors(covariances, self.mean), target)
        self.classes_ = self.logistic.classes_
        return self

    def predict_proba(self, windows: Windows) -> npt.NDArray[np.float64]:
        """Return the probabilities of each class, shape (N, K)."""
        vectors = tangent_vectors(self._covariances(windows), self.mean)
        return np.asarray(self.logistic.predict_proba(vectors))

    def _covariances(self, windows: Windows) -> Matrices:
        return np.concatenate(
            [
                shrunken_covariances(
                    one_array({name: self.scale.scaled(chunk, name) for name in chunk})
                )
                for chunk in windows.chunks()
            ]
        )

    @property
    def size(self) -> int:
        """Number of values of the mean, and of weights and intercepts of the regression."""
        last = self.logistic[-1]
        n_channels = len(self.mean)
        return n_channels * (n_channels + 1) // 2 + int(last.coef_.size + last.intercept_.size)


def shrunken_covariances(windows: npt.NDArray[np.float32]) -> Matrices:
    """Return the covariance of the channels of each window, shrunken (Chen et al. 2010, eq. 23).

    Args:
        windows: Shape (N, C, T).

    Returns:
        Positive definite matrices, shape (N, C, C).
    """
    n_channels, n_times = windows.shape[1:]
    x = windows - windows.mean(axis=2, keepdims=True, dtype=np.float64)
    plain = x @ x.transpose(0, 2, 1) / n_times
    plain += FLOOR * np.eye(n_channels)
    mean = np.trace(plain, axis1=1, axis2=2) / n_channels
    square = (plain**2).mean(axis=(1, 2))
    above = square + mean**2
    below = (n_times + 1) * (square - mean**2 / n_channels)
    share = np.where(below > 0, np.minimum(above / np.where(below > 0, below, 1), 1), 1)
    share = share[:, None, None]
    return np.asarray((1 - share) * plain + share * mean[:, None, None] * np.eye(n_channels))


def geometric_mean(matrices: Matrices) -> Matrices:
    """Return the matrix with the least sum of squared affine-invariant distances, shape (C, C).

    Raises:
        ValueError: It is not found in the number of steps.
    """
    mean = matrices.mean(axis=0)
    for _ in range(STEPS):
        root, inverse = _of_values(mean, np.sqrt), _of_values(mean, lambda v: 1 / np.sqrt(v))
        step = _of_values(inverse @ matrices @ inverse, np.log).mean(axis=0)
        mean = root @ _of_values(step, np.exp) @ root
        mean = (mean + mean.T) / 2
        if np.linalg.norm(step) < CLOSE * len(mean):
            return mean
    raise ValueError(f"expected covariances with a mean, found none in {STEPS} steps")


def tangent_vectors(matrices: Matrices, mean: Matrices) -> npt.NDArray[np.float64]:
    """Return matrices as vectors in the tangent space at a mean, shape (N, C (C + 1) / 2).

    The length of a vector is the distance of its matrix from the mean.
    """
    inverse = _of_values(mean, lambda values: 1 / np.sqrt(values))
    logs = _of_values(inverse @ matrices @ inverse, np.log)
    rows, columns = np.triu_indices(len(mean))
    return np.asarray(logs[:, rows, columns] * np.where(rows == columns, 1, np.sqrt(2)))


def _of_values(
    matrices: Matrices, function: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
) -> Matrices:
    """Return symmetric matrices with a function of their eigenvalues."""
    values, vectors = np.linalg.eigh(matrices)
    return np.asarray((vectors * function(values)[..., None, :]) @ vectors.swapaxes(-1, -2))

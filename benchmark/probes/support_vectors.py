"""Support vector machine with a radial basis function, and probabilities fair to people."""

from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

PARTS = 5
"""Largest number of parts that the people are dealt into for the probabilities."""
Array = npt.NDArray[np.float64]


class Machine:
    """Support vector machines on standardised features, one against the rest for each class.

    Two classes need one machine. Its support vectors are kept as arrays, so that its values are
    sums of kernels and need no other library.

    Args:
        C: Weight of what is on the wrong side.
        gamma: Sharpness of the kernel; ``"scale"``: one over the number of features times their
            variance.
    """

    def __init__(self, C: float, gamma: str | float) -> None:
        self.C, self.gamma = C, gamma

    def fit(self, columns: Array, target: npt.NDArray[np.int64]) -> Self:
        """Fit on all windows; columns have shape (N, F)."""
        self.scaler = StandardScaler().fit(columns)
        scaled = self.scaler.transform(columns)
        spread = scaled.shape[1] * scaled.var()
        self.sharpness = float(self.gamma if self.gamma != "scale" else 1 / (spread or 1.0))
        classes = np.unique(target)
        weights, intercepts = [], []
        for positive in classes[1:] if len(classes) == 2 else classes:
            machine = SVC(C=self.C, gamma=self.sharpness, class_weight="balanced")
            machine.fit(scaled, target == positive)
            weight = np.zeros(len(scaled))
            weight[machine.support_] = machine.dual_coef_[0]
            weights.append(weight)
            intercepts.append(machine.intercept_[0])
        together = np.array(weights)
        used = (together != 0).any(axis=0)
        self.vectors, self.weights = scaled[used], together[:, used]
        self.intercepts = np.array(intercepts)
        return self

    def values(self, columns: Array) -> Array:
        """Return the value of each machine, shape (N, 1) for two classes, (N, K) for more."""
        kernel = rbf_kernel(self.scaler.transform(columns), self.vectors, self.sharpness)
        return np.asarray(kernel @ self.weights.T + self.intercepts)


class SupportVectors:
    """Support vector machine whose values a logistic regression maps to probabilities (Platt 1999).

    The regression is fitted on values of machines that did not see the person: people are dealt
    into five parts, and each part gets its values from the others. Values of windows that a machine
    was fitted on, or whose neighbours it was fitted on, would promise too much. Where it cannot be
    done (one person, or a class in one part alone), the regression is fitted on the values of the
    training windows themselves. Both weigh classes equally.

    Args:
        C: Weight of what is on the wrong side.
        gamma: Sharpness of the kernel, or ``"scale"``.

    Attributes:
        classes_: Classes of the training windows, shape (K,).
    """

    classes_: npt.NDArray[np.int64]

    def __init__(self, C: float, gamma: str | float) -> None:
        self.C, self.gamma = C, gamma

    def fit(
        self, columns: Array, target: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
    ) -> Self:
        """Fit the machine and its probabilities.

        Args:
            columns: Features, shape (N, F).
            target: Classes, shape (N,).
            groups: Person of each window, shape (N,).
        """
        self.classes_ = np.unique(target)
        self.machine = Machine(self.C, self.gamma).fit(columns, target)
        values = self.machine.values(columns)
        splits = self._splits(target, groups)
        for train, held_out in splits:
            machine = Machine(self.C, self.gamma).fit(columns[train], target[train])
            values[held_out] = machine.values(columns[held_out])
        self.platt = LogisticRegression(class_weight="balanced").fit(values, target)
        return self

    def predict_proba(self, columns: Array) -> Array:
        """Return the probabilities of each class, shape (N, K)."""
        return np.asarray(self.platt.predict_proba(self.machine.values(columns)))

    def _splits(
        self, target: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Return rows to fit on and rows of other people; none where a class would be lacking."""
        parts = min(PARTS, len(np.unique(groups)))
        if parts < 2:
            return []
        splits = list(GroupKFold(parts).split(target, target, groups))
        every = all(len(np.unique(target[train])) == len(self.classes_) for train, _ in splits)
        return splits if every else []

    @property
    def size(self) -> int:
        """Number of values of the support vectors, their weights and the map to probabilities."""
        machine = self.machine
        learned = (machine.vectors, machine.weights, machine.intercepts)
        return sum(values.size for values in (*learned, self.platt.coef_, self.platt.intercept_))

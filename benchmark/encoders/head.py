"""Head: a logistic regression on embeddings, whose penalty people choose who are trained on."""

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PENALTIES = tuple(10.0**power for power in range(-5, 3))
"""Inverse weights of the squared coefficients that are tried, the strongest penalty first."""
FOLDS = 5
"""Number of inner folds, or as many as there are people."""
ALONE = 1e-2
"""Inverse weight where there is one person alone, who cannot be split."""
Columns = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


class LinearHead:
    """Standardised embeddings and a balanced logistic regression, multinomial for several classes.

    The penalty is chosen by inner folds of the people who are trained on: each person is left out
    once, and that of the best macro F1 over all their windows is taken, of equals the strongest.
    Mean and deviation of an embedding are those of the people who are fitted on, in inner folds
    too.

    Attributes:
        classes_: Classes of the training windows, shape (K,).
        C: Inverse weight that was chosen.
    """

    classes_: Numbers
    C: float

    def fit(self, columns: Columns, target: Numbers, people: Numbers) -> Self:
        """Choose the penalty, and fit on all windows.

        Args:
            columns: Embeddings of the training windows, shape (N, D).
            target: Their classes, shape (N,).
            people: Numbers of the persons whom they are of, shape (N,).
        """
        self.C = self._chosen(columns, target, people)
        self.fitted = _fitted(columns, target, self.C)
        self.classes_ = self.fitted[-1].classes_
        return self

    def predict_proba(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Return the probabilities of each class, shape (N, K)."""
        return np.asarray(self.fitted.predict_proba(columns))

    @property
    def size(self) -> int:
        """Number of coefficients and intercepts."""
        last = self.fitted[-1]
        return int(last.coef_.size + last.intercept_.size)

    def _chosen(self, columns: Columns, target: Numbers, people: Numbers) -> float:
        n_people = len(np.unique(people))
        if n_people < 2:
            return ALONE
        splits = list(GroupKFold(min(FOLDS, n_people)).split(columns, target, people))
        scores = []
        for penalty in PENALTIES:
            said, true = [], []
            for train, held_out in splits:
                if len(np.unique(target[train])) < 2:  # there is nothing to tell apart
                    continue
                fitted = _fitted(columns[train], target[train], penalty)
                said.append(fitted.predict(columns[held_out]))
                true.append(target[held_out])
            if not said:
                return ALONE
            scores.append(f1_score(np.concatenate(true), np.concatenate(said), average="macro"))
        return PENALTIES[int(np.argmax(np.round(scores, 9)))]


def _fitted(columns: Columns, target: Numbers, penalty: float) -> Any:
    last = LogisticRegression(C=penalty, class_weight="balanced", max_iter=500)
    with warnings.catch_warnings():
        # a weak penalty on many columns: it is as far as it comes, and others are tried beside it
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), last).fit(columns.astype(np.float64), target)

"""Predictions of tested windows as columns, and the score units that windows are parts of.

The score units of a subject are told apart by session, trial and number; the probabilities of a
unit are the mean of its windows'. Nothing here knows torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lightning_modules.metrics import Score, confusion

Columns = Mapping[str, npt.NDArray[Any]]
"""Columns of predictions by name, a row a tested window."""
UNIT = ("session", "trial", "unit")
"""Columns that tell the score units of a subject apart."""


@dataclass(frozen=True)
class Units:
    """Score units of one subject, in order of session, trial and number.

    Attributes:
        keys: Session, trial and number of each unit.
        target: Class index, shape (N,).
        probabilities: Probabilities in each epoch that is scored, shape (E, N, K).
    """

    keys: tuple[tuple[object, ...], ...]
    target: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]

    @property
    def digest(self) -> str:
        """Digest of the units and their labels, equal for models that were tested on the same."""
        text = json.dumps([self.keys, self.target.tolist()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def confusion(self) -> list[list[int]]:
        """Counts of units, true class by predicted class."""
        counts: list[list[int]] = confusion(self.probabilities[-1], self.target).tolist()
        return counts

    def score(self, score: Score) -> float:
        """Return a score, averaged over epochs."""
        return float(np.mean([score(epoch, self.target) for epoch in self.probabilities]))


def predictions(columns: Columns, probabilities: npt.NDArray[np.float64]) -> Columns:
    """Return the columns of predictions.

    Args:
        columns: Subject, session, trial, unit, start and label of each window, shape (N,).
        probabilities: Shape (N, K); or of several epochs, (E, N, K), which go to ``of_epochs``, and
            those of the last epoch to ``probabilities``.
    """
    if probabilities.ndim == 3:
        return {**columns, "probabilities": probabilities[-1], "of_epochs": probabilities}
    return {**columns, "probabilities": probabilities}


def score_units(columns: Columns) -> dict[str, Units]:
    """Return the score units of each test subject, in order of subject.

    Args:
        columns: Predictions, as in ``predictions.npz``.
    """
    probabilities = columns.get("of_epochs", columns["probabilities"][None])
    code = np.zeros(probabilities.shape[1], dtype=np.int64)
    for name in ("subject", *UNIT):
        values, rank = np.unique(columns[name], return_inverse=True)
        code = code * len(values) + rank
    _, first, unit = np.unique(code, return_index=True, return_inverse=True)
    size = np.bincount(unit)
    means = np.stack(
        [
            np.stack([np.bincount(unit, column) for column in epoch.T], axis=1) / size[:, None]
            for epoch in probabilities
        ]
    )
    subjects = columns["subject"][first]
    keys = list(zip(*(columns[name][first].tolist() for name in UNIT), strict=True))
    target = columns["label"][first].astype(np.int64)
    starts = [0, *(np.flatnonzero(subjects[1:] != subjects[:-1]) + 1).tolist(), len(subjects)]
    return {
        str(subjects[start]): Units(
            tuple(keys[start:stop]), target[start:stop], means[:, start:stop]
        )
        for start, stop in pairwise(starts)
        if start < stop
    }

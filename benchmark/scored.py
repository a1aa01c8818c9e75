"""Scored results: what follows from the predictions of a run, derived when it is asked for.

The score units of a subject are told apart by session, trial and number; the probabilities of a
unit are the mean of its windows'. Where a run reports the mean over epochs, each epoch is scored by
itself, and the confusion is that of the last.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import PREDICTIONS, Columns, Store, parsed
from lightning_modules.metrics import SCORES, Score, confusion

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


@dataclass(frozen=True)
class Scored(Result):
    """A result with what follows from its predictions; a result that is not done has none of it.

    Args:
        scores: Scores over the score units of each test subject, by subject.
        n_units: Number of score units of each test subject.
        units: Digest of all test units and their labels, by subject; models of one board agree.
        confusion: Counts of units of each test subject, true class by predicted class.
        folder: Folder of its files.
        pooled: Scores over the units of all folds of the same row and seed that test a subject, by
            subject, where the split has several such folds; else empty.
        n_pooled: Number of these units of each subject.
    """

    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    n_units: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    confusion: Mapping[str, list[list[int]]] = field(default_factory=dict)
    folder: Path = Path()
    pooled: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    n_pooled: Mapping[str, int] = field(default_factory=dict)

    @property
    def of_subjects(self) -> Mapping[str, Mapping[str, float]]:
        """Scores of each test subject over all units that its row and seed have of them."""
        return self.pooled or self.scores

    @property
    def id(self) -> str:
        """Id that its folder is named after; runs of schema 1 had other ids than today."""
        return self.folder.name.rpartition("-")[2] or self.run.id

    @property
    def derived(self) -> dict[str, Any]:
        """Plain values of what follows from the predictions."""
        names = ("scores", "n_units", "units", "confusion")
        return {name: dict(getattr(self, name)) for name in names}


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


def together(folds: Sequence[Columns]) -> dict[str, npt.NDArray[Any]]:
    """Return predictions of several folds, each with as many epochs as the longest."""
    of_epochs = [fold.get("of_epochs", fold["probabilities"][None]) for fold in folds]
    longest = max(len(epochs) for epochs in of_epochs)
    last = [np.minimum(np.arange(longest), len(epochs) - 1) for epochs in of_epochs]
    names = ("subject", *UNIT, "start", "label", "probabilities")
    return {
        **{name: np.concatenate([fold[name] for fold in folds]) for name in names},
        "of_epochs": np.concatenate([e[i] for e, i in zip(of_epochs, last, strict=True)], axis=1),
    }


def with_scores(result: Result, columns: Columns | None, folder: Path = Path()) -> Scored:
    """Return a result with all that follows from its predictions.

    Args:
        result: The result.
        columns: Its predictions; None if it is not done.
        folder: Folder of its files.
    """
    units = score_units(columns) if columns is not None else {}
    return scored_result(
        result,
        folder=folder,
        scores={
            subject: {name: group.score(score) for name, score in SCORES.items()}
            for subject, group in units.items()
        },
        **described(units),
    )


def described(units: Mapping[str, Units]) -> dict[str, dict[str, Any]]:
    """Return the values of ``n_units``, ``units`` and ``confusion`` of a scored result."""
    return {
        "n_units": {subject: len(group.target) for subject, group in units.items()},
        "units": {subject: group.digest for subject, group in units.items()},
        "confusion": {subject: group.confusion for subject, group in units.items()},
    }


def scored_result(result: Result, **derived: object) -> Scored:
    """Return a result with values of the fields that only a scored result has."""
    return Scored(**vars(result) | derived)


def scored(store: Store, run: Run) -> Scored | None:
    """Return the result of a run with its scores; None if the run has not happened.

    Raises:
        DamagedError: Its predictions are not those that were committed.
    """
    result, folder = store.result(run), store.folder(run)
    if result is None:
        return None
    if result.status != "done":
        return with_scores(result, None, folder)
    return with_scores(result, parsed(store.read(folder, result, PREDICTIONS), folder), folder)

"""Scored results: what follows from the predictions of a run, derived when it is asked for.

Where a run reports the mean over epochs, each epoch is scored by itself, and the confusion is that
of the last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import PREDICTIONS, Store, parsed
from lightning_modules.metrics import SCORES
from lightning_modules.units import UNIT, Columns, Units, score_units


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

"""Answers of several models to the same score units, whatever windows each of them sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.errors import BenchmarkError
from lightning_modules.units import UNIT, Columns, score_units

NAMED = ("subject", *UNIT, "label")
"""Columns that name a score unit and its class; those of all models must be equal."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities that models give to score units.

    Attributes:
        units: Subject, session, trial, unit, start and label of each unit, shape (N,).
        probabilities: Those of each model, shape (M, N, K).
    """

    units: Columns
    probabilities: npt.NDArray[np.float64]

    def mean(self, weights: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the weighted mean of the models' probabilities, shape (N, K).

        Args:
            weights: Weight of each model; not all of them are 0.
        """
        total = np.zeros(self.probabilities.shape[1:])
        for weight, probabilities in zip(weights, self.probabilities, strict=True):
            total += weight * probabilities
        return total / sum(weights)


def answers_of(predictions: Sequence[Columns]) -> Answers:
    """Return the answers of models to the units that all of them were tested on.

    A model's answer to a unit is the mean over its windows, as boards score it; the start of a unit
    is that of the earliest window that any of them saw.

    Args:
        predictions: Predictions of each model, at least one.

    Raises:
        BenchmarkError: Models that were tested on different units.
    """
    models = [per_unit(columns) for columns in predictions]
    for model in models[1:]:
        if any(not np.array_equal(models[0][name], model[name]) for name in NAMED):
            raise BenchmarkError(
                "expected members of an ensemble to be tested on the same score units, found "
                f"{len(models[0]['label'])} and {len(model['label'])} that are not the same. Run "
                "the models of both again"
            )
    starts = np.min([model["start"] for model in models], axis=0)
    return Answers(
        {**{name: models[0][name] for name in NAMED}, "start": starts},
        np.stack([model["probabilities"] for model in models]),
    )


def per_unit(columns: Columns) -> Columns:
    """Return predictions with a row a score unit, in order of subject, session, trial and number.

    Args:
        columns: Predictions with a row a window.
    """
    units = score_units(columns)
    rows = [(subject, *key) for subject, of in units.items() for key in of.keys]
    named = ("subject", *UNIT)
    windows = zip(*(columns[name].tolist() for name in named), strict=True)
    starts: dict[tuple[object, ...], float] = {}
    for unit, start in zip(windows, columns["start"].tolist(), strict=True):
        starts[unit] = min(start, starts.get(unit, start))
    return {
        **{n: np.array(v) for n, v in zip(named, zip(*rows, strict=True), strict=True)},
        "start": np.array([starts[row] for row in rows]),
        "label": np.concatenate([of.target for of in units.values()]),
        "probabilities": np.concatenate([of.probabilities[-1] for of in units.values()]),
    }

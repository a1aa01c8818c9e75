"""Scores of a run: window probabilities become those of score units, and these scores."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from datamodules.cache import digest
from datamodules.datamodule import EmotionDataModule
from datamodules.windows import WindowIndex
from lightning_modules.metrics import scores


def score_units(
    module: EmotionDataModule, windows: WindowIndex, probabilities: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Scores of each test subject over score units.

    A unit's probabilities are the mean of its windows'.

    Args:
        module: Says who the subjects are.
        windows: The test windows.
        probabilities: Shape (N, K); of several epochs (E, N, K), whose scores are averaged, with
            the confusion of the last.

    Returns:
        ``scores``, ``n_units``, ``units`` and ``confusion`` of a Result.
    """
    if probabilities.ndim == 3:
        epochs = [score_units(module, windows, epoch) for epoch in probabilities]
        mean = {
            subject: {
                name: float(np.mean([epoch["scores"][subject][name] for epoch in epochs]))
                for name in last
            }
            for subject, last in epochs[-1]["scores"].items()
        }
        return {**epochs[-1], "scores": mean}
    keys = np.column_stack([windows.recording, windows.trial, windows.unit])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), probabilities.shape[1]))
    np.add.at(sums, inverse.ravel(), probabilities)
    means = sums / np.bincount(inverse.ravel())[:, None]
    unit = windows.take(first)
    found: dict[str, Any] = {"scores": {}, "n_units": {}, "units": {}, "confusion": {}}
    for subject in np.unique(unit.subject):
        rows = np.flatnonzero(unit.subject == subject)
        name = module.subjects[subject]
        sessions = [module.archive.recordings[row].session for row in unit.recording[rows]]
        listed = np.column_stack([unit.trial, unit.unit, unit.target])[rows].tolist()
        confusion = np.zeros((probabilities.shape[1],) * 2, dtype=int)
        np.add.at(confusion, (unit.target[rows], means[rows].argmax(axis=1)), 1)
        found["scores"][name] = scores(
            torch.from_numpy(means[rows]), torch.from_numpy(unit.target[rows])
        )
        found["n_units"][name] = len(rows)
        found["units"][name] = digest([sessions, listed])
        found["confusion"][name] = confusion.tolist()
    return found

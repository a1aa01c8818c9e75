"""The one definition of every score: a function of probabilities and targets, and a line in SCORES.

Scores are derived from the predictions of a run when boards are written, so a new one needs a
function here and a line in SCORES, and no new run: every board, ``runs.csv`` and every tracker
shows it. Nothing here knows torch.

The predicted class of a unit is that of the highest probability, the first of equals.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]
"""Shape (N, K), rows sum to 1."""
Target = npt.NDArray[np.int64]
"""Class index of each unit, shape (N,)."""
Counts = npt.NDArray[np.int64]
"""Shape (K, K): units by true class (row) and predicted class (column)."""

ECE_BINS = 10
"""Number of equal-width bins of confidence in the expected calibration error."""


def confusion(probabilities: Probabilities, target: Target) -> Counts:
    """Count units by true class and predicted class."""
    n_classes = probabilities.shape[1]
    cells = target * n_classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def macro_f1_of(counts: Counts) -> float:
    """Mean of F1 over the classes that occur among the targets or the predictions.

    A class in neither has no F1 and is left out, so a subject with one class only can reach 1.
    """
    occurs = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * np.diag(counts)[occurs > 0] / occurs[occurs > 0]))


def macro_f1(probabilities: Probabilities, target: Target) -> float:
    """Mean of F1 over the classes that occur, see ``macro_f1_of``."""
    return macro_f1_of(confusion(probabilities, target))


def balanced_accuracy(probabilities: Probabilities, target: Target) -> float:
    """Mean recall over the classes that occur among the targets.

    A prediction that knows nothing of the signal expects 1/K of it, whatever the class mix (where
    all K classes occur); macro F1 has no such constant.
    """
    counts = confusion(probabilities, target)
    size = counts.sum(axis=1)
    return float(np.mean(np.diag(counts)[size > 0] / size[size > 0]))


def mcc(probabilities: Probabilities, target: Target) -> float:
    """Matthews' correlation, in the form for K classes (Gorodkin 2004); 0 where it is 0/0."""
    counts = confusion(probabilities, target)
    true, predicted, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    spread = float(n * n - (true * true).sum()) * float(n * n - (predicted * predicted).sum())
    return float((n * np.trace(counts) - (true * predicted).sum()) / np.sqrt(spread or np.inf))


def accuracy(probabilities: Probabilities, target: Target) -> float:
    """Share of units with the right class."""
    return float(np.mean(probabilities.argmax(axis=1) == target))


def brier(probabilities: Probabilities, target: Target) -> float:
    """Mean squared distance between probabilities and one-hot target; 0 is best, 2 worst."""
    one_hot = np.eye(probabilities.shape[1])[target]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def ece(probabilities: Probabilities, target: Target) -> float:
    """Expected calibration error of the top class, over bins of equal width.

    The distance between confidence and share of hits in each bin, weighted by its size. A bin holds
    its lower edge; the last bin holds a confidence of 1 too.
    """
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.bincount(bins, (probabilities.argmax(axis=1) == target) - confidence)
    return float(np.abs(gaps).sum() / len(target))


Score = Callable[[Probabilities, Target], float]

SCORES: dict[str, Score] = {
    "macro_f1": macro_f1,
    "balanced_accuracy": balanced_accuracy,
    "mcc": mcc,
    "accuracy": accuracy,
    "brier": brier,
    "ece": ece,
}
"""Every score by name, in the order of the boards' columns."""


def scores(probabilities: Probabilities, target: Target) -> dict[str, float]:
    """All scores of one subject, or of any other set of score units."""
    return {name: score(probabilities, target) for name, score in SCORES.items()}

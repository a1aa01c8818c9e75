"""Paired comparisons over subjects: how much, how sure, and whether chance would do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
STEP = 2.0**-20
"""Differences are told apart in steps of this: scores have single precision, and those that
rounding alone sets apart are ties. A power of 2, so that no score lies halfway between two."""


@dataclass(frozen=True)
class Comparison:
    """One model against another on the same subjects.

    Attributes:
        difference: Mean over subjects of the first score minus the second.
        low: End of its Student t interval; NaN for a single subject.
        high: The other end.
        p: Two-sided, of the Wilcoxon signed-rank test; 1 where there is no difference at all.
        won: Subjects on whom the first is better.
        lost: Subjects on whom the second is.
        n: Subjects.
    """

    difference: float
    low: float
    high: float
    p: float
    won: int
    lost: int
    n: int


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its Student t interval over subjects; no interval (NaN) for a single one."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare scores of the same subjects, in the same order.

    Subjects without a difference are left out of the test (Wilcoxon 1945).

    Raises:
        ValueError: Not as many of one as of the other, or a score that is no number.
    """
    one, other = (np.asarray(scores, dtype=float) for scores in (first, second))
    if one.shape != other.shape or not np.isfinite([one, other]).all():
        raise ValueError(f"expected two scores of each subject, found {first} and {second}")
    differences = one - other
    steps = np.rint(differences / STEP)
    mean, low, high = interval(differences.tolist())
    p = signed_rank_p(steps[steps != 0])
    return Comparison(
        mean, low, high, p, int((steps > 0).sum()), int((steps < 0).sum()), len(steps)
    )


def signed_rank_p(differences: npt.NDArray[np.float64]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test, exact for any number of subjects and with ties.

    The chance of every rank sum over all flips of the signs, equally likely each, is built up
    subject by subject.

    Args:
        differences: Shape (n,), none of them 0; 1 is returned for none at all.
    """
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)  # whole where ranks tie
    chances = np.zeros(doubled.sum() + 1)
    chances[0] = 1.0
    for rank in doubled:
        chances = (chances + np.roll(chances, rank)) / 2
    found = doubled[differences > 0].sum()
    return float(min(1.0, 2 * min(chances[: found + 1].sum(), chances[found:].sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of one family of tests, corrected (Holm 1979)."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values, dtype=float)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected.tolist()

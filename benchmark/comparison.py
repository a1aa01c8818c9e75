"""Paired comparisons over subjects: how much, how sure, and whether chance would do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 99_999
"""Sign flips drawn where all of them would be more: beyond 16 subjects."""
TIE = 1e-9
"""Differences up to this are none: scores that rounding alone sets apart."""


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

    The p-value is that of all flips of the signs of the differences, exact with ties too; beyond
    16 subjects of RESAMPLES flips at random, with a fixed seed. Subjects without a difference are
    left out of the test (Wilcoxon 1945).
    """
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    differences[np.abs(differences) <= TIE] = 0.0
    mean, low, high = interval(differences.tolist())
    p = 1.0
    if np.count_nonzero(differences) > 1:  # of one alone, either sign is as likely: 1
        flips = stats.PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0))
        p = float(stats.wilcoxon(differences[differences != 0], method=flips).pvalue)
    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(mean, low, high, p, won, lost, len(differences))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of one family of tests, corrected (Holm 1979)."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values, dtype=float)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected.tolist()

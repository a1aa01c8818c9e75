"""Paired comparisons over subjects: how much, how sure, and whether chance would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

CONFIDENCE = 0.95
POWER = 0.8
"""Chance of finding a difference of the size that the head of a board calls detectable."""
STEP = 2.0**-20
"""Differences are told apart in steps of this, so that those that rounding alone sets apart are
ties. A power of 2, so that no score lies halfway between two."""


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
    """Return mean and Student t interval over subjects; no interval (NaN) for a single one."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, np.nan, np.nan
    half = float(_critical(n) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


@cache
def _critical(n: int) -> float:
    """Return Student's t that bounds CONFIDENCE of its distribution, of n values."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))


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
    """Return the two-sided p of the Wilcoxon signed-rank test, exact for any size and with ties.

    The chance of every rank sum over all flips of the signs, equally likely each, is built up
    subject by subject.

    Args:
        differences: Shape (n,), none of them 0; 1 is returned for none at all.
    """
    doubled = np.rint(2 * _ranks(np.abs(differences))).astype(int)  # whole where ranks tie
    total, positive = int(doubled.sum()), int(doubled[differences > 0].sum())
    tail = min(
        positive, total - positive
    )  # sums mirror each other: larger ones need not be built up
    chances = np.zeros(tail + 1)
    chances[0], reach = 1.0, 0
    for rank in np.sort(doubled):
        half = chances[: reach + 1] / 2
        chances[: len(half)] = half
        reach = min(reach + int(rank), tail)
        chances[rank : reach + 1] += half[: max(reach + 1 - int(rank), 0)]
    return float(min(1.0, 2 * chances.sum()))


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ranks from 1, equal values sharing their mean; ten times as fast as scipy's."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of one family of tests, corrected (Holm 1979)."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values, dtype=float)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected.tolist()


def effects(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return two sizes of the difference between scores of the same subjects, in the same order.

    Returns:
        Median difference, and the matched-pairs rank-biserial correlation (Kerby 2014): rank sum of
        the differences in favour of the first less that of the others, as a share of both. It is 1
        where the first is better on every subject that differs, 0 where there is no difference.
    """
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    steps = np.rint(differences / STEP)
    steps = steps[steps != 0]
    ranks = _ranks(np.abs(steps))
    correlation = float((np.sign(steps) * ranks).sum() / ranks.sum()) if len(steps) else 0.0
    return float(np.median(differences)), correlation


def tie_groups(scores: npt.NDArray[np.float64]) -> list[int]:
    """Return the group number of each row; rows of a group cannot be told from its first.

    The first row opens group 1. Every later row that has no group yet and whose paired difference
    to it has a p above 1 - CONFIDENCE joins; the first row that is left opens the next group, until
    none is left. So a row of a later group differs from the first of every earlier one, two rows
    of one group may still differ from each other, and a row may stand below one of a later group.

    P-values are corrected (Holm) over all pairs of rows, not only over those with a first: who is
    first was chosen by the scores that are tested. Among rows that do not differ, none is set apart
    in at least CONFIDENCE of all boards.

    Args:
        scores: Shape (rows, subjects), best row first.
    """
    pairs = list(combinations(range(len(scores)), 2))
    corrected = holm([compare(scores[i].tolist(), scores[j].tolist()).p for i, j in pairs])
    p = dict(zip(pairs, corrected, strict=True))
    groups: dict[int, int] = {}
    while left := [row for row in range(len(scores)) if row not in groups]:
        number = max(groups.values(), default=0) + 1
        tied = [row for row in left[1:] if p[left[0], row] > 1 - CONFIDENCE]
        groups |= dict.fromkeys([left[0], *tied], number)
    return [groups[row] for row in range(len(scores))]


def detectable(spread: float, n: int) -> float:
    """Return the smallest mean paired difference that a t-test over subjects finds with POWER.

    Two-sided, at 1 - CONFIDENCE, from the noncentral t distribution; a little less than the
    signed-rank test needs, and than any test needs after a correction. Infinite where so few
    subjects are tested that the signed-rank test cannot reject whatever they score.

    Args:
        spread: Standard deviation of the paired differences over subjects.
        n: Subjects.
    """
    if 2.0 ** (1 - n) > 1 - CONFIDENCE:
        return np.inf
    critical = _critical(n)

    def lacking(shift: float) -> float:  # the far tail is below a millionth here
        return float(stats.nct.sf(critical, n - 1, shift)) - POWER

    return spread * float(optimize.brentq(lacking, 0.0, 2 * critical + 2)) / float(np.sqrt(n))


def critical_difference(n_models: int, n_datasets: int) -> float:
    """Return the least difference of average ranks that counts (Nemenyi test; Demšar 2006)."""
    q = stats.studentized_range.ppf(CONFIDENCE, n_models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_models * (n_models + 1) / (6 * n_datasets)))

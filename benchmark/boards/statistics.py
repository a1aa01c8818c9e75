"""Statistics over subjects: intervals, paired comparisons, and decisions over all rows of a board.

The mean over subjects is ranked, and the mean is tested: a comparison of two rows asks how often a
difference as large would come about if, for each subject, it were chance which row got which score.
So the scores of the two rows are exchanged subject by subject, which flips the sign of the
subject's difference (a sign-flip test; Fisher 1935). All rows of a board share the same exchanges,
and the largest difference of all pairs is what a pair has to pass (step-down of Westfall and Young
1993), which corrects for the number of pairs and uses that rows hang together.

Differences are not divided by their standard errors: with skewed scores that is too liberal
(``python -m tests.benchmarks.decisions``).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
LEAST_SUBJECTS = 8
"""Number of subjects from which on there is an interval: of fewer, Student's t interval of scores
with some people on whom a model fails holds far less often than it says."""
STEP = 2.0**-20
"""Differences are told apart in steps of this, so that those that rounding alone sets apart are
ties. A power of 2, so that sums of them are exact."""
LEAST_P = 0.001
"""Smaller p-values are shown in texts as smaller than this."""
EXACT, FLIPS = 13, 100_000
"""Number of subjects up to which every exchange is tried, and the number of random ones beyond."""
BOOTSTRAPS = 2000
"""Number of times that subjects are drawn anew for a bootstrap interval."""
CHUNK = 2**19
"""Number of differences that are looked at at once while exchanges are tried: as many as stay in a
processor's cache."""
WIDE = 400
"""Number of columns from which on a loop over rows is sooner than numpy's ``accumulate``."""
FEW = 2000
"""Number of subjects below which sums of STEP fit in 32 bits."""

Scores = npt.NDArray[np.float64]
Pooled = Callable[[Scores], Scores]
"""From sums over subjects (..., M) to a score (...)."""
_Measure = Callable[[slice, npt.NDArray[np.intp], npt.NDArray[np.intp]], npt.NDArray[Any]]
"""From some of the exchanges and the rows of pairs to absolute differences (pairs, exchanges)."""


def p_text(p: float) -> str:
    """Return a p-value for a table of texts: very small ones by their bound, none for NaN."""
    if np.isnan(p):
        return "-"
    return f"< {LEAST_P:g}" if p < LEAST_P else f"{p:.3f}"


@dataclass(frozen=True)
class Comparison:
    """One model against another on the same subjects.

    Attributes:
        difference: Mean over subjects of the first score minus the second.
        low: End of its Student t interval; NaN for fewer than LEAST_SUBJECTS subjects.
        high: The other end.
        p: Two-sided, of the sign-flip test of the mean; 1 where there is no difference at all.
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


def interval(values: Sequence[float] | Scores) -> tuple[float, float, float]:
    """Return mean and Student t interval over subjects.

    There is no interval (NaN) for fewer than LEAST_SUBJECTS subjects.
    """
    mean, low, high = _intervals(np.asarray(values, dtype=float)[None])
    return float(mean[0]), float(low[0]), float(high[0])


def _intervals(values: Scores) -> tuple[Scores, Scores, Scores]:
    """Return means and their intervals, as ``interval`` does, of values of shape (rows, n)."""
    means, n = values.mean(axis=1), values.shape[1]
    if n < LEAST_SUBJECTS:
        return means, np.full(len(means), np.nan), np.full(len(means), np.nan)
    half = _critical(n) * values.std(axis=1, ddof=1) / np.sqrt(n)
    return means, means - half, means + half


@cache
def _critical(n: int) -> float:
    """Return Student's t that bounds CONFIDENCE of its distribution, of n values."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))


def bootstrap_interval(sums: Scores, pooled: Pooled) -> tuple[float, float]:
    """Return the percentile interval of a score of sums over subjects, by drawing subjects anew.

    Args:
        sums: Numbers of each subject, shape (subjects, ...).
        pooled: Function that makes the score of their sums.

    Returns:
        Both ends; NaN for fewer than LEAST_SUBJECTS subjects.
    """
    n = len(sums)
    if n < LEAST_SUBJECTS:
        return np.nan, np.nan
    scores = pooled(np.tensordot(_bootstraps(n), sums, axes=1))
    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _bootstraps(n: int) -> Scores:
    """Return how often each of n subjects is drawn, shape (BOOTSTRAPS, n)."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), BOOTSTRAPS).astype(float)


def resampled_interval(means: Sequence[float], test_share: float) -> tuple[float, float]:
    """Return the interval of the corrected resampled t of a mean over folds.

    Folds of several partitions of the same people share training people, so that the variance of
    their means is too small; it is enlarged by the ratio of tested to trained people.

    Args:
        means: Score of every fold of every partition.
        test_share: Number of tested people by number of training people.

    Returns:
        Both ends; NaN for a single fold.

    References:
        Nadeau and Bengio: Inference for the generalization error. Machine Learning 52, 2003.
    """
    count = len(means)
    if count < 2:
        return np.nan, np.nan
    mean, variance = float(np.mean(means)), float(np.var(means, ddof=1))
    half = _critical(count) * np.sqrt((1 / count + test_share) * variance)
    return mean - half, mean + half


def compare(first: Sequence[float], second: Sequence[float], p: float | None = None) -> Comparison:
    """Compare scores of the same subjects, in the same order.

    Args:
        first: Scores.
        second: Scores of the other.
        p: The p-value, where it was computed before.

    Raises:
        ValueError: Not as many of one as of the other, or a score that is no number.
    """
    one, other = (np.asarray(scores, dtype=float) for scores in (first, second))
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError(f"expected two scores of each subject, found {first} and {second}")
    p = sign_flip_p(np.rint((one - other) / STEP)) if p is None else p
    return comparisons((one - other)[None], [p])[0]


def comparisons(differences: Scores, p: Iterable[float]) -> list[Comparison]:
    """Return the comparison of each of many pairs.

    Args:
        differences: Scores of the first less those of the second, shape (pairs, subjects).
        p: P-value of each pair.

    Raises:
        ValueError: A difference that is no number.
    """
    if not np.isfinite(differences).all():
        raise ValueError(f"expected a score of each subject in every row, found {differences}")
    steps = np.rint(differences / STEP)
    columns = (*_intervals(differences), p, (steps > 0).sum(axis=1), (steps < 0).sum(axis=1))
    n = differences.shape[1]
    return [
        Comparison(float(mean), float(low), float(high), float(value), int(won), int(lost), n)
        for mean, low, high, value, won, lost in zip(*columns, strict=True)
    ]


def sign_flip_p(differences: Scores) -> float:
    """Return the two-sided p-value of the mean of some differences, shape (n,), in steps of STEP.

    It is ``step_down`` of two rows, sooner.
    """
    sums = np.abs(all_exchanges(len(differences)) @ differences)
    return float((sums >= sums[0]).mean())


def pairs_of(rows: int) -> list[tuple[int, int]]:
    """Return all pairs of rows, in the order of the p-values of ``step_down``."""
    return list(combinations(range(rows), 2))


@dataclass(frozen=True)
class PairValues:
    """P-values of all pairs of rows, in the order of ``pairs_of``.

    Attributes:
        alone: Of each pair as if it were the only one, shape (pairs,).
        corrected: Over all pairs, shape (pairs,).
    """

    alone: Scores
    corrected: Scores


def step_down(
    scores: Scores, pooled: Pooled | None = None, exchanges: Scores | None = None
) -> PairValues:
    """Return the p-value of every pair of rows, alone and corrected over all pairs.

    Pairs are taken in the order of their differences, the largest first. The corrected p-value of a
    pair is the share of exchanges in which any of the pairs from it on has a difference as large,
    and at least that of the pair before.

    Args:
        scores: Shape (rows, subjects): scores whose mean is compared; or (rows, subjects, M) for
            numbers that are summed over subjects before a score is made of them.
        pooled: Function that makes the score of sums; None: the mean.
        exchanges: Shape (E, subjects), 1 or -1; None: all of them up to EXACT subjects, else FLIPS
            at random, the same ones in every call.
    """
    pairs = pairs_of(len(scores))
    if not pairs:
        return PairValues(np.empty(0), np.empty(0))
    first, second = np.array(pairs).T
    every = all_exchanges(scores.shape[1]) if exchanges is None else exchanges
    measure = _means(scores, every) if pooled is None else _pooled(scores, pooled, every)
    width = len(pairs) * (scores.shape[2] if scores.ndim > 2 else 1)
    size = max(1, CHUNK // width)

    def in_order(order: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[Any]]:
        for start in range(0, len(every), size):
            yield measure(slice(start, start + size), first[order], second[order])

    return values_of(measure(slice(1), first, second)[:, 0], in_order)


def values_of(
    observed: npt.NDArray[Any],
    exchanged: Callable[[npt.NDArray[np.intp]], Iterable[npt.NDArray[Any]]],
) -> PairValues:
    """Return the p-values of absolute differences, see ``step_down``.

    Args:
        observed: Difference of each pair, shape (pairs,).
        exchanged: Function that yields differences under exchanges, each of shape (pairs, some of
            the exchanges), with the pairs in an order that it is given; they are overwritten.
    """
    order = np.argsort(observed, kind="stable")
    exact = np.issubdtype(observed.dtype, np.integer)
    limit = (observed if exact else observed - STEP / 2)[order, None]
    alone, largest, total = np.zeros(len(order)), np.zeros(len(order)), 0
    for differences in exchanged(order):
        alone[order] += np.count_nonzero(differences >= limit, axis=1)
        _so_far_largest(differences)
        largest[order] += np.count_nonzero(differences >= limit, axis=1)
        total += differences.shape[1]
    corrected = np.empty(len(order))
    corrected[order[::-1]] = np.maximum.accumulate(largest[order[::-1]])
    return PairValues(alone / total, corrected / total)


def _so_far_largest(differences: npt.NDArray[Any]) -> None:
    """Replace each row by the largest of it and all before it, column by column."""
    if differences.shape[1] < WIDE:
        np.maximum.accumulate(differences, axis=0, out=differences)
        return
    for place in range(1, len(differences)):  # numpy's accumulate goes a column at a time
        np.maximum(differences[place], differences[place - 1], out=differences[place])


def _means(scores: Scores, exchanges: Scores) -> _Measure:
    """Return the measure of differences of means, as sums in whole steps: ties are ties."""
    kind = np.int32 if scores.shape[1] < FEW else np.int64
    sums = (np.rint(scores / STEP) @ exchanges.T).astype(kind)  # (rows, E)

    def measure(
        some: slice, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]
    ) -> npt.NDArray[Any]:
        differences = np.take(sums[:, some], first, axis=0)
        differences -= np.take(sums[:, some], second, axis=0)
        return np.asarray(np.abs(differences, out=differences))

    return measure


def _pooled(scores: Scores, pooled: Pooled, exchanges: Scores) -> _Measure:
    """Return the measure of differences of a score that is made of sums over subjects."""
    sums = scores.sum(axis=1)  # (rows, M)

    def measure(
        some: slice, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]
    ) -> npt.NDArray[Any]:
        flipped = np.einsum("es,rsm->rem", exchanges[some], scores)
        middle = (sums[first] + sums[second])[:, None] / 2
        half = (flipped[first] - flipped[second]) / 2
        return np.asarray(np.abs(pooled(middle + half) - pooled(middle - half)))

    return measure


@lru_cache(maxsize=4)
def all_exchanges(subjects: int) -> Scores:
    """Return all exchanges of some subjects, or many at random; the first changes nothing.

    An exchange and its opposite give the same absolute differences, so that half of them are all.

    Returns:
        Shape (E, subjects), 1 or -1.
    """
    if subjects <= EXACT:
        numbers = np.arange(2 ** max(subjects - 1, 0))
        bits = (numbers[:, None] >> np.arange(subjects)) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
    return random_exchanges(np.random.default_rng(0), FLIPS, subjects)


def random_exchanges(rng: np.random.Generator, count: int, subjects: int) -> Scores:
    """Return exchanges at random, of which the first changes nothing: p is never 0."""
    signs = np.asarray(1 - 2 * rng.integers(0, 2, (count, subjects)), dtype=np.float64)
    signs[0] = 1.0
    return signs


def rank_sets(means: Sequence[float], p: Scores) -> list[tuple[int, int]]:
    """Return the first and the last rank that each row may have.

    The first is 1 more than the number of rows that are better beyond doubt, the last is the number
    of rows less those that are worse beyond doubt. All of them hold together with CONFIDENCE.

    Args:
        means: Score of each row.
        p: Corrected p-values of all pairs, as from ``step_down``.
    """
    better, worse = [0] * len(means), [0] * len(means)
    for (one, other), value in zip(pairs_of(len(means)), p.tolist(), strict=True):
        if value <= 1 - CONFIDENCE:
            winner, loser = (one, other) if means[one] > means[other] else (other, one)
            worse[winner] += 1
            better[loser] += 1
    return [(1 + b, len(means) - w) for b, w in zip(better, worse, strict=True)]


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
    medians, correlations = effects_of(differences[None])
    return float(medians[0]), float(correlations[0])


def effects_of(differences: Scores) -> tuple[Scores, Scores]:
    """Return both sizes of many differences, as ``effects`` does.

    Args:
        differences: Shape (pairs, subjects).

    Returns:
        Shape (pairs,) each.
    """
    steps = np.rint(differences / STEP)
    ties = (steps == 0).sum(axis=1, keepdims=True)  # they have the lowest ranks, and count for none
    ranks = np.where(steps == 0, 0.0, stats.rankdata(np.abs(steps), axis=1) - ties)
    total = ranks.sum(axis=1)
    correlations = (np.sign(steps) * ranks).sum(axis=1) / np.where(total, total, 1.0)
    return np.median(differences, axis=1), correlations


def critical_difference(n_models: int, n_datasets: int) -> float:
    """Return the least difference of average ranks that counts (Nemenyi test; Demšar 2006)."""
    q = stats.studentized_range.ppf(CONFIDENCE, n_models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_models * (n_models + 1) / (6 * n_datasets)))

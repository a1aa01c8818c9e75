"""Decisions of a board by simulation: how often they are wrong, and how often they find something.

    python -m tests.benchmarks.decisions [--draws 2000]

Boards are drawn at random, with a standard deviation of paired differences of 0.13. *Error* is the
share of boards of equally good rows on which any two are told apart: with normal scores, and with
scores that are equal in the mean, but skewed to the one side in half of the rows and to the other
in the rest. *Power* is the share of the pairs with the better row that are told apart where one row
is better by as much as a single paired t-test finds in 80 %.

Rules: *exchanges*, those of the boards (``statistics.step_down``); *studentised*, the same with
each difference divided by its standard error; *Holm*, the exact signed-rank test of each pair,
corrected for all pairs (the former rule, which found less).

With ``--draws 1000``, so that an error of 0.05 has a standard error of 0.007::

    n, rows   rule          error, normal   error, skewed   power
    15,  6    exchanges              0.049           0.038           0.547
    15,  6    studentised            0.051           0.128           0.400
    15,  6    Holm                   0.025           0.066           0.339
    15, 12    exchanges              0.052           0.025           0.375
    15, 12    studentised            0.058           0.190           0.194
    15, 12    Holm                   0.032           0.106           0.125
    34,  6    exchanges              0.048           0.046           0.496
    34,  6    studentised            0.052           0.095           0.437
    34,  6    Holm                   0.035           0.100           0.396
    34, 12    exchanges              0.056           0.042           0.352
    34, 12    studentised            0.050           0.131           0.261
    34, 12    Holm                   0.030           0.141           0.207
"""

import argparse
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from benchmark.boards.statistics import (
    CONFIDENCE,
    holm,
    pairs_of,
    random_exchanges,
    step_down,
    values_of,
)

SPREAD = 0.13
"""Standard deviation of paired differences, about that of real boards."""
EXCHANGES = 2000
"""Number of exchanges; fewer than on a board, as there are many boards here."""
SIZES = ((15, 6), (15, 12), (34, 6), (34, 12))
"""Subjects and rows."""

Values = npt.NDArray[np.float64]
Rule = Callable[[Values, np.random.Generator], Values]
"""From scores (rows, subjects) to corrected p-values of all pairs."""


def exchanged(scores: Values, rng: np.random.Generator) -> Values:
    """Return the p-values of the boards."""
    signs = random_exchanges(rng, EXCHANGES, scores.shape[1])
    return step_down(scores, exchanges=signs).corrected


def studentised(scores: Values, rng: np.random.Generator) -> Values:
    """Return the p-values where each difference is divided by its standard error."""
    first, second = np.array(pairs_of(len(scores))).T
    differences = scores[first] - scores[second]
    n = scores.shape[1]
    means = differences @ random_exchanges(rng, EXCHANGES, n).T / n
    variance = (differences**2).mean(axis=1, keepdims=True) - means**2
    t = np.abs(means) / np.sqrt(np.maximum(variance, 1e-12) / (n - 1))
    return values_of(t[:, 0], lambda order: [t[order]]).corrected


def signed_ranks(scores: Values, rng: np.random.Generator) -> Values:
    """Return the p-values of exact signed-rank tests, corrected by Holm."""
    first, second = np.array(pairs_of(len(scores))).T
    differences = scores[first] - scores[second]
    ranks = np.apply_along_axis(stats.rankdata, 1, np.abs(differences))
    sums = np.rint((ranks * (differences > 0)).sum(axis=1)).astype(int)
    tails = _tails(scores.shape[1])
    return np.array(holm(np.minimum(1, 2 * np.minimum(tails[sums], tails[::-1][sums])).tolist()))


@lru_cache
def _tails(n: int) -> Values:
    """Return the chance of a rank sum of at most 0, 1, ... n (n + 1) / 2."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return np.asarray(np.cumsum(chances))


RULES: dict[str, Rule] = {
    "exchanges": exchanged,
    "studentised": studentised,
    "Holm": signed_ranks,
}


def normal(rng: np.random.Generator, rows: int, n: int) -> Values:
    """Return scores of equally good rows, normally distributed around each subject's own level."""
    return rng.normal(0, SPREAD / np.sqrt(2), (rows, n)) + rng.normal(0, SPREAD, n)


def skewed(rng: np.random.Generator, rows: int, n: int) -> Values:
    """Return scores of equal mean, every second row skewed to the other side."""
    noise = (rng.exponential(1, (rows, n)) - 1) * SPREAD / np.sqrt(2)
    noise[::2] *= -1
    return np.asarray(noise + rng.normal(0, SPREAD, n))


def detectable(n: int) -> float:
    """Return the difference that a single paired t-test finds in 80 %."""
    critical = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    shift = optimize.brentq(lambda s: float(stats.nct.sf(critical, n - 1, s)) - 0.8, 0, 9)
    return SPREAD * float(shift) / np.sqrt(n)


def errors(
    rule: Rule,
    draw: Callable[[np.random.Generator, int, int], Values],
    n: int,
    rows: int,
    draws: int,
) -> float:
    """Return the share of boards of equally good rows on which any two are told apart."""
    rng = np.random.default_rng(0)
    wrong = [rule(draw(rng, rows, n), rng).min() <= 1 - CONFIDENCE for _ in range(draws)]
    return float(np.mean(wrong))


def power(rule: Rule, n: int, rows: int, draws: int) -> float:
    """Return the share of the pairs with the one better row that are told apart."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(draws):
        scores = normal(rng, rows, n)
        scores[0] += detectable(n)
        shares.append((rule(scores, rng)[: rows - 1] <= 1 - CONFIDENCE).mean())
    return float(np.mean(shares))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="boards of each cell")
    draws = parser.parse_args().draws
    print("n, rows   rule          error, normal   error, skewed   power")
    for n, rows in SIZES:
        for name, rule in RULES.items():
            cells = [errors(rule, draw, n, rows, draws) for draw in (normal, skewed)]
            cells.append(power(rule, n, rows, draws))
            shown = "".join(f"{cell:16.3f}" for cell in cells)
            print(f"{n:2}, {rows:2}    {name:12}{shown}", flush=True)


if __name__ == "__main__":
    main()

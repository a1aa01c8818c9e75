"""Power of a board: the smallest difference that its own decisions would find, by simulation."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmark.boards.cohort import Cohort
from benchmark.boards.decisions import KEPT
from benchmark.boards.statistics import (
    CONFIDENCE,
    Scores,
    pairs_of,
    random_exchanges,
    values_of,
)

POWER = 0.8
"""Share of experiments in which a difference of the size that the head of a board states is
found."""
EXPERIMENTS, MEETINGS, EXCHANGES = 300, 1200, 200
"""Largest number of simulated experiments; number of others that the better row meets in all of
them together, so that fewer experiments do where rows are many; exchanges that decide each."""
HALVINGS = 8
"""Number of times that the range of the difference is halved; the last step is 1/256."""
MARGIN = 1e-6
"""Sums of shares that differ by less are not told apart, as they may be rounded."""
Places = npt.NDArray[np.intp]
LEAST = 6
"""Number of subjects from which on any difference can be found: of fewer, more than 5 % of all
exchanges are as extreme as any outcome."""


@lru_cache(maxsize=KEPT)
def smallest_difference(cohort: Cohort) -> float:
    """Return the smallest difference of mean macro F1 that the decisions of a board find.

    In each experiment people are drawn from the board with replacement, with the scores that they
    have in all rows, so that rows hang together as they do here; all rows are made equal in the
    mean, and one is made better. The difference is found as far as the better row is told apart
    from the others, by ``statistics.step_down`` with fewer exchanges. It is stated for POWER of the
    pairs.

    Returns:
        Infinity if no difference up to 1 is found; NaN without a pair of rows, or where rows are
        ranked by the units of all people together.
    """
    if len(cohort.ranked) < 2 or cohort.one_class:
        return np.nan
    if len(cohort.tested) < LEAST:
        return np.inf
    scores = np.array([list(row.macro_f1.values()) for row in cohort.ranked])
    centred = scores - scores.mean(axis=1, keepdims=True)
    return cohort.computed.values("smallest difference", centred, lambda: [found_by(centred)])[0]


def found_by(scores: Scores, experiments: int | None = None) -> float:
    """Return the smallest difference that is found where rows have scores of equal mean.

    Args:
        scores: Shape (rows, subjects), mean 0 in each row.
        experiments: Number of simulated experiments; None: EXPERIMENTS, or fewer of many rows.
    """
    rng = np.random.default_rng(0)
    if experiments is None:
        experiments = min(EXPERIMENTS, -(-MEETINGS // (len(scores) - 1)))
    drawn = [_experiment(rng, scores) for _ in range(experiments)]
    pairs = np.array(pairs_of(len(scores))).T

    def found(difference: float) -> bool:
        """Return whether the mean share is POWER; what is left when that is settled is left out."""
        shares: list[float] = []
        for one in drawn:
            shares.append(_share(*one, difference, *pairs))
            least, needed = sum(shares), POWER * len(drawn)
            if least > needed + MARGIN or least + len(drawn) - len(shares) < needed - MARGIN:
                return least > needed
        return bool(np.mean(shares) >= POWER)

    if not found(1.0):
        return np.inf
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def _experiment(rng: np.random.Generator, scores: Scores) -> tuple[Scores, Scores]:
    """Return sums of one experiment under each exchange, and those of a difference of 1.

    Returns:
        Shapes (rows, E) and (E,); the better row is the first.
    """
    rows, n = scores.shape
    sample = scores[rng.permutation(rows)][:, rng.integers(0, n, n)]
    signs = random_exchanges(rng, EXCHANGES, n)
    sums = (sample @ signs.T / n).astype(np.float32)  # half as much to go through
    return sums, signs.mean(axis=1).astype(np.float32)


def _share(sums: Scores, shift: Scores, difference: float, first: Places, second: Places) -> float:
    """Return the share of the other rows that the first is told apart from, and better than.

    Args:
        sums: Sums of one experiment under each exchange.
        shift: Those of a difference of 1.
        difference: Difference between the first row and the others.
        first: Number of one row of each pair.
        second: Number of the other.
    """
    moved = sums.copy()
    moved[0] += np.float32(difference) * shift
    corrected = values_of(
        np.abs(moved[first, 0] - moved[second, 0]),
        lambda order: [np.abs(moved[first[order]] - moved[second[order]])],
    ).corrected
    better = moved[0, 0] > moved[second[: len(sums) - 1], 0]
    return float(np.mean((corrected[: len(sums) - 1] <= 1 - CONFIDENCE) & better))

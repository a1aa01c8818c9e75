"""Decisions of a board: which of its rows are told apart, and which ranks each may have."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.boards.cohort import SIMPLE, Cohort, Row, pooled_macro_f1
from benchmark.boards.statistics import (
    CONFIDENCE,
    PairValues,
    Scores,
    compare,
    pairs_of,
    rank_sets,
    step_down,
)

KEPT = 64
"""Number of boards whose decisions a process keeps."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """Comparisons of all pairs of the rows of a board that are ranked.

    Attributes:
        rows: Rows that are ranked, in the order of the board.
        values: P-values of all pairs.
        ranks: First and last rank that each row may have.
    """

    rows: tuple[Row, ...]
    values: PairValues
    ranks: tuple[tuple[int, int], ...]

    def p(self, one: Row, other: Row) -> float:
        """Return the corrected p-value of two ranked rows."""
        first, second = sorted((self.rows.index(one), self.rows.index(other)))
        return float(self.values.corrected[pairs_of(len(self.rows)).index((first, second))])


@lru_cache(maxsize=KEPT)
def decide(cohort: Cohort) -> Decisions:
    """Return the decisions of a board."""
    rows = tuple(cohort.ranked)
    if not rows:
        return Decisions((), PairValues(np.empty(0), np.empty(0)), ())
    scores, pooled = numbers(cohort, rows)

    def compute() -> list[float]:
        of_pairs = step_down(scores, pooled)
        return [*of_pairs.alone, *of_pairs.corrected]

    both = np.array(cohort.computed.values(f"pairs {pooled}", scores, compute))
    values = PairValues(*both.reshape(2, -1))
    ranks = rank_sets([cohort.score(row) for row in rows], values.corrected)
    return Decisions(rows, values, tuple(ranks))


@dataclass(frozen=True)
class PooledF1:
    """Macro F1 of sums over subjects.

    Args:
        shape: Shape of the numbers of a subject: seeds, 2, K.
    """

    shape: tuple[int, ...]

    def __call__(self, sums: Scores) -> Scores:
        """Return the scores of sums, shape (..., M)."""
        return pooled_macro_f1(sums.reshape(*sums.shape[:-1], *self.shape))


def numbers(cohort: Cohort, rows: tuple[Row, ...]) -> tuple[Scores, PooledF1 | None]:
    """Return what rows are compared by: scores of subjects, or sums and their score.

    Returns:
        Shape (rows, subjects) and None, or (rows, subjects, M) and a function.
    """
    if not cohort.one_class:
        return np.array([list(row.macro_f1.values()) for row in rows]), None
    counts = np.stack([row.counts for row in rows])
    return counts.reshape(*counts.shape[:2], -1), PooledF1(counts.shape[2:])


def p_simple(cohort: Cohort, row: Row) -> float:
    """Return the p-value of the claim that a row is better than the simple baselines.

    Both must be beaten, so it is the larger of two corrected p-values.

    Returns:
        NaN for a row that is not ranked, for the baselines themselves, and where one of them is
        not on the board.
    """
    decisions, simple = decide(cohort), cohort.simple
    if len(simple) < len(SIMPLE) or row not in decisions.rows or row.run.model in SIMPLE:
        return np.nan
    return max(decisions.p(row, baseline) for baseline in simple)


def lead_over_simple(cohort: Cohort, row: Row) -> float:
    """Return the smaller lead of a row over the simple baselines, in the score that is ranked.

    Returns:
        NaN for an incomplete row, for the baselines, and where one of them is not on the board.
    """
    simple = cohort.simple
    if len(simple) < len(SIMPLE) or not row.complete or row.run.model in SIMPLE:
        return np.nan
    return min(cohort.score(row) - cohort.score(baseline) for baseline in simple)


def p_of_pair(cohort: Cohort, one: Row, other: Row) -> float:
    """Return the p-value of any two complete rows, as if they were the only ones."""
    scores, pooled = numbers(cohort, (one, other))

    def compute() -> list[float]:
        alone = step_down(scores, pooled).alone if pooled else [compare(*scores.tolist()).p]
        return list(alone)

    return cohort.computed.values(f"pair {pooled}", scores, compute)[0]


def is_better(p: float) -> bool:
    """Return whether a p-value is small enough for a decision."""
    return p <= 1 - CONFIDENCE

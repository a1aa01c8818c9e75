"""Chance: the score of predictions that know nothing, and whether a person's are better."""

from collections.abc import Sequence
from functools import lru_cache
from statistics import median

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmark.boards.cohort import Cohort, Row, pooled_macro_f1, repetition
from benchmark.boards.decisions import KEPT
from benchmark.boards.statistics import CONFIDENCE

DRAWS = 400
"""Number of simulated predictions of each person."""
TABLES = 999
"""Number of random tables that a person's predictions are compared with, for more than two
classes."""


@lru_cache(maxsize=KEPT)
def chance_of(cohort: Cohort) -> dict[str, float]:
    """Return the mean of each score of predictions that know only the class mix of a board.

    For each unit of each tested person a class is drawn by the frequency of the classes on the
    whole board, DRAWS times; scores are averaged over people and draws.

    Returns:
        By name, of the scores of predicted classes; empty if no run is done.
    """
    people = _true_counts(cohort)
    if not people:
        return {}
    rng = np.random.default_rng(0)
    mix = np.sum(people, axis=0) / np.sum(people)
    f1, recall = [], []
    for counts in people:
        drawn = np.stack([rng.multinomial(count, mix, DRAWS) for count in counts], axis=1)
        right = np.diagonal(drawn, axis1=1, axis2=2).astype(float)  # (DRAWS, K)
        f1.append(pooled_macro_f1(np.stack([right, drawn.sum(axis=1) + counts], axis=1)[:, None]))
        recall.append((right[:, counts > 0] / counts[counts > 0]).mean(axis=1))
    return {"macro_f1": float(np.mean(f1)), "balanced_accuracy": float(np.mean(recall))}


def _true_counts(cohort: Cohort) -> list[npt.NDArray[np.int64]]:
    """Return the number of units of each class of every tested person."""
    counts: dict[tuple[str, int], npt.NDArray[np.int64]] = {}
    for result in cohort.done:
        if result.run.protocol.partition(result.run.fold):
            continue
        for subject, matrix in result.confusion.items():
            counts[subject, result.run.fold] = np.asarray(matrix, dtype=np.int64).sum(axis=1)
    people: dict[str, npt.NDArray[np.int64]] = {}
    for (subject, _), of_fold in sorted(counts.items()):
        people[subject] = people[subject] + of_fold if subject in people else of_fold
    return list(people.values())


def subjects_above_chance(row: Row) -> int | None:
    """Return the number of people whose predictions are better than chance; None without any.

    A person counts if the balanced accuracy is higher than in all but 5 % of the tables in which
    the same predictions are dealt to the units at random (of two classes: Fisher's exact test,
    one-sided). Of several seeds the median p-value counts. Of people who know nothing, up to 5 %
    count; units of a person that follow each other are taken as independent.
    """
    if not row.scores:
        return None
    tables: dict[str, dict[tuple[int, int], npt.NDArray[np.int64]]]
    tables = {subject: {} for subject in row.scores}
    for result in row.done:
        for subject, matrix in result.confusion.items():
            of_seeds, table = tables[subject], np.asarray(matrix, dtype=np.int64)
            which = repetition(result.run)
            of_seeds[which] = of_seeds.get(which, 0) + table
    return sum(
        median(p_above_chance(table) for table in of_seeds.values()) <= 1 - CONFIDENCE
        for of_seeds in tables.values()
    )


def p_above_chance(table: npt.NDArray[np.int64]) -> float:
    """Return the p-value of a confusion matrix: true class by predicted class."""
    return _p_above_chance(tuple(map(tuple, table.tolist())))


@lru_cache(maxsize=4096)
def _p_above_chance(table: Sequence[Sequence[int]]) -> float:
    counts = np.asarray(table)
    kept = counts.sum(axis=1) > 0
    true, predicted = counts.sum(axis=1)[kept], counts.sum(axis=0)
    if len(true) < 2:
        return 1.0
    if len(counts) == 2:
        return float(stats.hypergeom.sf(counts[1, 1] - 1, true.sum(), true[1], predicted[1]))
    weights = np.where(kept, 1.0, 0.0)
    weights[kept] = 1 / true
    drawn = stats.random_table(true, predicted, seed=0).rvs(size=TABLES)
    right = np.diagonal(drawn[:, :, np.flatnonzero(kept)], axis1=1, axis2=2)
    scores = right @ weights[kept]
    observed = float(np.diag(counts)[kept] @ weights[kept])
    return float((1 + (scores >= observed - 1e-9).sum()) / (1 + TABLES))

"""Precision, recall and F1 of each class, of every row of the boards.

All three are computed a person at a time, seeds (and folds that test the same person) are averaged
within a person, and the mean is over the people who have units of the class: the same people for
every row. A person without units of a class says nothing about it: recall is 0/0 there, and
precision can only be 0 or 0/0. What is wrongly called the class among these people is in the pooled
values, which are computed over the units of all people together, a seed (and partition) at a time.
A class that is there and is never predicted has precision 0.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.boards.cohort import Cohort, Row, repetition

Matrix = Sequence[Sequence[int]]
"""Units of K classes, true class by predicted class."""


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class of a row; NaN where nobody has units of the class.

    Attributes:
        n_subjects: People who have units of the class.
        n_units: Units of the class, of one seed and partition.
        precision: Share of hits among the units that are called the class, mean over these people.
        recall: Share of hits among the units of the class, mean over these people.
        f1: Harmonic mean of the two of a person, mean over these people.
        pooled_precision: The same over the units of all people together, mean over seeds and
            partitions.
        pooled_recall: The same of recall.
        pooled_f1: The same of F1.
    """

    n_subjects: int
    n_units: int
    precision: float
    recall: float
    f1: float
    pooled_precision: float
    pooled_recall: float
    pooled_f1: float


SCORES = tuple(field.name for field in fields(ClassScores))
COLUMNS = ("board", "model", "signals", "recipe", "complete", "class", *SCORES)


def precision_recall_f1(counts: Matrix) -> npt.NDArray[np.float64]:
    """Return precision, recall and F1 of each class, shape (3, K); NaN for a class without units.

    Args:
        counts: Confusion matrix.
    """
    matrix = np.array(counts)
    hits, units, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    shares = [hits / np.maximum(of, 1) for of in (called, units, (called + units) / 2)]
    return np.where(units > 0, shares, np.nan)


def class_scores(row: Row) -> list[ClassScores]:
    """Return the scores of each class, in order of class; empty for a row without results."""
    by_subject: dict[str, list[Matrix]] = defaultdict(list)
    by_repetition: dict[tuple[int, int], list[Matrix]] = defaultdict(list)
    for result in row.results:
        for subject, counts in result.confusion.items():
            by_subject[subject].append(counts)
            by_repetition[repetition(result.run)].append(counts)
    if not by_subject:
        return []
    people = [_mean([precision_recall_f1(c) for c in counts]) for counts in by_subject.values()]
    sums = [np.sum(counts, axis=0) for _, counts in sorted(by_repetition.items())]
    means, pooled = _mean(people), _mean([precision_recall_f1(counts) for counts in sums])
    units = np.rint(np.mean([counts.sum(axis=1) for counts in sums], axis=0))
    having = np.isfinite([recall for _, recall, _ in people]).sum(axis=0)
    return [
        ClassScores(int(having[k]), int(units[k]), *means[:, k].tolist(), *pooled[:, k].tolist())
        for k in range(len(units))
    ]


def classes_table(cohorts: Iterable[Cohort]) -> pd.DataFrame:
    """Return one line a row and class, in the order of the boards; incomplete rows say so.

    Results from before classes had names have numbers instead.
    """
    lines = []
    for cohort in cohorts:
        names = next((result.classes for result in cohort.results if result.classes), ())
        for row in cohort.rows:
            lines += [
                (cohort.name, *row.label, row.complete, names[k] if names else k, *astuple(scores))
                for k, scores in enumerate(class_scores(row))
            ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _mean(values: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return the mean of what is not NaN; NaN where all of it is."""
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    sums, sizes = np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)

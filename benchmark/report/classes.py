"""Precision, recall and F1 of each class of a board, as the page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.boards.classes import ClassScores, class_scores
from benchmark.boards.cohort import Cohort
from benchmark.report.tables import Cell, Column, Table, number

SHOWN = {
    "f1": Column("F1", "mean over the people who have the class"),
    "precision": Column("precision", "share of hits among units called the class, mean over them"),
    "recall": Column("recall", "share of hits among units of the class, mean over them"),
    "pooled_f1": Column("pooled F1", "of all people's units together", more=True),
    "pooled_precision": Column("pooled precision", "of all people's units together", more=True),
    "pooled_recall": Column("pooled recall", "of all people's units together", more=True),
}
"""Scores of a class, in order."""


@dataclass(frozen=True)
class ClassesPage:
    """Scores of each class.

    Args:
        table: A line a row, columns by class.
        sizes: People and units of each class, in words.
    """

    table: Table
    sizes: str


def classes_page(cohort: Cohort, names: Sequence[str]) -> ClassesPage | None:
    """Return the scores of each class of the rows of a board; None where no run is done.

    Args:
        cohort: Results of the board.
        names: Names of its classes.
    """
    rows = [(row, scores) for row in cohort.rows if (scores := class_scores(row))]
    if not rows:
        return None
    columns = [
        Column(f"{name} {column.title}", column.hint, more=column.more)
        for name in names
        for column in SHOWN.values()
    ]
    lines = []
    for row, scores in rows:
        model, signals, recipe = row.label
        detail = f"{signals} · {recipe}" + ("" if row.complete else " · incomplete")
        head = Cell(model, f"{model} {detail}", detail)
        lines.append((head, *(number(getattr(of, key)) for of in scores for key in SHOWN)))
    most = max((scores for _, scores in rows), key=_size)
    sizes = "; ".join(
        f"{name}: {of.n_subjects} people, {of.n_units:,} units"
        for name, of in zip(names, most, strict=True)
    )
    table = Table((Column("model", "row of the board", number=False), *columns), tuple(lines))
    return ClassesPage(table, sizes)


def _size(scores: Sequence[ClassScores]) -> int:
    return sum(of.n_units for of in scores)

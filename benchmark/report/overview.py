"""Boards on the first tab of the page: a line with the facts of each, and the best of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.boards.cohort import Cohort
from benchmark.boards.remarks import unbeaten
from benchmark.report.figures import Strip, strip
from benchmark.report.lines import Line, best_of
from benchmark.report.tables import NOTHING, Cell, Column, between, count, number, sentence, text

SHOWN = 5
"""Number of ranked rows of a board on the first tab."""
OVERVIEW = (
    Column("board", "dataset, task and split", number=False),
    Column("may be best", "ranked rows that no other is better than beyond doubt, of all ranked"),
    Column(
        "best macro F1",
        "mean over subjects (95 % interval); where somebody has one class only, as in the next two "
        "columns, of the units of all subjects together",
    ),
    Column("simple", "macro F1 of the better of lda, random_forest"),
    Column("majority", "macro F1 of always naming the most frequent class of the training"),
    Column("detectable", "smallest difference of macro F1 that these decisions find in 80 %"),
    Column("subjects", "people who were tested"),
    Column("runs", "finished runs, and those that failed", number=False),
)


@dataclass(frozen=True)
class BestRow:
    """A row among the best of its board, or a probe that should lose and does not.

    Args:
        line: The row.
        score: Score that rows are ranked by, with its interval.
        drawn: The same as a bar from 0 to 1.
        mark: Words on a probe that should lose; empty for a ranked row.
    """

    line: Line
    score: Cell
    drawn: Strip
    mark: str


def overview_cells(
    cohort: Cohort,
    lines: Sequence[Line],
    records: Sequence[Mapping[Any, Any]],
    smallest: float,
    incomplete: bool,
) -> tuple[Cell, ...]:
    """Return the cells of a board under ``OVERVIEW``, without the first.

    Args:
        cohort: Its results.
        lines: Its rows as the page shows them, best first.
        records: The same rows as lines of its table.
        smallest: Smallest difference that its decisions find.
        incomplete: Whether runs failed, or are planned and not done.
    """
    tied, ranked = len(best_of(lines)), sum(line.ranks is not None for line in lines)
    best = next((r for line, r in zip(lines, records, strict=True) if line.ranks), None)
    failed = sum(result.status == "failed" for result in cohort.results)
    state = ("incomplete" if incomplete else "complete") + (f", {failed} failed" if failed else "")
    majority = cohort.majority
    return (
        Cell(f"{tied} of {ranked}" if ranked else NOTHING, tied if ranked else None),
        _score(cohort, best) if best else Cell(NOTHING, None),
        number(max(map(cohort.score, cohort.simple), default=None)),
        number(cohort.score(majority) if majority else None),
        Cell("none", None) if np.isinf(smallest) else number(smallest),
        count(len(cohort.tested)),
        text(state),
    )


def best_rows(
    cohort: Cohort, lines: Sequence[Line], records: Sequence[Mapping[Any, Any]]
) -> tuple[BestRow, ...]:
    """Return the best ranked rows of a board, and each probe that should lose and does not.

    All are in order of their scores, the best first.

    Args:
        cohort: Its results; the rows are the first ones of the board, in the same order.
        lines: Its rows as the page shows them, best first.
        records: The same rows as lines of its table.
    """
    marks = {
        probe.run.id: "should lose, and no row is better"
        if p is None
        else f"should lose, and is not told apart from the best (p {p:.2g})"
        for probe, _, p in unbeaten(cohort)
    }
    rows, n_ranked = [], 0
    for row, line, record in zip(cohort.rows, lines, records, strict=False):  # then absent models
        mark = marks.get(row.run.id, "")
        n_ranked += line.ranks is not None
        if mark or (line.ranks and n_ranked <= SHOWN):
            score = _score(cohort, record)
            ends = (record[key] for key in _columns(cohort))
            drawn = strip([], *map(float, ends), said=f"macro F1 {sentence(score)}")
            rows.append(BestRow(line, score, drawn, mark))
    return tuple(rows)


def _columns(cohort: Cohort) -> tuple[str, str, str]:
    """Return the columns of the score that rows are ranked by, and of its interval."""
    if cohort.one_class:
        return "pooled_macro_f1", "pooled_low", "pooled_high"
    return "macro_f1", "ci_low", "ci_high"


def _score(cohort: Cohort, record: Mapping[Any, Any]) -> Cell:
    return between(*(record[key] for key in _columns(cohort)))

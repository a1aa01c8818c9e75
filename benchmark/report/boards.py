"""One board as the page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.board import Board
from benchmark.boards.chance import chance_of
from benchmark.boards.cohort import Cohort
from benchmark.boards.power import smallest_difference
from benchmark.boards.remarks import remarks
from benchmark.boards.uncertainty import Uncertainty
from benchmark.report.classes import ClassesPage, classes_page
from benchmark.report.differences import paired_table
from benchmark.report.figures import Point, RankSets, Scatter, lines, rank_sets, scatter
from benchmark.report.lines import Line, best_of, board_line, column, columns_of, label
from benchmark.report.overview import BestRow, best_rows, overview_cells
from benchmark.report.provenance import provenance, split_label
from benchmark.report.tables import (
    Cell,
    Column,
    Table,
    number,
)
from benchmark.report.uncertainty import UncertaintyPage, uncertainty_page
from benchmark.store import Store


@dataclass(frozen=True)
class BoardPage:
    """A board.

    Args:
        name: Name of the board.
        title: Dataset and task.
        subtitle: Split, and whatever else sets it apart from others.
        head: Lines that say how to read it, as in the CSV.
        incomplete: Whether the head says so.
        facts: Short names and values for above the table.
        verdict: Sentences on what the board shows.
        warnings: Reasons to doubt it.
        columns: Columns of the table, after the head of a row.
        ranked_by: Title of the column that rows are ranked by.
        lines: Rows, best first.
        rank_sets: Bars of the ranks that rows may have; None for fewer than two ranked rows.
        references: Path data of the lines of majority and of the simple baseline, with names.
        paired: Pairs of rows with a simple baseline among them; None without one.
        baseline: Names of the baselines.
        classes: Names, in order.
        by_class: Scores of each class; None where no run is done.
        uncertainty: Uncertainty of each row; None where no row has any.
        costs: Title, unit and plot of score against each cost.
        provenance: Provenance of each row that has results, by its number; JSON.
        tested: Subjects.
        overview: Cells of its line on the first tab.
        best: Its best rows, on the first tab too.
    """

    name: str
    title: str
    subtitle: str
    head: tuple[str, ...]
    incomplete: bool
    facts: tuple[tuple[str, str], ...]
    verdict: tuple[str, ...]
    warnings: tuple[str, ...]
    columns: tuple[Column, ...]
    ranked_by: str
    lines: tuple[Line, ...]
    rank_sets: RankSets | None
    references: tuple[tuple[str, float, str], ...]
    paired: Table | None
    baseline: str
    classes: tuple[str, ...]
    by_class: ClassesPage | None
    uncertainty: UncertaintyPage | None
    costs: tuple[tuple[str, str, Scatter], ...]
    provenance: Mapping[str, Any]
    tested: tuple[str, ...]
    overview: tuple[Cell, ...]
    best: tuple[BestRow, ...]


def board_page(
    cohort: Cohort,
    board: Board,
    comparisons: pd.DataFrame,
    store: Store,
    unsure: Sequence[Uncertainty] = (),
) -> BoardPage:
    """Return all that the page shows of a board.

    Args:
        cohort: Its results.
        board: The same as a table; its first rows are those of the cohort, in order.
        comparisons: Table of benchmark.boards.paired, of all boards.
        store: Store of its results, in which their learning curves are.
        unsure: Uncertainty of its rows, in order.
    """
    shown, records = columns_of(board.table), board.table.to_dict("records")
    rows = [*cohort.rows, *(None for _ in records[len(cohort.rows) :])]
    classes = next((r.classes for r in cohort.results if r.classes), ())
    page_lines = tuple(
        board_line(record, row, shown, store) for record, row in zip(records, rows, strict=True)
    )
    classes = classes or _numbered(page_lines)
    title, subtitle = titles(cohort)
    majority, simple = cohort.majority, cohort.simple
    references = tuple(
        (label, round(row.mean, 4), lines([row.mean]))
        for label, row in (("majority", majority), *((row.run.name, row) for row in simple))
        if row
    )
    smallest = smallest_difference(cohort)
    incomplete = any(line.startswith("INCOMPLETE") for line in board.head)
    ranked_by = "pooled_macro_f1" if cohort.one_class else "macro_f1"
    columns = tuple(
        replace(column(name), more=column(name).more and name != ranked_by) for name in shown
    )
    return BoardPage(
        name=cohort.name,
        title=title,
        subtitle=subtitle,
        head=board.head,
        incomplete=incomplete,
        facts=_facts(cohort, smallest),
        verdict=_verdict(page_lines),
        warnings=(*_warnings(page_lines, cohort), *remarks(cohort)),
        columns=columns,
        ranked_by=column(ranked_by).title,
        lines=page_lines,
        rank_sets=rank_sets({i: line.ranks for i, line in enumerate(page_lines) if line.ranks}),
        references=references,
        paired=paired_table(comparisons, cohort.name) if simple else None,
        baseline=" and ".join(row.run.name for row in simple),
        classes=classes,
        by_class=classes_page(cohort, classes),
        uncertainty=uncertainty_page(unsure),
        costs=_costs(page_lines, records),
        provenance={
            str(number): provenance(row, cohort.tested) for number, row in enumerate(rows) if row
        },
        tested=cohort.tested,
        overview=overview_cells(cohort, page_lines, records, smallest, incomplete),
        best=best_rows(cohort, page_lines, records),
    )


def titles(cohort: Cohort) -> tuple[str, str]:
    """Return dataset and task, and what else sets a board apart from others."""
    run = cohort.results[0].run
    more = [*(f"{name} {value}" for name, value in run.options), *run.forms]
    more += [f"threshold: {run.protocol.rule}"] if run.protocol.rule != "midpoint" else []
    more += (
        [f"{run.protocol.padding} padding{' with mask' if run.protocol.mask else ''}"]
        if run.protocol.padding
        else []
    )
    more += [f"calibrated: {run.protocol.calibration}"] if run.protocol.calibrating else []
    return f"{run.dataset} · {run.task}", ", ".join([split_label(run), *more])


def _numbered(rows: Sequence[Line]) -> tuple[str, ...]:
    """Return names of classes for results that have none."""
    size = next((len(line.confusion.counts) for line in rows if line.confusion), 0)
    return tuple(f"class {number}" for number in range(size))


def _facts(cohort: Cohort, smallest: float) -> tuple[tuple[str, str], ...]:
    protocol = cohort.results[0].run.protocol
    first = [r for r in cohort.results if not protocol.partition(r.run.fold)]
    units = {(r.run.fold, s): n for r in first for s, n in r.n_units.items()}
    majority = cohort.majority
    facts = [
        ("subjects", f"{len(cohort.tested)}"),
        ("score units", f"{sum(units.values()):,}"),
        ("seeds", f"{len({r.run.seed for r in cohort.results})}"),
        ("majority, macro F1", number(majority.mean if majority else None).text),
        ("smallest difference found", "none" if np.isinf(smallest) else number(smallest).text),
    ]
    chance = chance_of(cohort)
    if chance:
        facts.insert(3, ("chance, macro F1", number(chance["macro_f1"]).text))
        facts.insert(4, ("chance, bal. acc.", number(chance["balanced_accuracy"]).text))
    return tuple(facts)


def _verdict(rows: Sequence[Line]) -> tuple[str, ...]:
    """Return sentences on the rows that may be the best."""
    ranked = [line for line in rows if line.ranks]
    if not ranked:
        return ("No row is complete, so none is ranked.",)
    best = best_of(rows)
    if len(ranked) == 1:
        return (f"{best[0]} is the only ranked row.",)
    if len(best) == 1:
        return (f"{best[0]} is best, and told apart from each of the {len(ranked) - 1} others.",)
    if len(best) == len(ranked):
        return (f"Each of the {len(ranked)} ranked rows may be the best: {', '.join(best)}.",)
    return (f"{len(best)} of {len(ranked)} ranked rows may be the best: {', '.join(best)}.",)


def _warnings(rows: Sequence[Line], cohort: Cohort) -> tuple[str, ...]:
    warnings = []
    lacking = sum(not line.complete and line.kind != "absent" for line in rows)
    if lacking:
        warnings.append(
            f"Incomplete: {lacking} row(s) lack scores, are not ranked and stand last; each says "
            "what it lacks."
        )
    if cohort.one_class:
        warnings.append(
            f"{cohort.one_class} of {len(cohort.tested)} subjects have units of one class only, so "
            "rows are ranked by macro F1 over the units of all subjects together (pooled F1)."
        )
    return tuple(warnings)


def _costs(
    rows: Sequence[Line], records: Sequence[Mapping[Any, Any]]
) -> tuple[tuple[str, str, Scatter], ...]:
    """Return plots of score against parameters and against latency, where there is any."""
    measures = (
        ("parameters", "Score against size", "parameters"),
        ("cpu_latency_ms", "Score against latency", "ms a window, one CPU thread"),
    )
    plots = []
    for key, title, unit in measures:
        points = [
            Point(
                label(line, rows),
                line.kind,
                float(record[key]),
                *(float(record[k]) for k in ("macro_f1", "ci_low", "ci_high")),
            )
            for line, record in zip(rows, records, strict=True)
            if line.complete and not pd.isna(record[key]) and not pd.isna(record["macro_f1"])
        ]
        plot = scatter(points)
        if plot:
            plots.append((title, unit, plot))
    return tuple(plots)

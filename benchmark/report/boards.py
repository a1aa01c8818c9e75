"""One board as the page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.board import Board
from benchmark.boards.cohort import Cohort, Row
from benchmark.boards.paired import median_spread
from benchmark.boards.statistics import detectable
from benchmark.report.differences import paired_table
from benchmark.report.figures import Point, Scatter, lines, scatter
from benchmark.report.lines import BLIND, COLUMNS, HIDDEN, OWN, Line, board_line, label
from benchmark.report.provenance import provenance, split_label
from benchmark.report.tables import (
    NOTHING,
    Cell,
    Column,
    Table,
    between,
    count,
    number,
    text,
)

TOP = 1
"""Number of the tie group of the best row."""
SHOWN = 6
"""Names of a group on the first tab; all of them stand on the board's own."""


@dataclass(frozen=True)
class BoardPage:
    """A board.

    Args:
        name: Of the board.
        title: Dataset and task.
        subtitle: Split, and what else tells it from others.
        head: Lines that say how to read it, as in the CSV.
        incomplete: Whether the head says so.
        facts: Short names and values for above the table.
        verdict: What the board shows, in sentences.
        warnings: What should make a reader doubt it.
        columns: Of the table, after the head of a row.
        lines: Rows, best first.
        references: Path data of the lines of majority and of the simple baseline, with names.
        paired: Every row against the better simple baseline; None without one.
        baseline: Its name.
        classes: Names, in order.
        costs: Title, unit and plot of score against each cost.
        provenance: Of each row that has results, by its number; JSON.
        tested: Subjects.
        overview: Cells of its line on the first tab.
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
    lines: tuple[Line, ...]
    references: tuple[tuple[str, float, str], ...]
    paired: Table | None
    baseline: str
    classes: tuple[str, ...]
    costs: tuple[tuple[str, str, Scatter], ...]
    provenance: Mapping[str, Any]
    tested: tuple[str, ...]
    overview: tuple[Cell, ...]


def board_page(cohort: Cohort, board: Board, comparisons: pd.DataFrame) -> BoardPage:
    """All that the page shows of a board.

    Args:
        cohort: Its results.
        board: The same as a table; its first rows are those of the cohort, in order.
        comparisons: As from benchmark.boards.paired, of all boards.
    """
    n, table = len(cohort.tested), board.table
    shown = [name for name in COLUMNS if name in table]
    shown += [name for name in map(str, table) if name not in {*COLUMNS, *OWN, *HIDDEN}]
    records = table.to_dict("records")
    rows = [*cohort.rows, *(None for _ in records[len(cohort.rows) :])]
    classes = next((r.classes for r in cohort.results if r.classes), ())
    made = tuple(board_line(record, row, shown) for record, row in zip(records, rows, strict=True))
    title, subtitle = titles(cohort)
    majority, simple = cohort.best(("majority",)), cohort.simple
    references = tuple(
        (label, round(row.mean, 4), lines([row.mean]))
        for label, row in (("majority", majority), (simple.run.name if simple else "", simple))
        if row
    )
    spread = median_spread(cohort)
    smallest = np.nan if np.isnan(spread) else detectable(spread, n)
    return BoardPage(
        name=cohort.name,
        title=title,
        subtitle=subtitle,
        head=board.head,
        incomplete=any(line.startswith("INCOMPLETE") for line in board.head),
        facts=_facts(cohort, len(classes), majority, smallest),
        verdict=_verdict(made),
        warnings=_warnings(made, board.head),
        columns=tuple(COLUMNS.get(name, Column(name, number=False, more=True)) for name in shown),
        lines=made,
        references=references,
        paired=paired_table(comparisons, cohort.name) if simple else None,
        baseline=simple.run.name if simple else "",
        classes=classes or _numbered(made),
        costs=_costs(made, records),
        provenance={
            str(number): provenance(row, cohort.tested) for number, row in enumerate(rows) if row
        },
        tested=cohort.tested,
        overview=_overview(cohort, made, records, majority, smallest),
    )


def titles(cohort: Cohort) -> tuple[str, str]:
    """Dataset and task, and what else tells a board from others."""
    run = cohort.results[0].run
    more = [f"{name} {value}" for name, value in run.options]
    more += [f"threshold: {run.rule}"] if run.rule != "midpoint" else []
    more += [f"{run.padding} padding{' with mask' if run.mask else ''}"] if run.padding else []
    more += [
        part.replace("_", " ") for part in cohort.name[len(cohort.board) :].split("__") if part
    ]
    return f"{run.dataset} · {run.task}", ", ".join([split_label(run), *more])


def _numbered(made: Sequence[Line]) -> tuple[str, ...]:
    """Names of classes of results that have none."""
    size = next((len(line.confusion.counts) for line in made if line.confusion), 0)
    return tuple(f"class {number}" for number in range(size))


def _facts(
    cohort: Cohort, n_classes: int, majority: Row | None, smallest: float
) -> tuple[tuple[str, str], ...]:
    units = {(r.run.fold, s): n for r in cohort.results for s, n in r.n_units.items()}
    facts = [
        ("subjects", f"{len(cohort.tested)}"),
        ("score units", f"{sum(units.values()):,}"),
        ("seeds", f"{len({r.run.seed for r in cohort.results})}"),
        ("majority, macro F1", number(majority.mean if majority else None).text),
        ("smallest difference told", "none" if np.isinf(smallest) else number(smallest).text),
    ]
    if n_classes:
        facts.insert(3, ("chance, bal. acc.", f"{1 / n_classes:.3f}"))
    return tuple(facts)


def _verdict(made: Sequence[Line]) -> tuple[str, ...]:
    """Who is best, and who cannot be told from it."""
    ranked = [line for line in made if line.tie]
    if not ranked:
        return ("No row is complete, so none is ranked.",)
    tied = [label(line, made) for line in ranked if line.tie == TOP]
    groups = max(line.tie for line in ranked)
    if len(tied) == 1:
        first = f"{tied[0]} is best, and told apart from each of the {len(ranked) - 1} other rows."
        return (first if len(ranked) > 1 else f"{tied[0]} is the only complete row.",)
    if groups == 1:
        return (f"None of the {len(ranked)} rows can be told from the best: {', '.join(tied)}.",)
    return (f"{len(tied)} of {len(ranked)} rows cannot be told from the best: {', '.join(tied)}.",)


def _warnings(made: Sequence[Line], head: Sequence[str]) -> tuple[str, ...]:
    found = [line for line in head if line.startswith("with n =")]
    lacking = sum(not line.complete and line.kind != "absent" for line in made)
    if lacking:
        found.append(
            f"Incomplete: {lacking} row(s) lack scores, are not ranked and stand last; each says "
            "what it lacks."
        )
    blind = [line.name for line in made if line.tie == TOP and line.name in BLIND]
    if blind:
        sees = ", ".join(f"{name} ({BLIND[name]})" for name in dict.fromkeys(blind))
        found.append(
            "The best tie group holds what knows no emotion; in brackets all that it sees: "
            f"{sees}. Such a board says more about the experiment, or its size, than about emotion."
        )
    return tuple(found)


def _costs(
    made: Sequence[Line], records: Sequence[Mapping[Any, Any]]
) -> tuple[tuple[str, str, Scatter], ...]:
    """Plots of score against parameters and against latency, where there is any."""
    wanted = (
        ("parameters", "Score against size", "parameters"),
        ("cpu_latency_ms", "Score against latency", "ms a window, one CPU thread"),
    )
    found = []
    for key, title, unit in wanted:
        points = [
            Point(
                label(line, made),
                line.kind,
                float(record[key]),
                *(float(record[k]) for k in ("macro_f1", "ci_low", "ci_high")),
            )
            for line, record in zip(made, records, strict=True)
            if line.complete and not pd.isna(record[key]) and not pd.isna(record["macro_f1"])
        ]
        plot = scatter(points)
        if plot:
            found.append((title, unit, plot))
    return tuple(found)


def _overview(
    cohort: Cohort,
    made: Sequence[Line],
    records: Sequence[Mapping[Any, Any]],
    majority: Row | None,
    smallest: float,
) -> tuple[Cell, ...]:
    tied = [label(line, made) for line in made if line.tie == TOP]
    more = len(tied) - SHOWN
    best = next((r for line, r in zip(made, records, strict=True) if line.tie), None)
    score = Cell(NOTHING, None)
    if best:
        score = between(best["macro_f1"], best["ci_low"], best["ci_high"])
    simple = cohort.simple
    failed = sum(result.status == "failed" for result in cohort.results)
    missing = any(row.missing for row in cohort.rows)
    return (
        text(", ".join(tied[:SHOWN]) + (f" and {more} more" if more > 0 else "")),
        score,
        number(simple.mean if simple else None),
        number(majority.mean if majority else None),
        Cell("none", None) if np.isinf(smallest) else number(smallest),
        count(len(cohort.tested)),
        text(f"incomplete, {failed} failed" if missing or failed else "complete"),
    )

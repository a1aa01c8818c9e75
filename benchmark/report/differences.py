"""Paired differences as the page shows them: against the simple baseline, and by distillation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import SIMPLE
from benchmark.boards.paired import RANKED
from benchmark.boards.statistics import CONFIDENCE
from benchmark.report.figures import reach, strip
from benchmark.report.tables import (
    Cell,
    Column,
    Table,
    between,
    count,
    number,
    p_value,
    scale,
    sentence,
    text,
)

PAIRED = (
    Column("model", "the first of the pair", number=False),
    Column("less", "the second, whose scores are taken off", number=False),
    Column("difference", "mean macro F1 over subjects (95 % interval)"),
    Column("p", "sign-flip test of the mean, this pair alone"),
    Column("p, corrected", "over all pairs of ranked rows of the board"),
    Column("rank-biserial", "matched pairs: 1 if better on everybody, -1 if on nobody"),
    Column("won", "subjects on whom the first is better"),
    Column("lost", "subjects on whom the second is better"),
)


GAINS = (
    Column("student", "model that is taught", number=False),
    Column("taught by", "distiller, and the teacher where there is one", number=False),
    Column("gain", "macro F1 of the taught student less that of the same student alone"),
    Column("p (Holm)", "corrected over the distillers of a board; a control is no claim"),
    Column("alone", "macro F1 of the student alone"),
    Column("taught", "macro F1 of the taught student"),
    Column("teacher", "macro F1 of the teacher"),
    Column("p", "sign-flip test of the mean over subjects"),
    Column("won", "subjects who gain"),
    Column("lost", "subjects who lose"),
    Column("subjects", "subjects on whom both are done"),
    Column("parameters", "of the student"),
    Column("teacher's", "parameters of the teacher"),
    Column("missing", "taught runs without a finished counterpart"),
)


@dataclass(frozen=True)
class Gains:
    """Gains by distillation on one board.

    Args:
        board: Its name.
        title: Dataset and task.
        subtitle: Split.
        verdict: Sentences on the gain.
        table: A line a pair, controls last.
        controls: Numbers of the lines that are controls.
    """

    board: str
    title: str
    subtitle: str
    verdict: str
    table: Table
    controls: frozenset[int]


def paired_table(comparisons: pd.DataFrame, name: str) -> Table | None:
    """Return every pair of a board with a simple baseline in it; None if there is none.

    Args:
        comparisons: Table of benchmark.boards.paired, of all boards.
        name: Name of the board.
    """
    with_simple = comparisons["against"].isin(SIMPLE) | comparisons["model"].isin(SIMPLE)
    of_board = (comparisons["board"] == name) & (comparisons["family"] == RANKED)
    chosen = comparisons[of_board & with_simple]
    if chosen.empty:
        return None
    records = chosen.to_dict("records")
    end = reach([record[key] for record in records for key in ("low", "high")])
    columns = (*PAIRED[:2], scale(end), *PAIRED[2:])
    return Table(
        columns,
        tuple(
            (_who(record), text(record["against"]), *_difference_cells(record, end))
            for record in records
        ),
    )


def _who(record: Mapping[Any, Any]) -> Cell:
    detail = f"{record['signals']} · {record['recipe']}"
    return Cell(record["model"], f"{record['model']} {detail}", detail)


def _difference_cells(record: Mapping[Any, Any], end: float) -> tuple[Cell, ...]:
    return (
        *drawn(record["difference"], record["low"], record["high"], end),
        p_value(record["p"]),
        p_value(record["p_corrected"]),
        number(record["rank_biserial"], "+.2f"),
        count(record["won"]),
        count(record["lost"]),
    )


def drawn(
    middle: float, low: float, high: float, end: float, complete: bool = True
) -> tuple[Cell, Cell]:
    """Return a difference as a strip from -end to end, and as a number.

    The colour of a strip says who is better; that of an incomplete comparison says nothing.
    """
    shown = between(middle, low, high, "+.3f")
    kind = "" if not complete else "up" if low > 0 else "down" if high < 0 else ""
    marks = strip([], middle, low, high, said=sentence(shown), ends=(-end, end), kind=kind)
    return Cell("", shown.value, strip=marks), shown


def gains_page(name: str, titles: tuple[str, str], lines: pd.DataFrame) -> Gains:
    """Return the distillation board of a board.

    Args:
        name: Name of the board.
        titles: Title and subtitle of its tab.
        lines: Its lines, as from benchmark.boards.distillation.
    """
    records = lines.to_dict("records")
    end = reach([float(r[key]) for r in records for key in ("gain_low", "gain_high")])
    columns = (*GAINS[:2], scale(end), *GAINS[2:])
    table = Table(columns, tuple(_gain(record, end) for record in records))
    controls = frozenset(i for i, record in enumerate(records) if record["control"])
    return Gains(name, *titles, _gains_verdict(lines), table, controls)


def _gain(record: dict[Any, Any], end: float) -> tuple[Cell, ...]:
    ends = record["gain_low"], record["gain_high"]
    complete = not record["n_missing"]
    student = f"{record['student_signals']} · {record['recipe']}"
    student += "" if complete else " · incomplete"
    teacher = f" of {record['teacher']} ({record['teacher_signals']})"
    teaching = record["distiller"] + (teacher if record["teacher"] != "none" else "")
    return (
        Cell(record["student"], f"{record['student']} {student}", student),
        text(f"{teaching} · control" if record["control"] else teaching),
        *drawn(record["gain"], *ends, end, complete),
        p_value(record["p_holm"]),
        number(record["alone"]),
        number(record["distilled"]),
        number(record["teacher_macro_f1"]),
        p_value(record["p"] if complete else None),
        count(record["won"]),
        count(record["lost"]),
        count(record["n_subjects"]),
        count(record["student_parameters"]),
        count(record["teacher_parameters"]),
        count(record["n_missing"]),
    )


def _gains_verdict(lines: pd.DataFrame) -> str:
    """Return sentences on how large the gain is, and whether chance would do."""
    done = [record for record in lines.to_dict("records") if not np.isnan(record["gain"])]
    complete = [record for record in done if not record["n_missing"]]
    claims = [record for record in complete if not record["control"]]
    controls = [record for record in complete if record["control"]]
    lacking = len(lines) - len(complete)
    parts = []
    if claims:
        significant = [record["gain"] for record in claims if record["p_holm"] <= 1 - CONFIDENCE]
        gain = sum(value > 0 for value in significant)
        parts = [
            f"Taught students: {len(claims)}; beyond chance (corrected p of at most "
            f"{1 - CONFIDENCE:.2g}) {gain} gain and {len(significant) - gain} lose.",
            f"The largest gain: {_best(claims)}.",
        ]
    if controls:
        parts.append(f"The largest of a control, no merit of any teacher: {_best(controls)}.")
    if lacking:
        parts.append(f"Incomplete, so that nothing is claimed of them: {lacking}.")
    return " ".join(parts)


def _best(records: Sequence[Mapping[Any, Any]]) -> str:
    best = max(records, key=lambda record: float(record["gain"]))
    size = sentence(between(best["gain"], best["gain_low"], best["gain_high"], "+.3f"))
    teacher = f" of {best['teacher']}" if best["teacher"] != "none" else ""
    return f"{best['student']} by {best['distiller']}{teacher}, {size} macro F1"

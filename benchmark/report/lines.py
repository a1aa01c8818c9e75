"""Rows of a board as the page shows them."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import Row
from benchmark.probes.catalogue import PROBES
from benchmark.report.curves import RowCurves, row_curves
from benchmark.report.figures import Strip, strip
from benchmark.report.tables import Cell, Column, between, count, number, p_value, sentence, text
from benchmark.store import Store
from lightning_modules.metrics import SCORES

LONG = 140
"""Letters of a note; more of an error stands with the failed runs."""
OWN = ("model", "signals", "recipe", "complete", "note")
"""Columns of a board that are shown in the head of a row."""
HIDDEN = (
    *("rank_high", "ci_low", "ci_high", "balanced_low", "balanced_high"),
    *("pooled_low", "pooled_high", "resampled_low", "resampled_high"),
)
"""Columns that are shown with another."""
COLUMNS = {
    "rank_low": Column(
        "rank", "first and last rank that the row may have: 95 % hold for all rows together"
    ),
    "macro_f1": Column("macro F1", "mean over subjects (95 % interval, Student t)"),
    "balanced_accuracy": Column(
        "bal. acc.", "balanced accuracy, mean over subjects (95 % interval)"
    ),
    "delta_simple": Column(
        "over simple", "lead over lda and over random_forest, the smaller of the two"
    ),
    "p_simple": Column(
        "p, simple", "of both leads, sign-flip test over subjects, corrected over all pairs"
    ),
    "subjects_above_chance": Column(
        "above chance", "subjects whose predictions are better than chance, each tested at 5 %"
    ),
    "worst_decile": Column("worst decile", "tenth percentile of macro F1 over subjects"),
    "parameters": Column("parameters", "learnable values; nodes of a forest"),
    "cpu_latency_ms": Column("ms, CPU", "time of one window alone on one CPU thread"),
    "n_failed": Column("failed", "failed runs"),
    "delta_majority": Column("over majority", "macro F1 less that of majority", more=True),
    "window": Column("window s", "seconds of signal that one prediction sees", False, True),
    "input": Column("input", "causal, or offline: it uses what came after a window", False, True),
    "tuned_on": Column("tuned on", "datasets whose people chose values of the recipe", False, True),
    "pretrained_on": Column(
        "pre-trained on", "datasets that a frozen encoder was trained on", False, True
    ),
    "n_subjects": Column("subjects", "test subjects", more=True),
    "n_seeds": Column("seeds", "averaged within a subject first", more=True),
    "mcc": Column("MCC", "Matthews correlation, mean over subjects", more=True),
    "accuracy": Column("accuracy", "mean over subjects", more=True),
    "pooled_macro_f1": Column(
        "pooled F1", "macro F1 of all subjects' units together (95 %, bootstrap)", more=True
    ),
    "seed_spread": Column("seed spread", "standard deviation of macro F1 over seeds", more=True),
    "brier": Column("Brier", "over all classes, 0 to 2, less is better", more=True),
    "ece": Column("ECE", "expected calibration error in ten bins, less is better", more=True),
    "macs": Column("MACs", "multiply-accumulates of one window", more=True),
    "latency_ms": Column("ms, device", "time of one window alone on the run's device", more=True),
    "train_seconds": Column("train s", "median wall time of a training", more=True),
    "budget": Column("candidates", "candidates that each study had for its values", more=True),
    "tuning_hours": Column("tuning h", "wall time of all inner runs of its studies", more=True),
    "n_runs": Column("runs", "runs that happened, one a fold and seed", more=True),
    "commit": Column("commit", "+: with uncommitted changes", number=False, more=True),
    "published": Column(
        "published", "value that the model's paper reports on this task", number=False, more=True
    ),
    "comparable": Column(
        "comparable", "whether the published value can be compared", number=False, more=True
    ),
}
"""In order; columns that are not named here come after these, on demand."""


FORMS = {
    **dict.fromkeys(("delta_majority", "delta_simple"), "+.3f"),
    **dict.fromkeys(("latency_ms", "cpu_latency_ms"), ".2f"),
    "train_seconds": ".1f",
}


def columns_of(table: pd.DataFrame) -> list[str]:
    """Return the columns of a board that the page shows, in order.

    A score without a place of its own stands after the other scores; what else has none comes last.
    """
    names = [str(name) for name in table]
    added = [name for name in SCORES if name not in COLUMNS]
    known = list(COLUMNS)
    last = max(place for place, name in enumerate(known) if name in SCORES) + 1
    order = [*known[:last], *added, *known[last:]]
    shown = [name for name in order if name in names]
    return shown + [name for name in names if name not in {*order, *OWN, *HIDDEN}]


def column(name: str) -> Column:
    """Return a column by its name on a board; a score without one is explained by itself."""
    if name in COLUMNS:
        return COLUMNS[name]
    if name in SCORES:
        about = (inspect.getdoc(SCORES[name]) or "").partition("\n")[0]
        return Column(name, f"{about} Mean over subjects.".strip(), more=True)
    return Column(name, number=False, more=True)


@dataclass(frozen=True)
class Confusion:
    """Units of all subjects and seeds, true class by predicted class.

    Args:
        counts: Units.
        shares: Shares of the units of a true class; NaN for a class without any.
    """

    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Line:
    """One row of a board.

    Args:
        name: Name of the model, and of its teacher.
        signals: Signals that it sees.
        recipe: Recipe that it was trained by.
        note: Error, or reason why it does not apply, or empty.
        kind: ``probe``, ``network``, ``taught``, ``ensemble``, or ``absent`` if it does not apply.
        ranks: First and last rank that it may have; None for a row that is not ranked.
        complete: Whether every subject was tested with every seed.
        cells: One a column.
        subjects: Scores of subjects; None if there are none.
        confusion: None if there is none.
        curves: None if there are none.
    """

    name: str
    signals: str
    recipe: str
    note: str
    kind: str
    ranks: tuple[int, int] | None
    complete: bool
    cells: tuple[Cell, ...]
    subjects: Strip | None
    confusion: Confusion | None
    curves: RowCurves | None


def board_line(
    record: Mapping[Any, Any], row: Row | None, shown: Sequence[str], store: Store
) -> Line:
    """Return a row of a board.

    Args:
        record: Line of its table.
        row: Its results; None if the model does not apply.
        shown: Names of the columns.
        store: Store of its results.
    """
    kind = "absent"
    if row:
        kind = "probe" if row.run.model in PROBES else "taught" if row.run.distiller else "network"
        kind = "ensemble" if row.run.members else kind
    name, signals, recipe, note = (
        text(record[key]).text for key in ("model", "signals", "recipe", "note")
    )
    if len(note) > LONG:
        note = f"{note[:LONG]}\N{HORIZONTAL ELLIPSIS}"
    if row and row.missing:
        lacking = f"lacks {row.missing} of {row.expected} scores"
        note = f"{lacking}; {note}" if note else lacking
    return Line(
        name=name,
        signals=signals,
        recipe=recipe,
        note=note,
        kind=kind,
        ranks=None
        if pd.isna(record["rank_low"])
        else (int(record["rank_low"]), int(record["rank_high"])),
        complete=bool(record["complete"]),
        cells=tuple(_cell(record, key) for key in shown),
        subjects=_subjects(row, record) if row and row.scores else None,
        confusion=_confusion(row) if row and row.scores else None,
        curves=row_curves(row, store) if row else None,
    )


def _cell(record: Mapping[Any, Any], key: str) -> Cell:
    value = record[key]
    intervals = {
        "macro_f1": ("ci_low", "ci_high"),
        "balanced_accuracy": ("balanced_low", "balanced_high"),
        "pooled_macro_f1": ("pooled_low", "pooled_high"),
    }
    if key in intervals:
        return between(value, *(record[end] for end in intervals[key]))
    if key == "p_simple":
        return p_value(value)
    if not column(key).number:
        return text(value)
    if key == "rank_low":
        return _ranks(value, record["rank_high"])
    counted = key.startswith("n_") or key in ("subjects_above_chance", "macs")
    if counted or key == "parameters":
        return count(value)
    return number(value, FORMS.get(key, ".3f"))


def _ranks(low: float, high: float) -> Cell:
    if pd.isna(low):
        return text("")
    return Cell(f"{low}" if low == high else f"{low} to {high}", float(low))


def _subjects(row: Row, record: Mapping[Any, Any]) -> Strip:
    values = list(row.macro_f1.values())
    ends = (record["macro_f1"], record["ci_low"], record["ci_high"])
    said = (
        f"macro F1 of {len(values)} subjects, {min(values):.3f} to {max(values):.3f}, "
        f"mean {sentence(between(*ends))}"
    )
    return strip(values, *ends, said=said)


def _confusion(row: Row) -> Confusion:
    matrices = [np.array(c) for r in row.results for c in r.confusion.values()]
    counts = np.sum(matrices, axis=0)
    with np.errstate(invalid="ignore"):  # a class that nobody has
        shares = counts / counts.sum(axis=1, keepdims=True)
    return Confusion(
        tuple(tuple(map(int, line)) for line in counts),
        tuple(tuple(map(float, line)) for line in shares),
    )


def label(line: Line, rows: Sequence[Line]) -> str:
    """Return the name of a row, with signals and recipe where others share the name."""
    same = [other for other in rows if other.name == line.name]
    if len(same) == 1:
        return line.name
    if len({other.signals for other in same}) == len(same):
        return f"{line.name} ({line.signals})"
    return f"{line.name} ({line.signals}, {line.recipe})"


def best_of(rows: Sequence[Line]) -> list[str]:
    """Return the names of the rows that no other is better than beyond doubt."""
    return [label(line, rows) for line in rows if line.ranks and line.ranks[0] == 1]

"""Columns of boards: an ordered list of small producers, each a name and a function of a row."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmark.boards.chance import subjects_above_chance
from benchmark.boards.cohort import Cohort, Row, pooled_macro_f1
from benchmark.boards.decisions import decide, lead_over_simple, p_simple
from benchmark.boards.provenance import input_of, pretrained_on, tuned_on, window_of
from benchmark.boards.published import of_row
from benchmark.boards.statistics import bootstrap_interval, interval, resampled_interval
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.splits import VALIDATION_SHARE
from lightning_modules.metrics import SCORES

INTERVALS = {"macro_f1": "ci", "balanced_accuracy": "balanced"}
"""Scores that have an interval, and the beginning of the names of its two columns."""
NO_LEAD = (np.nan, np.nan)
"""Lead over the simple baselines, and its p-value, where there is none."""


@dataclass(frozen=True)
class Context:
    """Everything that a row is compared with on its board.

    Attributes:
        majority: Row of that probe.
        ranks: First and last rank that each ranked row may have, by its run.
        leads: Lead of each row over the simple baselines, and its p-value, by its run.
        published: Values that papers report, and whether they can be compared, by the row's run.
        tuning_hours: Hours of the inner runs of each tuned row and ensemble, by its run.
    """

    majority: Row | None = None
    ranks: Mapping[Run, tuple[int, int]] = field(default_factory=dict)
    leads: Mapping[Run, tuple[float, float]] = field(default_factory=dict)
    published: Mapping[Run, tuple[str, str]] = field(default_factory=dict)
    tuning_hours: Mapping[Run, float] = field(default_factory=dict)

    @classmethod
    def of(cls, cohort: Cohort, tuning_hours: Mapping[Run, float] | None = None) -> "Context":
        """Return the context of the rows of a board."""
        decisions = decide(cohort)
        return cls(
            cohort.majority,
            dict(zip((row.run for row in decisions.rows), decisions.ranks, strict=True)),
            {
                row.run: (lead_over_simple(cohort, row), p_simple(cohort, row))
                for row in cohort.rows
            },
            {row.run: of_row(row.run) for row in cohort.rows},
            tuning_hours or {},
        )


@dataclass(frozen=True)
class Column:
    """One column of a board.

    Attributes:
        name: Name, as in the first line of the CSV.
        value: Value of a row.
        whole: Whether values are whole numbers, which may be missing.
    """

    name: str
    value: Callable[[Row, Context], object]
    whole: bool = False


def board_columns() -> list[Column]:
    """Return the columns of a board, in order; those of scores follow from ``SCORES``."""
    return [
        Column("rank_low", lambda row, board: _rank(row, board, 0), whole=True),
        Column("rank_high", lambda row, board: _rank(row, board, 1), whole=True),
        *LABELS,
        *PROVENANCE,
        *SIZES,
        *score_columns(),
        Column("pooled_macro_f1", lambda row, board: row.pooled),
        Column("pooled_low", lambda row, board: _pooled_interval(row)[0]),
        Column("pooled_high", lambda row, board: _pooled_interval(row)[1]),
        Column("resampled_low", lambda row, board: _resampled(row)[0]),
        Column("resampled_high", lambda row, board: _resampled(row)[1]),
        Column("seed_spread", lambda row, board: _seed_spread(row)),
        Column("delta_majority", lambda row, board: _delta(row, board.majority)),
        Column("delta_simple", lambda row, board: board.leads.get(row.run, NO_LEAD)[0]),
        Column("p_simple", lambda row, board: board.leads.get(row.run, NO_LEAD)[1]),
        Column("subjects_above_chance", lambda row, board: subjects_above_chance(row), whole=True),
        Column("worst_decile", _worst_decile),
        Column("parameters", lambda row, board: _whole(_median(row, _parameters)), whole=True),
        Column("macs", lambda row, board: _whole(_efficiency(row, "macs")), whole=True),
        Column("latency_ms", lambda row, board: _efficiency(row, "latency_ms")),
        Column("cpu_latency_ms", lambda row, board: _efficiency(row, "cpu_latency_ms")),
        Column("train_seconds", lambda row, board: round(_median(row, _training), 1)),
        Column("budget", lambda row, board: row.run.budget or None, whole=True),
        Column("tuning_hours", lambda row, board: board.tuning_hours.get(row.run, np.nan)),
        Column("published", lambda row, board: board.published[row.run][0]),
        Column("comparable", lambda row, board: board.published[row.run][1]),
        *RUNS,
    ]


def flawed_columns() -> list[Column]:
    """Return the columns of a board of runs under protocol flags, which ranks nothing."""
    flags = Column("flags", lambda row, board: " ".join(row.run.protocol.flags))
    return [*LABELS, flags, *PROVENANCE, *SIZES, *score_columns(), *RUNS]


def score_columns() -> list[Column]:
    """Return the mean of each score over subjects, and the intervals of those that have one."""
    columns = []
    for name in SCORES:
        columns.append(Column(name, _part(name, 0)))
        if prefix := INTERVALS.get(name):
            columns += [
                Column(f"{prefix}_low", _part(name, 1)),
                Column(f"{prefix}_high", _part(name, 2)),
            ]
    return columns


def table(
    rows: Iterable[Row], columns: Sequence[Column], context: Context, reasons: Mapping[str, str]
) -> pd.DataFrame:
    """Return a line a row, and then one for each model that does not apply.

    Args:
        rows: Rows of a board.
        columns: Columns, in order.
        context: Context that rows are compared with.
        reasons: Why a model is not run on the board, by model.
    """
    lines = [{column.name: column.value(row, context) for column in columns} for row in rows]
    shown = {line["model"] for line in lines}
    lines += [
        {"model": model, "complete": False, "note": f"not applicable: {reason}"}
        for model, reason in reasons.items()
        if model not in shown
    ]
    frame = pd.DataFrame(lines, columns=[column.name for column in columns])
    counts = [column.name for column in columns if column.whole]
    frame[counts] = frame[counts].astype("Int64")
    return frame


def _part(name: str, part: int) -> Callable[[Row, Context], float]:
    """Return a column: the mean of a score over subjects, or an end of its interval.

    Scores with an interval lie between 0 and 1, and so do the ends.
    """

    def value(row: Row, _: Context) -> float:
        if not row.scores:
            return np.nan
        number = interval(row.values(name))[part]
        return float(np.clip(number, 0.0, 1.0)) if part else number

    return value


def _rank(row: Row, board: Context, end: int) -> int | None:
    ranks = board.ranks.get(row.run)
    return ranks[end] if ranks else None


@lru_cache(maxsize=1)
def _pooled_interval(row: Row) -> tuple[float, float]:
    """Return the bootstrap interval of macro F1 over the units of all subjects."""
    if not row.scores:
        return np.nan, np.nan
    return bootstrap_interval(row.counts, pooled_macro_f1)


def _resampled(row: Row) -> tuple[float, float]:
    """Return the interval of the corrected resampled t; NaN where there is one partition alone."""
    protocol = row.run.protocol
    if protocol.partitions < 2 or not row.complete:
        return np.nan, np.nan
    of_folds: dict[int, list[float]] = defaultdict(list)
    for result in row.done:
        of_folds[result.run.fold] += [s["macro_f1"] for s in result.of_subjects.values()]
    trained = (protocol.folds - 1) * (1 - VALIDATION_SHARE if protocol.validation else 1)
    means = [float(np.mean(of_fold)) for of_fold in of_folds.values()]
    return resampled_interval(means, 1 / trained)


def _seed_spread(row: Row) -> float:
    """Return the standard deviation over seeds of mean macro F1; NaN for a single seed."""
    of_seeds: dict[int, list[float]] = defaultdict(list)
    for result in row.done:
        of_seeds[result.run.seed] += [scores["macro_f1"] for scores in result.of_subjects.values()]
    means = [float(np.mean(values)) for values in of_seeds.values() if values]
    return float(np.std(means, ddof=1)) if len(means) > 1 else np.nan


def _delta(row: Row, reference: Row | None) -> float:
    """Return mean macro F1 over the row's subjects, less that of a row that tested everybody."""
    if reference is None or not row.scores:
        return np.nan
    theirs = reference.macro_f1
    return float(np.mean([score - theirs[subject] for subject, score in row.macro_f1.items()]))


def _worst_decile(row: Row, _: Context) -> float:
    return float(np.quantile(row.values("macro_f1"), 0.1)) if row.scores else np.nan


def _median(row: Row, value: Callable[[Scored], float]) -> float:
    """Return the median over the runs that are done."""
    return float(np.median([value(result) for result in row.done])) if row.done else np.nan


def _efficiency(row: Row, name: str) -> float:
    return _median(row, lambda result: result.efficiency.get(name, np.nan))


def _whole(value: float) -> int | None:
    return None if np.isnan(value) else int(value)


def _note(row: Row) -> str:
    """Return the first error of a row; without any, the first line that a run left for readers."""
    errors = (result.error for result in row.results if result.error)
    notes = (note for result in row.done for note in result.notes)
    return next(errors, next(notes, ""))


def _parameters(result: Scored) -> float:
    return result.parameters


def _training(result: Scored) -> float:
    return result.train_seconds


LABELS = [
    Column("model", lambda row, board: row.label[0]),
    Column("signals", lambda row, board: row.label[1]),
    Column("recipe", lambda row, board: row.label[2]),
]
PROVENANCE = [
    Column("window", lambda row, board: window_of(row.run)),
    Column("input", lambda row, board: input_of(row.run)),
    Column("tuned_on", lambda row, board: " ".join(tuned_on(row.run))),
    Column("pretrained_on", lambda row, board: ", ".join(pretrained_on(row.run))),
]
SIZES = [
    Column("n_subjects", lambda row, board: len(row.scores), whole=True),
    Column("n_seeds", lambda row, board: len({r.run.seed for r in row.results}), whole=True),
]
RUNS = [
    Column("n_runs", lambda row, board: len(row.results), whole=True),
    Column("n_failed", lambda row, board: sum(r.status == "failed" for r in row.results), True),
    Column("complete", lambda row, board: row.complete),
    Column("commit", lambda row, board: " ".join(sorted({r.commit for r in row.results} - {""}))),
    Column("note", lambda row, board: _note(row)),
]

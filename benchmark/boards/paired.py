"""Paired comparisons of a board's rows: the families of tests behind its decisions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.calibration import compared
from benchmark.boards.cohort import Cohort, Row, shared
from benchmark.boards.decisions import decide, p_of_pair
from benchmark.boards.ensembles import best_row
from benchmark.boards.statistics import (
    Comparison,
    compare,
    comparisons,
    effects,
    effects_of,
    holm,
    pairs_of,
)
from benchmark.run import Run

RANKED, SHOULD_LOSE, TAUGHT = "ranked", "should_lose", "distilled_against_alone"
TUNED, ENSEMBLE = "tuned_against_default", "ensemble_against_best_member"
"""Families: all pairs of ranked rows; each of these against each probe that should lose; a taught
student against the same student alone; a tuned model against the same with its default values, on
the seeds of both; an ensemble against the one member that scored best, fold by fold, in the inner
runs that chose the ensemble. One more is in benchmark.boards.calibration."""
COLUMNS = (
    "board",
    "family",
    "model",
    "signals",
    "recipe",
    "against",
    "against_signals",
    "against_recipe",
    "n_subjects",
    "difference",
    "low",
    "high",
    "median_difference",
    "rank_biserial",
    "p",
    "p_corrected",
    "won",
    "lost",
    "claim",
)


@dataclass(frozen=True)
class Pair:
    """Macro F1 of two rows on the subjects that both have tested.

    Attributes:
        first: Scores by subject, in order of subject.
        second: The other's, of the same subjects.
        comparison: First less second.
        median: Median difference.
        rank_biserial: Matched-pairs rank-biserial correlation.
    """

    first: dict[str, float]
    second: dict[str, float]
    comparison: Comparison
    median: float
    rank_biserial: float


def pair(first: dict[str, float], second: dict[str, float], p: float | None = None) -> Pair | None:
    """Compare scores by subject; None if no subject has both.

    Args:
        first: Scores by subject.
        second: Scores of the other.
        p: The p-value, where it was computed before.
    """
    subjects = [subject for subject in first if subject in second]
    if not subjects:
        return None
    a, b = ({s: scores[s] for s in subjects} for scores in (first, second))
    values = list(a.values()), list(b.values())
    return Pair(a, b, compare(*values, p), *effects(*values))


def comparisons_table(
    cohorts: Iterable[Cohort],
    gains: pd.DataFrame,
    best: Mapping[Run, Run] | None = None,
    calibrated: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return all families, a line a pair; ``claim`` where the p-value is one of a decision.

    Incomplete rows are in no line. Where rows are ranked by the units of all people together, the
    p-values are those of that score, while the differences are means over people.

    Args:
        cohorts: Rows of all boards.
        gains: Table of benchmark.boards.distillation.
        best: Best member by run of the ensemble, as from benchmark.boards.ensembles.
        calibrated: Table of benchmark.boards.calibration.
    """
    lines: list[dict[str, Any]] = []
    for cohort in cohorts:
        lines += [*_ranked(cohort), *_should_lose(cohort), *_tuned(cohort)]
        lines += _ensembles(cohort, best or {})
    lines += [_taught(line) for line in gains.to_dict("records") if line["n_subjects"]]
    lines += compared(calibrated) if calibrated is not None else []
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _ranked(cohort: Cohort) -> list[dict[str, Any]]:
    """Return a line for each pair of ranked rows, the better one first."""
    decisions = decide(cohort)
    rows, values = decisions.rows, decisions.values
    pairs = pairs_of(len(rows))
    if not pairs:
        return []
    scores = np.array([list(row.macro_f1.values()) for row in rows])
    first, second = np.array(pairs).T
    differences = scores[first] - scores[second]
    of_pairs = comparisons(differences, values.alone)
    sizes = zip(*effects_of(differences), strict=True)
    return [
        _labels(cohort, RANKED, rows[i], rows[j])
        | _columns(comparison, float(median), float(rank_biserial))
        | {"p_corrected": float(corrected), "claim": True}
        for (i, j), comparison, (median, rank_biserial), corrected in zip(
            pairs, of_pairs, sizes, values.corrected, strict=True
        )
    ]


def _should_lose(cohort: Cohort) -> list[dict[str, Any]]:
    """Return a line for each ranked row and each complete probe that should lose."""
    return [
        _line(cohort, SHOULD_LOSE, row, probe, p_of_pair(cohort, row, probe))
        for probe in cohort.complete
        if probe.blind
        for row in decide(cohort).rows
    ]


def _tuned(cohort: Cohort) -> list[dict[str, Any]]:
    """Return a line for each complete tuned row against the row with the untuned values.

    Both count with the seeds that both have, as a seed deals people out to folds anew. P-values are
    corrected (Holm) over these lines of the board.
    """
    pairs = [
        (shared(row, default), shared(default, row))
        for row in cohort.complete
        for default in cohort.complete
        if row.run.budget and not default.run.budget and _as_tuned(default.run, row.run) == row.run
    ]
    pairs = [(row, default) for row, default in pairs if row.scores]
    p_values = [p_of_pair(cohort, row, default) for row, default in pairs]
    return [
        _line(cohort, TUNED, row, default, p) | {"p_corrected": corrected, "claim": True}
        for (row, default), p, corrected in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def _ensembles(cohort: Cohort, best: Mapping[Run, Run]) -> list[dict[str, Any]]:
    """Return a line for each complete ensemble against its best member of each fold and seed.

    P-values are corrected (Holm) over these lines of the board.
    """
    pairs = [
        (row, other)
        for row in cohort.complete
        if row.run.members and (other := best_row(row, cohort, best))
    ]
    p_values = [p_of_pair(cohort, row, other) for row, other in pairs]
    lines = []
    for (row, other), p, corrected in zip(pairs, p_values, holm(p_values), strict=True):
        counts = Counter(result.run.name for result in other.results).most_common()
        which = ", ".join(f"{name} {count}" for name, count in counts)
        against = {"against": "best member", "against_signals": "", "against_recipe": which}
        line = _line(cohort, ENSEMBLE, row, other, p) | against
        lines.append(line | {"p_corrected": corrected, "claim": True})
    return lines


def _as_tuned(default: Run, tuned: Run) -> Run:
    """Return the run of a row of a model, as that of its tuned row would be."""
    return replace(default.without_values(tuned.tuned), budget=tuned.budget, tuned=tuned.tuned)


def _line(cohort: Cohort, family: str, one: Row, other: Row, p: float) -> dict[str, Any]:
    its = pair(one.macro_f1, other.macro_f1, p)
    columns = statistics(its) if its else {}
    return {**_labels(cohort, family, one, other), **columns, "claim": False}


def _labels(cohort: Cohort, family: str, one: Row, other: Row) -> dict[str, Any]:
    return {
        "board": cohort.name,
        "family": family,
        **dict(zip(("model", "signals", "recipe"), one.label, strict=True)),
        **dict(zip(("against", "against_signals", "against_recipe"), other.label, strict=True)),
    }


def _taught(gain: dict[Any, Any]) -> dict[str, Any]:
    """Return a line of the distillation board as a comparison."""
    model = f"{gain['student']}-by_{gain['distiller']}"
    recipe = gain["recipe"]
    if gain["teacher"] != "none":
        model += f"-of_{gain['teacher']}"
        several = f" {gain['out_of_fold']} out of fold" if gain["out_of_fold"] else ""
        recipe += f"; teacher {gain['teacher_signals'] or 'none'} {gain['teacher_recipe']}{several}"
    names = ("n_subjects", "rank_biserial", "p", "won", "lost")
    return {
        "board": gain["board"],
        "family": TAUGHT,
        "model": model,
        "signals": gain["student_signals"],
        "recipe": recipe,
        "against": gain["student"],
        "against_signals": gain["student_signals"],
        "difference": gain["gain"],
        "low": gain["gain_low"],
        "high": gain["gain_high"],
        "median_difference": gain["median_gain"],
        **{name: gain[name] for name in names},
        "p_corrected": gain["p_holm"],
        "claim": not gain["control"] and not gain["n_missing"],
    }


def statistics(its: Pair) -> dict[str, Any]:
    """Return the columns of a comparison, without the corrected p-value."""
    return _columns(its.comparison, its.median, its.rank_biserial)


def _columns(comparison: Comparison, median: float, rank_biserial: float) -> dict[str, Any]:
    return {
        "n_subjects": comparison.n,
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "median_difference": median,
        "rank_biserial": rank_biserial,
        "p": comparison.p,
        "won": comparison.won,
        "lost": comparison.lost,
    }

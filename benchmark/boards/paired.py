"""Paired comparisons of a board's rows: the two families of tests that are claims."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import Cohort, Row
from benchmark.boards.statistics import Comparison, compare, effects, holm, tie_groups

COLUMNS = (
    "board",
    "family",
    "model",
    "signals",
    "recipe",
    "against",
    "against_signals",
    "n_subjects",
    "difference",
    "low",
    "high",
    "median_difference",
    "rank_biserial",
    "p",
    "p_holm",
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


def pair(first: dict[str, float], second: dict[str, float]) -> Pair | None:
    """Compare scores by subject; None if no subject has both."""
    subjects = [subject for subject in first if subject in second]
    if not subjects:
        return None
    a, b = ({s: scores[s] for s in subjects} for scores in (first, second))
    values = list(a.values()), list(b.values())
    return Pair(a, b, compare(*values), *effects(*values))


def against_simple(cohort: Cohort) -> list[tuple[Row, Pair, float]]:
    """Compare every other row with the better simple baseline; with corrected p-values.

    The family is every other complete row of the board, probes too: one correction for all that
    the board shows. Of an incomplete row the p-value is no claim and is not corrected (NaN).
    """
    simple = cohort.simple
    if simple is None:
        return []
    others = [
        (row, pair(row.macro_f1, simple.macro_f1)) for row in cohort.rows if row is not simple
    ]
    paired = [(row, its) for row, its in others if its]
    corrected = iter(holm([its.comparison.p for row, its in paired if row.complete]))
    return [(row, its, next(corrected) if row.complete else np.nan) for row, its in paired]


def groups(cohort: Cohort) -> list[int]:
    """Return the tie group of every complete row, see benchmark.boards.statistics.tie_groups."""
    return tie_groups(np.array([list(row.macro_f1.values()) for row in cohort.complete]))


def median_spread(cohort: Cohort) -> float:
    """Return the median standard deviation of paired differences, over pairs of complete rows.

    Pairs that do not differ on anybody do not count; NaN without a pair or for a single subject.
    """
    scores = np.array([list(row.macro_f1.values()) for row in cohort.complete])
    if len(cohort.tested) < 2:
        return np.nan
    spreads = [float(np.std(a - b, ddof=1)) for a, b in combinations(scores, 2) if (a != b).any()]
    return float(np.median(spreads)) if spreads else np.nan


def comparisons_table(cohorts: Iterable[Cohort], gains: pd.DataFrame) -> pd.DataFrame:
    """Return both families, a line a pair; ``claim`` where the p-value is corrected.

    Args:
        cohorts: Rows of all boards.
        gains: Table of benchmark.boards.distillation.
    """
    lines: list[dict[str, Any]] = []
    for cohort in cohorts:
        simple = cohort.simple
        lines += [
            {
                "board": cohort.name,
                "family": "against_simple",
                **dict(zip(("model", "signals", "recipe"), row.label, strict=True)),
                **(
                    {"against": simple.label[0], "against_signals": simple.label[1]}
                    if simple
                    else {}
                ),
                **statistics(its),
                "p_holm": p_holm,
                "claim": row.complete,
            }
            for row, its, p_holm in against_simple(cohort)
        ]
    lines += [_taught(line) for line in gains.to_dict("records") if line["n_subjects"]]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _taught(gain: dict[Any, Any]) -> dict[str, Any]:
    """Return a line of the distillation board as a comparison."""
    model = f"{gain['student']}-by_{gain['distiller']}"
    recipe = gain["recipe"]
    if gain["teacher"] != "none":
        model += f"-of_{gain['teacher']}"
        several = f" {gain['out_of_fold']} out of fold" if gain["out_of_fold"] else ""
        recipe += f"; teacher {gain['teacher_signals'] or 'none'} {gain['teacher_recipe']}{several}"
    names = ("n_subjects", "rank_biserial", "p", "p_holm", "won", "lost")
    return {
        "board": gain["board"],
        "family": "distilled_against_alone",
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
        "claim": not gain["control"],
    }


def statistics(its: Pair) -> dict[str, Any]:
    """Return the columns of a comparison, without the corrected p-value."""
    comparison = its.comparison
    return {
        "n_subjects": comparison.n,
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "median_difference": its.median,
        "rank_biserial": its.rank_biserial,
        "p": comparison.p,
        "won": comparison.won,
        "lost": comparison.lost,
    }

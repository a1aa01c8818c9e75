"""Uncertainty of every row: how sure it is, how sure it should be, and what its sets hold.

Temperature and threshold are fitted a run, on its validation people; what is measured is a mean
over the people who are tested. Probabilities, sets and units are those that boards score.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.boards.calibrated import LEAST_UNITS, Calibrated, calibrated_results
from benchmark.boards.cohort import Cohort, Row, repetition
from benchmark.boards.confidence import COLDEST, KEPT, NOMINAL, ROUNDING, WARMEST
from benchmark.boards.statistics import CONFIDENCE, LEAST_SUBJECTS, interval
from benchmark.store import Store

MEANS = (
    "log_loss",
    "log_loss_calibrated",
    "brier",
    "brier_calibrated",
    "ece",
    "ece_calibrated",
)
COUNTS = ("n_subjects", "n_validation", "n_validation_units")
SETS = ("set_size", "single_sets", "empty_sets")
SHARES = ("below_nominal", "single_sets", "empty_sets")
COLUMNS = (
    "board",
    "model",
    "signals",
    "recipe",
    "complete",
    *COUNTS,
    "temperature",
    *MEANS,
    "coverage",
    "coverage_low",
    "coverage_high",
    "coverage_decile",
    "below_nominal",
    *SETS,
    "accuracy",
    "selective_accuracy",
    "selective_gain",
    "gain_low",
    "gain_high",
    "note",
)
HEAD = (
    "uncertainty: a line a row of each board; temperature and sets are fitted in each run on its "
    "validation people, who are neither trained on nor tested, and measured on the people whom the "
    "run tests, over score units; means over people, seeds averaged within a person first",
    "temperature: T of softmax(log p / T) that has the smallest log loss on the validation units, "
    f"from {COLDEST:g} to {WARMEST:g}, median over runs; above 1: probabilities were too sure",
    "log_loss, brier, ece: before temperature, and after it (_calibrated); a probability of 0 "
    "counts as 2.2e-16 in a logarithm, as in scikit-learn",
    f"sets: split-conformal at {NOMINAL:.0%}: the classes whose probability after temperature "
    "reaches the threshold of the validation units; an empty set has size 0 and covers nothing",
    "coverage: share of a person's units whose set holds their class; coverage_decile: its tenth "
    f"percentile over people; below_nominal: share of people with less than {NOMINAL:.0%}; "
    "single_sets, empty_sets: shares of sets of one class and of none",
    "the guarantee of conformal sets holds for units that are exchangeable with the validation "
    "units; units of new people are not, as the units of one person hang together: coverage here "
    "is measured, and not promised to the next person",
    "validation people also chose the epoch of a network, the values of a tuned row and the "
    "members of an ensemble, which may so look surer on them than on others",
    f"selective_accuracy: accuracy over the {KEPT:.0%} of a person's units with the highest "
    "largest probability, before temperature; units at the border count in part; selective_gain: "
    "less the accuracy over all units of the same person",
    "n_validation, n_validation_units: validation people, and their units, of the run that has the "
    "fewest",
    f"intervals: Student t over people ({CONFIDENCE:.0%}), none below {LEAST_SUBJECTS}, "
    "conditional on the people who were trained on and validated",
)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Uncertainty of one row.

    Attributes:
        row: The row.
        runs: Its runs, each as it was calibrated.
        people: By tested person, what was measured, seeds averaged; empty where any run lacks it.
        note: Why there is nothing, or what a reader must know.
    """

    row: Row
    runs: Sequence[Calibrated] = ()
    people: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""

    def values(self, name: str) -> list[float]:
        """Return one value of every person."""
        return [of_person[name] for of_person in self.people.values()]


def uncertainties(cohorts: Iterable[Cohort], store: Store) -> dict[str, list[Uncertainty]]:
    """Return the uncertainty of every row in order of its board, by name of the board.

    Args:
        cohorts: Rows of the boards of today.
        store: Their store.
    """
    cohorts = list(cohorts)
    results = [result for cohort in cohorts for row in cohort.rows for result in row.results]
    calibrated = calibrated_results(results, store)
    return {c.name: [uncertainty_of(row, calibrated) for row in c.rows] for c in cohorts}


def uncertainty_of(row: Row, calibrated: Mapping[Path, Calibrated]) -> Uncertainty:
    """Return the uncertainty of a row; there is none of a row that lacks scores or calibration.

    Where several folds test a person, what is measured in each counts by its number of units.

    Args:
        row: The row.
        calibrated: What calibration comes to in each result that is done, by its folder.
    """
    if not row.complete:
        return Uncertainty(row, note=f"lacks {row.missing} of {row.expected} scores")
    runs = [calibrated[result.folder] for result in row.done]
    if reasons := Counter(run.reason for run in runs if run.reason):
        said = [f"{reason} ({count} of {len(runs)} runs)" for reason, count in reasons.items()]
        return Uncertainty(row, note="; ".join(said))
    of_seeds: dict[str, dict[tuple[int, int], list[Mapping[str, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for result, run in zip(row.done, runs, strict=True):
        for person, values in (run.values or {}).items():
            of_seeds[person][repetition(result.run)].append(values)
    people = {
        person: _mean([_mean(folds, "n_units") for folds in seeds.values()])
        for person, seeds in sorted(of_seeds.items())
    }
    few = sum(run.n_units < LEAST_UNITS for run in runs)
    note = f"sets of all classes, as validation units are fewer than {LEAST_UNITS}"
    return Uncertainty(row, runs, people, f"{note} ({few} of {len(runs)} runs)" if few else "")


def uncertainty_table(boards: Mapping[str, Sequence[Uncertainty]]) -> pd.DataFrame:
    """Return one line a row, in the order of the boards; lines without values say why."""
    lines = [
        {"board": board, **dict(zip(COLUMNS[1:4], one.row.label, strict=True)), **line_of(one)}
        for board, rows in boards.items()
        for one in rows
    ]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COUNTS, "Int64"))


def uncertainty_head(boards: Mapping[str, Sequence[Uncertainty]]) -> tuple[str, ...]:
    """Return lines that say how to read the table, and name rows that were refused."""
    refused = [
        f"REFUSED: {board}, {one.row.run.name}: {one.note}"
        for board, rows in boards.items()
        for one in rows
        if "REFUSED" in one.note
    ]
    return (*HEAD, *refused)


def line_of(one: Uncertainty) -> dict[str, object]:
    """Return the values of a line by name of the column, after its labels."""
    known: dict[str, object] = {"complete": one.row.complete, "note": one.note}
    if not one.people:
        return known
    coverage, low, high = interval(one.values("coverage"))
    pairs = zip(one.values("selective_accuracy"), one.values("accuracy"), strict=True)
    gains = [round((of_some - of_all) / ROUNDING) * ROUNDING for of_some, of_all in pairs]
    return {
        **known,
        "n_subjects": len(one.people),
        "n_validation": min(run.n_people for run in one.runs),
        "n_validation_units": min(run.n_units for run in one.runs),
        "temperature": float(np.median([run.temperature for run in one.runs])),
        **{
            name: float(np.mean(one.values(name)))
            for name in (*MEANS, *SETS, "accuracy", "selective_accuracy")
        },
        "coverage": coverage,
        "coverage_low": float(np.clip(low, 0.0, 1.0)),
        "coverage_high": float(np.clip(high, 0.0, 1.0)),
        "coverage_decile": float(np.quantile(one.values("coverage"), 0.1)),
        "below_nominal": float(
            np.mean([value < NOMINAL - ROUNDING for value in one.values("coverage")])
        ),
        **dict(zip(("selective_gain", "gain_low", "gain_high"), interval(gains), strict=True)),
    }


def _mean(several: Sequence[Mapping[str, float]], weight: str = "") -> dict[str, float]:
    """Return the mean of each value, weighted by one of them, or not."""
    if len(several) == 1 and not weight:
        return dict(several[0])
    weights = [values[weight] if weight else 1.0 for values in several]
    total = sum(weights)
    return {
        name: sum(w * values[name] for w, values in zip(weights, several, strict=True)) / total
        for name in several[0]
    }

"""What a calibration adds: each model of a calibrated board, against itself without calibration.

Both are scored on the same people and on the same score units: units that a baseline leaves out do
not count for either.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import Cohort, Row, recipe_label, repetition, signals_label
from benchmark.boards.statistics import CONFIDENCE, compare, effects, holm
from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from benchmark.scored import Scored, together
from benchmark.store import PREDICTIONS, Store, parsed
from datamodules.calibration import KINDS
from datamodules.protocol import Protocol
from lightning_modules.metrics import macro_f1
from lightning_modules.units import Columns, Units, score_units

AGAINST_NONE = "calibrated_against_none"
"""Family of comparisons: each model of a board of calibrated people against itself without."""
SEES = ("signals", "motion", "windows")
"""What a probe sees, if a calibration changes it."""
COLUMNS = (
    "board",
    "model",
    "signals",
    "recipe",
    "calibration",
    "n_subjects",
    "n_seeds",
    "n_units",
    "n_one_class",
    "none",
    "calibrated",
    "adds",
    "low",
    "high",
    "median_adds",
    "rank_biserial",
    "p",
    "p_corrected",
    "won",
    "lost",
    "complete",
    "claim",
    "reading",
)
HEAD = (
    "calibration: macro F1 of a model whose people are calibrated, less that of the same model "
    "without calibration, paired over the same people and the same score units; units that a "
    "baseline leaves out count for neither",
    f"low and high: Student t over subjects, {CONFIDENCE:.0%}; p: sign-flip test of the mean over "
    "subjects, p_corrected (Holm) over the complete models of a calibrated board",
    "n_one_class: people whose units are all of one class, for whom macro F1 says little",
    "whole is transductive: what comes after a window has a say in it; unlabelled and baseline are "
    "causal as far as calibration goes, and a baseline takes knowing when the person rests",
)
Key = tuple[tuple[int, int], str]
"""Seed and partition, and subject."""


def uncalibrated(run: Run) -> Run:
    """Return the run without what calibration and the people whom it leaves out change."""
    others = (tuple(map(uncalibrated, runs)) for runs in (run.teachers, run.members))
    teachers, members = others
    return replace(
        run,
        protocol=replace(run.protocol, calibration=Protocol().calibration),
        subjects=(),
        data="",
        window=0.0,
        teachers=teachers,
        members=members,
    )


def calibration_table(cohorts: Sequence[Cohort], store: Store) -> pd.DataFrame:
    """Return one line a calibrated row that has a counterpart without calibration.

    Rows that see no signals are in no line. P-values are corrected (Holm) over the complete lines
    of a board; of a line that lacks runs nothing is claimed.

    Args:
        cohorts: Rows of all boards.
        store: Store of their predictions.
    """
    plain = {
        uncalibrated(row.run): row
        for cohort in _of(cohorts, calibrated=False)
        for row in cohort.rows
    }
    tests: dict[int, dict[Key, Units]] = {}

    def tested(row: Row) -> dict[Key, Units]:
        if id(row) not in tests:
            tests[id(row)] = _tested(row.done, store)
        return tests[id(row)]

    lines = []
    for cohort in _of(cohorts, calibrated=True):
        of_board = [
            _line(cohort, row, other, tested(row), tested(other))
            for row in cohort.rows
            if _sees_signals(row.run) and (other := plain.get(uncalibrated(row.run)))
        ]
        of_board = [line for line in of_board if line["n_subjects"]]
        claims = [line for line in of_board if line["claim"]]
        for line, p in zip(claims, holm([line["p"] for line in claims]), strict=True):
            line["p_corrected"] = p
        lines += of_board
    kinds = {kind: place for place, kind in enumerate(KINDS)}
    lines.sort(
        key=lambda line: (
            str(line["board"]).rpartition("__")[0],
            line["model"],
            line["signals"],
            line["recipe"],
            kinds[line["calibration"].partition(":")[0]],
            line["calibration"],
        )
    )
    return pd.DataFrame(lines, columns=list(COLUMNS))


def compared(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines of the table as comparisons, see benchmark.boards.paired."""
    same = (
        *("board", "model", "signals", "recipe", "n_subjects", "low", "high", "rank_biserial"),
        *("p", "p_corrected", "won", "lost", "claim"),
    )
    return [
        {name: line[name] for name in same}
        | {
            "family": AGAINST_NONE,
            "against": f"{line['model']} without calibration",
            "against_signals": line["signals"],
            "against_recipe": line["recipe"],
            "difference": line["adds"],
            "median_difference": line["median_adds"],
        }
        for line in table.to_dict("records")
    ]


def _of(cohorts: Iterable[Cohort], calibrated: bool) -> list[Cohort]:
    """Return the boards of people who are calibrated, or of those who are not."""
    return [c for c in cohorts if bool(c.results[0].run.protocol.calibrating) == calibrated]


def _sees_signals(run: Run) -> bool:
    probe = PROBES.get(run.model)
    return probe is None or probe.sees in SEES or probe.encoder is not None


def _tested(results: Iterable[Scored], store: Store) -> dict[Key, Units]:
    """Return the score units of each subject, over all folds of a seed and partition together."""
    folds: dict[tuple[int, int], list[Columns]] = defaultdict(list)
    for result in results:
        content = store.read(result.folder, result, PREDICTIONS)
        folds[repetition(result.run)].append(parsed(content, result.folder))
    return {
        (seed, subject): units
        for seed, columns in sorted(folds.items())
        for subject, units in score_units(together(columns)).items()
    }


def _shared(units: Units, keys: Sequence[tuple[object, ...]]) -> Units:
    """Return some of the units of a subject, in order of ``keys``."""
    place = {key: number for number, key in enumerate(units.keys)}
    rows = [place[key] for key in keys]
    return Units(tuple(keys), units.target[rows], units.probabilities[:, rows])


def _line(
    cohort: Cohort, row: Row, other: Row, after: Mapping[Key, Units], before: Mapping[Key, Units]
) -> dict[str, Any]:
    seeds = {seed for seed, _ in after} & {seed for seed, _ in before}
    scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
    n_units, one_class = 0, set()
    subjects = {subject for _, subject in after} & {subject for _, subject in before}
    for subject in sorted(subjects):
        pairs = [(after.get((s, subject)), before.get((s, subject))) for s in sorted(seeds)]
        for ours, theirs in pairs:
            if ours is None or theirs is None:
                continue
            of_both = set(ours.keys) & set(theirs.keys)
            keys = [key for key in ours.keys if key in of_both]
            arms = [_shared(units, keys) for units in (ours, theirs)]
            if keys:
                scores[subject].append((arms[0].score(macro_f1), arms[1].score(macro_f1)))
                n_units += len(keys)
                if len(np.unique(arms[0].target)) == 1:
                    one_class.add(subject)
    means = {subject: np.mean(pairs, axis=0).tolist() for subject, pairs in scores.items()}
    calibration = row.run.protocol.calibration
    line: dict[str, Any] = {
        "board": cohort.name,
        "model": row.run.name,
        "signals": signals_label(row.run),
        "recipe": recipe_label(row.run),
        "calibration": calibration,
        "n_subjects": len(means),
        "n_seeds": len(seeds),
        "n_units": n_units // max(len(seeds), 1),
        "n_one_class": len(one_class),
        "complete": row.complete and other.complete,
        "p_corrected": np.nan,
    }
    if not means:
        return line
    calibrated, none = map(list, zip(*means.values(), strict=True))
    comparison = compare(calibrated, none)
    median, rank_biserial = effects(calibrated, none)
    interval = (
        "" if np.isnan(comparison.low) else f" ({comparison.low:+.3f} to {comparison.high:+.3f})"
    )
    return line | {
        "none": np.mean(none),
        "calibrated": np.mean(calibrated),
        "adds": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "median_adds": median,
        "rank_biserial": rank_biserial,
        "p": comparison.p,
        "won": comparison.won,
        "lost": comparison.lost,
        "claim": line["complete"],
        "reading": f"{calibration} adds {comparison.difference:+.3f} macro F1 here{interval}",
    }

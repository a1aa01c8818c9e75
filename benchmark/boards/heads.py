"""Heads of boards: what a reader must know before the first row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmark.boards.cohort import Cohort
from benchmark.boards.paired import median_spread
from benchmark.boards.provenance import provenance_head
from benchmark.boards.scores import DAMAGED
from benchmark.boards.statistics import CONFIDENCE, POWER, detectable
from benchmark.run import Run
from benchmark.scored import Scored

TITLE = "macro F1 over score units, mean over subjects, seeds averaged within a subject"
"""First line of the head of a board, after its name."""


def board_head(cohort: Cohort, plan: Iterable[Run]) -> list[str]:
    """Return lines on protocol, size, chance, detectable difference, data, versions and gaps.

    Args:
        cohort: Rows of the board.
        plan: Runs that the latest call asked for.
    """
    results, run, n = cohort.results, cohort.results[0].run, len(cohort.tested)
    n_classes, majority = cohort.n_classes, cohort.majority
    versions = {f"{k} {v}" for r in results for k, v in r.versions.items()}
    devices = sorted({result.device for result in results if result.device})
    units = {(r.run.fold, s): n for r in results for s, n in r.n_units.items()}
    words = run.protocol.splitting.words(run.protocol.validation)
    lines = [
        f"{cohort.name}: {TITLE}",
        f"protocol {run.protocol.version}, honest: {words} read once",
        f"n = {n} subjects, {sum(units.values())} score units; intervals: Student t over "
        f"subjects, {CONFIDENCE:.0%}",
    ]
    if n_classes:
        lines.append(
            f"chance: balanced accuracy {1 / n_classes:.4f} whatever the class mix"
            + (f"; majority: macro F1 {majority.mean:.4f}" if majority else "")
        )
    lines += [*_power(cohort), *_one_class(cohort.done, n)]
    lines += provenance_head(cohort.rows)
    lines.append(
        f"data {run.data}, raw files {' '.join(sorted({r.raw for r in results if r.raw}))}"
    )
    lines.append(f"{', '.join(sorted(versions))}; {'; '.join(devices)}")
    return [*lines, *_incomplete(cohort, plan), *_unsure(results)]


def _unsure(results: Sequence[Scored]) -> list[str]:
    """Return lines on results whose predictions are not those committed, or may not be."""
    damaged = [result.run for result in results if result.status == "damaged"]
    lines = [f"NOT RANKED, {DAMAGED}: {run.name} {Path(run.folder).name}" for run in damaged]
    believed = sum(result.status == "done" and not result.files for result in results)
    if believed:
        lines.append(
            f"{believed} result(s) were kept by a version that recorded no digests of files: their "
            "predictions are believed"
        )
    return lines


def _incomplete(cohort: Cohort, plan: Iterable[Run]) -> list[str]:
    """Return a line on the missing part of a board: failed, not done or never begun."""
    first = cohort.results[0].run
    failed = sum(result.status == "failed" for result in cohort.results)
    ids = {result.run.id for result in cohort.results}
    waiting = [
        run
        for run in plan
        if (run.board, run.protocol, run.data) == (first.board, first.protocol, first.data)
        and not run.without
        and run.id not in ids
    ]
    reasons = [
        f"{row.run.name} lacks {row.missing} of {row.expected}"
        for row in cohort.rows
        if not row.complete
    ]
    names = {row.run.name for row in cohort.rows}
    reasons += [
        f"{name} has not run"
        for name in dict.fromkeys(run.name for run in waiting)
        if name not in names
    ]
    if not (reasons or failed or waiting):
        return []
    planned = f", {len(waiting)} planned run(s) not done" if waiting else ""
    return [f"INCOMPLETE, {failed} failed run(s){planned}: {'; '.join(reasons)}"]


def _power(cohort: Cohort) -> list[str]:
    """Return a line on the smallest difference that this number of subjects can show."""
    spread, n = median_spread(cohort), len(cohort.tested)
    if np.isnan(spread):
        return []
    smallest = detectable(spread, n)
    if np.isinf(smallest):
        return [f"with n = {n} no difference can be told: the signed-rank test cannot reach 5%"]
    return [
        f"smallest difference of two rows that n = {n} shows with {POWER:.0%} power: "
        f"{smallest:.4f} macro F1 (paired t-test, two-sided, {1 - CONFIDENCE:.0%}, before any "
        f"correction; standard deviation of paired differences {spread:.4f}, median over pairs)"
    ]


def _one_class(done: Iterable[Scored], n: int) -> list[str]:
    """Return a line on the subjects of whom one class alone was tested."""
    classes: dict[str, set[int]] = defaultdict(set)
    for result in done:
        for subject, confusion in result.confusion.items():
            classes[subject] |= {k for k, row in enumerate(confusion) if any(row)}
    alone = sum(len(tested) == 1 for tested in classes.values())
    if not alone:
        return []
    return [f"{alone} of {n} subjects have score units of one class only; see pooled_macro_f1"]

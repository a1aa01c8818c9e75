"""Heads of boards: what a reader must know before the first row."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from benchmark.boards.cohort import Cohort, Row
from benchmark.boards.paired import median_spread
from benchmark.boards.statistics import CONFIDENCE, POWER, detectable
from benchmark.result import Result
from benchmark.run import Run

TITLE = "macro F1 over score units, mean over subjects, seeds averaged within a subject"
"""What boards show; their first line begins with their name and this."""


def board_head(
    cohort: Cohort,
    done: Sequence[Result],
    n_classes: int,
    majority: Row | None,
    plan: Iterable[Run],
) -> list[str]:
    """Protocol, size, chance, the smallest difference that can be told, data, versions, gaps.

    Args:
        cohort: Runs of the board.
        done: Those of them that are done.
        n_classes: K; 0 if none is done.
        majority: Row of that probe.
        plan: Runs that were asked for.
    """
    results, run, n = cohort.results, cohort.results[0].run, len(cohort.tested)
    versions = {f"{k} {v}" for r in results for k, v in r.versions.items()}
    devices = sorted({result.device for result in results if result.device})
    units = {(r.run.fold, s): n for r in results for s, n in r.n_units.items()}
    disjoint = {
        "subject_stimulus_k_fold": "subjects and stimuli disjoint, epoch chosen on validation "
        "subjects and stimuli, test subjects",
        "trial_k_fold": "one model a subject, trials disjoint, epoch chosen on validation trials, "
        "test trials",
        "session_out": "one model a subject, sessions disjoint, epoch chosen on validation trials, "
        "test trials",
    }.get(run.split, "subjects disjoint, epoch chosen on validation subjects, test subjects")
    if not run.validation:
        disjoint = re.sub("epoch chosen on [^,]*", "epoch chosen on what is trained on", disjoint)
    lines = [
        f"{cohort.name}: {TITLE}",
        f"protocol {run.protocol}, honest: {disjoint} read once",
        f"n = {n} subjects, {sum(units.values())} score units; intervals: Student t over "
        f"subjects, {CONFIDENCE:.0%}",
    ]
    if n_classes:
        lines.append(
            f"chance: balanced accuracy {1 / n_classes:.4f} whatever the class mix"
            + (f"; majority: macro F1 {majority.mean:.4f}" if majority else "")
        )
    lines += [*_power(cohort), *_one_class(done, n)]
    lines.append(
        f"data {run.data}, raw files {' '.join(sorted({r.raw for r in results if r.raw}))}"
    )
    lines.append(f"{', '.join(sorted(versions))}; {'; '.join(devices)}")
    return [*lines, *_incomplete(cohort, plan)]


def _incomplete(cohort: Cohort, plan: Iterable[Run]) -> list[str]:
    """How much of the board is missing: failed, not done, or planned and never begun."""
    first = cohort.results[0].run
    failed = sum(result.status == "failed" for result in cohort.results)
    there = {result.run.id for result in cohort.results}
    waiting = [
        run
        for run in plan
        if (run.board, run.protocol, run.data) == (first.board, first.protocol, first.data)
        and not run.without
        and run.id not in there
    ]
    reasons = [
        f"{row.run.name} lacks {row.missing} of {row.wanted}"
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
    """How small a difference between two rows this number of subjects can show."""
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


def _one_class(done: Iterable[Result], n: int) -> list[str]:
    """Says of how many subjects one class alone was tested."""
    classes: dict[str, set[int]] = defaultdict(set)
    for result in done:
        for subject, confusion in result.confusion.items():
            classes[subject] |= {k for k, row in enumerate(confusion) if any(row)}
    alone = sum(len(found) == 1 for found in classes.values())
    if not alone:
        return []
    return [f"{alone} of {n} subjects have score units of one class only; see pooled_macro_f1"]

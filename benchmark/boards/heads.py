"""Heads of boards: what a reader must know before the first row."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmark.boards.chance import chance_of
from benchmark.boards.cohort import SIMPLE, Cohort
from benchmark.boards.power import LEAST, POWER, smallest_difference
from benchmark.boards.provenance import provenance_head
from benchmark.boards.remarks import remarks
from benchmark.boards.statistics import CONFIDENCE, EXACT, FLIPS, LEAST_SUBJECTS
from benchmark.plugins import not_loaded
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.catalogue import DATASETS

TITLE = "macro F1 over score units, mean over subjects, seeds averaged within a subject"
"""First line of the head of a board, after its name."""


def board_head(cohort: Cohort, plan: Iterable[Run]) -> list[str]:
    """Return lines on protocol, size, chance, detectable difference, data, versions and gaps.

    Args:
        cohort: Rows of the board.
        plan: Runs that the latest call asked for.
    """
    results, run, n = cohort.results, cohort.results[0].run, len(cohort.tested)
    versions = {f"{k} {v}" for r in results for k, v in r.versions.items()}
    devices = sorted({result.device for result in results if result.device})
    first = [r for r in results if not run.protocol.partition(r.run.fold)]
    units = {(r.run.fold, s): n for r in first for s, n in r.n_units.items()}
    words = run.protocol.splitting.words(run.protocol.validation)
    return [
        f"{cohort.name}: {TITLE}",
        f"protocol {run.protocol.version}, honest: {words} read once",
        *_calibration(run),
        *_trained_on(run),
        f"n = {n} subjects, {sum(units.values())} score units; {_intervals(n)}",
        *remarks(cohort),
        *_chance(cohort),
        *_stimuli(run),
        *_decisions(cohort),
        *_one_class(cohort),
        *provenance_head(cohort.rows),
        f"data {run.data}, raw files {' '.join(sorted({r.raw for r in results if r.raw}))}",
        f"{', '.join(sorted(versions))}; {'; '.join(devices)}",
        *_seeds(cohort),
        *_incomplete(cohort, plan),
        *_unsure(results),
        *_not_loaded(results),
    ]


def _calibration(run: Run) -> list[str]:
    """Return a line on what models are given of each person beforehand, if anything."""
    calibration = run.protocol.calibrating
    if not calibration:
        return []
    table = "personalisation" if calibration.kind == "labelled" else "calibration"
    return [
        f"calibration {calibration}: {calibration.about}. Not to be ranked with boards that are "
        f"not calibrated so; what it adds is in {table}.csv"
    ]


def _trained_on(run: Run) -> list[str]:
    """Return a line on the domain of the models of a board that trains none."""
    if run.protocol.splitting.trains or not run.trained:
        return []
    trained = run.trained[0]
    return [
        f"models of {trained.domain}, {trained.task}, {trained.protocol.slug}: everybody here whom "
        "the model of a fold has not seen is tested by it, and folds are averaged within a subject"
    ]


def _intervals(n: int) -> str:
    if n < LEAST_SUBJECTS:
        return f"no intervals: they take {LEAST_SUBJECTS} subjects"
    return (
        f"intervals: Student t over subjects, {CONFIDENCE:.0%}, conditional on these training "
        "people: other people to train on would move all scores together"
    )


def _chance(cohort: Cohort) -> list[str]:
    """Return a line on the scores of predictions that know only the class mix."""
    chance, majority = chance_of(cohort), cohort.majority
    if not chance:
        return []
    return [
        f"chance, simulated with the class mix of this board: macro F1 {chance['macro_f1']:.4f}, "
        f"balanced accuracy {chance['balanced_accuracy']:.4f}"
        + (f"; majority: macro F1 {majority.mean:.4f}" if majority else "")
    ]


def _stimuli(run: Run) -> list[str]:
    """Return a line on a dataset whose people share stimuli: whether tested ones are trained on."""
    dataset = DATASETS.get(run.dataset)
    if dataset is None or not dataset.has_stimuli:
        return []
    if dataset.same_stimuli(run.protocol):
        return [
            "same stimuli: yes; models are trained on other people's responses to the very stimuli "
            "that are tested, which may all but give the label away: see the probe stimulus"
        ]
    return ["same stimuli: no; no tested stimulus was trained on"]


def _not_loaded(results: Sequence[Scored]) -> list[str]:
    """Return lines on models and datasets of plug-ins that are not loaded."""
    lines = (
        not_loaded(result.run.dataset, result.run.model, result.run.distiller, result.plugins)
        for result in results
    )
    return [f"{line}, so that its code is not compared" for line in dict.fromkeys(lines) if line]


def _unsure(results: Sequence[Scored]) -> list[str]:
    """Return lines on results whose predictions are not those committed, or may not be."""
    lines = [
        f"NOT RANKED, {result.error}: {result.run.name} {Path(result.run.folder).name}"
        for result in results
        if result.status == "damaged"
    ]
    believed = sum(result.status == "done" and not result.files for result in results)
    if believed:
        lines.append(
            f"{believed} result(s) were kept by a version that recorded no digests of files: their "
            "predictions are believed"
        )
    return lines


def _seeds(cohort: Cohort) -> list[str]:
    """Return a line on rows that have fewer seeds than others."""
    counts = {row: len({result.run.seed for result in row.results}) for row in cohort.rows}
    most = max(counts.values(), default=0)
    fewer = [f"{row.run.name} ({count})" for row, count in counts.items() if count < most]
    if not fewer:
        return []
    return [
        f"seeds: {most}, but of {', '.join(fewer)}: a mean over fewer trainings differs more from "
        "what other seeds would give, and intervals over people do not show it"
    ]


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


def _decisions(cohort: Cohort) -> list[str]:
    """Return lines on how ranks are decided, and on the smallest difference that is found."""
    n, rows = len(cohort.tested), len(cohort.ranked)
    missing = [name for name in SIMPLE if name not in {row.run.model for row in cohort.simple}]
    lines = []
    if missing:
        lines.append(
            f"no row can be called better than simple: {' and '.join(missing)} not complete here, "
            f"and a claim must beat {' and '.join(SIMPLE)}"
        )
    if rows < 2:
        return lines
    how = f"all {2**n}" if n <= EXACT else f"{FLIPS:,} random"
    lines.append(
        f"rank_low, rank_high: ranks that hold together with {CONFIDENCE:.0%}; {rows} rows, "
        f"exchanged subject by subject ({how} exchanges), step-down over all pairs; probes that "
        "should lose are not ranked"
    )
    smallest = smallest_difference(cohort)
    if np.isinf(smallest):
        least = f", it takes {LEAST} subjects" if n < LEAST else ""
        lines.append(
            f"with n = {n} subjects and {rows} rows no difference can ever be found{least}"
        )
    elif not np.isnan(smallest):
        lines.append(
            f"smallest difference of two rows that these decisions find in {POWER:.0%} of "
            f"simulated experiments with these scores: {smallest:.4f} macro F1"
        )
    return lines


def _one_class(cohort: Cohort) -> list[str]:
    """Return a line on the subjects of whom one class alone was tested."""
    if not cohort.one_class:
        return []
    return [
        f"{cohort.one_class} of {len(cohort.tested)} subjects have score units of one class only, "
        "for whom macro F1 says nothing (a constant can reach 1): rows are ranked by "
        "pooled_macro_f1, over the units of all subjects, its interval a bootstrap over subjects"
    ]

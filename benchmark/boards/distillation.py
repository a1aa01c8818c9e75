"""Gains by distillation: a student alone, the same student taught, and its teacher."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.statistics import compare, effects, holm
from benchmark.run import Run
from benchmark.scored import Scored

COLUMNS = (
    "board",
    "student",
    "student_signals",
    "distiller",
    "control",
    "teacher",
    "teacher_signals",
    "recipe",
    "teacher_recipe",
    "out_of_fold",
    "n_subjects",
    "n_seeds",
    "alone",
    "distilled",
    "teacher_macro_f1",
    "gain",
    "gain_low",
    "gain_high",
    "median_gain",
    "rank_biserial",
    "p",
    "p_holm",
    "won",
    "lost",
    "student_parameters",
    "teacher_parameters",
    "student_macs",
    "teacher_macs",
    "student_latency_ms",
    "teacher_latency_ms",
    "n_missing",
)


def gains_table(boards: Mapping[str, Sequence[Scored]]) -> pd.DataFrame:
    """Return one line a board, student, distiller and teacher; the best gain comes first.

    A subject is scored over all units of a seed together; seeds are averaged within a subject.
    Compared are the runs, and so the subjects, of which both the student alone and the taught one
    are done, on as many units; what lacks its counterpart is counted as missing and nothing takes
    its place. P-values are corrected (Holm) over the complete lines of a board; controls are no
    claims and are not corrected. Of a line that lacks runs nothing is claimed.

    Args:
        boards: Results by name of the board, those of out-of-fold teachers among them.
    """
    lines: list[dict[str, Any]] = []
    for board, results in boards.items():
        by_id = {name: result for result in results for name in (result.run.id, result.id)}
        groups: dict[Run, list[Scored]] = defaultdict(list)
        for result in results:
            if result.run.distiller:
                groups[across_folds(result.run)].append(result)
        rows = [{"board": board, **_line(students, by_id)} for students in groups.values()]
        claims = [line for line in rows if not line["control"] and not line["n_missing"]]
        for line, p in zip(claims, holm([line["p"] for line in claims]), strict=True):
            line["p_holm"] = p
        lines += rows
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    counts = ["student_parameters", "teacher_parameters", "student_macs", "teacher_macs"]
    table[counts] = table[counts].astype("Int64")
    order = ["student", "student_signals", "distiller", "teacher", "teacher_signals"]
    order += ["recipe", "teacher_recipe", "out_of_fold"]
    return table.sort_values(
        ["board", "control", "gain", *order],
        ascending=[True, True, False, *(True for _ in order)],
        ignore_index=True,
    )


def across_folds(run: Run) -> Run:
    """Return the run of fold and seed 0 that stands for all runs of a row."""
    teachers = tuple(replace(across_folds(teacher), without=()) for teacher in run.teachers)
    members = tuple(across_folds(member) for member in run.members)
    return replace(run.untuned, fold=0, seed=0, alone="", teachers=teachers, members=members)


def _line(students: Sequence[Scored], by_id: Mapping[str, Scored]) -> dict[str, Any]:
    run = students[0].run
    pairs = [(result, by_id.get(result.run.alone)) for result in students]
    done = [(t, a) for t, a in pairs if a and t.status == a.status == "done"]
    done = [(t, a) for t, a in done if t.n_pooled == a.n_pooled]
    names = [teacher.id for result, _ in done for teacher in result.run.teachers]
    teachers = [by_id[name] for name in names if name in by_id and by_id[name].status == "done"]
    distilled = _by_subject([result for result, _ in done])
    alone = _by_subject([result for _, result in done])
    teacher = _by_subject(teachers)
    seeds = {result.run.seed for result in students}
    line = {
        "student": run.model,
        "student_signals": "+".join(run.signals),
        "distiller": run.distiller,
        "control": any(result.control for result in students),
        "teacher": run.teachers[0].model if run.teachers else "none",
        "teacher_signals": "+".join(run.teachers[0].signals) if run.teachers else "",
        "recipe": run.recipe_label,
        "teacher_recipe": run.teachers[0].recipe_label if run.teachers else "",
        "out_of_fold": len(run.teachers) if len(run.teachers) > 1 else 0,
        "n_subjects": len(distilled),
        "n_seeds": len(seeds),
        "teacher_macro_f1": _mean(teacher),
        "n_missing": len(seeds) * run.n_folds - len(done),
        "gain": np.nan,
        "p": np.nan,
        **_costs("student", [result for result, _ in done]),
        **_costs("teacher", teachers),
    }
    if distilled:
        pair = list(distilled.values()), list(alone.values())
        comparison = compare(*pair)
        median, correlation = effects(*pair)
        line |= {
            "alone": _mean(alone),
            "distilled": _mean(distilled),
            "gain": comparison.difference,
            "gain_low": comparison.low,
            "gain_high": comparison.high,
            "median_gain": median,
            "rank_biserial": correlation,
            "p": comparison.p,
            "won": comparison.won,
            "lost": comparison.lost,
        }
    return line


def _by_subject(results: Sequence[Scored]) -> dict[str, float]:
    """Return macro F1 of each subject, averaged over seeds, in order of subject."""
    collected: dict[str, list[float]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r.run.seed, r.run.fold, r.run.id)):
        for subject, scores in result.of_subjects.items():
            collected[subject].append(scores["macro_f1"])
    return {subject: float(np.mean(values)) for subject, values in sorted(collected.items())}


def _mean(scores: Mapping[str, float]) -> float:
    return float(np.mean(list(scores.values()))) if scores else np.nan


def _costs(who: str, results: Sequence[Scored]) -> dict[str, Any]:
    """Return medians; of results from before costs were measured, the parameters alone."""
    costs = {}
    if results:
        costs[f"{who}_parameters"] = np.median([r.parameters for r in results])
    for name in ("macs", "latency_ms"):
        measured = [result.efficiency[name] for result in results if name in result.efficiency]
        if measured:
            costs[f"{who}_{name}"] = np.median(measured)
    return costs

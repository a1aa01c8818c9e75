"""What distillation gains: a student alone, the same student taught, and its teacher."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.comparison import compare, holm
from benchmark.run import Result, Run

CONTROLS = ("self_distillation", "label_smoothing", "shuffled_teacher", "more_epochs")
"""Distillers without a better teacher: what they gain, a teacher cannot take credit for."""
COLUMNS = (
    "board",
    "student",
    "student_signals",
    "distiller",
    "control",
    "teacher",
    "teacher_signals",
    "recipe",
    "n_subjects",
    "n_seeds",
    "alone",
    "distilled",
    "teacher_macro_f1",
    "gain",
    "gain_low",
    "gain_high",
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

Key = tuple[str, ...]


def gains_table(results: Sequence[Result]) -> pd.DataFrame:
    """One line a board, student, distiller and teacher; the best gain of each board first.

    Seeds, and folds that test the same subject, are averaged within a subject. Compared are the
    subjects of whom both the student alone and the taught one are done; runs that lack their
    counterpart are counted as missing and nothing takes their place. P-values are corrected (Holm)
    over the distillers of a board; controls are no claims and are not corrected.
    """
    by_id = {result.run.id: result for result in results}
    groups: dict[Key, list[Result]] = defaultdict(list)
    for result in results:
        if result.run.distiller:
            groups[_key(result.run)].append(result)
    lines = [_line(found, by_id) for found in groups.values()]
    for board in {line["board"] for line in lines}:
        claims = [
            line
            for line in lines
            if line["board"] == board and not line["control"] and not np.isnan(line["p"])
        ]
        for line, p in zip(claims, holm([line["p"] for line in claims]), strict=True):
            line["p_holm"] = p
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    whole = ["student_parameters", "teacher_parameters", "student_macs", "teacher_macs"]
    table[whole] = table[whole].astype("Int64")
    return table.sort_values(
        ["board", "control", "gain", "student", "distiller", "teacher", "recipe"],
        ascending=[True, True, False, True, True, True, True],
        ignore_index=True,
    )


def _key(run: Run) -> Key:
    teachers = [f"{t.model} {t.signals} {t.recipe}" for t in run.teachers]
    recipe = f"{run.recipe} {run.arguments} {run.distillation}"
    return run.board, run.data, run.name, str(run.signals), recipe, *teachers


def _line(taught: Sequence[Result], by_id: Mapping[str, Result]) -> dict[str, Any]:
    run = taught[0].run
    pairs = [(result, by_id.get(result.run.alone)) for result in taught]
    done = [(t, a) for t, a in pairs if a and t.status == a.status == "done"]
    teachers = [by_id[t.id] for result in taught for t in result.run.teachers if t.id in by_id]
    distilled = _by_subject([result for result, _ in done])
    alone = _by_subject([result for _, result in done])
    teacher = _by_subject([result for result in teachers if result.status == "done"])
    line = {
        "board": run.board,
        "student": run.model,
        "student_signals": "+".join(run.signals),
        "distiller": run.distiller,
        "control": run.distiller in CONTROLS,
        "teacher": run.teachers[0].model if run.teachers else "none",
        "teacher_signals": "+".join(run.teachers[0].signals) if run.teachers else "",
        "recipe": run.recipe_label,
        "n_subjects": len(distilled),
        "n_seeds": len({result.run.seed for result in taught}),
        "teacher_macro_f1": _mean(teacher),
        "n_missing": len(taught) - len(done),
        "gain": np.nan,
        "p": np.nan,
        **_costs("student", [result for result, _ in done]),
        **_costs("teacher", [result for result in teachers if result.status == "done"]),
    }
    if distilled:
        found = compare(list(distilled.values()), list(alone.values()))
        line |= {
            "alone": _mean(alone),
            "distilled": _mean(distilled),
            "gain": found.difference,
            "gain_low": found.low,
            "gain_high": found.high,
            "p": found.p,
            "won": found.won,
            "lost": found.lost,
        }
    return line


def _by_subject(results: Sequence[Result]) -> dict[str, float]:
    """Macro F1 of each subject, averaged over seeds and folds, in order of subject."""
    collected: dict[str, list[float]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r.run.seed, r.run.fold, r.run.id)):
        for subject, scores in result.scores.items():
            collected[subject].append(scores["macro_f1"])
    return {subject: float(np.mean(found)) for subject, found in sorted(collected.items())}


def _mean(scores: Mapping[str, float]) -> float:
    return float(np.mean(list(scores.values()))) if scores else np.nan


def _costs(who: str, results: Sequence[Result]) -> dict[str, Any]:
    if not results:
        return {}
    return {
        f"{who}_parameters": int(np.median([result.parameters for result in results])),
        f"{who}_macs": int(np.median([result.efficiency["macs"] for result in results])),
        f"{who}_latency_ms": float(np.median([r.efficiency["latency_ms"] for r in results])),
    }

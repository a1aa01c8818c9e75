"""Robustness: what trained models lose when the recordings of tested people are disturbed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import by_subject, recipe_label, signals_label
from benchmark.boards.distillation import across_folds
from benchmark.boards.statistics import CONFIDENCE, compare, holm
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.corruptions import CORRUPTIONS

COLUMNS = (
    "board",
    "corruption",
    "model",
    "signals",
    "recipe",
    "n_subjects",
    "n_seeds",
    "undisturbed",
    "disturbed",
    "drop",
    "low",
    "high",
    "p",
    "p_holm",
    "lower",
    "higher",
    "worst_decile_undisturbed",
    "worst_decile",
    "teacher",
    "teacher_undisturbed",
    "teacher_disturbed",
    "teacher_drop",
    "n_missing",
)


def robustness_table(results: Iterable[Scored]) -> pd.DataFrame:
    """Return one line a board, corruption and model: the same trained models, both ways.

    A subject is scored over all units of a seed together; seeds are averaged within a subject.
    Compared are the folds and seeds of which both tests are done; those that lack one are counted
    as missing, and of such a line nothing is claimed. P-values are corrected (Holm) over all
    complete lines of a board, its corruptions and models together. A taught student stands beside
    its teacher under the same corruption, where the teacher feels it.

    Args:
        results: Results of today.
    """
    results = list(results)
    by_id = {name: result for result in results for name in (result.run.id, result.id)}
    rows: dict[Run, list[Scored]] = defaultdict(list)
    for result in results:
        if result.run.protocol.corruption and result.run.trained:
            rows[across_folds(result.run)].append(result)
    tested = {
        (run.protocol.corruption, across_folds(run.trained[0]).id): of_row
        for run, of_row in rows.items()
    }
    lines = []
    for run, of_row in rows.items():
        line = _line(run, of_row, by_id)
        taught_by = run.trained[0].teachers
        if len(taught_by) == 1:
            teacher = tested.get((run.protocol.corruption, across_folds(taught_by[0]).id), [])
            line |= _of_teacher(taught_by[0], teacher, by_id)
        lines.append(line)
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    for _, of_board in table[(table["n_missing"] == 0) & table["p"].notna()].groupby("board"):
        table.loc[of_board.index, "p_holm"] = holm(of_board["p"].tolist())
    position = {name: number for number, name in enumerate(CORRUPTIONS)}
    table["order"] = table["corruption"].map(position)
    by = ["board", "order", "model", "signals", "recipe"]
    return table.sort_values(by, ignore_index=True)[list(COLUMNS)]


def robustness_head() -> tuple[str, ...]:
    """Return the lines that say how to read the table."""
    return (
        "robustness: macro F1 of trained models on the recordings of tested people as they are "
        "and disturbed; nothing is trained or chosen on disturbed recordings; every model is "
        "tested on the same disturbed recordings. Lines are not ranked beside those of boards",
        f"drop: undisturbed less disturbed, mean over subjects; low and high: Student t over "
        f"subjects, {CONFIDENCE:.0%}; p: sign-flip test of the mean over subjects, p_holm over "
        "all lines of a board",
        *(f"{name}: {corruption.about}" for name, corruption in CORRUPTIONS.items()),
    )


def _line(run: Run, results: Sequence[Scored], by_id: Mapping[str, Scored]) -> dict[str, Any]:
    trained, seeds = run.trained[0], {result.run.seed for result in results}
    before, after = _both(results, by_id)
    line = {
        "board": trained.board,
        "corruption": run.protocol.corruption,
        "model": trained.name,
        "signals": signals_label(trained),
        "recipe": recipe_label(trained),
        "n_subjects": len(after),
        "n_seeds": len(seeds),
        "p": np.nan,
        "p_holm": np.nan,
        "n_missing": len(seeds) * run.n_folds - sum(r.status == "done" for r in results),
    }
    if after:
        comparison = compare([*before.values()], [*after.values()])
        line |= {
            "undisturbed": _mean(before),
            "disturbed": _mean(after),
            "drop": comparison.difference,
            "low": comparison.low,
            "high": comparison.high,
            "p": comparison.p,
            "lower": comparison.won,
            "higher": comparison.lost,
            "worst_decile_undisturbed": float(np.quantile([*before.values()], 0.1)),
            "worst_decile": float(np.quantile([*after.values()], 0.1)),
        }
    return line


def _of_teacher(
    teacher: Run, results: Sequence[Scored], by_id: Mapping[str, Scored]
) -> dict[str, Any]:
    """Return the scores of a taught student's teacher, as far as there are any."""
    before, after = _both(results, by_id)
    return {
        "teacher": f"{teacher.name} {signals_label(teacher)}",
        "teacher_undisturbed": _mean(before),
        "teacher_disturbed": _mean(after),
        "teacher_drop": _mean(before) - _mean(after),
    }


def _both(
    results: Sequence[Scored], by_id: Mapping[str, Scored]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return macro F1 of each subject, undisturbed and disturbed, where both are done."""
    pairs = [(by_id.get(result.run.trained[0].id), result) for result in results]
    done = [(b, a) for b, a in pairs if b and b.status == a.status == "done"]
    before, after = (
        {subject: scores["macro_f1"] for subject, scores in by_subject(of_side).items()}
        for of_side in ([b for b, _ in done], [a for _, a in done])
    )
    return before, after


def _mean(scores: Mapping[str, float]) -> float:
    return float(np.mean(list(scores.values()))) if scores else np.nan

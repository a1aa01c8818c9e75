"""Results to leaderboards: pure functions of a store; delete the CSVs and they come back."""

import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.comparison import CONFIDENCE, interval
from benchmark.gains import across_folds, gains_table
from benchmark.results import Store, write_text
from benchmark.run import WITHIN_SUBJECT, BenchmarkError, Result, Run

SCORES = ("macro_f1", "balanced_accuracy", "mcc", "accuracy", "brier", "ece")
SIMPLE = ("lda", "random_forest")
"""Baselines on hand-crafted features; ``delta_simple`` is against the better of them."""
SOME_TESTED = ("subject_hold_out", "subject_stimulus_k_fold")
"""Splits that do not test every subject; who is tested is told by the results."""
DECIMALS = 4
COLUMNS = (
    "model",
    "signals",
    "recipe",
    "n_subjects",
    "n_seeds",
    "macro_f1",
    "ci_low",
    "ci_high",
    "balanced_accuracy",
    "balanced_low",
    "balanced_high",
    "mcc",
    "accuracy",
    "delta_majority",
    "delta_simple",
    "subjects_above_chance",
    "worst_decile",
    "brier",
    "ece",
    "parameters",
    "macs",
    "latency_ms",
    "cpu_latency_ms",
    "train_seconds",
    "n_runs",
    "n_failed",
    "complete",
    "commit",
    "note",
)
"""Of a board, whatever its rows are."""
MEASURED = ("latency_ms", "cpu_latency_ms", "train_seconds", "commit")
"""Columns that differ between two executions of the same runs."""


class LeaderboardError(BenchmarkError):
    """Results that cannot stand on one board."""


@dataclass(frozen=True)
class Board:
    """One leaderboard.

    Attributes:
        name: File name without ending.
        head: Lines that say how to read it.
        table: A row a model, the best macro F1 first; incomplete rows, failed ones and those that
            do not apply come last.
    """

    name: str
    head: tuple[str, ...]
    table: pd.DataFrame

    def to_csv(self) -> str:
        """Head as comment lines, then the table."""
        text = io.StringIO()
        text.writelines(f"# {line}\n" for line in self.head)
        self.table.to_csv(text, index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")
        return text.getvalue()


def build_boards(store: Store) -> list[Board]:
    """All leaderboards of a store, by name.

    Raises:
        LeaderboardError: Models of one board that were scored on different units.
    """
    named = _by_board(store.results())
    boards = []
    for name, everything in named.items():
        results = [result for result in everything if not result.run.without]
        if results:
            run = results[0].run
            firsts = [other[0].run for other in named.values()]
            others = [r.data for r in firsts if r.board == run.board and r.data != run.data]
            boards.append(_build(name, run.board, results, others, store))
    return boards


def _by_board(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Results by the name of their board, those of out-of-fold teachers among them.

    Runs on other recordings, or of another version of the protocol, have names of their own.
    """
    cohorts: dict[str, dict[tuple[int, str], list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        cohorts[result.run.board][result.run.protocol, result.run.data].append(result)
    named = {}
    for name, groups in sorted(cohorts.items()):
        ordered = sorted(
            groups.items(), key=lambda g: (-g[0][0], -len(g[1][0].run.subjects), -len(g[1]), g[0])
        )
        newest = ordered[0][0][0]
        for position, ((protocol, data), found) in enumerate(ordered):
            older = "" if protocol == newest else f"__protocol_{protocol}"
            named[name if position == 0 else f"{name}{older}__data_{data[:6]}"] = found
    return named


def write_leaderboards(store: Store, folder: Path) -> list[Board]:
    """Write every board, ``distillation.csv`` if anything was distilled, and ``runs.csv``."""
    boards = build_boards(store)
    for board in boards:
        write_text(folder / f"{board.name}.csv", board.to_csv())
    gains = gains_table(_by_board(store.results()))
    if len(gains):
        write_text(
            folder / "distillation.csv",
            gains.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n"),
        )
    runs = runs_table(store.results())
    write_text(folder / "runs.csv", runs.to_csv(index=False, float_format=f"%.{DECIMALS}f"))
    return boards


def runs_table(results: Iterable[Result]) -> pd.DataFrame:
    """One line a run and test subject; a failed run has one line with its error."""
    lines = []
    for result in results:
        run = result.run
        common = {
            "board": run.board,
            "model": run.name,
            "signals": _signals(run),
            "recipe": _recipe(run),
            "without": "+".join(run.without),
            "fold": run.fold,
            "seed": run.seed,
            "id": run.id,
            "status": result.status,
        }
        rest = {
            "train_seconds": result.seconds.get("train", np.nan),
            "epochs": result.epochs[0] if result.epochs else "",
            "best_epoch": result.epochs[1] if result.epochs else "",
            "commit": result.commit,
            "error": result.error,
        }
        for subject, scores in (result.scores or {"": {}}).items():
            values = {name: scores.get(name, np.nan) for name in SCORES}
            units = {"subject": subject, "n_units": result.n_units.get(subject, 0)}
            lines.append({**common, **units, **values, **rest})
    return pd.DataFrame(lines)


def _signals(run: Run) -> str:
    return "+".join(run.signals) or "none"


def _recipe(run: Run) -> str:
    """How a model was trained, and what taught it."""
    if not run.teachers:
        return run.recipe_label
    teacher = run.teachers[0]
    several = f" {len(run.teachers)} out of fold" if len(run.teachers) > 1 else ""
    return f"{run.recipe_label}; teacher {_signals(teacher)} {teacher.recipe_label}{several}"


def _build(name: str, board: str, results: list[Result], others: list[str], store: Store) -> Board:
    _check_units(name, results)
    rows: dict[Run, list[Result]] = defaultdict(list)
    for result in results:
        rows[across_folds(result.run)].append(result)
    by_subject = {row: _by_subject(found) for row, found in rows.items()}
    tested = sorted({subject for scores in by_subject.values() for subject in scores})
    split = results[0].run.split
    if split not in SOME_TESTED:
        tested = sorted(results[0].run.subjects)
    times = results[0].run.folds if split in WITHIN_SUBJECT else 1
    done = [result for result in results if result.status == "done"]
    n_classes = len(next(iter(done[0].confusion.values()))) if done else 0
    majority = _reference(by_subject, ("majority",), tested)
    simple = _reference(by_subject, SIMPLE, tested)
    seeds = {result.run.seed for result in results}
    lines, incomplete = [], []
    for row, found in rows.items():
        scores = by_subject[row]
        wanted = len(seeds) * len(tested) * times
        missing = wanted - sum(len(result.scores) for result in found)
        if missing:
            incomplete.append(f"{row.name} lacks {missing} of {wanted}")
        lines.append(
            {
                "model": row.name,
                "signals": _signals(row),
                "recipe": _recipe(row),
                "n_subjects": len(scores),
                "n_seeds": len({result.run.seed for result in found}),
                **_score_columns(scores, majority, simple, n_classes),
                **_cost_columns(found),
                "n_runs": len(found),
                "n_failed": sum(result.status == "failed" for result in found),
                "complete": not missing,
                "commit": " ".join(sorted({result.commit for result in found if result.commit})),
                "note": next((r.error for r in found if r.error), ""),
            }
        )
    present = {line["model"] for line in lines}
    lines += [
        {"model": model, "complete": False, "note": f"not applicable: {reason}"}
        for model, reason in store.not_applicable(board).items()
        if model not in present
    ]
    table = pd.DataFrame(lines, columns=list(COLUMNS)).sort_values(
        ["complete", "macro_f1", "model", "signals", "recipe"],
        ascending=[False, False, True, True, True],
        ignore_index=True,
    )
    whole = ["n_subjects", "n_seeds", "subjects_above_chance", "parameters", "macs"]
    whole += ["n_runs", "n_failed"]
    table[whole] = table[whole].astype("Int64")
    head = _head(name, results, n_classes, majority, tested, incomplete)
    notes = store.notes(board) if name == board else []
    if others:
        notes.append(f"other recordings of this dataset have boards of their own: {others}")
    return Board(name, (*head, *notes), table)


def _score_columns(
    scores: dict[str, dict[str, float]],
    majority: dict[str, float],
    simple: dict[str, float],
    n_classes: int,
) -> dict[str, Any]:
    if not scores:
        return {"macro_f1": np.nan}
    values = {name: [score[name] for score in scores.values()] for name in SCORES}
    f1, f1_low, f1_high = interval(values["macro_f1"])
    balanced, balanced_low, balanced_high = interval(values["balanced_accuracy"])
    above = sum(value > 1 / n_classes + 1e-9 for value in values["balanced_accuracy"])
    return {
        "macro_f1": f1,
        "ci_low": f1_low,
        "ci_high": f1_high,
        "balanced_accuracy": balanced,
        "balanced_low": balanced_low,
        "balanced_high": balanced_high,
        "mcc": np.mean(values["mcc"]),
        "accuracy": np.mean(values["accuracy"]),
        "delta_majority": _delta(scores, majority),
        "delta_simple": _delta(scores, simple),
        "subjects_above_chance": above,
        "worst_decile": np.quantile(values["macro_f1"], 0.1),
        "brier": np.mean(values["brier"]),
        "ece": np.mean(values["ece"]),
    }


def _cost_columns(found: list[Result]) -> dict[str, Any]:
    done = [result for result in found if result.status == "done"]
    if not done:
        return {}
    measured = {
        name: float(np.median([result.efficiency.get(name, np.nan) for result in done]))
        for name in ("macs", "latency_ms", "cpu_latency_ms")
    }
    return {
        "parameters": int(np.median([result.parameters for result in done])),
        **measured,
        "train_seconds": round(float(np.median([r.seconds["train"] for r in done])), 1),
    }


def _by_subject(results: list[Result]) -> dict[str, dict[str, float]]:
    """Scores of each subject, averaged over seeds, and over folds where several test the same."""
    collected: dict[str, list[dict[str, float]]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r.run.seed, r.run.fold)):
        for subject, scores in result.scores.items():
            collected[subject].append(dict(scores))
    return {
        subject: {name: float(np.mean([s[name] for s in found])) for name in SCORES}
        for subject, found in sorted(collected.items())
    }


def _reference(
    by_subject: dict[Run, dict[str, dict[str, float]]],
    models: tuple[str, ...],
    tested: list[str],
) -> dict[str, float]:
    """Macro F1 by subject of the best of some models that has tested everybody; else empty."""
    found = [
        {subject: score["macro_f1"] for subject, score in scores.items()}
        for row, scores in by_subject.items()
        if row.name in models and len(scores) == len(tested)
    ]
    return max(found, key=lambda f1: float(np.mean(list(f1.values()))), default={})


def _delta(scores: dict[str, dict[str, float]], reference: dict[str, float]) -> float:
    if not reference:
        return np.nan
    return float(np.mean([score["macro_f1"] - reference[s] for s, score in scores.items()]))


def _check_units(name: str, results: list[Result]) -> None:
    seen: dict[tuple[int, int, str], tuple[str, str]] = {}
    for result in results:
        run = result.run
        for subject, units in result.units.items():
            first, model = seen.setdefault((run.seed, run.fold, subject), (units, run.name))
            if units != first:
                raise LeaderboardError(
                    f"board {name}: expected all models to be scored on the same units, found "
                    f"{run.name} and {model} on different ones of subject {subject}. "
                    "Delete the results of one of them and run it again."
                )


def _head(
    name: str,
    results: list[Result],
    n_classes: int,
    majority: dict[str, float],
    tested: list[str],
    incomplete: list[str],
) -> list[str]:
    run = results[0].run
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
    lines = [
        f"{name}: macro F1 over score units, mean over subjects, seeds averaged within a subject",
        f"protocol {run.protocol}, honest: {disjoint} read once",
        f"n = {len(tested)} subjects, {sum(units.values())} score units; intervals: Student t over "
        f"subjects, {CONFIDENCE:.0%}",
    ]
    if n_classes:
        lines.append(
            f"chance: balanced accuracy {1 / n_classes:.4f} whatever the class mix"
            + (f"; majority: macro F1 {np.mean(list(majority.values())):.4f}" if majority else "")
        )
    lines.append(
        f"data {run.data}, raw files {' '.join(sorted({r.raw for r in results if r.raw}))}"
    )
    lines.append(f"{', '.join(sorted(versions))}; {'; '.join(devices)}")
    failed = sum(result.status == "failed" for result in results)
    if incomplete or failed:
        lines.append(f"INCOMPLETE, {failed} failed run(s): {'; '.join(incomplete)}")
    return lines

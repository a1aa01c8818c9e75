"""Results to leaderboards: pure functions of a store; delete the CSVs and they come back."""

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import (
    SCORES,
    Cohort,
    Row,
    build_cohorts,
    by_board,
    recipe_label,
    signals_label,
)
from benchmark.boards.distillation import gains_table
from benchmark.boards.heads import TITLE, board_head
from benchmark.boards.overall import overall_ranks
from benchmark.boards.paired import against_simple, comparisons_table, groups
from benchmark.boards.published import of_row, published_table
from benchmark.boards.statistics import interval
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store, write_text

DECIMALS = 4
SMALL = "%.4g"
"""Format of a table with p-values of any size."""
COLUMNS = (
    "tie_group",
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
    "pooled_macro_f1",
    "delta_majority",
    "delta_simple",
    "p_holm",
    "subjects_above_chance",
    "worst_decile",
    "brier",
    "ece",
    "parameters",
    "macs",
    "latency_ms",
    "cpu_latency_ms",
    "train_seconds",
    "published",
    "comparable",
    "n_runs",
    "n_failed",
    "complete",
    "commit",
    "note",
)
"""Of a board, whatever its rows are."""
MEASURED = ("latency_ms", "cpu_latency_ms", "train_seconds", "commit")
"""Columns that differ between two executions of the same runs."""


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
    plan = store.plan()
    return [_build(cohort, store, plan) for cohort in build_cohorts(by_board(store.results()))]


def write_leaderboards(store: Store, folder: Path) -> list[Board]:
    """Write every board and the tables over all of them.

    These are ``comparisons.csv``, ``overall.csv``, ``published.csv``, ``runs.csv``, and
    ``distillation.csv`` if anything was distilled; if nothing was, an earlier one goes. Runs under
    protocol flags are in none of them, but in ``flawed/`` and, with what each flaw adds to an
    honest run, in ``leak_audit.csv``.
    """
    everything = list(store.results())
    results = [result for result in everything if not result.run.flags]
    flawed = [result for result in everything if result.run.flags]
    named = by_board(results)
    cohorts = build_cohorts(named)
    plan = store.plan()
    boards = [_build(cohort, store, plan) for cohort in cohorts]
    gains = gains_table(named)
    head, ranks = overall_ranks(cohorts)
    for board in [*boards, Board("overall", head, ranks)]:
        write_text(folder / f"{board.name}.csv", board.to_csv())
    if len(gains):
        write_text(folder / "distillation.csv", _plain_csv(gains))
    elif _begins(folder / "distillation.csv", ",".join(gains.columns[:2])):
        (folder / "distillation.csv").unlink()
    comparisons = comparisons_table(cohorts, gains)
    write_text(folder / "comparisons.csv", _plain_csv(comparisons, SMALL))
    write_text(folder / "published.csv", _plain_csv(published_table(cohorts)))
    write_text(folder / "runs.csv", _plain_csv(runs_table(results)))
    if flawed:
        _write_flawed(everything, flawed, store, folder)
    return boards


def _write_flawed(
    everything: list[Result], flawed: list[Result], store: Store, folder: Path
) -> None:
    """Write what runs under protocol flags show.

    Their scores over all folds are computed here and with torch, which other boards do not need and
    do not wait for.
    """
    from benchmark.boards.flawed import flawed_boards
    from benchmark.boards.leak_audit import audit_head, audit_table

    for name, head, table in flawed_boards(flawed, store):
        write_text(folder / "flawed" / f"{name}.csv", Board(name, head, table).to_csv())
    write_text(folder / "flawed" / "runs.csv", _plain_csv(runs_table(flawed)))
    how = "".join(f"# {line}\n" for line in audit_head())
    audit = audit_table(everything, store)
    write_text(folder / "leak_audit.csv", how + _plain_csv(audit, SMALL))


def left_behind(store: Store, folder: Path, boards: Sequence[Board]) -> list[Path]:
    """Boards in a folder that calls with this store wrote and of which it has no runs any more.

    That is a file whose first line says that it is the board of its name, if a call asked for the
    board once. Any other file, boards of other stores among them, is left alone.

    Args:
        store: Of the runs.
        folder: Of the leaderboards.
        boards: Of today.
    """
    asked, today = store.boards(), {board.name for board in boards}
    return [
        path
        for path in sorted(folder.glob("*.csv"))
        if path.stem not in today
        and re.sub("(__protocol_[0-9]+)?(__data_[0-9a-f]+)?$", "", path.stem) in asked
        and _begins(path, f"# {path.stem}: {TITLE}")
    ]


def _begins(path: Path, text: str) -> bool:
    """Whether a file is there and begins so."""
    try:
        with path.open() as file:
            return file.read(len(text)) == text
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _plain_csv(table: pd.DataFrame, numbers: str = f"%.{DECIMALS}f") -> str:
    return str(table.to_csv(index=False, float_format=numbers, lineterminator="\n"))


def runs_table(results: Iterable[Result]) -> pd.DataFrame:
    """One line a run and test subject; a failed run has one line with its error."""
    lines = []
    for result in results:
        run = result.run
        common = {
            "board": run.board,
            "model": run.name,
            "signals": signals_label(run),
            "recipe": recipe_label(run),
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


def _build(cohort: Cohort, store: Store, plan: Iterable[Run]) -> Board:
    done = [result for result in cohort.results if result.status == "done"]
    n_classes = len(next(iter(done[0].confusion.values()))) if done else 0
    majority, simple = cohort.best(("majority",)), cohort.simple
    tied = dict(zip((id(row) for row in cohort.complete), groups(cohort), strict=True))
    p_holm = {id(row): p for row, _, p in against_simple(cohort)}
    lines = []
    for row in cohort.rows:
        found = row.results
        lines.append(
            {
                "tie_group": tied.get(id(row)),
                **dict(zip(("model", "signals", "recipe"), row.label, strict=True)),
                "n_subjects": len(row.scores),
                "n_seeds": len({result.run.seed for result in found}),
                **_score_columns(row, n_classes),
                "delta_majority": _delta(row, majority),
                "delta_simple": _delta(row, simple),
                "p_holm": p_holm.get(id(row), np.nan),
                **_cost_columns(found),
                **dict(zip(("published", "comparable"), of_row(row.run), strict=True)),
                "n_runs": len(found),
                "n_failed": sum(result.status == "failed" for result in found),
                "complete": row.complete,
                "commit": " ".join(sorted({result.commit for result in found if result.commit})),
                "note": next((r.error for r in found if r.error), ""),
            }
        )
    present = {line["model"] for line in lines}
    lines += [
        {"model": model, "complete": False, "note": f"not applicable: {reason}"}
        for model, reason in store.not_applicable(cohort.board).items()
        if model not in present
    ]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    whole = ["tie_group", "n_subjects", "n_seeds", "subjects_above_chance", "parameters", "macs"]
    whole += ["n_runs", "n_failed"]
    table[whole] = table[whole].astype("Int64")
    head = board_head(cohort, done, n_classes, majority, plan)
    notes = store.notes(cohort.board) if cohort.name == cohort.board else []
    if cohort.others:
        others = ", ".join(cohort.others)
        notes.append(f"other recordings of this dataset have boards of their own: {others}")
    return Board(cohort.name, (*head, *notes), table)


def _score_columns(row: Row, n_classes: int) -> dict[str, Any]:
    if not row.scores:
        return {"macro_f1": np.nan}
    values = {name: [scores[name] for scores in row.scores.values()] for name in SCORES}
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
        "pooled_macro_f1": pooled_macro_f1(row.results),
        "subjects_above_chance": above,
        "worst_decile": np.quantile(values["macro_f1"], 0.1),
        "brier": np.mean(values["brier"]),
        "ece": np.mean(values["ece"]),
    }


def pooled_macro_f1(results: Iterable[Result]) -> float:
    """Macro F1 over the units of all subjects together, of each seed, averaged over seeds.

    A class counts if it occurs among targets or predictions, as in the score of one subject; NaN
    if there is no unit.
    """
    counts: dict[int, list[Sequence[Sequence[int]]]] = defaultdict(list)
    for result in results:
        counts[result.run.seed] += result.confusion.values()
    scores = []
    for _, matrices in sorted(counts.items()):
        if matrices:
            confusion = np.sum(matrices, axis=0)
            occurs = confusion.sum(axis=0) + confusion.sum(axis=1)
            scores.append(np.mean((2 * np.diag(confusion) / np.maximum(occurs, 1))[occurs > 0]))
    return float(np.mean(scores)) if scores else np.nan


def _delta(row: Row, reference: Row | None) -> float:
    """Mean macro F1 over the row's subjects, less that of a row that has tested everybody."""
    if reference is None or not row.scores:
        return np.nan
    theirs = reference.macro_f1
    return float(np.mean([score - theirs[subject] for subject, score in row.macro_f1.items()]))


def _cost_columns(found: Sequence[Result]) -> dict[str, Any]:
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

"""Results to leaderboards: pure functions of a store; delete the CSVs and they come back."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.boards.calibration import HEAD as CALIBRATION_HEAD
from benchmark.boards.calibration import calibration_table
from benchmark.boards.classes import classes_table
from benchmark.boards.cohort import (
    Cohort,
    build_cohort,
    build_cohorts,
    recipe_label,
    signals_label,
)
from benchmark.boards.columns import Context, board_columns, table
from benchmark.boards.computed import Computed
from benchmark.boards.distillation import gains_table
from benchmark.boards.ensembles import best_members, ensembles_table, read_chosen
from benchmark.boards.evidence import Evidence, read_evidence, tuning_hours
from benchmark.boards.flawed import flawed_board
from benchmark.boards.heads import TITLE, board_head
from benchmark.boards.leak_audit import audit_head, audit_table
from benchmark.boards.overall import overall_ranks
from benchmark.boards.paired import comparisons_table
from benchmark.boards.personalisation import personalisation_head, personalisation_table
from benchmark.boards.published import published_table
from benchmark.boards.robustness import robustness_head, robustness_table
from benchmark.boards.scores import scored_results
from benchmark.boards.transfer import HEAD as TRANSFER_HEAD
from benchmark.boards.transfer import transfer_table
from benchmark.boards.tuned import tuned_table
from benchmark.boards.uncertainty import uncertainties, uncertainty_head, uncertainty_table
from benchmark.boards.versions import Older, by_version
from benchmark.files import matching, write_text
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from benchmark.tables import csv_text
from lightning_modules.metrics import SCORES

NUMBERS = "%.4f"
SMALL = "%.4g"
"""Format of a table with p-values of any size."""
OLDER = "older"
"""Folder of the boards of older versions."""
MEASURED = ("latency_ms", "cpu_latency_ms", "train_seconds", "tuning_hours", "commit")
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
        """Return the head as comment lines, then the table."""
        return csv_text(self.table, NUMBERS, self.head)


def build_boards(results: Iterable[Scored], store: Store) -> list[Board]:
    """Return the leaderboards of today, in order of name.

    Args:
        results: Results with scores, as from benchmark.boards.scores.
        store: Their store, which holds the plan of the latest call and notes.

    Raises:
        LeaderboardError: Models of one board that were scored on different units.
    """
    planned = store.plan()
    today, older = by_version(results, planned)
    cohorts = build_cohorts(today, planned)
    return boards_of(cohorts, store, older, read_evidence(cohorts, store))


def boards_of(
    cohorts: Iterable[Cohort], store: Store, older: Sequence[Older], evidence: Sequence[Evidence]
) -> list[Board]:
    """Return the leaderboard of each cohort.

    Args:
        cohorts: Rows of the boards of today.
        store: Their store, which holds the plan of the latest call and notes.
        older: Older versions of boards.
        evidence: What chose the values of their tuned runs, and the members of their ensembles.
    """
    plan, hours = store.plan(), tuning_hours(evidence)
    return [_build(cohort, store, plan, older, hours) for cohort in cohorts]


def write_leaderboards(store: Store, folder: Path) -> list[Board]:
    """Write every board and the tables over all of them; return the boards of today.

    The tables are ``classes.csv``, ``comparisons.csv``, ``overall.csv``, ``published.csv``,
    ``runs.csv``, ``uncertainty.csv``, and ``distillation.csv``, ``tuned.csv``, ``ensembles.csv``,
    ``calibration.csv``, ``personalisation.csv``, ``robustness.csv`` and ``transfer.csv`` if there
    is anything of the kind; otherwise an earlier one goes. Runs under protocol flags are in none
    of them, but in ``flawed/`` and, with what each flaw adds to an honest run, in
    ``leak_audit.csv``. Older versions of boards are in ``older/`` alone.
    """
    planned, computed = store.plan(), Computed(store.root)
    today, older = by_version(scored_results(store), planned)
    cohorts = build_cohorts(today, planned, computed)
    evidence = read_evidence(cohorts, store)
    boards = boards_of(cohorts, store, older, evidence)
    gains = gains_table(honest(today))
    head, ranks = overall_ranks(cohorts)
    for board in [*boards, Board("overall", head, ranks)]:
        write_text(folder / f"{board.name}.csv", board.to_csv())
    _write_if_any(folder / "distillation.csv", gains)
    _write_if_any(folder / "tuned.csv", tuned_table(evidence, store))
    personalisation = personalisation_table(cohorts)
    _write_if_any(folder / "personalisation.csv", personalisation, personalisation_head(), SMALL)
    _write_if_any(folder / "transfer.csv", transfer_table(today), TRANSFER_HEAD)
    ensembles = read_chosen(evidence, store)
    _write_if_any(folder / "ensembles.csv", ensembles_table(ensembles))
    calibrated = calibration_table(cohorts, store)
    _write_if_any(folder / "calibration.csv", calibrated, CALIBRATION_HEAD, SMALL)
    comparisons = comparisons_table(cohorts, gains, best_members(ensembles), calibrated)
    write_text(folder / "comparisons.csv", csv_text(comparisons, SMALL))
    write_text(folder / "classes.csv", csv_text(classes_table(cohorts), NUMBERS))
    unsure = uncertainties(cohorts, store)
    table_of_all = uncertainty_table(unsure)
    write_text(
        folder / "uncertainty.csv", csv_text(table_of_all, NUMBERS, uncertainty_head(unsure))
    )
    write_text(folder / "published.csv", csv_text(published_table(cohorts), NUMBERS))
    everything = [result for results in today.values() for result in results]
    _write_if_any(folder / "robustness.csv", robustness_table(everything), robustness_head())
    ranked = [result for result in everything if result.run.protocol.ranked]
    write_text(folder / "runs.csv", csv_text(runs_table(ranked), NUMBERS))
    flawed = [result for result in everything if result.run.protocol.flags]
    if flawed:
        for name, results in today.items():
            if results[0].run.protocol.flags:
                board = Board(name, *flawed_board(name, results, store))
                write_text(folder / "flawed" / f"{name}.csv", board.to_csv())
        write_text(folder / "flawed" / "runs.csv", csv_text(runs_table(flawed), NUMBERS))
        audit = audit_table(everything, store)
        write_text(folder / "leak_audit.csv", csv_text(audit, SMALL, audit_head()))
    _write_older(older, store, folder / OLDER, computed)
    computed.write()
    return boards


def _write_if_any(
    path: Path, lines: pd.DataFrame, head: Sequence[str] = (), numbers: str = NUMBERS
) -> None:
    """Write a table that has lines; an earlier one of the same kind goes where there are none."""
    if len(lines):
        write_text(path, csv_text(lines, numbers, head))
    elif _begins(path, csv_text(lines.iloc[:0, :2], numbers, head).splitlines()[0]):
        path.unlink()


def honest(named: Mapping[str, Sequence[Scored]]) -> dict[str, Sequence[Scored]]:
    """Return boards without those of runs under protocol flags and on disturbed recordings."""
    return {name: results for name, results in named.items() if results[0].run.protocol.ranked}


def _write_older(older: Sequence[Older], store: Store, folder: Path, computed: Computed) -> None:
    """Write the boards of older versions, and the table of their runs; others of this store go."""
    planned, names = store.boards(), {version.name for version in older}
    for path in matching(folder, "*.csv"):
        stale = path.stem not in names and _plain_name(path.stem) in planned
        if stale and _begins(path, f"# {path.stem}: "):
            path.unlink()
    for version in older:
        results = [result for result in version.results if not result.run.without]
        if results and not results[0].run.protocol.corruption:
            if results[0].run.protocol.flags:
                head, lines = flawed_board(version.name, results, store)
            else:
                built = _build(build_cohort(version.name, results, (), computed), store)
                head, lines = built.head, built.table
            said = f"OLDER VERSION, not ranked beside the board of today: {version.reason}"
            board = Board(version.name, (head[0], said, *head[1:]), lines)
            write_text(folder / f"{version.name}.csv", board.to_csv())
    if older:
        runs = [result for version in older for result in version.results]
        write_text(folder / "runs.csv", csv_text(runs_table(runs), NUMBERS))


def left_behind(store: Store, folder: Path, boards: Sequence[Board]) -> list[Path]:
    """Return boards in a folder that calls with this store wrote and that have no runs any more.

    That is a file whose first line says that it is the board of its name, if a call asked for the
    board once. Any other file, boards of other stores among them, is left alone.

    Args:
        store: Store of the runs.
        folder: Folder of the leaderboards.
        boards: Boards of today.
    """
    planned, today = store.boards(), {board.name for board in boards}
    return [
        path
        for path in matching(folder, "*.csv")
        if path.stem not in today
        and _plain_name(path.stem) in planned
        and _begins(path, f"# {path.stem}: {TITLE}")
    ]


def _plain_name(name: str) -> str:
    """Return the name of a board without the part that marks an older version of it."""
    return re.sub(
        r"(__protocol_\d+)?(__data_[0-9a-f]+|__(?:code|windows|choice)_of_.+_[\w.]+)?$", "", name
    )


def _begins(path: Path, text: str) -> bool:
    """Return whether there is a file that begins with a text."""
    try:
        with path.open() as file:
            return file.read(len(text)) == text
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def runs_table(results: Iterable[Scored]) -> pd.DataFrame:
    """Return one line a run and test subject; a failed run has one line with its error."""
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
            "id": result.id,
            "status": result.status,
        }
        rest = {
            "train_seconds": result.train_seconds,
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


def _build(
    cohort: Cohort,
    store: Store,
    plan: Iterable[Run] = (),
    older: Iterable[Older] = (),
    hours: Mapping[Run, float] | None = None,
) -> Board:
    """Return the board of a cohort.

    Args:
        cohort: Its rows.
        store: Store with notes, and reasons why a model is not run.
        plan: Runs that the latest call asked for.
        older: Older versions of this board and of others.
        hours: Hours of the inner runs of each tuned row and ensemble, by its run.
    """
    board = cohort.results[0].run.board
    reasons = store.not_applicable(board)
    lines = table(cohort.rows, board_columns(), Context.of(cohort, hours), reasons)
    head = board_head(cohort, plan)
    if cohort.name == board:
        head += store.notes(board)
        head += [
            f"older version in {OLDER}/{version.name}.csv: {version.reason}"
            for version in older
            if version.board == board
        ]
    return Board(cohort.name, tuple(head), lines)

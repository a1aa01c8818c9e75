"""Boards on the command line: stores that have results, and tables that fit a terminal."""

from pathlib import Path

from benchmark.boards.board import Board
from benchmark.boards.cohort import LeaderboardError
from benchmark.boards.statistics import p_text
from benchmark.store import Store

PRINTED = {
    "rank_low": "rank",
    "rank_high": "to",
    "model": "model",
    "signals": "signals",
    "macro_f1": "macro F1",
    "ci_low": "F1 low",
    "ci_high": "F1 high",
    "balanced_accuracy": "bal. acc.",
    "balanced_low": "b.a. low",
    "balanced_high": "b.a. high",
    "delta_majority": "over majority",
    "p_simple": "p, simple",
    "train_seconds": "train s",
    "n_runs": "runs",
    "n_failed": "failed",
}
"""Columns of a board that fit a terminal, and their short titles."""


def with_results(runs: Path) -> Store:
    """Return a store; raises LeaderboardError if it has no results."""
    store = Store(runs)
    if next(store.results(), None) is None:
        raise LeaderboardError(
            f"no results in {str(runs)!r}: expected the folder of an affectbench run; "
            "name it with --runs"
        )
    return store


def print_board(board: Board) -> None:
    """Print the columns of a board that fit a terminal."""
    print()
    for line in board.head:
        print(line)
    shown = board.table[list(PRINTED)].rename(columns=PRINTED)
    print(
        shown.to_string(
            index=False,
            na_rep="-",
            float_format=lambda value: f"{value:.3f}",
            formatters={PRINTED["p_simple"]: p_text},
        )
    )
    print()

"""``affectbench leaderboard`` and ``affectbench compare``: what finished runs show."""

import argparse
from pathlib import Path

from benchmark.boards.board import Board, left_behind, write_leaderboards
from benchmark.boards.cohort import LeaderboardError
from benchmark.boards.compare import matches, render, suite_matches
from benchmark.boards.compare_plot import plot
from benchmark.cli.outcome import DONE
from benchmark.store import Store, write_text


def leaderboard(arguments: argparse.Namespace) -> int:
    """Write the leaderboards anew, and remove boards of which there are no runs any more."""
    store = _with_results(arguments.runs)
    boards = write_leaderboards(store, arguments.leaderboards)
    for board in boards:
        print_board(board)
    for path in left_behind(store, arguments.leaderboards, boards):
        path.unlink()
        print(f"removed {path}: {arguments.runs} has no run on this board")
    print(
        f"{len(boards)} board(s), overall.csv, comparisons.csv, published.csv and runs.csv are in "
        f"{arguments.leaderboards}"
    )
    return DONE


def compare(arguments: argparse.Namespace) -> int:
    """Print two models, or two folders of results, on every board that both are on."""
    if (first := Path(arguments.a)).is_dir() and (second := Path(arguments.b)).is_dir():
        found = suite_matches(_with_results(first), _with_results(second), arguments.board)
    else:
        store = _with_results(arguments.runs)
        other = _with_results(arguments.runs_b) if arguments.runs_b else None
        found = matches(arguments.a, arguments.b, store, other, arguments.board)
    if arguments.plot:
        write_text(arguments.plot, plot(found))
    print(render(found, arguments.format), end="")
    return DONE


def _with_results(runs: Path) -> Store:
    store = Store(runs)
    if next(store.results(), None) is None:
        raise LeaderboardError(
            f"no results in {str(runs)!r}: expected the folder of an affectbench run; "
            "name it with --runs"
        )
    return store


def print_board(board: Board) -> None:
    """Print the columns of a board that fit a terminal."""
    columns = {
        "tie_group": "tie",
        "model": "model",
        "signals": "signals",
        "macro_f1": "macro F1",
        "ci_low": "low",
        "ci_high": "high",
        "balanced_accuracy": "bal. acc.",
        "balanced_low": "low ",
        "balanced_high": "high ",
        "delta_majority": "over majority",
        "p_holm": "p, simple",
        "train_seconds": "train s",
        "n_runs": "runs",
        "n_failed": "failed",
    }
    print()
    for line in board.head:
        print(line)
    shown = board.table.reindex(columns=list(columns)).rename(columns=columns)
    print(shown.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}"))
    print()

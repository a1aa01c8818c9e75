"""``affectbench leaderboard``: write the leaderboards anew."""

import argparse

from benchmark.cli.arguments import add_folders
from benchmark.cli.command import DONE, FAILED, Command
from benchmark.engines.server import importing


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_folders(parser, "runs", "leaderboards")


def leaderboard(arguments: argparse.Namespace) -> int:
    """Write the leaderboards anew, and remove boards that no longer have runs.

    Damaged results are set aside: the rest is written, and the exit status is 1.
    """
    with importing():  # pandas
        from benchmark.boards.board import left_behind, write_leaderboards
        from benchmark.cli.boards import print_board, with_results

    store = with_results(arguments.runs)
    boards = write_leaderboards(store, arguments.leaderboards)
    for board in boards:
        print_board(board)
    for path in left_behind(store, arguments.leaderboards, boards):
        path.unlink()
        print(f"removed {path}: {arguments.runs} has no run on this board")
    print(
        f"{len(boards)} board(s), overall.csv, comparisons.csv, classes.csv, published.csv and "
        f"runs.csv are in {arguments.leaderboards}"
    )
    return FAILED if store.set_aside else DONE


COMMAND = Command(
    "write the leaderboards anew",
    _arguments,
    leaderboard,
    ("affectbench leaderboard --runs runs",),
)

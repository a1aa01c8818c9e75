"""``affectbench leaderboard``: write the leaderboards anew."""

import argparse
import sys

from benchmark.cli.arguments import add_folders
from benchmark.cli.command import DONE, FAILED, Command
from benchmark.engines.server import importing


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_folders(parser, "runs", "leaderboards")
    parser.add_argument(
        "--format",
        choices=("md", "latex"),
        help="print the boards for a paper, with the lines of their heads as notes",
    )


def leaderboard(arguments: argparse.Namespace) -> int:
    """Write the leaderboards anew, and remove boards that no longer have runs.

    Damaged results are set aside: the rest is written, and the exit status is 1.
    """
    with importing():  # pandas
        from benchmark.boards.board import left_behind, write_leaderboards
        from benchmark.boards.paper import for_paper
        from benchmark.cli.boards import print_board, with_results

    store = with_results(arguments.runs)
    boards = write_leaderboards(store, arguments.leaderboards)
    for board in boards:
        if arguments.format:
            print(for_paper(board, arguments.format))
        else:
            print_board(board)
    news = sys.stderr if arguments.format else sys.stdout
    for path in left_behind(store, arguments.leaderboards, boards):
        path.unlink()
        print(f"removed {path}: {arguments.runs} has no run on this board", file=news)
    print(
        f"{len(boards)} board(s), overall.csv, comparisons.csv, classes.csv, uncertainty.csv, "
        f"published.csv and runs.csv are in {arguments.leaderboards}",
        file=news,
    )
    return FAILED if store.set_aside else DONE


COMMAND = Command(
    "write the leaderboards anew",
    _arguments,
    leaderboard,
    ("affectbench leaderboard --runs runs", "affectbench leaderboard --format latex > boards.tex"),
)

"""``affectbench compare``: two models or two folders of results, on boards that both are on."""

import argparse
from pathlib import Path

from benchmark.cli.arguments import add_folders, picture
from benchmark.cli.command import DONE, Command
from benchmark.engines.server import importing


def _arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help="as on the rows: MODEL[@SIGNALS[@RECIPE]]; or A and B are folders of runs, and "
            "every row of one is compared with its counterpart in the other",
        )
    add_folders(parser, "runs")
    parser.add_argument("--runs-b", type=Path, metavar="RUNS", help="where B is; default: --runs")
    parser.add_argument("--board", nargs="+", default=[], metavar="B", help="only these")
    parser.add_argument("--format", choices=["md", "csv", "json"], default="md")
    parser.add_argument(
        "--plot",
        nargs="+",
        type=picture,
        default=[],
        metavar="FILE",
        help="draw each subject's scores; .svg or .png",
    )


def compare(arguments: argparse.Namespace) -> int:
    """Print two models, or two folders of results, on every board that both are on."""
    with importing():  # pandas
        from benchmark.boards.compare import matches, render, suite_matches
        from benchmark.boards.compare_plot import plot
        from benchmark.cli.boards import with_results

    if (first := Path(arguments.a)).is_dir() and (second := Path(arguments.b)).is_dir():
        pairs = suite_matches(with_results(first), with_results(second), arguments.board)
    else:
        store = with_results(arguments.runs)
        other = with_results(arguments.runs_b) if arguments.runs_b else None
        pairs = matches(arguments.a, arguments.b, store, other, arguments.board)
    for path in arguments.plot:
        plot(pairs).write(path)
    print(render(pairs, arguments.format), end="")
    return DONE


COMMAND = Command(
    "compare two models, or two folders of runs, on every board that both are on",
    _arguments,
    compare,
    (
        "affectbench compare cnn lda --plot cnn_lda.svg cnn_lda.png",
        "affectbench compare runs/ their_runs/ --format csv",
    ),
)

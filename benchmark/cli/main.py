"""The command line. A command's module is imported when the command is chosen, not before."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.cli.outcome import DONE, INTERRUPTED
from benchmark.engines.server import imported, start_server
from datamodules.errors import AffectbenchError


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 if everything asked for is there; 1 if runs failed, subjects were left out or a disk is
        full, what was finished is written; 2 for a call that cannot be done.
    """
    arguments = _parser().parse_args(words, argparse.Namespace(called=time.time()))
    try:
        if getattr(arguments, "engine", None) == "local":
            start_server()  # its imports go on while this process does its own
        return _function(arguments.command)(arguments)
    except KeyboardInterrupt:
        print("interrupted; finished runs are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return DONE
    except Exception as error:
        from benchmark.store import full_disk, is_full

        if is_full(error):
            error = full_disk(Path(error.filename or "."))
        if not isinstance(error, AffectbenchError):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.status


def _function(command: str) -> Callable[[argparse.Namespace], int]:
    """The function that does a command, as ``module.name``; its module is imported now."""
    module, _, name = command.rpartition(".")
    function: Callable[[argparse.Namespace], int] = getattr(
        imported(f"benchmark.cli.{module}"), name
    )
    return function


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="affectbench",
        description="An honest benchmark of emotion recognition from physiological signals.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="what there is to choose from")
    listing.add_argument("what", choices=["datasets", "models", "distillers", "splits", "suites"])
    listing.set_defaults(command="catalogue.show")

    data = commands.add_parser("data", help="look at recordings, make them up, fetch them")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="what is there, subject by subject")
    check.set_defaults(command="data.check")
    check.add_argument("--subject", nargs="+", metavar="S", help="only these")
    check.add_argument("--cache", type=Path, default=Path("cache"), help="default: cache")
    check.add_argument(
        "--option",
        nargs="+",
        type=_option,
        default=[],
        metavar="NAME=VALUE",
        help="options of the dataset's reader",
    )
    synthesize = actions.add_parser(
        "synthesize", help="made-up recordings in the publisher's files and folders"
    )
    synthesize.set_defaults(command="data.synthesize")
    synthesize.add_argument("--subjects", type=int, default=4, metavar="N", help="default: 4")
    synthesize.add_argument("--seed", type=int, default=0)
    synthesize.add_argument("--effect", type=_not_negative, default=1.0, help="0 plants none")
    synthesize.add_argument(
        "--option",
        nargs="+",
        type=_option,
        default=[],
        metavar="NAME=VALUE",
        help="options of the dataset's writer, as raw=true for seed_v",
    )
    download = actions.add_parser(
        "download", help="fetch a dataset that may be fetched without an agreement"
    )
    download.set_defaults(command="data.download")
    for action in (check, synthesize, download):
        action.add_argument("dataset")
        action.add_argument("--root", type=Path, required=True, help="the dataset's own folder")

    run = commands.add_parser("run", help="do the runs of a suite that are not done yet")
    run.set_defaults(command="run.run")
    run.add_argument("suite", help="name of a suite, or path of a .yaml file")
    run.add_argument("--data", type=Path, default=Path("data"), help="default: data")
    run.add_argument("--cache", type=Path, default=Path("cache"), help="default: cache")
    _add_places(run)
    choice = run.add_argument_group("part of the suite")
    for name in ("dataset", "task", "split", "model", "subject"):
        choice.add_argument(f"--{name}", nargs="+", metavar=name[0].upper(), help="only these")
    choice.add_argument("--signals", nargs="+", metavar="S", help="what models may choose from")
    choice.add_argument("--seeds", nargs="+", type=int, metavar="N", help="these seeds")
    choice.add_argument("--recipe", choices=["published", "fast"], help="of every model")
    choice.add_argument("--max-epochs", type=_count, metavar="N", help="of every model")
    choice.add_argument("--folds", type=int, metavar="K", help="folds of subject_k_fold")
    choice.add_argument("--effect", type=_not_negative, help="effect planted in synthetic data")
    how = run.add_argument_group("how")
    how.add_argument(
        "--devices",
        default="auto",
        help="cpu, or GPU numbers as in 0,1; auto: all GPUs, or the CPU if there are none",
    )
    how.add_argument(
        "--jobs-per-device",
        type=_jobs,
        metavar="N",
        help="workers on each device; auto: as many as its memory has room for; default: 1 a GPU, "
        "1 a core on the CPU",
    )
    how.add_argument(
        "--devices-per-run",
        type=int,
        default=1,
        metavar="N",
        help="train each network on so many devices at once; default: 1",
    )
    how.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="who hands runs to workers: this process, or a Ray cluster; default: local",
    )
    how.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="head of the Ray cluster; default: a Ray of this machine alone, for this call",
    )
    how.add_argument(
        "--timeout",
        type=_positive,
        metavar="MINUTES",
        help="kill a run that takes longer; default: none is",
    )
    how.add_argument(
        "--max-hours",
        type=_positive,
        metavar="H",
        help="start no run that would end later than that from now",
    )
    how.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="only the I-th of N parts of the runs; write no leaderboards",
    )
    how.add_argument(
        "--logger",
        choices=["csv", "wandb", "tensorboard", "none"],
        default="csv",
        help="where learning curves and results are tracked besides runs; default: csv",
    )
    how.add_argument(
        "--wandb-mode",
        choices=["offline", "online", "disabled"],
        default="offline",
        help="of --logger wandb; online sends to the server of WANDB_BASE_URL; default: offline",
    )
    how.add_argument(
        "--deterministic",
        action="store_true",
        help="use only algorithms that give the same bits each time, on a GPU too",
    )
    how.add_argument("--profile", action="store_true", help="say where the time of runs goes")
    how.add_argument("--strict", action="store_true", help="stop at the first bad subject")
    how.add_argument("--retry-failed", action="store_true", help="do failed runs again")
    how.add_argument("--dry-run", action="store_true", help="say what would be done")

    predict = commands.add_parser("predict", help="use a trained model on new recordings")
    predict.set_defaults(command="predict.predict")
    predict.add_argument(
        "checkpoint",
        type=Path,
        help="model.ckpt of a finished run, or a folder with published Attention-LRCN weights",
    )
    predict.add_argument(
        "files",
        nargs="+",
        type=Path,
        help="session folders of an Empatica E4, SX/SX.pkl of WESAD, or with --dataset subjects",
    )
    predict.add_argument("--dataset", metavar="D", help="predict subjects of this dataset")
    predict.add_argument("--root", type=Path, help="where that dataset's files are")
    predict.add_argument("--out", type=Path, required=True, help="the CSV; plots go beside it")
    predict.add_argument(
        "--stride", type=float, default=10.0, help="seconds between windows; default: 10"
    )

    status = commands.add_parser("status", help="how far the latest call is")
    status.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    status.add_argument(
        "--timing", action="store_true", help="time of calls, and how much of it was inside runs"
    )
    status.set_defaults(command="progress.status")

    logs = commands.add_parser("logs", help="what a run said, and why it failed")
    logs.add_argument("run", help="its id, the beginning of it, or its folder")
    logs.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    logs.set_defaults(command="progress.logs")

    board = commands.add_parser("leaderboard", help="write the leaderboards anew")
    _add_places(board)
    board.set_defaults(command="boards.leaderboard")

    page = commands.add_parser("report", help="everything on one page that needs no network")
    _add_places(page)
    page.add_argument("--out", type=Path, default=Path("report.html"), help="default: report.html")
    page.set_defaults(command="report.report")

    test = commands.add_parser("selftest", help="whether the harness finds what is there only")
    test.set_defaults(command="selftest.run", engine="local")
    test.add_argument(
        "--leaderboards", type=Path, default=Path("leaderboards"), help="default: leaderboards"
    )
    test.add_argument("--jobs", type=int, metavar="N", help="workers; default: one a core")

    verify = commands.add_parser("verify", help="do a finished run again and compare")
    verify.set_defaults(command="verify.verify")
    verify.add_argument("run", help="its id, the beginning of it, or its folder")
    verify.add_argument("--data", type=Path, default=Path("data"), help="default: data")
    verify.add_argument("--cache", type=Path, default=Path("cache"), help="default: cache")
    verify.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    verify.add_argument(
        "--device", metavar="D", help="cpu or the number of a GPU; default: as it was done"
    )
    verify.add_argument(
        "--tolerance",
        type=_not_negative,
        metavar="T",
        help="how far probabilities and scores may differ; default: 0.0001, 0 with --deterministic",
    )
    verify.add_argument(
        "--deterministic",
        action="store_true",
        help="use only algorithms that give the same bits each time, and expect equal bits",
    )

    versus = commands.add_parser(
        "compare", help="two models, or two suites' results, on every board that both are on"
    )
    versus.set_defaults(command="boards.compare")
    for name in ("a", "b"):
        versus.add_argument(
            name,
            metavar=name.upper(),
            help="as on the rows: MODEL[@SIGNALS[@RECIPE]]; or A and B are folders of runs, and "
            "every row of one is compared with its counterpart in the other",
        )
    versus.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    versus.add_argument("--runs-b", type=Path, metavar="RUNS", help="where B is; default: --runs")
    versus.add_argument("--board", nargs="+", default=[], metavar="B", help="only these")
    versus.add_argument("--format", choices=["md", "csv", "json"], default="md")
    versus.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw each subject's scores")
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument(
        "--leaderboards", type=Path, default=Path("leaderboards"), help="default: leaderboards"
    )


def _option(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text}")
    return name, value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, found {text}")
    return int(text)


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0, found {text}")
    return value


def _jobs(text: str) -> int | str:
    return text if text == "auto" else int(text)


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, found {text}")
    return int(number), int(count)


def _not_negative(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {text}")
    return value

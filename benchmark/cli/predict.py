"""``affectbench predict``: a trained model on new recordings."""

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmark.cli.arguments import add_options, not_negative, option_values
from benchmark.cli.command import DONE, Command
from benchmark.cli.signals import Stopped
from benchmark.engines.server import importing
from benchmark.errors import BenchmarkError

IDLE = 30.0
"""Seconds without a new line after which the recording in a folder is over."""
STREAM = Path("-")
"""In place of a folder: standard input."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="folder of a finished run, or its model.ckpt or model.skops; or a folder with "
        "published Attention-LRCN weights",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        help="session folders of an Empatica E4 or the portal's zip archives, SX/SX.pkl of WESAD, "
        "or with --dataset subjects; with --follow one session folder, or - for standard input",
    )
    parser.add_argument("--dataset", metavar="D", help="predict subjects of this dataset")
    parser.add_argument("--root", type=Path, help="where that dataset's files are")
    add_options(parser, "options of that dataset's reader, as long_videos=true of amigos")
    parser.add_argument(
        "--out", type=Path, help="the CSV; plots go beside it. With --follow: standard output"
    )
    parser.add_argument(
        "--stride", type=float, default=10.0, help="seconds between windows; default: 10"
    )
    live = parser.add_argument_group("a recording that is not over")
    live.add_argument(
        "--follow",
        action="store_true",
        help="write a line for each window as soon as its samples are there; of - the samples are "
        "lines signal,unix_time,value[,value...]",
    )
    live.add_argument(
        "--start",
        type=not_negative,
        metavar="S",
        help="first window's start in seconds; default: 0",
    )
    live.add_argument(
        "--idle",
        type=not_negative,
        metavar="S",
        help=f"seconds without a new line after which a folder is over; default: {IDLE:g}",
    )


def predict(arguments: argparse.Namespace) -> int:
    """Write predictions of new recordings."""
    if arguments.follow:
        return _follow(arguments)
    if arguments.out is None or arguments.start is not None or arguments.idle is not None:
        raise BenchmarkError(
            "predict: expected --out FILE, and --start and --idle with --follow alone, found "
            f"{'no --out' if arguments.out is None else 'them without it'}"
        )
    with importing():  # torch
        from benchmark.execution.checkpoint import load_predictor, run_of
        from benchmark.plan.suite import known_names, reader_options
        from benchmark.predict.files import predict_files, predict_subjects
        from datamodules.catalogue import DATASETS

    if arguments.option and not arguments.dataset:
        raise BenchmarkError(
            "--option sets options of a dataset's reader: expected --dataset too, found none"
        )
    predictor = load_predictor(arguments.checkpoint)
    for line in predictor.notes:
        print(line)
    if predictor.subjects:
        print(f"trained on {', '.join(predictor.subjects)}: be sure that they are other people")
    if arguments.dataset:
        known_names([arguments.dataset], DATASETS, "dataset")
        subjects = [str(name) for name in arguments.files]
        module, run = DATASETS[arguments.dataset], run_of(arguments.checkpoint)
        if run is not None and run.dataset == arguments.dataset:
            module = module.brought(run.brought)  # as for its training
        options = dict(reader_options(module, option_values(arguments.option)))
        written = predict_subjects(
            predictor,
            module,
            arguments.root,
            options,
            subjects,
            arguments.out,
            arguments.stride,
        )
    else:
        written = predict_files(predictor, arguments.files, arguments.out, arguments.stride)
    for path in written.files:
        print(path)
    for line in written.doubts:
        print(f"DOUBT: {line}", file=sys.stderr)
    return DONE


def _follow(arguments: argparse.Namespace) -> int:
    """Write predictions of a recording that grows."""
    (place, *more), start, idle = arguments.files, arguments.start or 0.0, arguments.idle
    if more or arguments.dataset or arguments.root or arguments.option:
        raise BenchmarkError(
            "--follow: expected one folder of an Empatica E4 or - and no --dataset, found "
            f"{f'{len(arguments.files)} files' if more else '--dataset, --root or --option'}"
        )
    if place == STREAM and idle is not None:
        raise BenchmarkError("--idle: expected a folder, found -, which is over at its end")
    with importing():  # torch
        from benchmark.execution.checkpoint import load_predictor, run_of
        from benchmark.files import room_at
        from benchmark.predict.files import check_out
        from benchmark.predict.follow import (
            AnswerFile,
            Follower,
            Source,
            causal_ways,
            lines_of,
            session_of,
        )

    out = arguments.out
    if out:
        check_out(out)
    predictor = load_predictor(arguments.checkpoint)
    ways = causal_ways(predictor, run_of(arguments.checkpoint))
    idle = IDLE if idle is None else idle
    end, status = "stopped", DONE
    with ExitStack() as stack:
        source: Source
        if place == STREAM:
            source = lines_of(ways, stack.enter_context(os.fdopen(0, "rb", closefd=False)))
        else:
            source = session_of(predictor, ways, place, idle)
        follower = Follower(predictor, ways, source, arguments.stride, start)
        for line in predictor.notes:
            print(line, file=sys.stderr)
        if predictor.subjects:
            people = ", ".join(predictor.subjects)
            print(f"trained on {people}: be sure that they are other people", file=sys.stderr)
        if out:
            stack.enter_context(room_at(out))
            out.parent.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context(out.open("w", newline="")) if out else sys.stdout
        answers = AnswerFile(file, predictor)
        try:
            for answer in follower:
                answers.write(answer, source.start)
            waited = f"nothing new of {', '.join(sorted(follower.lacking))} for {idle:g} s"
            end = "end of the input" if place == STREAM else waited
        except KeyboardInterrupt as stop:
            status = stop.status if isinstance(stop, Stopped) else DONE
    for line in follower.doubts.lines():
        print(f"DOUBT: {line}", file=sys.stderr)
    print(f"{end}: {answers.summary()}", file=sys.stderr)
    if not answers.n_windows and end != "stopped":
        raise BenchmarkError(
            f"expected a recording of at least {start + predictor.window:g} s, found a shorter one"
        )
    return status


COMMAND = Command(
    "use a trained model on new recordings",
    _arguments,
    predict,
    (
        "affectbench predict runs/BOARD/MODEL/RUN my_e4_session.zip --out predictions.csv",
        "affectbench predict runs/BOARD/MODEL/RUN s01 --dataset deap --root data/deap --out p.csv",
        "affectbench predict runs/BOARD/MODEL/RUN --follow my_growing_e4_folder",
    ),
)

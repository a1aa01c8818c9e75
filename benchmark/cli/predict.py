"""``affectbench predict``: a trained model on new recordings."""

import argparse
import sys
from pathlib import Path

from benchmark.cli.arguments import add_options, option_values
from benchmark.cli.command import DONE, Command
from benchmark.engines.server import importing
from benchmark.errors import BenchmarkError


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
        "or with --dataset subjects",
    )
    parser.add_argument("--dataset", metavar="D", help="predict subjects of this dataset")
    parser.add_argument("--root", type=Path, help="where that dataset's files are")
    add_options(parser, "options of that dataset's reader, as long_videos=true of amigos")
    parser.add_argument("--out", type=Path, required=True, help="the CSV; plots go beside it")
    parser.add_argument(
        "--stride", type=float, default=10.0, help="seconds between windows; default: 10"
    )


def predict(arguments: argparse.Namespace) -> int:
    """Write predictions of new recordings."""
    with importing():  # torch
        from benchmark.execution.checkpoint import load_predictor
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
        module = DATASETS[arguments.dataset]
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


COMMAND = Command(
    "use a trained model on new recordings",
    _arguments,
    predict,
    (
        "affectbench predict runs/BOARD/MODEL/RUN my_e4_session.zip --out predictions.csv",
        "affectbench predict runs/BOARD/MODEL/RUN s01 --dataset deap --root data/deap --out p.csv",
    ),
)

"""``affectbench data``: look at recordings, make them up, fetch them."""

import argparse
import sys
from pathlib import Path

from benchmark.cli.arguments import (
    add_folders,
    add_options,
    not_negative,
    option_values,
    whole,
)
from benchmark.cli.command import DONE, FAILED, INTERRUPTED, Command
from benchmark.cli.doing import say_doing
from benchmark.cli.signals import Stopped
from benchmark.engines.server import importing


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    look = actions.add_parser("check", help="what is there, subject by subject")
    look.set_defaults(action=check)
    look.add_argument("--subject", nargs="+", metavar="S", help="only these")
    add_folders(look, "cache")
    add_options(look, "options of the dataset's reader")
    made_up = actions.add_parser(
        "synthesize", help="made-up recordings in the publisher's files and folders"
    )
    made_up.set_defaults(action=synthesize)
    made_up.add_argument("--subjects", type=int, default=4, metavar="N", help="default: 4")
    made_up.add_argument("--seed", type=whole, default=0)
    made_up.add_argument("--effect", type=not_negative, default=1.0, help="0 plants none")
    add_options(made_up, "options of the dataset's writer, as format=edf for folder")
    fetched = actions.add_parser(
        "download", help="fetch a dataset that may be fetched without an agreement"
    )
    fetched.set_defaults(action=download)
    for action in (look, made_up, fetched):
        action.add_argument("dataset")
        action.add_argument("--root", type=Path, required=True, help="the dataset's own folder")


def run(arguments: argparse.Namespace) -> int:
    """Do an action."""
    status: int = arguments.action(arguments)
    return status


def check(arguments: argparse.Namespace) -> int:
    """Print what is there, subject by subject."""
    with importing():  # torch, and pandas for the tables
        from benchmark.plan.expand import left_out
        from benchmark.plan.suite import known_names, reader_options
        from benchmark.recordings.check import check as check_files
        from datamodules.catalogue import DATASETS

    known_names([arguments.dataset], DATASETS, "dataset")
    module = DATASETS[arguments.dataset]
    options = dict(reader_options(module, option_values(arguments.option)))
    subjects = arguments.subject or ()
    findings = check_files(
        arguments.dataset,
        arguments.root,
        arguments.cache,
        subjects,
        options,
        lambda progress: say_doing(str(progress)),
    )
    print(f"{module.title} in {arguments.root}\n")
    if len(findings.signals):
        print(findings.signals.to_string(index=False) + "\n")
    print(findings.subjects.to_string(index=False) + "\n")
    for line in (*findings.faults, *findings.summary):
        print(line)
    for line in (*left_out(findings.left_out), *map(str, findings.doubles), *findings.refused):
        print(line, file=sys.stderr)
    if not len(findings.subjects):
        print(f"expected at least one subject in {arguments.root}, found none", file=sys.stderr)
        return FAILED
    refused = findings.refused or any(two.other != two.subject for two in findings.doubles)
    return FAILED if findings.left_out or refused else DONE


def synthesize(arguments: argparse.Namespace) -> int:
    """Write made-up recordings."""
    with importing():  # torch
        from benchmark.plan.suite import known_names
        from benchmark.recordings.prepare import EXAMPLE
        from benchmark.recordings.prepare import synthesize as write_recordings
        from datamodules.catalogue import DATASETS

    known_names([arguments.dataset], (*DATASETS, EXAMPLE), "dataset")
    written = write_recordings(
        arguments.dataset,
        arguments.root,
        arguments.subjects,
        arguments.seed,
        arguments.effect,
        option_values(arguments.option),
    )
    print(f"wrote {written} made-up subjects of {arguments.dataset} to {arguments.root}")
    return DONE


def download(arguments: argparse.Namespace) -> int:
    """Fetch a dataset."""
    with importing():  # torch
        from rich.console import Console

        from benchmark.plan.suite import known_names
        from benchmark.recordings.download import download as fetch
        from datamodules.catalogue import DATASETS

    known_names([arguments.dataset], DATASETS, "dataset")
    try:
        checked = fetch(arguments.dataset, arguments.root, Console(stderr=True))
    except KeyboardInterrupt as stop:
        print("interrupted; what came is kept, the same command goes on from it", file=sys.stderr)
        return stop.status if isinstance(stop, Stopped) else INTERRUPTED
    print(f"{arguments.dataset} is in {arguments.root}, {checked}")
    return DONE


COMMAND = Command(
    "look at recordings, make them up, fetch them",
    _arguments,
    run,
    (
        "affectbench data check wesad --root data/wesad",
        "affectbench data synthesize deap --root try/deap --subjects 6",
        "affectbench data download stress_predict --root data/stress_predict",
    ),
)

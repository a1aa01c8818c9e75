"""``affectbench data``: look at recordings, make them up, fetch them."""

import argparse
import sys

import yaml
from rich.console import Console

from benchmark.cli.outcome import DONE, FAILED, INTERRUPTED
from benchmark.plan.expand import left_out
from benchmark.plan.suite import known_names, reader_options
from benchmark.recordings.check import check as check_files
from benchmark.recordings.download import download as fetch
from benchmark.recordings.prepare import synthesize as write_recordings
from datamodules.catalogue import DATAMODULES


def check(arguments: argparse.Namespace) -> int:
    """Print what is there, subject by subject."""
    known_names([arguments.dataset], DATAMODULES, "dataset")
    module = DATAMODULES[arguments.dataset]
    asked = {name: yaml.safe_load(value) for name, value in arguments.option}
    options = dict(reader_options(module, asked))
    subjects = arguments.subject or ()
    found = check_files(arguments.dataset, arguments.root, arguments.cache, subjects, options)
    print(f"{module.title} in {arguments.root}\n")
    if len(found.signals):
        print(found.signals.to_string(index=False) + "\n")
    print(found.subjects.to_string(index=False) + "\n")
    for line in (*found.faults, *found.summary):
        print(line)
    for line in left_out(found.left_out):
        print(line, file=sys.stderr)
    return FAILED if found.left_out else DONE


def synthesize(arguments: argparse.Namespace) -> int:
    """Write made-up recordings."""
    known_names([arguments.dataset], DATAMODULES, "dataset")
    written = write_recordings(
        arguments.dataset,
        arguments.root,
        arguments.subjects,
        arguments.seed,
        arguments.effect,
        {name: yaml.safe_load(value) for name, value in arguments.option},
    )
    print(f"wrote {written} made-up subjects of {arguments.dataset} to {arguments.root}")
    return DONE


def download(arguments: argparse.Namespace) -> int:
    """Fetch a dataset."""
    known_names([arguments.dataset], DATAMODULES, "dataset")
    try:
        fetch(arguments.dataset, arguments.root, Console(stderr=True))
    except KeyboardInterrupt:
        print("interrupted; what came is kept, the same command goes on from it", file=sys.stderr)
        return INTERRUPTED
    print(f"{arguments.dataset} is in {arguments.root}, and is what is on record")
    return DONE

"""``affectbench datasheet``: what there is to know of a dataset before it is used."""

import argparse
import json

from benchmark.cli.command import DONE, Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name, as in affectbench list datasets")
    parser.add_argument(
        "--croissant",
        action="store_true",
        help="metadata of an open dataset in the Croissant format, as JSON-LD",
    )


def show(arguments: argparse.Namespace) -> int:
    """Print a datasheet, or the metadata of an open dataset."""
    from benchmark.plan.suite import known_names  # imports what is asked for, as list does
    from datamodules.catalogue import DATASETS
    from datamodules.croissant import croissant
    from datamodules.datasheet import datasheet

    known_names([arguments.dataset], DATASETS, "dataset")
    dataset = DATASETS[arguments.dataset]
    if arguments.croissant:
        print(json.dumps(croissant(dataset), indent=2))
    else:
        print(datasheet(dataset), end="")
    return DONE


COMMAND = Command(
    "print people, signals, terms, known faults and limits of a dataset",
    _arguments,
    show,
    (
        "affectbench datasheet wesad",
        "affectbench datasheet eegmat --croissant",
    ),
)

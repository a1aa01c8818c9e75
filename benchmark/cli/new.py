"""``affectbench new``: write a plug-in to begin with."""

import argparse
import re
from pathlib import Path

from benchmark.cli.command import DONE, Command
from benchmark.errors import BenchmarkError

TEMPLATES = Path(__file__).parents[1] / "templates"
KINDS = ("model", "dataset")
NAME = r"[a-z][a-z0-9_]*"


class NewError(BenchmarkError):
    """A plug-in that cannot be written."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name", help="name of the model or dataset, and of its file")


def new(arguments: argparse.Namespace) -> int:
    """Write a commented plug-in that runs, in the current folder."""
    print(write(arguments.kind, arguments.name, Path()))
    return DONE


def write(kind: str, name: str, folder: Path) -> Path:
    """Write a plug-in under a new name, and return its file.

    Args:
        kind: ``"model"`` or ``"dataset"``.
        name: Name of the model or dataset.
        folder: Folder that it is written to.

    Raises:
        NewError: A name that cannot be one, or a file of this name that is there.
    """
    if not re.fullmatch(NAME, name):
        raise NewError(f"expected a name of small letters, digits and _, found {name!r}")
    path = folder / f"{name}.py"
    if path.exists():
        raise NewError(f"expected no {path}, found one: it is not written over")
    text = (TEMPLATES / f"{kind}.py").read_text()
    title = "".join(part.capitalize() for part in name.split("_"))
    for old, value in (
        (f"my_{kind}", name),
        (f"MY_{kind.upper()}", name.upper()),
        ("MyReader", f"{title}Reader"),
        ("My dataset", name.replace("_", " ").capitalize()),
    ):
        text = text.replace(old, value)
    path.write_text(text)
    return path


COMMAND = Command(
    "write a plug-in to begin with: a model or a dataset",
    _arguments,
    new,
    (
        "affectbench new model my_net",
        "affectbench new dataset my_data",
    ),
)

"""Arguments that several commands have, and the types of their values."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.encoders.files import Weights
    from benchmark.run import Value


def add_folders(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the option of each folder, which has the folder's own name as its default."""
    for name in names:
        parser.add_argument(f"--{name}", type=Path, default=Path(name), help=f"default: {name}")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names one run of a store."""
    parser.add_argument("run", help="its id, the beginning of it, or its folder")


def add_options(parser: argparse.ArgumentParser, about: str) -> None:
    """Add ``--option``, which sets arguments of a dataset's reader or writer."""
    parser.add_argument(
        "--option", nargs="+", type=option, default=[], metavar="NAME=VALUE", help=about
    )


def add_encoders(parser: argparse._ActionsContainer) -> None:
    """Add ``--encoder``, which names the weights of frozen encoders."""
    parser.add_argument(
        "--encoder",
        nargs="+",
        type=option,
        default=[],
        metavar="NAME=FILE",
        help="weights of a frozen encoder, as rows NAME and NAME_untrained",
    )


def encoder_weights(encoders: Sequence[tuple[str, str]]) -> dict[str, "Weights"]:
    """Return the weights of encoders by name."""
    from benchmark.encoders.files import Weights  # imports the errors of datasets

    return {name: Weights(file) for name, file in encoders}


def option(text: str) -> tuple[str, str]:
    """Return name and value of an option."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text}")
    return name, value


def option_values(options: Sequence[tuple[str, str]]) -> dict[str, "Value"]:
    """Return the options of a reader or writer; their values are written as in YAML."""
    from benchmark.plan.strict import plain_values  # imports yaml

    values = {}
    for name, text in options:
        try:
            values[name] = plain_values(text)
        except ValueError as error:
            raise BenchmarkError(
                f"--option {name}={text}: expected a value as in YAML, found otherwise: {error}"
            ) from error
    return values


def count(text: str) -> int:
    """Return a whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, found {text}")
    return int(text)


def whole(text: str) -> int:
    """Return a whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, found {text}")
    return int(text)


def positive(text: str) -> float:
    """Return a number above 0."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0, found {text}")
    return value


def not_negative(text: str) -> float:
    """Return a number that is 0 or more."""
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {text}")
    return value


def shard(text: str) -> tuple[int, int]:
    """Return number and count of a part, as in ``2/3``."""
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, found {text}")
    return int(number), int(parts)


def picture(text: str) -> Path:
    """Return the path of a picture."""
    path = Path(text)
    if path.suffix not in (".svg", ".png"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .svg or .png, found {text}")
    return path

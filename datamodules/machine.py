"""Errors of the machine, told apart from files of a dataset that are not what they should be.

A full or broken disk and a right that is missing say nothing about recordings: whoever meets one
stops, and leaves nobody out. A file that is missing, or that a folder stands in for, is a matter of
the dataset, and so is an error without a number, as libraries raise it for a format.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datamodules.errors import (
    AffectbenchError,
    DatasetCorruptedError,
    MachineError,
    MissingExtraError,
)

OF_FILES = frozenset(
    {
        None,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,  # a place in a file that its damaged header names
        errno.EOVERFLOW,
    }
)
"""Numbers of errors that the files of a dataset may be the cause of."""


def refuse_machine(error: BaseException, name: object) -> None:
    """Raise MachineError if it is not the files' fault that they cannot be read.

    Args:
        error: Error of reading; those that led to it count too, as libraries hide them.
        name: What was read, where the error does not say: a path, or a subject.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno not in OF_FILES:
            raise MachineError(
                f"{cause.filename or name}: expected to read it, found "
                f"{cause.strerror or cause}. No recording is at fault, so that nobody is left out: "
                "mend it, and call again"
            ) from error
        cause = cause.__cause__ or cause.__context__


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Report what goes wrong with the files of a dataset in a block.

    Args:
        name: Subject, or title of the dataset.

    Raises:
        MachineError: The machine cannot read them.
        DatasetCorruptedError: They are not what the publisher ships.
    """
    try:
        yield
    except AffectbenchError:
        raise
    except OSError as error:
        refuse_machine(error, name)
        raise DatasetCorruptedError(f"{name}: {error}") from error


@contextmanager
def extra(library: str, name: str, use: str) -> Iterator[None]:
    """Report a library that a block imports and that was not installed.

    Args:
        library: Name of the library.
        name: Name of the extra of this project that brings it.
        use: What it is needed for.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise MissingExtraError(
            f"{use}: expected {library}, found none. Install it with pip install "
            f"'affectbench[{name}]'"
        ) from error


@contextmanager
def caching(folder: Path) -> Iterator[None]:
    """Raise MachineError where a block cannot read or write a folder of the cache."""
    try:
        yield
    except AffectbenchError:
        raise
    except OSError as error:
        raise MachineError(
            f"{folder}: expected to write and read the cache there, found "
            f"{error.strerror or error}. No recording is at fault, and nothing was kept that is "
            "not whole: mend it, make room or name another folder for the cache, and call again"
        ) from error

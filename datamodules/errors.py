"""The errors that a user can mend: each says what was expected, what was found, what to do."""

LONGEST = 3000
"""Largest number of characters of a message about a file."""


class AffectbenchError(Exception):
    """Root of all errors that a user can mend; the command line prints them without a traceback.

    Attributes:
        status: Exit status of the command line.
    """

    status = 2


class DatasetNotFoundError(AffectbenchError):
    """No dataset, or not that subject of it, where it was looked for."""


class DatasetCorruptedError(AffectbenchError):
    """A file of a dataset is not what its publisher ships.

    Args:
        message: The message; of one that quotes too much of the file, the beginning.
    """

    def __init__(self, message: str) -> None:
        cut = f"{message[:LONGEST]} ... ({len(message) - LONGEST} characters more)"
        super().__init__(message if len(message) <= LONGEST else cut)


class MachineError(AffectbenchError):
    """A full or broken disk, or a right that is missing: it ends the call, and is nobody's data."""

    status = 1


class MissingExtraError(MachineError):
    """A library that only one option needs, and that was not installed with this project."""

    status = 2


class IncompatibleRunError(AffectbenchError):
    """A model, a dataset and a protocol that cannot go together."""


class LeakError(AffectbenchError):
    """The same subject, trial or stretch of signal on two sides of a split."""

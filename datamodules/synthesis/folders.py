"""New folders: nothing is replaced, and an interrupted write leaves nothing behind."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datamodules.errors import AffectbenchError


def check_request(root: Path, names: Sequence[str], n_subjects: int, effect: float) -> None:
    """Check the arguments of a writer.

    Args:
        root: Folder of the made-up dataset.
        names: Folders and files of all the subjects that the dataset can have, in order.
        n_subjects: Number of subjects to write.
        effect: Strength of the planted effect.

    Raises:
        AffectbenchError: A number of subjects or an effect out of range, or a name that exists.
    """
    if not 1 <= n_subjects <= len(names):
        raise AffectbenchError(f"expected 1 to {len(names)} subjects, found {n_subjects}")
    if not 0 <= effect < float("inf"):
        raise AffectbenchError(f"expected an effect of 0 or more, found {effect}")
    check_free(root, names[:n_subjects])


def check_free(root: Path, names: Sequence[str]) -> None:
    """Raise AffectbenchError if a folder already has one of the names."""
    for name in names:
        if (root / name).exists():
            raise AffectbenchError(
                f"expected no {name} in {str(root)!r}, found one: made-up data do not replace "
                "what is there. Name another folder, or take it away first."
            )


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` that takes its name if the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_new(path: Path, text: str) -> None:
    """Write a file in ASCII with unchanged line ends, under a temporary name, and rename it."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_text(text, encoding="ascii", newline="")
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)

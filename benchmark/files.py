"""Files that are written at once: a reader sees the old file or the new one, never a part.

A file is written under a temporary name, flushed to the disk and renamed. A disk that is full is
reported with the folder that has the least room. A folder is listed without what others are writing
there.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, TypeGuard

from datamodules.errors import MachineError
from datamodules.temporary import owned

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
"""Errors for a path that is not there any more; the last is a network file system's."""
READABLE = 0o644
"""Mode of finished files; temporary ones can be read by their owner alone."""


class DiskFullError(MachineError):
    """No room for what must be written."""


def is_full(error: BaseException) -> TypeGuard[OSError]:
    """Return whether an error says that a disk, or its user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def full_disk(*paths: Path) -> DiskFullError:
    """Return the error to raise for want of room, which names the disk with the least of it.

    Args:
        paths: Files or folders, any of which could not be written.
    """
    chains = [(path, *path.absolute().parents) for path in paths]
    folders = [next(folder for folder in chain if folder.is_dir()) for chain in chains]
    left, fullest = min((shutil.disk_usage(folder).free, folder) for folder in folders)
    free = left / 2**20
    return DiskFullError(
        f"{fullest}: no room to write, {free:.1f} MiB are free there (a quota may allow less). "
        "What was finished is kept: make room and call again, or name folders elsewhere with "
        "--runs, --cache, --leaderboards and TMPDIR"
    )


@contextmanager
def room_at(path: Path) -> Iterator[None]:
    """Raise DiskFullError where a block finds the disk of a path full."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise full_disk(path) from error
        raise


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order of name; nothing of a folder that is gone.

    Hidden files and folders are left out: another process writes them, and they vanish at any
    moment. Every folder that others may change is listed here.
    """
    return [path for path in _listed(folder) if not path.name.startswith(".")]


def temporary(folder: Path, stem: str) -> list[Path]:
    """Return the temporary files of a stem that lie in a folder, in order of name."""
    return [path for path in _listed(folder) if path.name.startswith(f"{stem}-of-")]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        if error.errno in GONE:
            return []
        raise


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return the visible paths below a folder that match a pattern, as ``*/*.csv``, in order."""
    first, _, rest = pattern.partition("/")
    if set(first) & set("*?["):
        paths = [path for path in visible(folder) if fnmatchcase(path.name, first)]
    else:
        paths = [path] if _may_be_there(path := folder / first) else []
    return [path for below in paths for path in matching(below, rest)] if rest else paths


def _may_be_there(path: Path) -> bool:
    """Return False for a path that is not there; one that cannot be looked at may be."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno not in GONE
    return True


def write_json(path: Path, value: object) -> None:
    """Write a JSON file at once, or leave it as it was; raises DiskFullError."""
    write_text(path, as_json(value))


def write_text(path: Path, text: str) -> None:
    """Write a text file at once, or leave it as it was; raises DiskFullError."""
    with room_at(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with room_at(path), _replaced(path) as temporary:
        write_flushed(temporary, text)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file at once, or leave it as it was."""
    with _replaced(path) as temporary:
        write_flushed(temporary, content)


def write_flushed(path: Path, content: str | bytes) -> None:
    """Write a file, and wait until it is on the disk."""
    with path.open("w" if isinstance(content, str) else "wb") as file:
        file.write(content)
        flush(file)


def flush(file: IO[Any]) -> None:
    """Wait until an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot flush a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_json(value: object) -> str:
    """Return a value as the text of a JSON file."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside a path, which takes its place if the block ends well."""
    descriptor, name = tempfile.mkstemp(prefix=owned(f".{path.name}"), dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        temporary.chmod(READABLE)
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

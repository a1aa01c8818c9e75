"""Temporary files and folders: named after the process that owns them, and cleaned up after it.

A process that is killed leaves what it was writing. A later call removes it if it is older than a
day and its owner has ended. Whether a process of another machine lives cannot be seen from here:
there, age alone decides.
"""

import contextlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path

DAY = 24 * 3600.0
"""Seconds after which a temporary file or folder whose owner has ended is removed."""
SCRATCH = "affectbench"
"""Beginning of the names in the folder for temporary files, which programs share."""
LONGEST = 100
"""Letters of a name that a temporary one begins with; file systems take 255 in all."""
OWNED = re.compile(rf"(?:\.|{SCRATCH}).*-of-(?P<host>[\w.]+)-(?P<process>\d+)-\w+")


def owned(stem: str = SCRATCH) -> str:
    """Return the beginning of a temporary name, which says whose it is; anything may follow it.

    Args:
        stem: Name of what is written, hidden by a point; or SCRATCH.
    """
    return f"{stem[:LONGEST]}-of-{_host()}-{os.getpid()}-"


def sweep(folders: Iterable[Path], depth: int = 0) -> list[Path]:
    """Remove temporary files and folders that processes left, and return their paths.

    Args:
        folders: Folders to look into.
        depth: Levels of folders below them to look into as well.
    """
    removed = []
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:  # gone, no folder, or not ours to read
            continue
        removed += [path for path in paths if _left(path) and _removed(path)]
        if depth:
            below = [p for p in paths if not p.name.startswith(".") and not p.is_symlink()]
            removed += sweep(below, depth - 1)
    return removed


def in_use(path: Path) -> bool:
    """Return whether a temporary path is there, younger than a day, and its owner may live."""
    match = OWNED.fullmatch(path.name)
    try:
        if not match or time.time() - path.lstat().st_mtime >= DAY:
            return False
    except FileNotFoundError:
        return False
    return match["host"] != _host() or _lives(int(match["process"]))


def _left(path: Path) -> bool:
    """Return whether a path is temporary, this user's, older than a day, and of no process."""
    match = OWNED.fullmatch(path.name)
    if not match:
        return False
    try:
        about = path.lstat()
    except OSError:
        return False
    if about.st_uid != os.getuid() or time.time() - about.st_mtime < DAY:
        return False
    return match["host"] != _host() or not _lives(int(match["process"]))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, OSError):  # no such number; or of another user
        return process < 2**31
    return True


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return not os.path.lexists(path)


def _host() -> str:
    return re.sub(r"[^\w.]", "_", socket.gethostname())

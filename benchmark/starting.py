"""Calls that are starting: a mark in the folder of runs while a call has no plan yet.

The mark is a hidden file of the call's process, see datamodules.temporary: a call that is killed
leaves it, but it says nothing once the process is gone, and is swept as all temporary files are.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.files import room_at, temporary
from datamodules.temporary import in_use, owned

MARK = ".starting"
"""Beginning of the name of a mark; its time of change is the time of the call."""


@contextmanager
def starting(runs: Path, called: float) -> Iterator[None]:
    """Mark a folder of runs until the block ends.

    Args:
        runs: Folder, which is made if there is none, and goes again if nothing came into it.
        called: Time of the call, as ``time.time`` has it.
    """
    mark = runs / f"{owned(MARK)}{uuid.uuid4().hex}"
    is_new = not runs.exists()
    with room_at(runs):
        runs.mkdir(parents=True, exist_ok=True)
        mark.touch()
        os.utime(mark, (called, called))
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)
        if is_new:
            with suppress(OSError):  # results, or the mark of another call, are in it
                runs.rmdir()


def starting_calls(runs: Path) -> list[float]:
    """Return the times of the calls that are starting now, in order."""
    times = []
    for mark in temporary(runs, MARK):
        with suppress(FileNotFoundError):  # its call has just begun
            if in_use(mark):
                times.append(mark.stat().st_mtime)
    return sorted(times)

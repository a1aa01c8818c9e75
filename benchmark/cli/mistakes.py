"""Mistakes: what the user can mend becomes one line; everything else is a fault of this project."""

import errno
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.files import full_disk, is_full
from datamodules.errors import AffectbenchError

TRACKER = "Issues"
"""Name of the address in pyproject.toml at which faults are reported."""
OURS = (ConnectionError, ChildProcessError, ProcessLookupError, BlockingIOError, InterruptedError)
"""Errors of the system that are about processes and pipes, which a user cannot mend."""
REMEDIES = {
    errno.EACCES: "Change its permissions, or name another",
    errno.EPERM: "Change its permissions, or name another",
    errno.EROFS: "Name a place that can be written to",
    errno.ENOENT: "Make it, or name one that is there",
    errno.ENOTDIR: "Part of the path is a file: name a folder",
    errno.EISDIR: "It is a folder: name a file",
    errno.EEXIST: "It is a file where a folder is needed, or the other way round: name another",
    errno.ELOOP: "Links lead in a circle: mend them, or name another",
    errno.ENAMETOOLONG: "Take a shorter name",
    errno.EMFILE: "Raise the limit of open files (ulimit -n)",
    errno.ENFILE: "Raise the limit of open files of the machine",
}


class MachineError(BenchmarkError):
    """A file or a folder that the machine does not let us read or write."""


def as_mistake(error: Exception) -> AffectbenchError | None:
    """Return an error as one that the user can mend, with one line; None for any other."""
    if is_full(error):
        error = full_disk(Path(_text(error.filename) or "."))
    if isinstance(error, OSError) and error.errno and not isinstance(error, OURS):
        error = _of_machine(error)
    if not isinstance(error, AffectbenchError):
        return None
    line = re.sub(r"\s*\n\s*", " ", str(error).strip())
    if line != str(error):
        error.args = (line,)
    return error


def _of_machine(error: OSError) -> MachineError:
    paths = " to ".join(filter(None, (_text(error.filename), _text(error.filename2))))
    remedy = REMEDIES.get(error.errno or 0, "Look after the disk, or name another place")
    return MachineError(
        f"{paths or 'a file'}: expected to read or write it, found: {error.strerror}. {remedy}"
    )


def _text(path: object) -> str:
    return "" if path is None or isinstance(path, int) else str(path)


def where_to_report() -> str:
    """Return the line below a traceback."""
    urls: list[str] = []
    with suppress(PackageNotFoundError):  # run from its sources
        urls = metadata("affectbench").get_all("Project-URL") or []
    addresses = [url.partition(", ")[2] for url in urls if url.startswith(f"{TRACKER}, ")]
    where = f" at {addresses[0]}" if addresses else ""
    return (
        "This is a fault of affectbench, and not of the call: please report it, with these lines, "
        f"to its developers{where}."
    )

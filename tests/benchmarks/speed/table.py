"""Rows of the table, and how things are timed."""

import contextlib
import ctypes
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch

NO_AIM = "-"
"""What ``reach`` says of a figure that is only there to be read."""
PR_SET_CHILD_SUBREAPER = 36
"""Of Linux's prctl.h."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        what: Is measured.
        against: What it is compared with.
        ours: Seconds, bytes or whatever ``unit`` says.
        theirs: The same of the other.
        reach: The aim, in words.
        reached: Whether it is.
        ratio: Theirs by ours for what should be sooner, ours by theirs for what may cost more.
    """

    what: str
    against: str
    ours: str
    theirs: str
    ratio: str
    reach: str
    reached: bool


HEAD = Row("what", "against", "ours", "theirs", "ratio", "reach", True)


def show(row: Row) -> str:
    verdict = "reached" if row.reached else "MISSED"
    if row is HEAD or row.reach == NO_AIM:
        verdict = ""
    return (
        f"{row.what:<50}{row.against:<44}{row.ours:>14}{row.theirs:>14}{row.ratio:>9}  "
        f"{row.reach:<10}{verdict}"
    )


def machine() -> str:
    """Processor, cores, load of others, versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    load = os.getloadavg()[0]
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, "
        f"load {load:.1f}; Python {platform.python_version()}, torch {torch.__version__}, "
        f"lightning {lightning.__version__}"
    )


def side_by_side(
    ours: Callable[[], float], theirs: Callable[[], float], repeats: int
) -> tuple[float, float, float]:
    """Medians of both in turn, and the median of the ratios of neighbours."""
    pairs = [(ours(), theirs()) for _ in range(repeats)]
    first, second = zip(*pairs, strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(first), statistics.median(second), ratio


def call(words: Sequence[str], **environment: str) -> tuple[float, float]:
    """Seconds by the clock and CPU seconds of a process, and of all that it started.

    Orphans become children of this process, as CPU time is known of one's own children alone.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    start, before = time.perf_counter(), _children()
    subprocess.run(
        words, check=True, capture_output=True, env={**os.environ, **environment}, text=True
    )
    seconds = time.perf_counter() - start
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return seconds, _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

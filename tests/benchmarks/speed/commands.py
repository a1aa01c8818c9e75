"""Commands that need no torch, the first line of others, and those that read many results."""

import contextlib
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmark.store import Store
from tests.benchmarks import boards
from tests.benchmarks.speed.table import NO_AIM, Row, call

REPEATS = 3
LIGHT, LEADERBOARD, REPORT = 0.5, 20.0, 10.0
"""Seconds of computing, at most."""
FIRST_LINE = 0.5
"""Seconds by the clock, at most."""


def rows() -> Iterator[Row]:
    """``--help``, ``status`` and ``logs`` of 75 runs against importing torch and lightning.

    Then the first line of ``run`` on a terminal, by the clock, against the end of a dry run.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        boards.write(root, ("wesad",), ("stress",), boards.MODELS[:3])
        store = Store(root)
        runs = [result.run for result in store.results()]
        store.save_plan(runs)
        importing = [sys.executable, "-c", "import torch, lightning"]
        for words in (["--help"], ["status", "--runs", name], ["logs", runs[0].id, "--runs", name]):
            pairs = [(_cpu(words), call(importing)[1]) for _ in range(REPEATS)]
            ours, theirs = (median(seconds) for seconds in zip(*pairs, strict=True))
            yield _row(words[0], "import torch, lightning", ours, theirs, LIGHT)
        places = [f"--{place}={root / place}" for place in ("cache", "runs")]
        words = ["run", "quick", "--dry-run", "--devices", "cpu", *places]
        pairs = [_first_line(words) for _ in range(REPEATS)]
        first, end = (median(seconds) for seconds in zip(*pairs, strict=True))
        yield _row("run, first line", "end of the dry run", first, end, FIRST_LINE)


def board_rows() -> Iterator[Row]:
    """``leaderboard`` of 10 000 results on ten boards, and ``report`` of 12 boards."""
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name) / "runs"
        count = boards.write(runs)
        places = ["--runs", str(runs), "--leaderboards", str(Path(name) / "boards")]
        seconds = _cpu(["leaderboard", *places])
        yield _row("leaderboard", f"{count} results", seconds, None, LEADERBOARD)
    if subprocess.run(_command(["report", "--help"]), capture_output=True).returncode:
        yield Row(
            "affectbench report", "12 boards; no such command yet", "-", "-", "-", NO_AIM, True
        )
        return
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name) / "runs"
        boards.write(runs, (*boards.DATASETS, "seed_v"))
        places = ["--runs", str(runs), "--leaderboards", str(Path(name) / "boards")]
        _cpu(["leaderboard", *places])
        seconds = _cpu(["report", *places, "--out", str(Path(name) / "report.html")])
        yield _row("report", "12 boards, 12 000 results", seconds, None, REPORT)


def _row(what: str, against: str, ours: float, theirs: float | None, limit: float) -> Row:
    return Row(
        f"affectbench {what}",
        against,
        f"{ours:.2f} s",
        f"{theirs:.2f} s" if theirs else "-",
        f"{theirs / ours:.0f}x" if theirs else "-",
        f"< {limit:g} s",
        ours < limit,
    )


def _first_line(words: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock to the first letter of a command on a terminal, and to its end."""
    reading, writing = pty.openpty()
    start = time.perf_counter()
    with subprocess.Popen(_command(words), stdout=subprocess.DEVNULL, stderr=writing) as process:
        os.close(writing)
        os.read(reading, 1)
        first = time.perf_counter() - start
        with contextlib.suppress(OSError):  # the end of a terminal is an error
            while os.read(reading, 1024):
                continue
        process.wait()
    os.close(reading)
    return first, time.perf_counter() - start


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "benchmark.cli", *words]


def _cpu(words: Sequence[str]) -> float:
    return call(_command(words))[1]

"""A suite whose runners and workers are killed all the time ends where an undisturbed one ends."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from benchmark.boards.board import MEASURED
from benchmark.cli.main import main

PATIENCE = 300
"""Seconds after which what should have happened counts as stuck."""
WORKERS = 2
COUNTING = """
import os, sys
from benchmark.engines import worker

execute = worker.execute

def counted(run, *rest):
    note("began", run)
    result = execute(run, *rest)
    note("ended", run)
    return result

def note(what, run):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{what} {run.id}\\n")

worker.execute = counted
if __name__ == "__main__":
    from benchmark.cli.main import main
    sys.exit(main())
"""
"""The command, which notes when a worker begins a run and when it has committed it."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")


class Arena:
    """Runners of one suite in one folder, and how to kill them.

    Args:
        folder: For everything.
        n_seeds: Runs are twelve times as many.
    """

    def __init__(self, folder: Path, n_seeds: int) -> None:
        self.folder, self.notes = folder, folder / "notes.txt"
        self.notes.touch()
        self.script = folder / "counting.py"
        self.script.write_text(COUNTING)
        self.suite = folder / "tiny.yaml"
        suite = {
            "datasets": ["synthetic"],
            "models": ["majority", "lda", "cnn"],
            "seeds": list(range(n_seeds)),
            "options": {"synthetic": {"n_subjects": 4, "phase": 60.0}},
            "recipes": {"cnn": {"max_epochs": 3, "stride": 30.0}},
        }
        self.suite.write_text(yaml.safe_dump(suite))

    def words(self, name: str) -> list[str]:
        places = ["--runs", str(self.folder / name / "runs")]
        places += ["--leaderboards", str(self.folder / name), "--cache", str(self.folder / "cache")]
        how = ["--devices", "cpu", "--jobs-per-device", str(WORKERS), "--retry-failed"]
        return ["run", str(self.suite), *places, *how, "--logger", "none"]

    def start(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, str(self.script), *self.words("disturbed")],
                env={**os.environ, "NOTES": str(self.notes)},
                stdout=said,
                stderr=said,
            )

    def counts(self, what: str) -> Counter[str]:
        """How often each run began, or ended."""
        lines = [line.split() for line in self.notes.read_text().splitlines()]
        return Counter(run for word, run in lines if word == what)

    def wait_for(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, (self.folder / "said.txt").read_text()
            time.sleep(0.005)

    def boards(self, name: str) -> dict[str, pd.DataFrame]:
        return {
            path.name: pd.read_csv(path, comment="#", dtype=str).drop(
                columns=list(MEASURED), errors="ignore"
            )
            for path in sorted((self.folder / name).glob("*.csv"))
        }


def children(parent: int) -> list[int]:
    try:
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [int(pid) for pid in listed]


def workers(runner: int) -> list[int]:
    return [pid for server in children(runner) for pid in children(server)]


def survive(arena: Arena, n_runners: int, n_workers: int, seed: int = 0) -> None:
    """Kill runners, and workers under each of them; then let one runner come to the end."""
    rng = random.Random(seed)
    killed = 0
    for life in range(n_runners):
        runner = arena.start()
        for _ in range(n_workers * (life + 1) // n_runners - killed):
            begun = arena.counts("began").total()
            arena.wait_for(lambda begun=begun: arena.counts("began").total() > begun)
            time.sleep(rng.uniform(0, 0.05))
            arena.wait_for(lambda pid=runner.pid: bool(workers(pid)))
            os.kill(rng.choice(workers(runner.pid)), signal.SIGKILL)
            killed += 1
        orphans = workers(runner.pid)
        assert runner.poll() is None, "the suite is too short for so many kills"
        runner.kill()
        runner.wait()
        arena.wait_for(lambda pids=orphans: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    last = arena.start()
    assert last.wait(PATIENCE) == 0, (arena.folder / "said.txt").read_text()


def check(arena: Arena, n_runners: int, n_workers: int) -> None:
    """Nothing is lost, nothing is done twice, and the boards are those of an undisturbed suite."""
    began, ended = arena.counts("began"), arena.counts("ended")
    assert max(ended.values()) == 1
    lost = began.total() - ended.total()
    assert n_runners < lost <= n_workers + n_runners * WORKERS
    assert main(arena.words("undisturbed")) == 0
    expected, found = arena.boards("undisturbed"), arena.boards("disturbed")
    assert list(found) == list(expected)
    assert set(expected["runs.csv"]["status"]) == {"done"}
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)
    runs = arena.folder / "disturbed" / "runs"
    assert list(runs.rglob("conflict-*.json")) == []
    results = runs.glob("*/*/*/result.json")
    assert sorted(began) == sorted(path.parent.name.rpartition("-")[2] for path in results)


def test_killed_thirty_times(tmp_path):
    arena = Arena(tmp_path, n_seeds=10)
    survive(arena, n_runners=2, n_workers=28)
    check(arena, n_runners=2, n_workers=28)

"""A call that is asked to end: as after Ctrl-C, with its own status, and nothing left alive."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from benchmark.store import Store

PATIENCE = 120
STATUSES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}

pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")


def descendants(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in map(int, listed) for one in (child, *descendants(child))]


def alive(pids: list[int]) -> list[int]:
    """Return processes that are there and are no zombies."""
    left = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        left += [pid] if state != "Z" else []
    return left


def _as_on_a_terminal() -> None:
    """Let signals end the process even where the tests run under nohup or behind ``&``."""
    for number in STATUSES:
        signal.signal(number, signal.SIG_DFL)


def start(folder: Path, *, to_group: bool = False, **how: object) -> "subprocess.Popen[str]":
    """Start a suite of many short runs in a session of its own, and wait for its first results."""
    suite = folder / "small.yaml"
    values = {
        "datasets": ["synthetic"],
        "models": ["majority", "cnn"],
        "seeds": list(range(40)),
        "options": {"synthetic": {"n_subjects": 4, "phase": 60.0}},
        "recipes": {"cnn": {"max_epochs": 3, "stride": 30.0}},
    }
    suite.write_text(yaml.safe_dump(values))
    how.setdefault("preexec_fn", _as_on_a_terminal)
    words = ["run", str(suite), "--devices", "cpu", "--jobs-per-device", "2", "--logger", "none"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **how,
    )
    deadline = time.monotonic() + PATIENCE
    while len(list(Store(folder / "runs").folders())) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(
    ("number", "to_group"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGHUP, True), (signal.SIGINT, True)],
    ids=["SIGTERM", "SIGTERM to all", "SIGHUP to all", "SIGINT to all"],
)
def test_ends_as_after_ctrl_c(tmp_path, number, to_group):
    process = start(tmp_path)
    family = [process.pid, *descendants(process.pid)]
    assert len(family) > 3  # the call, the server, two workers
    send = os.killpg if to_group else os.kill
    send(process.pid, number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == STATUSES[number]
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].endswith("; finished runs are kept")
    deadline = time.monotonic() + PATIENCE
    while alive(family):
        assert time.monotonic() < deadline, alive(family)
        time.sleep(0.02)
    results = list(Store(tmp_path / "runs").results())
    assert {result.status for result in results} == {"done"}
    assert 3 <= len(results) < 320


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path):
    """As under nohup."""
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    process = start(tmp_path, preexec_fn=ignore)
    process.send_signal(signal.SIGHUP)
    before = len(Store(tmp_path / "runs").folders())
    deadline = time.monotonic() + PATIENCE
    while len(Store(tmp_path / "runs").folders()) < before + 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143


def test_workers_end_quietly_when_the_call_is_killed(tmp_path):
    process = start(tmp_path)
    family = descendants(process.pid)
    process.kill()
    _, said = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in said
    deadline = time.monotonic() + PATIENCE
    while alive(family):
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""Linux and macOS: what differs, with the platform faked; Windows is refused in one line."""

import multiprocessing
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.engines import devices, server
from benchmark.engines.engine import Terms
from benchmark.engines.local import run_all
from benchmark.execution import circumstances, parallel
from benchmark.files import flush_folder
from benchmark.store import Store

ROOT = Path(__file__).parents[2]


def in_process(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_cores_where_the_system_does_not_say_which(monkeypatch):
    assert devices.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert devices.cores() == 7
    assert devices.workers([], None) == ["cpu"] * 7
    assert devices.workers([], None, 2) == ["cpu,cpu"] * 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert devices.workers([], None) == ["cpu"]


@pytest.mark.parametrize(("platform", "size"), [("linux", 5 * 1024), ("darwin", 5)])
def test_the_unit_of_peak_memory(monkeypatch, platform, size):
    monkeypatch.setattr(circumstances, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=5))
    assert circumstances.peak_memory("cpu") == size


def test_names_of_the_loopback():
    names = {}
    for platform in ("linux", "darwin"):
        code = f"import sys; sys.platform = {platform!r}; import benchmark.execution.parallel as p"
        # torch and others look at the platform too, and are loaded before it is faked
        done = in_process(f"import torch, lightning, ctypes.util\n{code}\nprint(p.LOOPBACK)")
        names[platform] = done.stdout.strip() or done.stderr
    assert names == {"linux": "lo", "darwin": "lo0"}
    assert parallel.LOOPBACK in names.values()


def test_how_workers_are_started():
    assert server.start_method("linux") == "forkserver"
    assert server.start_method("darwin") == "spawn"
    for platform in ("linux", "darwin"):
        assert server.start_method(platform) in multiprocessing.get_all_start_methods()


def test_workers_that_are_started_anew_do_runs(workshop, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "START_METHOD", server.start_method("darwin"))
    assert type(server.start_server()).__name__ == "SpawnContext"
    runs = workshop.plan(["majority", "lda"])[:3]
    places, events = workshop.places(tmp_path), []
    assert run_all(runs, places, ["cpu", "cpu"], events.append, Terms()) == []
    assert [event.status for event in events] == ["done"] * 3
    assert {result.run for result in Store(places.runs).results()} == set(runs)


def test_a_folder_that_cannot_be_flushed_is_passed_over(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    flush_folder(tmp_path)


def test_windows_is_refused_in_one_line():
    done = in_process(
        "import multiprocessing.context as context\n"
        "import sys\n"
        "sys.platform = 'win32'\n"
        "for name in ('resource', 'fcntl', 'termios'):\n"
        "    sys.modules[name] = None\n"
        "del context.ForkServerContext, context.ForkServerProcess\n"
        "from benchmark.cli.main import main\n"
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "Linux and macOS" in line


def test_what_is_said_is_what_runs():
    assert re.search(r"On Linux or macOS with Python", (ROOT / "README.md").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert re.findall(r'"Operating System :: ([^"]*)"', project) == ["POSIX :: Linux", "MacOS"]


@pytest.mark.parametrize("package", ["benchmark", "datamodules", "lightning_modules"])
def test_no_call_of_one_system_alone(package):
    """Each that is there is behind a look at whether the system has it, or both systems have it."""
    alone = re.compile(r"os\.sched_|os\.posix_fallocate|/proc/|prctl|import fcntl|import termios")
    places = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / package).rglob("*.py"))
        if alone.search(path.read_text())
    ]
    known = {
        "benchmark": ["benchmark/encoders/embeddings.py"],  # fcntl, once embeddings are computed
        "datamodules": ["datamodules/preparing.py"],
    }
    assert places == known.get(package, [])

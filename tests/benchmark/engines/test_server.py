"""The server starts before anything big is imported; imports look for no garbage."""

import gc
import os
import subprocess
import sys

import pytest

from benchmark.cli import run
from benchmark.engines.server import THREAD_VARIABLES, importing, start_server

CALL = """
import sys
from benchmark.cli import run
from benchmark.cli.main import main

class Terminal:
    def isatty(self):
        return True

    def flush(self):
        pass

    def write(self, text):
        if text.strip():
            print("torch loaded:", "torch" in sys.modules, text.strip(), flush=True)

sys.stderr = Terminal()
run.start_server = lambda: print("torch loaded:", "torch" in sys.modules, "server", flush=True)
sys.exit(main(sys.argv[1:]))
"""


def test_it_starts_and_a_terminal_is_told_before_torch_is_loaded(tmp_path):
    words = ["run", "quick", "--dry-run", "--devices", "cpu", "--cache", "c", "--runs", "r"]
    done = subprocess.run(
        [sys.executable, "-c", CALL, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second, *others = done.stdout.splitlines()
    assert first == f"torch loaded: False {run.COMMAND.starting} ..."
    assert second == "torch loaded: False server"
    assert [line for line in others if line.startswith("torch loaded")] == [
        "torch loaded: True checking the recordings of synthetic ...",
        *(f"torch loaded: True synthetic: {n} of 4 subjects read ..." for n in range(1, 5)),
        "torch loaded: True looking for finished runs in r ...",
    ]


def test_status_starts_none(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CALL, "status", "--runs", "r"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "server" not in done.stdout


def test_nothing_is_collected_during_imports_and_it_is_afterwards(monkeypatch):
    at_exit = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    assert gc.isenabled()
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert at_exit == [gc.freeze]
    with pytest.raises(ImportError, match="no"), importing():
        raise ImportError("no")
    assert gc.isenabled()


def test_workers_have_one_thread_and_what_they_need(monkeypatch):
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "7")
    context = start_server()
    assert all(os.environ[name] == "1" for name in THREAD_VARIABLES)
    with context.Pool(1) as pool:
        assert pool.apply(loaded, ()) == (True, True)


def loaded():
    """Whether a worker has what runs need, and shares it."""
    return "benchmark.engines.worker" in sys.modules, gc.get_freeze_count() > 0

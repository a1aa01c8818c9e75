"""Circumstances: what a result records of the machine and of the code."""

import platform
import subprocess

import pytest
import torch

from benchmark.execution import circumstances
from benchmark.execution.circumstances import commit, device_name, peak_memory, versions


@pytest.fixture(autouse=True)
def _asked_anew():
    commit.cache_clear()
    yield
    commit.cache_clear()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one commit, of which the module under test is a file."""
    path = tmp_path / "circumstances.py"
    path.touch()
    monkeypatch.setattr(circumstances, "__file__", str(path))

    def git(*words):
        who = ["-c", "user.name=n", "-c", "user.email=e@x"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    return path, git


def test_commit_is_marked_once_a_file_is_changed(checkout):
    path, git = checkout
    head = git("rev-parse", "--short=10", "HEAD")
    assert commit() == head
    path.with_name("notes.txt").write_text("not code")
    commit.cache_clear()
    assert commit() == head
    path.write_text("x = 1\n")
    commit.cache_clear()
    assert commit() == f"{head}+"


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(circumstances, "__file__", str(tmp_path / "circumstances.py"))
    assert commit() == ""


def test_versions_are_those_in_use():
    assert versions()["torch"] == torch.__version__
    assert versions()["python"] == platform.python_version()
    assert all(versions().values())


def test_the_cpu_has_a_name_and_a_peak():
    assert device_name("cpu") == f"cpu ({platform.machine()})"
    before = peak_memory("cpu")
    assert 10**7 < before <= peak_memory("cpu")

"""Temporary names, and what is cleaned up after processes that ended."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datamodules import temporary
from datamodules.temporary import DAY, OWNED, SCRATCH, in_use, owned, sweep


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def make(folder: Path, name: str, days: float) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "samples.npy").write_bytes(b"0")
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def name_of(process: int, stem: str = ".0-1-abc", host: str = "") -> str:
    here = owned(stem).replace(f"-{os.getpid()}-", f"-{process}-")
    return (here.replace(temporary._host(), host) if host else here) + "x1"


def test_a_name_says_whose_it_is():
    for stem in (".0-1-abc", SCRATCH, ".a-of-b-3-x", "." + "board" * 60):
        match = OWNED.fullmatch(owned(stem) + "a_1")
        assert match
        assert int(match["process"]) == os.getpid()
        assert len(owned(stem)) < 200
    for name in (".gitignore", ".nfs00123", ".DS_Store", "affectbench-of-us", "result.json"):
        assert not OWNED.fullmatch(name)


def test_what_an_ended_process_left_goes_after_a_day(tmp_path, ended):
    old = make(tmp_path / "board", name_of(ended), 1.1)
    scratch = make(tmp_path, name_of(ended, SCRATCH), 1.1)
    young = make(tmp_path / "board", name_of(ended, ".other"), 0.9)
    mine = make(tmp_path / "board", name_of(os.getpid()), 30)
    kept = make(tmp_path / "board", ".git", 30)
    run = make(tmp_path / "board", "0-1-abc", 30)
    assert sweep([tmp_path], depth=1) == [scratch, old]
    assert not old.exists()
    assert all(path.exists() for path in (young, mine, kept, run))
    assert sweep([tmp_path], depth=1) == []


def test_of_another_machine_age_decides(tmp_path):
    old = make(tmp_path, name_of(os.getpid(), host="elsewhere"), 1.1)
    young = make(tmp_path, name_of(os.getpid(), ".b", host="elsewhere"), 0.9)
    assert sweep([tmp_path]) == [old]
    assert young.exists()


def test_what_is_in_use(tmp_path, ended):
    mine = make(tmp_path, name_of(os.getpid()), 0.1)
    elsewhere = make(tmp_path, name_of(ended, ".b", host="elsewhere"), 0.1)
    assert in_use(mine)
    assert in_use(elsewhere)
    assert not in_use(make(tmp_path, name_of(ended), 0.1))
    assert not in_use(make(tmp_path, name_of(os.getpid(), ".old"), 1.1))
    assert not in_use(tmp_path / name_of(os.getpid(), ".gone"))
    assert not in_use(make(tmp_path, ".git", 0.1))


def test_links_and_files_of_others_are_left_alone(tmp_path, ended, monkeypatch):
    target = make(tmp_path / "elsewhere", "precious", 30)
    link = tmp_path / name_of(ended)
    link.symlink_to(target)
    os.utime(link, (0, 0), follow_symlinks=False)
    (tmp_path / "beside").symlink_to(target.parent)
    make(target.parent, name_of(ended), 30)
    assert sweep([tmp_path], depth=3)[0] == link
    assert (target / "samples.npy").exists()
    theirs = make(tmp_path / "theirs", name_of(ended), 30)
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    assert sweep([tmp_path], depth=3) == []
    assert theirs.exists()


def test_folders_that_are_not_there(tmp_path):
    (tmp_path / "file").touch()
    assert sweep([tmp_path / "nowhere", tmp_path / "file"], depth=2) == []

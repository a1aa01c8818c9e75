"""Calls that are starting: known while they prepare, and no longer."""

import subprocess
import sys

import pytest

from benchmark import campaign
from benchmark.campaign import Folders, Options, run_suite
from benchmark.cli.main import main
from benchmark.files import visible
from benchmark.starting import MARK, starting, starting_calls
from datamodules.temporary import owned


def test_a_call_is_starting_until_the_block_ends(tmp_path):
    runs = tmp_path / "a" / "runs"
    assert starting_calls(runs) == []
    now = runs.parents[1].stat().st_mtime
    with starting(runs, now - 60), starting(runs, now - 90):
        assert starting_calls(runs) == [now - 90, now - 60]
        assert visible(runs) == []
    assert starting_calls(runs) == []
    with pytest.raises(ValueError, match="no"), starting(runs, now):
        raise ValueError("no")
    assert not runs.exists()


def test_one_that_was_killed_is_not(tmp_path):
    script = (
        "import os, sys, time\nfrom pathlib import Path\n"
        "from benchmark.starting import starting\n"
        "with starting(Path(sys.argv[1]), time.time()):\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path]).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    assert starting_calls(tmp_path) == []


def test_nor_one_that_is_old_or_something_else(tmp_path):
    with starting(tmp_path, 0.0):
        assert starting_calls(tmp_path) == []
    (tmp_path / MARK).touch()
    (tmp_path / f"{owned('.plan.json')}x").touch()
    assert starting_calls(tmp_path) == []


def test_status_says_it_before_there_is_a_plan_and_beside_an_older_one(
    workshop, in_process, tmp_path, monkeypatch, capsys
):
    runs = tmp_path / "runs"
    folders = Folders("none", workshop.cache, runs, tmp_path / "leaderboards")
    suite = workshop.suite(["majority"])
    prepare, told = campaign.prepare, []

    def prepared(*words):
        capsys.readouterr()
        told.append((main(["status", "--runs", str(runs)]), capsys.readouterr().out))
        return prepare(*words)

    monkeypatch.setattr(campaign, "prepare", prepared)
    for _ in range(2):
        run_suite(suite, folders, in_process(), called=1e9 * 2)
    (first, before), (second, between) = told
    assert (first, second) == (0, 0)
    assert before.startswith("a call of 2033-05-18 ")
    assert len(before.splitlines()) == 1
    assert between.startswith(before)
    assert "4 done, 0 failed, 0 open" in between
    assert main(["status", "--runs", str(runs)]) == 0
    assert "is starting" not in capsys.readouterr().out


def test_a_dry_run_leaves_no_mark(workshop, in_process, tmp_path):
    folders = Folders("none", workshop.cache, tmp_path / "runs", tmp_path / "leaderboards")
    run_suite(workshop.suite(["majority"]), folders, in_process(), Options(dry_run=True))
    assert list(tmp_path.iterdir()) == []

"""The command as a user calls it: in a process of its own, also when that process is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.board import MEASURED

BOARD = "synthetic_phase_60__stress__leave_one_subject_out"
PATIENCE = 120
"""Seconds after which a process that should have ended counts as stuck."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "benchmark.cli", *words]


def call(folder: Path, suite: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(folder, "run", str(suite), *words),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def processes(folder: Path) -> dict[int, int]:
    """Parent by process, of all that work in a folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink() == folder:
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    if stat[0] != "Z":
                        found[int(entry.name)] = int(stat[1])
            except OSError:
                continue  # it ended, or is not ours
    return found


def wait_until_none(folder: Path) -> dict[int, int]:
    deadline = time.monotonic() + PATIENCE
    while (left := processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def read_until(stream: IO[str], start: str) -> str:
    for line in stream:
        if line.startswith(start):
            return line
    raise AssertionError(f"the command ended before it said {start}")


def boards(folder: Path) -> dict[str, pd.DataFrame]:
    """Every CSV, without what is measured anew each time."""
    tables = {}
    for path in sorted((folder / "leaderboards").glob("*.csv")):
        table = pd.read_csv(path, comment="#", dtype=str)
        tables[path.name] = table.drop(columns=list(MEASURED), errors="ignore")
    return tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work").resolve()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    path.write_text(
        "datasets: [synthetic]\n"
        "models: [cnn, lda, majority]\n"
        "options: {synthetic: {n_subjects: 4, phase: 60.0}}\n"
        "recipes: {cnn: {max_epochs: 15, patience: null, stride: 30.0}}\n"
    )
    return path


@pytest.fixture(scope="module")
def undisturbed(
    folder: Path, suite: Path
) -> tuple["subprocess.CompletedProcess[str]", dict[str, pd.DataFrame]]:
    done = call(folder, suite)
    assert done.returncode == 0, done.stderr
    return done, boards(folder)


@pytest.fixture
def started(tmp_path: Path, suite: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts the command with two workers in a folder of its own."""
    running: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            command(tmp_path, "run", str(suite), "--devices", "cpu", "--jobs-per-device", "2"),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert list(found) == list(expected)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)


def test_board_is_written(undisturbed, folder):
    done, tables = undisturbed
    names_of_tables = ["classes", "comparisons", "overall", "published", "runs", "uncertainty"]
    others = {f"{name}.csv" for name in names_of_tables}
    assert set(tables) == {f"{BOARD}.csv", *others}
    assert len(tables["runs.csv"]) == 12
    assert set(tables["runs.csv"]["status"]) == {"done"}
    board = tables[f"{BOARD}.csv"]
    assert set(board["model"]) == {"cnn", "lda", "majority"}
    assert set(board["complete"]) == {"True"}
    assert "12 runs on 1 board(s), 0 of them finished before, 12 to do" in done.stdout
    for row in board.itertuples():
        assert f"{row.model} " in done.stdout
    files = {p.name for p in (folder / "runs").glob(f"{BOARD}/cnn/0-0-*/*")}
    kept = {"run.json", "result.json", "predictions.npz", "validation.npz"}
    assert files - {"log.txt"} == {*kept, "model.ckpt", "metrics.csv"}
    files = {p.name for p in (folder / "runs").glob(f"{BOARD}/lda/0-0-*/*")} - {"log.txt"}
    assert files == {*kept, "model.skops"}
    (result,) = (folder / "runs").glob(f"{BOARD}/lda/0-0-*/result.json")
    assert "model.skops" in json.loads(result.read_text())["files"]


def test_planted_effect_is_found(undisturbed):
    board = undisturbed[1][f"{BOARD}.csv"].set_index("model")
    assert float(board.loc["lda", "macro_f1"]) > float(board.loc["majority", "macro_f1"]) + 0.3
    assert float(board.loc["majority", "balanced_accuracy"]) == 0.5


def test_second_call_computes_nothing(undisturbed, folder, suite):
    results = sorted((folder / "runs").rglob("result.json"))
    before = {path: path.stat().st_mtime_ns for path in results}
    csvs = {path: path.read_bytes() for path in (folder / "leaderboards").iterdir()}
    again = call(folder, suite)
    assert again.returncode == 0
    assert "12 of them finished before, 0 to do" in again.stdout
    assert "nothing to compute" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in results} == before
    assert {path: path.read_bytes() for path in (folder / "leaderboards").iterdir()} == csvs


def test_runner_killed(undisturbed, started, tmp_path, suite):
    process = started()
    read_until(process.stdout, "[2/12]")
    assert len(processes(tmp_path)) >= 3
    process.kill()
    process.wait()
    assert wait_until_none(tmp_path) == {}
    n_done = len(list((tmp_path / "runs").rglob("result.json")))
    assert 2 <= n_done < 12
    assert not (tmp_path / "leaderboards").exists()
    again = call(tmp_path, suite)
    assert again.returncode == 0, again.stderr
    assert f"{n_done} of them finished before, {12 - n_done} to do" in again.stdout
    assert_same(boards(tmp_path), undisturbed[1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Makes a folder of the working folder a disk of its own, by its size."""
    mounted: list[Path] = []

    def mount(name: str, size: str) -> Path:
        path = tmp_path / name
        path.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        if (
            not shutil.which("mount")
            or subprocess.run(words, capture_output=True, check=False).returncode
        ):
            pytest.skip("mounting a small disk needs root")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_full_disk(undisturbed, small_disk, tmp_path, suite):
    disk = small_disk("runs", "320k")
    stopped = call(tmp_path, suite, "--jobs-per-device", "2")
    assert stopped.returncode == 1
    (line,) = stopped.stderr.splitlines()
    assert line.startswith(f"DiskFullError: {disk}")
    assert "MiB are free" in line
    assert "make room and call again" in line
    assert [path for path in disk.rglob("*") if path.name.startswith(".")] == []
    finished = list(disk.rglob("result.json"))
    assert 1 <= len(finished) < 12
    assert wait_until_none(tmp_path) == {}
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    again = call(tmp_path, suite)
    assert again.returncode == 0, again.stderr
    assert f"{len(finished)} of them finished before" in again.stdout
    assert_same(boards(tmp_path), undisturbed[1])


@pytest.mark.parametrize("share", [0.1, 0.55, 0.8])
def test_full_disk_of_the_cache(undisturbed, folder, small_disk, tmp_path, suite, share):
    """While one subject or another is written."""
    size = sum(path.stat().st_size for path in (folder / "cache").rglob("*.npy"))
    disk = small_disk("cache", f"{share * size / 1024:.0f}k")
    stopped = call(tmp_path, suite, "--jobs-per-device", "2")
    assert stopped.returncode == 1
    (line,) = stopped.stderr.splitlines()
    assert line.startswith("MachineError: cache/synthetic")
    assert "No space left on device" in line
    assert "left out" not in stopped.stdout
    assert list((tmp_path / "runs").rglob("result.json")) == []
    assert wait_until_none(tmp_path) == {}
    assert [path for path in disk.rglob("*") if path.name.startswith(".")] == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    again = call(tmp_path, suite)
    assert again.returncode == 0, again.stderr
    assert_same(boards(tmp_path), undisturbed[1])


def test_damaged_cache(undisturbed, folder, tmp_path, suite):
    """Numbers are those of sound arrays, and the log of a run says what was written anew."""
    shutil.copytree(folder / "cache", tmp_path / "cache")
    entries = tmp_path / "cache" / "synthetic"
    for path in entries.glob("S*/samples.npy"):
        content = bytearray(path.read_bytes())
        sixth = len(content) // 6
        content[200 : 200 + sixth] = np.full(sixth // 4 + 1, 7e4, np.float32).tobytes()[:sixth]
        path.write_bytes(content)
    (meta, *_) = sorted(entries.glob("S*/meta.json"))
    meta.write_bytes(meta.read_bytes()[:-100])
    done = call(tmp_path, suite)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert (
        line
        == f"cache/synthetic/{meta.parent.name}: not what was written there, so it is read anew"
    )
    assert_same(boards(tmp_path), undisturbed[1])
    logs = "".join(path.read_text() for path in (tmp_path / "runs").rglob("log.txt"))
    assert ".eda: not what was written there, so it is read anew" in logs


def test_two_runners_at_once(undisturbed, started, tmp_path):
    both = [started(), started()]
    told = [process.stdout.read() for process in both]
    assert [process.wait(PATIENCE) for process in both] == [0, 0], told
    assert_same(boards(tmp_path), undisturbed[1])
    runs = tmp_path / "runs"
    assert list(runs.rglob("conflict-*.json")) == []
    assert [path for path in runs.rglob("*") if path.name.startswith(".")] == []


def test_worker_killed(undisturbed, started, tmp_path):
    process = started()
    read_until(process.stdout, "[1/12]")
    there = processes(tmp_path)
    server = {pid for pid, parent in there.items() if parent == process.pid}
    workers = [pid for pid, parent in there.items() if parent in server]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    lines = process.stdout.read()
    assert process.wait(PATIENCE) == 0, lines
    assert "[12/12]" in lines
    assert_same(boards(tmp_path), undisturbed[1])
    assert wait_until_none(tmp_path) == {}

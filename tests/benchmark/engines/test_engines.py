"""One suite, by whatever hands out its runs: the boards are the same.

They are compared byte for byte, without the columns that are measured anew by every execution
(latencies, seconds of training) and the commit; what is left are scores, intervals, tests, ranks,
counts, and the line of every run and subject.
"""

import csv
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmark.boards.board import MEASURED
from benchmark.cli.main import main
from benchmark.store import Store

HERE = Path(__file__).parent
PATIENCE = 600
"""Seconds after which a cluster counts as stuck."""
PARTS = 3
ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c"]
"""No network but a loopback of its own, and everything that was started ends with it."""
LOOPBACK = "ip link set lo up && "
ADDRESS = "ip addr add 10.77.0.1/32 dev lo && "
"""Names are looked up only where there is an address besides 127.0.0.1."""


def boards(folder: Path) -> dict[str, str]:
    """Text of every CSV, without the columns that are measured anew each time."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        lines = path.read_text().splitlines(keepends=True)
        head = [line for line in lines if line.startswith("#")]
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        text = io.StringIO()
        kept = [name for name in rows[0] if not name.endswith(MEASURED)]
        table = csv.DictWriter(text, kept, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        found[path.name] = "".join(head) + text.getvalue()
    return found


def do(folder: Path, suite: Path, *words: str) -> int:
    places = [f"--{name}={folder / name}" for name in ("runs", "cache", "leaderboards")]
    return main(["run", str(suite), *places, "--devices", "cpu", *words])


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    values = {
        "datasets": ["synthetic"],
        "models": ["majority", "lda", "cnn"],
        "seeds": [0, 1],
        "options": {"synthetic": {"n_subjects": 4, "phase": 60.0}},
        "recipes": {"cnn": {"max_epochs": 1, "stride": 30.0}, "dnn": {"max_epochs": 1}},
        "distillations": [
            {"distiller": "soft_targets", "teacher": "dnn", "student": "cnn"},
        ],
    }
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def expected(suite, tmp_path_factory):
    """Boards of the local engine with one slot."""
    folder = tmp_path_factory.mktemp("one")
    assert do(folder, suite, "--jobs-per-device", "1") == 0
    found = boards(folder / "leaderboards")
    assert {"runs.csv", "overall.csv", "comparisons.csv", "distillation.csv"} < set(found)
    assert all(text.count("\n") > 1 for text in found.values())
    return found


def test_two_slots(suite, expected, tmp_path):
    assert do(tmp_path, suite, "--jobs-per-device", "2") == 0
    assert boards(tmp_path / "leaderboards") == expected


def test_three_shards(suite, expected, tmp_path):
    for part in range(PARTS):
        do(tmp_path, suite, "--jobs-per-device", "1", "--shard", f"{part + 1}/{PARTS}")
    assert not (tmp_path / "leaderboards").exists()
    words = [f"--{name}={tmp_path / name}" for name in ("runs", "leaderboards")]
    assert main(["leaderboard", *words]) == 0
    assert boards(tmp_path / "leaderboards") == expected


def isolated() -> bool:
    words = [*ISOLATED, LOOPBACK + "true"]
    return (
        bool(shutil.which("unshare") and shutil.which("ip"))
        and not subprocess.run(words, capture_output=True, check=False).returncode
    )


def call(folder: Path, script: str, *words: str, network: str = "") -> str:
    """What a script of this folder prints, and tells of itself in its last line."""
    command = [sys.executable, str(HERE / script), *words]
    if isolated():  # the shell stays, and takes care of processes that lost their parent
        command = [*ISOLATED, f'{network}{LOOPBACK}"$@"; exit $?', "-", *command]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(HERE.parents[2])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.engine
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs the extra ray")
def test_ray_that_loses_a_worker_and_a_node(suite, expected, tmp_path):
    text = call(tmp_path, "ray_cluster.py", str(suite))
    told = json.loads(text.strip().splitlines()[-1])
    assert told["gone"] == [True, True]
    n_runs = len(list(Store(tmp_path / "runs").results()))
    assert text.count(": done, macro F1") == n_runs == expected["runs.csv"].count("\n") - 1
    assert boards(tmp_path / "leaderboards") == expected


DONE = r"\] (.*): done, macro F1"
SLURM = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo")
MISSING = [name for name in SLURM if not shutil.which(name)]


@pytest.mark.engine
@pytest.mark.skipif(bool(MISSING), reason=f"needs SLURM; there is no {', '.join(MISSING)}")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start SLURM")
def test_slurm_array_that_loses_a_task(suite, expected, tmp_path):
    if not isolated():
        pytest.skip("needs a network namespace, to start SLURM")
    text = call(tmp_path, "slurm_cluster.py", str(suite), str(PARTS), network=ADDRESS)
    told = json.loads(text.strip().splitlines()[-1])
    states = {number: state for number, (_, state) in told["jobs"].items()}
    assert states.pop(told["lost"]) != "COMPLETED"
    assert set(states.values()) == {"COMPLETED"}
    before, after = (re.findall(DONE, told[log]) for log in ("first", "second"))
    assert before
    assert not set(before) & set(after)  # what was done before it was killed is not done again
    n_done = int(re.search(r"(\d+) of them finished before", told["second"])[1])
    assert len(before) <= n_done < n_done + len(after)
    assert boards(tmp_path / "leaderboards") == expected

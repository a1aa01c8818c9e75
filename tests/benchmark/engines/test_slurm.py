"""Runs inside a SLURM job, whose variables and programs must have no influence."""

import json
import os
import subprocess
import sys

import pytest

from benchmark.scored import scored
from benchmark.store import Store

JOB = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "affectbench",
    "SLURM_NTASKS": "4",
    "SLURM_NNODES": "2",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODELIST": "n[1-2]",
    "SLURM_ARRAY_TASK_ID": "2",
}
"""As of the last of four tasks: Lightning would wait for three others on another machine."""
EXECUTE = """
import json, sys
from pathlib import Path
import torch
from benchmark.run import Run
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
torch.set_num_threads(1)
run, places = json.load(sys.stdin)
execute(Run.from_dict(run), Places(*map(Path, places)))
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """This process's children are in a job, on a machine that has srun."""
    program = tmp_path / "bin" / "srun"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("job")
def test_job_has_no_influence_on_a_run(workshop, finished, tmp_path):
    run = next(run for run in workshop.plan(["cnn"], seeds=(1,)))
    expected = scored(finished, run)
    places = ["none", str(workshop.cache), str(tmp_path / "runs")]
    subprocess.run(
        [sys.executable, "-c", EXECUTE],
        input=json.dumps([run.as_dict(), places]),
        text=True,
        check=True,
        timeout=120,
    )
    store = Store(tmp_path / "runs")
    found = scored(store, run)
    assert found.status == "done", found.traceback
    assert found.derived == expected.derived
    files, as_ever = (
        {path.name for path in where.folder(run).iterdir()} for where in (store, finished)
    )
    assert files == as_ever  # with its learning curves, and without a log that speaks of srun

"""One run over two processes of the CPU; they meet over gloo as GPUs do over NCCL."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from benchmark.engines import local as runner
from benchmark.engines.engine import Terms
from benchmark.engines.event import Finished
from benchmark.engines.local import run_all
from benchmark.engines.server import start_server
from benchmark.scored import scored
from benchmark.store import Store

PLAIN = """
# In place of the cnn a network without dropout and batch statistics, which differ between parts.
import json, sys
from pathlib import Path

import torch
from torch import nn

import lightning_modules
from benchmark.scored import scored
from benchmark.store import Store
from benchmark.run import Run
from benchmark.engines.engine import Terms
from benchmark.engines.local import run_all
from benchmark.execution.places import Places
from lightning_modules.base import EmotionClassifier, Output

class Plain(nn.Module):
    def __init__(self, inputs, n_classes):
        super().__init__()
        self.first = nn.Linear(sum(spec.n_channels for spec in inputs.values()), 8)
        self.head = nn.Linear(8, n_classes)

    def forward(self, signals):
        means = torch.cat([s[:, :, ::8].abs().mean(2) for s in signals.values()], dim=1)
        embedding = self.first(means).tanh()
        return Output(self.head(embedding), embedding)

class PlainClassifier(EmotionClassifier):
    published = lightning_modules.MODELS["cnn"].published

    def __init__(self, inputs, n_classes, recipe=published):
        super().__init__(Plain(inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

    def penalized(self, loss):
        return loss + 1e-3 * self.network.first.weight.square().sum()

lightning_modules.MODELS.register("cnn", PlainClassifier)
if __name__ == "__main__":
    cache, runs, folder = json.loads(sys.argv[1])
    asked = [Run.from_dict(run) for run in runs]
    for device in ("cpu", "cpu,cpu"):
        places = Places(Path("none"), Path(cache), Path(folder) / device)
        run_all(asked, places, [device], lambda event: None, Terms())
"""


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert multiprocessing.active_children() == []
    assert list(folder.glob("affectbench-*")) == []


def test_training_on_two_is_training_on_one(workshop, tmp_path):
    # 37 windows a batch: the parts differ; the last of an epoch, of 5 or so, is shared out too
    recipe = {"max_epochs": 6, "stride": 7.0, "batch_size": 37, "balance": "class_weights"}
    runs = workshop.plan(["cnn"], recipes={"cnn": recipe})[:2]
    script = tmp_path / "plain.py"
    script.write_text(PLAIN)
    words = [str(workshop.cache), [run.as_dict() for run in runs], str(tmp_path)]
    subprocess.run([sys.executable, str(script), json.dumps(words)], check=True, timeout=120)
    one, two = Store(tmp_path / "cpu"), Store(tmp_path / "cpu,cpu")
    for run in runs:
        alone, together = scored(one, run), scored(two, run)
        assert (alone.devices, together.devices) == (1, 2), together.traceback
        assert (alone.units, alone.confusion) == (together.units, together.confusion)
        assert alone.epochs == together.epochs
        expected, found = (store.predictions(run)["probabilities"] for store in (one, two))
        assert np.ptp(expected) > 0.1  # it has learnt something
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scored_on_the_units_of_one_device_and_probes_stay_on_one(workshop, tmp_path, finished):
    runs = [run for run in workshop.plan(["cnn", "majority"]) if run.fold == 0]
    run_all(runs, workshop.places(tmp_path), ["cpu,cpu"], lambda event: None, Terms())
    store = Store(tmp_path)
    for run, devices in zip(runs, (2, 1), strict=True):
        found, alone = scored(store, run), scored(finished, run)
        assert found.status == "done", found.traceback
        assert found.devices == devices
        assert (found.units, found.n_units) == (alone.units, alone.n_units)
        windows, expected = store.predictions(run), finished.predictions(run)
        assert set(windows) == set(expected)
        for column in ("subject", "session", "trial", "unit", "start", "label"):
            np.testing.assert_array_equal(windows[column], expected[column])


@pytest.mark.parametrize("rank", [0, 1])
def test_process_of_a_group_killed(workshop, tmp_path, monkeypatch, rank):
    killed = []
    send = runner._send

    def send_and_kill_once(worker, run, last):
        send(worker, run, last)
        if not killed:
            process, _ = worker.members[rank]
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)

    monkeypatch.setattr(runner, "_send", send_and_kill_once)
    (run, *_) = workshop.plan(["cnn"])
    told: list[Finished] = []
    run_all([run], workshop.places(tmp_path), ["cpu,cpu"], told.append, Terms())
    assert [event.status for event in told] == ["done"], told[0].error
    assert len(killed) == 1


def test_run_that_diverges_is_a_failed_result_of_the_first_process(workshop, tmp_path):
    (run, *_) = workshop.plan(["cnn"], recipes={"cnn": {"lr": 1e30, "stride": 30.0}})
    run_all([run], workshop.places(tmp_path), ["cpu,cpu"], lambda event: None, Terms())
    failed = Store(tmp_path).result(run)
    assert failed.status == "failed"
    assert "training diverged" in failed.error
    assert "Traceback" in failed.traceback


def test_group_ends_when_the_runner_is_gone(workshop, tmp_path):
    context = start_server()
    alive, lifeline = context.Pipe(duplex=False)
    worker = runner._start(context, "cpu,cpu", workshop.places(tmp_path), alive)
    endless = {"cnn": {"max_epochs": 10**6, "patience": None, "stride": 30.0}}
    runner._send(worker, workshop.plan(["cnn"], recipes=endless)[0], last=False)
    time.sleep(1.0)
    lifeline.close()
    for process, _ in worker.members:
        process.join(60)
    try:
        assert [process.exitcode for process, _ in worker.members] == [1, 1]
    finally:
        runner._end(worker)

"""Trackers: curves are kept where they should be, offline, and nothing private goes along."""

import getpass
import importlib.util
import json
import socket
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from benchmark.results import Store
from benchmark.tracking import LOGGERS, make_logger
from benchmark.train import execute
from lightning_modules.cnn import CNN


def one(workshop, tmp_path, logger):
    run = workshop.plan(["cnn"], recipes={"cnn": {"max_epochs": 2, "stride": 60.0}})[0]
    result = execute(run, workshop.places(tmp_path / "runs", logger=logger))
    assert result.status == "done", result.traceback
    return run, Store(tmp_path / "runs")


def test_names():
    assert LOGGERS == ("csv", "wandb", "tensorboard", "none")


def test_csv(workshop, tmp_path):
    run, store = one(workshop, tmp_path, "csv")
    table = pd.read_csv(store.folder(run) / "metrics.csv")
    names = {"train_loss", "train_macro_f1", "val_loss", "val_macro_f1"}
    assert names <= set(table.columns)
    for name in names:
        by_epoch = table.dropna(subset=name).set_index("epoch")[name]
        assert by_epoch.index.tolist() == [0, 1]
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {run.board}


def test_none(workshop, tmp_path):
    run, store = one(workshop, tmp_path, "none")
    assert not (store.folder(run) / "metrics.csv").exists()
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {run.board}


def test_none_makes_no_logger(workshop, tmp_path):
    run = workshop.plan(["cnn"])[0]
    assert make_logger("none", run, "s", tmp_path, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own, of protobuf
def test_tensorboard(workshop, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, store = one(workshop, tmp_path, "tensorboard")
    (folder,) = (tmp_path / "runs" / "tensorboard").rglob(run.id.join("**"))
    assert folder.as_posix().endswith(run.folder)
    found = EventAccumulator(str(folder)).Reload()
    assert len(found.Scalars("val_macro_f1")) == 2
    assert [result.run for result in store.results()] == [run]


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs wandb")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb's own
def test_wandb_offline(workshop, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(socket, "gethostname", lambda: "someones-computer")
    monkeypatch.chdir(tmp_path)
    run, _ = one(workshop, tmp_path, "wandb")
    (folder,) = (tmp_path / "runs" / "wandb").glob("offline-run-*")
    assert folder.name.endswith(run.id)
    (record,) = folder.glob("*.wandb")
    content = record.read_bytes()
    assert b"val_macro_f1" in content
    assert run.data.encode() in content
    for name in ("dataset", "task", "split", "signals", "subjects", "recipe"):
        assert f'"{name}"'.encode() in content or name.encode() in content
    assert not (tmp_path / "wandb").exists()
    assert sorted(path.name for path in (folder / "files").iterdir()) == []
    for private in (str(tmp_path), sys.executable, "pytest", "someones-computer"):
        assert private.encode() not in content, private


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs wandb")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb's own
def test_runs_of_one_process_are_runs_of_their_own_in_wandb(workshop, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    runs = workshop.plan(["cnn"], recipes={"cnn": {"max_epochs": 1, "stride": 60.0}})[:3]
    places = workshop.places(tmp_path / "runs", logger="wandb")
    with monkeypatch.context() as patch:
        patch.setattr(CNN, "validation_step", lambda self, batch, batch_idx: 1 / 0)
        assert execute(runs[0], places).status == "failed"
    for run in runs[1:]:
        result = execute(run, places)
        assert result.status == "done", result.traceback
    for run in runs:
        (folder,) = (tmp_path / "runs" / "wandb").glob(f"offline-run-*-{run.id}")
        content = b"".join(path.read_bytes() for path in folder.glob("*.wandb"))
        assert run.id.encode() in content
        assert (b"val_macro_f1" in content) == (run is not runs[0])


def test_config_is_the_run_and_nothing_else(workshop, tmp_path, monkeypatch):
    wandb = pytest.importorskip("lightning.pytorch.loggers")
    seen = {}
    monkeypatch.setattr(wandb, "WandbLogger", lambda **given: seen.update(given))
    run = workshop.plan(["cnn"], seeds=(3,))[1]
    monkeypatch.delenv("WANDB_MODE", raising=False)
    make_logger("wandb", run, "small", tmp_path / "scratch", tmp_path / "kept")
    import os

    assert os.environ["WANDB_MODE"] == "offline"
    monkeypatch.delenv("WANDB_MODE")
    assert seen["config"] == run.as_dict()
    assert seen["id"] == run.id
    assert seen["project"] == "affectbench-small"
    assert seen["name"] == "cnn-1-3"
    assert seen["save_dir"] == tmp_path / "kept"
    text = json.dumps(seen["config"]) + yaml.safe_dump(seen["settings"])
    for private in (str(tmp_path), str(Path.home()), socket.gethostname()):
        assert private not in text
    assert getpass.getuser() not in json.dumps(seen["config"])


def test_online_when_the_user_says_so(workshop, tmp_path, monkeypatch):
    import os

    wandb = pytest.importorskip("lightning.pytorch.loggers")
    monkeypatch.setattr(wandb, "WandbLogger", lambda **given: None)
    monkeypatch.setenv("WANDB_MODE", "online")
    make_logger("wandb", workshop.plan(["cnn"])[0], "s", tmp_path, tmp_path)
    assert os.environ["WANDB_MODE"] == "online"

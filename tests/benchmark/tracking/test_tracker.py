"""Trackers: runs are read from the store as they are, and nothing is imported in vain."""

import ast
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli.main import main
from benchmark.execution.execute import execute
from benchmark.store import Store
from benchmark.tracking import tracker as tracking


@pytest.mark.parametrize("name", ["csv", "none"])
def test_no_tracker(workshop, tmp_path, name, tracked):
    run = workshop.plan(["cnn"], recipes={"cnn": {"max_epochs": 2, "stride": 60.0}})[0]
    assert execute(run, workshop.places(tmp_path / "runs", logger=name)).status == "done"
    store = Store(tmp_path / "runs")
    assert tracked.track(store, store.results(), name) == []
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {run.board}
    path = store.folder(run) / "metrics.csv"
    assert path.is_file() == (name == "csv")
    if name == "csv":
        table = pd.read_csv(path)
        assert set(table) == {"epoch", *tracked.CURVES}
        assert table.epoch.tolist() == [1, 2]  # once an epoch
        assert table.notna().all(axis=None)


def test_without_tensorboard_no_run_is_begun(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "quick", "--model", "majority", "--logger", "tensorboard"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--logger tensorboard: expected tensorboard, found none" in line
    assert "pip install 'affectbench[tensorboard]'" in line
    assert not list(tmp_path.rglob("result.json"))


def test_nothing_is_imported_that_was_not_chosen():
    writers = {"benchmark.tracking.wandb", "benchmark.tracking.tensorboard"}
    for path in Path(tracking.__file__).parents[1].rglob("*.py"):
        body = ast.parse(path.read_text()).body
        names = {
            alias.name for node in body if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {node.module for node in body if isinstance(node, ast.ImportFrom)}
        assert not names & writers, path
        if path.parent.name != "tracking" or path.stem not in ("wandb", "tensorboard"):
            assert not any(re.match(r"wandb|tensorboard|torch.utils.tensorboard", n) for n in names)

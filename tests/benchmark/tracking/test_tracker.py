"""Trackers: runs are read from the store as they are, and nothing is imported in vain."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.execution.execute import execute
from benchmark.store import Store
from benchmark.tracking import tracker as tracking
from benchmark.tracking.tracker import draw_confusion, read_curves


def test_curves(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(
        "epoch,step,train_loss,val_loss\n0,3,,0.5\n0,3,0.75,\n1,7,,0.25\n1,7,0.5,\n2,11,,0.125\n"
    )
    assert read_curves(path) == {
        1: {"train_loss": 0.75, "val_loss": 0.5},
        2: {"train_loss": 0.5, "val_loss": 0.25},
        3: {"val_loss": 0.125},
    }
    assert read_curves(tmp_path / "none.csv") == {}


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
        for column in tracked.CURVES:  # once an epoch
            assert table.dropna(subset=column).epoch.tolist() == [0, 1]


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


def test_confusion_matrix(store):
    result = next(result for result in store.results() if result.run.model == "lda")
    counts = np.sum(list(result.confusion.values()), axis=0)
    picture = draw_confusion(result)
    n, side = len(counts), picture.shape[0] // (len(counts) + 1)
    assert picture.shape == ((n + 1) * side, (n + 1) * side, 3)
    for row in range(n):
        for column in range(n):
            red = picture[(row + 1) * side + 3, (column + 1) * side + 3, 0]
            share = counts[row, column] / counts[row].sum()
            assert red == pytest.approx(255 - share * (255 - 33), abs=1)

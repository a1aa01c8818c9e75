"""The row of an epoch, against values of the model itself; and what is kept of a run that ends."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback
from sklearn.metrics import accuracy_score, f1_score
from torch.nn.functional import cross_entropy

from benchmark.curves import METRICS, NAMES
from benchmark.execution.assemble import make_model, ready
from benchmark.execution.epochs import EpochLogger
from benchmark.execution.fit import fit


class Validation(Callback):
    """Scores of the model on the validation windows after each epoch, by scikit-learn."""

    def __init__(self, module) -> None:
        self.module, self.rows = module, []

    def on_validation_end(self, trainer, pl_module) -> None:
        batches = [batch for chunk in self.module.val_dataloader() for batch in chunk]
        with torch.no_grad():
            logits = torch.cat([pl_module(batch.signals).logits for batch in batches])
        target = torch.cat([batch.target for batch in batches])
        predicted = logits.argmax(dim=1)
        self.rows.append(
            {
                "val_loss": float(cross_entropy(logits, target)),
                "val_accuracy": accuracy_score(target, predicted),
                "val_macro_f1": f1_score(target, predicted, average="macro"),
            }
        )


def test_an_epoch_has_one_full_row(workshop, tmp_path):
    run = workshop.plan(["cnn"], recipes={"cnn": {"max_epochs": 3, "stride": 30.0}})[0]
    module = ready(run, workshop.places(tmp_path / "runs"))
    validation = Validation(module)
    fit(make_model(run, module), module, "cpu", tmp_path, EpochLogger(tmp_path), [validation])
    with (tmp_path / METRICS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", *NAMES]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for row, expected in zip(rows, validation.rows, strict=True):
        assert all(np.isfinite(float(row[name])) for name in NAMES)
        for name, value in expected.items():
            assert float(row[name]) == pytest.approx(value, abs=1e-5)


class Stumbles(Callback):
    """Fails in the second epoch, before its training is logged."""

    def on_validation_end(self, trainer, pl_module) -> None:
        if trainer.current_epoch == 1:
            raise FloatingPointError("diverged")


def test_epochs_before_an_error_are_kept(workshop, tmp_path):
    run = workshop.plan(["cnn"], recipes={"cnn": {"max_epochs": 3, "stride": 60.0}})[0]
    module = ready(run, workshop.places(tmp_path / "runs"))
    with pytest.raises(FloatingPointError):
        fit(make_model(run, module), module, "cpu", tmp_path, EpochLogger(tmp_path), [Stumbles()])
    rows = list(csv.DictReader((tmp_path / METRICS).read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(rows[0].values())
    assert [name for name in NAMES if rows[1][name]] == list(NAMES[3:])  # of validation alone


def test_nothing_logged_is_no_file(tmp_path: Path):
    EpochLogger(tmp_path).finalize("success")
    assert list(tmp_path.iterdir()) == []

"""The epoch that counts, and what a flag reports of the others."""

import dataclasses
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from benchmark.execution import fit
from benchmark.execution.assemble import make_model, ready
from benchmark.execution.execute import execute
from benchmark.execution.fit import BestEpoch
from benchmark.store import Store
from datamodules.errors import LeakError


@pytest.mark.parametrize(
    ("score", "values", "best"),
    [
        ("val_macro_f1", (0.3, 0.7, 0.5), 2),
        ("val_macro_f1", (0.3, 0.7, 0.7, 0.6), 2),
        ("val_accuracy", (0.5, 0.4), 1),
        ("val_macro_f1", (0.0, 0.0), 1),
        ("val_loss", (0.9, 0.2, 0.2, 0.8), 2),
        ("train_loss", (3.0, 2.0, 1.0), 3),
    ],
)
def test_best_epoch_puts_the_first_best_weights_back(score, values, best):
    model, trainer, keeper = nn.Linear(1, 1), SimpleNamespace(), BestEpoch(score)
    for epoch, value in enumerate(values):
        with torch.no_grad():
            model.weight.fill_(epoch + 1)
        trainer.current_epoch = epoch
        trainer.callback_metrics = {"val_loss": torch.tensor(1.0), score: value}
        keeper.on_train_epoch_end(trainer, model)
    keeper.on_fit_end(trainer, model)
    assert keeper.epoch == best
    assert model.weight.item() == best


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_best_epoch_refuses_a_loss_that_is_no_number(loss):
    trainer = SimpleNamespace(
        current_epoch=4, callback_metrics={"val_loss": loss, "val_macro_f1": 0.5}
    )
    with pytest.raises(FloatingPointError, match="epoch 5"):
        BestEpoch("val_macro_f1").on_train_epoch_end(trainer, nn.Linear(1, 1))


@pytest.mark.parametrize("score", ["val_macro_f1", "val_accuracy", "val_loss", "train_loss"])
def test_an_epoch_is_chosen_by_the_score_that_the_recipe_names(score, workshop, tmp_path):
    recipe = {"max_epochs": 5, "stride": 30.0, "window": 30.0, "patience": None, "lr": 0.03}
    run = workshop.plan(["cnn"], recipes={"cnn": {**recipe, "select_on": score}})[0]
    module = ready(run, workshop.places(tmp_path))
    model = make_model(run, module)
    epochs = Logged()
    _, course = fit.fit(model, module, "cpu", tmp_path, more=[epochs])
    pick = np.argmin if score.endswith("loss") else np.argmax
    assert len(epochs.scores) == 5
    assert course.best == 1 + int(pick([scores[score] for scores in epochs.scores]))


class Logged(L.Callback):
    """Keeps what was logged of each epoch."""

    def __init__(self):
        self.scores = []

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch:
            self.on_fit_end(trainer, pl_module)

    def on_fit_end(self, trainer, pl_module):
        self.scores.append({k: float(v) for k, v in trainer.callback_metrics.items()})


# --- epochs that are tested while a model is fitted


def under(run, *flags):
    return dataclasses.replace(run, protocol=run.protocol.with_flags(flags))


@pytest.fixture
def run(workshop):
    recipe = {"max_epochs": 4, "stride": 30.0, "window": 30.0, "patience": None}
    return workshop.plan(["cnn"], recipes={"cnn": recipe})[0]


def test_every_epoch_is_kept_or_the_best_on_the_tested(run, workshop, tmp_path):
    columns = {}
    for flag in ("report_mean_over_epochs", "report_best_epoch"):
        flawed = under(run, flag)
        result = execute(flawed, workshop.places(tmp_path))
        assert result.status == "done", result.traceback
        columns[flag] = Store(tmp_path).predictions(flawed)
    every, best = columns["report_mean_over_epochs"], columns["report_best_epoch"]
    epochs = every["of_epochs"]
    assert epochs.shape == (4, 16, 2)
    assert "of_epochs" not in best
    units = epochs.reshape(4, 8, 2, 2).mean(axis=2)  # two windows of 30 s a score unit
    label = every["label"][::2]
    scores = [f1_score(label, unit.argmax(axis=1), average="macro") for unit in units]
    chosen = int(np.argmax(np.round(scores, 9)))
    np.testing.assert_array_equal(best["probabilities"], epochs[chosen])


def test_nothing_is_tested_early_without_a_flag(run, workshop, tmp_path):
    module = ready(run, workshop.places(tmp_path))
    watched = fit.TestedEpochs(make_model(run, module), module)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")))
    with pytest.raises(LeakError):
        watched.on_validation_end(trainer, watched.model)
    assert watched.epochs == []

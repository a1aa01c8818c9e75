"""The epoch that counts, and what a flag reports of the others."""

import dataclasses
from types import SimpleNamespace

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
    ("scores", "best"),
    [((0.3, 0.7, 0.5), 2), ((0.3, 0.7, 0.7, 0.6), 2), ((0.5, 0.4), 1), ((0.0, 0.0), 1)],
)
def test_best_epoch_puts_the_first_best_weights_back(scores, best):
    model, trainer, keeper = nn.Linear(1, 1), SimpleNamespace(), BestEpoch()
    for epoch, score in enumerate(scores):
        with torch.no_grad():
            model.weight.fill_(epoch + 1)
        trainer.current_epoch = epoch
        trainer.callback_metrics = {"val_loss": torch.tensor(1.0), "val_macro_f1": score}
        keeper.on_validation_end(trainer, model)
    keeper.on_fit_end(trainer, model)
    assert keeper.epoch == best
    assert model.weight.item() == best


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_best_epoch_refuses_a_loss_that_is_no_number(loss):
    trainer = SimpleNamespace(
        current_epoch=4, callback_metrics={"val_loss": loss, "val_macro_f1": 0.5}
    )
    with pytest.raises(FloatingPointError, match="epoch 5"):
        BestEpoch().on_validation_end(trainer, nn.Linear(1, 1))


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

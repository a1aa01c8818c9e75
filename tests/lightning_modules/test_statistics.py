"""Statistics of batch normalisation over all training windows."""

import copy
from dataclasses import replace

import lightning as L
import pytest
import torch
from torch import nn

from datamodules import Selection, SyntheticDataModule
from datamodules.errors import IncompatibleRunError
from lightning_modules.cnn import CNN
from lightning_modules.statistics import norms_of, take_statistics

RECIPE = replace(
    CNN.fast,
    statistics="training_windows",
    max_epochs=2,
    batch_size=16,
    patience=None,
    plateau_factor=1.0,
)


class Net(nn.Module):
    """Two normalised layers with dropout between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
        self.dropout = nn.Dropout(0.9)

    def forward(self, signals):
        return self.second(self.dropout(self.first(signals["x"])) ** 2)


def test_means_and_variances_are_those_of_the_batches():
    batches = torch.randn(5, 7, 2, 11, generator=torch.Generator().manual_seed(1)) * 3 + 2
    net = Net()
    net.train()
    before = torch.get_rng_state()
    take_statistics(net, ({"x": batch} for batch in batches))
    assert torch.equal(torch.get_rng_state(), before)  # dropout was off
    means = batches.mean(dim=(1, 3))  # (5, 2)
    variances = batches.var(dim=(1, 3), correction=0)
    torch.testing.assert_close(net.first.running_mean, means.mean(dim=0))
    unbiased = variances * 77 / 76
    torch.testing.assert_close(net.first.running_var, unbiased.mean(dim=0))
    scale = (variances + net.first.eps)[:, None, :, None] ** 0.5
    inner = ((batches - means[:, None, :, None]) / scale) ** 2
    torch.testing.assert_close(net.second.running_mean, inner.mean(dim=(0, 1, 3)))


def test_nothing_else_changes():
    net = Net()
    net.first.eval()
    net.second.momentum = 0.3
    weights = {name: value.clone() for name, value in net.named_parameters()}
    take_statistics(net, [{"x": torch.randn(4, 2, 3)}])
    assert [net.first.training, net.second.training, net.dropout.training] == [False, True, True]
    assert [net.first.momentum, net.second.momentum] == [0.1, 0.3]
    assert all(torch.equal(value, weights[name]) for name, value in net.named_parameters())


def test_layers_that_always_normalise_by_the_batch_have_none():
    net = nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False), nn.BatchNorm1d(2))
    assert norms_of(net) == [net[1]]


def trained(recipe, **options):
    data = SyntheticDataModule.for_recipe(recipe, selection=Selection("stress", ["eda", "bvp"]))
    L.seed_everything(0, verbose=False)
    model = CNN(data.inputs, data.n_classes, recipe=recipe)
    trainer = L.Trainer(
        max_epochs=recipe.max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    return trainer, model, data


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("options", [{}, {"limit_val_batches": 0}])
def test_a_trained_model_has_the_statistics_of_its_training_windows(options, chunk):
    trainer, model, data = trained(RECIPE, **options)
    data.loading = replace(data.loading, chunk=chunk)
    trainer.fit(model, data)
    expected = copy.deepcopy(model)
    data.loading = replace(data.loading, chunk=1)
    windows = data.train_dataloader().dataset
    whole = len(windows) // 16 * 16
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))[:whole]
    for norm in norms_of(expected.network):
        norm.reset_running_stats()
        norm.momentum = None
    expected.eval()
    for norm in norms_of(expected.network):
        norm.train()
    with torch.no_grad():
        for rows in order.split(16):
            expected(windows[rows].signals)
    assert norms_of(model.network)
    for ours, theirs in zip(norms_of(model.network), norms_of(expected.network), strict=True):
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_weights_are_those_of_a_training_by_running_statistics():
    results = []
    for recipe in (RECIPE, replace(RECIPE, statistics="running")):
        trainer, model, data = trained(recipe)
        trainer.fit(model, data)
        results.append(model.state_dict())
    ours, theirs = results
    same = {name: torch.equal(value, theirs[name]) for name, value in ours.items()}
    learned = {name for name, _ in model.named_parameters()}
    assert all(same[name] for name in learned)
    assert not all(same[name] for name in same if name.endswith("running_var"))


def test_loaders_have_no_training_windows_to_ask_for():
    trainer, model, data = trained(RECIPE)
    data.prepare_data()
    data.setup()
    with pytest.raises(IncompatibleRunError, match="expected a datamodule"):
        trainer.fit(model, data.train_dataloader(), data.val_dataloader())

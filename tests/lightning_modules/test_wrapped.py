"""model(): any network becomes a model of the catalogue."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from datamodules.batch import SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules import Recipe, model
from lightning_modules.base import Output

EDA, BVP = SignalSpec(1, 40, 4.0), SignalSpec(2, 640, 64.0)
RECIPE = Recipe(source="this test", lr=0.1)


class OfOne(nn.Module):
    """Takes one signal."""

    def __init__(self, inputs, n_classes, width=4):
        super().__init__()
        ((_, spec),) = inputs.items()
        self.first = nn.Linear(spec.n_channels * spec.n_times, width)
        self.last = nn.Linear(width, n_classes)

    def forward(self, signal):
        return self.last(self.first(signal.flatten(1)).relu())


class OfSeveral(nn.Module):
    """Takes a dict; no linear layer gives the logits."""

    def __init__(self, inputs, n_classes):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_classes))
        self.names = sorted(inputs)

    def forward(self, signals):
        assert sorted(signals) == self.names
        return sum(s.mean(dim=(1, 2))[:, None] for s in signals.values()) * self.scale


@pytest.fixture
def kind():
    return model(OfOne, prefers=(("eda",), ("bvp",)), recipe=RECIPE)


def test_it_has_what_a_model_of_the_catalogue_has(kind):
    assert kind.published == RECIPE
    assert not hasattr(kind, "fast")
    assert hasattr(model(OfOne, fast=replace(RECIPE, max_epochs=1)), "fast")
    assert kind.choose_signals(("bvp", "eda")) == ("eda",)
    assert kind.choose_signals(("bvp",)) == ("bvp",)
    with pytest.raises(IncompatibleRunError, match="there is only temp"):
        kind.choose_signals(("temp",))
    assert model(OfSeveral).choose_signals(("temp", "eda")) == ("temp", "eda")
    assert kind.__module__ == OfOne.__module__
    assert kind.__doc__ == "Takes one signal."


def test_one_signal_is_a_tensor_and_the_embedding_that_of_the_last_layer(kind):
    torch.manual_seed(0)
    made = kind({"eda": EDA}, 3)
    signals = {"eda": torch.randn(5, 1, 40), "bvp": torch.randn(5, 2, 640)}
    output = made(signals)
    network = made.network.wrapped
    hidden = network.first(signals["eda"].flatten(1)).relu()
    torch.testing.assert_close(output, Output(network.last(hidden), hidden))
    assert made.recipe == RECIPE


def test_several_signals_are_a_dict_and_logits_stand_for_the_embedding():
    made = model(OfSeveral)({"eda": EDA, "bvp": BVP}, 2)
    signals = {"eda": torch.ones(5, 1, 40), "bvp": 2 * torch.ones(5, 2, 640)}
    output = made(signals)
    torch.testing.assert_close(output.logits, torch.full((5, 2), 3.0))
    assert output.embedding is output.logits


def test_arguments_of_the_network_are_arguments_of_the_model(kind):
    assert kind({"eda": EDA}, 2, width=7).network.wrapped.first.out_features == 7
    assert kind({"eda": EDA}, 2, recipe=replace(RECIPE, lr=0.5)).recipe.lr == 0.5
    with pytest.raises(TypeError, match="height"):
        kind({"eda": EDA}, 2, height=7)


def test_what_it_was_made_with_is_kept_for_checkpoints(kind):
    made = kind({"eda": EDA}, 2, width=7)
    assert dict(made.hparams) == {
        "inputs": {"eda": EDA},
        "n_classes": 2,
        "width": 7,
        "recipe": RECIPE,
    }
    again = kind(**made.hparams)
    again.load_state_dict(made.state_dict())
    signals = {"eda": torch.randn(2, 1, 40)}
    torch.testing.assert_close(again(signals), made(signals))

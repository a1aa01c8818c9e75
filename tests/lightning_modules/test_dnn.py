"""DNN: rows are averaged, whatever their order."""

import pytest
import torch

from datamodules.batch import LENGTH, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.dnn import DNN

ZERO, POOLED = SignalSpec(62, 59399, 200.0), SignalSpec(20, 19799, 200 / 3)
SMALL = {"eeg": SignalSpec(14, 64, 128.0)}


@pytest.mark.parametrize("n_rows", [1, 10, 15])
def test_parameter_count_is_the_stated_one(parameters, n_rows):
    assert parameters(DNN, {"eeg_de": SignalSpec(310, n_rows, 0.25)}) == 73989


@pytest.mark.parametrize(
    ("layers", "spec", "expected"),
    [
        ("study_1", ZERO, 7643397),
        ("study_1", POOLED, 2547717),
        ("study_2", ZERO, 8637317),
        ("study_2", POOLED, 2880389),
    ],
)
def test_parameter_counts_of_the_study(parameters, layers, spec, expected):
    assert parameters(DNN, {"eeg": spec}, layers) == expected


def test_contract(contract, inputs):
    contract(DNN, inputs)


@pytest.mark.parametrize("layers", ["study_1", "study_2"])
def test_contract_of_the_study(contract, layers):
    contract(DNN, SMALL, layers=layers)


def test_padding_behind_a_mask_changes_nothing(mask):
    mask(DNN)


def test_checkpoint_needs_no_trust(checkpoint):
    checkpoint(DNN)


def test_recipe():
    recipe = DNN.published
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == ("adam", 1e-3, 32)
    assert (recipe.max_epochs, recipe.patience) == (100, 10)
    assert (recipe.plateau_factor, recipe.plateau_patience) == (0.2, 5)
    assert (recipe.window, recipe.stride) == (40.0, 20.0)
    assert DNN.fast.max_epochs < recipe.max_epochs


def test_what_cannot_work_says_why():
    with pytest.raises(IncompatibleRunError, match="DNN takes one signal or more"):
        DNN.check_inputs({})
    with pytest.raises(IncompatibleRunError, match="DNN takes one signal or more"):
        DNN.check_inputs({LENGTH: SignalSpec(1, 1, 0.001)})
    with pytest.raises(IncompatibleRunError, match="one signal, found eda, eeg"):
        DNN({"eda": SignalSpec(1, 99, 9.0), **SMALL}, 2, layers="study_1")
    with pytest.raises(IncompatibleRunError, match="study's layers take no mask"):
        DNN({**SMALL, LENGTH: SignalSpec(1, 1, 0.001)}, 2, layers="study_1")
    with pytest.raises(ValueError, match=r"layers among rows, .* found 'study_9'"):
        DNN(SMALL, 2, layers="study_9")


def test_order_of_rows_does_not_matter():
    torch.manual_seed(0)
    model = DNN({"eeg_de": SignalSpec(310, 10, 0.25)}, 5).eval()
    window = torch.randn(2, 310, 10)
    expected = model({"eeg_de": window}).logits
    turned = model({"eeg_de": window.flip(2)}).logits
    torch.testing.assert_close(turned, expected)


def test_noise_is_learned_by_heart(by_heart):
    by_heart(DNN)

"""CNNLSTM: convolutions, then steps over rows; and the sigmoids of the study."""

import pytest
import torch

from datamodules.batch import LENGTH, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.cnn_lstm import CNNLSTM

ZERO, POOLED = SignalSpec(62, 59399, 200.0), SignalSpec(20, 19799, 200 / 3)
SMALL = {"eeg": SignalSpec(14, 64, 128.0)}


@pytest.mark.parametrize("n_rows", [1, 10, 15])
def test_parameter_count_is_the_stated_one(parameters, n_rows):
    assert parameters(CNNLSTM, {"eeg_de": SignalSpec(310, n_rows, 0.25)}) == 82869


@pytest.mark.parametrize(
    ("layers", "spec", "expected"),
    [
        ("study", POOLED, 20287221),
    ],
)
def test_parameter_counts_of_the_study(parameters, layers, spec, expected):
    assert parameters(CNNLSTM, {"eeg": spec}, layers) == expected


def test_contract(contract, inputs):
    contract(CNNLSTM, inputs)


@pytest.mark.parametrize("layers", ["study"])
def test_contract_of_the_study(contract, layers):
    contract(CNNLSTM, SMALL, layers=layers)


def test_padding_behind_a_mask_changes_nothing(mask):
    mask(CNNLSTM)


def test_checkpoint_needs_no_trust(checkpoint):
    checkpoint(CNNLSTM)


def test_recipe():
    recipe = CNNLSTM.published
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == ("adam", 1e-3, 32)
    assert (recipe.max_epochs, recipe.patience) == (100, 10)
    assert (recipe.plateau_factor, recipe.plateau_patience) == (0.2, 5)
    assert (recipe.window, recipe.stride) == (40.0, 20.0)
    assert CNNLSTM.fast.max_epochs < recipe.max_epochs


def test_what_cannot_work_says_why():
    with pytest.raises(IncompatibleRunError, match="CNNLSTM takes one signal or more"):
        CNNLSTM.check_inputs({})
    with pytest.raises(IncompatibleRunError, match="CNNLSTM takes one signal or more"):
        CNNLSTM.check_inputs({LENGTH: SignalSpec(1, 1, 0.001)})
    with pytest.raises(IncompatibleRunError, match="one signal, found eda, eeg"):
        CNNLSTM({"eda": SignalSpec(1, 99, 9.0), **SMALL}, 2, layers="study")
    with pytest.raises(IncompatibleRunError, match="study's layers take no mask"):
        CNNLSTM({**SMALL, LENGTH: SignalSpec(1, 1, 0.001)}, 2, layers="study")
    with pytest.raises(ValueError, match=r"layers among rows, .* found 'study_9'"):
        CNNLSTM(SMALL, 2, layers="study_9")


def test_probabilities_of_the_study_are_sigmoids_divided_by_their_sum():
    torch.manual_seed(0)
    model = CNNLSTM(SMALL, 3, layers="study").eval()
    output = model({"eeg": torch.randn(2, 14, 64)})
    sigmoids = model.network.head(output.embedding).sigmoid()
    expected = sigmoids / sigmoids.sum(dim=1, keepdim=True)
    torch.testing.assert_close(output.logits.softmax(dim=1), expected)


def test_steps_of_the_study_are_rows_of_channels():
    with torch.device("meta"):
        model = CNNLSTM({"eeg": POOLED}, 5, layers="study").eval()
        assert model.network.lstm.input_size == 316672
        assert model({"eeg": torch.empty(1, 20, 19799)}).embedding.shape == (1, 48)


def test_too_small_a_map_for_the_study_says_why():
    with pytest.raises(IncompatibleRunError, match="nothing of 9 channels and 64 samples of eeg"):
        CNNLSTM({"eeg": SignalSpec(9, 64, 128.0)}, 2, layers="study")


def test_noise_is_learned_by_heart(by_heart):
    by_heart(CNNLSTM)

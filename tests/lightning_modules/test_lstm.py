"""LSTM: the state after the last row, and the study's LSTM over channels."""

import pytest
import torch

from datamodules.batch import LENGTH, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.lstm import LSTM

ZERO, POOLED = SignalSpec(62, 59399, 200.0), SignalSpec(20, 19799, 200 / 3)
SMALL = {"eeg": SignalSpec(14, 64, 128.0)}


@pytest.mark.parametrize("n_rows", [1, 10, 15])
def test_parameter_count_is_the_stated_one(parameters, n_rows):
    assert parameters(LSTM, {"eeg_de": SignalSpec(310, n_rows, 0.25)}) == 138629


@pytest.mark.parametrize(
    ("layers", "spec", "expected"),
    [
        ("study_1", ZERO, 15265029),
        ("study_1", POOLED, 5127429),
        ("study_2", ZERO, 15314565),
        ("study_2", POOLED, 5176965),
    ],
)
def test_parameter_counts_of_the_study(parameters, layers, spec, expected):
    assert parameters(LSTM, {"eeg": spec}, layers) == expected


def test_contract(contract, inputs):
    contract(LSTM, inputs)


@pytest.mark.parametrize("layers", ["study_1", "study_2"])
def test_contract_of_the_study(contract, layers):
    contract(LSTM, SMALL, layers=layers)


def test_padding_behind_a_mask_changes_nothing(mask):
    mask(LSTM)


def test_checkpoint_needs_no_trust(checkpoint):
    checkpoint(LSTM)


def test_recipe():
    recipe = LSTM.published
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == ("adam", 1e-3, 32)
    assert (recipe.max_epochs, recipe.patience) == (100, 10)
    assert (recipe.plateau_factor, recipe.plateau_patience) == (0.2, 5)
    assert (recipe.window, recipe.stride) == (40.0, 20.0)
    assert LSTM.fast.max_epochs < recipe.max_epochs


def test_what_cannot_work_says_why():
    with pytest.raises(IncompatibleRunError, match="LSTM takes one signal or more"):
        LSTM.check_inputs({})
    with pytest.raises(IncompatibleRunError, match="LSTM takes one signal or more"):
        LSTM.check_inputs({LENGTH: SignalSpec(1, 1, 0.001)})
    with pytest.raises(IncompatibleRunError, match="one signal, found eda, eeg"):
        LSTM({"eda": SignalSpec(1, 99, 9.0), **SMALL}, 2, layers="study_1")
    with pytest.raises(IncompatibleRunError, match="study's layers take no mask"):
        LSTM({**SMALL, LENGTH: SignalSpec(1, 1, 0.001)}, 2, layers="study_1")
    with pytest.raises(ValueError, match=r"layers among rows, .* found 'study_9'"):
        LSTM(SMALL, 2, layers="study_9")


def test_logits_against_a_loop_over_channels():
    torch.manual_seed(0)
    model = LSTM(SMALL, 3, layers="study_1").eval()
    network = model.network
    window = torch.randn(2, 14, 64)
    steps = window
    for layer in network.recurrent:
        state = {name: value.detach() for name, value in layer.named_parameters()}
        assert not state["bias_hh_l0"].any()
        assert torch.equal(state["bias_ih_l0"].nonzero().flatten(), torch.arange(64, 128))
        hidden = cell = torch.zeros(2, 64)
        outputs = []
        for channel in range(14):
            gates = steps[:, channel] @ state["weight_ih_l0"].T + state["bias_ih_l0"]
            i, f, g, o = (gates + hidden @ state["weight_hh_l0"].T).chunk(4, dim=1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            outputs.append(hidden)
        steps = torch.stack(outputs, dim=1)
    features = steps[:, -1] / (1 + 1e-3) ** 0.5
    ((dense, _),) = network.hidden
    expected = network.head(dense(features).relu())
    torch.testing.assert_close(model({"eeg": window}).logits, expected, atol=1e-5, rtol=1e-4)


def test_order_of_rows_matters():
    torch.manual_seed(0)
    model = LSTM({"eeg_de": SignalSpec(310, 10, 0.25)}, 5).eval()
    window = torch.randn(2, 310, 10)
    forward, back = model({"eeg_de": window}).logits, model({"eeg_de": window.flip(2)}).logits
    assert (forward - back).abs().max() > 1e-3


def test_noise_is_learned_by_heart(by_heart):
    by_heart(LSTM)

"""CNN: electrodes have neighbours, other features have none."""

import pytest
import torch

from datamodules.batch import LENGTH, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.cnn import CNN

ZERO, POOLED = SignalSpec(62, 59399, 200.0), SignalSpec(20, 19799, 200 / 3)
SMALL = {"eeg": SignalSpec(14, 64, 128.0)}


@pytest.mark.parametrize("n_rows", [1, 10, 15])
def test_parameter_count_is_the_stated_one(parameters, n_rows):
    assert parameters(CNN, {"eeg_de": SignalSpec(310, n_rows, 0.25)}) == 40453


@pytest.mark.parametrize(
    ("layers", "spec", "expected"),
    [
        ("study_1", ZERO, 16632901),
        ("study_1", POOLED, 1584901),
        ("study_2", POOLED, 1434743),
    ],
)
def test_parameter_counts_of_the_study(parameters, layers, spec, expected):
    assert parameters(CNN, {"eeg": spec}, layers) == expected


def test_contract(contract, inputs):
    contract(CNN, inputs)


@pytest.mark.parametrize("layers", ["study_1", "study_2"])
def test_contract_of_the_study(contract, layers):
    contract(CNN, SMALL, layers=layers)


def test_padding_behind_a_mask_changes_nothing(mask):
    mask(CNN)


def test_checkpoint_needs_no_trust(checkpoint):
    checkpoint(CNN)


def test_recipe():
    recipe = CNN.published
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == ("adam", 1e-3, 32)
    assert (recipe.max_epochs, recipe.patience) == (100, 10)
    assert (recipe.plateau_factor, recipe.plateau_patience) == (0.2, 5)
    assert (recipe.window, recipe.stride) == (40.0, 20.0)
    assert CNN.fast.max_epochs < recipe.max_epochs


def test_what_cannot_work_says_why():
    with pytest.raises(IncompatibleRunError, match="CNN takes one signal or more"):
        CNN.check_inputs({})
    with pytest.raises(IncompatibleRunError, match="CNN takes one signal or more"):
        CNN.check_inputs({LENGTH: SignalSpec(1, 1, 0.001)})
    with pytest.raises(IncompatibleRunError, match="one signal, found eda, eeg"):
        CNN({"eda": SignalSpec(1, 99, 9.0), **SMALL}, 2, layers="study_1")
    with pytest.raises(IncompatibleRunError, match="study's layers take no mask"):
        CNN({**SMALL, LENGTH: SignalSpec(1, 1, 0.001)}, 2, layers="study_1")
    with pytest.raises(ValueError, match=r"layers among rows, .* found 'study_9'"):
        CNN(SMALL, 2, layers="study_9")


def shapes(model, signals):
    """Return the shape of a window after each convolution and pooling."""
    found = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.MaxPool2d):
            module.register_forward_hook(lambda _m, _i, o: found.append(tuple(o.shape[1:])))
    model.eval()(signals)
    return found


def test_layer_shapes():
    model = CNN({"eeg_de": SignalSpec(310, 10, 0.25)}, 5)
    expected = [(64, 62, 10), (64, 31, 10), (64, 31, 10)]
    assert shapes(model, {"eeg_de": torch.zeros(1, 310, 10)}) == expected
    model = CNN({"eye": SignalSpec(33, 10, 0.25)}, 5)
    assert shapes(model, {"eye": torch.zeros(1, 33, 10)}) == [(64, 1, 10)] * 2


def test_layer_shapes_of_the_study():
    with torch.device("meta"):
        model = CNN({"eeg": ZERO}, 5, layers="study_1")
        found = shapes(model, {"eeg": torch.empty(1, 62, 59399)})
        assert found == [(64, 15, 14850), (64, 7, 7425)]
        model = CNN({"eeg": POOLED}, 5, layers="study_1")
        found = shapes(model, {"eeg": torch.empty(1, 20, 19799)})
        assert found == [(64, 5, 4950), (64, 2, 2475)]


def test_too_small_a_map_for_the_study_says_why():
    with pytest.raises(IncompatibleRunError, match="nothing of 1 channels and 640 samples of bvp"):
        CNN({"bvp": SignalSpec(1, 640, 64.0)}, 2, layers="study_1")


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (["eye", "eeg", "eeg_de"], ("eeg_de",)),
        (["bvp", "eeg", "eda"], ("eeg",)),
        (["acc", "bvp", "eda", "temp"], ("eda", "bvp", "temp")),
        (["eye"], ("eye",)),
    ],
)
def test_motion_is_left_to_the_probe(available, expected):
    assert CNN.choose_signals(available) == expected
    with pytest.raises(IncompatibleRunError):
        CNN.choose_signals(["acc"])


def test_noise_is_learned_by_heart(by_heart):
    by_heart(CNN)

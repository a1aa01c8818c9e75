"""GridClassifier: convolutions that keep the number of samples, initial weights, refusals."""

import numpy as np
import pytest
import torch
from torch import nn

from datamodules.batch import SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.grid_classifier import SameConv1d, initialize
from lightning_modules.resnet_1d import ResNet1D
from lightning_modules.tcn import TCN

WRIST = {"eda": (1, 4.0), "bvp": (1, 64.0), "temp": (1, 4.0), "acc": (3, 32.0)}


@pytest.mark.parametrize("kernel", [1, 3, 5, 8, 10, 40])
@pytest.mark.parametrize("n_times", [4, 50])
def test_the_convolution_is_that_over_samples_and_zeros_around_them(kernel, n_times):
    torch.manual_seed(0)
    layer = SameConv1d(2, 3, kernel).double()
    window = torch.randn(1, 2, n_times, dtype=torch.float64)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    before = (kernel - 1) // 2
    expected = np.zeros((3, n_times))
    for at in range(n_times):
        for tap in range(kernel):
            if 0 <= (source := at - before + tap) < n_times:
                expected[:, at] += weight[:, :, tap] @ window[0, :, source].numpy()
    found = layer(window)[0].detach().numpy()
    np.testing.assert_allclose(found, expected + bias[:, None], atol=1e-12)


def test_initial_weights_are_uniform_within_the_limit_of_glorot():
    network = nn.Sequential(nn.Conv1d(30, 50, 9), nn.Linear(200, 100))
    torch.manual_seed(0)
    initialize(network)
    for layer, limit in zip(network, [(6 / (9 * 80)) ** 0.5, (6 / 300) ** 0.5], strict=True):
        assert layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.02)
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (WRIST, ("eda", "bvp", "temp")),
        ({"eeg": (19, 500.0), "ecg": (1, 500.0)}, ("ecg",)),
        ({"eeg": (19, 500.0)}, ("eeg",)),
        ({"eeg_de": (310, 0.25), "eye": (33, 0.25)}, ("eeg_de",)),
    ],
)
def test_signals(available, chosen):
    assert ResNet1D.choose_signals(available) == chosen


@pytest.mark.parametrize("inputs", [{}, {"eda": SignalSpec(1, 0, 4.0)}])
def test_nothing_to_read_is_refused(inputs):
    with pytest.raises(IncompatibleRunError, match=r"TCN takes .*one"):
        TCN(inputs, 2)

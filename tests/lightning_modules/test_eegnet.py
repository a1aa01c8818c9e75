"""EEGNet, against sizes counted from its paper's layers and the outputs of braindecode."""

import numpy as np
import pytest
import torch

from datamodules.batch import SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.eegnet import EEGNet, EEGNetNetwork, LimitedConv2d, LimitedLinear

REFERENCE = [
    [0.766661923007333, 0.8614980885857396, 0.9319689940811278],
    [0.8050783826354491, 0.8266891117867601, 0.9265148028578765],
]
"""Logits of braindecode 1.8.1 for the weights and windows of ``drawn``, computed once by hand. Its
running moments are reset, which a forward pass in its constructor moves, and its even kernels have
their odd zero after the window, as in the authors' framework, instead of before."""


def eeg(n_channels, n_times, sfreq=128.0):
    return {"eeg": SignalSpec(n_channels, n_times, sfreq)}


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def drawn(network, shape):
    """Give a network weights that do not depend on the framework, and return windows."""
    draws = np.random.RandomState(0)  # its numbers are the same in every version
    with torch.no_grad():
        for parameter in network.parameters():
            values = torch.from_numpy(np.asarray(draws.standard_normal(tuple(parameter.shape))))
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.2
            parameter.copy_(scale * values + (parameter.dim() < 2))
    return torch.from_numpy(draws.standard_normal(shape))


@pytest.mark.parametrize(
    ("n_channels", "n_times", "n_classes", "maps", "kernel", "expected"),
    [
        (64, 128, 2, 8, 64, 2_258),
        (64, 128, 2, 4, 64, 1_066),
        (22, 256, 4, 8, 32, 1_716),
        (22, 256, 4, 4, 32, 796),
    ],
    ids=["P300, 8,2", "P300, 4,2", "motor imagery, 8,2", "motor imagery, 4,2"],
)
def test_as_many_parameters_as_its_layers_have(
    n_channels, n_times, n_classes, maps, kernel, expected
):
    """On the shapes of two of the paper's datasets; the paper's own table was not read."""
    network = EEGNetNetwork(eeg(n_channels, n_times), n_classes, maps=maps, kernel=kernel)
    assert size(network) == expected


@pytest.mark.parametrize("n_channels", [1, 19])
@pytest.mark.parametrize("n_times", [32, 257, 1280])
def test_parameters_by_the_formula(n_channels, n_times):
    network = EEGNetNetwork(eeg(n_channels, n_times), 3)
    time, space, again = 8 * 64 + 2 * 8, 16 * n_channels + 2 * 16, 16 * 16 + 16 * 16 + 2 * 16
    assert size(network) == time + space + again + (16 * (n_times // 32) + 1) * 3


def test_logits_of_the_reference():
    network = EEGNetNetwork(eeg(5, 128), 3).double()
    window = drawn(network, (2, 5, 128))
    logits = network.eval()({"eeg": window}).logits
    torch.testing.assert_close(logits, torch.tensor(REFERENCE, dtype=torch.float64))


@pytest.mark.parametrize("scale", [0.1, 100.0])
def test_norms_are_limited_and_short_filters_stay_as_they_are(scale):
    torch.manual_seed(0)
    filters, head = LimitedConv2d(1, 1, 5), LimitedLinear(5, 1, bias=False)
    for layer, limit in ((filters, 1.0), (head, 0.25)):
        direction = torch.nn.functional.normalize(torch.randn(5), dim=0)
        with torch.no_grad():
            layer.weight.copy_(scale * direction.reshape(layer.weight.shape))
        window = direction.reshape((1, 1, 5, 1) if layer is filters else (1, 5))
        assert layer(window).item() == pytest.approx(min(scale, limit), rel=1e-4)


@pytest.mark.parametrize("sfreq", [64.0, 128.0, 250.0, 500.0])
def test_a_rhythm_looks_the_same_at_every_rate(sfreq):
    """The network reads ten cycles a second as such, whatever the rate of the recording."""
    network = EEGNetNetwork(eeg(1, round(2 * sfreq), sfreq), 2)
    read = network.rate(
        torch.sin(2 * np.pi * 10 * torch.arange(round(2 * sfreq)) / sfreq)[None, None]
    )
    assert read.shape == (1, 1, 256)
    power = torch.fft.rfft(read[0, 0]).abs()
    assert power.argmax() == 20


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (eeg(3, 31), "0.25 s"),
        ({}, "found none"),
        ({**eeg(3, 256), "eda": SignalSpec(1, 8, 4.0)}, "one EEG signal"),
    ],
)
def test_refusals(inputs, reason):
    with pytest.raises(IncompatibleRunError, match=f"EEGNet .*{reason}"):
        EEGNet(inputs, 2)


@pytest.mark.parametrize("wrong", [{"maps": 0}, {"depth": 0}, {"kernel": 0}, {"dropout": 1.0}])
def test_values_out_of_their_range(wrong):
    with pytest.raises(ValueError, match=r"expected .* found"):
        EEGNet(eeg(3, 256), 2, **wrong)


@pytest.mark.parametrize("inputs", ["eeg"], indirect=True)
def test_contract(contract, inputs):
    contract(EEGNet, inputs)

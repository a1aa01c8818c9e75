"""TSception, against the sizes and outputs of torcheeg's version and loops over electrodes."""

import random

import numpy as np
import pytest
import torch

from datamodules.amigos import EEG as AMIGOS
from datamodules.batch import SignalSpec
from datamodules.deap import EEG as DEAP
from datamodules.eegmat import EEG as EEGMAT
from datamodules.errors import IncompatibleRunError
from lightning_modules.tsception import TSception, TSceptionNetwork

FIVE = ("F7", "Fz", "F4", "F3", "F8")
"""Two pairs; left and right ones are channels 3, 0 and 2, 4."""

REFERENCE = [
    [-2.11690266754968, 0.7771435478195189, 0.28560819076968136],
    [-2.180647467182386, 0.7793256755443558, 0.29682050961281514],
]
"""Logits of torcheeg 1.1.3 for the weights and windows of ``drawn``, computed once by hand. It was
given channels 3, 0, 2 and 4: it has no names, and takes the first half for the left one."""


def eeg(channels, n_times=512, sfreq=128.0):
    return {"eeg": SignalSpec(len(channels), n_times, sfreq, tuple(channels))}


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
    ("channels", "expected"),
    [(DEAP, 12_563), (EEGMAT, 8_513), (AMIGOS, 7_838)],
    ids=["deap", "eegmat", "amigos"],
)
def test_as_many_parameters_as_torcheeg_has(channels, expected):
    """Its numbers for 28, 16 and 14 electrodes and two classes."""
    assert size(TSceptionNetwork(eeg(channels), 2)) == expected


@pytest.mark.parametrize("n_pairs", [1, 2])
@pytest.mark.parametrize(("n_times", "sfreq"), [(71, 128.0), (512, 128.0), (2000, 500.0)])
def test_parameters_by_the_formula(n_pairs, n_times, sfreq):
    network = TSceptionNetwork(
        eeg(("F3", "F4", "Cz", "P3", "P4")[: 3 * n_pairs], n_times, sfreq), 3
    )
    time, space = 15 * (65 + 33 + 17), 15 * (15 * 2 * n_pairs + 1) + 15 * (15 * n_pairs + 1)
    fusion, norms, dense = 15 * (15 * 3 + 1), 3 * 2 * 15, 32 * 16 + 3 * 33
    assert size(network) == time + space + fusion + norms + dense


def test_logits_of_the_reference():
    network = TSceptionNetwork(eeg(FIVE, 128), 3).double()
    window = drawn(network, (2, 5, 128))
    logits = network.eval()({"eeg": window}).logits
    torch.testing.assert_close(logits, torch.tensor(REFERENCE, dtype=torch.float64))


def test_filters_over_halves_by_loops_over_electrodes():
    """Both halves by the same weights, and mirrored electrodes by the same one."""
    torch.manual_seed(0)
    network = TSceptionNetwork(eeg(FIVE), 2).double()
    maps = torch.randn(1, 15, 4, 6, dtype=torch.float64)  # F3, F7, F4, F8
    convolution = network.over_halves[0]
    expected = torch.zeros(15, 2, 3, dtype=torch.float64)
    for half in range(2):
        for filter_ in range(15):
            for time in range(6):
                value = convolution.bias[filter_]
                for number in range(2):
                    weights = convolution.weight[filter_, :, number, 0]
                    value = value + weights @ maps[0, :, 2 * half + number, time]
                expected[filter_, half, time // 2] += (
                    torch.where(value > 0, value, 0.01 * value) / 2
                )
    torch.testing.assert_close(network.over_halves(maps)[0], expected)


def test_names_decide_and_not_the_order_of_channels():
    """The same recording, its channels in other orders, has the same logits."""
    torch.manual_seed(0)
    network = TSceptionNetwork(eeg(EEGMAT), 2).eval()
    window = torch.randn(3, len(EEGMAT), 512)
    expected = network({"eeg": window}).logits
    for seed in range(3):
        order = random.Random(seed).sample(range(len(EEGMAT)), len(EEGMAT))
        other = TSceptionNetwork(eeg([EEGMAT[place] for place in order]), 2).eval()
        other.load_state_dict(network.state_dict())
        assert torch.equal(other({"eeg": window[:, order]}).logits, expected)
        assert not torch.allclose(other({"eeg": window}).logits, expected, rtol=1e-3)


def test_the_midline_is_left_out():
    torch.manual_seed(0)
    network = TSceptionNetwork(eeg(EEGMAT), 2).eval()
    window = torch.randn(1, len(EEGMAT), 512)
    before = network({"eeg": window}).logits
    for channel, name in enumerate(EEGMAT):
        changed = window.clone()
        changed[:, channel] += 5.0 * torch.randn(512)
        same = torch.equal(network({"eeg": changed}).logits, before)
        assert same == (name in {"Fz", "Cz", "Pz"})


@pytest.mark.parametrize(
    ("channels", "found"),
    [
        ((), r"no names, .* Set the datamodule up"),
        (("Fz", "Cz", "Pz"), r"Fz, Cz, Pz\. Name the channels"),
        (("F3", "", "F4", ""), r"other names to channel 2, 4\. Name the channels"),
        (("F3", "F4", "f3"), r"F3 and f3\. Name the channels"),
    ],
    ids=["no names", "no pair", "other names", "one twice"],
)
def test_what_gives_no_sides_is_refused_with_a_reason(channels, found):
    inputs = {"eeg": SignalSpec(4, 512, 128.0, channels)}
    message = rf"TSception tells left from right by the names .* as F3 and F4, found .*{found}"
    with pytest.raises(IncompatibleRunError, match=message):
        TSception(inputs, 2)
    if channels:
        with pytest.raises(IncompatibleRunError, match=message):
            TSception.check_inputs(inputs)
    else:  # before a recording was read
        TSception.check_inputs(inputs)


def test_a_short_window_is_refused():
    assert (
        TSception(eeg(FIVE, 71), 2).eval()({"eeg": torch.randn(1, 5, 71)}).logits.isfinite().all()
    )
    for n_times, sfreq in ((70, 128.0), (275, 500.0)):
        with pytest.raises(IncompatibleRunError, match=r"TSception takes at least .* 0\.55 s"):
            TSception(eeg(FIVE, n_times, sfreq), 2)


def test_contract(contract):
    contract(TSception, eeg(FIVE, 1000, 250.0))

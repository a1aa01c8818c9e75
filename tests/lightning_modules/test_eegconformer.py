"""EEG Conformer, against the size that is published and the outputs of its author's version."""

import numpy as np
import pytest
import torch

from datamodules.batch import SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.eegconformer import (
    Attention,
    EEGConformer,
    EEGConformerNetwork,
    JointFilters,
)

PUBLISHED_SIZE = 789_572
"""Parameters on BCI Competition IV 2a: 22 electrodes, 4 s at 250 Hz, four classes. It is the number
in braindecode's table of models, and in later papers that compare sizes."""

REFERENCE = [
    [3.360774359686989, 7.0151074693527455, 8.82161685683139],
    [3.2365223714973874, 6.896691744481308, 8.909553943700718],
]
"""Logits of the author's version in braindecode 1.8.1 for the weights and windows of ``drawn``,
computed once by hand; its running moments are reset, which a forward pass in its constructor
moves."""


def eeg(n_channels, n_times, sfreq=250.0):
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


def test_as_many_parameters_as_published():
    assert size(EEGConformerNetwork(eeg(22, 1000), 4)) == PUBLISHED_SIZE


@pytest.mark.parametrize("n_channels", [1, 62])
@pytest.mark.parametrize(("n_times", "n_tokens"), [(99, 1), (113, 1), (114, 2), (1000, 61)])
def test_parameters_by_the_formula(n_channels, n_times, n_tokens):
    network = EEGConformerNetwork(eeg(n_channels, n_times), 3)
    filters = 40 * 26 + 40 * (40 * n_channels + 1) + 2 * 40 + 40 * 41
    layer = 4 * 40 * 41 + 160 * 41 + 40 * 161 + 2 * 2 * 40
    dense = 256 * (40 * n_tokens + 1) + 32 * 257 + 3 * 33
    assert size(network) == filters + 6 * layer + dense


def test_logits_of_the_authors_version():
    network = EEGConformerNetwork(eeg(5, 250), 3).double()
    window = drawn(network, (2, 5, 250))
    logits = network.eval()({"eeg": window}).logits
    torch.testing.assert_close(logits, torch.tensor(REFERENCE, dtype=torch.float64))


def test_attention_by_loops_over_heads_and_tokens():
    torch.manual_seed(0)
    layer = Attention(6, 3, 0.0).double().eval()
    tokens = torch.randn(1, 4, 6, dtype=torch.float64)
    query, key, value = layer.read(tokens)[0].chunk(3, dim=1)
    means = torch.zeros(4, 6, dtype=torch.float64)
    for head in range(3):
        part = slice(2 * head, 2 * head + 2)
        for token in range(4):
            scores = torch.stack([query[token, part] @ key[k, part] for k in range(4)]) / 2**0.5
            share = scores.exp() / scores.exp().sum()
            means[token, part] = share @ value[:, part]
    torch.testing.assert_close(layer(tokens)[0], layer.write(means))


@pytest.mark.parametrize(("n_times", "sfreq"), [(98, 250.0), (40, 128.0)])
def test_a_short_window_is_refused(n_times, sfreq):
    with pytest.raises(IncompatibleRunError, match=r"EEGConformer takes at least .* 0\.4 s"):
        EEGConformer(eeg(3, n_times, sfreq), 2)


@pytest.mark.parametrize("inputs", ["eeg"], indirect=True)
def test_contract(contract, inputs):
    contract(EEGConformer, inputs)


def test_both_filters_at_once_are_the_one_after_the_other():
    torch.manual_seed(0)
    layer = JointFilters(3).double()
    window = torch.randn(2, 3, 60, dtype=torch.float64)
    one_by_one = layer.in_space(layer.in_time(window[:, None])).squeeze(2)
    torch.testing.assert_close(layer(window), one_by_one)

"""InceptionTime's network, against the sizes that are published and its own layers written out."""

import pytest
import torch
from torch.nn import functional as F

from datamodules.batch import SignalSpec
from lightning_modules.inception_time import InceptionModule, InceptionTime, InceptionTimeNetwork

PUBLISHED_SIZE = 420_192
"""Trainable parameters of one network on series of one variable, without the last layer, counted
layer by layer; the share below agrees with it, no published table was read."""
LITE_SIZE, LITE_SHARE = 9_814, 0.0234
"""Parameters of LITE, and the share of InceptionTime's that they are: abstract of Ismail-Fawaz et
al., Look into the LITE in deep learning for time series classification (arXiv 2409.02869)."""


def series(n_variables: int = 1, n_times: int = 64) -> dict[str, SignalSpec]:
    return {"eeg": SignalSpec(n_variables, n_times, 64.0)}


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("n_times", [1, 64, 640])
def test_as_many_parameters_as_published_whatever_the_window(n_times: int) -> None:
    network = InceptionTimeNetwork(series(1, n_times), 2)
    body = size(network) - size(network.head)
    assert body == PUBLISHED_SIZE
    assert round(LITE_SIZE / body, 4) == LITE_SHARE
    assert size(network.head) == 2 * 129


@pytest.mark.parametrize("n_variables", [2, 62])
def test_several_variables_have_a_bottleneck_and_a_wider_shortcut(n_variables: int) -> None:
    network = InceptionTimeNetwork(series(n_variables), 2)
    bottleneck = n_variables * 32 + 31 * 32 * (40 + 20 + 10)
    more = bottleneck + (n_variables - 1) * (32 + 128)
    assert size(network) == PUBLISHED_SIZE + more + 2 * 129


def test_modules_and_shortcuts() -> None:
    network = InceptionTimeNetwork(series(), 2)
    assert sum(isinstance(module, InceptionModule) for module in network.modules()) == 6
    assert len(network.groups) == 2


@pytest.mark.parametrize("n_inputs", [1, 4])
def test_a_module_written_out(n_inputs: int) -> None:
    torch.manual_seed(0)
    module = InceptionModule(n_inputs).eval()
    maps = torch.randn(2, n_inputs, 30)
    weights = dict(module.named_parameters())
    narrow = F.conv1d(maps, weights["bottleneck.weight"]) if n_inputs > 1 else maps
    branches = [
        F.conv1d(F.pad(narrow, pads), weights[f"convolutions.{number}.weight"])
        for number, pads in enumerate([(19, 20), (9, 10), (4, 5)])
    ]
    neighbours = F.pad(maps, (1, 1), value=-torch.inf).unfold(2, 3, 1).amax(dim=3)
    branches.append(F.conv1d(neighbours, weights["maximum.1.weight"]))
    expected = (torch.cat(branches, dim=1) / (1 + 1e-3) ** 0.5).relu()
    torch.testing.assert_close(module(maps), expected, atol=1e-5, rtol=1e-5)


def test_the_embedding_is_the_mean_over_time() -> None:
    network = InceptionTimeNetwork(series(2, 50), 3).eval()
    window = torch.randn(4, 2, 50)
    output = network({"eeg": window})
    assert output.embedding.shape == (4, 128)
    torch.testing.assert_close(output.embedding, network.groups(window).mean(dim=2))


def test_contract(contract, inputs) -> None:
    contract(InceptionTime, inputs)

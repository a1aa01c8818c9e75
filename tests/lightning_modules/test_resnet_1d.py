"""ResNet of time series, against the sizes that are published and its own layers written out."""

import pytest
import torch
from torch.nn import functional as F

from datamodules.batch import SignalSpec
from lightning_modules.resnet_1d import ResidualBlock, ResNet1D, ResNet1DNetwork

PUBLISHED_SIZE = 504_000
"""Trainable parameters on series of one variable, without the last layer, counted layer by layer
from the description of Wang et al.; no published table of them was read."""


def series(n_variables: int = 1, n_times: int = 64) -> dict[str, SignalSpec]:
    return {"eeg": SignalSpec(n_variables, n_times, 64.0)}


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("n_times", [1, 64, 640])
def test_as_many_parameters_as_published_whatever_the_window(n_times: int) -> None:
    network = ResNet1DNetwork(series(1, n_times), 2)
    assert size(network) - size(network.head) == PUBLISHED_SIZE
    assert size(network.head) == 2 * 129


@pytest.mark.parametrize(("n_variables", "n_classes"), [(3, 2), (62, 5)])
def test_more_variables_widen_the_first_convolution_and_the_first_shortcut(
    n_variables: int, n_classes: int
) -> None:
    network = ResNet1DNetwork(series(n_variables), n_classes)
    more = (n_variables - 1) * 64 * (8 + 1)
    assert size(network) == PUBLISHED_SIZE + more + 129 * n_classes


@pytest.mark.parametrize(("n_inputs", "n_outputs"), [(3, 5), (5, 5)])
def test_a_block_written_out(n_inputs: int, n_outputs: int) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(n_inputs, n_outputs).eval()
    state = block.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) if "var" in name else torch.randn_like(value))
    maps = torch.randn(2, n_inputs, 20)

    def norm(values: torch.Tensor, prefix: str) -> torch.Tensor:
        weight, bias, mean, var = (
            state[f"{prefix}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        scaled = (values - mean[:, None]) / (var[:, None] + 1e-3).sqrt()
        return scaled * weight[:, None] + bias[:, None]

    through = maps
    for number, pads in ((0, (3, 4)), (3, (2, 2)), (6, (1, 1))):
        layer = f"convolutions.{number}"
        filled = F.pad(through, pads)
        through = F.conv1d(filled, state[f"{layer}.weight"], state[f"{layer}.bias"])
        through = norm(through, f"convolutions.{number + 1}")
        through = through.relu() if number < 6 else through
    past = maps
    if n_inputs != n_outputs:
        past = F.conv1d(maps, state["shortcut.0.weight"], state["shortcut.0.bias"])
    expected = (through + norm(past, "shortcut.1")).relu()
    torch.testing.assert_close(block(maps), expected, atol=1e-4, rtol=1e-4)


def test_the_embedding_is_the_mean_over_time() -> None:
    network = ResNet1DNetwork(series(2, 50), 3).eval()
    window = torch.randn(4, 2, 50)
    output = network({"eeg": window})
    assert output.embedding.shape == (4, 128)
    torch.testing.assert_close(output.embedding, network.blocks(window).mean(dim=2))


def test_contract(contract, inputs) -> None:
    contract(ResNet1D, inputs)

"""TCN, against sizes counted by a formula, and what its last sample depends on."""

import pytest
import torch
from torch import nn

from datamodules.batch import SignalSpec
from lightning_modules.tcn import TCN, TCNNetwork, TemporalBlock, blocks_for, receptive_field


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("n_inputs", "width", "kernel", "n_outputs"),
    [(1, 25, 7, 10), (2, 24, 8, 1)],
    ids=["sequential MNIST", "adding problem, 600 steps"],
)
def test_about_as_many_parameters_as_the_formula_says(n_inputs, width, kernel, n_outputs):
    """Eight blocks each, about 70 thousand; the paper's own figures were not read."""
    sizes = [n_inputs, *[width] * 8]
    blocks = [TemporalBlock(sizes[i], width, kernel, 2**i, 0.0) for i in range(8)]
    total = sum(map(size, blocks)) + (width + 1) * n_outputs
    convolutions = (n_inputs + 15 * width) * width * kernel + 16 * 2 * width
    assert total == convolutions + (n_inputs + 1) * width + (width + 1) * n_outputs
    assert round(total, -4) == 70_000


@pytest.mark.parametrize("kernel", [2, 3, 7])
@pytest.mark.parametrize("n_times", [1, 2, 10, 50, 640])
def test_as_few_blocks_as_see_the_whole_window(kernel, n_times):
    n_blocks = blocks_for(n_times, kernel)
    assert receptive_field(n_blocks, kernel) >= n_times
    assert n_blocks == 1 or receptive_field(n_blocks - 1, kernel) < n_times
    network = TCNNetwork({"eda": SignalSpec(1, n_times, 4.0)}, 2, kernel=kernel)
    assert len(network.blocks) == n_blocks


@pytest.mark.parametrize(("n_blocks", "kernel"), [(1, 2), (2, 3), (3, 3), (2, 7)])
def test_the_last_sample_depends_on_just_its_receptive_field(n_blocks, kernel):
    torch.manual_seed(0)
    blocks = nn.Sequential(
        *(TemporalBlock(1 if i == 0 else 4, 4, kernel, 2**i, 0.0) for i in range(n_blocks))
    ).double()
    for layer in blocks.modules():
        if isinstance(layer, nn.ReLU):
            layer.forward = nn.functional.softplus  # no unit is off
    field = receptive_field(n_blocks, kernel)
    window = torch.rand(1, 1, field + 5, dtype=torch.float64, requires_grad=True)
    for parameter in blocks.parameters():
        parameter.data.abs_()
    blocks(window)[0, :, -1].sum().backward()
    assert window.grad is not None
    assert window.grad[0, 0, -field:].all()
    assert not window.grad[0, 0, :-field].any()


def test_no_sample_depends_on_a_later_one():
    torch.manual_seed(0)
    network = TCNNetwork({"eda": SignalSpec(2, 60, 4.0)}, 2).eval()
    window = torch.randn(1, 2, 60)
    changed = window.clone()
    changed[:, :, 40:] += 1
    one, other = network.blocks(window), network.blocks(changed)
    torch.testing.assert_close(one[:, :, :40], other[:, :, :40])
    assert (one[:, :, 40:] != other[:, :, 40:]).any()


def test_the_embedding_is_the_last_sample():
    network = TCNNetwork({"eda": SignalSpec(1, 60, 4.0)}, 2).eval()
    window = torch.randn(3, 1, 60)
    output = network({"eda": window})
    assert torch.equal(output.embedding, network.blocks(window)[:, :, -1])


def test_initial_weights_are_those_of_the_code_as_it_runs():
    torch.manual_seed(0)
    block = TemporalBlock(40, 50, 7, 1, 0.0)
    assert block.shortcut.weight.std().item() == pytest.approx(0.01, rel=0.1)
    limit = (1 / (40 * 7)) ** 0.5  # the framework's, uniform
    assert block.convolutions[0].weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"kernel": 1}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_values_out_of_their_range(wrong):
    with pytest.raises(ValueError, match=r"expected .* found"):
        TCN({"eda": SignalSpec(1, 60, 4.0)}, 2, **wrong)


def test_contract(contract, inputs):
    contract(TCN, inputs)


def test_noise_is_learned_by_heart(by_heart):
    by_heart(TCN)

"""MLSTM-FCN against the parameter counts of the study, and every layer by a plain loop."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import lightning as L
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.mlstm_fcn import (
    CUT_STD,
    FAST,
    MLSTMFCN,
    PUBLISHED,
    AttentionLSTM,
    CommonGrid,
    ConvBlock,
    MaskedLSTM,
    MLSTMFCNNetwork,
    Resample,
    SqueezeExcite,
    Variant,
    hard_gate,
)

Floats = npt.NDArray[np.float64]

WRIST = {
    "eda": SignalSpec(1, 240, 4.0),
    "bvp": SignalSpec(1, 3840, 64.0),
    "temp": SignalSpec(1, 240, 4.0),
}


def deap(n_variables: int = 4, n_times: int = 640) -> dict[str, SignalSpec]:
    names = ("eda", "resp", "bvp", "temp", "hrv")[:n_variables]
    return {name: SignalSpec(1, n_times, 128.0) for name in names}


def draw(inputs: dict[str, SignalSpec], batch_size: int) -> dict[str, Tensor]:
    return {
        name: torch.randn(batch_size, spec.n_channels, spec.n_times)
        for name, spec in inputs.items()
    }


def count(module: nn.Module, total: bool) -> int:
    """Return the number of parameters; with ``total`` also of BatchNorm's running moments."""
    running = [b for name, b in module.named_buffers() if "running" in name] if total else []
    return sum(values.numel() for values in [*module.parameters(), *running])


# Sizes


@pytest.mark.parametrize(
    ("n_variables", "cells", "n_classes", "total", "trainable"),
    [
        (4, 8, 9, 301_041, 300_017),
        (5, 8, 9, 302_065, 301_041),
        (4, 8, 4, 300_356, 299_332),
        (4, 8, 2, 300_082, 299_058),
        (4, 64, 9, 461_257, 460_233),
        (4, 128, 9, 675_081, 674_057),
    ],
)
def test_as_many_parameters_as_the_study(
    n_variables: int, cells: int, n_classes: int, total: int, trainable: int
) -> None:
    model = MLSTMFCN(deap(n_variables), n_classes, cells)
    assert count(model, total=True) == total
    assert count(model, total=False) == trainable


@pytest.mark.parametrize(
    ("variant", "total"), [("mlstm_fcn", 301_041), ("lstm_fcn", 290_801), ("malstm_fcn", 326_721)]
)
@pytest.mark.parametrize("hard_sigmoid", [False, True])
def test_parameters_of_the_variants(variant: Variant, total: int, hard_sigmoid: bool) -> None:
    model = MLSTMFCN(deap(), 9, hard_sigmoid=hard_sigmoid, variant=variant)
    assert count(model, total=True) == total


@pytest.mark.parametrize("n_variables", [1, 310])
@pytest.mark.parametrize("n_times", [1, 10, 100])
def test_parameters_by_the_formula(n_variables: int, n_times: int) -> None:
    model = MLSTMFCN({"eeg_de": SignalSpec(n_variables, n_times, 1.0)}, 3, cells=5)
    expected = 274_944 + 1024 * n_variables + 4 * 5 * (n_times + 5 + 1) + (5 + 129) * 3
    assert count(model, total=True) == expected


def test_parameters_of_each_layer() -> None:
    network = MLSTMFCNNetwork(deap(), 9)
    sizes = [count(layer, total=True) for layer in network.convolutions]
    assert sizes == [4_224 + 512, 2_048, 164_096 + 1_024, 8_192, 98_432 + 512]
    assert count(network.lstm, total=True) == 20_768
    assert count(network.head, total=True) == 1_233
    assert count(AttentionLSTM(640, 8), total=True) == 46_448


# The recurrent branch


def test_hard_gate_is_not_that_of_torch() -> None:
    value = torch.tensor([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0])
    expected = torch.tensor([0.0, 0.0, 0.3, 0.5, 0.7, 1.0, 1.0])
    torch.testing.assert_close(hard_gate(value), expected)
    assert not torch.allclose(F.hardsigmoid(value), expected)


def logistic(value: Floats) -> Floats:
    return 1 / (1 + np.exp(-value))


def piecewise(value: Floats) -> Floats:
    return np.minimum(np.maximum(0.2 * value + 0.5, 0), 1)


def randomise(module: nn.Module, scale: float = 0.3) -> None:
    """Random parameters, also where a layer starts at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, scale, generator=generator)


def last_state_by_loop(lstm: MaskedLSTM, windows: Floats) -> Floats:
    """Last state of windows (B, V, T), one window, one step, one cell at a time."""
    weight = {name: value.detach().numpy() for name, value in lstm.named_parameters()}
    gate = piecewise if lstm.hard_sigmoid else logistic
    u = lstm.cells
    states = []
    for window in windows:
        h, c = np.zeros(u), np.zeros(u)
        for x in window:
            if not x.any():
                continue
            drive = weight["weight_ih"] @ x + weight["weight_hh"] @ h + weight["bias"]
            if isinstance(lstm, AttentionLSTM):
                e = [
                    weight["score"]
                    @ np.tanh(
                        weight["score_input"] @ x_s
                        + weight["score_hidden"] @ h
                        + weight["score_bias"]
                    )
                    for x_s in window
                ]
                a = np.exp(e) / np.exp(e).sum()
                z = sum(a_s * x_s for a_s, x_s in zip(a, window, strict=True))
                drive = drive + weight["weight_mean"] @ z
            h_next, c_next = np.zeros(u), np.zeros(u)
            for k in range(u):
                i, f, g, o = (drive[block * u + k] for block in range(4))
                c_next[k] = gate(f) * c[k] + gate(i) * np.tanh(g)
                h_next[k] = gate(o) * np.tanh(c_next[k])
            h, c = h_next, c_next
        states.append(h)
    return np.stack(states)


@pytest.mark.parametrize("kind", [MaskedLSTM, AttentionLSTM])
@pytest.mark.parametrize("hard_sigmoid", [False, True])
@pytest.mark.parametrize("masked", [(), (0,), (2,), (4,), (1, 2), (0, 1, 2, 3, 4)])
def test_recurrent_branch_against_a_plain_loop(
    kind: type[MaskedLSTM], hard_sigmoid: bool, masked: tuple[int, ...]
) -> None:
    lstm = kind(7, 3, hard_sigmoid).double()
    randomise(lstm, 0.8)
    windows = np.random.default_rng(0).normal(size=(4, 5, 7))
    windows[1, list(masked)] = 0  # in one window only
    found = lstm(torch.from_numpy(windows)).detach().numpy()
    np.testing.assert_allclose(found, last_state_by_loop(lstm, windows), rtol=0, atol=1e-12)
    assert found[1].any() == (len(masked) < 5)


@pytest.mark.parametrize("masked", [0, 2, 4])
def test_a_variable_of_zeros_is_as_good_as_absent(masked: int) -> None:
    lstm = MaskedLSTM(7, 3).double()
    randomise(lstm)
    windows = torch.randn(4, 5, 7, dtype=torch.float64)
    kept = [v for v in range(5) if v != masked]
    windows[:, masked] = 0
    torch.testing.assert_close(lstm(windows), lstm(windows[:, kept]), rtol=0, atol=1e-14)
    windows[:, masked, 3] = 1e-30  # one sample other than zero is enough
    assert (lstm(windows) - lstm(windows[:, kept])).abs().max() > 1e-3


def test_without_zeros_and_with_logistic_gates_it_is_the_lstm_of_torch() -> None:
    lstm = MaskedLSTM(7, 3)
    randomise(lstm)
    theirs = nn.LSTM(7, 3, batch_first=True)
    theirs.load_state_dict(
        {
            "weight_ih_l0": lstm.weight_ih,
            "weight_hh_l0": lstm.weight_hh,
            "bias_ih_l0": lstm.bias,
            "bias_hh_l0": torch.zeros(12),
        }
    )
    windows = torch.randn(4, 5, 7)
    torch.testing.assert_close(lstm(windows), theirs(windows)[1][0][0])


@pytest.mark.parametrize(
    ("block", "expected"),
    [(0, 0.0), (1, None), (2, 0.0), (3, 0.0)],
    ids=["input", "forget", "candidate", "output"],
)
def test_order_of_the_gates(block: int, expected: float | None) -> None:
    """Closing input or output, or a candidate of zero, leaves nothing; closing forget, a step."""
    lstm = MaskedLSTM(2, 1).double()
    with torch.no_grad():
        for parameter in (lstm.weight_ih, lstm.weight_hh):
            parameter.zero_()
        lstm.bias[:] = torch.tensor([50.0, 50.0, 1.0, 50.0])
        lstm.bias[block] = 0.0 if block == 2 else -50.0
    found = lstm(torch.ones(1, 3, 2, dtype=torch.float64)).detach().item()
    assert found == pytest.approx(np.tanh(np.tanh(1)) if expected is None else expected, abs=1e-12)


def test_attention_starts_as_a_plain_mean_and_then_moves() -> None:
    """At first v is zero, so the scores do not depend on the weights inside the tanh."""
    torch.manual_seed(0)
    lstm = AttentionLSTM(7, 3)
    windows = torch.randn(4, 5, 7)
    inside = (lstm.score_input, lstm.score_hidden, lstm.score_bias)
    assert not lstm.score.any()
    before = lstm(windows)
    with torch.no_grad():
        for weight in inside:
            weight.normal_()
    assert torch.equal(lstm(windows), before)
    optimizer = torch.optim.SGD(lstm.parameters(), lr=1.0)
    lstm(windows).square().sum().backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in inside)
    assert lstm.score.grad is not None
    assert lstm.score.grad.all()
    optimizer.step()
    optimizer.zero_grad()
    lstm(windows).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in inside)


# The convolutional branch


def same_by_loop(maps: Floats, weight: Floats, bias: Floats) -> Floats:
    """'same' convolution of maps (B, C, T); k = 8, 5, 3 reach 3, 2, 1 samples back."""
    kernel = weight.shape[2]
    left = {8: 3, 5: 2, 3: 1}[kernel]
    n_times = maps.shape[2]
    result = np.repeat(np.repeat(bias[None, :, None], len(maps), axis=0), n_times, axis=2)
    for t in range(n_times):
        for tap in range(kernel):
            if 0 <= t + tap - left < n_times:
                result[:, :, t] += maps[:, :, t + tap - left] @ weight[:, :, tap].T
    return result


def block_by_loop(block: ConvBlock, maps: Floats) -> Floats:
    """As in evaluation."""
    state = {name: value.numpy() for name, value in block.state_dict().items()}
    values = same_by_loop(maps, state["conv.weight"], state["conv.bias"])
    mean, variance, weight, bias = (
        state[f"norm.{name}"][None, :, None]
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    normed: Floats = (values - mean) / np.sqrt(variance + 1e-3) * weight + bias
    return np.maximum(normed, 0)


def gated_by_hand(layer: SqueezeExcite, maps: Floats) -> Floats:
    squeeze, excite = (weight.detach().numpy() for weight in layer.parameters())
    middle = np.maximum(maps.mean(axis=2) @ squeeze.T, 0)
    gated: Floats = maps * logistic(middle @ excite.T)[:, :, None]
    return gated


def stir(module: nn.Module) -> None:
    """Random parameters and running moments."""
    randomise(module)
    for name, buffer in module.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)


@pytest.mark.parametrize("kernel", [8, 5, 3])
@pytest.mark.parametrize("n_times", [1, 2, 6, 20])
def test_blocks_against_a_plain_loop(kernel: int, n_times: int) -> None:
    block = ConvBlock(3, 4, kernel).double().eval()
    stir(block)
    maps = np.random.default_rng(0).normal(size=(2, 3, n_times))
    found = block(torch.from_numpy(maps)).detach().numpy()
    assert found.shape == (2, 4, n_times)
    np.testing.assert_allclose(found, block_by_loop(block, maps), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kernel", "left", "right"), [(8, 3, 4), (5, 2, 2), (3, 1, 1)])
def test_zeros_on_either_side(kernel: int, left: int, right: int) -> None:
    block = ConvBlock(1, 1, kernel)
    nn.init.ones_(block.conv.weight)
    window = torch.zeros(1, 1, 21)
    window[..., 10] = 1
    touched = block.conv(block.pad(window))[0, 0].nonzero().flatten()
    assert touched.tolist() == list(range(10 - right, 10 + left + 1))


def test_batch_norm_has_the_constants_of_the_study() -> None:
    block = ConvBlock(2, 3, 5)
    assert block.norm.eps == 1e-3
    maps = torch.randn(4, 2, 9)
    values = block.conv(maps)
    found = block(maps)
    mean = values.mean(dim=(0, 2), keepdim=True)
    variance = values.var(dim=(0, 2), keepdim=True, correction=0)
    expected = ((values - mean) / (variance + 1e-3).sqrt()).relu()
    torch.testing.assert_close(found, expected)
    assert block.norm.running_mean is not None
    torch.testing.assert_close(block.norm.running_mean, mean.flatten())  # zero-debiased


def test_squeeze_excite_in_closed_form() -> None:
    layer = SqueezeExcite(32).double()
    assert [tuple(weight.shape) for weight in layer.parameters()] == [(2, 32), (32, 2)]
    maps = np.random.default_rng(0).normal(0.5, 1, (3, 32, 6))
    found = layer(torch.from_numpy(maps)).detach().numpy()
    np.testing.assert_allclose(found, gated_by_hand(layer, maps), rtol=0, atol=1e-12)
    # Middle units of zero: every weight is one half.
    nn.init.constant_(layer.squeeze.weight, -1.0)
    ones = torch.ones(1, 32, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(ones), ones / 2)
    # Both middle units are 1, each excites by log 3 / 2: the weight is 3 / 4.
    nn.init.constant_(layer.squeeze.weight, 1 / 32)
    nn.init.constant_(layer.excite.weight, np.log(3) / 2)
    torch.testing.assert_close(layer(ones), 0.75 * ones)


# The whole


@pytest.mark.parametrize("variant", get_args(Variant))
def test_network_against_an_evaluation_by_hand(variant: Variant) -> None:
    torch.manual_seed(0)
    inputs = {"eda": SignalSpec(1, 12, 4.0), "eeg": SignalSpec(2, 12, 4.0)}
    network = MLSTMFCNNetwork(inputs, 5, cells=3, hard_sigmoid=True, variant=variant).eval()
    stir(network.double())
    windows = np.random.default_rng(1).normal(size=(2, 3, 12))
    windows[1, 2] = 0
    maps = windows
    for layer in network.convolutions:
        if isinstance(layer, ConvBlock):
            maps = block_by_loop(layer, maps)
        elif isinstance(layer, SqueezeExcite):
            maps = gated_by_hand(layer, maps)
    embedding = np.concatenate([last_state_by_loop(network.lstm, windows), maps.mean(2)], axis=1)
    weight, bias = (value.detach().numpy() for value in network.head.parameters())
    together = torch.from_numpy(windows)
    found = network({"eeg": together[:, 1:], "eda": together[:, :1]})
    np.testing.assert_allclose(found.embedding.detach().numpy(), embedding, rtol=1e-10)
    np.testing.assert_allclose(
        found.logits.detach().numpy(), embedding @ weight.T + bias, rtol=1e-8
    )


def test_dropout_is_on_the_recurrent_branch_alone() -> None:
    torch.manual_seed(0)
    network = MLSTMFCNNetwork(deap(n_times=8), 2, cells=64)
    window = draw(deap(n_times=8), 16)
    state = network.lstm(network.grid(window))
    first, second = network(window).embedding, network(window).embedding
    dropped = first[:, :64] == 0
    assert 0.75 < float(dropped.float().mean()) < 0.85
    torch.testing.assert_close(first[:, :64][~dropped], 5 * state[~dropped])
    assert not torch.equal(first[:, :64], second[:, :64])
    assert torch.equal(first[:, 64:], second[:, 64:])


def test_initial_weights() -> None:
    torch.manual_seed(0)
    network = MLSTMFCNNetwork(deap(), 9)
    for name, (fan_in, n_outputs) in {"0": (4 * 8, 128), "2": (128 * 5, 256)}.items():
        block = network.convolutions.get_submodule(name)
        assert isinstance(block, ConvBlock)
        bound = (6 / fan_in) ** 0.5
        largest = float(block.conv.weight.detach().abs().max())
        assert 0.99 * bound < largest <= bound
        assert float(block.conv.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.03)
        assert block.conv.bias is not None
        assert not block.conv.bias.any()
        assert torch.equal(block.norm.weight, torch.ones(n_outputs))
        assert not block.norm.bias.any()
    wide = SqueezeExcite(512)
    for layer in (wide.squeeze, wide.excite):
        std = (2 / layer.in_features) ** 0.5
        assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.03)
        largest = float(layer.weight.detach().abs().max())
        assert 0.95 * 2 * std / CUT_STD < largest <= 2 * std / CUT_STD
    lstm = network.lstm
    bound = (6 / (640 + 32)) ** 0.5
    assert 0.99 * bound < float(lstm.weight_ih.detach().abs().max()) <= bound
    torch.testing.assert_close(lstm.weight_hh.T @ lstm.weight_hh, torch.eye(8), atol=1e-5, rtol=0)
    assert lstm.bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    bound = (6 / (136 + 9)) ** 0.5
    assert 0.98 * bound < float(network.head.weight.detach().abs().max()) <= bound
    assert not network.head.bias.any()


def test_initial_weights_of_attention() -> None:
    torch.manual_seed(0)
    lstm = AttentionLSTM(64, 8)
    for weight in (lstm.weight_mean, lstm.score_input, lstm.score_hidden):
        torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight)), atol=1e-5, rtol=0)
    assert not any(bias.any() for bias in (lstm.bias, lstm.score_bias, lstm.score))


def test_cut_off_normal_distribution_has_this_deviation() -> None:
    x = np.linspace(-2, 2, 100_001)
    density = np.exp(-(x**2) / 2)
    assert np.sqrt((x**2 * density).sum() / density.sum()) == pytest.approx(CUT_STD, rel=1e-4)


# Signals at other rates


def resampled_by_loop(signal: Floats, sfreq: float, rate: float, n_times: int) -> Floats:
    result = []
    for j in range(n_times):
        time = min(j / rate, (len(signal) - 1) / sfreq)
        half = max(1 / sfreq, 1 / rate)
        weights = [max(0.0, 1 - abs(k / sfreq - time) / half) for k in range(len(signal))]
        result.append(np.dot(weights, signal) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize(
    ("n_before", "before", "n_after", "after"),
    [
        (20, 4.0, 320, 64.0),
        (240, 4.0, 640, 3840 / 360),
        (384, 64.0, 64, 64.0 / 6),
        (175, 35.0, 32, 6.4),
        (7, 7.0, 10, 10.0),
        (1, 1.0, 5, 5.0),
    ],
)
def test_resampling_against_a_plain_loop(
    n_before: int, before: float, n_after: int, after: float
) -> None:
    signal = np.random.default_rng(0).normal(size=n_before)
    layer = Resample(SignalSpec(1, n_before, before), after, n_after)
    found = layer(torch.from_numpy(signal.astype(np.float32))[None, None])
    assert found.shape == (1, 1, n_after)
    expected = resampled_by_loop(signal, before, after, n_after)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("n_before", "before"), [(20, 4.0), (320, 64.0), (3500, 700.0)])
def test_resampling_keeps_time_and_level(n_before: int, before: float) -> None:
    """A straight line stays one but for the ends; a constant stays one everywhere."""
    layer = Resample(SignalSpec(2, n_before, before), 32.0, 160)
    line = torch.arange(n_before) / before
    found = layer(torch.stack([line, torch.ones(n_before)])[None])[0]
    torch.testing.assert_close(found[0, 1:152], torch.arange(1, 152) / 32, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1], torch.ones(160))


def test_resampling_weakens_what_the_grid_cannot_hold() -> None:
    time = torch.arange(3840) / 64
    layer = Resample(SignalSpec(1, 3840, 64.0), 3840 / 360, 640)
    slow, fast = (
        float(layer((2 * torch.pi * hertz * time).sin()[None, None]).std()) for hertz in (1.0, 10.0)
    )
    assert slow > 0.65  # of 0.71
    assert fast < 0.05


@pytest.mark.parametrize(
    ("inputs", "n_variables", "n_times", "sfreq"),
    [
        (deap(), 4, 640, 128.0),
        (WRIST, 3, 640, 3840 / 360),
        ({"bvp": SignalSpec(1, 320, 64.0), "eda": SignalSpec(1, 20, 4.0)}, 2, 320, 64.0),
        ({"eeg_de": SignalSpec(310, 10, 1.0)}, 310, 10, 1.0),
        ({"ecg": SignalSpec(1, 3500, 700.0)}, 1, 640, 128.0),
        ({"ecg": SignalSpec(1, 42000, 700.0), "resp": SignalSpec(1, 640, 128.0)}, 2, 640, 32 / 3),
    ],
)
def test_the_grid(
    inputs: dict[str, SignalSpec], n_variables: int, n_times: int, sfreq: float
) -> None:
    grid = CommonGrid(inputs)
    assert (grid.n_variables, grid.n_times) == (n_variables, n_times)
    assert grid.sfreq == pytest.approx(sfreq)
    signals = draw(inputs, 2)
    variables = grid(signals)
    assert variables.shape == (2, n_variables, n_times)
    if n_variables in (4, 310):
        assert torch.equal(variables, torch.cat(list(signals.values()), dim=1))


def test_a_missing_sensor_stays_masked_after_resampling() -> None:
    torch.manual_seed(0)
    signals = draw(WRIST, 2)
    signals["bvp"].zero_()
    signals["eda"].zero_()
    variables = CommonGrid(WRIST)(signals)
    assert not variables[:, :2].any()
    assert variables[:, 2].any()


@pytest.mark.parametrize("variant", get_args(Variant))
@pytest.mark.parametrize(
    "inputs",
    [
        deap(n_times=32),
        {"bvp": SignalSpec(1, 3840, 64.0), "eda": SignalSpec(1, 240, 4.0)},
        {"eeg_de": SignalSpec(310, 10, 1.0)},
        {"ecg": SignalSpec(2, 3500, 700.0)},
    ],
    ids=["deap", "wrist", "features", "chest"],
)
def test_other_inputs_train_every_parameter(
    inputs: dict[str, SignalSpec], variant: Variant
) -> None:
    torch.manual_seed(0)
    model = MLSTMFCN(inputs, 3, variant=variant)
    if variant == "malstm_fcn":  # where it starts, the weights inside the attention stand still
        nn.init.normal_(model.get_parameter("network.lstm.score"))
    window = draw(inputs, 6)
    output = model(window)
    assert output.logits.shape == (6, 3)
    assert output.embedding.shape == (6, 136)
    F.cross_entropy(output.logits, torch.arange(6) % 3).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any() or key.endswith("conv.bias"), key  # BatchNorm cancels these
    model.eval()
    alone = model({name: value[:1] for name, value in window.items()}).logits
    torch.testing.assert_close(alone, model(window).logits[:1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", get_args(Variant))
@pytest.mark.parametrize("level", [0.0, 1.0, -1e4])
def test_a_constant_signal_gives_numbers(variant: Variant, level: float) -> None:
    model = MLSTMFCN(WRIST, 2, variant=variant)
    window = {name: torch.full_like(value, level) for name, value in draw(WRIST, 3).items()}
    loss = model(window).logits.logsumexp(dim=1).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.eval()(window).logits.isfinite().all()


def test_it_takes_its_own_signals_from_among_others() -> None:
    torch.manual_seed(0)
    model = MLSTMFCN(deap(2, 16), 2).eval()
    window = draw(deap(3, 16), 2)
    alone = {name: window[name] for name in ("eda", "resp")}
    assert torch.equal(model(window).logits, model(alone).logits)


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (["eeg", "temp", "bvp", "resp", "eda", "emg"], ("eda", "resp", "bvp", "temp")),
        (["acc", "bvp", "eda", "ecg"], ("eda", "bvp")),
        (["ecg", "eeg"], ("ecg",)),
        (["eeg", "eeg_de", "eye"], ("eeg_de",)),
        (["eeg"], ("eeg",)),
    ],
)
def test_signals_that_it_takes(available: list[str], expected: tuple[str, ...]) -> None:
    assert MLSTMFCN.choose_signals(available) == expected


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "takes one signal or more, found none"),
        ({"eda": SignalSpec(1, 0, 4.0)}, "found 1 and 0 of eda"),
        (deap(2) | {"eeg": SignalSpec(0, 640, 128.0)}, "found 0 and 640 of eeg"),
    ],
)
def test_what_cannot_work_says_why(inputs: dict[str, SignalSpec], message: str) -> None:
    with pytest.raises(IncompatibleRunError, match=message):
        MLSTMFCN.check_inputs(inputs)
    with pytest.raises(IncompatibleRunError, match=message):
        MLSTMFCN(inputs, 2)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected variant among .* found 'fcn'"):
        MLSTMFCN(deap(), 2, variant="fcn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one cell, found 0"):
        MLSTMFCN(deap(), 2, cells=0)


# Training


def test_recipes() -> None:
    assert MLSTMFCN.published is PUBLISHED
    assert (PUBLISHED.optimizer, PUBLISHED.lr, PUBLISHED.eps) == ("adam", 1e-3, 1e-7)
    assert (PUBLISHED.window, PUBLISHED.stride) == (5.0, 3.0)
    assert (PUBLISHED.batch_size, PUBLISHED.max_epochs, PUBLISHED.patience) == (128, 1000, None)
    assert PUBLISHED.plateau_factor == pytest.approx(0.7937, abs=1e-5)
    assert (PUBLISHED.plateau_patience, PUBLISHED.plateau_on) == (100, "train_loss")
    assert (PUBLISHED.lr_min, PUBLISHED.weight_decay) == (1e-4, 0)
    assert MLSTMFCN.fast is FAST
    assert FAST.max_epochs < 100
    assert FAST.patience is None  # the best epoch may be the last


def test_a_checkpoint_loads_without_trusting_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = {"eda": SignalSpec(1, 20, 4.0), "bvp": SignalSpec(1, 320, 64.0)}
    model = MLSTMFCN(inputs, 2, 4, True, "malstm_fcn", FAST).eval()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(model)
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    stored = torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]
    assert stored == {
        "inputs": inputs,
        "n_classes": 2,
        "cells": 4,
        "hard_sigmoid": True,
        "variant": "malstm_fcn",
        "recipe": FAST,
    }
    again = MLSTMFCN.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    window = draw(inputs, 3)
    assert torch.equal(again(window).logits, model(window).logits)


def test_noise_is_learned_by_heart(by_heart: Callable[[type[MLSTMFCN]], None]) -> None:
    by_heart(MLSTMFCN)

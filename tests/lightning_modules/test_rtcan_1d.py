"""RTCAN-1D against the parameter counts and shapes on record, and its parts by plain loops."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Batch, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import choose_signals
from lightning_modules.rtcan_1d import (
    FAST,
    PUBLISHED,
    PUBLISHED_AMIGOS,
    PUBLISHED_DEAP,
    RTCAN1D,
    ChannelAttention,
    NonLocalBlock,
    ResidualBlock,
    RTCAN1DNetwork,
    TemporalAttention,
    shorten,
)

DEAD = 2570
"""Number of parameters of the layer that the released networks build and never call."""

MUSIC = {"music": SignalSpec(6373, 1, 0.02)}
PLAIN: dict[str, Any] = {"attention": False, "non_local": False}
DEAP: dict[str, Any] = {"block_attention": False, "initialization": "xavier"}


def eda(n_times: int, n_channels: int = 3, sfreq: float = 50.0) -> dict[str, SignalSpec]:
    return {"eda": SignalSpec(n_channels, n_times, sfreq)}


def signals_for(
    inputs: Mapping[str, SignalSpec], n_windows: int, seed: int = 0
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_windows, spec.n_channels, spec.n_times, generator=generator)
        for name, spec in inputs.items()
    }


def wake(module: nn.Module) -> None:
    """Draw gain, offset and running moments of every BatchNorm at random."""
    generator = torch.Generator().manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d):
            for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert values is not None
                values.data.uniform_(0.5, 1.5, generator=generator)


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("inputs", "flags", "total"),
    [
        (eda(2500) | MUSIC, {}, 2_037_172),
        (eda(2500) | MUSIC, {"non_local": False}, 2_028_692),
        (eda(2500) | MUSIC, {"attention": False}, 2_027_308),
        (eda(1936) | MUSIC, PLAIN, 1_920_460),
        (eda(2500), {}, 405_684),
        (eda(2500), {"non_local": False}, 397_204),
        (eda(2500), {"attention": False}, 395_820),
        (eda(1921), PLAIN, 288_972),
        (eda(2016), PLAIN, 288_972),
        (eda(2500), DEAP, 396_916),
        (eda(2500), DEAP | {"non_local": False}, 388_436),
        (eda(2500), DEAP | {"attention": False}, 395_820),
        (eda(2500), DEAP | PLAIN, 387_276),
        (eda(2500), PLAIN, 387_276),
        (eda(2500) | MUSIC, {"music": False}, 405_684),
    ],
)
def test_parameter_counts_are_those_on_record(
    inputs: dict[str, SignalSpec], flags: dict[str, Any], total: int
) -> None:
    assert n_parameters(RTCAN1DNetwork(inputs, 2, **flags)) == total - DEAD


def test_parameter_counts_of_the_parts() -> None:
    network: Any = RTCAN1DNetwork(eda(2500) | MUSIC, 2)
    counts = [n_parameters(part) for part in network.children()]
    assert counts == [1408 + 128, 8480, 1096, 4 * 31_248, 4096 + 128, 1_861_120 + 32_896, 258]
    assert [n_parameters(stage) for stage in network.stages] == [31_248] * 4
    assert n_parameters(ResidualBlock(64, 2, attention=False)) == 12_288 + 128 + 4096 + 128
    assert n_parameters(ResidualBlock(64, 1, attention=True)) == 12_288 + 128 + 1096


def test_layer_shapes_are_those_on_record() -> None:
    network: Any = RTCAN1DNetwork(eda(2500) | MUSIC, 2).eval()
    shapes: dict[str, tuple[int, ...]] = {}
    parts = []
    for name, module in network.named_modules():
        if name:
            module.register_forward_hook(
                lambda _module, _inputs, output, name=name: shapes.update({name: output.shape[1:]})
            )
    network.non_local.block.register_forward_hook(
        lambda _module, _inputs, output: parts.append(tuple(output.shape[1:]))
    )
    output = network(signals_for(eda(2500) | MUSIC, 1))
    expected = {
        "stem": (64, 1250),
        "non_local": (64, 1250),
        "attention": (64, 1250),
        "stages.0": (64, 625),
        "stages.1": (64, 313),
        "stages.2": (64, 157),
        "stages.3": (64, 79),
        "tail": (64, 27),
        "hidden.0": (256,),
        "hidden": (128,),
        "last": (2,),
    }
    assert {name: tuple(shapes[name]) for name in expected} == expected
    assert parts == [(64, 416), (64, 417), (64, 417)]
    assert network.hidden[0].in_features == 64 * 14 + 6373
    assert output.logits.shape == (1, 2)
    assert output.embedding.shape == (1, 128)


def test_only_the_plain_stem_has_a_relu_and_no_bias() -> None:
    some: list[dict[str, Any]] = [{}, {"attention": False}, {"non_local": False}]
    for flags in some:
        stem = RTCAN1DNetwork(eda(100), 2, **flags).stem
        assert [type(layer) for layer in stem] == [nn.Conv1d, nn.BatchNorm1d]
        assert stem[0].bias is not None
    stem = RTCAN1DNetwork(eda(100), 2, **PLAIN).stem
    assert [type(layer) for layer in stem] == [nn.Conv1d, nn.BatchNorm1d, nn.ReLU]
    assert stem[0].bias is None


def non_local_by_loop(part: Tensor, block: NonLocalBlock) -> Tensor:
    """One window (D, L) step by step, up to BatchNorm with running moments."""

    def project(layer: nn.Conv1d, column: Tensor) -> Tensor:
        assert layer.bias is not None
        return layer.weight[:, :, 0] @ column + layer.bias

    n_steps = part.shape[1]
    group = 2 if n_steps >= 4 else 1
    keys, values = (
        [
            torch.stack([project(layer, part[:, group * j + i]) for i in range(group)]).amax(dim=0)
            for j in range(n_steps // group)
        ]
        for layer in (block.key, block.value)
    )
    norm = block.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    columns = []
    for i in range(n_steps):
        query = project(block.query, part[:, i])
        weights = torch.stack([query @ key for key in keys]).exp()
        seen = sum((w * v for w, v in zip(weights, values, strict=True)), torch.zeros(()))
        update = project(block.out, seen / weights.sum())
        update = (update - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
        columns.append(part[:, i] + update * norm.weight + norm.bias)
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("n_times", [20, 24, 9])
@pytest.mark.parametrize("n_parts", [3, 4])
def test_temporal_attention_against_a_plain_loop(n_times: int, n_parts: int) -> None:
    torch.manual_seed(0)
    temporal = TemporalAttention(16, n_parts).double().eval()
    wake(temporal)
    maps = torch.randn(2, 16, n_times, dtype=torch.float64)
    found = temporal(maps)
    cuts = [i * n_times // n_parts for i in range(n_parts + 1)]
    for window in range(2):
        for start, stop in pairwise(cuts):
            expected = non_local_by_loop(maps[window, :, start:stop], temporal.block)
            torch.testing.assert_close(found[window, :, start:stop], expected)


def test_temporal_attention_is_the_identity_at_first() -> None:
    torch.manual_seed(0)
    temporal = TemporalAttention(64, 3)
    maps = torch.randn(4, 64, 50)
    assert torch.equal(temporal(maps), maps)
    assert torch.equal(temporal.eval()(maps), maps)


def test_each_part_has_batch_moments_of_its_own() -> None:
    torch.manual_seed(0)
    temporal = TemporalAttention(16, 3).double()
    block = temporal.block
    block.norm.weight.data.fill_(1.0)
    maps = torch.randn(4, 16, 21, dtype=torch.float64) * torch.arange(21.0).double()
    seen: list[Tensor] = []
    block.out.register_forward_hook(lambda _module, _inputs, output: seen.append(output.detach()))
    found = temporal(maps)
    mean, variance = torch.zeros(16).double(), torch.ones(16).double()
    for part, update in enumerate(seen):
        piece = slice(7 * part, 7 * part + 7)
        centre = update.mean(dim=(0, 2))
        spread = update.var(dim=(0, 2), correction=0)
        expected = (update - centre[:, None]) / (spread[:, None] + 1e-5).sqrt()
        torch.testing.assert_close(found[..., piece] - maps[..., piece], expected)
        mean = 0.9 * mean + 0.1 * centre
        variance = 0.9 * variance + 0.1 * update.var(dim=(0, 2))
    assert block.norm.num_batches_tracked == 3
    torch.testing.assert_close(block.norm.running_mean, mean)
    torch.testing.assert_close(block.norm.running_var, variance)


def gates_by_hand(maps: Tensor, attention: Any) -> Tensor:
    first, second = attention.gate[0], attention.gate[2]
    hidden = (maps.mean(dim=2) @ first.weight[:, :, 0].T + first.bias).clamp(min=0)
    gates: Tensor = 1 / (1 + (-(hidden @ second.weight[:, :, 0].T + second.bias)).exp())
    return gates


def test_channel_attention_against_a_closed_form() -> None:
    torch.manual_seed(0)
    attention = ChannelAttention(64).double()
    maps = torch.randn(3, 64, 11, dtype=torch.float64) + 1
    torch.testing.assert_close(attention(maps), maps * gates_by_hand(maps, attention)[..., None])


@pytest.mark.parametrize("stride", [1, 2])
def test_residual_block_by_hand(stride: int) -> None:
    torch.manual_seed(0)
    block: Any = ResidualBlock(64, stride, attention=True).double().eval()
    wake(block)
    maps = torch.randn(2, 64, 9, dtype=torch.float64)
    attended = maps * gates_by_hand(maps, block.attention)[..., None]
    convolution, norm = block.branch[0], block.branch[1]
    branch = norm(F.conv1d(F.pad(attended, (1, 1)), convolution.weight, stride=stride)).relu()
    if stride == 1:
        shortcut = maps
    else:
        projection = block.shortcut[0].weight[:, :, 0]
        shortcut = block.shortcut[1](torch.einsum("ed,bdl->bel", projection, attended[..., ::2]))
    torch.testing.assert_close(block(maps), (branch + shortcut).relu())


def test_initial_weights() -> None:
    torch.manual_seed(0)
    network: Any = RTCAN1DNetwork(eda(100), 2)
    block = network.stages[0][0]
    expected = {
        block.branch[0]: (2 / (3 * 64)) ** 0.5,
        block.shortcut[0]: (2 / 64) ** 0.5,
        network.tail[0]: (2 / 64) ** 0.5,
        block.attention.gate[0]: (2 / 8) ** 0.5,
        block.attention.gate[2]: (2 / 64) ** 0.5,
        network.attention.gate[0]: (1 / (3 * 64)) ** 0.5,  # PyTorch's own
        network.stem[0]: (1 / (3 * 7 * 3)) ** 0.5,
    }
    for layer, std in expected.items():
        assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.1)
    network = RTCAN1DNetwork(eda(100), 2, **DEAP)
    xavier = network.stages[1][0].branch[0].weight.detach()
    assert float(xavier.std()) == pytest.approx((2 / (6 * 64)) ** 0.5, rel=0.1)
    assert float(xavier.abs().max()) > 3.2 * float(xavier.std())  # normal, not uniform
    plain: Any = RTCAN1DNetwork(eda(100), 2, **PLAIN)
    assert float(plain.stem[0].weight.detach().std()) == pytest.approx(
        (2 / (7 * 64)) ** 0.5, rel=0.1
    )


def triangle_weights(n_source: int, n_target: int) -> Tensor:
    """Row by row: the averaging filter on record, shape (n_target, n_source), in float64."""
    ratio = n_source / n_target
    weights = torch.zeros(n_target, n_source, dtype=torch.float64)
    for i in range(n_target):
        centre = (i + 0.5) * ratio
        first, last = int(centre - ratio + 0.5), int(centre + ratio + 0.5)
        for x in range(max(0, first), min(n_source, last)):
            weights[i, x] = max(0.0, 1 - abs(x - centre + 0.5) / ratio)
    return weights / weights.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("n_times", [2501, 3840, 7569])
def test_long_windows_are_averaged_over_time(n_times: int) -> None:
    torch.manual_seed(0)
    window = torch.randn(2, 2, n_times, dtype=torch.float64)
    expected = window @ triangle_weights(n_times, 2500).T
    torch.testing.assert_close(shorten(window), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("n_times", "side"), [(7680, 87), (10_000, 100), (2600, 50)])
def test_long_windows_as_images(n_times: int, side: int) -> None:
    torch.manual_seed(0)
    window = torch.randn(2, 1, n_times, dtype=torch.float64)
    weights = triangle_weights(side, 50)
    picture = window[..., : side**2].reshape(2, 1, side, side)
    expected = (weights @ picture @ weights.T).reshape(2, 1, 2500)
    torch.testing.assert_close(shorten(window, "image"), expected, atol=1e-6, rtol=0)


def test_published_length_and_shorter_ones_are_left_alone() -> None:
    for n_times in (5, 1936, 2500):
        window = torch.randn(1, 3, n_times)
        assert shorten(window) is window
        assert shorten(window, "image") is window


def test_resampling_is_what_the_network_does() -> None:
    torch.manual_seed(0)
    window = torch.randn(2, 1, 3000)
    for how in ("time", "image"):
        torch.manual_seed(1)
        long = RTCAN1DNetwork(eda(3000, 1), 2, resampling=how).eval()
        torch.manual_seed(1)
        exact = RTCAN1DNetwork(eda(2500, 1), 2).eval()
        found = long({"eda": window}).logits
        torch.testing.assert_close(found, exact({"eda": shorten(window, how)}).logits)


@pytest.mark.parametrize(
    "inputs",
    [
        eda(2500),
        eda(2500) | {"music": SignalSpec(40, 1, 0.02)},
        eda(240, 1, 4.0),
        {name: SignalSpec(1, 600, 4.0) for name in ("eda", "eda_tonic", "eda_phasic")} | MUSIC,
        {"bvp": SignalSpec(1, 3840, 64.0)},
        {"ecg": SignalSpec(1, 42_000, 700.0)},
        {"ecg": SignalSpec(2, 84_000, 700.0)},
        {"eeg_de": SignalSpec(310, 10, 0.25)},
        {"resp": SignalSpec(1, 5, 4.0)},
    ],
)
def test_inputs_of_all_kinds_train_every_parameter(inputs: dict[str, SignalSpec]) -> None:
    torch.manual_seed(0)
    model = RTCAN1D(inputs, 3)
    for parameter in model.network.get_submodule("non_local.block.norm").parameters():
        nn.init.normal_(parameter)
    signals = signals_for(inputs, 3)
    output = model(signals)
    assert output.logits.shape == (3, 3)
    assert output.embedding.shape == (3, 128)
    F.cross_entropy(output.logits, torch.arange(3)).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        silent = key.endswith("bias") or "attention.gate" in key  # cancelled, or behind a ReLU
        assert parameter.grad.any() or silent or inputs.keys() == {"resp"}, key
    model.eval()
    wake(model)
    together = model(signals).logits
    alone = model({name: window[:1] for name, window in signals.items()}).logits
    torch.testing.assert_close(alone, together[:1], atol=1e-4, rtol=1e-4)


def test_gradients_pass_the_zero_norm() -> None:
    torch.manual_seed(0)
    model = RTCAN1D(eda(240, 1, 4.0), 2)
    target = torch.tensor([0, 1, 0, 1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(signals_for(eda(240, 1), 4)).logits, target).backward()
        optimizer.step()
    block: Any = model.network.get_submodule("non_local.block")
    assert block.norm.weight.any()
    for part in (block.query, block.key, block.value, block.out):
        assert part.weight.grad.any()


@pytest.mark.parametrize("flags", [{}, PLAIN, DEAP, {"n_parts": 4}, {"n_parts": 1}])
@pytest.mark.parametrize("n_times", [7, 10, 11, 97, 1345])
def test_constant_signals_and_odd_lengths_stay_finite(n_times: int, flags: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = RTCAN1D(eda(n_times, 2), 2, **flags)
    for value in (0.0, 5.0, 1e4):
        output = model({"eda": torch.full((2, 2, n_times), value)})
        assert output.logits.isfinite().all()
    F.cross_entropy(output.logits, torch.tensor([0, 1])).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    assert model({"eda": torch.full((1, 2, n_times), 3.0)}).logits.isfinite().all()


def test_same_rate_signals_are_stacked_and_music_is_read() -> None:
    inputs = {
        "music": SignalSpec(4, 1, 0.02),
        "eda": SignalSpec(1, 100, 50.0),
        "eda_tonic": SignalSpec(1, 100, 50.0),
    }
    torch.manual_seed(0)
    apart = RTCAN1D(inputs, 2).eval()
    torch.manual_seed(0)
    stacked = RTCAN1D(eda(100, 2) | {"music": inputs["music"]}, 2).eval()
    signals = signals_for(inputs, 2)
    both = {"eda": torch.cat([signals["eda"], signals["eda_tonic"]], dim=1)}
    both["music"] = signals["music"]
    assert torch.equal(apart(signals).logits, stacked(both).logits)
    other = signals | {"music": signals["music"] + 1}
    assert not torch.equal(apart(signals).logits, apart(other).logits)
    deaf = RTCAN1D(inputs, 2, music=False).eval()
    assert torch.equal(deaf(signals).logits, deaf(other).logits)


@pytest.mark.parametrize("n_times", [2500, 240])
def test_parts_are_put_together_as_on_record(n_times: int) -> None:
    torch.manual_seed(0)
    inputs = eda(n_times) | {"music": SignalSpec(4, 1, 0.02)}
    network: Any = RTCAN1DNetwork(inputs, 3).double().eval()
    wake(network)
    signals = {name: window.double() for name, window in signals_for(inputs, 2).items()}
    maps = network.attention(network.non_local(network.stem(signals["eda"])))
    steps = network.tail(network.stages(maps))
    span = min(14, steps.shape[2])
    means = [steps[..., i : i + span].mean(dim=2) for i in range(steps.shape[2] - span + 1)]
    features = torch.cat([torch.stack(means, dim=2).flatten(1), signals["music"][..., 0]], dim=1)
    first, second = network.hidden[0], network.hidden[2]
    hidden = (features @ first.weight.T + first.bias).relu()
    embedding = (hidden @ second.weight.T + second.bias).relu()
    found = network(signals)
    torch.testing.assert_close(found.embedding, embedding)
    torch.testing.assert_close(found.logits, network.last(embedding))


def test_output_layers_of_the_released_code() -> None:
    signals = signals_for(eda(100), 8)
    logits = {}
    for output in ("linear", "softmax", "relu"):
        torch.manual_seed(0)
        network = RTCAN1DNetwork(eda(100), 2, output=output).eval()
        logits[output] = network(signals).logits
    assert logits["linear"].min() < 0
    torch.testing.assert_close(logits["softmax"], logits["linear"].softmax(dim=1))
    torch.testing.assert_close(logits["relu"], logits["linear"].clamp(min=0))


def test_probabilities_are_made_once() -> None:
    """A network that ends in a softmax is sure of more than e / (1 + e), which two of them cap."""
    inputs = {"eda": SignalSpec(1, 600, 10.0)}
    window = {"eda": torch.randn(4, 1, 600)}
    for output in ("linear", "softmax", "relu"):
        torch.manual_seed(0)
        model = RTCAN1D(inputs, 2, output=output).eval()
        with torch.no_grad():
            model.network.last.bias.copy_(torch.tensor([4.0, 0.0]))
            made = model(window)
            nobody = torch.zeros(4, dtype=torch.long)
            p = model.predict_step(Batch(window, nobody, nobody, nobody), 0)
        expected = made.logits if output == "softmax" else made.logits.softmax(dim=1)
        torch.testing.assert_close(p, expected)
        torch.testing.assert_close(p.sum(dim=1), torch.ones(4))
        assert p.max() > 0.9


@pytest.mark.parametrize(
    "flag", [{"output": "tanh"}, {"resampling": "fft"}, {"initialization": "zero"}, {"n_parts": 0}]
)
def test_unknown_values_are_refused(flag: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(flag))):
        RTCAN1D(eda(100), 2, **flag)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "besides music, found none"),
        (MUSIC, "besides music, found none"),
        (
            eda(240, 1, 4.0) | {"bvp": SignalSpec(1, 3840, 64.0)},
            "one rate and length, found eda with 240 samples at 4 Hz, bvp with 3840",
        ),
        (eda(4), "at least 5 samples, found eda with 4 samples at 50 Hz"),
        (eda(100) | {"music": SignalSpec(6373, 2, 1.0)}, "expected 1 sample, found 2"),
    ],
)
def test_what_cannot_work_says_why(inputs: dict[str, SignalSpec], message: str) -> None:
    with pytest.raises(IncompatibleRunError, match=message):
        RTCAN1D.check_inputs(inputs)
    with pytest.raises(IncompatibleRunError, match=message):
        RTCAN1D(inputs, 2)


def test_more_parts_need_longer_windows() -> None:
    RTCAN1D(eda(7), 2, n_parts=4)
    with pytest.raises(IncompatibleRunError, match="at least 7 samples"):
        RTCAN1D(eda(6), 2, n_parts=4)


def test_signals_it_prefers() -> None:
    def choose(*available: str) -> tuple[str, ...]:
        return choose_signals(RTCAN1D.prefers, available, "RTCAN1D")

    assert choose("music", "eda", "bvp", "eda_phasic", "eda_tonic") == (
        "eda",
        "eda_tonic",
        "eda_phasic",
        "music",
    )
    assert choose("eda", "bvp", "acc") == ("eda",)
    assert choose("resp", "ecg") == ("ecg",)
    assert choose("eye", "eeg_de") == ("eeg_de",)


def test_recipes() -> None:
    assert RTCAN1D.published is PUBLISHED
    assert RTCAN1D.published_on == {"deap": PUBLISHED_DEAP, "amigos": PUBLISHED_AMIGOS}
    assert RTCAN1D.fast is FAST
    rows = [
        (r.optimizer, r.momentum, r.lr, r.weight_decay, r.max_epochs, r.batch_size, r.patience)
        for r in (PUBLISHED, PUBLISHED_DEAP, PUBLISHED_AMIGOS)
    ]
    assert rows == [
        ("sgd", 0.9, 0.001, 0.0, 100, 300, None),
        ("sgd", 0.9, 0.1, 0.001, 300, 300, None),
        ("sgd", 0.9, 0.001, 0.01, 1000, 300, None),
    ]
    assert [r.window * f for r, f in ((PUBLISHED, 50), (PUBLISHED_DEAP, 128))] == [2500, 7569]
    assert PUBLISHED_AMIGOS.window * 128 == 10_000
    assert all(r.lr_decay == r.plateau_factor == 1 for r in (PUBLISHED, FAST))
    assert "tuned on validation subjects" in FAST.source


def test_a_checkpoint_loads_without_trusting_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = eda(100) | {"music": SignalSpec(5, 1, 0.02)}
    flags: dict[str, Any] = DEAP | {"n_parts": 4, "output": "softmax", "resampling": "image"}
    model = RTCAN1D(inputs, 2, **flags, recipe=PUBLISHED_DEAP).eval()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(model)
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    stored = torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]
    assert stored == flags | {
        "inputs": inputs,
        "n_classes": 2,
        "music": True,
        "attention": True,
        "non_local": True,
        "recipe": PUBLISHED_DEAP,
    }
    again = RTCAN1D.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    signals = signals_for(inputs, 3)
    assert torch.equal(again(signals).logits, model(signals).logits)


def test_noise_is_learned_by_heart(by_heart: Callable[[type[RTCAN1D]], None]) -> None:
    by_heart(RTCAN1D)

"""Attention-LRCN against the authors' tables and weights, and a spectrogram by a plain loop."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import SignalSpec
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, IncompatibleRunError
from lightning_modules.attention_lrcn import (
    PUBLISHED,
    PUBLISHED_FILES,
    PUBLISHED_INPUTS,
    AttentionLRCN,
    AttentionLRCNNetwork,
    load_published,
)
from lightning_modules.layers import Spectrogram

WEIGHTS = os.environ.get("AFFECTBENCH_ATTENTION_LRCN_WEIGHTS")
FILES = ("S2_net_lrcn.pt", "S2_net_att.pt", "S2_net_fc.pt")


def levels_by_loop(
    window: npt.NDArray[np.float64], n_fft: int, hop: int
) -> npt.NDArray[np.float64]:
    """Levels in dB, shape (33, L), of one channel, frame by frame in float64."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    edge = np.zeros(n_fft // 2)
    padded = np.concatenate([edge, window.astype(np.float64), edge])
    columns = []
    for start in range(0, len(padded) - n_fft + 1, hop):
        magnitude = np.abs(np.fft.rfft(padded[start : start + n_fft] * hann))[:33]
        columns.append(20 * np.log10(np.maximum(magnitude, 1e-5)))
    levels = np.stack(columns, axis=1)
    floor: np.float64 = levels.max() - 80
    return levels.clip(min=floor)


def pulse_windows(n_times: int = 7680) -> npt.NDArray[np.float32]:
    """Windows like the published input, shape (6, 1, T)."""
    rng = np.random.default_rng(0)
    time = np.arange(n_times) / 64
    calm = 40 * np.sin(2 * np.pi * 1.1 * time) + 15 * np.sin(2 * np.pi * 2.2 * time + 0.5)
    fast = 60 * np.sin(2 * np.pi * (1.6 * time + 0.3 * np.sin(0.4 * time)))
    spikes = np.zeros(n_times)
    spikes[::997] = 500
    step = np.where(time < time[-1] / 2, -30.0, 30.0)
    noise = rng.normal(0, 50, n_times)
    windows = np.stack([calm + rng.normal(0, 1, n_times), fast, noise, calm * 0, spikes, step])
    return windows[:, None].astype(np.float32)


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def bvp(n_times: int, n_channels: int = 1, sfreq: float = 64.0) -> dict[str, SignalSpec]:
    return {"bvp": SignalSpec(n_channels, n_times, sfreq)}


@pytest.mark.parametrize(
    ("n_classes", "total", "classifier"), [(3, 390710, 4291), (2, 390677, 4258)]
)
def test_parameter_counts_are_the_published_ones(
    n_classes: int, total: int, classifier: int
) -> None:
    network = AttentionLRCNNetwork(PUBLISHED_INPUTS, n_classes)
    assert n_parameters(network.features) == 337408
    assert n_parameters(network.attention) == 49011
    assert n_parameters(network.classifier) == classifier
    assert n_parameters(network) == total


def test_stored_values_are_as_many_as_in_the_published_files() -> None:
    network = AttentionLRCNNetwork(PUBLISHED_INPUTS, 3)
    stored = [
        sum(value.numel() for value in part.state_dict().values())
        for part in (network.features, network.attention, network.classifier)
    ]
    assert stored == [337923, 49144, 4356]
    assert len(network.state_dict()) == 45 + 33 + 9


def test_layer_shapes_are_those_of_the_published_tables() -> None:
    network = AttentionLRCNNetwork(PUBLISHED_INPUTS, 3).eval()
    shapes = {}
    for name, module in network.named_modules():
        if not isinstance(module, nn.LSTM):
            module.register_forward_hook(
                lambda _module, _inputs, output, name=name: shapes.update(
                    {name: tuple(output.shape[1:]) if isinstance(output, Tensor) else ()}
                )
            )
    output = network({"bvp": torch.zeros(2, 1, 7680)})
    expected = {
        "spectrogram": (1, 33, 481),
        "features.stem.0": (16, 1, 481),
        "features.stem.2": (32, 1, 481),
        "features.stem": (64, 1, 240),
        "features.first": (64, 1, 120),
        "features.second": (64, 1, 60),
        "features": (128, 60),
        "attention.stem.0": (16, 25, 481),
        "attention.stem": (32, 25, 240),
        "attention.first": (32, 25, 120),
        "attention.second": (32, 25, 60),
        "attention.gate.0": (16, 17, 60),
        "attention.gate.2": (16, 9, 60),
        "attention.gate": (1, 1, 60),
        "attention": (1, 60),
        "classifier.hidden": (32,),
        "classifier.last": (3,),
    }
    assert {name: shapes[name] for name in expected} == expected
    assert output.logits.shape == (2, 3)
    assert output.embedding.shape == (2, 32)


def test_recipe_is_the_published_one() -> None:
    assert AttentionLRCN.published is PUBLISHED
    assert (PUBLISHED.optimizer, PUBLISHED.lr, PUBLISHED.lr_decay) == ("adam", 1e-4, 0.95)
    assert (PUBLISHED.batch_size, PUBLISHED.max_epochs, PUBLISHED.patience) == (256, 20, None)
    assert (PUBLISHED.window, PUBLISHED.stride, PUBLISHED.scaling) == (120.0, 1.0, "none")
    assert PUBLISHED.weight_decay == 0


@pytest.mark.parametrize(
    ("sfreq", "n_times", "n_fft", "hop", "n_frames"),
    [
        (64.0, 7680, 64, 16, 481),
        (64.0, 3840, 64, 16, 241),
        (64.0, 100, 64, 6, 17),
        (128.0, 1280, 128, 32, 41),
        (125.0, 2500, 125, 31, 81),
        (125.0, 250, 125, 16, 16),
        (700.0, 7000, 700, 175, 41),
        (50.0, 500, 64, 16, 32),
        (4.0, 240, 64, 16, 16),
        (4.0, 120, 64, 8, 16),
        (4.0, 40, 64, 2, 21),
        (4.0, 10, 64, 1, 11),
    ],
)
def test_spectrogram_against_a_plain_loop(
    sfreq: float, n_times: int, n_fft: int, hop: int, n_frames: int
) -> None:
    front = Spectrogram(sfreq, n_times)
    assert (front.n_fft, front.hop, front.n_frames) == (n_fft, hop, n_frames)
    rng = np.random.default_rng(1)
    windows = rng.normal(0, 30, (2, 2, n_times)).cumsum(axis=2).astype(np.float32)
    windows[1, 0] = 20 * np.sin(2 * np.pi * 0.1 * sfreq * np.arange(n_times) / sfreq)
    found = front(torch.from_numpy(windows)).numpy()
    assert found.shape == (2, 2, 33, n_frames)
    for b in range(2):
        for c in range(2):
            np.testing.assert_allclose(
                found[b, c], levels_by_loop(windows[b, c], n_fft, hop), atol=0.02
            )


def test_a_tone_has_its_frequency_in_hz_from_64_hz_on() -> None:
    for sfreq in (64.0, 128.0, 250.0, 700.0):
        time = torch.arange(int(20 * sfreq)) / sfreq
        level = Spectrogram(sfreq, len(time))(torch.sin(2 * torch.pi * 5 * time)[None, None])
        assert level[0, 0, :, level.shape[3] // 2].argmax() == 5


def test_range_is_cut_for_each_window_and_channel_alone() -> None:
    rng = np.random.default_rng(2)
    windows = torch.from_numpy(rng.normal(0, 1, (3, 2, 1920)).astype(np.float32))
    windows[0] *= 1e6
    windows[1, 1] *= 1e-4
    front = Spectrogram(64.0, 1920)
    together = front(windows)
    assert together[1, 1].max() < together[1, 0].max() - 70
    assert together[1].max() < together[0].max() - 80
    for b in range(3):
        for c in range(2):
            alone = front(windows[b : b + 1, c : c + 1])[0, 0]
            torch.testing.assert_close(together[b, c], alone, atol=1e-3, rtol=0)
            assert together[b, c].min() >= together[b, c].max() - 80


def test_an_empty_window_is_constant_at_minus_100_db() -> None:
    level = Spectrogram(64.0, 7680)(torch.zeros(2, 1, 7680))
    torch.testing.assert_close(level, torch.full((2, 1, 33, 481), -100.0), atol=1e-4, rtol=0)


def test_one_sample_says_where_frames_are_centred() -> None:
    window = torch.zeros(1, 1, 640)
    window[..., 320] = 1.0
    level = Spectrogram(64.0, 640)(window)[0, 0]
    assert level[0].argmax() == 20
    torch.testing.assert_close(level[:, 20], torch.zeros(33), atol=1e-5, rtol=0)


def lstm_by_loop(steps: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Two bidirectional layers, step by step; shape (B, L, D) to (B, L, 128)."""
    for layer in range(2):
        directions = []
        for suffix in (f"l{layer}", f"l{layer}_reverse"):
            w_ih, w_hh, b_ih, b_hh = (
                state[f"lstm1.{kind}_{suffix}"]
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            hidden = cell = torch.zeros(len(steps), 64, dtype=steps.dtype)
            outputs: dict[int, Tensor] = {}
            order = range(steps.shape[1])
            for t in reversed(order) if suffix.endswith("reverse") else order:
                i, f, g, o = (steps[:, t] @ w_ih.T + b_ih + hidden @ w_hh.T + b_hh).chunk(4, dim=1)
                cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
                hidden = o.sigmoid() * cell.tanh()
                outputs[t] = hidden
            directions.append(torch.stack([outputs[t] for t in order], dim=1))
        steps = torch.cat(directions, dim=2)
    return steps


def logits_by_hand(folder: Path, windows: npt.NDArray[np.float32]) -> Tensor:
    """Logits in float64 of windows of shape (B, 1, 7680), from the raw files alone."""
    lrcn, att, fc = (
        {
            key: value.double()
            for key, value in torch.load(
                folder / name, map_location="cpu", weights_only=True
            ).items()
        }
        for name in FILES
    )

    def conv(maps: Tensor, state: dict[str, Tensor], name: str, padding: tuple[int, int]) -> Tensor:
        return F.conv2d(maps, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)

    def norm(values: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
        shape = [1, -1] + [1] * (values.dim() - 2)
        mean, variance, weight, bias = (
            state[f"{name}.{kind}"].reshape(shape)
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (values - mean) / (variance + 1e-5).sqrt() * weight + bias

    def block(
        maps: Tensor, state: dict[str, Tensor], name: str, padding: tuple[int, int]
    ) -> Tensor:
        branch = conv(maps, state, f"{name}.0", padding).relu()
        branch = norm(conv(branch, state, f"{name}.2", (0, 4)), state, f"{name}.3")
        return F.max_pool2d((maps + branch).relu(), (1, 2))

    levels = np.stack([levels_by_loop(window[0].astype(float), 64, 16) for window in windows])
    spectrum = torch.from_numpy(levels)[:, None]

    maps = conv(spectrum[:, :, :9], lrcn, "conv1.0", (0, 0)).relu()
    maps = conv(maps, lrcn, "conv1.2", (0, 4)).relu()
    maps = F.max_pool2d(conv(maps, lrcn, "conv1.4", (0, 4)).relu(), (1, 2))
    maps = block(block(maps, lrcn, "conv2", (0, 4)), lrcn, "conv3", (0, 4))
    steps = lstm_by_loop(maps[:, :, 0].transpose(1, 2), lrcn)
    features = norm(steps.transpose(1, 2), lrcn, "bn")

    maps = conv(spectrum, att, "conv1.0", (0, 0)).relu()
    maps = F.max_pool2d(conv(maps, att, "conv1.2", (0, 4)).relu(), (1, 2))
    maps = block(block(maps, att, "conv2", (4, 0)), att, "conv3", (4, 0))
    maps = conv(conv(maps, att, "conv4.0", (0, 0)).relu(), att, "conv4.2", (0, 0)).relu()
    gate = norm(conv(maps, att, "conv4.4", (0, 0)), att, "conv4.5").sigmoid()[:, 0]

    pooled = (features * gate).sum(dim=2)
    hidden = norm(pooled @ fc["fc.0.weight"].T + fc["fc.0.bias"], fc, "fc.1").relu()
    logits: Tensor = hidden @ fc["fc.3.weight"].T + fc["fc.3.bias"]
    return logits


@pytest.mark.skipif(
    WEIGHTS is None,
    reason="AFFECTBENCH_ATTENTION_LRCN_WEIGHTS does not name the authors' models folder",
)
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_published_weights_against_an_evaluation_by_hand(role: str) -> None:
    folder = Path(str(WEIGHTS)) / role
    windows = pulse_windows()
    model = load_published(folder)
    assert not model.training
    with torch.inference_mode():
        found = model({"bvp": torch.from_numpy(windows)}).logits
    expected = logits_by_hand(folder, windows)
    assert float(expected.std(dim=0).min()) > 0.01  # outputs differ between windows
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("inputs", "batch_size"),
    [
        (bvp(3840), 3),
        (bvp(640), 2),
        ({"ecg": SignalSpec(2, 2560, 128.0)}, 3),
        ({"ecg": SignalSpec(1, 14000, 700.0)}, 3),
        ({"eda": SignalSpec(1, 240, 4.0)}, 3),
        ({"eda": SignalSpec(1, 40, 4.0)}, 3),
        ({"eda": SignalSpec(1, 600, 50.0)}, 3),
        ({"eeg": SignalSpec(32, 1280, 128.0)}, 3),
        ({"eeg": SignalSpec(5, 625, 125.0)}, 3),
    ],
)
def test_other_inputs_train_every_parameter(inputs: dict[str, SignalSpec], batch_size: int) -> None:
    torch.manual_seed(0)
    ((name, spec),) = inputs.items()
    model = AttentionLRCN(inputs, 4)
    window = torch.randn(batch_size, spec.n_channels, spec.n_times)
    output = model({name: window})
    assert output.logits.shape == (batch_size, 4)
    F.cross_entropy(output.logits, torch.arange(batch_size)).backward()  # type: ignore[no-untyped-call]
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any() or parameter.dim() == 1, key  # BatchNorm cancels biases
    model.eval()
    assert model({name: window[:1]}).logits.isfinite().all()


@pytest.mark.parametrize(("n_times", "n_steps"), [(7, 1), (8, 1), (14, 1), (15, 2), (240, 2)])
def test_shortest_windows_leave_a_step(n_times: int, n_steps: int) -> None:
    network = AttentionLRCNNetwork({"eda": SignalSpec(1, n_times, 4.0)}, 2)
    spectrum = network.spectrogram(torch.randn(2, 1, n_times))
    assert network.attention(spectrum).shape == (2, 1, n_steps)
    assert network.features(spectrum[:, :, :9]).shape == (2, 128, n_steps)


def test_it_takes_its_own_signal_from_among_others() -> None:
    torch.manual_seed(0)
    model = AttentionLRCN(bvp(640), 2).eval()
    window = torch.randn(2, 1, 640)
    alone = model({"bvp": window}).logits
    among = model({"eda": torch.zeros(2, 1, 40), "bvp": window}).logits
    assert torch.equal(alone, among)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "takes one signal, found none"),
        (bvp(640) | {"eda": SignalSpec(1, 40, 4.0)}, "takes one signal, found bvp, eda"),
        ({"eda": SignalSpec(1, 6, 4.0)}, r"at least 8 .* found 7 in 6 samples of eda at 4 Hz"),
        ({"eeg": SignalSpec(1, 7, 125.0)}, r"at least 8 .* found 7 in 7 samples of eeg"),
    ],
)
def test_what_cannot_work_says_why(inputs: dict[str, SignalSpec], message: str) -> None:
    with pytest.raises(IncompatibleRunError, match=message):
        AttentionLRCN.check_inputs(inputs)
    with pytest.raises(IncompatibleRunError, match=message):
        AttentionLRCN(inputs, 2)


def test_a_checkpoint_loads_without_trusting_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = {"ecg": SignalSpec(2, 640, 128.0)}
    model = AttentionLRCN(inputs, 2).eval()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(model)
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    stored = torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]
    assert stored == {"inputs": inputs, "n_classes": 2, "recipe": PUBLISHED}
    again = AttentionLRCN.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    window = torch.randn(3, 2, 640)
    assert torch.equal(again({"ecg": window}).logits, model({"ecg": window}).logits)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with random weights under the authors' names."""
    torch.manual_seed(0)
    network = AttentionLRCNNetwork(PUBLISHED_INPUTS, 3)
    for part, (file, layers) in PUBLISHED_FILES.items():
        state = {}
        for own, value in network.get_submodule(part).state_dict().items():
            (prefix,) = (prefix for prefix in layers if own.startswith(prefix))
            state[layers[prefix] + own.removeprefix(prefix)] = value
        torch.save(state, tmp_path / f"S2_{file}.pt")
    return tmp_path


def test_published_files_are_read(published: Path) -> None:
    model = load_published(published)
    stored = torch.load(published / FILES[1], weights_only=True)
    gate = model.network.get_submodule("attention.gate")
    assert torch.equal(gate.state_dict()["4.weight"], stored["conv4.4.weight"])
    assert model({"bvp": torch.zeros(1, 1, 7680)}).logits.shape == (1, 3)


def test_a_missing_file_is_named(published: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"S3_net_lrcn\.pt"):
        load_published(published, fold="S3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("fc.0.bias"), r"S2_net_fc\.pt .*no fc\.0\.bias"),
        (lambda state: state.update({"fc.9": torch.zeros(1)}), r"S2_net_fc\.pt .*unknown fc\.9"),
        (
            lambda state: state.update({"fc.3.bias": torch.zeros(2)}),
            r"fc\.3\.bias of shape \(2,\) instead of \(3,\)",
        ),
        (lambda state: state.update({"fc.3.bias": "text"}), r"S2_net_fc\.pt.* of tensors"),
    ],
)
def test_a_file_of_another_network_is_refused(
    published: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    state = torch.load(published / FILES[2], weights_only=True)
    change(state)
    torch.save(state, published / FILES[2])
    with pytest.raises(DatasetCorruptedError, match=message):
        load_published(published)


def test_weights_for_other_classes_are_refused(published: Path) -> None:
    with pytest.raises(DatasetCorruptedError, match=r"S2_net_fc\.pt .* for 2 classes"):
        load_published(published, n_classes=2)


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "code"])
def test_a_file_that_is_no_state_dictionary_is_refused(published: Path, kind: str) -> None:
    path = published / FILES[0]
    if kind == "code":
        torch.save({"lstm1": Path("x")}, path)
    else:
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "text": b"hello", "truncated": whole[:9999]}[kind])
    with pytest.raises(DatasetCorruptedError, match=r"S2_net_lrcn\.pt"):
        load_published(published)


def test_noise_is_learned_by_heart(by_heart: Callable[[type[AttentionLRCN]], None]) -> None:
    by_heart(AttentionLRCN)

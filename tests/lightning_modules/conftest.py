"""Checks that the tests of several models share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.batch import LENGTH, Batch, SignalSpec

ONE_NUMBER = {"temp": SignalSpec(1, 1, 1.0)}
INPUTS = {
    "ten rows": {"eeg_de": SignalSpec(310, 10, 0.25)},
    "eye": {"eye": SignalSpec(33, 10, 0.25)},
    "wrist": {
        "eda": SignalSpec(1, 240, 4.0),
        "bvp": SignalSpec(1, 3840, 64.0),
        "temp": SignalSpec(1, 240, 4.0),
    },
    "chest": {"ecg": SignalSpec(1, 42000, 700.0), "resp": SignalSpec(1, 42000, 700.0)},
    "eeg": {"eeg": SignalSpec(3, 1280, 128.0)},
    "one number": ONE_NUMBER,
}
MASK = {LENGTH: SignalSpec(1, 1, 1 / 3600)}
TRIALS = {
    "rows with sites": {"eeg_de": (60, 0.25)},
    "rows without": {"eye": (33, 0.25)},
    "computed": {"eeg": (3, 32.0)},
    "computed and given": {"temp": (1, 4.0), "eda": (2, 8.0), "eye": (4, 1.0)},
}
"""Channels and rates of signals in which padding touches padded rows alone."""


def draw(inputs: Mapping[str, SignalSpec], n_windows: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_windows, spec.n_channels, spec.n_times, generator=generator)
        for name, spec in inputs.items()
    }


def check_contract(kind: Any, inputs: Mapping[str, SignalSpec], **options: Any) -> None:
    """Check shapes, gradients, batches of one, and that windows do not influence each other."""
    torch.manual_seed(0)
    model = kind(inputs, 3, **options)
    signals = draw(inputs, 4)
    output = model(signals)
    assert output.logits.shape == (4, 3)
    assert output.embedding.shape[0] == 4
    assert output.embedding.dim() == 2
    F.cross_entropy(output.logits, torch.tensor([0, 1, 2, 0])).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            # BatchNorm cancels biases; one row has no state before it.
            exempt = parameter.dim() == 1 or ("weight_hh" in name and inputs == ONE_NUMBER)
            assert exempt or parameter.grad.any(), name
    model.eval()
    together = model(signals).logits
    for row in range(4):
        alone = model({name: window[row : row + 1] for name, window in signals.items()}).logits
        torch.testing.assert_close(alone[0], together[row], atol=1e-4, rtol=1e-4)
    constant = model({name: torch.full_like(window, 2.0) for name, window in signals.items()})
    assert constant.logits.isfinite().all()


def padded(
    trials: Mapping[str, list[Tensor]], rates: Mapping[str, tuple[int, float]], seconds: float
) -> tuple[dict[str, SignalSpec], dict[str, Tensor]]:
    """Return trials of different lengths, filled up with noise, and their mask."""
    inputs = {s: SignalSpec(c, round(f * seconds), f) for s, (c, f) in rates.items()}
    signals = {s: torch.randn(len(trials[s]), p.n_channels, p.n_times) for s, p in inputs.items()}
    for name, windows in trials.items():
        for row, window in enumerate(windows):
            signals[name][row, :, : window.shape[1]] = window
    any_name, any_rate = next((s, f) for s, (_, f) in rates.items())
    share = torch.tensor([w.shape[1] / any_rate / seconds for w in trials[any_name]])
    return {**inputs, **MASK}, {**signals, LENGTH: share[:, None, None]}


def check_mask(kind: Any, rates: Mapping[str, tuple[int, float]]) -> None:
    """Check that padding changes no logits, gradients or running statistics."""
    torch.manual_seed(0)
    trials = {
        s: [torch.randn(c, round(f * seconds)) + n for n, seconds in enumerate((52, 80, 160))]
        for s, (c, f) in rates.items()
    }
    outcomes = {}
    for seconds in (160.0, 296.0):
        inputs, signals = padded(trials, rates, seconds)
        torch.manual_seed(1)
        model = kind(inputs, 3)
        for layer in model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        logits = model(signals).logits
        F.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in model.parameters()]
        state = {name: value.clone() for name, value in model.state_dict().items()}
        outcomes[seconds] = [logits, gradients, state, model.eval()(signals).logits]
    torch.testing.assert_close(outcomes[160.0], outcomes[296.0], atol=1e-5, rtol=1e-4)
    unmasked = kind({s: p for s, p in inputs.items() if s != LENGTH}, 3)
    unmasked.load_state_dict(state)
    assert (unmasked.eval()(signals).logits - outcomes[296.0][3]).abs().max() > 1e-3
    for row in range(3):
        inputs = {s: SignalSpec(c, trials[s][row].shape[1], f) for s, (c, f) in rates.items()}
        alone = kind(inputs, 3)
        alone.load_state_dict(state)
        logits = alone.eval()({s: windows[row][None] for s, windows in trials.items()}).logits
        torch.testing.assert_close(logits[0], outcomes[296.0][3][row], atol=1e-5, rtol=1e-4)


def check_checkpoint(kind: Any, folder: Path) -> None:
    """Check that hyperparameters and weights come back without trusting the file."""
    torch.manual_seed(0)
    inputs = INPUTS["eeg"]
    model = kind(inputs, 3)
    signals = draw(inputs, 4)
    model(signals)  # running statistics
    model.eval()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(model)
    path = folder / "model.ckpt"
    trainer.save_checkpoint(path)
    stored = torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]
    assert stored == {
        "inputs": inputs,
        "n_classes": 3,
        "layers": "rows",
        "recipe": kind.published,
    }
    again = kind.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    assert torch.equal(again(signals).logits, model(signals).logits)


def count(kind: Any, inputs: Mapping[str, SignalSpec], layers: str = "rows") -> int:
    """Return the number of trainable parameters, for the study's layers with running statistics."""
    with torch.device("meta"):
        model = kind(inputs, 5, layers=layers).eval()
        signals = {name: torch.empty(1, s.n_channels, s.n_times) for name, s in inputs.items()}
        assert model(signals).logits.shape == (1, 5)
    n = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if layers != "rows":
        n += sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    return n


def check_by_heart(kind: Any) -> None:
    """Check that 32 windows of noise are learned by heart, and that every parameter moves."""
    offered = {"eeg": (2, 32.0), "eda": (1, 16.0), "temp": (1, 16.0)}
    inputs = {
        name: SignalSpec(offered[name][0], round(2 * offered[name][1]), offered[name][1])
        for name in kind.choose_signals(offered)
    }
    torch.manual_seed(1)
    model = kind(inputs, 2)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    target = torch.arange(32) % 2
    batch = Batch(draw(inputs, 32), target, torch.zeros_like(target), torch.zeros_like(target))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(100):
        optimizer.zero_grad()
        loss, logits = model.loss(batch)
        loss.backward()
        optimizer.step()
        if step >= 20 and F.cross_entropy(logits, target) < 0.1:
            break
    assert [name for name, p in model.named_parameters() if torch.equal(p, start[name])] == []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.eval()
        elif isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            # Slow running moments would take hundreds of steps.
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        model(batch.signals)
        logits = model.eval()(batch.signals).logits
    assert torch.equal(logits.argmax(dim=1), target)


@pytest.fixture(params=INPUTS)
def inputs(request: pytest.FixtureRequest) -> dict[str, SignalSpec]:
    return INPUTS[request.param]


@pytest.fixture(params=TRIALS)
def mask(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    return lambda kind: check_mask(kind, TRIALS[request.param])


@pytest.fixture
def contract() -> Callable[..., None]:
    return check_contract


@pytest.fixture
def by_heart() -> Callable[[Any], None]:
    return check_by_heart


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[Any], None]:
    return lambda kind: check_checkpoint(kind, tmp_path)


@pytest.fixture
def parameters() -> Callable[..., int]:
    return count

"""What the models on feature rows are all asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.batch import SignalSpec

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


def draw(inputs: Mapping[str, SignalSpec], n_windows: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_windows, spec.n_channels, spec.n_times, generator=generator)
        for name, spec in inputs.items()
    }


def check_contract(kind: Any, inputs: Mapping[str, SignalSpec], **options: Any) -> None:
    """Shapes, gradients, batches of one, and windows that do not see each other."""
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


def check_learning(kind: Any, **options: Any) -> None:
    """32 windows of eeg_de whose class is in one band are told apart within a few steps."""
    torch.manual_seed(0)
    inputs = INPUTS["ten rows"]
    model = kind(inputs, 4, **options)
    window = draw(inputs, 32)["eeg_de"]
    target = torch.arange(32) % 4
    bands = window.view(32, 62, 5, 10)
    bands += F.one_hot(target, 5)[:, None, :, None]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model({"eeg_de": window}).logits, target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    assert torch.equal(model({"eeg_de": window}).logits.argmax(dim=1), target)


def check_checkpoint(kind: Any, folder: Path) -> None:
    """Hyperparameters and weights come back without trusting the file."""
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
    """Trainable parameters; of the study's layers with running statistics, as it counts them."""
    with torch.device("meta"):
        model = kind(inputs, 5, layers=layers).eval()
        signals = {name: torch.empty(1, s.n_channels, s.n_times) for name, s in inputs.items()}
        assert model(signals).logits.shape == (1, 5)
    n = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if layers != "rows":
        n += sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    return n


@pytest.fixture(params=INPUTS)
def inputs(request: pytest.FixtureRequest) -> dict[str, SignalSpec]:
    return INPUTS[request.param]


@pytest.fixture
def contract() -> Callable[..., None]:
    return check_contract


@pytest.fixture
def learning() -> Callable[..., None]:
    return check_learning


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[Any], None]:
    return lambda kind: check_checkpoint(kind, tmp_path)


@pytest.fixture
def parameters() -> Callable[..., int]:
    return count

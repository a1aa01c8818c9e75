"""Each model on the CPU and on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from tests.benchmarks.gpu.scale import Scale, made, moved
from tests.benchmarks.speed.table import Row

BATCH, STEPS = 8, 5
CLOSE, NEAR = 1e-3, 2e-2
"""Largest difference of logits, and of losses after five steps, in float32 without TF32."""


def rows(scale: Scale) -> Iterator[Row]:
    for name in scale.models():
        on_cpu, losses_on_cpu = _trained(name, "cpu")
        there, losses_there = _trained(name, scale.device)
        logits = (on_cpu - there).abs().max().item()
        losses = max(abs(a - b) for a, b in zip(losses_on_cpu, losses_there, strict=True))
        yield Row(
            f"logits of {name}",
            "the CPU's",
            f"{logits:.1e}",
            "",
            "",
            f"<= {CLOSE:g}",
            logits <= CLOSE,
        )
        yield Row(
            f"losses of {STEPS} steps of {name}",
            "the CPU's",
            f"{losses:.1e}",
            "",
            "",
            f"<= {NEAR:g}",
            losses <= NEAR,
        )


def _trained(name: str, device: str) -> tuple[Tensor, list[float]]:
    """Return logits before training, on the CPU, and the loss of each step."""
    model, batch = made(name, BATCH)
    model, batch = model.to(device), moved(batch, device)
    with torch.no_grad():
        logits = model.eval()(batch.signals).logits.cpu()
    model.train()
    optimizer, _ = model.optimization()
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss, _ = model.loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return logits, losses

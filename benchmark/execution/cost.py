"""What a model costs: parameters, multiply-accumulates and the time that one window takes."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from datamodules.batch import LENGTH, Inputs
from lightning_modules.base import EmotionClassifier

WARM_UP = 2
"""Windows before the clock runs: first calls allocate memory and choose algorithms."""
REPEATS = (5, 30)
"""Windows timed at least, and at most."""
SECONDS = 0.5
"""After which no further window is timed once there are enough."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Efficiency:
    """What one window costs.

    Attributes:
        parameters: Learnable values.
        macs: Multiply-accumulates; see ``count_macs`` for what counts.
        latency_ms: Median time of a batch of one on the device, in milliseconds.
        cpu_latency_ms: The same on one CPU thread.
    """

    parameters: int
    macs: int
    latency_ms: float
    cpu_latency_ms: float


def measure(model: EmotionClassifier, inputs: Inputs, device: torch.device | str) -> Efficiency:
    """Cost of a model in use: in eval mode, without gradients, one window at a time.

    A copy of its network is measured, on random samples, so that the model stays as it is. Samples
    are on the device already; what they cost on the way there is not in the time.

    Args:
        model: Trained or not, wherever it is.
        inputs: Shapes of its signals; all of a window is recorded where there is a mask.
        device: Whose time is ``latency_ms``.
    """
    here, there = torch.device("cpu"), torch.device(device)
    network = copy.deepcopy(model.network).eval().to(here)
    signals = draw_window(inputs)
    macs = count_macs(network, signals)
    with one_thread():
        cpu_latency = latency(network, signals, here)
        device_latency = cpu_latency if there == here else latency(network, signals, there)
    return Efficiency(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        macs=macs,
        latency_ms=1e3 * device_latency,
        cpu_latency_ms=1e3 * cpu_latency,
    )


def draw_window(inputs: Inputs) -> dict[str, Tensor]:
    """A batch of one window of random samples, recorded whole, on the CPU."""
    generator = torch.Generator().manual_seed(0)
    signals = {
        name: torch.randn(1, spec.n_channels, spec.n_times, generator=generator)
        for name, spec in inputs.items()
    }
    if LENGTH in signals:
        signals[LENGTH] = torch.ones_like(signals[LENGTH])
    return signals


def latency(network: nn.Module, signals: Mapping[str, Tensor], device: torch.device) -> float:
    """Median time of a forward pass in seconds, on a device, to which the network is moved."""
    network.to(device)
    window = {name: samples.to(device) for name, samples in signals.items()}
    fewest, most = REPEATS
    times: list[float] = []
    with torch.no_grad():
        for _ in range(WARM_UP):
            network(window)
        while len(times) < fewest or (len(times) < most and sum(times) < SECONDS):
            _synchronize(device)
            start = time.perf_counter()
            network(window)
            _synchronize(device)
            times.append(time.perf_counter() - start)
    return median(times)


def count_macs(network: nn.Module, signals: Mapping[str, Tensor]) -> int:
    """Multiply-accumulates of a forward pass on the CPU: half of what FlopCounterMode counts.

    Products of matrices, convolutions, scaled dot-product attention and LSTMs count, whether the
    weights are learned or not. Fourier transforms, sums, norms, activations, pooling and all else
    that goes element by element do not; nor does a convolution's padding count less.

    Args:
        network: On the CPU, so that the count does not depend on a device's kernels.
        signals: On the CPU.
    """
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        network(signals)
    flops: int = counter.get_total_flops()
    return flops // 2


def lstm_flops(
    steps: Shape, weight_ih: Shape, weight_hh: Shape, *_: Any, out_shape: Any, **__: Any
) -> int:
    """Flops of the gates' products in one layer and direction; oneDNN runs them as one operator.

    Args:
        steps: Shape (L, B, D).
        weight_ih: Shape (4 H, D).
        weight_hh: Shape (4 H, H).
        out_shape: Of the states.
    """
    return 2 * prod(steps[:2]) * (prod(weight_ih) + prod(weight_hh))


def attention_flops(
    query: Shape, key: Shape, value: Shape, *_: Any, out_shape: Any, **__: Any
) -> int:
    """Flops of the scores, and of the values' weighted sums.

    Args:
        query: Shape (B, heads, L, D).
        key: Shape (B, heads, S, D).
        value: Shape (B, heads, S, E).
        out_shape: (B, heads, L, E).
    """
    return 2 * prod(query[:3]) * key[2] * (query[3] + value[3])


FORMULAS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mkldnn_rnn_layer: lstm_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
}
"""For operators of the CPU that FlopCounterMode has no formula for; it passes shapes of tensors."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread of the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Cost of a model: parameters, multiply-accumulates and the time for one window."""

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

from benchmark.run import Run
from datamodules.batch import LENGTH, Inputs
from datamodules.resident import RESIDENT, Shelf
from lightning_modules.base import EmotionClassifier

WARM_UP = 2
"""Windows before the clock runs: first calls allocate memory and choose algorithms."""
REPEATS = (5, 30)
"""Minimum and maximum number of windows that are timed."""
SECONDS = 0.5
"""Time after which no further window is timed, once there are enough."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Efficiency:
    """Cost of one window.

    Attributes:
        parameters: Number of learnable values.
        macs: Number of multiply-accumulates; ``count_macs`` says which count.
        latency_ms: Median time of a batch of one on the device, in milliseconds.
        cpu_latency_ms: The same on one CPU thread.
    """

    parameters: int
    macs: int
    latency_ms: float
    cpu_latency_ms: float


_costs: Shelf[Efficiency] = RESIDENT.keep(Shelf(1000))


def cost_of(run: Run, model: EmotionClassifier, inputs: Inputs, device: str) -> Efficiency:
    """Return the cost of a run's model, measured once for all runs of one network and input.

    Args:
        run: The run.
        model: Its model.
        inputs: Shapes of the model's signals.
        device: Device whose time is ``latency_ms``.
    """
    channels = tuple(spec.channels for spec in inputs.values())  # specs compare without them
    key = (run.model, run.arguments, tuple(inputs.items()), channels, model.n_classes, device)
    return _costs.kept(key, lambda: measure(model, inputs, device))


def measure(model: EmotionClassifier, inputs: Inputs, device: torch.device | str) -> Efficiency:
    """Measure a model in use: in eval mode, without gradients, one window at a time.

    A copy of its network is measured, on random samples, so that the model stays as it is. Samples
    are on the device already; the time of their transfer is not included.

    Args:
        model: A model, trained or not, on any device.
        inputs: Shapes of its signals; where there is a mask, windows count as recorded whole.
        device: Device whose time is ``latency_ms``.
    """
    cpu, target = torch.device("cpu"), torch.device(device)
    network = copy.deepcopy(model.network).eval().to(cpu)
    signals = draw_window(inputs)
    macs = count_macs(network, signals)
    with one_thread():
        cpu_latency = latency(network, signals, cpu)
        device_latency = cpu_latency if target == cpu else latency(network, signals, target)
    return Efficiency(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        macs=macs,
        latency_ms=1e3 * device_latency,
        cpu_latency_ms=1e3 * cpu_latency,
    )


def draw_window(inputs: Inputs) -> dict[str, Tensor]:
    """Return a batch of one window of random samples, recorded whole, on the CPU."""
    generator = torch.Generator().manual_seed(0)
    signals = {
        name: torch.randn(1, spec.n_channels, spec.n_times, generator=generator)
        for name, spec in inputs.items()
    }
    if LENGTH in signals:
        signals[LENGTH] = torch.ones_like(signals[LENGTH])
    return signals


def latency(network: nn.Module, signals: Mapping[str, Tensor], device: torch.device) -> float:
    """Return the median time of a forward pass in seconds; the network is moved to the device."""
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
    """Count the multiply-accumulates of a forward pass: half of what FlopCounterMode counts.

    Products of matrices, convolutions, scaled dot-product attention and LSTMs count, whether the
    weights are learned or not. Fourier transforms, sums, norms, activations, pooling and all other
    element-wise operations do not; nor does a convolution's padding count less.

    Args:
        network: A network on the CPU, so that the count does not depend on a device's kernels.
        signals: A batch on the CPU.
    """
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        network(signals)
    flops: int = counter.get_total_flops()
    return flops // 2


def lstm_flops(
    steps: Shape, weight_ih: Shape, weight_hh: Shape, *_: Any, out_shape: Any, **__: Any
) -> int:
    """Count the flops of an LSTM's gates, which oneDNN runs as one operator a layer and direction.

    Args:
        steps: Shape (L, B, D).
        weight_ih: Shape (4 H, D).
        weight_hh: Shape (4 H, H).
        out_shape: Shape of the states.
    """
    return 2 * prod(steps[:2]) * (prod(weight_ih) + prod(weight_hh))


def attention_flops(
    query: Shape, key: Shape, value: Shape, *_: Any, out_shape: Any, **__: Any
) -> int:
    """Count the flops of attention scores, and of the values' weighted sums.

    Args:
        query: Shape (B, heads, L, D).
        key: Shape (B, heads, S, D).
        value: Shape (B, heads, S, E).
        out_shape: Shape (B, heads, L, E).
    """
    return 2 * prod(query[:3]) * key[2] * (query[3] + value[3])


FORMULAS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mkldnn_rnn_layer: lstm_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
}
"""Formulas for CPU operators that FlopCounterMode does not know; it passes shapes of tensors."""


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

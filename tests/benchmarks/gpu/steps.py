"""A training step: float32, bf16-mixed, and replayed as a CUDA graph."""

from collections.abc import Callable, Iterator

import torch

from datamodules.batch import Batch
from lightning_modules.base import EmotionClassifier
from tests.benchmarks.gpu.scale import Scale, made, moved
from tests.benchmarks.speed.table import NO_AIM, Row

BATCH, WARM_UP = 64, 3


def rows(scale: Scale) -> Iterator[Row]:
    repeats = scale.times(20, 2)
    for name in scale.models():
        model, batch = made(name, scale.times(BATCH, 8))
        model, batch = model.to(scale.device).train(), moved(batch, scale.device)
        plain = scale.seconds(step_of(model, batch, scale), repeats)
        mixed = scale.seconds(step_of(model, batch, scale, torch.bfloat16), repeats)
        yield _row(name, "bf16-mixed", plain, mixed)
        if scale.cuda:
            try:
                replayed = scale.seconds(_graphed(model, batch), repeats)
            except RuntimeError as error:  # not every network can be captured
                reason = str(error).splitlines()[0][:60]
                yield Row(f"training step, {name}", "as a CUDA graph", "", reason, "", NO_AIM, True)
                torch.cuda.synchronize()
            else:
                yield _row(name, "as a CUDA graph", plain, replayed)


def _row(name: str, against: str, plain: float, other: float) -> Row:
    return Row(
        f"training step, {name}",
        against,
        f"{1e3 * plain:.2f} ms",
        f"{1e3 * other:.2f} ms",
        f"{plain / other:.2f}x",
        NO_AIM,
        True,
    )


def step_of(
    model: EmotionClassifier, batch: Batch, scale: Scale, dtype: torch.dtype = torch.float32
) -> Callable[[], None]:
    optimizer, _ = model.optimization()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(scale.device, dtype, enabled=dtype is not torch.float32):
            loss, _ = model.loss(batch)
        loss.backward()
        optimizer.step()

    return step


def _graphed(model: EmotionClassifier, batch: Batch) -> Callable[[], None]:
    """Return a step whose launches are recorded once; the batch stays where it is."""
    optimizer = torch.optim.Adam(model.parameters(), model.recipe.lr, capturable=True, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        loss, _ = model.loss(batch)
        loss.backward()
        optimizer.step()

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay

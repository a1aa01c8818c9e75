"""The folds of a network trained as one stack (vmap) against one after another."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from tests.benchmarks.gpu.scale import Scale, made, moved
from tests.benchmarks.speed.table import NO_AIM, Row

MODELS = ("dnn", "cnn")
FOLDS, BATCH = 34, 64


def rows(scale: Scale) -> Iterator[Row]:
    folds, repeats = scale.times(FOLDS, 4), scale.times(10, 2)
    for name in MODELS:
        models = [made(name, 2)[0].to(scale.device).train() for _ in range(folds)]
        batch = moved(made(name, scale.times(BATCH, 8))[1], scale.device)
        optimizers = [model.optimization()[0] for model in models]

        def one_by_one(
            models: list = models, optimizers: list = optimizers, batch: tuple = batch
        ) -> None:
            for model, optimizer in zip(models, optimizers, strict=True):
                optimizer.zero_grad()
                model.loss(batch)[0].backward()
                optimizer.step()

        apart = scale.seconds(one_by_one, repeats)
        together = scale.seconds(_stack(models, batch.signals, batch.target), repeats)
        yield Row(
            f"a step of {folds} folds of {name}, stacked",
            "one after another",
            f"{1e3 * together:.2f} ms",
            f"{1e3 * apart:.2f} ms",
            f"{apart / together:.2f}x",
            NO_AIM,
            True,
        )


def _stack(models: list, signals: dict[str, Tensor], target: Tensor) -> Callable[[], None]:
    """Return a step of all models at once; each has a batch of its own, here the same samples."""
    weights, buffers = stack_module_state([model.network for model in models])
    weights = {name: value.detach() for name, value in weights.items()}
    network = models[0].network
    optimizer = torch.optim.Adam(weights.values(), models[0].recipe.lr, fused=True)
    wide = {name: value.expand(len(models), *value.shape) for name, value in signals.items()}

    def loss(weights: dict, buffers: dict, signals: dict) -> Tensor:
        logits = functional_call(network, (weights, buffers), (signals,)).logits
        return cross_entropy(logits, target)

    gradients = vmap(grad(loss), randomness="different")

    def step() -> None:
        for name, gradient in gradients(weights, buffers, wide).items():
            weights[name].grad = gradient
        optimizer.step()

    return step

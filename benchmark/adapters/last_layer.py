"""Last layer: what makes logits of an embedding, trained on a person's minutes."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmark.adapters.person import Seen, Trained, Values
from lightning_modules.base import EmotionClassifier

STEPS, RATE = 100, 1e-3
"""Steps of Adam, each on all windows of the minutes, and its learning rate; chosen beforehand."""


def last_layer(trained: Trained, minutes: Seen, tested: Seen) -> Values:
    """Return the probabilities of the network with a last layer trained on a person's minutes.

    Minutes of one class only change nothing.

    Raises:
        ValueError: A model without such a layer.
    """
    if trained.layer is None:
        raise ValueError("expected a network that makes logits of its embedding, found none")
    if len(np.unique(minutes.target)) < 2:
        return tested.probabilities
    layer = deepcopy(trained.layer).cpu().float().requires_grad_()
    optimizer = torch.optim.Adam(layer.parameters(), RATE)
    columns = torch.from_numpy(minutes.columns).float()
    target = torch.from_numpy(minutes.target)
    for _ in range(STEPS):
        optimizer.zero_grad()
        cross_entropy(layer(columns), target).backward()
        optimizer.step()
    with torch.inference_mode():
        logits = layer(torch.from_numpy(tested.columns).float())
        probabilities: Values = logits.softmax(dim=1).double().numpy()
    return probabilities


def layer_of(model: EmotionClassifier, signals: Mapping[str, Tensor]) -> nn.Module | None:
    """Return what makes the logits of a network of its embedding.

    It is the module whose input and output are these: a linear layer, or the few layers of a
    classifier. None where there is no such module, or where probabilities are not the softmax of
    its output.

    Args:
        model: Network in eval mode.
        signals: Windows to call it with, by signal of shape (B, C, T).
    """
    passed: list[tuple[nn.Module, Any, Any]] = []

    def note(layer: nn.Module, given: tuple[Any, ...], made: object) -> None:
        passed.append((layer, given[0] if given else None, made))

    hooks = [layer.register_forward_hook(note) for layer in model.modules()]
    with torch.inference_mode():
        output = model(signals)
        softmax = torch.allclose(model.probabilities(output), output.logits.softmax(dim=1))
    for hook in hooks:
        hook.remove()
    its = (
        layer
        for layer, given, made in passed
        if softmax and _same(given, output.embedding) and _same(made, output.logits)
    )
    return next(its, None)


def _same(one: object, other: Tensor) -> bool:
    if not isinstance(one, Tensor) or one.shape != other.shape:
        return False
    return torch.equal(one.to(other.dtype), other)

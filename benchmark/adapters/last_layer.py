"""Last layer: that of a network, trained on a person's minutes from the kept weights."""

from copy import deepcopy

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from benchmark.adapters.person import Seen, Trained, Values

STEPS, RATE = 100, 1e-3
"""Steps of Adam, each on all windows of the minutes, and its learning rate; chosen beforehand."""


def last_layer(trained: Trained, minutes: Seen, tested: Seen) -> Values:
    """Return the probabilities of the network with a last layer trained on a person's minutes.

    Minutes of one class only change nothing.

    Raises:
        ValueError: A model without such a layer.
    """
    if trained.layer is None:
        raise ValueError("expected a network whose last layer is linear, found none")
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

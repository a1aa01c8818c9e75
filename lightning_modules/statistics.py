"""Statistics of batch normalisation, taken over all training windows."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def norms_of(network: nn.Module) -> list[_BatchNorm]:
    """Return the layers of a network that normalise by running statistics when they predict."""
    layers = (layer for layer in network.modules() if isinstance(layer, _BatchNorm))
    return [layer for layer in layers if layer.track_running_stats]


@torch.no_grad()
def take_statistics(model: nn.Module, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """Set running means and variances to the averages over some batches.

    Running statistics are those of the last batches of an epoch, of weights that have moved since,
    and a few large values among them decide much. Dropout is off while they are taken, no weight
    changes, and what is set to train stays so.

    Args:
        model: Model of signals, a dict of (B, C, T).
        batches: Signals of batches of more than one window each, as mixed as those of training.

    References:
        Wu and Johnson: Rethinking "Batch" in BatchNorm. arXiv 2105.07576, 2021.
    """
    norms = norms_of(model)
    training = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # each batch counts as much as the others
        norm.train()
    for signals in batches:
        model(signals)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, was in training.items():
        module.training = was

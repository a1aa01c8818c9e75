"""Training windows that no teaching step uses, so that feedback can be taken from them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datamodules.batch import Batch
from datamodules.errors import IncompatibleRunError
from lightning_modules.distillation.base import Windows


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Training windows that are held out of teaching.

    Args:
        mask: Mask of the training windows that are held out, bool of shape (N,).
        rows: Positions of these windows among the training windows.
        gather: Function that returns the training windows of some rows as a batch.
    """

    mask: Tensor
    rows: Tensor
    gather: Callable[[Tensor], Batch]

    def draw(self, n_windows: int, device: torch.device) -> Batch:
        """Return random windows on a device, ``n_windows`` of them or as many as there are."""
        chosen = torch.randperm(len(self.rows))[:n_windows]
        batch = self.gather(self.rows[chosen])
        signals = {name: window.to(device) for name, window in batch.signals.items()}
        return batch._replace(signals=signals, target=batch.target.to(device))


def count_trials(windows: Windows, mask: Tensor | None = None) -> int:
    """Return the number of trials of training windows.

    Args:
        windows: The training windows.
        mask: Mask of those that count, bool of shape (N,), on the CPU; None: all.
    """
    keys = np.stack([windows.recording, windows.trial])
    return len(np.unique(keys if mask is None else keys[:, mask.numpy()], axis=1).T)


def hold_out(windows: Windows, share: float) -> Tensor:
    """Return which training windows belong to trials that are held out, bool of shape (N,).

    Trials are drawn from each class by torch's generator, at least one, and never all of them.

    Args:
        windows: The training windows.
        share: Share of the trials that is held out.

    Raises:
        IncompatibleRunError: No class has two trials.
    """
    keys = np.stack([windows.recording, windows.trial])
    _, first, inverse = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    target = torch.from_numpy(windows.target[first])
    chosen = torch.zeros(len(first), dtype=torch.bool)
    for label in target.unique():
        trials = (target == label).nonzero().flatten()
        trials = trials[torch.randperm(len(trials))]
        chosen[trials[: min(len(trials) - 1, max(1, round(share * len(trials))))]] = True
    if not chosen.any():
        raise IncompatibleRunError(
            f"feedback is taken from trials that are not taught: expected two training trials of "
            f"a class, found {len(first)} trials of {len(target.unique())} classes. Take "
            'feedback="none", or more subjects.'
        )
    return chosen[torch.from_numpy(inverse.ravel())]

"""Modality dropout: training windows in which a signal is missing now and then.

Neverova et al. 2016 (ModDrop, IEEE TPAMI 38, section 4) leave whole channels of input out at
random, so that a network learns to do with those that are left. Here a signal that is left out is
0, its training mean after scaling, which is what a missing signal is at test time too.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from datamodules.batch import LENGTH
from datamodules.errors import IncompatibleRunError


def sensors(names: Collection[str]) -> list[list[str]]:
    """Return signals in groups that come and go together.

    A signal whose name begins with that of another, as ``bvp_beats`` with ``bvp``, is derived of
    it. The mask of padded trials is no signal.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names) - {LENGTH}):
        source = next((other for other in groups if name.startswith(f"{other}_")), name)
        groups.setdefault(source, []).append(name)
    return list(groups.values())


def check_droppable(names: Collection[str]) -> None:
    """Raise IncompatibleRunError for signals of which none can be left out."""
    if len(sensors(names)) < 2:
        raise IncompatibleRunError(
            "modality_dropout: expected two signals or more, one of which is always left, found "
            f"{', '.join(names)}"
        )


def drop_signals(signals: Mapping[str, Tensor], probability: float) -> dict[str, Tensor]:
    """Return windows in which signals are 0 at random, never all of a window's.

    Random numbers are those of torch. Where all would be left out, one of them is kept.

    Args:
        signals: Windows by signal, scaled, shape (B, C, T) each.
        probability: Probability of each sensor to be left out of a window.

    Raises:
        IncompatibleRunError: There is one signal alone.
    """
    check_droppable(list(signals))
    groups = sensors(signals)
    first = next(iter(signals.values()))
    size = (len(first), len(groups))
    left_out = torch.rand(size, device=first.device) < probability
    kept = torch.randint(len(groups), (len(first), 1), device=first.device)
    all_of_them = left_out.all(dim=1, keepdim=True)
    left_out &= ~(all_of_them & (torch.arange(len(groups), device=first.device) == kept))
    dropped = dict(signals)
    for number, names in enumerate(groups):
        for name in names:
            dropped[name] = signals[name].masked_fill(left_out[:, number, None, None], 0.0)
    return dropped

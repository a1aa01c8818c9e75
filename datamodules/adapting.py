"""Batch normalisation by statistics of each person, while a network predicts.

Nothing is learned: weights stay as they are, and so do the running statistics of training. In the
place of those, a layer normalises by them and the person's own windows together, as if the running
statistics were those of ``PRIOR`` windows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

PRIOR = 16
"""Number of windows that the running statistics of training count as. With fewer windows of a
person, those of training have the larger say: statistics of one window of a dense layer would have
no variance at all. To mix both is from Schneider et al.; the value was chosen beforehand, and tuned
on nobody here.

References:
    Schneider et al.: Improving robustness against common corruptions by covariate shift adaptation.
    NeurIPS 2020, arXiv 2006.16971.
"""
Call = tuple[int, int]
"""Number of a layer, and how often it was called before in the same pass."""
Moments = tuple[Tensor, Tensor]
"""Sums of means and of mean squares of windows, relative to the running mean, (..., D), float64."""


@dataclass
class PersonalNorms:
    """Batch normalisation of a network by statistics of groups of windows.

    Args:
        network: Network in eval mode, called with a dict of signals (B, C, T).
        running: Whether a window counts for itself and for the later ones of its group alone.
            Windows are passed in order of group and time then. Otherwise, groups are measured
            before their windows are predicted.
    """

    network: nn.Module
    running: bool
    _norms: list[_BatchNorm] = field(default_factory=list)
    _handles: list[RemovableHandle] = field(default_factory=list)
    _groups: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    _calls: dict[int, int] = field(default_factory=dict)
    _measured: dict[Call, dict[int, tuple[int, Moments]]] = field(default_factory=dict)
    _measuring: bool = False

    def __post_init__(self) -> None:
        layers = (m for m in self.network.modules() if isinstance(m, _BatchNorm))
        self._norms = [layer for layer in layers if layer.track_running_stats]
        self._handles = [
            norm.register_forward_hook(self._normalized(number))
            for number, norm in enumerate(self._norms)
        ]

    def __bool__(self) -> bool:
        return bool(self._norms)

    def remove(self) -> None:
        """Let the network predict as it was trained, from now on."""
        for handle in self._handles:
            handle.remove()

    def expect(self, groups: Tensor) -> None:
        """Say of which group each window is that the network is called with next, shape (B,)."""
        self._groups = groups
        self._calls = dict.fromkeys(range(len(self._norms)), 0)

    @torch.no_grad()
    def measure(self, group: int, signals: Mapping[str, Tensor]) -> None:
        """Take the statistics of a group from all of its windows at once."""
        self._measuring = True
        self.expect(torch.full((len(next(iter(signals.values()))),), group))
        self.network(signals)
        self._measuring = False

    def _normalized(self, number: int) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        """Return the hook of a layer, whose value takes the place of its output."""

        def hook(norm: nn.Module, arguments: tuple[Tensor], output: Tensor) -> Tensor:
            assert isinstance(norm, _BatchNorm)
            call = number, self._calls[number]
            self._calls[number] += 1
            return self._by_group(norm, call, arguments[0])

        return hook

    def _by_group(self, norm: _BatchNorm, call: Call, maps: Tensor) -> Tensor:
        """Return maps (B * R, D, ...) of B windows, normalised by the statistics of each."""
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        windows = maps.unflatten(0, (len(self._groups), -1))  # (B, R, D, ...)
        around = windows.movedim(2, -1).flatten(1, -2).double() - mean.double()  # (B, P, D)
        moments = around.mean(dim=1), around.square().mean(dim=1)  # (B, D) each
        kept = self._measured.setdefault(call, {})
        if self._measuring:
            together = len(moments[0]), (moments[0].sum(dim=0), moments[1].sum(dim=0))
            kept[int(self._groups[0])] = together
        if self.running:
            count, (sums, squares) = self._so_far(kept, moments)
        else:
            of_windows = [kept[group] for group in self._groups.tolist()]
            count = torch.tensor([n for n, _ in of_windows], device=maps.device)[:, None]
            sums, squares = (torch.stack([both[k] for _, both in of_windows]) for k in (0, 1))
        weight = PRIOR + count
        shift = sums / weight  # (B, D)
        spread = (PRIOR * variance.double() + squares) / weight - shift.square()
        scale = (spread.clamp_min(0.0) + norm.eps).rsqrt()
        around = (around - shift[:, None]) * scale[:, None]
        if norm.affine:
            around = around * norm.weight + norm.bias
        back = windows.movedim(2, -1).shape
        normal: Tensor = around.to(maps.dtype).reshape(back).movedim(-1, 2).flatten(0, 1)
        return normal

    def _so_far(
        self, kept: dict[int, tuple[int, Moments]], moments: Moments
    ) -> tuple[Tensor, Moments]:
        """Return count and sums over the windows of the same group up to each, and keep the last.

        Only the group of the last window is kept: windows come in order of their groups.
        """
        groups = self._groups.to(moments[0].device)
        first = torch.ones_like(groups, dtype=torch.bool)
        first[1:] = groups[1:] != groups[:-1]
        places = torch.arange(len(groups), device=groups.device)
        begin = places.where(first, 0).cummax(dim=0).values  # (B,) first window of the group here
        count = (places - begin + 1).double()[:, None]
        totals = []
        before = kept.get(int(groups[0]))
        for number, values in enumerate(moments):
            total = values.cumsum(dim=0)
            total = total - (total - values)[begin]
            if before:
                total[begin == 0] += before[1][number]
            totals.append(total)
        if before:
            count[begin == 0] += before[0]
        kept.clear()
        kept[int(groups[-1])] = int(count[-1]), (totals[0][-1], totals[1][-1])
        return count, (totals[0], totals[1])

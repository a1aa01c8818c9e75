"""Scale: the usual deviation of each channel over training windows."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import numpy.typing as npt

from benchmark.probes.windows import Samples, Windows


class Scale:
    """Windows without their own mean, over the deviation that is usual in training.

    Args:
        deviations: By signal, root of the mean variance of a window in each channel, shape (C, 1);
            1 for a channel that never moves.
    """

    def __init__(self, deviations: Mapping[str, npt.NDArray[np.float64]]) -> None:
        self.deviations = dict(deviations)

    @classmethod
    def of(cls, windows: Windows) -> Self:
        """Return the scale of training windows."""
        sums = {name: np.zeros(spec.n_channels) for name, spec in windows.inputs.items()}
        for chunk in windows.chunks():
            for name, samples in chunk.items():
                sums[name] += samples.var(axis=2, dtype=np.float64).sum(axis=0)
        roots = {name: np.sqrt(total / len(windows)) for name, total in sums.items()}
        return cls({name: np.where(r > 0, r, 1.0)[:, None] for name, r in roots.items()})

    def scaled(self, chunk: Mapping[str, Samples], name: str) -> Samples:
        """Return the windows of a signal, shape (n, C, T)."""
        centred = chunk[name] - chunk[name].mean(axis=2, keepdims=True, dtype=np.float64)
        return np.asarray(centred / self.deviations[name], np.float32)

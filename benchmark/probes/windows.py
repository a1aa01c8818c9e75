"""Windows: what a classifier on raw samples gets, gathered when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from datamodules.inputs import Inputs

VALUES = 2**24
"""Largest number of samples in a chunk of windows, unless one window has more."""
Rows = npt.NDArray[np.int64]
Samples = npt.NDArray[np.float32]


class Windows:
    """N windows of signals at their own rates.

    ``windows[rows]``, with a slice or an array of numbers, is a dict of arrays of shape (n, C, T),
    as recorded. ``windows[:]`` has all of them in memory; ``chunks`` has a few at a time.

    Args:
        inputs: Shape of each signal in a window, by name.
        count: N.
        gather: Function that returns the samples of some rows, by signal.
    """

    def __init__(
        self, inputs: Inputs, count: int, gather: Callable[[Rows], Mapping[str, Samples]]
    ) -> None:
        self.inputs, self._count, self._gather = dict(inputs), count, gather

    @classmethod
    def of(cls, inputs: Inputs, arrays: Mapping[str, Samples]) -> Self:
        """Return windows whose samples are in memory."""
        count = len(next(iter(arrays.values())))
        return cls(inputs, count, lambda rows: {name: a[rows] for name, a in arrays.items()})

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: slice | Rows) -> dict[str, Samples]:
        return dict(self._gather(np.arange(self._count)[rows]))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of windows and of samples in each, all signals together."""
        return self._count, sum(s.n_channels * s.n_times for s in self.inputs.values())

    def chunks(self) -> Iterator[dict[str, Samples]]:
        """Yield all windows in order, a few at a time."""
        step = max(1, VALUES // self.shape[1])
        for start in range(0, self._count, step):
            yield self[start : start + step]


def one_array(signals: Mapping[str, Samples]) -> Samples:
    """Return the channels of signals of one rate as one array (n, C, T), in their order."""
    return np.concatenate(list(signals.values()), axis=1)


class OneArray:
    """Classifier of windows, from an estimator that takes one array of shape (N, C, T).

    So do those of aeon and sktime. Its probe says ``one_rate=True``.

    Args:
        estimator: Estimator with ``fit`` and ``predict_proba``.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, windows: Windows, target: npt.NDArray[np.int64]) -> Self:
        """Fit the estimator on all windows."""
        self.estimator.fit(one_array(windows[:]), target)
        self.classes_ = np.asarray(self.estimator.classes_)
        return self

    def predict_proba(self, windows: Windows) -> npt.NDArray[np.float64]:
        """Return the probabilities of each class, shape (N, K)."""
        parts = [self.estimator.predict_proba(one_array(chunk)) for chunk in windows.chunks()]
        return np.concatenate(parts)

"""Ranges: between which values the signals of training windows lie, so that others can be compared.

A range is a summary of a few numbers a channel. A window is compared with it sample by sample, and
only shares of windows mean anything: some windows of the training itself lie outside, or do not
move, and the range says how many.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Windows = npt.NDArray[np.float32]

TAIL = 0.001
"""Share of the training samples of a channel below its range, and above it."""
MUCH = 0.05
"""Share of a window's samples, all channels together, that must lie outside for the window to be
outside. As 0.2 % of all training samples do, at most 4 % of the training windows are."""
STILL = 0.0001
"""Standard deviation of a channel in a window, as a share of the channel's range, up to which the
channel does not move: a sensor that is off, or touches nothing. At a thousandth, the skin of a
third of the people of Stress-Predict would not move in too many windows; so it is of none."""
WINDOWS, SAMPLES = 2000, 256
"""Largest number of training windows that are looked at, and of samples in each window, both evenly
spaced: enough for a thousandth, and quick for any dataset."""


@dataclass(frozen=True, eq=False)
class Range:
    """Range of one signal over training windows, in the unit of the recordings.

    Attributes:
        low: Lower end of each channel, shape (C,): a thousandth of the samples is below.
        high: Upper end of each channel, shape (C,): a thousandth of the samples is above.
        outside: Share of the training windows that are outside.
        still: Share of the training windows that do not move.
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    outside: float
    still: float

    def is_outside(self, windows: Windows) -> npt.NDArray[np.bool_]:
        """Return which windows are outside, shape (N,), of windows of shape (N, C, T)."""
        x = thinned(windows)
        beyond = (x < self.low[:, None]) | (x > self.high[:, None])
        return np.asarray(beyond.mean(axis=(1, 2)) > MUCH)

    def is_still(self, windows: Windows) -> npt.NDArray[np.bool_]:
        """Return in which windows a channel does not move, shape (N,)."""
        spread = thinned(windows).astype(np.float64).std(axis=2)
        moves = spread > STILL * (self.high.astype(np.float64) - self.low)
        return np.asarray(~moves.all(axis=1))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: what ``Range`` takes by name."""
        return asdict(self)


def measure_range(windows: Windows) -> Range:
    """Return the range of windows of one signal, shape (N, C, T)."""
    x = thinned(windows)
    samples = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    low, high = np.quantile(samples, (TAIL, 1 - TAIL), axis=1).astype(np.float32)
    first = Range(low, high, 0.0, 0.0)
    shares = first.is_outside(x).mean(), first.is_still(x).mean()
    return Range(low, high, *map(float, shares))


def thinned(windows: Windows) -> Windows:
    """Return every so many samples of windows, at most ``SAMPLES``, shape (N, C, at most that)."""
    return windows[:, :, :: -(-windows.shape[2] // SAMPLES)]


def thinned_rows(n_windows: int) -> npt.NDArray[np.int64]:
    """Return evenly spaced rows of some windows, at most ``WINDOWS``."""
    return np.linspace(0, n_windows - 1, min(n_windows, WINDOWS)).round().astype(np.int64)

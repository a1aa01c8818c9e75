"""The kernels of MiniRocket: convolutions of windows, their quantiles, and proportions above them.

A window of one signal (C, T) is convolved with kernels of nine weights, two for three of them and
minus one for the others, at several dilations. Each kernel at each dilation sees the sum of a few
channels of its own. A feature is the proportion of the convolution above a bias.

References:
    Dempster, Schmidt, Webb: MiniRocket: A Very Fast (Almost) Deterministic Transform for Time
    Series Classification. KDD 2021. https://arxiv.org/abs/2012.08791
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

LENGTH, TWOS = 9, 3
"""Number of weights of a kernel, and how many of them are two; the others are minus one."""
PLACES = np.array(list(combinations(range(LENGTH), TWOS)), dtype=np.int64)
"""Places of the twos in each of the 84 kernels, shape (84, 3)."""
N_KERNELS = len(PLACES)
MOST_DILATIONS = 32
"""Largest number of dilations of a kernel (section 3.1.2 of the paper)."""
GOLDEN = (np.sqrt(5) + 1) / 2
"""Step of the low-discrepancy sequence that quantiles are taken from (section 3.1.3)."""

Samples = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is fixed before a window of a signal is seen.

    A combination is a kernel at a dilation; they are ordered by dilation, then by kernel, and so
    are features, of which a combination has one or several.

    Args:
        n_channels: C.
        n_times: T.
        dilations: Distance of neighbouring weights in samples, shape (D,).
        features: Number of features of a kernel at each dilation, shape (D,).
        counts: Number of channels of each combination, shape (84 D,).
        channels: These channels, one combination after the other.
    """

    n_channels: int
    n_times: int
    dilations: Numbers
    features: Numbers
    counts: Numbers
    channels: Numbers

    def __post_init__(self) -> None:
        if self.n_times < LENGTH or len(self.dilations) != len(self.features):
            raise ValueError(f"expected windows of {LENGTH} samples or more, found {self.n_times}")
        if self.dilations.min() < 1 or self.dilations.max() * (LENGTH - 1) >= self.n_times:
            raise ValueError(f"expected kernels that fit into {self.n_times} samples")
        if self.features.min() < 0 or self.counts.min() < 1:
            raise ValueError("expected features and channels of every kernel")
        n_combinations = N_KERNELS * len(self.dilations)
        if (len(self.counts), len(self.channels)) != (n_combinations, self.counts.sum()):
            raise ValueError(f"expected channels of {n_combinations} combinations")
        if self.channels.min() < 0 or self.channels.max() >= self.n_channels:
            raise ValueError(f"expected channels of a signal with {self.n_channels}")

    @property
    def n_features(self) -> int:
        """Number of features of a window."""
        return N_KERNELS * int(self.features.sum())


def make_plan(n_channels: int, n_times: int, n_features: int, rng: np.random.Generator) -> Plan:
    """Return dilations by the rule of the paper, and channels drawn at random.

    Dilations grow exponentially from 1 to where a kernel is as long as the window. The number of
    channels of a combination is drawn evenly on a logarithmic scale from 1 to 9, as by the authors'
    code for several channels.

    Args:
        n_channels: C.
        n_times: T, at least 9.
        n_features: Largest number of features; at least 84 are made.
        rng: Source of the channels.
    """
    each = max(1, n_features // N_KERNELS)
    most = min(each, MOST_DILATIONS)
    exponents = np.linspace(0, np.log2((n_times - 1) / (LENGTH - 1)), most)
    dilations, repeats = np.unique((2**exponents).astype(np.int64), return_counts=True)
    features = (repeats * (each / most)).astype(np.int64)
    features += np.arange(len(features)) < each - features.sum()
    largest = np.log2(min(n_channels, LENGTH) + 1)
    counts = (2 ** rng.uniform(0, largest, N_KERNELS * len(dilations))).astype(np.int64)
    drawn = [rng.choice(n_channels, count, replace=False) for count in counts]
    return Plan(n_channels, n_times, dilations, features, counts, np.concatenate(drawn))


def quantiles(n_features: int) -> npt.NDArray[np.float64]:
    """Return the quantile of each feature's bias: a sequence that fills 0 to 1 evenly."""
    return np.asarray((np.arange(1, n_features + 1) * GOLDEN) % 1)


def fit_biases(
    plan: Plan, gather: Callable[[Numbers], Samples], count: int, rng: np.random.Generator
) -> Samples:
    """Return the bias of each feature: a quantile of the convolution of a training window.

    Args:
        plan: Plan of the signal.
        gather: Function that returns windows (n, C, T) by their numbers.
        count: Number of training windows.
        rng: Source of the window that each combination takes.

    Returns:
        Biases, shape (F,).
    """
    examples = rng.integers(0, count, len(plan.counts))
    features = np.repeat(plan.features, N_KERNELS)
    stops, channel_stops = np.cumsum(features), np.cumsum(plan.counts)
    share = quantiles(plan.n_features)
    biases = np.zeros(plan.n_features, np.float32)
    for example in np.unique(examples):
        padded = _padded(gather(np.array([example])), plan)[0]
        for number in np.flatnonzero(examples == example):
            channels = plan.channels[channel_stops[number] - plan.counts[number] :][
                : plan.counts[number]
            ]
            dilation = plan.dilations[number // N_KERNELS]
            start = _margin(plan) - dilation * (LENGTH // 2)
            values = _convolved(
                padded, channels, PLACES[number % N_KERNELS], dilation, start, plan.n_times
            )
            rows = slice(stops[number] - features[number], stops[number])
            biases[rows] = np.quantile(values, share[rows])
    return biases


def proportions(plan: Plan, biases: Samples, windows: Samples) -> Samples:
    """Return the features of windows: how much of each convolution is above each bias.

    Every other combination counts only where no weight lies beyond the ends of the window, where
    samples are zero (section 3.1.4 of the paper).

    Args:
        plan: Plan of the signal.
        biases: Bias of each feature, shape (F,).
        windows: Shape (N, C, T).

    Returns:
        Proportions from 0 to 1, shape (N, F).

    Raises:
        ValueError: Windows or biases of another shape than the plan's.
    """
    if windows.shape[1:] != (plan.n_channels, plan.n_times) or biases.shape != (plan.n_features,):
        raise ValueError(
            f"expected windows of {plan.n_channels} x {plan.n_times} samples and "
            f"{plan.n_features} biases, found {windows.shape[1:]} and {biases.shape}"
        )
    columns = np.empty((len(windows), plan.n_features), np.float32)
    _proportions(
        _padded(windows, plan),
        plan.n_times,
        plan.dilations,
        plan.features,
        plan.counts,
        plan.channels,
        PLACES,
        np.ascontiguousarray(biases, np.float32),
        columns,
    )
    return columns


def _margin(plan: Plan) -> int:
    """Return the number of zeros before and after a window, enough for the largest dilation."""
    return int(plan.dilations.max()) * (LENGTH // 2)


def _padded(windows: Samples, plan: Plan) -> Samples:
    margin = _margin(plan)
    return np.pad(windows.astype(np.float32), ((0, 0), (0, 0), (margin, margin)))


def _compiled(function: _Function) -> _Function:
    """Compile a function of arrays; it lets other threads run."""
    try:
        return cast(_Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder to keep it in, neither beside the source nor the user's own
        return cast(_Function, njit(nogil=True)(function))


@_compiled
def _convolved(
    padded: Samples, channels: Numbers, places: Numbers, dilation: int, start: int, n_times: int
) -> Samples:
    """Return the convolution of some channels of a padded window, summed, shape (T,)."""
    values, ones = np.zeros(n_times, np.float32), np.zeros(n_times, np.float32)
    three = np.float32(3)
    for channel in channels:
        x = padded[channel, start:]
        ones[:] = 0
        for k in range(LENGTH):
            one = x[k * dilation :]
            for t in range(n_times):
                ones[t] += one[t]
        one, two = x[places[0] * dilation :], x[places[1] * dilation :]
        last = x[places[2] * dilation :]
        for t in range(n_times):
            values[t] += three * (one[t] + two[t] + last[t]) - ones[t]
    return values


@_compiled
def _proportions(
    padded: Samples,
    n_times: int,
    dilations: Numbers,
    features: Numbers,
    counts: Numbers,
    channels: Numbers,
    places: Numbers,
    biases: Samples,
    columns: Samples,
) -> None:
    """Fill in the features of padded windows (N, C, T and margins)."""
    n_windows, n_channels, length = padded.shape
    margin = (length - n_times) // 2
    ones = np.zeros((n_channels, n_times), np.float32)
    values = np.zeros(n_times, np.float32)
    three = np.float32(3)
    for window in range(n_windows):
        feature, combination, place = 0, 0, 0
        for number in range(len(dilations)):
            dilation = dilations[number]
            reach = dilation * (LENGTH // 2)
            start = margin - reach
            for channel in range(n_channels):
                x = padded[window, channel, start:]
                total = ones[channel]
                total[:] = 0
                for k in range(LENGTH):
                    one = x[k * dilation :]
                    for t in range(n_times):
                        total[t] += one[t]
            for kernel in range(len(places)):
                values[:] = 0
                for channel in channels[place : place + counts[combination]]:
                    x = padded[window, channel, start:]
                    total = ones[channel]
                    one = x[places[kernel, 0] * dilation :]
                    two = x[places[kernel, 1] * dilation :]
                    last = x[places[kernel, 2] * dilation :]
                    for t in range(n_times):
                        values[t] += three * (one[t] + two[t] + last[t]) - total[t]
                place += counts[combination]
                combination += 1
                inside = (number + kernel) % 2 == 1
                counted = values[reach : n_times - reach] if inside else values
                for _ in range(features[number]):
                    bias, above = biases[feature], np.int32(0)
                    for t in range(len(counted)):
                        above += np.int32(counted[t] > bias)
                    columns[window, feature] = above / len(counted)
                    feature += 1

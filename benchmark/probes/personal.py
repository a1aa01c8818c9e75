"""Features of people who are calibrated: standardised by each person's own windows.

The windows that count are those of score units, alike for training and tested people; of a
baseline, those that lie in it.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from datamodules.adapting import PRIOR
from datamodules.fold import Fold, Grid
from datamodules.personal import people, sittings, spread
from datamodules.windows import EPSILON, WindowIndex

Features = npt.NDArray[np.float64]
Measure = Callable[[WindowIndex], Features]
"""Function of windows whose value is their features, shape (N, F)."""


def personal_features(fold: Fold, grid: Grid, measure: Measure) -> Features:
    """Return the features of all windows of a grid, as the protocol calibrates them, (N, F).

    Args:
        fold: The fold.
        grid: Name of the grid.
        measure: Function that measures windows as recorded.
    """
    windows = fold.grids[grid]
    table, kind = measure(windows).astype(np.float64), fold.protocol.calibrating.kind
    if kind == "none":
        return table
    if kind == "baseline":
        return _by_rest(fold, windows, table, measure)
    units = fold.grids["units"]
    measured = measure(units).astype(np.float64)
    if kind == "whole":
        return _by_all(fold, windows, table, units, measured)
    training = measure(fold.grids["segments"])[fold.rows["train"]].astype(np.float64)
    return _by_past(fold, windows, table, units, measured, training)


def _by_all(
    fold: Fold, windows: WindowIndex, table: Features, units: WindowIndex, measured: Features
) -> Features:
    """Return features standardised by all units of each person."""
    person = people(fold.archive)
    standard = np.empty_like(table)
    for number in np.unique(person):
        of_person = measured[person[units.recording] == number]
        rows = person[windows.recording] == number
        if rows.any():
            mean = of_person.mean(axis=0)
            standard[rows] = (table[rows] - mean) / spread(of_person.var(axis=0), mean)
    return standard


def _by_past(
    fold: Fold,
    windows: WindowIndex,
    table: Features,
    units: WindowIndex,
    measured: Features,
    training: Features,
) -> Features:
    """Return features standardised by the units of the same session that have ended by then.

    The moments of the training windows count beside them, as those of ``PRIOR`` units. Otherwise
    the first unit of everybody would be zero, and all values of the second 1 or -1: features would
    tell how much time has gone by.
    """
    session = sittings(fold.archive)
    offsets = np.array([recording.offset for recording in fold.archive.recordings])
    ended, now = (w.start + w.seconds + offsets[w.recording] for w in (units, windows))
    level, variance = training.mean(axis=0), training.var(axis=0)
    standard = np.empty_like(table)
    for number in np.unique(session[windows.recording]):
        of_session = np.flatnonzero(session[units.recording] == number)
        of_session = of_session[np.argsort(ended[of_session], kind="stable")]
        rows = np.flatnonzero(session[windows.recording] == number)
        around = measured[of_session] - level
        before = np.zeros((1, table.shape[1]))
        sums, squares = (
            np.concatenate([before, np.cumsum(values, axis=0)]) for values in (around, around**2)
        )
        count = np.searchsorted(ended[of_session], now[rows] + EPSILON, side="right")
        weight = PRIOR + count[:, None]
        mean = sums[count] / weight
        std = spread((PRIOR * variance + squares[count]) / weight - mean**2, mean + level)
        standard[rows] = (table[rows] - level - mean) / std
    return standard


def _by_rest(fold: Fold, windows: WindowIndex, table: Features, measure: Measure) -> Features:
    """Return features less their mean at rest, divided by the spread of the training people's."""
    person = people(fold.archive)
    resting = fold.resting_windows
    at_rest, owner = measure(resting).astype(np.float64), person[resting.recording]
    level = np.array([at_rest[owner == n].mean(axis=0) for n in range(len(fold.archive.subjects))])
    trained = fold.windows("train")
    training = measure(fold.grids["segments"])[fold.rows["train"]]
    training = training - level[person[trained.recording]]
    std = spread(training.var(axis=0), training.mean(axis=0))
    return np.asarray((table - level[person[windows.recording]]) / std)

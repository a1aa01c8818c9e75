"""Doubts: what a user of predictions must know about the recording that they are of."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.execution.predictor import Predicted, Predictor
from datamodules.ranges import MUCH

HOUR = 3600.0
"""Seconds in which the classes of windows are counted."""
MOST = 0.95
"""Share of the windows of an hour beyond which one class is a doubt."""
FEWEST = 20
"""Smallest number of windows in an hour whose classes are counted."""


class Doubts(NamedTuple):
    """Doubts about the predictions of one recording.

    Attributes:
        of_windows: Of each window, words for what is to be doubted in it; "" for nothing.
        lines: Lines about the recording as a whole.
    """

    of_windows: tuple[str, ...]
    lines: tuple[str, ...]


def doubts_of(predictor: Predictor, predicted: Predicted) -> Doubts:
    """Return the doubts about predictions.

    A signal that lies outside the range of the training, or does not move, is a doubt about the
    recording where it does so in a larger share of the windows than in the training, by ``MUCH``.

    Args:
        predictor: The model.
        predicted: Its predictions of one recording.
    """
    words: list[list[str]] = [[] for _ in predicted.starts]
    lines = []

    def note(flags: npt.NDArray[np.bool_], word: str) -> None:
        for row in np.flatnonzero(flags):
            words[row].append(word)

    for name, seen in predicted.seen.items():
        usual = predictor.ranges.get(name)
        if seen.missing.any():
            note(seen.missing, f"{name} missing")
            lines.append(f"{name}: missing in {_share(seen.missing.mean())} of the windows")
        still, outside = (usual.still, usual.outside) if usual else (0.0, 0.0)
        note(seen.outside, f"{name} outside")
        if seen.outside.mean() > outside + MUCH:
            lines.append(
                f"{name}: outside the range of the training in {_share(seen.outside.mean())} of "
                f"the windows ({_share(outside)} of the training's own)"
            )
        if seen.still.mean() > still + MUCH:
            note(seen.still, f"{name} still")
            training = f" ({_share(still)} of the training's own)" if usual else ""
            lines.append(
                f"{name}: does not move in {_share(seen.still.mean())} of the windows{training}"
            )
    for label, rows in _one_class(predictor.classes, predicted):
        note(rows, "one class")
        minutes = predicted.starts[rows] / 60
        lines.append(
            f"{label}: over {_share(MOST)} of the windows of an hour, in minutes "
            f"{minutes[0]:.0f} to {minutes[-1] + predictor.window / 60:.0f}"
        )
    if unknown := [name for name in predictor.inputs if name not in predictor.ranges]:
        lines.append(
            f"{', '.join(unknown)}: the range of the training is not on record, so that nothing is "
            "said of values outside it"
        )
    return Doubts(tuple("; ".join(these) for these in words), tuple(lines))


def _one_class(
    classes: Sequence[str], predicted: Predicted
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield classes that fill an hour, with the windows of all such hours."""
    starts, number = predicted.starts, ~np.isnan(predicted.probabilities).any(axis=1)
    stride = starts[1] - starts[0] if len(starts) > 1 else HOUR
    ends = np.searchsorted(starts, starts + HOUR - 1e-6)
    complete = starts + HOUR <= starts[-1] + stride + 1e-6
    best = np.where(number, predicted.probabilities.argmax(axis=1), -1)
    counts = np.r_[0, np.cumsum(number)]
    n_windows = counts[ends] - counts[:-1]
    for position, label in enumerate(classes):
        of_class = np.r_[0, np.cumsum(best == position)]
        share = (of_class[ends] - of_class[:-1]) / np.maximum(n_windows, 1)
        filled = complete & (n_windows >= FEWEST) & (share > MOST)
        if filled.any():
            rows = np.zeros(len(starts), bool)
            for first in np.flatnonzero(filled):
                rows[first : ends[first]] = True
            yield label, rows


def _share(share: float) -> str:
    """Return a share in per cent; one that is not 0 is never called so, nor 1 that is not."""
    if 0 < share < 0.01:
        return "under 1 %"
    return f"{min(round(100 * share), 99) if share < 1 else 100} %"

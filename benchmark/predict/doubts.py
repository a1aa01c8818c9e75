"""Doubts: what a user of predictions must know about the recording that they are of."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.execution.predictor import Predicted, Predictor, Probabilities, Seen
from datamodules.ranges import MUCH, Range

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
    lines: list[str] = []

    def note(flags: npt.NDArray[np.bool_], word: str) -> None:
        for row in np.flatnonzero(flags):
            words[row].append(word)

    for name, seen in predicted.seen.items():
        usual = predictor.ranges.get(name)
        shares = _Shares(*(float(flags.mean()) for flags in seen))
        note(seen.missing, f"{name} missing")
        note(seen.outside, f"{name} outside")
        if shares.often_still(usual):
            note(seen.still, f"{name} still")
        lines += shares.lines(name, usual)
    for label, rows in _one_class(predictor.classes, predicted):
        note(rows, "one class")
        minutes = predicted.starts[rows] / 60
        lines.append(_hour_line(label, minutes[0], minutes[-1] + predictor.window / 60))
    lines += _without_range(predictor)
    return Doubts(tuple("; ".join(these) for these in words), tuple(lines))


class RunningDoubts:
    """Doubts about the predictions of a recording that is not over, from what came up to now.

    A window is ``still`` if more of the windows so far are than in the training, and is of
    ``one class`` if it ends an hour that is.

    Args:
        predictor: The model.
        stride: Time from one window's start to the next, in seconds.
    """

    def __init__(self, predictor: Predictor, stride: float) -> None:
        self._predictor, self._stride = predictor, stride
        self._n_windows = 0
        self._counts = {name: Counter[str]() for name in predictor.inputs}
        self._first = 0.0
        self._hour: deque[tuple[float, int]] = deque()  # start and class of its windows
        self._classes = Counter[int]()  # of these windows
        self._minutes: dict[int, tuple[float, float]] = {}

    def add(self, start: float, probabilities: Probabilities, seen: Mapping[str, Seen]) -> str:
        """Return words for what is to be doubted in one more window; "" for nothing.

        Args:
            start: Start of the window, in seconds.
            probabilities: Shape (K,).
            seen: By signal, what is to be doubted; shapes (1,).
        """
        self._n_windows += 1
        words = []
        for name, of_one in seen.items():
            flags = {field: bool(value[0]) for field, value in of_one._asdict().items()}
            self._counts[name].update(field for field, is_so in flags.items() if is_so)
            often_still = self._shares(name).often_still(self._predictor.ranges.get(name))
            said = {**flags, "still": flags["still"] and often_still}
            words += [f"{name} {field}" for field in ("missing", "outside", "still") if said[field]]
        if self._fills_hour(start, probabilities):
            words.append("one class")
        return "; ".join(words)

    def lines(self) -> tuple[str, ...]:
        """Return lines about all windows so far."""
        lines: list[str] = []
        for name in self._counts if self._n_windows else ():
            lines += self._shares(name).lines(name, self._predictor.ranges.get(name))
        for label, (first, last) in self._minutes.items():
            lines.append(_hour_line(self._predictor.classes[label], first, last))
        return (*lines, *_without_range(self._predictor))

    def _shares(self, name: str) -> "_Shares":
        counts = self._counts[name]
        return _Shares(*(counts[field] / self._n_windows for field in Seen._fields))

    def _fills_hour(self, start: float, probabilities: Probabilities) -> bool:
        if self._n_windows == 1:
            self._first = start
        while self._hour and self._hour[0][0] <= start - HOUR + 1e-6:
            self._classes[self._hour.popleft()[1]] -= 1
        if np.isnan(probabilities).any():
            return False
        label = int(probabilities.argmax())
        self._hour.append((start, label))
        self._classes[label] += 1
        complete = start - self._first + self._stride + 1e-6 >= HOUR
        n_windows = len(self._hour)
        if not (complete and n_windows >= FEWEST and self._classes[label] > MOST * n_windows):
            return False
        end = (start + self._predictor.window) / 60
        began, _ = self._minutes.get(label, (self._hour[0][0] / 60, end))
        self._minutes[label] = began, end
        return True


class _Shares(NamedTuple):
    """Shares of the windows of one signal, in the order of ``Seen``."""

    missing: float
    still: float
    outside: float

    def often_still(self, usual: Range | None) -> bool:
        """Return whether the signal does not move in more windows than in the training."""
        return self.still > (usual.still if usual else 0.0) + MUCH

    def lines(self, name: str, usual: Range | None) -> Iterator[str]:
        """Yield lines about the recording."""
        outside = usual.outside if usual else 0.0
        if self.missing:
            yield f"{name}: missing in {_share(self.missing)} of the windows"
        if self.outside > outside + MUCH:
            yield (
                f"{name}: outside the range of the training in {_share(self.outside)} of "
                f"the windows ({_share(outside)} of the training's own)"
            )
        if self.often_still(usual):
            training = f" ({_share(usual.still)} of the training's own)" if usual else ""
            yield f"{name}: does not move in {_share(self.still)} of the windows{training}"


def _hour_line(label: str, first: float, last: float) -> str:
    return (
        f"{label}: over {_share(MOST)} of the windows of an hour, in minutes {first:.0f} to "
        f"{last:.0f}"
    )


def _without_range(predictor: Predictor) -> Iterator[str]:
    """Yield a line about signals whose range is not on record, if there are any."""
    if unknown := [name for name in predictor.inputs if name not in predictor.ranges]:
        yield (
            f"{', '.join(unknown)}: the range of the training is not on record, so that nothing is "
            "said of values outside it"
        )


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

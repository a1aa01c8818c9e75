"""Disturbances: changes of a recording as a slipping, moving or failing sensor makes them.

Each changes the signals as they were recorded, before any step, on the clock of the recording: time
is cut into cells of ``CELL`` seconds from its start, and what happens in a cell is drawn once. So
every model is tested on one and the same disturbed recording, however long its windows are. All
signals stay as long as they are, at their rates.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from datamodules.signals.recording import Signal

CELL = 30.0
"""Seconds of a cell, as long as the shortest score unit of the wrist datasets."""
STILL = 0.01
"""Movement in g, root of the mean square over a second, up to which a wrist is at rest."""
SHAPES = 10
"""Number of stretches with the most movement whose course is taken."""


@dataclass(frozen=True)
class Detached:
    """An electrode that comes off: the signal is 0 for a stretch of each cell.

    Args:
        signal: Name of the signal.
        seconds: Length of the stretch.
    """

    signal: str
    seconds: float

    def touched(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names of the signals that it changes, of those that are recorded."""
        return _among([self.signal], names)

    def __call__(
        self, signals: Mapping[str, Signal], random: np.random.Generator
    ) -> dict[str, Signal]:
        """Return disturbed signals."""
        signal = signals[self.signal]
        samples = signal.samples.copy()
        for start in _starts(signal.duration, self.seconds, random):
            samples[:, _span(start, self.seconds, signal.sfreq)] = 0.0
        return {**signals, self.signal: replace(signal, samples=samples)}


@dataclass(frozen=True)
class Held:
    """Seconds that get lost on the way: the last sample that came through is held.

    Args:
        signal: Name of the signal.
        share: Share of the seconds that are lost, each by itself.
    """

    signal: str
    share: float

    def touched(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names of the signals that it changes, of those that are recorded."""
        return _among([self.signal], names)

    def __call__(
        self, signals: Mapping[str, Signal], random: np.random.Generator
    ) -> dict[str, Signal]:
        """Return disturbed signals."""
        signal = signals[self.signal]
        n_times = signal.samples.shape[1]
        second = (np.arange(n_times) / signal.sfreq).astype(np.int64)
        lost = random.random(second[-1] + 1) < self.share
        lost[0] = False  # there is nothing to hold yet
        last = np.maximum.accumulate(np.where(lost[second], 0, np.arange(n_times)))
        return {**signals, self.signal: replace(signal, samples=signal.samples[:, last])}


@dataclass(frozen=True)
class Halved:
    """Every second sample of every signal is lost; those between lie on a line.

    There is no filter before it: that of a device is made for its full rate.
    """

    def touched(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names of the signals that it changes, of those that are recorded."""
        return tuple(names)

    def __call__(
        self, signals: Mapping[str, Signal], random: np.random.Generator
    ) -> dict[str, Signal]:
        """Return disturbed signals."""
        return {name: _halved(signal) for name, signal in signals.items()}


@dataclass(frozen=True)
class Late:
    """Clocks that differ: one signal keeps time, and all others come late.

    Args:
        seconds: Delay. The first sample is held until then.
        punctual: Signals of which the first that is recorded keeps time; without any of them, it is
            the first in alphabetical order.
    """

    seconds: float
    punctual: tuple[str, ...] = ("bvp", "ecg", "eeg")

    def touched(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names of the signals that it changes, of those that are recorded."""
        keeps_time = next(iter([*_among(self.punctual, names), *sorted(names)]))
        return tuple(name for name in sorted(names) if name != keeps_time)

    def __call__(
        self, signals: Mapping[str, Signal], random: np.random.Generator
    ) -> dict[str, Signal]:
        """Return disturbed signals."""
        late = {}
        for name in self.touched(tuple(signals)):
            signal = signals[name]
            n_times = signal.samples.shape[1]
            before = (np.arange(n_times) - round(self.seconds * signal.sfreq)).clip(0)
            late[name] = replace(signal, samples=signal.samples[:, before])
        return {**signals, **late}


@dataclass(frozen=True)
class Moved:
    """Bursts of movement: in the acceleration, and as artefacts in the pulse wave.

    The course of a burst is real: one of the ``SHAPES`` stretches of the recording in which the
    wrist moves most, drawn for each cell. It is brought to a given strength and added to the
    acceleration; its strongest axis is added to the pulse wave, as a multiple of the wave at rest.
    Light skin, a loose strap or another wrist may do less or more: the multiples are medians over
    the seconds of Stress-Predict in which the wrist moves as much (0.07 to 0.15 g: the wave has
    2.3 times its root mean square at rest, so that 2.1 were added; 0.3 to 0.7 g: 3.4 and 3.2; in
    Wearable Stress 0.8 and 1.8 were added).

    Args:
        level: Movement in g, the root of the mean square over a burst, of all axes together.
        artefact: Root of the mean square that is added to the pulse wave, over that at rest.
        seconds: Length of a burst.
    """

    level: float
    artefact: float
    seconds: float

    def touched(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names of the signals that it changes, of those that are recorded."""
        return _among(["bvp", "acc"], names) if {"bvp", "acc"} <= {*names} else ()

    def __call__(
        self, signals: Mapping[str, Signal], random: np.random.Generator
    ) -> dict[str, Signal]:
        """Return disturbed signals."""
        bvp, acc = signals["bvp"], signals["acc"]
        movement = _a_second(acc)
        shapes = list(_most_moved(acc, movement, self.seconds))
        waves = _a_second(bvp)
        at_rest = [wave for wave, by in zip(waves, movement, strict=False) if by <= STILL]
        wave = float(np.median(at_rest or waves))
        moved, disturbed = acc.samples.copy(), bvp.samples.copy()
        for start in _starts(min(acc.duration, bvp.duration), self.seconds, random):
            shape = shapes[int(random.integers(len(shapes)))]
            place = _span(start, self.seconds, acc.sfreq)
            moved[:, place] += self.level / _size(shape) * shape
            axis = shape[np.argmax((shape**2).mean(axis=1))]
            place = _span(start, self.seconds, bvp.sfreq)
            times = np.arange(place.stop - place.start) / bvp.sfreq
            course = np.interp(times, np.arange(len(axis)) / acc.sfreq, axis)[None]
            disturbed[:, place] += self.artefact * wave / _size(course) * course
        return {
            **signals,
            "bvp": replace(bvp, samples=disturbed),
            "acc": replace(acc, samples=moved),
        }


def _among(signals: Collection[str], names: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in signals if name in names)


def _starts(duration: float, seconds: float, random: np.random.Generator) -> Iterator[float]:
    """Yield the start of a stretch in each complete cell of a recording, in seconds."""
    for cell in range(int(duration / CELL)):
        yield cell * CELL + random.uniform(0, CELL - seconds)


def _span(start: float, seconds: float, sfreq: float) -> slice:
    """Return the samples of a stretch, at least one."""
    first = round(start * sfreq)
    return slice(first, first + max(1, round(seconds * sfreq)))


def _size(course: npt.NDArray[np.floating]) -> float:
    """Return the root of the mean square over time, of all channels together; never 0."""
    return max(float(np.sqrt((course**2).sum(axis=0).mean())), 1e-9)


def _halved(signal: Signal) -> Signal:
    n_times = signal.samples.shape[1]
    places = np.arange(n_times)
    kept = [np.interp(places, places[::2], channel[::2]) for channel in signal.samples]
    return replace(signal, samples=np.stack(kept).astype(np.float32))


def _a_second(signal: Signal) -> npt.NDArray[np.float64]:
    """Return the root of the mean square of all channels about their mean, by second."""
    rate = round(signal.sfreq)
    seconds = signal.samples.shape[1] // rate
    pieces = signal.samples[:, : seconds * rate].astype(np.float64).reshape(-1, seconds, rate)
    pieces -= pieces.mean(axis=2, keepdims=True)
    return np.asarray(np.sqrt((pieces**2).sum(axis=0).mean(axis=1)))


def _most_moved(
    acc: Signal, movement: npt.NDArray[np.float64], seconds: float
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the stretches with the most movement, about their means, shape (3, T)."""
    width = round(seconds)
    whole = movement[: len(movement) // width * width].reshape(-1, width)
    for place in np.argsort(-(whole**2).mean(axis=1), kind="stable")[:SHAPES]:
        shape = acc.samples[:, _span(place * width, seconds, acc.sfreq)]
        yield shape - shape.mean(axis=1, keepdims=True)

"""Doubts about a subject's signals: values that no sensor on a body gives, and what was seen."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from datamodules.signals.kinds import kind_of
from datamodules.signals.recording import STATIC_RATE, Recording, Signal

LIMITS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("eda", "uS"): (0.0, 100.0),
    ("temp", "degC"): (15.0, 45.0),
    ("acc", "g"): (-20.0, 20.0),
    ("ecg", "mV"): (-20.0, 20.0),
    ("emg", "mV"): (-20.0, 20.0),
    ("eeg", "uV"): (-10_000.0, 10_000.0),
}
"""Lowest and highest plausible value by kind and unit. Skin conductance: the range of an Empatica
E4, whose highest published values in Wearable Stress are 76. Temperature: at the skin, in a room.
The others are far beyond what a sensor on a body gives."""
BEYOND_ALL = 1e9
"""A value of any other signal that is larger is none of a sensor."""
FLAT_EDA = 0.01
"""Microsiemens; a recording whose skin conductance varies by less was not worn."""
NO_CONTACT = 0.02
"""Microsiemens, twice the least that an E4 gives; below it, electrodes hardly touch the skin."""
STILL_SECONDS = 2.0
"""Length of a stretch in which a pulse, a muscle or a brain gives more than one value."""
MOVING = frozenset({"bvp", "ecg", "emg", "eeg", "resp"})
"""Kinds of signals that never stand still on a living body."""
NAMED = 3
"""Largest number of sessions that a doubt names."""
MOST_STILL = 0.05
"""Largest share of the time that a signal may stand still, or electrodes not touch."""
SKIN = (20.0, 45.0)
"""Degrees Celsius between which the median of a temperature at the skin lies. A skin conductance
may be as high; but not of somebody whose temperature is below 15 degrees."""


def doubts_of(recordings: Sequence[Recording], names: Sequence[str]) -> list[str]:
    """Return what looks wrong in the signals of a subject.

    Args:
        recordings: Recordings of the subject.
        names: Names of the signals that were measured.
    """
    doubts = []
    for name in names:
        lacking = [recording for recording in recordings if name not in recording.signals]
        having = [recording for recording in recordings if name in recording.signals]
        if lacking:
            doubts.append(f"no {name}{_among(lacking, recordings)}")
        if having and having[0].signals[name].sfreq > STATIC_RATE:
            doubts += [
                f"{doubt}{_among(concerned, recordings)}"
                for doubt, concerned in _of_signal(name, having)
            ]
    return [*doubts, *_exchanged(recordings, names)]


Doubt = tuple[str, list[Recording]]
"""A doubt, and the recordings that it is about."""


def _of_signal(name: str, recordings: Sequence[Recording]) -> Iterator[Doubt]:
    """Yield the doubts about one signal, which all of the recordings have."""
    unit, kind = recordings[0].signals[name].unit, kind_of(name)
    yield from _beyond(name, recordings)
    if kind == "eda" and unit == "uS":
        flat = [r for r in recordings if np.ptp(r.signals[name].samples, axis=1).min() < FLAT_EDA]
        if flat:
            widest = max(float(np.ptp(r.signals[name].samples)) for r in flat)
            yield f"{name} is flat, within {widest:.2g} {unit}", flat
        others = [r for r in recordings if r not in flat]
        words = f"{name} below {NO_CONTACT:g} {unit} for {{}} of the time, as without contact"
        yield from _most(words, [(r, _loose(r.signals[name])) for r in others])
        return
    resting = [r for r in recordings if _resting(r.signals[name])]
    if resting:
        most = max(_resting(r.signals[name]) for r in resting)
        yield f"{name}: {most} channel(s) never change", resting
    elif kind in MOVING:
        words = f"{name} stands still for {{}} of the time"
        yield from _most(words, [(r, _still(r.signals[name])) for r in recordings])


def _beyond(name: str, recordings: Sequence[Recording]) -> Iterator[Doubt]:
    """Yield the range of a signal in recordings in which it is beyond what is plausible."""
    unit = recordings[0].signals[name].unit
    low, high = LIMITS.get((kind_of(name), unit), (-BEYOND_ALL, BEYOND_ALL))
    ranges = [(r, r.signals[name].samples.min(), r.signals[name].samples.max()) for r in recordings]
    ranges = [r for r in ranges if r[1] < low or r[2] > high]
    concerned = [recording for recording, _, _ in ranges]
    if concerned:
        lowest, highest = min(least for _, least, _ in ranges), max(most for *_, most in ranges)
        samples = [recording.signals[name].samples for recording in concerned]
        outside = sum(int(((part < low) | (part > high)).sum()) for part in samples)
        share = outside / sum(part.size for part in samples)
        yield (
            f"{name} from {lowest:.4g} to {highest:.4g} {unit}, expected {low:g} to {high:g} "
            f"({_share(share)} of the samples are beyond)",
            concerned,
        )


def _most(words: str, shares: Sequence[tuple[Recording, float]]) -> Iterator[Doubt]:
    """Yield a doubt about those recordings of which a share is too large, with the largest."""
    concerned = [recording for recording, share in shares if share > MOST_STILL]
    if concerned:
        yield words.format(_share(max(share for _, share in shares))), concerned


def _exchanged(recordings: Sequence[Recording], names: Sequence[str]) -> Iterator[str]:
    """Yield which skin conductance and temperature may be each other's."""
    lowest = LIMITS["temp", "degC"][0]
    for eda in names:
        temp = f"{eda.removesuffix('eda')}temp"
        if kind_of(eda) != "eda" or temp not in names:
            continue
        medians = [
            (recording, _median(recording.signals[eda]), _median(recording.signals[temp]))
            for recording in recordings
            if {eda, temp} <= {*recording.signals}
        ]
        swapped = [m for m in medians if m[2] < lowest and SKIN[0] <= m[1] <= SKIN[1]]
        if swapped:
            _, skin, degrees = swapped[0]
            yield (
                f"{eda} and {temp} look exchanged: medians {skin:.3g} uS and {degrees:.3g} degC"
                f"{_among([m[0] for m in swapped], recordings)}"
            )


def _median(signal: Signal) -> float:
    return float(np.median(signal.samples))


def _loose(signal: Signal) -> float:
    """Return the share of the time in which electrodes hardly touch."""
    return float((signal.samples < NO_CONTACT).mean())


def _resting(signal: Signal) -> int:
    """Return the number of channels that never change."""
    samples = signal.samples
    return int((np.ptp(samples, axis=1) == 0).sum()) if samples.shape[1] > 1 else 0


def _still(signal: Signal) -> float:
    """Return the share of the time in which the channel that rests most gives one value."""
    length = round(STILL_SECONDS * signal.sfreq)
    count = signal.samples.shape[1] // length
    if length < 2 or not count:
        return 0.0
    samples: npt.NDArray[np.float32] = signal.samples[:, : count * length]
    stretches = samples.reshape(len(samples), count, length)
    return float((np.ptp(stretches, axis=2) == 0).mean(axis=1).max())


def _among(concerned: Sequence[Recording], recordings: Sequence[Recording]) -> str:
    """Return how many of a subject's recordings a doubt is about; empty if there is but one."""
    if len(recordings) == 1:
        return ""
    sessions = list(dict.fromkeys(recording.session for recording in concerned))
    several = len({recording.session for recording in recordings}) > 1
    named = f" ({', '.join(sessions)})" if several and len(sessions) <= NAMED else ""
    return f" in {len(concerned)} of {len(recordings)} recordings{named}"


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"

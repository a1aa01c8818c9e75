"""Made-up pulse, skin conductance, temperature, breathing and motion with a planted effect.

    phases = [Phase("baseline", 300.0, 0.0), Phase("stress", 300.0, 1.0)]
    made = session(np.random.default_rng(0), phases)
    made.signals["bvp"], made.segments, made.beats

One latent person drives all signals: a heart that beats faster and more regularly when aroused and
speeds up with every breath in, sweat glands that fire at random and more often when aroused, skin
that cools slowly. Arousal is the level of the current phase, times how much this person reacts,
plus a deviation of each phase, reached over half a minute. Motion comes in bouts, disturbs pulse
and skin conductance, and is independent of arousal.

With ``effect=0`` the levels of the phases are not used at all: the same generator gives the same
samples whatever they are. Everything that varies without arousal is stationary, so that the time
since the start says nothing either. A signal does not depend on which others are asked for.

The constants are round numbers of the right size for healthy adults at rest, chosen so that simple
statistics of a minute tell stress from rest in most but not all minutes of an unknown person; they
are no model of any dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from datamodules.signals.recording import Segment, Signal

Samples = npt.NDArray[np.float64]

E4_RATES: Mapping[str, float] = MappingProxyType(
    {"bvp": 64.0, "eda": 4.0, "temp": 4.0, "acc": 32.0}
)
"""Signals of a wristband and their rates in Hz."""

CHEST_RATES: Mapping[str, float] = MappingProxyType(
    {name: 700.0 for name in ("ecg", "emg", "chest_eda", "chest_temp", "resp", "chest_acc")}
)
"""Signals of a chest belt and their rates in Hz."""

LATENT_RATE = 8.0
"""Rate in Hz of the latent processes that drive the signals."""
LEAD = 120.0
"""Seconds that are simulated before time zero, so that nothing starts abruptly."""
DEVIATION = 0.15
"""Standard deviation of a phase's arousal around its level."""
ONSET, COOLING = 15.0, 45.0
"""Time constants of arousal and of skin temperature, in seconds."""

HEART_RISE = 20.0
"""Beats a minute at full arousal above rest."""
VARIABILITY_FALL = 1.2
"""Heart-rate variability at full arousal is exp(-this) times that at rest."""
CONSTRICTION = 0.3
"""Share by which full arousal lowers the pulse's amplitude."""
RESPONSE_RISE = 4.0
"""Skin conductance responses at full arousal: (1 + this) times as many as at rest."""
TONIC_RISE = 0.25
"""Rise of the logarithm of the tonic level at full arousal."""
TEMPERATURE_FALL = 0.8
"""Fall of the wrist's temperature at full arousal in degrees Celsius; a third at the chest."""
BREATHING_RISE = 0.04
"""Rise of the breathing rate at full arousal, in Hz."""
TONE_RISE = 0.3
"""Rise of the amplitude of the EMG at full arousal, as a share."""

RESPONSE_LIMIT = 60.0
"""Largest number of skin conductance responses a minute."""
RESPONSE_TIMES = (0.75, 3.0)
"""Time constants of the rise and the decay of a skin conductance response, in seconds."""
BOUT_EVERY, BOUT_DECAY = 40.0, 3.0
"""Mean seconds between bouts of motion, and the time constant of one."""


@dataclass(frozen=True)
class Phase:
    """A stretch of a session under one condition.

    Args:
        condition: Name of the condition; an empty one makes no segment.
        seconds: Length of the phase.
        arousal: Level from 0 (rest) to 1 (stress).

    Raises:
        ValueError: A phase without a length, or a level out of range.
    """

    condition: str
    seconds: float
    arousal: float

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError(f"{self.condition}: expected seconds above 0, found {self.seconds}")
        if not 0 <= self.arousal <= 1:
            raise ValueError(f"{self.condition}: expected arousal in [0, 1], found {self.arousal}")


@dataclass(frozen=True)
class Person:
    """Properties of the body that differ from person to person.

    Args:
        heart_rate: Beats a minute at rest.
        arrhythmia: Amplitude of respiratory sinus arrhythmia at rest, in beats a minute.
        breathing: Breaths a second at rest.
        pulse: Amplitude of the blood volume pulse, arbitrary unit.
        conductance: Median tonic skin conductance at the wrist in microsiemens.
        response: Median amplitude of a skin conductance response, as a share of ``conductance``.
        response_rate: Skin conductance responses a minute at rest.
        temperature: Temperature of the wrist's skin in degrees Celsius.
        reactivity: Share of a phase's level that this person feels; 1 on average.
    """

    heart_rate: float
    arrhythmia: float
    breathing: float
    pulse: float
    conductance: float
    response: float
    response_rate: float
    temperature: float
    reactivity: float


@dataclass(frozen=True, eq=False)
class Session:
    """A made-up session.

    Attributes:
        signals: Signals by name; all start at time zero and last as long as the phases.
        segments: A segment for each phase with a name, under the annotation ``"condition"``; none
            reaches beyond the shortest signal.
        beats: The truth: times of the heart beats in seconds, shape (n,).
        responses: The truth: times of the skin conductance responses in seconds, shape (n,).
        person: Person whose session it is.
    """

    signals: Mapping[str, Signal]
    segments: tuple[Segment, ...]
    beats: Samples
    responses: Samples
    person: Person


@dataclass(frozen=True, eq=False)
class _Latent:
    """Processes that drive the signals, (n,), at LATENT_RATE from LEAD seconds before time zero."""

    person: Person
    times: Samples
    arousal: Samples
    cooling: Samples
    breath: Samples
    motion: Samples
    beats: Samples
    responses: Samples
    conductance: Samples

    def at(self, times: Samples, values: Samples) -> Samples:
        return np.interp(times, self.times, values)


_Make = Callable[[np.random.Generator, Samples, _Latent], Samples]


def draw_person(rng: np.random.Generator) -> Person:
    """Draw a random person."""
    return Person(
        heart_rate=float(np.clip(rng.normal(68.0, 5.0), 52.0, 85.0)),
        arrhythmia=float(rng.lognormal(np.log(3.0), 0.3)),
        breathing=float(np.clip(rng.normal(0.25, 0.025), 0.18, 0.32)),
        pulse=float(rng.lognormal(np.log(35.0), 0.3)),
        conductance=float(rng.lognormal(np.log(2.0), 0.6)),
        response=float(rng.lognormal(np.log(0.08), 0.3)),
        response_rate=float(rng.lognormal(np.log(4.0), 0.25)),
        temperature=float(rng.normal(33.0, 1.0)),
        reactivity=float(rng.lognormal(-0.02, 0.2)),
    )


def session(
    rng: np.random.Generator,
    phases: Sequence[Phase],
    effect: float = 1.0,
    rates: Mapping[str, float] = E4_RATES,
    person: Person | None = None,
) -> Session:
    """Make up one session of one person.

    Args:
        rng: Source of the person, unless given, and of all random numbers; two calls with one
            generator give two people.
        phases: Phases in order of time.
        effect: Strength of the effect of arousal on heart rate, its variability, pulse amplitude,
            skin conductance, temperature, breathing and muscle tone; 0 for none.
        rates: Sampling rate in Hz of each signal to make, among those of E4_RATES and CHEST_RATES.
        person: Person whose session it is; None draws one.

    Returns:
        Signals of ``round(seconds * rate)`` samples: ``bvp`` (1, T) in arbitrary unit, mostly
        within 100; ``eda`` and ``chest_eda`` (1, T) in microsiemens; ``temp`` and ``chest_temp``
        (1, T) in degrees Celsius; ``acc`` and ``chest_acc`` (3, T) in g; ``ecg`` and ``emg``
        (1, T) in mV; ``resp`` (1, T) in percent.

    Raises:
        ValueError: No phase, a negative effect, or an unknown signal.
    """
    if not phases:
        raise ValueError("expected at least one phase, found none")
    if not effect >= 0:
        raise ValueError(f"expected an effect of 0 or more, found {effect}")
    for name in rates:
        if name not in _SIGNALS:
            raise ValueError(f"expected signals among {list(_SIGNALS)}, found {name!r}")
    nature, life, *streams = rng.spawn(2 + len(_SIGNALS))
    latent = _live(life, person or draw_person(nature), phases, effect)
    duration = sum(phase.seconds for phase in phases)
    signals = {}
    for (name, (make, channels, unit)), stream in zip(_SIGNALS.items(), streams, strict=True):
        if name in rates:
            times = np.arange(round(duration * rates[name])) / rates[name]
            samples = np.atleast_2d(make(stream, times, latent)).astype(np.float32)
            signals[name] = Signal(samples, rates[name], channels, unit)
    return Session(
        signals={name: signals[name] for name in rates},
        segments=_segments(phases, min(signal.duration for signal in signals.values())),
        beats=latent.beats[(latent.beats >= 0) & (latent.beats < duration)],
        responses=latent.responses[(latent.responses >= 0) & (latent.responses < duration)],
        person=latent.person,
    )


def _segments(phases: Sequence[Phase], shortest: float) -> tuple[Segment, ...]:
    stops = np.minimum(np.cumsum([phase.seconds for phase in phases]), shortest)
    starts = np.concatenate([[0.0], stops[:-1]])
    named = [
        (phase.condition, float(start), float(stop))
        for phase, start, stop in zip(phases, starts, stops, strict=True)
        if phase.condition and stop > start
    ]
    return tuple(
        Segment(start, stop, trial, {"condition": condition})
        for trial, (condition, start, stop) in enumerate(named, start=1)
    )


def _live(
    rng: np.random.Generator, person: Person, phases: Sequence[Phase], effect: float
) -> _Latent:
    felt, heart, lungs, limbs, sweat, skin = rng.spawn(6)
    ends = np.cumsum([phase.seconds for phase in phases])
    times = np.arange(-LEAD, ends[-1] + 5.0, 1 / LATENT_RATE)

    levels = np.array([phase.arousal for phase in phases])
    levels = np.maximum(levels + felt.normal(0.0, DEVIATION, len(levels)), 0.0)
    current = levels[np.minimum(np.searchsorted(ends, times, side="right"), len(levels) - 1)]
    current = effect * person.reactivity * current
    arousal = _lag(current, ONSET)

    rate = person.breathing + BREATHING_RISE * arousal + _wander(lungs, times, 0.015, 40.0)
    breath = 2 * np.pi * np.cumsum(rate) / LATENT_RATE + lungs.uniform(0, 2 * np.pi)
    motion = _bouts(limbs, times)
    beats = _beats(heart, person, times, arousal, breath)

    spell = times[-1] - times[0]
    candidates = sweat.uniform(times[0], times[-1], sweat.poisson(RESPONSE_LIMIT / 60 * spell))
    frequency = person.response_rate * (1 + RESPONSE_RISE * np.interp(candidates, times, arousal))
    fired = sweat.uniform(0, RESPONSE_LIMIT, len(candidates)) < frequency
    size = person.response * sweat.lognormal(0.0, 0.5, len(candidates))
    train = np.histogram(
        candidates[fired], len(times), (times[0], times[-1] + 1 / LATENT_RATE), weights=size[fired]
    )[0]
    tonic = np.exp(TONIC_RISE * arousal + _wander(skin, times, 0.12, 150.0))
    return _Latent(
        person=person,
        times=times,
        arousal=arousal,
        cooling=_lag(current, COOLING),
        breath=breath,
        motion=motion,
        beats=beats,
        responses=np.sort(candidates[fired]),
        conductance=person.conductance * (tonic + _spread(train, _response_shape())),
    )


def _beats(
    rng: np.random.Generator, person: Person, times: Samples, arousal: Samples, breath: Samples
) -> Samples:
    """Return times of beats: one whenever the integral of the heart rate passes an integer."""
    calm = np.exp(-VARIABILITY_FALL * arousal)
    rate = person.heart_rate + HEART_RISE * arousal + _wander(rng, times, 2.0, 60.0)
    rate += calm * (person.arrhythmia * np.sin(breath) + _wander(rng, times, 1.5, 10.0))
    turns = np.cumsum(np.clip(rate, 40.0, 200.0)) / 60 / LATENT_RATE + rng.uniform()
    beats: Samples = np.interp(np.arange(np.ceil(turns[0]), turns[-1]), turns, times)
    jitter = np.clip(rng.normal(0.0, 0.008, len(beats)), -0.03, 0.03)
    beats += jitter * np.interp(beats, times, calm)
    return beats


def _lag(values: Samples, constant: float) -> Samples:
    """Return values at LATENT_RATE, smoothed with a time constant in s, settled at the start."""
    taps = np.exp(-np.arange(0.0, 6 * constant, 1 / LATENT_RATE) / constant)
    taps /= taps.sum()
    settled = values[:1]
    return settled + _spread(values - settled, taps)


def _spread(values: Samples, kernel: Samples) -> Samples:
    """Return a causal convolution by Fourier transform, of the length of ``values``."""
    size = 1 << (len(values) + len(kernel) - 1).bit_length()
    product = np.fft.rfft(values, size) * np.fft.rfft(kernel, size)
    spread: Samples = np.fft.irfft(product, size)[: len(values)]
    return spread


def _wander(rng: np.random.Generator, times: Samples, sd: float, period: float) -> Samples:
    """Draw a slow stationary fluctuation: waves of about ``period`` s at random phases."""
    n_waves = 12
    frequencies = rng.uniform(0.5, 1.5, n_waves) / period
    amplitudes = rng.normal(0.0, sd * np.sqrt(2 / n_waves), n_waves)
    offsets = rng.uniform(0, 2 * np.pi, n_waves)
    total = np.zeros(len(times))
    for amplitude, frequency, offset in zip(amplitudes, frequencies, offsets, strict=True):
        total += amplitude * np.sin(2 * np.pi * frequency * times + offset)
    return total


def _bouts(rng: np.random.Generator, times: Samples) -> Samples:
    """Draw the intensity of motion in g: bouts at random, each dying away."""
    n_bouts = rng.poisson((times[-1] - times[0]) / BOUT_EVERY)
    train = np.zeros(len(times))
    np.add.at(train, rng.integers(0, len(times), n_bouts), rng.exponential(0.25, n_bouts))
    return _spread(train, np.exp(-np.arange(0, 8 * BOUT_DECAY, 1 / LATENT_RATE) / BOUT_DECAY))


def _response_shape() -> Samples:
    """Return a skin conductance response of height 1, at LATENT_RATE."""
    rise, decay = RESPONSE_TIMES
    since = np.arange(0, 8 * decay, 1 / LATENT_RATE)
    shape = np.exp(-since / decay) - np.exp(-since / rise)
    shape /= shape.max()
    return shape


def _table(length: int, *waves: tuple[float, float, float]) -> Samples:
    """Return one turn of a circular waveform: bells of a height, a centre and a width, in turns."""
    turn = np.arange(length) / length
    total = np.zeros(length)
    for height, centre, width in waves:
        total += height * np.exp(-0.5 * (((turn - centre + 0.5) % 1 - 0.5) / width) ** 2)
    return total


_PULSE = _table(1024, (1.0, 0.20, 0.075), (0.45, 0.48, 0.10))
_PULSE = (_PULSE - _PULSE.mean()) / np.ptp(_PULSE) * 2
"""Systolic peak and the wave after it: mean 0, 2 from foot to peak."""
_HEART_SPAN = 1.2
"""Seconds around an R peak that the waveform below covers, half of them before it."""
_HEART = _table(
    4096,
    *(
        (height, 0.5 + centre / _HEART_SPAN, width / _HEART_SPAN)
        for height, centre, width in (
            (0.12, -0.17, 0.025),
            (-0.10, -0.028, 0.010),
            (1.00, 0.0, 0.011),
            (-0.20, 0.030, 0.011),
            (0.28, 0.24, 0.045),
        )
    ),
)
"""P, Q, R, S and T: height in mV, seconds from the R peak, width in seconds."""


def _bvp(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    turn = np.interp(times, latent.beats, np.arange(len(latent.beats))) % 1
    slow = np.exp(-CONSTRICTION * latent.arousal + _wander(rng, latent.times, 0.12, 45.0))
    height = latent.at(times, slow * (1 + 0.08 * np.sin(latent.breath)))
    noise = latent.at(times, 0.04 + 0.6 * latent.motion)
    samples = height * _PULSE[(turn * len(_PULSE)).astype(np.intp)]
    return latent.person.pulse * (samples + noise * rng.standard_normal(len(times)))


def _ecg(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    following = np.searchsorted(latent.beats, times, side="right")
    samples = np.zeros(len(times))
    for beat in (following - 1, following):
        offset = (times - latent.beats[beat]) / _HEART_SPAN + 0.5
        inside = (offset >= 0) & (offset < 1)
        samples += inside * _HEART[(offset * inside * len(_HEART)).astype(np.intp)]
    samples += latent.at(times, 0.05 * np.sin(latent.breath) + 0.1 * latent.motion)
    return samples + 0.015 * rng.standard_normal(len(times))


def _eda(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    touch = 1 + 0.1 * latent.motion * rng.standard_normal(len(latent.motion))
    samples = latent.at(times, latent.conductance * touch)
    return np.maximum(samples + 0.003 * rng.standard_normal(len(times)), 0.01)


def _chest_eda(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    samples = rng.lognormal(0.5, 0.2) * latent.at(times, latent.conductance)
    return np.maximum(samples + 0.003 * rng.standard_normal(len(times)), 0.01)


def _temp(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    slow = _wander(rng, latent.times, 0.25, 300.0) - TEMPERATURE_FALL * latent.cooling
    samples = latent.person.temperature + latent.at(times, slow)
    return samples + 0.01 * rng.standard_normal(len(times))


def _chest_temp(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    slow = _wander(rng, latent.times, 0.1, 300.0) - TEMPERATURE_FALL / 3 * latent.cooling
    samples = latent.person.temperature + rng.normal(1.0, 0.5) + latent.at(times, slow)
    return samples + 0.01 * rng.standard_normal(len(times))


def _resp(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    depth = 3 * np.exp(_wander(rng, latent.times, 0.2, 30.0))
    turn = latent.at(times, latent.breath)
    samples = latent.at(times, depth) * (np.sin(turn) + 0.2 * np.sin(2 * turn))
    return samples + 0.05 * rng.standard_normal(len(times))


def _emg(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
    slow = np.exp(_wander(rng, latent.times, 0.15, 30.0)) * (1 + TONE_RISE * latent.arousal)
    tone = rng.lognormal(np.log(0.01), 0.2) * slow + 0.05 * latent.motion
    return latent.at(times, tone) * rng.standard_normal(len(times))


def _acceleration(share: float) -> _Make:
    def make(rng: np.random.Generator, times: Samples, latent: _Latent) -> Samples:
        tilt = rng.uniform(0.2, 1.2) + _wander(rng, latent.times, 0.4 * share, 200.0)
        turn = rng.uniform(0, 2 * np.pi) + _wander(rng, latent.times, 0.4 * share, 200.0)
        down = [np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)]
        moved = latent.at(times, 0.006 + share * latent.motion)
        gravity = np.stack([latent.at(times, axis) for axis in down])
        return gravity + moved * rng.standard_normal(gravity.shape)

    return make


_SIGNALS: Mapping[str, tuple[_Make, tuple[str, ...], str]] = {
    "bvp": (_bvp, ("bvp",), "a.u."),
    "eda": (_eda, ("eda",), "uS"),
    "temp": (_temp, ("temp",), "degC"),
    "acc": (_acceleration(1.0), ("x", "y", "z"), "g"),
    "ecg": (_ecg, ("ecg",), "mV"),
    "emg": (_emg, ("emg",), "mV"),
    "chest_eda": (_chest_eda, ("eda",), "uS"),
    "chest_temp": (_chest_temp, ("temp",), "degC"),
    "resp": (_resp, ("resp",), "%"),
    "chest_acc": (_acceleration(0.3), ("x", "y", "z"), "g"),
}
"""Function that makes each signal, its channels and its unit."""

"""A made-up session folder of an Empatica E4, in the format of its export.

    BVP.csv EDA.csv TEMP.csv ACC.csv   start in UTC seconds, rate in Hz, one row a sample
    HR.csv                             the same, from ten seconds later, one row a second, until
                                       the pulse ends
    IBI.csv                            start, then time of a beat and seconds since the one before
    tags.csv                           UTC seconds of presses of the button; may be empty
    info.txt                           what the files are

Formats and faults are those of published exports (WESAD; Stress-Predict): decimals, blanks after
the commas of ACC's header but not of its rows, line ends, samples of switching on that mean
nothing, and files that end at different times.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from datamodules.signals.recording import Signal
from datamodules.synthesis.physiology import Session

STEPS_PER_G = 64
"""Steps of the acceleration in a g."""
EARLY_END = 2.0
"""Seconds of a session that a file may lack at its end."""
HEART_RATE_DELAY = 10
"""Seconds that the device averages for a heart rate, so also before the first one."""
N_FLAT, N_HOT = 11, 4
"""First samples of BVP that are -0.00, and of TEMP that are far above 100 degrees."""
HOT = 382.18
DECIMALS: Mapping[str, int] = MappingProxyType({"bvp": 2, "eda": 6, "temp": 2})

INFO = """\
Made up: nobody wore a device. The files have the layout of an Empatica E4's export.

BVP.csv EDA.csv TEMP.csv ACC.csv HR.csv
First line: start of the file in UTC seconds. Second line: samples a second. Then one line a sample.
BVP: pulse at the wrist, no unit. EDA: skin conductance in microsiemens.
TEMP: skin temperature in degrees Celsius. ACC: x, y and z in 1/64 g.
HR: heart rate in beats a minute, from ten seconds after the start.

IBI.csv
First line: start in UTC seconds. Then seconds from the start, and seconds since the beat before.
Beats that were not found with certainty are left out.

tags.csv
UTC seconds of presses of the button, one a line; empty if there were none.
"""


def write_session(
    folder: Path,
    made: Session,
    start: int,
    rng: np.random.Generator,
    tags: Sequence[int] = (),
    tags_name: str = "tags.csv",
    hot_start: bool = True,
) -> None:
    """Write one session as the device's portal exports it.

    Args:
        folder: An empty folder.
        made: A session with the signals bvp, eda, temp and acc at the rates of an E4. Each file
            lacks up to EARLY_END seconds of its end, drawn anew.
        start: UTC seconds of the session's time zero.
        rng: Source of the files' ends and of the beats that are left out.
        tags: UTC seconds of presses of the button.
        tags_name: Some publishers rename the file.
        hot_start: Whether the first temperatures are above 100 degrees; not every device does that.
    """
    pulse_seconds = 0.0
    for name, signal in made.signals.items():
        samples = _cut_short(rng, signal)
        if name == "bvp":
            pulse_seconds = samples.shape[1] / signal.sfreq
        if name == "acc":
            head = [", ".join([f"{start}.000000"] * 3), ", ".join([f"{signal.sfreq:.6f}"] * 3)]
            rows = [f"{x},{y},{z}" for x, y, z in _counts(samples).tolist()]
        else:
            head = [f"{start}.00" if name == "bvp" else f"{start}.000000", f"{signal.sfreq:.6f}"]
            values = _switched_on(name, samples[0].astype(np.float64), hot_start)
            rows = [f"{value:.{DECIMALS[name]}f}" for value in values.tolist()]
        _write_lines(folder / f"{name.upper()}.csv", [*head, *rows])
    rates = [f"{rate:.2f}" for rate in heart_rates(made.beats, int(pulse_seconds))]
    head = [f"{start + HEART_RATE_DELAY}.000000", "1.000000"]
    _write_lines(folder / "HR.csv", [*head, *rates])
    intervals = [f"{time:.6f},{interval:.6f}" for time, interval in _intervals(made.beats, rng)]
    _write_lines(folder / "IBI.csv", [f"{start}.000000, IBI", *intervals])
    _write_lines(folder / tags_name, [str(tag) for tag in tags], end="\r\n")
    _write_lines(folder / "info.txt", INFO.splitlines())


def write_dated_session(
    folder: Path,
    made: Session,
    start: int,
    rng: np.random.Generator,
    tags: Sequence[int] = (),
    repeats: int = 1,
) -> None:
    """Write one session as Hongn et al. published theirs: dates, floats, CRLF, no info.txt.

    Args:
        folder: An empty folder.
        made: A session with the signals bvp, eda, temp and acc at the rates of an E4. Each file
            lacks up to EARLY_END seconds of its end, drawn anew.
        start: UTC seconds of the session's time zero.
        rng: Source of the files' ends and of the beats that are left out.
        tags: UTC seconds of presses of the button.
        repeats: Number of times that the samples of each signal are written.
    """
    head = date_of(start)
    pulse_seconds = 0.0
    for name, signal in made.signals.items():
        samples = _cut_short(rng, signal)
        if name == "bvp":
            pulse_seconds = samples.shape[1] * repeats / signal.sfreq
        if name == "acc":
            values = _counts(samples).astype(np.float64)
        else:
            switched_on = _switched_on(name, samples[0].astype(np.float64), hot_start=False)
            values = switched_on.round(DECIMALS[name])[:, None]
        rows = [",".join(map(repr, row)) for row in values.tolist()] * repeats
        width = values.shape[1]
        lines = [",".join([head] * width), ",".join([repr(signal.sfreq)] * width), *rows]
        _write_lines(folder / f"{name.upper()}.csv", lines, end="\r\n")
    seconds = int(pulse_seconds / repeats)
    rates = [repr(round(rate, 2)) for rate in heart_rates(made.beats, seconds)] * repeats
    lines = [date_of(start + HEART_RATE_DELAY), "1.0", *rates]
    _write_lines(folder / "HR.csv", lines, end="\r\n")
    intervals = [f"{time!r},{interval:.6f}" for time, interval in _intervals(made.beats, rng)]
    _write_lines(folder / "IBI.csv", [f"{head},{head}", *intervals], end="\r\n")
    _write_lines(folder / "tags.csv", [date_of(tag) for tag in tags], end="\r\n")


def date_of(seconds: int) -> str:
    """Return date and time of day of UTC seconds, as ``2013-02-20 17:55:19``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cut_short(rng: np.random.Generator, signal: Signal) -> npt.NDArray[np.float32]:
    """Return the samples of a signal without a random part of its end."""
    n_lost = int(rng.uniform(0, EARLY_END) * signal.sfreq)
    return signal.samples[:, : signal.samples.shape[1] - n_lost]


def _counts(acceleration: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return acceleration in g, shape (3, T), as steps of the device, shape (T, 3)."""
    return np.clip(np.round(acceleration.T * STEPS_PER_G), -128, 127).astype(np.int64)


def heart_rates(beats: npt.NDArray[np.float64], seconds: int) -> list[float]:
    """Return the mean heart rate of the last ten seconds, each second from the tenth on.

    Args:
        beats: Times of the beats in seconds, shape (n,).
        seconds: Length of the session.

    Returns:
        Beats a minute, one value a second.
    """
    rates = []
    for now in range(HEART_RATE_DELAY, seconds):
        recent = beats[(beats > now - HEART_RATE_DELAY) & (beats <= now)]
        rates.append(60 / float(np.diff(recent).mean()))
    return rates


def _switched_on(
    name: str, values: npt.NDArray[np.float64], hot_start: bool
) -> npt.NDArray[np.float64]:
    """Return a signal with the artefacts of switching on the device."""
    if name == "bvp":
        values[:N_FLAT] = -0.0
    elif name == "eda":
        values[:1] = 0.0
    elif name == "temp" and hot_start:
        values[:N_HOT] = HOT + 0.02 * np.arange(N_HOT)
    return values


def _intervals(
    beats: npt.NDArray[np.float64], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Return times and intervals for IBI.csv: to a 64th of a second, some eights of beats lost."""
    times = np.round(beats * 64) / 64
    detected = np.repeat(rng.random(len(beats) // 8 + 1) < 0.5, 8)[: len(beats)]
    return [
        (float(times[beat]), float(times[beat] - times[beat - 1]))
        for beat in range(1, len(beats))
        if detected[beat]
    ]


def _write_lines(path: Path, lines: Sequence[str], end: str = "\n") -> None:
    path.write_text("".join(line + end for line in lines), encoding="ascii", newline="")

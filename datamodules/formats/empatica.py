"""A session folder exported by an Empatica E4: BVP.csv, EDA.csv, TEMP.csv, ACC.csv, tags.csv.

Signal files have no column names: the first line is the start in UTC seconds, the second the rate
in Hz, one value a channel, then one row a sample. Some publishers write times as date and time of
day; programs that save a table again may leave a byte order mark or a blank line. The files of a
session start together, to the second, and end some seconds apart. The first samples after switching
on are artefacts: a skin conductance of zero, temperatures far above 100 degrees.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.folders import listed
from datamodules.formats.tables import read_numbers
from datamodules.signals.recording import Signal

SIGNALS = {"bvp": (1, 64.0), "eda": (1, 4.0), "temp": (1, 4.0), "acc": (3, 32.0)}
"""Channels and rate in Hz of the signals of an E4."""
FILES = {name: f"{name.upper()}.csv" for name in SIGNALS}
UNITS = {"bvp": "a.u.", "eda": "uS", "temp": "degC", "acc": "g"}
CHANNELS = {"bvp": ("bvp",), "eda": ("eda",), "temp": ("temp",), "acc": ("x", "y", "z")}

ACC_STEPS_PER_G = 64
"""The files count acceleration in 1/64 g."""
START_UP_SECONDS = 5.0
"""Length of the start of a recording in which artefacts of switching on are looked for."""
HOTTEST = 100.0
"""Degrees Celsius; above it a temperature is a start-up artefact."""
SPREAD_SECONDS = 15.0
"""Files of one session whose starts or ends differ by more were cut off or do not belong together;
the 35 sessions of Stress-Predict start together and end up to 7 s apart."""
MOST_BLANK = 0.01
"""Largest share of a file's samples that may be blank lines, which are interpolated."""
DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
"""Date and time of day to the second, so that none that was cut off is taken for another."""
ENCODING = "utf-8-sig"
"""UTF-8, with or without a byte order mark."""


@dataclass(frozen=True, eq=False)
class E4Session:
    """One session.

    Attributes:
        start: UTC seconds of time zero of all signals.
        signals: bvp, eda (microsiemens), temp (degrees Celsius), acc (g), cut to their common time.
        tags: Presses of the button, in seconds from ``start``.
        repairs: Faults of the files that were repaired.
    """

    start: float
    signals: dict[str, Signal]
    tags: tuple[float, ...]
    repairs: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds that all signals cover."""
        return min(signal.duration for signal in self.signals.values())


def session_files(folder: Path) -> tuple[Path, ...]:
    """Return the signal files of a session; raises DatasetNotFoundError naming missing ones."""
    missing = [name for name in FILES.values() if not (folder / name).is_file()]
    if missing:
        raise DatasetNotFoundError(
            f"no {', '.join(missing)} in {str(folder)!r}: expected an Empatica E4 session with "
            f"{', '.join(FILES.values())}. Export the session again, or leave the subject out."
        )
    return tuple(folder / name for name in FILES.values())


def read_session(folder: Path) -> E4Session:
    """Read a session folder.

    Raises:
        DatasetNotFoundError: A file is missing.
        DatasetCorruptedError: A file is empty, cut off, or not in the format of an E4.
    """
    session_files(folder)
    starts, samples = {}, {}
    repairs: list[str] = []
    for name in SIGNALS:
        starts[name], samples[name], repaired = _read_file(folder / FILES[name], name)
        repairs += [f"{name}: {repair}" for repair in repaired]
    start = max(starts.values())
    stops = {name: starts[name] + samples[name].shape[1] / SIGNALS[name][1] for name in SIGNALS}
    stop = min(stops.values())
    for verb, times in (("start", starts), ("end", stops)):
        first, last = min(times, key=lambda n: times[n]), max(times, key=lambda n: times[n])
        if times[last] - times[first] > SPREAD_SECONDS:
            raise DatasetCorruptedError(
                f"{folder}: expected files that {verb} within {SPREAD_SECONDS:g} s of each other, "
                f"found {FILES[first]} {times[last] - times[first]:g} s before {FILES[last]}. One "
                "of them was cut off or is of another session; export the session again."
            )
    signals = {}
    for name, (_, sfreq) in SIGNALS.items():
        first_sample = round((start - starts[name]) * sfreq)
        last_sample = first_sample + int((stop - start) * sfreq)
        kept = np.ascontiguousarray(samples[name][:, first_sample:last_sample])
        signals[name] = Signal(kept, sfreq, CHANNELS[name], UNITS[name])
    tags = tuple(tag - start for tag in _read_tags(folder))
    return E4Session(start, signals, tags, tuple(repairs))


def utc_seconds(text: str) -> float:
    """Return a time that is written as UTC seconds, or as date and time of day in UTC.

    Raises:
        ValueError: Neither of them.
    """
    if not DATE.fullmatch(text.strip()):
        return float(text)
    time = datetime.fromisoformat(text.strip())
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _read_file(path: Path, name: str) -> tuple[float, npt.NDArray[np.float32], list[str]]:
    """Return start in UTC seconds, samples (C, T) in the unit of ``UNITS``, and what was repaired.

    Artefacts of switching on are taken away from the samples.
    """
    n_channels, sfreq = SIGNALS[name]
    try:
        with path.open(encoding=ENCODING) as file:
            start = [utc_seconds(value) for value in file.readline().split(",")]
            rate = [float(value) for value in file.readline().split(",")]
            samples = read_numbers(file, np.float32, blank_rows=True).T.copy()
    except ValueError as error:
        raise DatasetCorruptedError(
            f"{path}: expected a start in UTC seconds, a rate, then {n_channels} number(s) a line; "
            f"found otherwise ({error}). Export the session again."
        ) from error
    samples, repairs = _without_blanks(samples)
    if rate != [sfreq] * n_channels or len(set(start)) != 1 or not np.isfinite(start[0]):
        raise DatasetCorruptedError(
            f"{path}: expected {n_channels} channel(s) at {sfreq:g} Hz that start together, found "
            f"rates {rate} and starts {start}. Export the session again."
        )
    if len(samples) != n_channels or not np.isfinite(samples).all():
        broken = np.flatnonzero(~np.isfinite(samples).all(axis=0))
        where = f"an incomplete line {broken[0] + 3}" if len(broken) else f"{len(samples)}"
        raise DatasetCorruptedError(
            f"{path}: expected {n_channels} number(s) on every line, found {where}. The file was "
            "cut off; export the session again."
        )
    if not _ends_with_a_line(path) and samples.shape[1] > 1:
        samples = samples[:, :-1]
        repairs.append("the last line has no end, as it may be cut off; it is left out")
    return start[0], _converted(samples, name), repairs


def _without_blanks(
    samples: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return samples with blank lines interpolated if they are few, and what was repaired."""
    blank = np.asarray(np.isnan(samples).all(axis=0))
    filled = np.flatnonzero(~blank)
    if not len(filled):
        return samples, []
    samples, blank = samples[:, : filled[-1] + 1], blank[: filled[-1] + 1]
    if not 0 < blank.mean() <= MOST_BLANK:
        return samples, []
    times = np.arange(samples.shape[1])
    for channel in samples:
        channel[blank] = np.interp(times[blank], times[filled], channel[filled])
    return samples, [f"{int(blank.sum())} blank line(s) in place of samples, interpolated"]


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _converted(samples: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    """Return samples in the unit of ``UNITS``, with the first good one in place of artefacts."""
    if name == "acc":
        return samples / np.float32(ACC_STEPS_PER_G)
    early = samples[0, : int(START_UP_SECONDS * SIGNALS[name][1])]
    artefacts = {"eda": early <= 0, "temp": early > HOTTEST}.get(name)
    if artefacts is not None and artefacts.any() and not artefacts.all():
        end = int(np.flatnonzero(artefacts)[-1]) + 1
        if end < samples.shape[1]:
            samples[0, :end] = samples[0, end]
    return samples


def _read_tags(folder: Path) -> list[float]:
    """Return UTC seconds; no file and an empty file are both common and mean no tags."""
    for path in listed(folder, "tags*.csv"):
        try:
            lines = path.read_text(encoding=ENCODING).splitlines()
            return [utc_seconds(line) for line in lines if line.strip()]
        except ValueError as error:
            raise DatasetCorruptedError(
                f"{path}: expected one UTC time a line, found otherwise ({error})"
            ) from error
    return []

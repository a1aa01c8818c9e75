"""A session exported by an Empatica E4: BVP.csv, EDA.csv, TEMP.csv, ACC.csv, HR.csv, tags.csv.

They lie in a folder, or at the top of the zip archive that the device's web portal gives. A sensor
may have been off, so that its file is missing.

Signal files have no column names: the first line is the start in UTC seconds, the second the rate
in Hz, one value a channel, then one row a sample. Some publishers write times as date and time of
day; programs that save a table again may leave a byte order mark or a blank line. The files of a
session start together, to the second, and end some seconds apart. The first samples after switching
on are artefacts: a skin conductance of zero, temperatures far above 100 degrees. Of HR.csv only the
times are read, see ``datamodules.formats.clocks``.
"""

import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.clocks import HEART_RATE, doubt_of_rows, doubts_of_clocks
from datamodules.formats.packed import Files
from datamodules.formats.tables import read_numbers
from datamodules.signals.recording import WHOLE_SESSION, Fault, Signal

SIGNALS = {"bvp": (1, 64.0), "eda": (1, 4.0), "temp": (1, 4.0), "acc": (3, 32.0)}
"""Channels and rate in Hz of the signals of an E4."""
FILES = {name: f"{name.upper()}.csv" for name in SIGNALS}
HEART_RATE_FILE = "HR.csv"
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
TAGS = re.compile(r"tags.*\.csv")
ENCODING = "utf-8-sig"
"""UTF-8, with or without a byte order mark."""


@dataclass(frozen=True, eq=False)
class E4Session:
    """One session.

    Attributes:
        start: UTC seconds of time zero of all signals.
        signals: Those of bvp, eda (microsiemens), temp (degrees Celsius) and acc (g) that were
            recorded, cut to their common time.
        tags: Presses of the button, in seconds from ``start``.
        repairs: Faults of the files that were repaired.
        doubts: What looks wrong in the files and is as it was.
    """

    start: float
    signals: dict[str, Signal]
    tags: tuple[float, ...]
    repairs: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds that all signals cover."""
        return min(signal.duration for signal in self.signals.values())

    def faults(self, session: str) -> Iterator[Fault]:
        """Yield repairs and doubts as a reader does."""
        for reason in self.repairs:
            yield Fault(session, WHOLE_SESSION, reason, omitted=False)
        for reason in self.doubts:
            yield Fault(session, WHOLE_SESSION, reason, omitted=False, doubtful=True)


def session_files(place: Path, needed: Collection[str] = ()) -> tuple[Path, ...]:
    """Return the files of a session that are read: those in a folder, or the archive itself.

    Args:
        place: A folder, or a zip archive.
        needed: Names of signals that must be there; of the others, at least one.

    Raises:
        DatasetNotFoundError: Missing files, which it names.
        DatasetCorruptedError: An archive that is damaged or hostile.
    """
    files = Files(place)
    names = files.names()
    present = _present(files, names, needed)
    if files.is_packed:
        return (place,)
    clock = [files.path(HEART_RATE_FILE)] if HEART_RATE_FILE in names else []
    return (*(files.path(FILES[name]) for name in present), *clock)


def read_session(place: Path, needed: Collection[str] = ()) -> E4Session:
    """Read a session folder, or an archive of one.

    Files are put side by side by their own start times, to half a sample of each.

    Args:
        place: A folder, or a zip archive.
        needed: Names of signals that must be there; of the others, at least one.

    Raises:
        DatasetNotFoundError: A file is missing.
        DatasetCorruptedError: A file is empty, cut off, or not in the format of an E4.
    """
    files = Files(place)
    starts, samples = {}, {}
    repairs: list[str] = []
    doubts: list[str] = []
    for name in _present(files, files.names(), needed):
        starts[name], samples[name], repaired = _read_file(files, name)
        repairs += [f"{name}: {repair}" for repair in repaired]
        doubt = doubt_of_rows(samples[name], SIGNALS[name][1])
        doubts += [f"{name}: {doubt}"] if doubt else []
    start = max(starts.values())
    stops = {name: starts[name] + samples[name].shape[1] / SIGNALS[name][1] for name in samples}
    stop = min(stops.values())
    check_spread(place, "start", starts)
    check_spread(place, "end", stops)
    rates = {name: SIGNALS[name][1] for name in samples}
    doubts += doubts_of_clocks(starts, stops | _end_of_heart_rate(files), rates)
    signals = {}
    for name, sfreq in rates.items():
        first_sample = round((start - starts[name]) * sfreq)
        last_sample = first_sample + int((stop - start) * sfreq)
        kept = np.ascontiguousarray(samples[name][:, first_sample:last_sample])
        signals[name] = Signal(kept, sfreq, CHANNELS[name], UNITS[name])
    tags = tuple(tag - start for tag in _read_tags(files))
    return E4Session(start, signals, tags, tuple(repairs), tuple(doubts))


def check_spread(place: Path, verb: str, times: Mapping[str, float]) -> None:
    """Raise DatasetCorruptedError for files of a session that start, or end, far apart.

    Args:
        place: The session, for the message.
        verb: ``"start"`` or ``"end"``.
        times: UTC seconds of it, by signal.
    """
    first, last = min(times, key=lambda n: times[n]), max(times, key=lambda n: times[n])
    if times[last] - times[first] > SPREAD_SECONDS:
        raise DatasetCorruptedError(
            f"{place}: expected files that {verb} within {SPREAD_SECONDS:g} s of each other, "
            f"found {FILES[first]} {times[last] - times[first]:g} s before {FILES[last]}. One "
            "of them was cut off or is of another session; export the session again."
        )


def _present(files: Files, names: Collection[str], needed: Collection[str]) -> list[str]:
    """Return the signals that have a file, in the order of ``SIGNALS``."""
    present = [name for name in SIGNALS if FILES[name] in names]
    missing = [FILES[name] for name in SIGNALS if name in needed and name not in present]
    if missing or not present:
        expected = "all" if missing else "some"
        raise DatasetNotFoundError(
            f"no {', '.join(missing or FILES.values())} in {str(files.place)!r}: expected an "
            f"Empatica E4 session with {expected} of {', '.join(FILES.values())}. Export the "
            "session again, or leave the subject out."
        )
    return present


def utc_seconds(text: str) -> float:
    """Return a time that is written as UTC seconds, or as date and time of day in UTC.

    Raises:
        ValueError: Neither of them.
    """
    if not DATE.fullmatch(text.strip()):
        return float(text)
    time = datetime.fromisoformat(text.strip())
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _read_file(files: Files, name: str) -> tuple[float, npt.NDArray[np.float32], list[str]]:
    """Return start in UTC seconds, samples (C, T) in the unit of ``UNITS``, and what was repaired.

    Artefacts of switching on are taken away from the samples.
    """
    n_channels, _ = SIGNALS[name]
    path, content = files.path(FILES[name]), files.read(FILES[name])
    try:
        file = io.TextIOWrapper(io.BytesIO(content), encoding=ENCODING)
        head = file.readline(), file.readline()
        samples = read_numbers(file, np.float32, blank_rows=True).T.copy()
    except ValueError as error:
        raise _of_other_format(path, name, error) from error
    samples, repairs = _without_blanks(samples)
    start = read_head(path, name, *head)
    if len(samples) != n_channels or not np.isfinite(samples).all():
        broken = np.flatnonzero(~np.isfinite(samples).all(axis=0))
        where = f"an incomplete line {broken[0] + 3}" if len(broken) else f"{len(samples)}"
        raise DatasetCorruptedError(
            f"{path}: expected {n_channels} number(s) on every line, found {where}. The file was "
            "cut off; export the session again."
        )
    if not content.endswith(b"\n") and samples.shape[1] > 1:
        samples = samples[:, :-1]
        repairs.append("the last line has no end, as it may be cut off; it is left out")
    return start, without_start_up(in_unit(samples, name), name), repairs


def read_head(path: Path, name: str, start_line: str, rate_line: str) -> float:
    """Return the start in UTC seconds that the first two lines of a file say.

    Args:
        path: The file, for messages.
        name: Name of its signal.
        start_line: Its first line.
        rate_line: Its second line.

    Raises:
        DatasetCorruptedError: Lines that are none of this signal of an E4.
    """
    n_channels, sfreq = SIGNALS[name]
    try:
        start = [utc_seconds(value) for value in start_line.split(",")]
        rate = [float(value) for value in rate_line.split(",")]
    except ValueError as error:
        raise _of_other_format(path, name, error) from error
    if rate != [sfreq] * n_channels or len(set(start)) != 1 or not np.isfinite(start[0]):
        raise DatasetCorruptedError(
            f"{path}: expected {n_channels} channel(s) at {sfreq:g} Hz that start together, found "
            f"rates {rate} and starts {start}. Export the session again."
        )
    return start[0]


def _of_other_format(path: Path, name: str, error: ValueError) -> DatasetCorruptedError:
    return DatasetCorruptedError(
        f"{path}: expected a start in UTC seconds, a rate, then {SIGNALS[name][0]} number(s) a "
        f"line; found otherwise ({error}). Export the session again."
    )


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


def in_unit(samples: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    """Return samples of a file, shape (C, T), in the unit of ``UNITS``."""
    return samples / np.float32(ACC_STEPS_PER_G) if name == "acc" else samples


def without_start_up(samples: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    """Return the samples of a recording with the first good one in place of artefacts before it.

    Args:
        samples: Samples from the first one on, shape (C, T), which are changed; only the first
            ``start_up_samples`` have a say.
        name: Name of the signal.
    """
    early = samples[0, : int(START_UP_SECONDS * SIGNALS[name][1])]
    artefacts = {"eda": early <= 0, "temp": early > HOTTEST}.get(name)
    if artefacts is not None and artefacts.any() and not artefacts.all():
        end = int(np.flatnonzero(artefacts)[-1]) + 1
        if end < samples.shape[1]:
            samples[0, :end] = samples[0, end]
    return samples


def start_up_samples(name: str) -> int:
    """Return the number of samples at the start of a file that decide on artefacts of it."""
    return int(START_UP_SECONDS * SIGNALS[name][1]) + 1 if name in ("eda", "temp") else 0


def _end_of_heart_rate(files: Files) -> dict[str, float]:
    """Return UTC seconds of the end of HR.csv; none if it is missing or tells nothing."""
    if HEART_RATE_FILE not in files.names():
        return {}
    try:
        start, rate, *rows = files.read(HEART_RATE_FILE).decode(ENCODING).split("\n")
        n_rows = sum(1 for row in rows if row.strip())
        return {HEART_RATE: utc_seconds(start) + n_rows / float(rate)}
    except (ValueError, ZeroDivisionError):
        return {}


def _read_tags(files: Files) -> list[float]:
    """Return UTC seconds; no file and an empty file are both common and mean no tags.

    A last line without an end may be cut off, and is none.
    """
    for name in files.names():
        if not TAGS.fullmatch(name):
            continue
        try:
            text = files.read(name).decode(ENCODING)
            lines = text.splitlines()[: None if text.endswith("\n") else -1]
            return [utc_seconds(line) for line in lines if line.strip()]
        except ValueError as error:
            raise DatasetCorruptedError(
                f"{files.path(name)}: expected one UTC time a line, found otherwise ({error})"
            ) from error
    return []

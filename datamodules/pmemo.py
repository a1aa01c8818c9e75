"""PMEmo: skin conductance of 457 listeners to 794 songs (Zhang et al. 2018), edition of 2019.

Skin conductance was measured while people listened to the choruses of pop songs.

Published by Zhejiang University, free to download for research: look for HuiZhangDB/PMEmo.
Audio, lyrics and comments are other people's. Not to be passed on with this project.

* 457 listeners, named by six digits, who heard about 20 songs each, in one session; 794 clips
  of 38 s on average, each heard by about ten. 767 of them are annotated, so that about 7,700
  pairs of a song and a listener can be used.
* eda (50 Hz; taken for microsiemens) of a listener during a song. music: the 6,373 functionals
  of openSMILE's ComParE 2013 set, one vector a song; they span many orders of magnitude. The
  audio is not used.
* Valence and arousal from 0 to 1, means over a song's annotators, of the whole clip and twice a
  second from second 15 on. **Those of single listeners are not published**: what is predicted
  is how others felt. A song has one label for everybody, so it must not be on two sides of a
  split, or a model need only recognise it: the default split keeps songs and listeners apart.
  72 % of the songs are high in valence, 74 % in arousal.
* One song may have two numbers: eleven pairs of annotated songs have equal title and artist, and
  numbers with equal features are taken for one song as well. The stimulus is the song: the lowest
  number that it has.
* Known faults: the numbers of the songs have gaps (794 between 1 and 1000); 27 songs have skin
  conductance but no annotation; traces may end in empty cells. A table whose last line has no end
  may be cut off there: that line is left out, which costs a song or a sample, and is on record.

::

    annotations/static_annotations.csv       musicId, Arousal(mean), Valence(mean)
    annotations/dynamic_annotations.csv      the same with frameTime; read if dynamic
    EDA/1_EDA.csv ... EDA/1000_EDA.csv       time, then a column for each listener
    features/static_features.csv             musicId and 6,373 features
    metadata.csv chorus/ comments/ lyrics/   not read

References:
    Zhang, Zhang, Li, Yang, Sun: The PMEmo dataset for music emotion recognition. ICMR 2018,
    doi 10.1145/3206025.3206037.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.tables import Float, read_numbers
from datamodules.signals.preprocessing import EDA_PARTS, derived_shapes
from datamodules.signals.recording import STATIC_RATE, Fault, Recording, Segment, Signal
from datamodules.splits import SUBJECT_SPLITS
from datamodules.tasks import RatingTask

N_SONGS, N_LISTENERS = 794, 457
"""As the publisher counts them."""
EDA_RATE = 50.0
"""Samples a second, from the authors' notebook; the time column is checked against it."""
TIME_SLACK = 0.01
"""Seconds by which a time may be off the grid: half a sample."""
N_FEATURES = 6373
"""Functionals of openSMILE's ComParE 2013 set."""
SAME_SONGS = (
    *((90, 92), (160, 162), (176, 186), (179, 185), (316, 317), (394, 395), (408, 409)),
    *((644, 645), (758, 759), (853, 854), (966, 967)),
)
"""Pairs of numbers with equal title and artist in the published table of songs."""
MUSIC_CHANNELS = tuple(map(str, range(N_FEATURES)))
"""Features by their position in the file; their names are long."""
TRIAL_SECONDS = (15.0, 90.0)
"""Shortest and longest trial. Inferred: the dynamic ratings begin at 15 s, so every rated clip is
longer than that; the clips last 38 s on average. What lies beyond 90 s of a trace is not used."""

DYNAMIC_START = 15.0
"""Seconds of every clip without dynamic ratings: the publisher cut them."""
DYNAMIC_RATE = 2.0
"""Dynamic ratings a second. A frame is taken to end at its time, so that the one of 15.5 s is the
first after the cut. Inferred from a published example with frames from 15.5 s to 49.0 s in a clip
of 49.1 s. Of songs whose frames begin at 15.0 s the first one is not used."""
SEGMENT_SECONDS = 15.0
"""Length of a segment where the ratings are dynamic: the shortest trial."""
SEGMENTS_A_SONG = 100
"""More than a song can have: trial k of song n is n times this, plus k."""

EDA_NAME = re.compile(r"([1-9][0-9]*)_EDA\.csv")
LISTENER = re.compile(r"[0-9]{6}$")
"""A listener's id: the last six characters of a column's name. The first column is the time."""
STATIC_FILE = Path("annotations") / "static_annotations.csv"
DYNAMIC_FILE = Path("annotations") / "dynamic_annotations.csv"
FEATURE_FILE = Path("features") / "static_features.csv"
SONG = "musicId"
RATINGS = ("Valence(mean)", "Arousal(mean)")
"""Columns of both kinds of annotations; the files have them in the other order."""
FRAME = "frameTime"
CUT_LINE = "the last line has no end, as it may be cut off; it is left out"

Samples = npt.NDArray[np.float32]
Ratings = npt.NDArray[np.float64]
"""Valence and arousal of a song, shape (2,); of its frames from second 0 on, shape (F, 2)."""


class Music(NamedTuple):
    """Features of a song, shape (6373,), and the lowest number that the song has."""

    features: Samples
    song: int


T = TypeVar("T")


class _Tables:
    """Tables that listeners share, each parsed once for as long as its file does not change."""

    def __init__(self) -> None:
        self._parsed: dict[tuple[object, ...], object] = {}

    def get(self, parse: Callable[[Path], T], path: Path) -> T:
        """Return what ``parse`` makes of a file."""
        stat = path.stat()
        key = parse, path, stat.st_size, stat.st_mtime_ns
        if key not in self._parsed:
            self._parsed[key] = parse(path)
        return cast(T, self._parsed[key])

    def __reduce__(self) -> tuple[type["_Tables"], tuple[()]]:
        return _Tables, ()  # a reader that is pickled leaves its tables behind


@dataclass(frozen=True)
class PMEmoReader:
    """Reads a subject, that is a listener, song by song; a recording is a song.

    Args:
        root: The publisher's folder, with ``EDA``, ``annotations`` and ``features`` in it.
        dynamic: Rate stretches of 15 s by the mean of their dynamic ratings, from second 15 of each
            song on, instead of whole songs. Trial k of song n then has the number 100 n + k, and
            100 n stands for the song as a whole.
    """

    root: Path
    dynamic: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """Listeners that the files of skin conductance name, by number.

        Raises:
            DatasetNotFoundError: No such file.
            DatasetCorruptedError: A file without listeners.
        """
        return tuple(self._songs)

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the skin conductance of the listener's songs, then annotations and features.

        Raises:
            DatasetNotFoundError: No such listener, or no annotations or features.
        """
        if subject not in self._songs:
            raise DatasetNotFoundError(
                f"no listener {subject!r} of PMEmo in {str(self.root)!r}: expected one of the "
                f"{len(self._songs)} of {N_LISTENERS} whom the files in EDA name, "
                f"{self.subjects[0]} to {self.subjects[-1]}"
            )
        shared = (DYNAMIC_FILE if self.dynamic else STATIC_FILE, FEATURE_FILE)
        for name in shared:
            if not (self.root / name).is_file():
                raise DatasetNotFoundError(
                    f"no {name} in {str(self.root)!r}: expected it beside EDA, in which "
                    f"{len(self._songs)} of {N_LISTENERS} listeners are. Unpack the whole archive."
                )
        return (*self._songs[subject].values(), *(self.root / name for name in shared))

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield a recording or a fault for each song that the listener heard, by its number.

        The tables, which listeners share, stay in memory as long as the reader: up to 120 MB.

        Raises:
            DatasetNotFoundError: No such listener, or no annotations or features.
            DatasetCorruptedError: A file holds something else than the publisher's.
        """
        *_, annotations, features = self.files(subject)
        music, without_music = self._tables.get(_features, features)
        parse = _dynamic if self.dynamic else _static
        ratings, without_rating = self._tables.get(parse, annotations)
        cut = _stretches if self.dynamic else _whole
        for song, path in self._songs[subject].items():
            traces, is_cut = self._tables.get(_traces, path)
            trace = traces[subject]
            filled = np.flatnonzero(~np.isnan(trace))
            eda = trace[: filled[-1] + 1] if len(filled) else trace[:0]
            reason = _unusable(eda, song in ratings, music.get(song))
            if song == without_music:
                reason = f"music: {CUT_LINE}"
            if song == without_rating and song not in ratings:
                reason = f"annotations: {CUT_LINE}"
            if reason:
                yield Fault("1", song * (SEGMENTS_A_SONG if self.dynamic else 1), reason)
                continue
            segments, faults = cut(song, len(eda), ratings[song])
            if segments:
                vector, stimulus = music[song]
                signals = {
                    "eda": Signal(eda[None, :], EDA_RATE, ("eda",), "uS"),
                    "music": Signal(vector[:, None], STATIC_RATE, MUSIC_CHANNELS, "a.u."),
                }
                named = (replace(segment, stimulus=str(stimulus)) for segment in segments)
                yield Recording(subject, "1", signals, tuple(named))
            repairs = {
                "eda: ends in empty cells": len(eda) < len(trace),
                f"eda: {CUT_LINE}": is_cut,
                f"annotations: {CUT_LINE}": song == without_rating,
            }
            for repair, was_done in repairs.items():
                if segments and was_done:
                    yield Fault("1", segments[0].trial, repair, omitted=False)
            yield from faults

    @cached_property
    def _tables(self) -> _Tables:
        return _Tables()

    @cached_property
    def _songs(self) -> dict[str, dict[int, Path]]:
        """Files of the songs that each listener heard, by number; listeners by number, too."""
        folder = self.root / "EDA"
        paths = folder.iterdir() if folder.is_dir() else ()
        songs = {int(name[1]): path for path in paths if (name := EDA_NAME.fullmatch(path.name))}
        if not songs:
            raise DatasetNotFoundError(
                f"no EDA/<musicId>_EDA.csv in {str(self.root)!r}: expected {N_SONGS} of them, "
                "found none. Unpack the archive and name the folder with metadata.csv in it."
            )
        heard: dict[str, dict[int, Path]] = {}
        for song, path in sorted(songs.items()):
            with path.open("rb") as file:
                for listener in _listeners(path, _names(file.readline())):
                    heard.setdefault(listener, {})[song] = path
        return dict(sorted(heard.items()))


def _unusable(eda: Samples, annotated: bool, music: Music | None) -> str | None:
    """Return the reason to leave a trial out; None if it is usable."""
    if not annotated:
        return "no annotation of the song"
    if music is None:
        return "music: no features of the song"
    if not np.isfinite(music.features).all():
        return "music: missing or infinite features"
    if len(eda) < TRIAL_SECONDS[0] * EDA_RATE:
        return f"eda: shorter than {TRIAL_SECONDS[0]:g} s"
    if not np.isfinite(eda).all():
        return "eda: missing or infinite samples before the end"
    return None


def _whole(song: int, n_times: int, ratings: Ratings) -> tuple[list[Segment], list[Fault]]:
    """Return the song as one segment with its mean rating, and its fault if it is cut."""
    seconds, longest = n_times / EDA_RATE, TRIAL_SECONDS[1]
    faults = []
    if seconds > longest:
        faults.append(Fault("1", song, f"eda: only {longest:g} s of it are used", omitted=False))
    return [_segment(song, 0.0, min(seconds, longest), ratings)], faults


def _stretches(song: int, n_times: int, frames: Ratings) -> tuple[list[Segment], list[Fault]]:
    """Return segments of 15 s with the mean of their frames, and faults of those without all."""
    start, count = round(DYNAMIC_START * DYNAMIC_RATE), round(SEGMENT_SECONDS * DYNAMIC_RATE)
    rated = min(int(n_times / EDA_RATE * DYNAMIC_RATE), len(frames) - 1)
    segments, faults = [], []
    for number in range(1, (rated - start) // count + 1):
        trial = song * SEGMENTS_A_SONG + number
        stop = start + number * count
        ratings = frames[stop - count + 1 : stop + 1].mean(axis=0)
        if np.isnan(ratings).any():
            faults.append(Fault("1", trial, "dynamic ratings are missing"))
        else:
            span = (stop - count) / DYNAMIC_RATE, stop / DYNAMIC_RATE
            segments.append(_segment(trial, *span, ratings))
    if not segments and not faults:
        reason = f"shorter than the {DYNAMIC_START + SEGMENT_SECONDS:g} s of a rated segment"
        faults.append(Fault("1", song * SEGMENTS_A_SONG, reason))
    return segments, faults


def _segment(trial: int, start: float, stop: float, ratings: Ratings) -> Segment:
    valence, arousal = ratings.tolist()
    return Segment(start, stop, trial, {"valence": valence, "arousal": arousal})


def _traces(path: Path) -> tuple[Mapping[str, Samples], bool]:
    """Return the skin conductance of a song's listeners in microsiemens, NaN where empty, (T,).

    The second value says whether a last line was left out, see ``_table``.
    """
    names, cells, last = _table(path, np.float32)
    listeners = _listeners(path, names)
    times = cells[:, 0]
    if not np.all(np.abs(times - np.arange(len(times)) / EDA_RATE) < TIME_SLACK):
        raise DatasetCorruptedError(
            f"{path}: {names[0]}: expected times at {EDA_RATE:g} Hz from 0 s on without a gap, "
            f"found {times[0]:g} to {times[-1]:g} in {len(times)} rows"
        )
    columns = np.ascontiguousarray(cells.T)
    columns.flags.writeable = False
    return dict(zip(listeners, columns[1:], strict=True)), last is not None


def _features(path: Path) -> tuple[Mapping[int, Music], float | None]:
    """Return features and song of each number, and the number that was left out, see ``_table``.

    Raises:
        DatasetCorruptedError: Other columns.
    """
    names, cells, last = _table(path, np.float32)
    if names[0] != SONG or len(names) != 1 + N_FEATURES:
        raise DatasetCorruptedError(
            f"{path}: expected {SONG} and {N_FEATURES} features, found {names[0]} and "
            f"{len(names) - 1}"
        )
    songs = _song_ids(path, cells[:, 0], one_row=True)
    rows = np.ascontiguousarray(cells[:, 1:])
    rows.flags.writeable = False
    features = dict(zip(songs, rows, strict=True))
    same_as = _same_songs(features)
    return {number: Music(row, same_as[number]) for number, row in features.items()}, last


def _same_songs(features: Mapping[int, Samples]) -> Mapping[int, int]:
    """Return the lowest number of the song of each number."""
    lowest: dict[bytes, int] = {}
    same_as = {n: lowest.setdefault(features[n].tobytes(), n) for n in sorted(features)}
    for pair in SAME_SONGS:
        if all(number in same_as for number in pair):
            first, second = sorted(same_as[number] for number in pair)
            same_as = {n: first if song == second else song for n, song in same_as.items()}
    return same_as


def _static(path: Path) -> tuple[Mapping[int, Ratings], float | None]:
    """Return mean valence and arousal of each song, (2,), and the song whose line was left out."""
    songs, _, ratings, last = _annotations(path)
    return dict(zip(_song_ids(path, songs, one_row=True), ratings, strict=True)), last


def _dynamic(path: Path) -> tuple[Mapping[int, Ratings], float | None]:
    """Return the frames of each song, (F, 2), NaN for a missing one, and that of a lost line."""
    ids, times, ratings, last = _annotations(path, FRAME)
    songs = np.array(_song_ids(path, ids))
    latest = SEGMENTS_A_SONG * SEGMENT_SECONDS
    if not np.all((times >= 0) & (times < latest)):
        raise DatasetCorruptedError(f"{path}: {FRAME}: expected 0 to {latest:g} s, found others")
    # The times are floats that need not be exact.
    numbers = np.rint(times * DYNAMIC_RATE).astype(np.int64)
    if len(np.unique([songs, numbers], axis=1).T) != len(songs):
        raise DatasetCorruptedError(
            f"{path}: {FRAME}: expected {DYNAMIC_RATE:g} frames a second, found two at one time"
        )
    frames: dict[int, Ratings] = {}
    for song in np.unique(songs).tolist():
        positions = numbers[songs == song]
        frames[song] = np.full((positions.max() + 1, len(RATINGS)), np.nan)
        frames[song][positions] = ratings[songs == song]
    return frames, last


def _annotations(path: Path, second: str = SONG) -> tuple[Ratings, Ratings, Ratings, float | None]:
    """Return songs, a second column and ratings of rated rows; shapes (n,), (n,), (n, 2).

    The last value is the song whose line was left out, see ``_table``.
    """
    names, cells, last = _table(path, np.float64)
    columns = [SONG, second, *RATINGS]
    if not set(columns) <= set(names):
        raise DatasetCorruptedError(f"{path}: expected columns {columns}, found {names[:6]}")
    rows = cells[:, [names.index(name) for name in columns]]
    rows = rows[~np.isnan(rows[:, 2:]).any(axis=1)]
    ratings = rows[:, 2:]
    if not len(ratings) or ratings.min() < 0 or ratings.max() > 1:
        span = f"{ratings.min():g} to {ratings.max():g}" if len(ratings) else "empty cells only"
        raise DatasetCorruptedError(f"{path}: expected ratings from 0 to 1, found {span}")
    return rows[:, 0], rows[:, 1], ratings, last


def _song_ids(path: Path, values: Samples | Ratings, one_row: bool = False) -> list[int]:
    """Return the numbers of songs in a column; ``one_row``: no song may come twice."""
    if not np.all(np.isfinite(values) & (values >= 1) & (values == np.rint(values))):
        raise DatasetCorruptedError(f"{path}: {SONG}: expected whole numbers, found other cells")
    songs: list[int] = values.astype(np.int64).tolist()
    if one_row and len(set(songs)) != len(songs):
        raise DatasetCorruptedError(f"{path}: {SONG}: expected one row a song, found several")
    return songs


def _names(line: bytes) -> list[str]:
    """Return the names of the columns in the first line of a file."""
    return [name.strip(' "') for name in line.decode("utf-8-sig", "replace").strip().split(",")]


def _listeners(path: Path, names: Sequence[str]) -> list[str]:
    """Return the ids of the listeners in the names of all columns but the first."""
    matches = [LISTENER.search(name) for name in names[1:]]
    ids = [match[0] for match in matches if match]
    if not ids or len(set(ids)) != len(names) - 1:
        raise DatasetCorruptedError(
            f"{path}: expected a column of times, then one for each listener, named by six digits, "
            f"found {names[:6]}"
        )
    return ids


def _table(path: Path, dtype: type[Float]) -> tuple[list[str], npt.NDArray[Float], float | None]:
    """Return names of columns, and cells: NaN if empty, infinite if beyond the type.

    A last line without an end may be cut off inside its last number. It is left out, and its first
    cell is the third value; None if every line has an end.
    """
    raw = path.read_bytes()
    content = raw.rstrip()
    lines = content.splitlines()
    if len(lines) < 2:
        raise DatasetCorruptedError(f"{path}: expected column names and rows, found none")
    names = _names(lines[0])
    for number, line in enumerate(lines, start=1):
        # A file that was cut off would else be filled up with empty cells.
        if line.count(b",") != len(names) - 1:
            raise DatasetCorruptedError(
                f"{path}, line {number}: expected {len(names)} cells, found {line.count(b',') + 1}"
            )
    try:
        with np.errstate(over="ignore"):
            cells = read_numbers(io.BytesIO(content), dtype, n_skipped=1, n_columns=len(names))
    except ValueError as error:
        raise DatasetCorruptedError(f"{path}: expected numbers, found {error}") from error
    last = None
    if not raw.endswith((b"\n", b"\r")):
        last, cells = float(cells[-1, 0]), cells[:-1]
    if not np.isfinite(cells[:, 1:]).any():
        raise DatasetCorruptedError(f"{path}: expected numbers, found empty cells only")
    return names, cells, last


PMEMO = Dataset(
    name="pmemo",
    title="PMEmo",
    reader=PMEmoReader,
    tasks={
        name: RatingTask(name, midpoint=0.5, source="song mean above 0.5 (of Zhang et al. 2018)")
        for name in ("valence", "arousal")
    },
    signals=derived_shapes({"eda": (1, EDA_RATE), "music": (N_FEATURES, STATIC_RATE)}, EDA_PARTS),
    unit=None,
    trial_seconds=TRIAL_SECONDS,
    preprocessing=EDA_PARTS,
    splits=("subject_stimulus_k_fold", *SUBJECT_SPLITS),
    access=(
        "Free for research: look for HuiZhangDB/PMEmo. To try things out: affectbench data "
        "synthesize pmemo."
    ),
    layout=f"{STATIC_FILE}, {FEATURE_FILE} and EDA/<musicId>_EDA.csv ({N_SONGS} songs)",
    writer="datamodules.synthesis.pmemo",
)

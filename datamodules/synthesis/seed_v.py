"""SEED-V made up: the publisher's folders and files, with a planted effect in them.

    EEG_DE_features/1_123.npz         differential entropy of all trials, and a notebook
    Eye_movement_features/1_123.npz   eye movements of all trials, and a notebook
    EEG_raw/1_1_20180804.cnt          raw recordings, on request: 0.9 GB a session
    trial_start_end_timestamp.txt     when the films were shown

Films are as long as the published ones, so a subject has 1823 rows, 5 MB. Spreadsheets, the eye
tracker's own files and the publisher's code are not written.
"""

import pickle
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from datamodules.errors import AffectbenchError
from datamodules.seed_v import (
    CHANNELS,
    EEG_FEATURES,
    EEG_FOLDER,
    EMOTIONS,
    EYE_FEATURES,
    EYE_FOLDER,
    LABELS,
    N_TRIALS,
    RAW_FOLDER,
    RAW_RATE,
    ROW_SECONDS,
    SESSIONS,
    STARTS,
    STOPS,
    SUBJECTS,
)
from datamodules.signals.kinds import EEG_BANDS
from datamodules.synthesis.eeg import draw_head, eeg
from datamodules.synthesis.folders import check_free, check_request, new_folder, write_new

Samples = npt.NDArray[np.float64]
Trials = dict[int, Samples]
"""Rows by the keys of the files: 0 to 14 are the first session, and so on."""

TIMES_FILE, NOTEBOOK = "trial_start_end_timestamp.txt", "load_data.ipynb"
"""Files beside the archives; the name of the notebook is not known."""

ENTROPY = (3.5, 2.6, 2.4, 1.9, 1.4)
"""Mean differential entropy of the bands, of EEG of some microvolts."""
EYE_SPREAD = 3.0
"""Standard deviation of the means of the eye features; that of a feature is about 1."""
PATTERN = 0.3
"""Standard deviation of an emotion's pattern over the columns."""
PERSON, SESSION = 0.5, 0.2
"""Standard deviations over the columns of people, and of sessions of a person."""
MOOD = 0.45
"""Standard deviation of the weights of all emotions' patterns in a trial, besides the effect."""
NOISE, SMOOTH = 0.3, 5
"""Standard deviation of the noise of a column, and the rows over which it is smoothed."""
EYE_SHARE = 0.6
"""Effect on the eye movements as a share of that on the EEG."""

N_SHORT, N_GAPS = 9, 4
"""Trials of a subject whose eye movements lack the last row; trials in which they have NaN."""
GAP_FEATURES, GAP_SHARE = 3, 0.3
"""Number of features that are NaN at once, and the share of the trial's rows that it lasts."""

FELT: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "disgust": (0.15, 0.6),
        "fear": (0.2, 0.9),
        "sad": (0.1, 0.35),
        "neutral": (0.5, 0.1),
        "happy": (0.9, 0.7),
    }
)
"""Valence and arousal in the raw recordings."""
REST = (0.5, 0.1)
"""Valence and arousal between the films."""
# fmt: off
DATES = (
    (20180804, 20180810, 20180808), (20180416, 20180419, 20180425), (20180414, 20180419, 20180424),
    (20180414, 20180417, 20180501), (20180719, 20180728, 20180723), (20180713, 20180731, 20180802),
    (20180411, 20180418, 20180422), (20180717, 20180802, 20180726), (20180724, 20180804, 20180728),
    (20180507, 20180524, 20180626), (20180510, 20180508, 20180522), (20180515, 20180508, 20180517),
    (20180720, 20180806, 20180725), (20180420, 20180423, 20180427), (20180724, 20180807, 20180730),
    (20180805, 20180815, 20180813),
)
# fmt: on
"""In the names of the raw recordings, by subject and session; one source."""
TAIL = 5
"""Seconds that a raw recording continues after the last film."""
PIECE = 10
"""Seconds of raw EEG that are made at once; pieces do not join smoothly."""
EYE_CHANNELS = ("VEO", "HEO")
EYE_SCALE = 5.0
"""Amplitude at the electrodes at the eyes, as a multiple of that at the others."""
COUNTS_PER_MICROVOLT = 204.8
"""Steps of the recorder, before sensitivity and calibration."""


def _raw_channels() -> tuple[str, ...]:
    after = {"T8": ("M1",), "TP8": ("M2",)}
    mounted = [name for channel in CHANNELS for name in (channel, *after.get(channel, ()))]
    return (*mounted, *EYE_CHANNELS)


RAW_CHANNELS = _raw_channels()
"""The 66 channels of a raw recording; the positions of the four that are no EEG are inferred."""


def write(
    root: Path,
    n_subjects: int = 6,
    seed: int = 0,
    effect: float = 1.0,
    raw: bool = False,
    session: int = 0,
) -> None:
    """Write the first subjects of a made-up SEED-V.

    Args:
        root: Parent folder of the new folders; made if it does not exist.
        n_subjects: 1 to 16. A subject does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of the emotions on the signals; 0 for none.
        raw: Write raw recordings too: 2.4 GB and a minute a subject.
        session: Number of the only session whose raw recordings are written; 0: all three.

    Raises:
        AffectbenchError: A number of subjects, an effect or a session out of range, or a folder
            that exists; nothing is written then.
    """
    if session and str(session) not in SESSIONS:
        raise AffectbenchError(f"expected session 1, 2 or 3, or 0 for all, found {session}")
    names = [f"{EEG_FOLDER}/{subject}_123.npz" for subject in SUBJECTS]
    check_request(root, names, n_subjects, effect)
    check_free(root, [EEG_FOLDER, EYE_FOLDER, TIMES_FILE, *([RAW_FOLDER] if raw else [])])
    chosen = SUBJECTS[:n_subjects]
    with new_folder(root / EEG_FOLDER) as eeg_folder, new_folder(root / EYE_FOLDER) as eye_folder:
        for subject in chosen:
            eeg_rows, eye_rows = _features(seed, int(subject), effect)
            _write_archive(eeg_folder / f"{subject}_123.npz", eeg_rows)
            _write_archive(eye_folder / f"{subject}_123.npz", eye_rows)
        for folder in (eeg_folder, eye_folder):
            write_new(folder / NOTEBOOK, '{"cells": [], "metadata": {}, "nbformat": 4}\n')
    if raw:
        with new_folder(root / RAW_FOLDER) as folder:
            for subject in chosen:
                _write_raw(folder, seed, int(subject), effect, str(session) if session else "")
            write_new(folder / NOTEBOOK, '{"cells": [], "metadata": {}, "nbformat": 4}\n')
    write_new(root / TIMES_FILE, _times())


def _times() -> str:
    return "\n\n".join(
        f"Session {session}:\nstart_second: {list(STARTS[session])}\n"
        f"end_second: {list(STOPS[session])}\n"
        for session in SESSIONS
    )


@dataclass(frozen=True, eq=False)
class _Columns:
    """Properties of the columns of a table that are the same for all subjects.

    Args:
        level: Mean, shape (width,).
        patterns: Patterns of the emotions, shape (5, width).
        share: Share of the effect.
    """

    level: Samples
    patterns: Samples
    share: float


def _features(seed: int, number: int, effect: float) -> tuple[Trials, Trials]:
    """Make up the differential entropy and the eye movements of a subject."""
    everybody = np.random.default_rng([seed, 0])
    bands = np.tile(ENTROPY, len(EEG_FEATURES) // len(EEG_BANDS))
    kinds = []
    for level, share in (
        (bands, 1.0),
        (everybody.normal(0.0, EYE_SPREAD, len(EYE_FEATURES)), EYE_SHARE),
    ):
        patterns = everybody.normal(0.0, PATTERN, (len(EMOTIONS), len(level)))
        kinds.append(_Columns(level, patterns, share))
    rng = np.random.default_rng([seed, number])
    eeg_rows, eye_rows = (
        _table(stream, k, effect) for stream, k in zip(rng.spawn(2), kinds, strict=True)
    )
    for key in rng.choice(len(eye_rows), N_SHORT, replace=False).tolist():
        eye_rows[key] = eye_rows[key][:-1]
    for key in rng.choice(len(eye_rows), N_GAPS, replace=False).tolist():
        rows = eye_rows[key]
        length = max(1, int(GAP_SHARE * len(rows)))
        first = int(rng.integers(0, len(rows) - length + 1))
        lost = rng.choice(rows.shape[1], GAP_FEATURES, replace=False)
        rows[first : first + length, lost] = np.nan
    return eeg_rows, eye_rows


def _table(rng: np.random.Generator, columns: _Columns, effect: float) -> Trials:
    """Make up the rows of all trials of a subject, shape (rows, width) each."""
    width = len(columns.level)
    person = columns.level + rng.normal(0.0, PERSON, width)
    table: Trials = {}
    for session in SESSIONS:
        today = person + rng.normal(0.0, SESSION, width)
        for start, stop, label in zip(
            STARTS[session], STOPS[session], LABELS[session], strict=True
        ):
            n_rows = (stop - start) // ROW_SECONDS
            weights = rng.normal(0.0, MOOD, len(EMOTIONS))
            weights[label] += columns.share * effect
            noise = rng.standard_normal((n_rows + SMOOTH - 1, width))
            smooth = np.lib.stride_tricks.sliding_window_view(noise, SMOOTH, axis=0).mean(axis=-1)
            table[len(table)] = (
                today + weights @ columns.patterns + NOISE * np.sqrt(SMOOTH) * smooth
            )
    return table


def _write_archive(path: Path, rows: Trials) -> None:
    """Write rows and labels as two pickles in strings of bytes; a label is a float for each row."""
    label = {
        key: np.full(len(table), float(LABELS[SESSIONS[key // N_TRIALS]][key % N_TRIALS]))
        for key, table in rows.items()
    }
    np.savez(path, data=np.array(_pickled(rows)), label=np.array(_pickled(label)))


def _pickled(table: Trials) -> bytes:
    """Return a pickle of protocol 2 with the names of numpy 1."""
    return pickle.dumps(table, protocol=2).replace(b"cnumpy._core.", b"cnumpy.core.")


def _write_raw(folder: Path, seed: int, number: int, effect: float, only: str = "") -> None:
    """Write the three raw recordings of a subject, or the one of a session."""
    rng = np.random.default_rng([seed, number, 1])
    head = draw_head(rng, len(RAW_CHANNELS))
    scale = np.where(np.isin(RAW_CHANNELS, EYE_CHANNELS), EYE_SCALE, 1.0)[:, None]
    streams = rng.spawn(len(SESSIONS))
    for session, date, stream in zip(SESSIONS, DATES[number - 1], streams, strict=True):
        if only not in ("", session):
            continue
        scaled = (
            scale * eeg(stream, head, seconds, RAW_RATE, *felt, effect=effect)
            for seconds, felt in _pieces(session)
        )
        n_times = (STOPS[session][-1] + TAIL) * round(RAW_RATE)
        events = [
            (trial, start * round(RAW_RATE)) for trial, start in enumerate(STARTS[session], 1)
        ]
        write_cnt(folder / f"{number}_{session}_{date}.cnt", scaled, n_times, events)


def _pieces(session: str) -> Iterator[tuple[float, tuple[float, float]]]:
    """Yield the length in seconds, and valence and arousal, of all pieces of a session."""
    now = 0
    for start, stop, label in zip(STARTS[session], STOPS[session], LABELS[session], strict=True):
        for until, felt in ((start, REST), (stop, FELT[EMOTIONS[label]])):
            while now < until:
                seconds = min(PIECE, until - now)
                yield float(seconds), felt
                now += seconds
    yield float(TAIL), REST


def write_cnt(
    path: Path, pieces: Iterator[Samples], n_times: int, events: list[tuple[int, int]]
) -> None:
    """Write a recording as Neuroscan's recorders do, in 32-bit samples.

    The date is in a form that readers cannot parse, as it is in the published files; which one they
    have is not known. Baselines and calibrations differ from channel to channel.

    Args:
        path: The new file.
        pieces: Microvolts of the 66 channels, shapes (66, T), one after the other.
        n_times: Number of samples of all pieces together.
        events: Code and sample of each event.
    """
    n_channels = len(RAW_CHANNELS)
    baseline = np.arange(n_channels) % 5 - 2
    calibration = 1.0 + (np.arange(n_channels) % 3 - 1) / 64
    first = 900 + 75 * n_channels
    table = first + 4 * n_channels * n_times
    header = bytearray(900)
    _put(header, 0, "12s", b"Version 3.0")
    _put(header, 225, "10s12s", b"2018/08/04", b"10:00:00")
    _put(header, 370, "H", n_channels)
    _put(header, 376, "H", round(RAW_RATE))
    _put(header, 864, "i", n_times)
    _put(header, 886, "ifi", table, n_times / RAW_RATE, 1)
    with path.open("wb") as file:
        file.write(header)
        for row, name in enumerate(RAW_CHANNELS):
            channel = bytearray(75)
            _put(channel, 0, "10s", name.encode("ascii"))
            _put(channel, 19, "ff", 40.0 * (row % 9), 40.0 * (row // 9))
            _put(channel, 47, "h", int(baseline[row]))
            _put(channel, 59, "f", 1.0)
            _put(channel, 71, "f", float(calibration[row]))
            file.write(channel)
        for piece in pieces:
            counts = np.rint(piece * COUNTS_PER_MICROVOLT / calibration[:, None])
            file.write((counts.T + baseline).astype("<i4").tobytes())
        file.write(struct.pack("<Bii", 2, 19 * len(events), 0))
        for code, sample in events:
            position = first + 4 * n_channels * sample
            fields = code, 0, b"\0", position, 0, 0, 0.0, b"\0", b"\0", b"\0"
            file.write(struct.pack("<HBcihhfccc", *fields))


def _put(header: bytearray, position: int, form: str, *values: float | bytes) -> None:
    """Write values in a binary form into a header."""
    struct.pack_into(f"<{form}", header, position, *values)

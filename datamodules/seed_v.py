"""SEED-V: EEG and eye movements of 16 people who watch films of five emotions (Liu et al. 2021).

Published by the BCMI laboratory of Shanghai Jiao Tong University to those who sign its
application form, for academic use; not to be passed on.

* 16 subjects (20 took part), 3 sessions on different days, 15 film clips in each, 45 clips in
  all, which everybody saw in the same order. A session's number says which films were shown,
  not when: for subjects 1, 5, 8, 9, 11, 12, 13, 15 and 16 the days are in another order.
* eeg_de: differential entropy of 62 channels in 5 bands (delta 1 to 4, theta to 8, alpha to 14,
  beta to 31, gamma to 50 Hz), all bands of a channel, then the next; one row for 4 s
  (0.25 Hz), 13 to 74 rows a clip. The publisher is said to smooth it (a linear dynamic system).
* eye: 33 features of eye movements, in rows like those of eeg_de.
* eeg, only with the option ``raw``: 62 channels, published at 1000 Hz in microvolts; the clip
  alone is band-passed to 1 to 75 Hz and resampled to 200 Hz. The mastoids and the two
  electrodes at the eyes (M1, M2, VEO, HEO) are left out. With the option ``study``, eeg_study:
  the same channels and rate as a published study has them, 0.5 to 30 Hz, each sample
  standardised over channels; eeg_study_pooled: means of 3 x 3 channels and samples of these.
* Labels: one emotion a clip. Whoever knows how long a clip is knows the clip and so the
  emotion: windows of 10 rows (40 s) fit into each, and what pads whole clips needs a model of
  the length alone beside it.
* Known faults: EEG and eye movements may differ by a row, and are cut to the shorter; eye
  movements have NaN, which are interpolated if at most half of a feature is missing, else the
  trial is left out.

::

    EEG_DE_features/1_123.npz         ... 16_123.npz, and a notebook
    Eye_movement_features/1_123.npz   ... 16_123.npz, and a notebook
    EEG_raw/1_1_20180804.cnt          ... subject, session, date: 48 files of 0.8 GB
    Eye_raw/   src/   trial_start_end_timestamp.txt   *.xlsx

References:
    Liu, Qiu, Zheng, Lu: Comparing recognition performance and robustness of multimodal deep
    learning models for multimodal emotion recognition. IEEE Transactions on Cognitive and
    Developmental Systems 2021, doi 10.1109/TCDS.2021.3071170.
"""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, IncompatibleRunError
from datamodules.formats.arrays import describe, keys_of, listed
from datamodules.formats.folders import listed as files_in
from datamodules.formats.neuroscan import NeuroscanFile
from datamodules.formats.pickles import loads_arrays
from datamodules.machine import refuse_machine
from datamodules.signals.kinds import EEG_BANDS
from datamodules.signals.preprocessing import Derived, Preprocessing, derived_shapes
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.signals.steps import (
    AveragePool,
    BandPass,
    Resample,
    ZScoreOverChannels,
)
from datamodules.splits import SUBJECT_SPLITS
from datamodules.tasks import ConditionTask

Rows = npt.NDArray[np.float32]

SUBJECTS = tuple(str(number) for number in range(1, 17))
"""The 16 of 20 who were released."""
SESSIONS = ("1", "2", "3")
"""A session is a sequence of films, whenever it was recorded: the dates of nine subjects are not
in this order."""
N_TRIALS = 15
"""Number of trials of a session."""

EEG_FOLDER, EYE_FOLDER, RAW_FOLDER = "EEG_DE_features", "Eye_movement_features", "EEG_raw"
EMOTIONS = ("disgust", "fear", "sad", "neutral", "happy")
"""By label; two sources."""
_LATER = (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0)
LABELS: Mapping[str, tuple[int, ...]] = {"1": (4, 1, 3, 2, 0) * 3, "2": _LATER, "3": _LATER}
"""Emotions of the 15 trials of each session, for all subjects; two sources. Every block of five
trials holds each emotion once. Sessions 2 and 3 have one order but other films."""
# fmt: off
STARTS: Mapping[str, tuple[int, ...]] = {
    "1": (30, 132, 287, 555, 773, 982, 1271, 1628, 1730, 2025, 2227, 2435, 2667, 2932, 3204),
    "2": (30, 299, 548, 646, 836, 1000, 1091, 1392, 1657, 1809, 1966, 2186, 2333, 2490, 2741),
    "3": (30, 353, 478, 674, 825, 908, 1200, 1346, 1451, 1711, 2055, 2307, 2457, 2726, 2888),
}
"""Start of each film in seconds from the start of the session's raw recording; two sources."""
STOPS: Mapping[str, tuple[int, ...]] = {
    "1": (102, 228, 524, 742, 920, 1240, 1568, 1697, 1994, 2166, 2401, 2607, 2901, 3172, 3359),
    "2": (267, 488, 614, 773, 967, 1059, 1331, 1622, 1777, 1908, 2153, 2302, 2428, 2709, 2817),
    "3": (321, 418, 643, 764, 877, 1147, 1284, 1418, 1679, 1996, 2275, 2425, 2664, 2857, 3066),
}
"""End of each film; two sources."""
CHANNELS = (
    "FP1", "FPZ", "FP2", "AF3", "AF4", "F7", "F5", "F3", "F1", "FZ", "F2", "F4", "F6", "F8", "FT7",
    "FC5", "FC3", "FC1", "FCZ", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "CZ", "C2",
    "C4", "C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPZ", "CP2", "CP4", "CP6", "TP8", "P7", "P5",
    "P3", "P1", "PZ", "P2", "P4", "P6", "P8", "PO7", "PO5", "PO3", "POZ", "PO4", "PO6", "PO8",
    "CB1", "O1", "OZ", "O2", "CB2",
)
# fmt: on
"""The 62 electrodes in the order of the features; two sources. Raw files have four more."""

EEG_FEATURES = tuple(f"{channel} {band}" for channel in CHANNELS for band in EEG_BANDS)
"""Columns of the differential entropy: all bands of a channel, then the next; two sources."""
EYE_FEATURES = tuple(f"eye {number}" for number in range(1, 34))
"""Columns of the eye movements; their names are not published with them."""
ROW_SECONDS = 4
"""Length of a row; rows do not overlap; two sources."""
ROWS_APART = 1
"""Number of rows by which EEG, eye movements and film may differ without a fault: that they do
differ by a row or so has one source, that EEG has a row for each full 4 s of a film is inferred."""
SHORTEST_ROWS, LONGEST_ROWS = 12, 74
"""The shortest film has 13 rows, of which the eye movements may lack one."""
LARGEST_GAP = 0.5
"""Share of a trial's rows that an eye feature may lack and be filled in. That there are NaN at all
is inferred, and the share is this project's choice."""
RAW_RATE = 1000.0
"""Rate of the raw recordings in Hz; two sources."""
POOL = 3
"""Number of channels, and of samples, that a study averages: it calls this average padding."""

BROKEN = (
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
"""Errors of numpy on archives that are cut short or damaged."""


@dataclass(frozen=True)
class SEEDVReader:
    """Reads the published feature rows of each trial, and the raw EEG beside them if asked to.

    Args:
        root: The publisher's folder, with ``EEG_DE_features`` and ``Eye_movement_features`` in it.
        raw: Also read ``EEG_raw``: 2.4 GB a subject, some 10 s each.
        study: Read ``EEG_raw`` as a published study has it, filtered to 0.5 to 30 Hz: the signals
            ``eeg_study`` and ``eeg_study_pooled``.
        session: Number of the only session that is read; 0: all three.

    Raises:
        IncompatibleRunError: Unknown session.
    """

    root: Path
    raw: bool = False
    study: bool = False
    session: int = 0

    def __post_init__(self) -> None:
        if self.session and str(self.session) not in SESSIONS:
            raise IncompatibleRunError(
                f"SEED-V: expected session 1, 2 or 3, or 0 for all, found {self.session}"
            )

    @property
    def sessions(self) -> tuple[str, ...]:
        """Sessions that are read."""
        return (str(self.session),) if self.session else SESSIONS

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 16 published subjects."""
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the subject's EEG features and eye movements, then raw recordings by session.

        Raises:
            DatasetNotFoundError: No such subject, or not all of its files.
            DatasetCorruptedError: Several raw recordings of a session.
        """
        if subject not in SUBJECTS:
            raise DatasetNotFoundError(
                f"SEED-V has no subject {subject!r}: expected one of {', '.join(SUBJECTS)}"
            )
        features = tuple(self._features(folder, subject) for folder in (EEG_FOLDER, EYE_FOLDER))
        recorded = self.sessions if self.raw or self.study else ()
        return features + tuple(self._recorded(subject, session) for session in recorded)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield a recording for each trial, with one segment as long as the recording.

        Raises:
            DatasetNotFoundError: No such subject, or not all of its files.
            DatasetCorruptedError: A file holds something else than the publisher's.
        """
        eeg_path, eye_path, *recorded = self.files(subject)
        eeg = _read_features(eeg_path, len(EEG_FEATURES))
        eye = _read_features(eye_path, len(EYE_FEATURES))
        for number, session in enumerate(self.sessions):
            continuous = None
            if recorded:
                path = recorded[number]
                continuous = NeuroscanFile(path, CHANNELS, RAW_RATE)
            for trial in range(1, N_TRIALS + 1):
                key = session, trial
                start, stop = STARTS[session][trial - 1], STOPS[session][trial - 1]
                rows, faults = _usable(key, eeg[key], eye[key], stop - start)
                yield from faults
                if not rows:
                    continue
                seconds = float(ROW_SECONDS * len(rows["eeg_de"]))
                signals = {
                    "eeg_de": _signal(rows["eeg_de"], EEG_FEATURES, "nat"),
                    "eye": _signal(rows["eye"], EYE_FEATURES, "a.u."),
                }
                if continuous:
                    stretch = continuous.read(start, start + seconds)
                    signals |= {"eeg": stretch} if self.raw else {}
                    signals |= {"eeg_study": stretch} if self.study else {}
                annotations = {"condition": EMOTIONS[LABELS[session][trial - 1]]}
                segment = Segment(0.0, seconds, trial, annotations, f"{session}/{trial}")
                yield Recording(subject, session, signals, (segment,), offset=float(start))

    def _features(self, folder: str, subject: str) -> Path:
        path = self.root / folder / f"{subject}_123.npz"
        if not path.is_file():
            n_files = sum((path.parent / f"{other}_123.npz").is_file() for other in SUBJECTS)
            raise DatasetNotFoundError(
                f"no {folder}/{path.name} in {str(self.root)!r}: expected it beside those of the "
                f"other subjects, of whom {n_files} of {len(SUBJECTS)} are there. Unpack the "
                "whole archive, or leave the subject out."
            )
        return path

    def _recorded(self, subject: str, session: str) -> Path:
        folder = self.root / RAW_FOLDER
        paths = files_in(folder, f"{subject}_{session}_*.cnt")
        if not paths:
            n_files = len(files_in(folder, "*_[123]_*.cnt"))
            raise DatasetNotFoundError(
                f"no {RAW_FOLDER}/{subject}_{session}_<date>.cnt in {str(self.root)!r}: expected "
                f"it beside the other raw recordings, of which {n_files} of "
                f"{len(SUBJECTS) * len(SESSIONS)} are there. Unpack the whole archive, leave the "
                "subject out, or do without the option raw."
            )
        if len(paths) > 1:
            raise DatasetCorruptedError(
                f"{folder}: expected one raw recording of subject {subject}, session {session}, "
                f"found {', '.join(path.name for path in paths)}. Take away what is not the "
                "publisher's."
            )
        return paths[0]


def _read_features(path: Path, width: int) -> dict[tuple[str, int], npt.NDArray[Any]]:
    """Return numbers of shape (rows, width) by session and trial, after a check of their labels."""
    data, labels = (_read_member(path, name) for name in ("data", "label"))
    table = {}
    for key in range(len(SESSIONS) * N_TRIALS):
        session, trial = SESSIONS[key // N_TRIALS], key % N_TRIALS + 1
        rows, label = data[key], labels[key]
        where = f"{path}: session {session}, trial {trial}"
        if not _is_numbers(rows) or rows.ndim != 2 or rows.shape[1] != width or not len(rows):
            raise DatasetCorruptedError(
                f"{where}: data: expected numbers of shape (rows, {width}) with rows > 0, found "
                f"{describe(rows)}"
            )
        if not _is_numbers(label) or label.shape != (len(rows),):
            raise DatasetCorruptedError(
                f"{where}: label: expected a number for each of {len(rows)} rows, found "
                f"{describe(label)}"
            )
        expected = LABELS[session][trial - 1]
        if (label != expected).any():
            raise DatasetCorruptedError(
                f"{where}: label: expected {expected} ({EMOTIONS[expected]}) in every row, as the "
                f"publisher's table has it, found {np.unique(label).tolist()}"
            )
        table[session, trial] = rows
    return table


def _read_member(path: Path, name: str) -> dict[int, Any]:
    """Return a pickled dict of 45 trials, which an archive holds as a string of bytes."""
    try:
        with path.open("rb") as file:
            archive = np.load(file)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("no archive but a single array")
            if name not in archive.files:
                raise DatasetCorruptedError(
                    f"{path}: expected members data and label, found {listed(archive.files)}"
                )
            member = archive[name]
    except BROKEN as error:
        refuse_machine(error, path)
        raise DatasetCorruptedError(
            f"{path}: expected an archive of numpy, found one that cannot be read "
            f"({type(error).__name__}: {error}). Fetch the file anew from its publisher."
        ) from error
    if member.shape != () or member.dtype.kind != "S":
        raise DatasetCorruptedError(
            f"{path}: {name}: expected one string of bytes, found {describe(member)}"
        )
    content = loads_arrays(member.item(), f"{path}: {name}")
    trials = range(len(SESSIONS) * N_TRIALS)
    if not isinstance(content, dict) or set(content) != set(trials):
        keys = keys_of(content)
        raise DatasetCorruptedError(
            f"{path}: {name}: expected a dict of the trials 0 to {trials[-1]}, found {keys}"
        )
    return content


def _is_numbers(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "fiu"


def _usable(
    key: tuple[str, int], eeg: npt.NDArray[Any], eye: npt.NDArray[Any], seconds: int
) -> tuple[dict[str, Rows], list[Fault]]:
    """Return the rows that both tables and the film have in common, with gaps interpolated.

    Args:
        key: Session and trial.
        eeg: Rows of differential entropy, shape (n, 310).
        eye: Rows of eye movements, shape (n, 33).
        seconds: Length of the film.

    Returns:
        Rows by signal, shape (n, width), empty if the trial cannot be used; and the faults.
    """
    counts = (len(eeg), len(eye), seconds // ROW_SECONDS)
    n_rows = min(counts)
    if n_rows < SHORTEST_ROWS:
        return {}, [Fault(*key, f"eeg_de and eye: fewer than {SHORTEST_ROWS} rows in common")]
    with np.errstate(over="ignore"):
        rows = {"eeg_de": eeg[:n_rows].astype(np.float32), "eye": eye[:n_rows].astype(np.float32)}
    finite = np.isfinite(rows["eye"])
    if not np.isfinite(rows["eeg_de"]).all():
        return {}, [Fault(*key, "eeg_de: NaN or infinite")]
    if (finite.mean(axis=0) < 1 - LARGEST_GAP).any():
        return {}, [Fault(*key, "eye: a feature is NaN in more than half of the rows")]
    faults = []
    if max(counts) - n_rows > ROWS_APART:
        reason = "eeg_de, eye and film differ by more than a row; cut to the shortest"
        faults.append(Fault(*key, reason, omitted=False))
    if not finite.all():
        reason = "eye: a feature is NaN in up to half of the rows; interpolated from the others"
        faults.append(Fault(*key, reason, omitted=False))
        positions = np.arange(n_rows)
        for column in np.flatnonzero(~finite.all(axis=0)):
            kept = finite[:, column]
            rows["eye"][:, column] = np.interp(
                positions, positions[kept], rows["eye"][kept, column]
            )
    return rows, faults


def _signal(rows: Rows, channels: tuple[str, ...], unit: str) -> Signal:
    return Signal(np.ascontiguousarray(rows.T), 1 / ROW_SECONDS, channels, unit)


PREPROCESSING: Preprocessing = {
    "eeg": (BandPass(1.0, 75.0), Resample(200.0)),
    "eeg_study": (BandPass(0.5, 30.0), Resample(200.0), ZScoreOverChannels()),
    "eeg_study_pooled": Derived("eeg_study", (AveragePool(POOL),)),
}


SEED_V = Dataset(
    name="seed_v",
    title="SEED-V",
    reader=SEEDVReader,
    tasks={
        "emotion": ConditionTask(
            "emotion",
            EMOTIONS,
            {name: label for label, name in enumerate(EMOTIONS)},
            source="Liu et al. 2021: the emotion that a clip was chosen for",
        )
    },
    signals=derived_shapes(
        {
            "eeg_de": (len(EEG_FEATURES), 1 / ROW_SECONDS),
            "eye": (len(EYE_FEATURES), 1 / ROW_SECONDS),
            "eeg": (len(CHANNELS), RAW_RATE),
            "eeg_study": (len(CHANNELS), RAW_RATE),
        },
        PREPROCESSING,
    ),
    optional={"eeg": "raw", "eeg_study": "study", "eeg_study_pooled": "study"},
    unit=None,
    trial_seconds=(float(SHORTEST_ROWS * ROW_SECONDS), float(LONGEST_ROWS * ROW_SECONDS)),
    preprocessing=PREPROCESSING,
    splits=("subject_stimulus_k_fold", *SUBJECT_SPLITS, "trial_k_fold", "session_out"),
    trial_blocks=3,
    access=(
        "Sent to those who sign the application form of the BCMI laboratory: look for SEED-V at "
        "Shanghai Jiao Tong University. To try things out: affectbench data synthesize seed_v."
    ),
    layout=(
        f"{EEG_FOLDER}/1_123.npz ... 16_123.npz and {EYE_FOLDER}/1_123.npz ... 16_123.npz "
        f"(16 subjects); with the option raw also {RAW_FOLDER}/1_1_20180804.cnt ..."
    ),
    writer="datamodules.synthesis.seed_v",
)

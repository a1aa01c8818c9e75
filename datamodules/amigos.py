"""AMIGOS: EEG, ECG and EDA of 40 people who watch films (Miranda-Correa et al. 2021).

Published by Queen Mary University of London and the University of Trento; to be had after
signing a licence agreement, for academic use. Not to be passed on.

* 40 subjects x 16 short videos (51 to 150 s), one session, everybody the same 16; 37 of them
  saw four long ones too (14 to 24 min), alone or in groups, which are read if the option
  ``long_videos`` says so. 5 s of rest before each. The trial is the number of the cell, the
  stimulus the name of the video.
* All at 128 Hz, as preprocessed by the publisher: eeg (14 channels of an Emotiv EPOC, common
  average, 4 to 45 Hz, microvolts), ecg (right and left, low-pass 60 Hz, unit not known), eda
  (low-pass 60 Hz, converted here from resistance to microsiemens).
* Self-assessment: arousal, valence, dominance, liking and familiarity from 1 to 9, and whether
  any of seven basic emotions was felt (0 or 1).
* External annotations of valence and arousal are not read: they are of pieces of 20 s, exist
  for 37 subjects, and their scale is not certain.
* Known faults: P08, P24 and P28 have no long videos, P32 no self-assessment of them. Some
  channels and some whole trials are NaN; such a trial is left out and the fault names the
  signals. One published reader leaves P09, P12, P21, P22, P23, P24 and P33 out altogether.
  Resistances may be zero or negative; see ``signals.resistance``. Trials shorter than 50 s are
  left out. Some files do not pass SciPy's test of their compression; see ``formats.matlab``.

::

    data_preprocessed/Data_Preprocessed_P01/Data_Preprocessed_P01.mat   all that is read here
    ... P40                                   at any depth; a folder for each is not needed
    data_original/  *.xlsx                    unprocessed signals, questionnaires, annotations

References:
    Miranda-Correa, Abadi, Sebe, Patras: AMIGOS: a dataset for affect, personality and mood
    research on individuals and groups. IEEE Transactions on Affective Computing 12(2), 2021,
    doi 10.1109/TAFFC.2018.2884461.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.arrays import describe, is_numbers
from datamodules.formats.folders import listed
from datamodules.formats.matlab import load_matlab
from datamodules.formats.trials import SESSION, Channels, TrialTable
from datamodules.signals.preprocessing import ECG_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import Fault, Recording
from datamodules.splits import SUBJECT_SPLITS
from datamodules.tasks import RatingTask

SUBJECTS = tuple(f"P{number:02d}" for number in range(1, 41))
SHORT_VIDEOS = (
    *("10", "13", "138", "18", "19", "20", "23", "30"),
    *("31", "34", "36", "4", "5", "58", "80", "9"),
)
"""In the order of strings, in which the cells are likely to be; the reader goes by their names."""
LONG_VIDEOS = ("N1", "P1", "B1", "U1")
N_CELLS = len(SHORT_VIDEOS) + len(LONG_VIDEOS)
"""Short videos are in the first 16 cells, long ones in the last four."""

SFREQ = 128.0
BASELINE = 5.0
"""Seconds at the start of each cell, before the video."""
SHORTEST_VIDEO, LONGEST_VIDEO = 50.0, 180.0
"""Seconds. That the short videos last from 51 to 150 s is general knowledge; but the one with most
external annotations has nine, each of 20 s. The long ones last from 14 to 24 minutes."""

EEG = (
    *("AF3", "F7", "F3", "FC5", "T7", "P7", "O1"),
    *("O2", "P8", "T8", "FC6", "F4", "F8", "AF4"),
)
N_CHANNELS = 17
CHANNELS: Mapping[str, Channels] = MappingProxyType(
    {
        "eeg": Channels(0, EEG, "uV"),
        "ecg": Channels(14, ("right", "left"), "a.u."),
        "eda": Channels(16, ("eda",), "Ohm"),
    }
)
"""Positions count from 0. GSR is a resistance, as readers take its reciprocal; that it is in Ohm is
an assumption."""
ANSWERS = (
    *("arousal", "valence", "dominance", "liking", "familiarity"),
    *("neutral", "disgust", "happiness", "surprise", "anger", "fear", "sadness"),
)
"""Columns of the self-assessment: arousal before valence, unlike in DEAP and in the external
annotation. The first five are from 1 to 9, the others 0 or 1."""
RATINGS = ("arousal", "valence")
SCALE = (1.0, 9.0)
MIDPOINT = 5.0
"""Above is high, ties are low; readers differ (two say above, one says from 5 on)."""

TABLE = TrialTable(CHANNELS, SFREQ, BASELINE, RATINGS, SCALE, SHORTEST_VIDEO)
SIGNALS, ASSESSMENT, VIDEOS = "joined_data", "labels_selfassessment", "VideoIDs"


@dataclass(frozen=True)
class AMIGOSReader:
    """Reads the preprocessed signals and self-assessments of each subject, a recording a video.

    Args:
        root: Folder with the subjects' files in it, at any depth.
        long_videos: Read the four long videos too, which all but three subjects saw, alone or in
            groups.
        subtract_baseline: Take each channel's mean over the 5 s before the video away.
        stored_gsr: Read ``eda`` as the file's numbers, which are a resistance, as a published study
            does; else as its reciprocal in microsiemens.
    """

    root: Path
    long_videos: bool = False
    subtract_baseline: bool = False
    stored_gsr: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 40 published subjects."""
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the subject's file.

        Raises:
            DatasetNotFoundError: No such subject, or no such file, or more than one.
        """
        if subject not in SUBJECTS:
            raise DatasetNotFoundError(
                f"AMIGOS has no subject {subject!r}: expected one of {', '.join(SUBJECTS)}"
            )
        name = _file_name(subject)
        paths = [path for path in listed(self.root, name, deep=True) if path.is_file()]
        if not paths:
            names = {path.name for path in listed(self.root, _file_name("P*"), deep=True)}
            count = sum(_file_name(other) in names for other in SUBJECTS)
            raise DatasetNotFoundError(
                f"no {name} anywhere in {str(self.root)!r}: expected it and those of the other "
                f"subjects, of whom {count} of {len(SUBJECTS)} are there. Unpack the archive of "
                "the subject, or leave the subject out."
            )
        if len(paths) > 1:
            raise DatasetNotFoundError(
                f"expected one {name} in {str(self.root)!r}, found {len(paths)}: "
                f"{', '.join(str(path.relative_to(self.root)) for path in paths)}. Take away all "
                "but one."
            )
        return (paths[0],)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield the videos in the order of the cells, which is no order of time.

        Raises:
            DatasetNotFoundError: No such subject, or no such file.
            DatasetCorruptedError: The file holds something else than the publisher's.
        """
        (path,) = self.files(subject)
        content = load_matlab(path, (SIGNALS, ASSESSMENT, VIDEOS))
        signals, answers, videos = (
            _cells(path, name, content[name]) for name in (SIGNALS, ASSESSMENT, VIDEOS)
        )
        names = [_video(path, trial, cell) for trial, cell in enumerate(videos, start=1)]
        given_names = [name for name in names if name]
        if len(set(given_names)) < len(given_names):
            raise DatasetCorruptedError(
                f"{path}: {VIDEOS}: expected a different video in each cell, found "
                f"{', '.join(given_names)}"
            )
        for trial, (cell, assessment, video) in enumerate(
            zip(signals, answers, names, strict=True), start=1
        ):
            is_long = video in LONG_VIDEOS if video else trial > len(SHORT_VIDEOS)
            if is_long and not self.long_videos:
                continue
            samples = _matrix(path, SIGNALS, trial, cell, (None, N_CHANNELS))
            row = _matrix(path, ASSESSMENT, trial, assessment, (1, len(ANSWERS)))
            if not video:
                yield Fault(SESSION, trial, "no name of the video")
                continue
            yield from TABLE.read(
                subject,
                trial,
                video,
                None if samples is None else samples.T,
                None if row is None else dict(zip(ANSWERS, map(float, row[0]), strict=True)),
                self.subtract_baseline,
                stored_gsr=self.stored_gsr,
            )


def _file_name(subject: str) -> str:
    return f"Data_Preprocessed_{subject}.mat"


def _cells(path: Path, name: str, values: Any) -> list[Any]:
    """Return the cells of a variable of the file."""
    if values.dtype != object or values.shape != (1, N_CELLS):
        raise DatasetCorruptedError(
            f"{path}: {name}: expected cells of shape {(1, N_CELLS)}, found {describe(values)}"
        )
    return list(values[0])


def _video(path: Path, trial: int, cell: Any) -> str:
    """Return the name of the video in a cell; empty if the cell is empty."""
    if not cell.size:
        return ""
    name = str(cell.item()).strip() if cell.size == 1 else describe(cell)
    if name not in SHORT_VIDEOS + LONG_VIDEOS:
        raise DatasetCorruptedError(
            f"{path}: {VIDEOS}, cell {trial}: expected one of "
            f"{', '.join(SHORT_VIDEOS + LONG_VIDEOS)}, found {name}"
        )
    return name


def _matrix(
    path: Path, name: str, trial: int, cell: Any, shape: tuple[int | None, int]
) -> npt.NDArray[Any] | None:
    """Return the numbers in a cell; None if it is empty, as the publisher leaves missing ones."""
    if isinstance(cell, np.ndarray) and not cell.size:
        return None
    if not is_numbers(cell, shape):
        lengths = ", ".join("T" if length is None else str(length) for length in shape)
        raise DatasetCorruptedError(
            f"{path}: {name}, cell {trial}: expected numbers of shape ({lengths}), found "
            f"{describe(cell)}"
        )
    return np.asarray(cell)


PREPROCESSING = {**EDA_PARTS, **ECG_BEATS}
"""Parts of skin conductance, and heart beats."""

AMIGOS = Dataset(
    name="amigos",
    title="AMIGOS",
    reader=AMIGOSReader,
    tasks={
        name: RatingTask(
            name, MIDPOINT, source="Self-assessment, low or high, as readers of the data have it"
        )
        for name in ("valence", "arousal")
    },
    signals=derived_shapes(
        {name: (len(channels.names), SFREQ) for name, channels in CHANNELS.items()}, PREPROCESSING
    ),
    unit=None,
    trial_seconds=(SHORTEST_VIDEO, LONGEST_VIDEO),
    preprocessing=PREPROCESSING,
    splits=("subject_stimulus_k_fold", *SUBJECT_SPLITS),
    access=(
        "Ask for it at www.eecs.qmul.ac.uk/mmv/datasets/amigos and sign the licence agreement. To "
        "try things out: affectbench data synthesize amigos."
    ),
    layout="Data_Preprocessed_P01.mat ... Data_Preprocessed_P40.mat, at any depth",
    writer="datamodules.synthesis.amigos",
)

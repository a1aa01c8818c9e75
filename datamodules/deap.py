"""DEAP: EEG and peripheral signals of 32 people who watch music videos (Koelstra et al. 2012).

Published by Queen Mary University of London, the Universities of Twente and Geneva and EPFL;
to be had after signing a licence agreement, for academic, non-commercial use. Not to be passed
on.

* 32 subjects x 40 one-minute music videos, one session; everybody saw the same 40, each in an
  order of their own, but trials are stored and numbered by video. 3 s of rest before each.
* All at 128 Hz, as preprocessed by the publisher: eeg (32 channels of 10-20, common average, 4
  to 45 Hz, ocular artefacts removed), eog (2) and emg (2: zygomaticus, trapezius), microvolts;
  eda, converted here from Ohm to microsiemens; resp (belt) and bvp (thumb), arbitrary unit;
  temp (little finger), degrees Celsius.
* Ratings of valence, arousal, dominance and liking from 1 to 9, not rounded. About 57 % of
  trials are above 5 in valence, 59 % in arousal.
* Known faults: resistances of many trials have lost an unknown offset and are partly negative,
  with spikes a hundred times as high (one source). Such samples are converted as
  ``signals.resistance`` says, and a fault is put on record, but the trial is kept. Subjects 1
  to 22 were recorded in Twente, the others in Geneva, with different amplifiers for eda.

::

    data_preprocessed_python/s01.dat ... s32.dat   all that is read here, or
    data_preprocessed_matlab/s01.mat ... s32.mat   the same for Matlab
    data_original/  face_video/  metadata_csv/     unprocessed signals, videos, questionnaires

References:
    Koelstra, Muehl, Soleymani, Lee, Yazdani, Ebrahimi, Pun, Nijholt, Patras: DEAP: a database
    for emotion analysis using physiological signals. IEEE Transactions on Affective Computing
    3(1), 2012, doi 10.1109/T-AFFC.2011.15.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, IncompatibleRunError
from datamodules.formats.arrays import describe, is_numbers, keys_of
from datamodules.formats.matlab import load_matlab
from datamodules.formats.pickles import load_arrays
from datamodules.formats.trials import Channels, TrialTable
from datamodules.signals.preprocessing import BVP_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import Fault, Recording
from datamodules.splits import SUBJECT_SPLITS
from datamodules.tasks import QuadrantTask, RatingTask, RoundedTask

SUBJECTS = tuple(f"s{number:02d}" for number in range(1, 33))
Container = Literal["python", "matlab"]
FILES: Mapping[Container, tuple[str, str]] = MappingProxyType(
    {"python": ("data_preprocessed_python", ".dat"), "matlab": ("data_preprocessed_matlab", ".mat")}
)
"""Folder and ending of a subject's file; that those for Matlab are of version 5 and hold the same
two arrays is inferred."""

N_VIDEOS = 40
"""Row k of every subject's file is video k + 1, whenever it was shown."""
N_CHANNELS, N_TIMES = 40, 8064
SFREQ = 128.0
BASELINE = 3.0
"""Seconds before the video. The readme calls them removed; they are the first 384 samples."""
VIDEO = 60.0
"""Seconds."""

EEG = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7"),
    *("PO3", "O1", "Oz", "Pz", "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz"),
    *("C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
CHANNELS: Mapping[str, Channels] = MappingProxyType(
    {
        "eeg": Channels(0, EEG, "uV"),
        "eda": Channels(36, ("eda",), "Ohm"),
        "resp": Channels(37, ("resp",), "a.u."),
        "bvp": Channels(38, ("bvp",), "a.u."),
        "temp": Channels(39, ("temp",), "degC"),
        "eog": Channels(32, ("hEOG", "vEOG"), "uV"),
        "emg": Channels(34, ("zEMG", "tEMG"), "uV"),
    }
)
"""Positions count from 0; the readme counts from 1. GSR is a resistance by the readme."""
ANSWERS = ("valence", "arousal", "dominance", "liking")
"""Columns of the labels; AMIGOS has arousal first."""
RATINGS = ("valence", "arousal")
SCALE = (1.0, 9.0)
MIDPOINT = 5.0
"""Above is high, ties are low; that the paper sets it so was not read anew."""

TABLE = TrialTable(CHANNELS, SFREQ, BASELINE, RATINGS, SCALE, VIDEO)


@dataclass(frozen=True)
class DEAPReader:
    """Reads the preprocessed signals and ratings of each subject, a recording a video.

    Args:
        root: Folder with ``data_preprocessed_python`` in it, or that folder itself.
        container: Folder that is read: ``"python"`` or ``"matlab"``.
        subtract_baseline: Take each channel's mean over the 3 s before the video away.
        n_videos: Number of rows of each file; 40 except in small made-up files.
        keep_baseline: Cut windows from the 3 s before the video too, with the video's label, as a
            published study does.
        stored_gsr: Read ``eda`` as the file's numbers, which are a resistance, as published studies
            do; else as its reciprocal in microsiemens, for which offsets are made up where readings
            are negative.

    Raises:
        IncompatibleRunError: A container or a number of videos that cannot be.
    """

    root: Path
    container: Container = "python"
    subtract_baseline: bool = False
    n_videos: int = N_VIDEOS
    keep_baseline: bool = False
    stored_gsr: bool = False

    def __post_init__(self) -> None:
        if self.container not in FILES or not 1 <= self.n_videos <= N_VIDEOS:
            raise IncompatibleRunError(
                f"DEAP: expected container among {', '.join(get_args(Container))} and n_videos "
                f"from 1 to {N_VIDEOS}, found {self.container!r} and {self.n_videos}"
            )

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 32 published subjects."""
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the subject's file.

        Raises:
            DatasetNotFoundError: No such subject, or no such file.
        """
        if subject not in SUBJECTS:
            raise DatasetNotFoundError(
                f"DEAP has no subject {subject!r}: expected one of {', '.join(SUBJECTS)}"
            )
        path = self._path(subject)
        if not path.is_file():
            n_files = sum(self._path(other).is_file() for other in SUBJECTS)
            other = next(name for name in FILES if name != self.container)
            folder, ending = FILES[self.container]
            raise DatasetNotFoundError(
                f"no {folder}/{subject}{ending} in {str(self.root)!r}: expected it beside those "
                f"of the other subjects, of whom {n_files} of {len(SUBJECTS)} are there. Unpack "
                f"the whole archive, set container={other!r} if you have that one, or leave the "
                "subject out."
            )
        return (path,)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield the videos in order of their number; a file is 103 MB and takes a second.

        Raises:
            DatasetNotFoundError: No such subject, or no such file.
            DatasetCorruptedError: The file holds something else than the publisher's.
        """
        (path,) = self.files(subject)
        content = self._content(path)
        data = _array(path, content, "data", (self.n_videos, N_CHANNELS, N_TIMES))
        labels = _array(path, content, "labels", (self.n_videos, len(ANSWERS)))
        for row, ratings in enumerate(labels.tolist()):
            annotations = dict(zip(ANSWERS, map(float, ratings), strict=True))
            yield from TABLE.read(
                subject,
                row + 1,
                str(row + 1),
                data[row],
                annotations,
                self.subtract_baseline,
                self.keep_baseline,
                self.stored_gsr,
            )

    def _path(self, subject: str) -> Path:
        folder, ending = FILES[self.container]
        name = f"{subject}{ending}"
        nested = self.root / folder / name
        return nested if nested.is_file() else self.root / name

    def _content(self, path: Path) -> object:
        if self.container == "matlab":
            return load_matlab(path, ("data", "labels"))
        return load_arrays(path)


def _array(path: Path, content: object, key: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array of a subject's file."""
    if not isinstance(content, dict) or key not in content:
        keys = keys_of(content)
        raise DatasetCorruptedError(f"{path}: expected a key {key!r}, found {keys}")
    values = content[key]
    if not is_numbers(values, shape):
        raise DatasetCorruptedError(
            f"{path}: {key}: expected numbers of shape {shape}, found {describe(values)}"
        )
    return np.asarray(values)


PREPROCESSING = {**EDA_PARTS, **BVP_BEATS}
"""Parts of skin conductance, and heart beats."""

DEAP = Dataset(
    name="deap",
    title="DEAP",
    reader=DEAPReader,
    tasks={
        name: RatingTask(name, MIDPOINT, source="Koelstra et al. 2012: low or high, threshold 5")
        for name in ("valence", "arousal")
    },
    published_tasks={
        **{
            f"{name}_9": RoundedTask(f"{name}_9", name, (1, 9), source="a study with MLSTM-FCN")
            for name in ("valence", "arousal")
        },
        "quadrant": QuadrantTask("quadrant", 5, source="a study with MLSTM-FCN"),
    },
    signals=derived_shapes(
        {name: (len(channels.names), SFREQ) for name, channels in CHANNELS.items()}, PREPROCESSING
    ),
    unit=None,
    trial_seconds=(VIDEO, VIDEO),
    preprocessing=PREPROCESSING,
    splits=(
        "subject_stimulus_k_fold",
        *SUBJECT_SPLITS,
        "trial_k_fold",
    ),
    access=(
        "Ask for it at www.eecs.qmul.ac.uk/mmv/datasets/deap and sign the licence agreement. To "
        "try things out: affectbench data synthesize deap."
    ),
    layout="data_preprocessed_python/s01.dat ... s32.dat",
    writer="datamodules.synthesis.deap",
)

"""Stress-Predict: wrist signals of 35 volunteers under three stressors (Iqbal et al. 2022).

Published by T. Iqbal et al. with an MIT licence as a public repository
(italha-d/Stress-Predict-Dataset); cite Sensors 22(21):8135, 2022, doi 10.3390/s22218135.

* 35 volunteers, one session of about an hour: rest, Stroop test, rest, interview, rest,
  hyperventilation, rest. 34 are usable: S01 has no label rows.
* bvp (64 Hz, arbitrary unit), eda (4 Hz, microsiemens), temp (4 Hz, degrees Celsius), acc
  (3 channels, 32 Hz, g); starts in UTC.
* Labels: one row a second, 1 while a stressor runs; they begin 9 s after the recording.
* The order of the phases is the same for everybody, so time alone tells much of the label: the
  probe ``time`` says how much.

::

    Raw_data/S02/{ACC,BVP,EDA,HR,IBI,TEMP}.csv, tags_S02.csv ... S35
    Processed_data/Improved_All_Combined_hr_rsp_binary.csv
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.download import PackedFiles
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats import empatica
from datamodules.formats.tables import read_columns
from datamodules.signals.preprocessing import BVP_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import WHOLE_SESSION, Fault, Recording, Segment
from datamodules.tasks import ConditionTask

SUBJECTS = tuple(f"S{number:02d}" for number in range(2, 36))
"""Of the 35 volunteers, S01 has no label rows."""
LABEL_FILE = Path("Processed_data") / "Improved_All_Combined_hr_rsp_binary.csv"
LABEL_COLUMNS = ("Participant", "Time(sec)", "Label")
CONDITIONS = {0: "no_stress", 1: "stress"}
LABEL_SECONDS = 1
"""A label row stands for the second that begins at its time."""
LABEL_DELAY = 9
"""Seconds of a recording before its first label."""
MOST_UNLABELLED = 30.0
"""Most seconds without labels at either end of a recording. The published ones begin at 9 s and go
on for up to 4 s after the signals; a table with fewer was cut off."""


@dataclass(frozen=True)
class StressPredictReader:
    """Reads the folder of the published repository.

    Args:
        root: Holds ``Raw_data`` and ``Processed_data``.
    """

    root: Path

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 34 volunteers with labels."""
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the session's files and the label table; raises DatasetNotFoundError."""
        if not (self.root / LABEL_FILE).is_file():
            raise DatasetNotFoundError(
                f"no {LABEL_FILE} in {str(self.root)!r}: expected the labels of Stress-Predict "
                "there, beside Raw_data. Unpack the whole repository."
            )
        return (
            *empatica.session_files(self.root / "Raw_data" / subject, empatica.SIGNALS),
            self.root / LABEL_FILE,
        )

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield faults, then one recording, whose segments are the runs of equal labels."""
        session = empatica.read_session(self.root / "Raw_data" / subject, empatica.SIGNALS)
        yield from session.faults("1")
        times, labels = self._labels_of(subject, session)
        missing = int(times[-1] - times[0]) + LABEL_SECONDS - len(times)
        if missing:
            reason = f"{LABEL_FILE.name}: {missing} rows are missing in between"
            yield Fault("1", WHOLE_SESSION, reason, omitted=False, doubtful=True)
        segments = tuple(_segments(session, times, labels))
        yield Recording(subject, "1", session.signals, segments)

    def _labels_of(
        self, subject: str, session: empatica.E4Session
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return time in UTC seconds and label of each row of a volunteer, shapes (n,)."""
        participants, times, labels = (self._labels[name] for name in LABEL_COLUMNS)
        rows = participants == int(subject[1:])
        if not rows.any():
            raise DatasetCorruptedError(
                f"{self.root / LABEL_FILE}: expected rows of participant {int(subject[1:])}, "
                "found none"
            )
        times, labels = times[rows], labels[rows]
        unknown = set(labels.tolist()) - set(CONDITIONS)
        if unknown or (np.diff(times) <= 0).any():
            raise DatasetCorruptedError(
                f"{self.root / LABEL_FILE}, participant {int(subject[1:])}: expected rising times "
                f"and labels among {sorted(CONDITIONS)}, found labels {sorted(unknown)} or a time "
                "that falls back"
            )
        begin, end = times[0] - session.start, times[-1] + LABEL_SECONDS - session.start
        if not (begin < session.duration and end > 0):
            raise DatasetCorruptedError(
                f"{subject}: expected label times within the recording, which starts at UTC "
                f"{session.start:.0f}, found {times[0]} to {times[-1]}"
            )
        if begin > MOST_UNLABELLED or session.duration - end > MOST_UNLABELLED:
            raise DatasetCorruptedError(
                f"{self.root / LABEL_FILE}, participant {int(subject[1:])}: expected labels from "
                f"second {LABEL_DELAY} of the recording to its end at {session.duration:.0f} s, "
                f"found {begin:.0f} to {end:.0f} s. The table was cut off; fetch it anew."
            )
        return times, labels

    @cached_property
    def _labels(self) -> dict[str, npt.NDArray[np.int64]]:
        path = self.root / LABEL_FILE
        try:
            return read_columns(path, dict.fromkeys(LABEL_COLUMNS, np.int64))
        except ValueError as error:
            raise DatasetCorruptedError(
                f"{path}: expected whole numbers in columns {LABEL_COLUMNS}, found otherwise "
                f"({error})"
            ) from error


def _segments(
    session: empatica.E4Session, times: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]
) -> Iterator[Segment]:
    """Yield the runs of equal labels within the recording."""
    breaks = np.flatnonzero((np.diff(labels) != 0) | (np.diff(times) != LABEL_SECONDS)) + 1
    firsts, lasts = np.r_[0, breaks], np.r_[breaks, len(labels)] - 1
    trial = 0
    for first, last in zip(firsts, lasts, strict=True):
        start = max(0.0, times[first] - session.start)
        stop = min(session.duration, times[last] + LABEL_SECONDS - session.start)
        if stop > start:
            trial += 1
            yield Segment(start, stop, trial, {"condition": CONDITIONS[int(labels[first])]})


COMMIT = "f49d2eae603f90c3f0140fbbbae7c0480d651023"
"""Version of the public repository."""
PREPROCESSING = {**EDA_PARTS, **BVP_BEATS}
"""Parts of skin conductance, and heart beats."""

STRESS_PREDICT = Dataset(
    name="stress_predict",
    title="Stress-Predict",
    reader=StressPredictReader,
    tasks={
        "stress": ConditionTask(
            "stress",
            ("no_stress", "stress"),
            {"no_stress": 0, "stress": 1},
            source="the publisher's Label column",
            rest=("no_stress",),
        )
    },
    signals=derived_shapes(empatica.SIGNALS, PREPROCESSING),
    preprocessing=PREPROCESSING,
    unit=60.0,
    access=(
        "Open data, MIT licence: affectbench data download stress_predict, or the repository "
        "italha-d/Stress-Predict-Dataset."
    ),
    layout=f"Raw_data/S02 ... Raw_data/S35 and {LABEL_FILE}",
    writer="datamodules.synthesis.stress_predict",
    download=PackedFiles(
        url=f"https://codeload.github.com/italha-d/Stress-Predict-Dataset/tar.gz/{COMMIT}",
        inside=f"Stress-Predict-Dataset-{COMMIT}",
        parts=("Raw_data", "Processed_data", "LICENSE"),
        sha256="b1664f80ed77429cdc5a0273cff4e9aeec6ac9933b8912681be760d6dd8cad53",
        checked="files",
        unpacked=200_000_000,  # the kept files are 96 MB
        terms="MIT licence; cite Iqbal et al., Sensors 22(21):8135, 2022",
    ),
)

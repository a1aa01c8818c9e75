"""EEGMAT: EEG of 36 people at rest and while they subtract in their heads (Zyma et al. 2019).

Published as "EEG During Mental Arithmetic Tasks" on PhysioNet (project eegmat, version 1.0.0),
licence ODC-By 1.0: it may be passed on with attribution.

* 36 people, two files each: rest (mostly 182 s), then serial subtraction (62 s). How much time lies
  between them the files do not say.
* eeg (19 channels of 10-20 with the older names T3 to T6, microvolts) and ecg (1 channel,
  millivolts), both at 500 Hz. The publisher filtered to 0.5 to 45 Hz and took artefacts away by
  independent components. The channel A2-A1 is not read.
* Here rest is its last 60 s, as published comparisons do, and arithmetic is all of its file, so
  that both have two score units of 30 s a person.
* The order is the same for everybody, rest first: the probe ``time`` says what that tells.
* Known faults: Subject04 has 170 s of rest and Subject10 188 s; the two headers of Subject00 name
  different sexes. ``subject-info.csv`` (age, sex, quality of the count) is not read.

::

    Subject00_1.edf  Subject00_2.edf ... Subject35_1.edf  Subject35_2.edf
    subject-info.csv  RECORDS  SHA256SUMS.txt

References:
    Zyma, Tukaev, Seleznov, Kiyono, Popov, Chernykh, Shpenkov: Electroencephalograms during Mental
    Arithmetic Task Performance. Data 4(1):14, 2019, doi 10.3390/data4010014.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.dataset import Dataset
from datamodules.download import ListedFiles
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.edf import read_channels
from datamodules.signals.preprocessing import ECG_BEATS, derived_shapes
from datamodules.signals.recording import Recording, Segment, Signal
from datamodules.tasks import ConditionTask

SUBJECTS = tuple(f"Subject{number:02d}" for number in range(36))
SESSION = "1"
"""The only session."""
SFREQ = 500.0
EEG = (
    *("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4"),
    *("T5", "T6", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz"),
)
LABELS = {**{f"EEG {name}": "uV" for name in EEG}, "ECG ECG": "mV"}
"""Labels of the channels that are read, and their units."""
CONDITIONS = ("rest", "arithmetic")
"""Of the files ``_1`` and ``_2``, in order of time."""
REST_SECONDS = 60.0
"""Length of the end of rest that is used."""


@dataclass(frozen=True)
class EEGMATReader:
    """Reads the two files of a person.

    Args:
        root: Holds the .edf files.
    """

    root: Path

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 36 people."""
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the files of rest and of arithmetic; raises DatasetNotFoundError."""
        paths = tuple(self.root / f"{subject}_{number}.edf" for number in (1, 2))
        missing = [path.name for path in paths if not path.is_file()]
        if subject not in SUBJECTS or missing:
            raise DatasetNotFoundError(
                f"no {' and '.join(missing) or subject} in {str(self.root)!r}: expected two .edf "
                "files of each of the 36 people. Fetch them, or leave the person out."
            )
        return paths

    def read(self, subject: str) -> Iterator[Recording]:
        """Yield rest and arithmetic; the latter begins as soon as the former ends, or later.

        Raises:
            DatasetNotFoundError: No such person, or a file that is missing.
            DatasetCorruptedError: A file that is not as published.
        """
        offset = 0.0
        for trial, path in enumerate(self.files(subject), start=1):
            signals = _signals(path)
            stop = signals["eeg"].duration
            start = 0.0 if trial > 1 else stop - REST_SECONDS
            if start < 0:
                raise DatasetCorruptedError(
                    f"{path}: expected at least {REST_SECONDS:g} s of rest, found {stop:g} s"
                )
            segment = Segment(start, stop, trial, {"condition": CONDITIONS[trial - 1]})
            yield Recording(subject, SESSION, signals, (segment,), offset)
            offset += stop


def _signals(path: Path) -> dict[str, Signal]:
    channels, sfreq = read_channels(path, tuple(LABELS))
    units = {label: channel.unit for label, channel in channels.items()}
    if units != LABELS or sfreq != SFREQ:
        other = sorted({*units.items()} ^ {*LABELS.items()})
        raise DatasetCorruptedError(
            f"{path}: expected {SFREQ:g} Hz, uV and for the ECG mV, found {sfreq:g} Hz and {other}"
        )
    samples = np.stack([channel.samples for channel in channels.values()]).astype(np.float32)
    return {
        "eeg": Signal(samples[: len(EEG)], sfreq, EEG, "uV"),
        "ecg": Signal(samples[len(EEG) :], sfreq, ("ecg",), "mV"),
    }


EEGMAT = Dataset(
    name="eegmat",
    title="EEGMAT",
    reader=EEGMATReader,
    tasks={
        "workload": ConditionTask(
            "workload",
            CONDITIONS,
            {"rest": 0, "arithmetic": 1},
            source="the publisher's two files: rest before, and serial subtraction",
            rest=("rest",),
            rests_before=True,
        )
    },
    signals=derived_shapes({"eeg": (len(EEG), SFREQ), "ecg": (1, SFREQ)}, ECG_BEATS),
    preprocessing=ECG_BEATS,
    unit=30.0,
    access=(
        "Open data, ODC-By 1.0 licence: affectbench data download eegmat, or PhysioNet's project "
        "eegmat, version 1.0.0."
    ),
    layout="Subject00_1.edf, Subject00_2.edf ... Subject35_2.edf",
    writer="datamodules.synthesis.eegmat",
    download=ListedFiles(
        url="https://physionet.org/files/eegmat/1.0.0/",
        parts=tuple(f"{subject}_{number}.edf" for subject in SUBJECTS for number in (1, 2)),
        sha256=None,
        unpacked=300_000_000,  # the 36 files of 18 people are 93 MB
        terms="ODC-By 1.0 licence; cite Zyma et al., Data 4(1):14, 2019",
    ),
)

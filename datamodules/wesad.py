"""WESAD: wrist and chest signals of 15 people at rest, stressed, amused (Schmidt et al. 2018).

Published by Robert Bosch GmbH and the University of Siegen; open for download without a signed
form, for research, with citation (the UCI entry says CC BY 4.0). Not to be passed on with this
project.

* 15 subjects (S2 to S17 without S12), one session of about 100 minutes: baseline, then stress
  (Trier social stress test) and amusement (film clips) in one of two orders, meditation after
  each, and short readings.
* Wrist (Empatica E4): bvp (64 Hz, arbitrary unit), eda (4 Hz, microsiemens), temp (4 Hz,
  degrees Celsius), acc (3 channels, 32 Hz; stored in 1/64 g, read in g). Chest (RespiBAN), all
  700 Hz: ecg, emg (mV), chest_eda (microsiemens), chest_temp (degrees Celsius), resp (percent),
  chest_acc (3 channels, g).
* Labels at 700 Hz: every scheduled interval less 20 s. 0 transient, 1 baseline, 2 stress,
  3 amusement, 4 meditation, 5 to 7 the readings. Baseline, stress and amusement stand to one
  another about as 53 : 30 : 17; the other conditions are part of no task here.
* Self-assessment of each baseline, stress, amusement and meditation: valence and arousal, whole
  numbers from 1 to 9, on the segment. No task here is made of them.
* Known faults: the chest temperature sensor of S2 and S17 was partly detached; S3 sat in the
  sun during baseline; S5 may have slept; S6 and S8 have an unusual history of stress; S15 did
  not believe the cover story. Baseline always comes first, so time alone tells something of
  the label.

::

    S2/S2.pkl            synchronised signals and labels
    S2/S2_quest.csv      schedule and self-assessment; read if it is there
    S2/S2_respiban.txt   S2/S2_E4_Data.zip   S2/S2_readme.txt   not read
    ... S17

References:
    Schmidt, Reiss, Duerichen, Marberger, Van Laerhoven: Introducing WESAD, a multimodal dataset
    for wearable stress and affect detection. ICMI 2018, doi 10.1145/3242969.3242985.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.download import PackedFiles
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.arrays import describe, keys_of, listed, shown
from datamodules.formats.pickles import load_arrays
from datamodules.formats.wesad_quest import Interval, read_intervals
from datamodules.signals.preprocessing import BVP_BEATS, ECG_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.tasks import ConditionTask

SUBJECTS = tuple(f"S{number}" for number in (*range(2, 12), *range(13, 18)))
"""S1 and S12 do not exist: their sensors failed."""
SESSION = "1"
"""The only one."""

Labels = npt.NDArray[np.integer[Any]]

LABEL_RATE = 700.0
"""Labels a second."""
PULSE_RATE = 64.0
"""Samples a second of the wrist's pulse, the fastest signal of the wristband."""
TRANSIENT = 0
"""Label of samples that belong to no condition."""
READING = {5: "bRead", 6: "sRead", 7: "fRead"}
"""Codes that the readme says to ignore. That they are the reading phases of the schedule is
inferred from S2, which has no bRead and no 5, and whose 6 and 7 last as long as sRead and fRead."""
CONDITIONS = {1: "baseline", 2: "stress", 3: "amusement", 4: "meditation", **READING}
"""Conditions by label."""
SCHEDULED = {
    "Base": "baseline",
    "TSST": "stress",
    "Fun": "amusement",
    "Medi 1": "meditation",
    "Medi 2": "meditation",
}
"""Conditions by the names of the schedule."""

COUNTS_PER_G = 64
"""The wrist's acceleration is in 1/64 g; the chest's is in g."""
SLACK = 1.0
"""Seconds by which the durations of channels may differ; in S2 they agree to a sample."""


@dataclass(frozen=True)
class _Entry:
    """Position of a signal in the file, its rate, unit and channels."""

    device: str
    key: str
    sfreq: float
    unit: str
    channels: tuple[str, ...]
    counts: int = 1

    @property
    def keys(self) -> tuple[str, ...]:
        return "signal", self.device, self.key

    @property
    def path(self) -> str:
        return "/".join(self.keys)


ENTRIES: Mapping[str, _Entry] = MappingProxyType(
    {
        "bvp": _Entry("wrist", "BVP", 64.0, "a.u.", ("bvp",)),
        "eda": _Entry("wrist", "EDA", 4.0, "uS", ("eda",)),
        "temp": _Entry("wrist", "TEMP", 4.0, "degC", ("temp",)),
        "acc": _Entry("wrist", "ACC", 32.0, "g", ("x", "y", "z"), COUNTS_PER_G),
        "ecg": _Entry("chest", "ECG", 700.0, "mV", ("ecg",)),
        "emg": _Entry("chest", "EMG", 700.0, "mV", ("emg",)),
        "chest_eda": _Entry("chest", "EDA", 700.0, "uS", ("eda",)),
        "chest_temp": _Entry("chest", "Temp", 700.0, "degC", ("temp",)),
        "resp": _Entry("chest", "Resp", 700.0, "%", ("resp",)),
        "chest_acc": _Entry("chest", "ACC", 700.0, "g", ("x", "y", "z")),
    }
)
"""The keys are as the files spell them: ``Temp`` on the chest, ``TEMP`` on the wrist."""


@dataclass(frozen=True)
class WESADReader:
    """Reads the synchronised signals and labels of each subject.

    The self-assessment after each condition is added to its segment where the file is there.

    Args:
        root: The publisher's folder, with ``S2/S2.pkl`` in it.
    """

    root: Path

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 15 published subjects."""
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the subject's pickle, and the questionnaires if the file exists.

        Raises:
            DatasetNotFoundError: No such subject, or no such file.
        """
        if subject not in SUBJECTS:
            raise DatasetNotFoundError(
                f"WESAD has no subject {subject!r}: expected one of {', '.join(SUBJECTS)}"
            )
        path = self._path(subject)
        if not path.is_file():
            n_files = sum(self._path(other).is_file() for other in SUBJECTS)
            raise DatasetNotFoundError(
                f"no {subject}/{subject}.pkl in {str(self.root)!r}: expected it beside those of "
                f"the other subjects, of whom {n_files} of {len(SUBJECTS)} are there. Unpack the "
                "whole archive, or leave the subject out."
            )
        quest = path.with_name(f"{subject}_quest.csv")
        return (path, quest) if quest.is_file() else (path,)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield one recording, whose segments are the runs of one label, and its faults.

        A published file is about 1 GB of text and takes 5 s and 1 GB of memory.

        Raises:
            DatasetNotFoundError: No such subject, or no such file.
            DatasetCorruptedError: The file holds something else than the publisher's.
        """
        path, *quest = self.files(subject)
        content = load_arrays(path)
        subject_in_file = _member(path, content, "subject")
        if subject_in_file != subject:
            raise DatasetCorruptedError(
                f"{path}: expected the data of {subject}, found subject {shown(subject_in_file)}"
            )
        labels = _labels(path, _member(path, content, "label"))
        signals = {
            name: _signal(path, entry, _member(path, content, *entry.keys))
            for name, entry in ENTRIES.items()
        }
        durations = {entry.path: signals[name].duration for name, entry in ENTRIES.items()}
        durations["label"] = len(labels) / LABEL_RATE
        shortest, longest = min(durations.values()), max(durations.values())
        if longest - shortest > SLACK:
            listed = ", ".join(f"{key} {seconds:.2f} s" for key, seconds in durations.items())
            raise DatasetCorruptedError(
                f"{path}: expected channels of one duration, to {SLACK:g} s, found {listed}"
            )
        segments = _segments(path, labels, shortest)
        if quest:
            segments, faults = _rated(segments, read_intervals(quest[0]))
            yield from faults
        yield Recording(subject, SESSION, signals, segments)

    def _path(self, subject: str) -> Path:
        return self.root / subject / f"{subject}.pkl"


def _member(path: Path, content: object, *keys: str) -> Any:
    """Return the value under some keys and remove it, so that it is freed once converted."""
    for depth, key in enumerate(keys, start=1):
        if not isinstance(content, dict) or key not in content:
            members = keys_of(content)
            raise DatasetCorruptedError(
                f"{path}: expected a key {'/'.join(keys[:depth])!r}, found {members}"
            )
        content = content.pop(key) if depth == len(keys) else content[key]
    return content


def _signal(path: Path, entry: _Entry, values: object) -> Signal:
    """Return a signal from its array in the file, shape (T, C)."""
    n_channels = len(entry.channels)
    if (
        not isinstance(values, np.ndarray)
        or values.dtype.kind not in "fiu"
        or values.ndim != 2
        or values.shape[1] != n_channels
        or not len(values)
    ):
        raise DatasetCorruptedError(
            f"{path}: {entry.path}: expected numbers of shape (T, {n_channels}) with T > 0, "
            f"found {describe(values)}"
        )
    with np.errstate(over="ignore"):
        samples = np.ascontiguousarray(values.T, dtype=np.float32)
    wrong = samples.size - np.count_nonzero(np.isfinite(samples))
    if wrong:
        raise DatasetCorruptedError(
            f"{path}: {entry.path}: expected finite values, found {wrong} NaN or infinite of "
            f"{samples.size}"
        )
    if entry.counts != 1:
        samples = samples / np.float32(entry.counts)
    return Signal(samples, entry.sfreq, entry.channels, entry.unit)


def _labels(path: Path, values: object) -> Labels:
    """Return the label of each sample at ``LABEL_RATE``, shape (T,)."""
    if (
        not isinstance(values, np.ndarray)
        or values.dtype.kind not in "iu"
        or values.ndim != 1
        or not len(values)
    ):
        raise DatasetCorruptedError(
            f"{path}: label: expected whole numbers of shape (T,) with T > 0, "
            f"found {describe(values)}"
        )
    unknown = set(np.unique(values).tolist()) - {TRANSIENT, *CONDITIONS}
    if unknown:
        raise DatasetCorruptedError(
            f"{path}: label: expected codes {TRANSIENT} to {max(CONDITIONS)}, "
            f"found {listed(sorted(unknown))}"
        )
    return values


def _segments(path: Path, labels: Labels, shortest: float) -> tuple[Segment, ...]:
    """Return the runs of one condition, cut where the shortest signal ends.

    They begin and end with samples of the wrist's pulse: a sample belongs to the condition of the
    label next to it, so that a run of labels t, ..., u - 1 has the samples from the first at or
    after label t - 0.5 to the last before label u - 0.5, as in the study with Attention-LRCN. The
    last pulse sample lasts up to 1/64 s beyond label u, which faster signals have too.
    """
    changes = np.flatnonzero(np.diff(labels)) + 1
    firsts = np.concatenate([[0], changes])
    ends = np.concatenate([changes, [len(labels)]])
    runs = [
        (CONDITIONS[code], start, stop)
        for code, start, stop in zip(
            labels[firsts].tolist(),
            _seconds(firsts).tolist(),
            np.minimum(_seconds(ends), shortest).tolist(),
            strict=True,
        )
        if code != TRANSIENT and stop > start
    ]
    if not runs:
        raise DatasetCorruptedError(f"{path}: label: expected conditions, found only {TRANSIENT}")
    return tuple(
        Segment(start, stop, trial, {"condition": condition})
        for trial, (condition, start, stop) in enumerate(runs, start=1)
    )


def _seconds(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the times of the first pulse samples of labels, given by position."""
    samples = np.ceil((labels - 0.5) * PULSE_RATE / LABEL_RATE)
    return np.asarray(np.maximum(samples, 0.0) / PULSE_RATE)


def _rated(
    segments: Sequence[Segment], intervals: Sequence[Interval]
) -> tuple[tuple[Segment, ...], list[Fault]]:
    """Return segments with their ratings, and faults where schedule and labels count differently.

    Labels and schedule need not begin together: the first meditation is the first one scheduled.
    """
    rated, faults = {segment.trial: segment for segment in segments}, []
    for condition in dict.fromkeys(SCHEDULED.values()):
        runs = [s for s in segments if s.annotations["condition"] == condition]
        answers = [i.ratings for i in intervals if SCHEDULED[i.name] == condition]
        if len(runs) != len(answers):
            reason = f"ratings: the schedule has {condition} another number of times; not added"
            faults += [Fault(SESSION, run.trial, reason, omitted=False) for run in runs]
            continue
        for run, ratings in zip(runs, answers, strict=True):
            rated[run.trial] = replace(run, annotations={**run.annotations, **ratings})
    return tuple(rated.values()), faults


SHARE = "https://uni-siegen.sciebo.de/s/HGdUkoNlW1Ub0Gx/download"
"""The authors' share, to which their page at the University of Siegen leads. The archive of the UCI
repository is none: 261 bytes that name a share which no longer exists."""
SHA256 = "5e15d2606adf16d819ba535c1786d92e94bae5ff5392f7ae01fb63f9938fd71c"
"""Digest of the authors' WESAD.zip, 2,249,444,501 bytes. The publisher gives no checksum;
independent projects that fetched the file computed this one, alike, and put it on public record."""
PREPROCESSING = {**EDA_PARTS, **BVP_BEATS, **ECG_BEATS}
"""Parts of skin conductance, and heart beats."""

WESAD = Dataset(
    name="wesad",
    title="WESAD",
    reader=WESADReader,
    tasks={
        "stress": ConditionTask(
            "stress",
            ("no_stress", "stress"),
            {"baseline": 0, "stress": 1, "amusement": 0},
            source="Schmidt et al. 2018: stress against baseline and amusement",
            rest=("baseline",),
        ),
        "affect": ConditionTask(
            "affect",
            ("baseline", "stress", "amusement"),
            {"baseline": 0, "stress": 1, "amusement": 2},
            source="Schmidt et al. 2018: baseline, stress, amusement",
            rest=("baseline",),
        ),
    },
    signals=derived_shapes(
        {name: (len(entry.channels), entry.sfreq) for name, entry in ENTRIES.items()}, PREPROCESSING
    ),
    preprocessing=PREPROCESSING,
    unit=60.0,
    access=(
        "Open for download without a form, for research with citation: affectbench data download "
        "wesad, or the authors' page. To try things out: affectbench data synthesize wesad."
    ),
    layout="S2/S2.pkl ... S17/S17.pkl (15 subjects; there is no S12)",
    writer="datamodules.synthesis.wesad",
    download=PackedFiles(
        url=SHARE,
        inside="WESAD",
        parts=(*SUBJECTS, "wesad_readme.pdf"),
        sha256=SHA256,
        checked="archive",
        unpacked=18_000_000_000,  # on record: 76 files of 17,578,304,666 bytes
        terms="for scientific, non-commercial use; cite Schmidt et al., ICMI 2018",
    ),
)

"""MAHNOB-HCI: EEG and physiology of 27 people who watch film clips (Soleymani et al. 2012).

Only the experiment on emotion elicitation is read: film clips, EEG, physiology and ratings.

Published by Imperial College London and the University of Geneva at mahnob-db.eu/hci-tagging;
to be had after an agreement is signed by somebody with a permanent academic post, for academic
use only. No part of it is to be passed on.

* 30 participants x 20 film clips of 34.9 to 117 s, one session; everybody saw the same 20, each
  in an order of their own. 27 participants have physiology, in 527 trials. The recording goes
  on for 30 s before and about 30 s after the clip.
* All at 256 Hz, as recorded: eeg (32 channels of 10-20 against an electrode on the head, with
  the offsets of the amplifier, microvolts; here against the common average, 1 to 45 Hz); ecg
  (limb leads II and I between three electrodes on the trunk, millivolts; here 0.5 to 45 Hz);
  eda (microsiemens; the files hold Ohm); resp (belt) and temp (left little finger), in the
  unit that the header gives.
* Ratings of valence, arousal, control and predictability, whole numbers from 1 to 9, and one
  keyword of emotion.
* Known faults: participants 12, 15 and 26 have no physiology; 3, 9 and 16 have none in their
  last 3, 6 and 4 trials. Some sessions have no ratings. Folders are numbered
  130 x (participant - 1) + 2 x trial, with gaps; only session.xml says whose they are.

::

    Sessions/2/session.xml                            who, what, when, and the ratings
    Sessions/2/Part_1_S_Trial1_emotion.bdf            47 channels
    Sessions/2/*.avi  *.tsv  *.wav                    not read
    Sessions/1/session.xml  Part_1_N_Trial1_emotion.bdf    the neutral clip before; no trial
    ... Sessions/3810

References:
    Soleymani, Lichtenauer, Pun, Pantic: A multimodal database for affect recognition and
    implicit tagging. IEEE Transactions on Affective Computing 3(1), 2012,
    doi 10.1109/T-AFFC.2011.25.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, IncompatibleRunError
from datamodules.formats.edf import read_channels
from datamodules.formats.folders import listed
from datamodules.signals.preprocessing import ECG_BEATS, EDA_PARTS, Preprocessing, derived_shapes
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.signals.resistance import conductance
from datamodules.signals.steps import BandPass, BaselineRemoval, CommonAverage, Resample
from datamodules.splits import SUBJECT_SPLITS
from datamodules.tasks import RatingTask

Samples = npt.NDArray[np.float64]

NO_PHYSIOLOGY = ("12", "15", "26")
"""Participants without .bdf files. One reader's notes give participant 26 twenty trials; the 527
trials that everybody else counts (three sources, one of which lists them) have none."""
SUBJECTS = tuple(number for number in map(str, range(1, 31)) if number not in NO_PHYSIOLOGY)
"""The publisher's numbers."""
SESSION = "1"
"""The only session; what the publisher calls a session is a trial."""

EEG = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7"),
    *("PO3", "O1", "Oz", "Pz", "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz"),
    *("C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
RIGHT, LEFT, ABDOMEN = "EXG1", "EXG2", "EXG3"
"""Electrodes of the ECG: upper right and upper left on the chest, left on the abdomen."""
LEADS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"II": (ABDOMEN, RIGHT), "I": (LEFT, RIGHT)}
)
"""Differences of two electrodes, as the limb leads of the same names. The files hold each against
an electrode on the head, of which the differences are free; the third is II - I."""
SKIN, BELT, FINGER, STATUS = "GSR1", "Resp", "Temp", "Status"
CHANNELS = (*EEG, RIGHT, LEFT, ABDOMEN, SKIN, BELT, FINGER, STATUS)
"""Channels that are read, by label; EXG4 to EXG8, GSR2, Erg1 and Erg2 are not connected."""

SFREQ = 256.0
"""Published rate in Hz. The header decides, as one document says 512: others are resampled."""
OHM: Mapping[str, float] = MappingProxyType({"ohm": 1.0, "ohms": 1.0, "kohm": 1e3})
"""Ohms by unit, in lower case. GSR1 is a resistance (two sources); how the published headers call
its unit is not known here, and BioSemi's programs have written both Ohm and nS."""
MICROSIEMENS: Mapping[str, float] = MappingProxyType({"ns": 1e-3, "us": 1.0})
"""Microsiemens by unit, in lower case."""

TAGGING = "tag"
"""In ``experimentType`` of the database's other experiment, implicit tagging: none of its sessions
is a trial. How exactly it is called there is inferred."""
MARK_BITS = 0xFFFF
"""Part of Status that holds marks; above it the amplifier keeps its own notes. It is 0, and 268 for
a moment at the start and at the end of the stimulus (one source, from 1054 files)."""
MARGIN = 30.0
"""Seconds before the stimulus, exact to the sample in those files, and about so many after it."""
IDLE = 16
"""Digital value with which the belt's channel is filled up where the amplifier was idle: before or
after, but never during a stimulus (the same source)."""
SHORTEST_BASELINE = 1.0
"""Seconds before the stimulus that are enough for a baseline."""
TRIAL_SECONDS = (34.0, 118.0)
"""Shortest and longest stimulus; the published ones last from 34.9 to 117 s."""

SCALE = (1.0, 9.0)
MIDPOINT = 5.0
"""Above is high, ties are low. Others take ties for high, or split at 4.5."""
RATINGS: Mapping[str, str] = MappingProxyType(
    {
        "valence": "feltVlnc",
        "arousal": "feltArsl",
        "control": "feltCtrl",
        "predictability": "feltPred",
    }
)
"""Attributes of session.xml; a trial needs the first two."""
EMOTIONS = (
    *("neutral", "anger", "disgust", "fear", "joy", "sadness", "surprise"),
    *("scream", "bored", "sleepy", "unknown", "amusement", "anxiety"),
)
"""Keywords by ``feltEmo``; 7 to 10 are one source's word, and in another's table nobody felt so."""
FILE_NAME = re.compile(r"Part_(\d+)_[A-Z]_Trial(\d+)_")
"""Participant and trial in the name of a .bdf file."""


class _UnusableError(Exception):
    """The reason to leave a trial out, in the words of a Fault."""


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses entities before there are any: session.xml needs none."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise ValueError("a document type, which no session.xml has")


@dataclass(frozen=True)
class _Session:
    """The content of a session.xml."""

    path: Path
    subject: str
    number: int
    attributes: Mapping[str, str]

    @property
    def is_trial(self) -> bool:
        other = TAGGING in self.attributes.get("experimentType", "").lower()
        return self.attributes.get("isStim") != "0" and not other

    @property
    def bdf(self) -> Path | None:
        files = _bdf_files(self.path.parent)
        if len(files) > 1:
            raise DatasetCorruptedError(
                f"{self.path.parent}: expected at most one .bdf file, found {len(files)}"
            )
        return files[0] if files else None

    @property
    def clock(self) -> datetime | None:
        """Time of its start; how date and time are punctuated is not known for sure."""
        text = f"{self.attributes.get('date')} {self.attributes.get('time')}"
        numbers = [int(digits) for digits in re.findall(r"\d+", text)]
        try:
            year, month, day, hour, minute, second = numbers[:6]
            return datetime(year, month, day, hour, minute, second)
        except ValueError:
            return None


@dataclass(frozen=True, eq=False)
class _Physiology:
    """Channels of a .bdf file: physical values and units by label, digital ones of two."""

    samples: Mapping[str, Samples]
    units: Mapping[str, str]
    belt: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]
    sfreq: float


@dataclass(frozen=True)
class MAHNOBHCIReader:
    """Reads each trial, from 30 s before the stimulus to about 30 s after it.

    Trials are numbered from 1 in the order of ``sessionId``, which is that of presentation and of
    the numbers in the names of the files. Sessions without a stimulus, and those of the database's
    other experiment, are no trials. A .bdf file that cannot be read costs its trial.

    Args:
        root: Folder with ``Sessions`` in it.
        subtract_baseline: Subtract each channel's mean over the time before the stimulus.
        gsr_unit: Unit of GSR1, if the header is wrong, e.g. ``"Ohm"``; None: the header's.

    Raises:
        IncompatibleRunError: An unknown unit.
    """

    root: Path
    subtract_baseline: bool = False
    gsr_unit: str | None = None

    def __post_init__(self) -> None:
        units = (*OHM, *MICROSIEMENS)
        if self.gsr_unit is not None and self.gsr_unit.lower() not in units:
            raise IncompatibleRunError(
                f"MAHNOB-HCI: expected gsr_unit among {', '.join(units)}, found {self.gsr_unit!r}"
            )

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 27 of 30 participants who have physiology."""
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the session.xml of each trial, and its .bdf file if it has one.

        Raises:
            DatasetNotFoundError: No such subject, or no session.
            DatasetCorruptedError: A session.xml that cannot be read: it might be anybody's.
        """
        paths = [path for trial in self._trials(subject) for path in (trial.path, trial.bdf)]
        return tuple(path for path in paths if path is not None)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield the trials in order of presentation.

        Raises:
            DatasetNotFoundError: No such subject, or no session.
            DatasetCorruptedError: A file that is not the publisher's.
        """
        trials = self._trials(subject)
        clocks = [trial.clock for trial in trials]
        starts = [clock for clock in clocks if clock is not None]
        previous = 0
        for number, (session, clock) in enumerate(zip(trials, clocks, strict=True), start=1):
            offset = 0.0
            if clock is not None and len(starts) == len(trials):
                offset = (clock - min(starts)).total_seconds()
            bdf = session.bdf
            name = FILE_NAME.match(bdf.name) if bdf else None
            if name and name[1] != subject:
                reason = "the .bdf is named after another participant; session.xml counts"
                yield Fault(SESSION, number, reason, omitted=False)
            if name and int(name[2]) <= previous:
                reason = "the .bdf is named after an earlier trial; sessionId counts"
                yield Fault(SESSION, number, reason, omitted=False)
            previous = int(name[2]) if name else previous
            try:
                yield from self._trial(number, session, bdf, offset)
            except _UnusableError as reason:
                yield Fault(SESSION, number, str(reason))

    @cached_property
    def _sessions(self) -> Mapping[str, Sequence[_Session]]:
        """Sessions with a stimulus by subject, in order of their numbers."""
        sessions: dict[str, dict[int, _Session]] = {}
        folders = self.root / "Sessions"
        for folder in sorted(folders.iterdir()) if folders.is_dir() else ():
            path = folder / "session.xml"
            if not path.is_file():
                if folder.is_dir() and _bdf_files(folder):
                    raise DatasetCorruptedError(
                        f"{folder}: expected a session.xml that says whose it is, found none"
                    )
                continue
            stat = path.stat()
            session = _parse(path, stat.st_size, stat.st_mtime_ns)
            if session.is_trial:
                numbered = sessions.setdefault(session.subject, {})
                first = numbered.setdefault(session.number, session)
                if first is not session:
                    raise DatasetCorruptedError(
                        f"{path}: expected a sessionId of its own, found that of {first.path}"
                    )
        return {
            subject: [numbered[number] for number in sorted(numbered)]
            for subject, numbered in sessions.items()
        }

    def _trials(self, subject: str) -> Sequence[_Session]:
        if subject not in SUBJECTS:
            raise DatasetNotFoundError(
                f"MAHNOB-HCI has no physiology of participant {subject!r}: expected one of "
                f"{', '.join(SUBJECTS)}"
            )
        if subject not in self._sessions:
            n_subjects = sum(other in self._sessions for other in SUBJECTS)
            raise DatasetNotFoundError(
                f"no session of participant {subject} in {str(self.root / 'Sessions')!r}: "
                f"expected folders with session.xml, as of {n_subjects} of {len(SUBJECTS)} "
                "participants. Fetch the whole experiment, or leave the participant out."
            )
        return self._sessions[subject]

    def _trial(
        self, number: int, session: _Session, bdf: Path | None, offset: float
    ) -> Iterator[Recording | Fault]:
        annotations, stimulus = _annotations(session), _stimulus(session)
        if bdf is None:
            raise _UnusableError("no .bdf file")
        try:
            recorded = _read_bdf(bdf)
        except DatasetCorruptedError as error:
            place = f"{bdf.parent.name}/{bdf.name}"
            raise _UnusableError(str(error).replace(str(bdf), place)) from error
        repairs = []
        marks = _marks(recorded.status)
        if len(marks) >= 2:
            start, stop = float(marks[0] / recorded.sfreq), float(marks[-1] / recorded.sfreq)
        else:
            start, stop = MARGIN, MARGIN + _length(session)
            repairs.append("Status: less than two marks; taken from 30 s for cutLenSec")
        if not TRIAL_SECONDS[0] <= stop - start <= TRIAL_SECONDS[1]:
            raise _UnusableError("the stimulus does not last {:g} to {:g} s".format(*TRIAL_SECONDS))
        first, end = _live(recorded, start, stop)
        if end - first < len(recorded.belt):
            repairs.append("the amplifier was idle before or after the stimulus; this is cut off")
        signals, repair = self._signals(bdf, recorded, slice(first, end))
        if repair:
            repairs.append(f"eda: {repair}")
        lead = first / recorded.sfreq
        if self.subtract_baseline:
            if start - lead < SHORTEST_BASELINE:
                raise _UnusableError("no baseline before the stimulus")
            remove = BaselineRemoval(start - lead)
            signals = {name: remove(signal) for name, signal in signals.items()}
        for reason in repairs:
            yield Fault(SESSION, number, reason, omitted=False)
        covered = min(signal.duration for signal in signals.values())
        stop = min(stop - lead, covered)
        segment = Segment(start - lead, stop, number, annotations, stimulus)
        yield Recording(session.subject, SESSION, signals, (segment,), offset + lead)

    def _signals(
        self, path: Path, recorded: _Physiology, live: slice
    ) -> tuple[dict[str, Signal], str | None]:
        """Return the signals, and how eda was repaired; None if it was not."""
        for label in (*EEG, RIGHT, LEFT, ABDOMEN):
            if recorded.units[label] != "uV":
                raise DatasetCorruptedError(
                    f"{path}: {label}: expected uV, found {recorded.units[label]!r}"
                )
        unit = (self.gsr_unit or recorded.units[SKIN]).lower()
        skin, repair = recorded.samples[SKIN][live], None
        if unit in OHM:
            skin, repair = conductance(skin * OHM[unit])
        elif unit in MICROSIEMENS:
            skin = skin * MICROSIEMENS[unit]
        else:
            raise DatasetCorruptedError(
                f"{path}: {SKIN}: expected one of the units {', '.join((*OHM, *MICROSIEMENS))}, "
                f"found {recorded.units[SKIN]!r}. If you know what it is, set gsr_unit."
            )
        leads = [recorded.samples[plus] - recorded.samples[minus] for plus, minus in LEADS.values()]
        parts: dict[str, tuple[Sequence[Samples], tuple[str, ...], str]] = {
            "eeg": ([recorded.samples[label][live] for label in EEG], EEG, "uV"),
            "ecg": ([lead[live] / 1000 for lead in leads], tuple(LEADS), "mV"),
            "eda": ([skin], ("eda",), "uS"),
            "resp": ([recorded.samples[BELT][live]], ("resp",), recorded.units[BELT] or "a.u."),
            "temp": ([recorded.samples[FINGER][live]], ("temp",), _temperature_unit(recorded)),
        }
        to_published = Resample(SFREQ)
        signals = {}
        for name, (samples, channels, unit) in parts.items():
            signal = Signal(np.stack(samples).astype(np.float32), recorded.sfreq, channels, unit)
            signals[name] = signal if recorded.sfreq == SFREQ else to_published(signal)
        return signals, repair


def _bdf_files(folder: Path) -> list[Path]:
    """Return the .bdf files of a folder, without the files that macOS leaves beside others."""
    return [path for path in listed(folder, "*.bdf") if not path.name.startswith(".")]


@lru_cache(maxsize=4096)
def _parse(path: Path, size: int, changed: int) -> _Session:
    """Return the content of a session.xml, parsed once for as long as the file does not change."""
    try:
        root = ElementTree.parse(path, ElementTree.XMLParser(target=_NoDoctype())).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DatasetCorruptedError(
            f"{path}: expected an XML document, found otherwise ({error}). Fetch it anew from its "
            "publisher."
        ) from error
    person = root.find("subject")
    numbers = {
        "subject id": person.get("id") if person is not None else None,
        "sessionId": root.get("sessionId"),
    }
    for field, text in numbers.items():
        if text is None or not re.fullmatch(r"\s*[0-9]{1,9}\s*", text):
            raise DatasetCorruptedError(f"{path}: {field}: expected a number, found {text!r}")
    subject, number = (int(text) for text in numbers.values() if text is not None)
    return _Session(path, str(subject), number, dict(root.attrib))


def _number(session: _Session, attribute: str, least: float, most: float) -> float | None:
    """Return an attribute within bounds; None if it is missing or beyond them."""
    try:
        value = float(session.attributes[attribute])
    except (KeyError, ValueError):
        return None
    return value if least <= value <= most else None


def _annotations(session: _Session) -> Mapping[str, str | float]:
    """Return ratings and emotion of a trial."""
    ratings = {name: _number(session, attribute, *SCALE) for name, attribute in RATINGS.items()}
    for name in ("valence", "arousal"):
        if ratings[name] is None:
            raise _UnusableError(f"session.xml: no {RATINGS[name]} from 1 to 9")
    annotations: dict[str, str | float] = {
        name: value for name, value in ratings.items() if value is not None
    }
    emotion = _number(session, "feltEmo", 0, len(EMOTIONS) - 1)
    if emotion is not None and emotion.is_integer():
        annotations["emotion"] = EMOTIONS[int(emotion)]
    return annotations


def _stimulus(session: _Session) -> str:
    """Return the name of the file of the film."""
    name = session.attributes.get("mediaFile", "").strip().lower()
    if not name:
        raise _UnusableError("session.xml: no mediaFile")
    return name


def _length(session: _Session) -> float:
    """Return the seconds that a stimulus lasted, by session.xml."""
    length = _number(session, "cutLenSec", *TRIAL_SECONDS)
    if length is None:
        raise _UnusableError("Status: less than two marks; session.xml: no cutLenSec to go by")
    return length


def _marks(status: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """Return samples where Status leaves its usual value, which need not be 0 (open lines)."""
    codes = status & MARK_BITS
    marked = codes != np.bincount(codes).argmax()
    return np.flatnonzero(marked[1:] & ~marked[:-1]) + 1


def _live(recorded: _Physiology, start: float, stop: float) -> tuple[int, int]:
    """Return the first sample and the end of the time in which the amplifier was not idle."""
    if stop * recorded.sfreq > len(recorded.belt):
        raise _UnusableError("the file ends before the stimulus does")
    live = np.flatnonzero(recorded.belt != IDLE)
    rate = recorded.sfreq
    if not len(live) or live[0] > start * rate or live[-1] + 1 < stop * rate:
        raise _UnusableError("resp: the amplifier was idle during the stimulus")
    return int(live[0]), int(live[-1]) + 1


def _read_bdf(path: Path) -> _Physiology:
    """Read the channels of a .bdf file."""
    channels, sfreq = read_channels(path, CHANNELS)
    return _Physiology(
        {label: channel.samples for label, channel in channels.items()},
        {label: channel.unit for label, channel in channels.items()},
        channels[BELT].digital,
        channels[STATUS].digital,
        sfreq,
    )


def _temperature_unit(recorded: _Physiology) -> str:
    """Return the header's unit of temperature, with degrees Celsius spelled as elsewhere."""
    unit = recorded.units[FINGER] or "a.u."
    return "degC" if unit.lower() in ("c", "degc", "°c") else unit


PREPROCESSING: Preprocessing = {
    # takes away offsets, drift, muscle and mains, and leaves the bands from delta to gamma
    "eeg": (CommonAverage(), BandPass(1.0, 45.0)),
    # takes away baseline wander and mains, and leaves P to T waves
    "ecg": (BandPass(0.5, 45.0),),
    **EDA_PARTS,
    **ECG_BEATS,
}


MAHNOB_HCI = Dataset(
    name="mahnob_hci",
    title="MAHNOB-HCI",
    reader=MAHNOBHCIReader,
    tasks={
        name: RatingTask(name, MIDPOINT, source="felt ratings: low or high, threshold 5")
        for name in ("valence", "arousal")
    },
    signals=derived_shapes(
        {
            "eeg": (len(EEG), SFREQ),
            "ecg": (len(LEADS), SFREQ),
            "eda": (1, SFREQ),
            "resp": (1, SFREQ),
            "temp": (1, SFREQ),
        },
        PREPROCESSING,
    ),
    unit=None,
    trial_seconds=TRIAL_SECONDS,
    preprocessing=PREPROCESSING,
    splits=(
        "subject_stimulus_k_fold",
        *SUBJECT_SPLITS,
        "trial_k_fold",
    ),
    access=(
        "Sign the agreement at mahnob-db.eu/hci-tagging and fetch all sessions of the emotion "
        "elicitation experiment. To try things out: affectbench data synthesize mahnob_hci."
    ),
    layout="Sessions/2/session.xml, Sessions/2/Part_1_S_Trial1_emotion.bdf ... Sessions/3810",
    writer="datamodules.synthesis.mahnob_hci",
)

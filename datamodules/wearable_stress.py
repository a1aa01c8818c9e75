"""Wearable Stress: wrist signals of 36 people under stress and on a bicycle (Hongn et al. 2025).

Published as "Wearable Device Dataset from Induced Stress and Structured Exercise Sessions" on
PhysioNet (project wearable-device-dataset, version 1.0.1), licence ODC-By 1.0: it may be passed on
with attribution.

* 36 people with an Empatica E4 in up to three sessions of different days: STRESS (36 people),
  AEROBIC (30) and ANAEROBIC (31), on a stationary bicycle. The same id is the same person in all.
* bvp (64 Hz, arbitrary unit), eda (4 Hz, microsiemens), temp (4 Hz, degrees Celsius), acc
  (3 channels, 32 Hz, g). Times are UTC, shifted by a constant for each person.
* STRESS, by presses of the button, counted from 1. Version 1 (S01 to S18): baseline 1-2, Stroop
  test 3-4, rest 4-5, mental arithmetic of Trier 5-6, rest 6-7, own opinion 7-8, opposite opinion
  9-10, subtraction 11-12. Version 2 (f01 to f18): baseline, here the last three minutes before
  press 1, mental arithmetic 2-3, rest 3-4, own opinion 4-5, opposite opinion 6-7, rest 7-8,
  subtraction 8-9. Opinions and subtraction last about 30 s, hence score units of 30 s.
  Nobody was in both; the option ``version`` reads the people of one.
* Self-reported stress, 0 to 10, after each of these phases.
* AEROBIC (cadence rises from stage to stage) and ANAEROBIC (sprints and recoveries): each stage
  from one press to the next. What is before the first press and after the last one is not used, as
  the publisher's notes do not say whether people pedalled then.
* Within a version everybody has the phases in one order: the probe ``time`` says what that tells.
* Faults named by the publisher (``data_constraints.txt``): S02 STRESS repeats itself from its
  middle on, which is cut off; f07 STRESS has no valid bvp and temp (the wristband's dock covered
  the sensors), so that this session is left out and 35 people have stress; f14 STRESS, S11 AEROBIC
  and S16 ANAEROBIC are in two files, which become two recordings of one session; S12 has no
  AEROBIC; S03 and S07 AEROBIC and S06 ANAEROBIC ended early; S01 ANAEROBIC has an empty IBI.csv,
  which is not read. Seen in the files besides: temperatures of 207 to 235 degrees for minutes in
  S07 and S09 AEROBIC and S02 and S05 ANAEROBIC; stages with such are left out.

::

    Stress_Level_v1.csv  Stress_Level_v2.csv  data_constraints.txt  subject-info.csv  README.txt
    Wearable_Dataset/STRESS/S01/{ACC,BVP,EDA,HR,IBI,TEMP,tags}.csv ... S18 f01 ... f14_a f14_b f18
    Wearable_Dataset/AEROBIC/S01/ ... S11_a S11_b ... f13
    Wearable_Dataset/ANAEROBIC/S01/ ... S16_a S16_b ... f13

References:
    Hongn, Bosch, Prado, Ferrandez, Bonomini: Wearable Physiological Signals under Acute Stress and
    Exercise Conditions. Scientific Data 12, 2025, doi 10.1038/s41597-025-04845-9. The data:
    doi 10.13026/zzf8-xv61 (of version 1.0.0).
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.download import ListedFiles
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, IncompatibleRunError
from datamodules.formats import empatica
from datamodules.formats.folders import listed
from datamodules.signals.preprocessing import BVP_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import WHOLE_SESSION, Fault, Recording, Segment, Signal
from datamodules.tasks import ConditionTask, RatingTask

FIRST = tuple(f"S{number:02d}" for number in range(1, 19))
"""People of version 1 of the protocol."""
SECOND = tuple(f"f{number:02d}" for number in range(1, 19))
"""People of version 2."""
SUBJECTS = (*FIRST, *SECOND)
DATA = "Wearable_Dataset"
STRESS, AEROBIC, ANAEROBIC = "STRESS", "AEROBIC", "ANAEROBIC"
SESSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        STRESS: SUBJECTS,
        AEROBIC: tuple(s for s in (*FIRST, *SECOND[:13]) if s != "S12"),
        ANAEROBIC: (*FIRST, *SECOND[:13]),
    }
)
"""People by session."""


class Phase(NamedTuple):
    """A phase of STRESS: numbers of the presses at its ends, and its column of reported stress.

    Press 0 stands for a start without a press, see ``BASELINE_SECONDS``.
    """

    first: int
    last: int
    condition: str
    column: str


PROTOCOLS = (
    (
        Phase(1, 2, "baseline", "Baseline"),
        Phase(3, 4, "stroop", "Stroop"),
        Phase(4, 5, "rest", "First Rest"),
        Phase(5, 6, "mental_arithmetic", "TMCT"),
        Phase(6, 7, "rest", "Second Rest"),
        Phase(7, 8, "own_opinion", "Real Opinion"),
        Phase(9, 10, "opposite_opinion", "Opposite Opinion"),
        Phase(11, 12, "subtraction", "Subtract"),
    ),
    (
        Phase(0, 1, "baseline", "Baseline"),
        Phase(2, 3, "mental_arithmetic", "TMCT"),
        Phase(3, 4, "rest", "First Rest"),
        Phase(4, 5, "own_opinion", "Real Opinion"),
        Phase(6, 7, "opposite_opinion", "Opposite Opinion"),
        Phase(7, 8, "rest", "Second Rest"),
        Phase(8, 9, "subtraction", "Subtract"),
    ),
)
"""Phases of STRESS in version 1 and in version 2."""
BASELINE_SECONDS = 180.0
"""Length of the baseline of version 2, which ends at press 1."""
LEVEL_FILES = ("Stress_Level_v1.csv", "Stress_Level_v2.csv")
SCALE = (0.0, 10.0)
"""Ends of the scale of reported stress."""
REPORT = "self_report"
PRESSES_FILE = "tags.csv"
PRESSES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {STRESS: (13, 9), AEROBIC: (12, 8), ANAEROBIC: (7, 11)}
)
"""Presses of the button in a session of version 1 and of version 2."""
OTHER_PRESSES: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        (AEROBIC, "S03"): 7,
        (AEROBIC, "S07"): 9,
        (AEROBIC, "S11"): 11,
        (ANAEROBIC, "S06"): 5,
        (ANAEROBIC, "S16"): 9,
    }
)
"""Presses in sessions that ended early or were interrupted."""

IN_TWO_FILES = frozenset({(STRESS, "f14"), (AEROBIC, "S11"), (ANAEROBIC, "S16")})
"""Sessions in two folders, ``_a`` and ``_b``."""
LOST = "the connection was lost: two files, which are two recordings"
NOTES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        **dict.fromkeys(sorted(IN_TWO_FILES), LOST),
        (AEROBIC, "S03"): "the protocol ended early, at 90 rpm",
        (AEROBIC, "S07"): "the protocol ended early, at 95 rpm",
        (ANAEROBIC, "S06"): "the protocol ended early, without the last sprint",
        (ANAEROBIC, "S01"): "IBI.csv is empty; it is not read",
    }
)
"""Published faults that change nothing of what is there."""
NOT_PERFORMED: Mapping[str, str] = MappingProxyType({"S12": AEROBIC})
"""Session that a person should have had and has not."""
REPEATED = frozenset({(STRESS, "S02")})
"""Sessions that repeat themselves from the middle on, from line 6195 of EDA.csv for one."""
COVERED = frozenset({(STRESS, "f07")})
"""Sessions without valid pulse and temperature."""
HOTTEST = 45.0
"""Degrees Celsius above which a temperature is not that of skin; the faults are at 207 to 235."""


class _Span(NamedTuple):
    """A phase of a session: start and stop in UTC seconds, and its annotations."""

    start: float
    stop: float
    annotations: Mapping[str, str | float]


@dataclass(frozen=True)
class WearableStressReader:
    """Reads the sessions of a person.

    Args:
        root: Folder with ``Wearable_Dataset`` in it, or the folder above that one.
        version: Version of the stress protocol whose people are read, 1 or 2; 0: both. Nobody is in
            both.

    Raises:
        IncompatibleRunError: Another version.
    """

    root: Path
    version: int = 0

    def __post_init__(self) -> None:
        if self.version not in (0, 1, 2):
            raise IncompatibleRunError(
                "Wearable Stress, option version: expected 1, 2, or 0 for both, found "
                f"{self.version}"
            )

    @property
    def subjects(self) -> tuple[str, ...]:
        """The 36 people, or those of one version."""
        return (SUBJECTS, FIRST, SECOND)[self.version]

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the signals and presses of all sessions, and the table of reported stress.

        Raises:
            DatasetNotFoundError: No such person, or a file that is missing.
        """
        if subject not in self.subjects:
            versions = (FIRST, SECOND) if not self.version else (self.subjects,)
            expected = " or ".join(f"{people[0]} to {people[-1]}" for people in versions)
            raise DatasetNotFoundError(
                f"wearable_stress has no person {subject!r}: expected one of {expected}"
            )
        paths = [self._home / LEVEL_FILES[_version(subject)]]
        for session in _sessions_of(subject):
            for folder in self._folders(session, subject):
                paths += [*empatica.session_files(folder, empatica.SIGNALS), folder / PRESSES_FILE]
        missing = [path.relative_to(self._home) for path in paths if not path.is_file()]
        if missing:
            raise DatasetNotFoundError(
                f"no {', '.join(map(str, missing))} in {str(self._home)!r}: expected the "
                "publisher's whole folder. Fetch it anew, or leave the person out."
            )
        return tuple(paths)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield the sessions in the order of ``SESSIONS``, and their faults.

        Raises:
            DatasetNotFoundError: No such person, or a file that is missing.
            DatasetCorruptedError: A file that is not as published.
        """
        self.files(subject)
        if subject in NOT_PERFORMED:
            reason = "the protocol was not performed"
            yield Fault(NOT_PERFORMED[subject], WHOLE_SESSION, reason, omitted=False)
        for session in _sessions_of(subject):
            yield from self._session(session, subject)

    @cached_property
    def _home(self) -> Path:
        """Folder that holds ``Wearable_Dataset``."""
        if not (self.root / DATA).is_dir() and self.root.is_dir():
            below = [path for path in listed(self.root, "*") if (path / DATA).is_dir()]
            if len(below) == 1:
                return below[0]
        return self.root

    def _folders(self, session: str, subject: str) -> list[Path]:
        parts = ("_a", "_b") if (session, subject) in IN_TWO_FILES else ("",)
        return [self._home / DATA / session / f"{subject}{part}" for part in parts]

    def _session(self, session: str, subject: str) -> Iterator[Recording | Fault]:
        """Yield the recordings of a session, one a file, and its faults."""
        key = session, subject
        folders = self._folders(*key)
        parts = [empatica.read_session(folder, empatica.SIGNALS) for folder in folders]
        notes = [NOTES[key]] if key in NOTES else []
        if key in REPEATED and (length := _length_of_repeated(parts[0])) is not None:
            parts = [_cut(parts[0], length)]
            notes.append("the files repeat themselves from the middle on; this is cut off")
        for part in parts:
            yield from part.faults(session)
        for reason in notes:
            yield Fault(session, WHOLE_SESSION, reason, omitted=False)
        presses = self._presses(key, parts)
        phases = (
            self._phases(subject, parts, presses)
            if session == STRESS
            else _stages(session, presses)
        )
        trial = 0
        for part in parts:
            temperature, hot = _cooled(part.signals["temp"])
            segments = []
            for phase in phases:
                start = max(0.0, phase.start - part.start)
                stop = min(part.duration, phase.stop - part.start)
                if start >= stop:
                    continue
                trial += 1
                if key in COVERED:
                    yield Fault(session, trial, "bvp, temp: the sensors were covered")
                elif hot[int(start * temperature.sfreq) : int(stop * temperature.sfreq) + 1].any():
                    yield Fault(session, trial, f"temp: above {HOTTEST:g} degrees")
                else:
                    segments.append(Segment(start, stop, trial, phase.annotations))
            if segments:
                signals = {**part.signals, "temp": temperature}
                offset = part.start - parts[0].start
                yield Recording(subject, session, signals, tuple(segments), offset)

    def _presses(self, key: tuple[str, str], parts: Sequence[empatica.E4Session]) -> list[float]:
        """Return the presses of a session in UTC seconds, in order."""
        session, subject = key
        presses = sorted(part.start + tag for part in parts for tag in part.tags)
        expected = OTHER_PRESSES.get(key, PRESSES[session][_version(subject)])
        if len(presses) != expected:
            folders = " and ".join(str(folder / PRESSES_FILE) for folder in self._folders(*key))
            raise DatasetCorruptedError(
                f"{folders}: expected {expected} presses of the button, found {len(presses)}. "
                "Fetch it anew."
            )
        return presses

    def _phases(
        self, subject: str, parts: Sequence[empatica.E4Session], presses: Sequence[float]
    ) -> list[_Span]:
        """Return the phases of a session of STRESS, with the stress that was reported after each.

        The baseline of version 2 ends at press 1, or with a first file that has no press.
        """
        reported = self._reported(subject)
        spans = []
        for phase in PROTOCOLS[_version(subject)]:
            if phase.first:
                start, stop = presses[phase.first - 1], presses[phase.last - 1]
            else:
                first = parts[0]
                stop = presses[0] if first.tags else first.start + first.duration
                start = stop - BASELINE_SECONDS
            level = reported.get(phase.column)
            annotations: dict[str, str | float] = {"condition": phase.condition}
            spans.append(
                _Span(start, stop, annotations | ({} if level is None else {REPORT: level}))
            )
        return spans

    def _reported(self, subject: str) -> dict[str, float]:
        """Return the stress that a person reported, by phase; without phases that lack it."""
        path = self._home / LEVEL_FILES[_version(subject)]
        columns = [phase.column for phase in PROTOCOLS[_version(subject)]]
        try:
            with path.open(encoding=empatica.ENCODING, newline="") as file:
                rows = list(csv.DictReader(file))
            (row,) = (row for row in rows if row[""] == subject)
            levels = {name: float(row[name]) for name in columns if row[name]}
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise DatasetCorruptedError(
                f"{path}: expected one row of {subject} with the columns {', '.join(columns)}, "
                f"found otherwise ({error!r}). Fetch it anew."
            ) from error
        if not all(SCALE[0] <= level <= SCALE[1] for level in levels.values()):
            raise DatasetCorruptedError(
                f"{path}, {subject}: expected reported stress from {SCALE[0]:g} to {SCALE[1]:g}, "
                f"found {sorted(levels.values())}"
            )
        return levels


def _version(subject: str) -> int:
    """Return 0 for version 1 of the protocol, 1 for version 2."""
    return int(subject in SECOND)


def _sessions_of(subject: str) -> list[str]:
    return [session for session, people in SESSIONS.items() if subject in people]


def _stages(session: str, presses: Sequence[float]) -> list[_Span]:
    """Return the stages of a session of exercise: from each press to the next."""
    annotations = {"condition": session.lower()}
    return [_Span(start, stop, annotations) for start, stop in pairwise(presses)]


def _length_of_repeated(whole: empatica.E4Session) -> float | None:
    """Return the seconds after which the skin conductance begins anew; None if it never does.

    Artefacts of switching on, which are repaired at the start alone, are not compared.
    """
    eda = whole.signals["eda"]
    samples, first = eda.samples[0], round(empatica.START_UP_SECONDS * eda.sfreq)
    for shift in range(len(samples) // 3, len(samples) - 2 * first):
        later = samples[first + shift :]
        if np.array_equal(later, samples[first : first + len(later)]):
            return shift / eda.sfreq
    return None


def _cut(whole: empatica.E4Session, seconds: float) -> empatica.E4Session:
    """Return the first seconds of a session; doubts were about the files to their end."""
    signals = {
        name: replace(signal, samples=signal.samples[:, : round(seconds * signal.sfreq)])
        for name, signal in whole.signals.items()
    }
    return replace(whole, signals=signals, doubts=())


def _cooled(signal: Signal) -> tuple[Signal, npt.NDArray[np.bool_]]:
    """Return a temperature with impossible samples interpolated, and where they are, (T,)."""
    (samples,) = signal.samples
    hot = samples > HOTTEST
    if not hot.any() or hot.all():
        return signal, hot
    places = np.arange(len(samples))
    cooled = np.interp(places, places[~hot], samples[~hot]).astype(np.float32)
    return replace(signal, samples=cooled[None]), hot


RESTS = ("baseline", "rest")
STRESSORS = tuple(
    dict.fromkeys(p.condition for p in (*PROTOCOLS[0], *PROTOCOLS[1]) if p.condition not in RESTS)
)

PREPROCESSING = {**EDA_PARTS, **BVP_BEATS}
"""Parts of skin conductance, and heart beats."""

WEARABLE_STRESS = Dataset(
    name="wearable_stress",
    title="Wearable Stress",
    reader=WearableStressReader,
    tasks={
        "stress": ConditionTask(
            "stress",
            ("no_stress", "stress"),
            {**dict.fromkeys(RESTS, 0), **dict.fromkeys(STRESSORS, 1)},
            source="the publisher's protocol: stressors against baseline and rests",
            rest=RESTS,
        ),
        "activity": ConditionTask(
            "activity",
            ("rest", "stress", "exercise"),
            {
                **dict.fromkeys(RESTS, 0),
                **dict.fromkeys(STRESSORS, 1),
                **dict.fromkeys((AEROBIC.lower(), ANAEROBIC.lower()), 2),
            },
            source="the publisher's three sessions; rests are those of STRESS",
            rest=RESTS,
        ),
        REPORT: RatingTask(
            REPORT,
            sum(SCALE) / 2,
            source="stress that people reported after each phase, 0 to 10: above 5 is high",
            plane=(REPORT,),
        ),
    },
    published_tasks={
        "exercise": ConditionTask(
            "exercise",
            ("no_stress", "stress"),
            dict.fromkeys((AEROBIC.lower(), ANAEROBIC.lower()), 0),
            source="the publisher's sessions on a bicycle: whatever is called stress is an error",
            partial=True,
        ),
    },
    signals=derived_shapes(empatica.SIGNALS, PREPROCESSING),
    preprocessing=PREPROCESSING,
    unit=30.0,
    access=(
        "Open data, ODC-By 1.0 licence: affectbench data download wearable_stress, or PhysioNet's "
        "project wearable-device-dataset, version 1.0.1."
    ),
    layout=f"{DATA}/STRESS, {DATA}/AEROBIC, {DATA}/ANAEROBIC and {' and '.join(LEVEL_FILES)}",
    writer="datamodules.synthesis.wearable_stress",
    download=ListedFiles(
        url="https://physionet.org/files/wearable-device-dataset/1.0.1/",
        parts=(
            *(DATA, *LEVEL_FILES, "LICENSE.txt", "README.txt", "data_constraints.txt"),
            *("Data_Dictionary.csv", "subject-info.csv"),
        ),
        sha256="9f9b292b0d2827592c328706e16c8ec1855482cb23946ca57218453247579d8c",
        unpacked=300_000_000,  # 707 files of 217 MB
        terms="ODC-By 1.0 licence; cite Hongn et al., Scientific Data 12, 2025",
    ),
)

"""Wearable Stress made up: the publisher's folders and files, with a planted effect in them.

    Stress_Level_v1.csv  Stress_Level_v2.csv  subject-info.csv
    Wearable_Dataset/STRESS/S01/  {ACC,BVP,EDA,HR,IBI,TEMP,tags}.csv   AEROBIC/  ANAEROBIC/

The published faults are in it: a session that repeats itself, one with covered sensors, three in
two files, one that was not performed, three that ended early, an empty IBI.csv, temperatures far
above 100 degrees. Notes, licence and notebook are not written. A person of version 1 of full length
takes about 7 MB.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from datamodules.errors import AffectbenchError
from datamodules.synthesis.empatica import write_dated_session
from datamodules.synthesis.folders import check_free, check_request, new_folder, write_new
from datamodules.synthesis.physiology import Person, Phase, Session, draw_person, session
from datamodules.wearable_stress import (
    AEROBIC,
    ANAEROBIC,
    COVERED,
    DATA,
    FIRST,
    LEVEL_FILES,
    OTHER_PRESSES,
    PROTOCOLS,
    REPEATED,
    SECOND,
    SESSIONS,
    STRESS,
    STRESSORS,
    SUBJECTS,
)

SECONDS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = MappingProxyType(
    {
        STRESS: (
            (180, 190, 105, 105, 300, 140, 290, 33, 36, 33, 36, 33, 32, 5),
            (700, 95, 260, 850, 40, 25, 38, 800, 40, 200),
        ),
        AEROBIC: (
            (180, *[180] * 5, *[120] * 5, 240, 120),
            (700, 120, 120, 120, 720, 180, 240, 120, 150),
        ),
        ANAEROBIC: (
            (180, 33, 250, 33, 250, 33, 250, 120),
            (500, 200, 36, 205, 36, 195, 33, 190, 33, 196, 145, 250),
        ),
    }
)
"""Seconds before the first press, between presses, and after the last one, in version 1 and in
version 2: rounded medians of the published presses."""
SHORTEST = 31
"""Least seconds between two events, so that a score unit of 30 s fits into every phase."""
PAUSE = 90
"""Seconds without a recording between the two files of an interrupted session."""
BROKEN: Mapping[tuple[str, str], int] = MappingProxyType(
    {(STRESS, "f14"): 0, (AEROBIC, "S11"): 10, (ANAEROBIC, "S16"): 4}
)
"""Number of presses before the connection was lost."""
NO_BEATS = (ANAEROBIC, "S01")
"""Session with an empty IBI.csv."""
HOT: Mapping[tuple[str, str], tuple[float, float]] = MappingProxyType(
    {
        (AEROBIC, "S07"): (0.0, 1.0),
        (AEROBIC, "S09"): (0.0, 0.11),
        (ANAEROBIC, "S02"): (0.08, 1.0),
        (ANAEROBIC, "S05"): (0.0, 0.62),
    }
)
"""Part of a session with impossible temperatures, as shares of its length."""
TOO_HOT = 175.0
"""Degrees that these temperatures are too high."""
COVERED_PULSE, COVERED_FALL = 0.1, 6.0
"""Of covered sensors: share of the pulse that is left, and degrees that the temperature is low."""
CALM, STRESSED = (0, 5), (6, 11)
"""Bounds of reported stress after rests and after stressors: low and high."""
FIRST_START = 1361300000
"""UTC seconds of the first session; a day later for each session and each person."""


def write(
    root: Path,
    n_subjects: int = len(SUBJECTS),
    seed: int = 0,
    effect: float = 1.0,
    scale: float = 1.0,
) -> None:
    """Write the first people of a made-up Wearable Stress.

    Args:
        root: Parent folder of the tables and of ``Wearable_Dataset``; made if it does not exist.
        n_subjects: 1 to 36. A person does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of stressors and exercise on the signals; 0 for none.
        scale: Share of its real length that a phase lasts; none is shorter than 31 seconds.

    Raises:
        AffectbenchError: A number of people, an effect or a scale out of range, or files that
            exist; nothing is written then.
    """
    if not 0 < scale < float("inf"):
        raise AffectbenchError(f"expected a scale above 0, found {scale}")
    check_request(root, SUBJECTS, n_subjects, effect)
    check_free(root, [DATA, *LEVEL_FILES, "subject-info.csv"])
    streams = {
        subject: np.random.default_rng([seed, number]).spawn(3)
        for number, subject in enumerate(SUBJECTS)
    }
    with new_folder(root / DATA) as data:
        for number, subject in enumerate(SUBJECTS[:n_subjects]):
            nature, life, _ = streams[subject]
            person = draw_person(nature)
            for day, (name, people) in enumerate(SESSIONS.items()):
                if subject in people:
                    start = FIRST_START + 86400 * (3 * number + day)
                    parts = _parts((name, subject), life, scale)
                    _write_session(data, (name, subject), parts, start, person, life, effect)
    for version, people in enumerate((FIRST, SECOND)):
        phases = PROTOCOLS[version]
        rows = [",".join(["", *(phase.column for phase in phases)])]
        for subject in people:
            bounds = [CALM if p.condition not in STRESSORS else STRESSED for p in phases]
            levels = [streams[subject][2].integers(low, high) for low, high in bounds]
            rows.append(",".join([subject, *(f"{level:.2f}" for level in levels)]))
        write_new(root / LEVEL_FILES[version], _crlf(rows))
    write_new(root / "subject-info.csv", _crlf(_people()))


class Part(NamedTuple):
    """A file of a session: its phases, and the seconds from its start at which presses are."""

    phases: tuple[Phase, ...]
    presses: tuple[int, ...]


def _parts(key: tuple[str, str], rng: np.random.Generator, scale: float) -> list[Part]:
    """Return the files of a session."""
    name, subject = key
    version = int(subject in SECOND)
    planned = list(SECONDS[name][version])
    n_presses = OTHER_PRESSES.get(key, len(planned) - 1)
    if n_presses >= len(planned):  # one sprint more than the others
        planned[-1:-1] = planned[1:3]
    planned = [*planned[:n_presses], planned[-1]]
    seconds = [max(SHORTEST, round(scale * rng.uniform(0.9, 1.1) * real)) for real in planned]
    levels = [float(name != STRESS and 0 < number < n_presses) for number in range(len(seconds))]
    for phase in PROTOCOLS[version] if name == STRESS else ():
        levels[phase.first] = float(phase.condition in STRESSORS)
    if key not in BROKEN:
        return [_part(seconds, levels)]
    before = BROKEN[key]
    return [
        _part(seconds[: before + 1], levels[: before + 1]),
        _part(seconds[before:], levels[before:]),
    ]


def _part(seconds: Sequence[int], levels: Sequence[float]) -> Part:
    """Return a file from the seconds and the planted arousal between its events."""
    phases = [Phase("", length, level) for length, level in zip(seconds, levels, strict=True)]
    return Part(tuple(phases), tuple(np.cumsum(seconds)[:-1].tolist()))


def _write_session(
    data: Path,
    key: tuple[str, str],
    parts: Sequence[Part],
    start: int,
    person: Person,
    rng: np.random.Generator,
    effect: float,
) -> None:
    """Write the folders of a session, with its faults."""
    name, subject = key
    suffixes = ("_a", "_b") if key in BROKEN else ("",)
    for suffix, part in zip(suffixes, parts, strict=True):
        bodies, paper = rng.spawn(2)
        made = session(bodies, part.phases, effect, person=person)
        folder = data / name / f"{subject}{suffix}"
        folder.mkdir(parents=True)
        presses = [start + press for press in part.presses]
        repeats = 2 if key in REPEATED else 1
        write_dated_session(folder, _spoilt(made, key), start, paper, presses, repeats)
        if key == NO_BEATS:
            (folder / "IBI.csv").write_bytes(b"")
        start += round(sum(phase.seconds for phase in part.phases)) + PAUSE


def _spoilt(made: Session, key: tuple[str, str]) -> Session:
    """Return a session with its impossible temperatures, or as covered sensors see it."""
    temp, bvp = made.signals["temp"], made.signals["bvp"]
    if key in COVERED:
        temp = replace(temp, samples=temp.samples - np.float32(COVERED_FALL))
        bvp = replace(bvp, samples=bvp.samples * np.float32(COVERED_PULSE))
    if key in HOT:
        first, last = (int(share * temp.samples.shape[1]) for share in HOT[key])
        samples = temp.samples.copy()
        samples[:, first:last] += np.float32(TOO_HOT)
        temp = replace(temp, samples=samples)
    return replace(made, signals={**made.signals, "temp": temp, "bvp": bvp})


def _people() -> Iterator[str]:
    """Yield the lines of subject-info.csv: who had which session; the rest is not made up."""
    body = "Gender,Age,Height (cm),Weight (kg),Does physical activity regularly?"
    yield f"Info ,{body},Protocol,Stress Inducement,Aerobic Exercise,Anaerobic Exercise"
    for subject in SUBJECTS:
        had = ",".join("Yes" if subject in people else "-" for people in SESSIONS.values())
        yield f"{subject},-,-,-,-,-,V{1 + (subject in SECOND)},{had}"


def _crlf(rows: Iterable[str]) -> str:
    return "".join(f"{row}\r\n" for row in rows)

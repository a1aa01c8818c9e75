"""WESAD made up: the publisher's folders and files, with a planted effect in them.

    S2/S2.pkl         Python 2 text pickle, byte for byte as cPickle of Python 2.7 writes it
    S2/S2_quest.csv   schedule and questionnaires
    S2/S2_readme.txt  notes

The raw files of the two devices are not written. A file's size is about 160 kB for each second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from datamodules.errors import AffectbenchError
from datamodules.synthesis.folders import check_request, new_folder
from datamodules.synthesis.physiology import CHEST_RATES, E4_RATES, Phase, Session, session

NUMBERS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17)
"""Numbers of the published subjects."""
WOMEN, LEFT_HANDED = (8, 11, 17), (8,)
LABEL_RATE = 700
MARGIN = 10
"""Seconds at each end of a scheduled interval that carry label 0. The publisher's intervals are
20 s longer than their labels; that the 20 s are shared equally is an assumption."""

STRESS_FIRST = ("Base", "TSST", "Medi 1", "Fun", "Medi 2")
AMUSEMENT_FIRST = ("Base", "Fun", "Medi 1", "TSST", "Medi 2")
SWAPPED = ("Base", "TSST", "Medi 2", "Fun", "Medi 1")
"""The order of S14."""
READINGS = {"Base": "bRead", "TSST": "sRead", "Fun": "fRead"}
"""Readings by the condition before them."""
NO_READING = (2, "bRead")
"""Subject and reading that was left out."""
CODES = {
    "Base": 1,
    "TSST": 2,
    "Fun": 3,
    "Medi 1": 4,
    "Medi 2": 4,
    "bRead": 5,
    "sRead": 6,
    "fRead": 7,
}
AROUSAL = {"Base": 0.0, "TSST": 1.0, "Fun": 0.3}
"""Planted level of the conditions; all other intervals have OTHER_AROUSAL."""
OTHER_AROUSAL = 0.2
READING_SECONDS = 10
"""Labelled seconds of a reading; a meditation has a sixth of what a condition has."""

COUNTS = 65536
"""Steps of the chest belt's converter."""
SHORTEST_MINUTES = 0.1

FIELDS = 27
"""Semicolon-separated fields of a line of the questionnaire file."""


@dataclass(frozen=True)
class Interval:
    """A scheduled interval; ``start`` and ``stop`` in whole seconds from the recording's start."""

    name: str
    start: int
    stop: int


def write(
    root: Path,
    n_subjects: int = len(NUMBERS),
    seed: int = 0,
    effect: float = 1.0,
    minutes: float = 3.0,
) -> None:
    """Write the first subjects of a made-up WESAD.

    Args:
        root: Parent folder of the new folders; made if it does not exist.
        n_subjects: 1 to 15. A subject does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of the conditions on the signals; 0 for none.
        minutes: Labelled minutes each of baseline, stress and amusement. Meditations, readings,
            margins and gaps add a ninth of these and four minutes to a recording.

    Raises:
        AffectbenchError: A number of subjects, an effect or minutes out of range, or a subject's
            folder that exists; nothing is written then.
    """
    check_request(root, [f"S{number}" for number in NUMBERS], n_subjects, effect)
    if not minutes >= SHORTEST_MINUTES:
        raise AffectbenchError(f"expected {SHORTEST_MINUTES} minutes or more, found {minutes}")
    for number in NUMBERS[:n_subjects]:
        with new_folder(root / f"S{number}") as folder:
            _write_subject(folder, number, np.random.default_rng([seed, number]), effect, minutes)


def _write_subject(
    folder: Path, number: int, rng: np.random.Generator, effect: float, minutes: float
) -> None:
    bodies, paper = rng.spawn(2)
    order, intervals, total = _schedule(paper, number, round(60 * minutes))
    made = session(bodies, _phases(intervals, total), effect, {**E4_RATES, **CHEST_RATES})
    content = {
        "signal": {"chest": _chest(made), "wrist": _wrist(made)},
        "subject": f"S{number}",
        "label": _label(intervals, total),
    }
    with (folder / f"S{number}.pkl").open("wb") as file:
        write_python2(content, file)
    quest = _quest(paper, number, order, intervals)
    (folder / f"S{number}_quest.csv").write_text(quest, encoding="ascii", newline="\n")
    (folder / f"S{number}_readme.txt").write_text(
        _readme(paper, number), encoding="ascii", newline="\n"
    )


def _schedule(
    rng: np.random.Generator, number: int, seconds: int
) -> tuple[tuple[str, ...], list[Interval], int]:
    """Return the conditions in the file's order, all intervals by time, and the total length."""
    order = AMUSEMENT_FIRST if number % 2 else STRESS_FIRST
    if number == 14:
        order = SWAPPED
    intervals = []
    now = int(rng.integers(10, 20))
    for name in order:
        reading = READINGS.get(name)
        for part in (name, reading):
            if part is None or (number, part) == NO_READING:
                continue
            labelled = READING_SECONDS if part == reading else max(seconds // 6, 1)
            if part in AROUSAL:
                labelled = seconds
            intervals.append(Interval(part, now, now + labelled + 2 * MARGIN))
            now = intervals[-1].stop + int(rng.integers(3, 10))
    return order, intervals, now


def _phases(intervals: Sequence[Interval], total: int) -> list[Phase]:
    phases, now = [], 0
    for interval in intervals:
        phases.append(Phase("", interval.start - now, OTHER_AROUSAL))
        level = AROUSAL.get(interval.name, OTHER_AROUSAL)
        phases.append(Phase(interval.name, interval.stop - interval.start, level))
        now = interval.stop
    return [*phases, Phase("", total - now, OTHER_AROUSAL)]


def _label(intervals: Sequence[Interval], total: int) -> npt.NDArray[np.int32]:
    label = np.zeros(total * LABEL_RATE, dtype=np.int32)
    for interval in intervals:
        first = (interval.start + MARGIN) * LABEL_RATE
        label[first : (interval.stop - MARGIN) * LABEL_RATE] = CODES[interval.name]
    return label


def _columns(made: Session, name: str) -> npt.NDArray[np.float64]:
    """Return the samples of a signal, float64 of shape (T, C)."""
    return np.ascontiguousarray(made.signals[name].samples.T, dtype=np.float64)


def _digitised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return shares of the converter's range in its steps."""
    return np.clip(np.round(values * COUNTS), 0, COUNTS - 1) / COUNTS


def _chest(made: Session) -> dict[str, npt.NDArray[Any]]:
    """Return columns in physical units, through the converter by the publisher's formulas.

    The temperature is not digitised: its formula is not linear, and it is stored in float32.
    """
    acceleration = np.round((_columns(made, "chest_acc") + 1) / 2 * 10000)
    return {
        "ACC": acceleration / 10000 * 2 - 1,
        "ECG": (_digitised(_columns(made, "ecg") / 3 + 0.5) - 0.5) * 3,
        "EMG": (_digitised(_columns(made, "emg") / 3 + 0.5) - 0.5) * 3,
        "EDA": _digitised(_columns(made, "chest_eda") * 0.12 / 3) * 3 / 0.12,
        "Temp": np.ascontiguousarray(made.signals["chest_temp"].samples.T),
        "Resp": (_digitised(_columns(made, "resp") / 100 + 0.5) - 0.5) * 100,
    }


def _wrist(made: Session) -> dict[str, npt.NDArray[Any]]:
    """Return columns as the wristband's files have them: rounded, acceleration in 1/64 g."""
    return {
        "ACC": np.clip(np.round(_columns(made, "acc") * 64), -128, 127),
        "BVP": np.round(_columns(made, "bvp"), 2),
        "EDA": np.round(_columns(made, "eda"), 6),
        "TEMP": np.round(_columns(made, "temp"), 2),
    }


def write_python2(value: Any, file: BinaryIO) -> None:
    """Write a pickle of protocol 0 as cPickle of Python 2.7 with numpy does.

    Args:
        value: Dicts, strings in ASCII, and arrays of float64, float32 or int32 in C order.
        file: Open for writing bytes.

    Raises:
        TypeError: Anything else.
    """
    _Python2Text(file).write(value)
    file.write(b".")


class _Python2Text:
    """Writes values as text opcodes, and names and reuses those that Python 2 reused."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.named = 0
        self.names: dict[str, int] = {}

    def write(self, value: Any) -> None:
        if isinstance(value, dict):
            self.text("(d")
            self.name()
            for key, item in value.items():
                self.write(key)
                self.write(item)
                self.text("s")
        elif isinstance(value, str):
            self.once(f"S{value!r}\n")
        elif isinstance(value, np.ndarray):
            self.array(value)
        else:
            raise TypeError(f"expected a dict, a string or an array, found {type(value)}")

    def array(self, value: npt.NDArray[Any]) -> None:
        kind = value.dtype.str
        if kind not in ("<f8", "<f4", "<i4") or not value.flags.c_contiguous:
            raise TypeError(f"expected float64, float32 or int32 in C order, found {kind}")
        self.once("cnumpy.core.multiarray\n_reconstruct\n")
        self.text("(")
        self.once("cnumpy\nndarray\n")
        self.text("(I0\ntS'b'\ntR")
        self.name()
        self.text("(I1\n(" + "".join(f"I{length}\n" for length in value.shape) + "t")
        if kind in self.names:
            self.text(f"g{self.names[kind]}\n")
        else:
            self.once("cnumpy\ndtype\n")
            self.text(f"(S'{kind[1:]}'\nI0\nI1\ntR")
            self.names[kind] = self.name()
            self.text("(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb")
        self.text("I00\nS")
        # Python 3 escapes and quotes bytes as Python 2 did its strings, behind a letter b.
        self.text(repr(value.tobytes())[1:])
        self.text("\ntb")

    def once(self, opcode: str) -> None:
        if opcode in self.names:
            self.text(f"g{self.names[opcode]}\n")
        else:
            self.text(opcode)
            self.names[opcode] = self.name()

    def name(self) -> int:
        self.named += 1
        self.text(f"p{self.named}\n")
        return self.named

    def text(self, opcodes: str) -> None:
        self.file.write(opcodes.encode("ascii"))


SCALES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"PANAS": (24, 5), "STAI": (6, 4), "DIM": (2, 9), "SSSQ": (6, 5)}
)
"""Items of each questionnaire, and the highest answer; the lowest is 1."""
PANAS_AFTER_STRESS = 26
"""Items of PANAS after the stress condition: two more, before the last."""


def clock(seconds: int) -> str:
    """Return a time as minutes.seconds with trailing zeros dropped: 170 s as ``2.5``."""
    return f"{seconds // 60}.{seconds % 60:02d}".rstrip("0").rstrip(".")


def _quest(
    rng: np.random.Generator, number: int, order: Sequence[str], intervals: Sequence[Interval]
) -> str:
    """Make up the questionnaire file: schedule, then answers in the order of the conditions."""
    when = {interval.name: interval for interval in intervals}
    columns = [*order, *(name for name in when if name not in order)]

    def answers(scale: str, condition: str) -> list[str]:
        n_items, highest = SCALES[scale]
        if scale == "PANAS" and condition == "TSST":
            n_items = PANAS_AFTER_STRESS
        given = [str(answer) for answer in rng.integers(1, highest + 1, n_items)]
        if (number, scale, condition) == (5, "PANAS", "Fun"):
            given[3] = "Nan"
        return given

    rows = [
        ["# Subj", f"S{number}"],
        ["# ORDER", *columns],
        ["# START", *(clock(when[name].start) for name in columns)],
        ["# END", *(clock(when[name].stop) for name in columns)],
    ]
    for scale in SCALES:
        rows.append([])
        conditions = ("TSST",) if scale == "SSSQ" else order
        rows += [[f"# {scale}", *answers(scale, condition)] for condition in conditions]
    return "".join(";".join([*row, *[""] * (FIELDS - len(row))]) + "\n" for row in rows)


def _readme(rng: np.random.Generator, number: int) -> str:
    woman, left = number in WOMEN, number in LEFT_HANDED
    return "\n".join(
        [
            "### Personal information ###",
            f"Age: {rng.integers(24, 36)}",
            f"Height (cm): {rng.integers(160, 195)}",
            f"Weight (kg): {rng.integers(54, 92)}",
            f"Gender: {'female' if woman else 'male'}",
            f"Dominant hand: {'left' if left else 'right'}",
            *(f"Question {question}: {rng.choice(['YES', 'NO'])}" for question in range(1, 7)),
            "",
            "### Additional notes ###",
            "Made up: no person was recorded.",
            "",
        ]
    )

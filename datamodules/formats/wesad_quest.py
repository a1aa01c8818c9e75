"""Schedule and self-assessment of a WESAD subject, from the file ``S2_quest.csv``.

Lines of cells between semicolons. ``# ORDER``, ``# START`` and ``# END`` have a column for each
interval of the session, the five conditions before the readings. ``# DIM`` has a line for each of
the five, in the order in which ORDER has them: valence and arousal by self-assessment manikins. The
other questionnaires (PANAS, STAI, SSSQ) are not read.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.errors import DatasetCorruptedError

ORDER, START, END, MANIKINS = "# ORDER", "# START", "# END", "# DIM"
CONDITIONS = ("Base", "TSST", "Medi 1", "Fun", "Medi 2")
"""Intervals that are rated. Their order differs: half have Fun and TSST the other way round, and
S14 has Medi 2 before Medi 1."""
RATINGS, SCALE = ("valence", "arousal"), (1.0, 9.0)
TIME = re.compile(r"(\d+)(?:\.([0-5]\d?))?")
"""Minutes and seconds from the start of the chest device's recording. Zeros at the end are dropped:
``50.3`` is 50 min 30 s, ``29`` is 29 min."""

Rows = Mapping[str, Sequence[Sequence[str]]]
"""Cells of all lines by the name at their start."""


@dataclass(frozen=True)
class Interval:
    """A condition as it was scheduled, and its self-assessment.

    Args:
        name: One of ``CONDITIONS``.
        start: Full seconds from the start of the chest device's recording.
        stop: Full seconds from the start of the chest device's recording.
        ratings: ``"valence"`` and ``"arousal"`` from 1 to 9, those that were given.
    """

    name: str
    start: int
    stop: int
    ratings: Mapping[str, float]


def read_intervals(path: Path) -> tuple[Interval, ...]:
    """Return the five conditions in order of time.

    Raises:
        DatasetCorruptedError: The file holds something else than the publisher's.
    """
    rows = _rows(path)
    names = [name for name in _line(path, rows, ORDER) if name]
    rated = [name for name in names if name in CONDITIONS]
    if sorted(rated) != sorted(CONDITIONS):
        expected = f"{', '.join(CONDITIONS)} once each, in any order"
        raise _corrupted(path, ORDER, expected, ", ".join(names))
    starts = dict(zip(names, _times(path, rows, START, len(names)), strict=True))
    stops = dict(zip(names, _times(path, rows, END, len(names)), strict=True))
    manikins = rows.get(MANIKINS, ())
    if len(manikins) != len(rated):
        raise _corrupted(path, MANIKINS, f"{len(rated)} lines", str(len(manikins)))
    intervals = []
    for name, cells in zip(rated, manikins, strict=True):
        if starts[name] >= stops[name]:
            times = f"{starts[name]} and {stops[name]} s"
            raise _corrupted(path, f"{END}, {name}", "a later time than its start", times)
        intervals.append(Interval(name, starts[name], stops[name], _ratings(path, name, cells)))
    return tuple(sorted(intervals, key=lambda interval: interval.start))


def _corrupted(path: Path, where: str, expected: str, actual: str) -> DatasetCorruptedError:
    return DatasetCorruptedError(
        f"{path}: {where}: expected {expected}, found {actual or 'none'}. Fetch the file anew from "
        "its publisher, or take it away: the rest can be read without it."
    )


def _rows(path: Path) -> Rows:
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise _corrupted(path, "content", "text", str(error)) from error
    rows: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        name, *cells = (cell.strip() for cell in line.split(";"))
        rows.setdefault(name, []).append(cells)
    return rows


def _line(path: Path, rows: Rows, key: str) -> Sequence[str]:
    lines = rows.get(key, ())
    if len(lines) != 1:
        raise _corrupted(path, key, "one line", str(len(lines)))
    return lines[0]


def _times(path: Path, rows: Rows, key: str, count: int) -> list[int]:
    """Return the times of a line in seconds; raises unless there are ``count`` of them."""
    cells = [cell for cell in _line(path, rows, key) if cell]
    times = [time for time in map(TIME.fullmatch, cells) if time]
    if not len(times) == len(cells) == count:
        raise _corrupted(path, key, f"{count} times as minutes.seconds", ";".join(cells))
    return [60 * int(time[1]) + int((time[2] or "").ljust(2, "0")) for time in times]


def _ratings(path: Path, name: str, cells: Sequence[str]) -> dict[str, float]:
    """Return valence and arousal; an answer that was not given is ``Nan`` in these files."""
    try:
        given = {key: float(cells[column]) for column, key in enumerate(RATINGS)}
    except (ValueError, IndexError):
        given = dict.fromkeys(RATINGS, math.inf)
    low, high = SCALE
    ratings = {key: rating for key, rating in given.items() if not math.isnan(rating)}
    if not all(low <= rating <= high for rating in ratings.values()):
        expected = f"valence and arousal from {low:g} to {high:g} or Nan"
        raise _corrupted(path, f"{MANIKINS}, {name}", expected, ";".join(cells).rstrip(";"))
    return ratings

"""A user's table of labels: who was in which condition, from when until when.

    subject,start,stop,condition
    P01,2024-03-05T10:00:00+01:00,2024-03-05T10:05:00+01:00,baseline

``subject`` names a folder or an archive. Times are UTC seconds, or ISO 8601 with a time zone. A
column ``person`` may say who it was, where a person has several sessions. Other columns are not
read.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.tables import column_names, read_columns

COLUMNS = ("subject", "start", "stop", "condition")
PERSON = "person"
NAME = re.compile(r"\w(?:[\w.-]{0,62}\w)?", re.ASCII)
"""Names of subjects and people: each is the name of a folder, here or in the cache, and no way to
another."""
UNUSED = "unused"
"""What a condition is mapped to so that its rows are left out."""
MAPPING = re.compile(r"\w[\w .-]*=\w+(,\w[\w .-]*=\w+)*", re.ASCII)
"""Conditions of a table, each with the one that it stands for."""
LONGEST_MAPPING = 140
"""Characters of a mapping, which is part of the names of boards and so of files."""
SHOWN = 70
"""Number of characters of a cell that a message shows."""


class Label(NamedTuple):
    """A row of the table; times in UTC seconds."""

    person: str
    subject: str
    start: float
    stop: float
    condition: str


def conditions_of(mapping: str, conditions: Sequence[str]) -> dict[str, str]:
    """Return what each condition of a table stands for.

    Args:
        mapping: Pairs as in ``"rest=baseline,TSST=stress,break=unused"``; conditions that it does
            not name stand for themselves.
        conditions: What they may stand for, besides ``UNUSED``.

    Raises:
        ValueError: Other words.
    """
    stands_for = {name: name for name in conditions}
    if not mapping:
        return stands_for
    pairs = [pair.split("=") for pair in mapping.split(",")]
    known = (*conditions, UNUSED)
    if (
        len(mapping) > LONGEST_MAPPING
        or not MAPPING.fullmatch(mapping)
        or any(pair[1] not in known for pair in pairs)
        or len({pair[0] for pair in pairs}) < len(pairs)
    ):
        raise ValueError(
            f"expected conditions as in rest=baseline,TSST=stress,break={UNUSED}, each once and "
            f"each one of {', '.join(known)}, in at most {LONGEST_MAPPING} characters, found "
            f"{mapping[:SHOWN]!r}"
        )
    return stands_for | {name: condition for name, condition in pairs}


def read_labels(path: Path, stands_for: Mapping[str, str]) -> tuple[Label, ...]:
    """Return the rows of a table in their order, without those that are unused.

    Raises:
        DatasetCorruptedError: Rows that cannot be, with what to do.
    """
    try:
        has_person = PERSON in column_names(path)
        names = (*COLUMNS, PERSON) if has_person else COLUMNS
        columns = read_columns(path, dict.fromkeys(names, str))
    except ValueError as error:
        raise DatasetCorruptedError(
            f"{path}: expected the columns {', '.join(COLUMNS)} and, where a person has several "
            f"sessions, {PERSON}; found otherwise ({error})"
        ) from error
    rows = list(zip(*(columns[name].tolist() for name in names), strict=True))
    if not rows:
        raise DatasetCorruptedError(
            f"{path}: expected a row for each subject and condition, found no row"
        )
    labels = []
    for number, row in enumerate(rows, start=2):
        if not all(row):
            raise DatasetCorruptedError(
                f"{path}, line {number}: expected a value in every cell, found empty cells"
            )
        subject, start, stop, condition, *person = row
        label = Label(
            person[0] if person else subject,
            subject,
            _seconds(path, number, start),
            _seconds(path, number, stop),
            condition,
        )
        _check_names(path, label)
        labels.append(label)
    unknown = sorted({label.condition for label in labels} - set(stands_for))
    if unknown:
        known = [name for name in dict.fromkeys(stands_for.values()) if name != UNUSED]
        raise DatasetCorruptedError(
            f"{path}: expected conditions among {', '.join(known)}, found "
            f"{', '.join(unknown)[:SHOWN]}. If they go by other names, say so with the option "
            f"conditions, as in conditions={unknown[0][:SHOWN]}={known[0]}; {UNUSED} leaves rows "
            "out."
        )
    _check_owners(path, labels)
    labels = [label._replace(condition=stands_for[label.condition]) for label in labels]
    used = tuple(label for label in labels if label.condition != UNUSED)
    if not used:
        raise DatasetCorruptedError(
            f"{path}: expected rows that are used, found conditions that are all {UNUSED}"
        )
    _check_times(path, used)
    return used


def _seconds(path: Path, number: int, text: str) -> float:
    """Return UTC seconds of a cell."""
    for parse in (float, _zoned):
        try:
            seconds = parse(text)
        except ValueError:
            continue
        if math.isfinite(seconds):
            return seconds
    raise DatasetCorruptedError(
        f"{path}, line {number}: expected a time as UTC seconds, or as ISO 8601 with a time zone, "
        f"as in 2024-03-05T10:00:00+01:00, found {text[:SHOWN]!r}"
    )


def _zoned(text: str) -> float:
    """Return UTC seconds of a date and time of day; raises ValueError if it has no time zone."""
    time = datetime.fromisoformat(text.strip())
    if time.tzinfo is None:
        raise ValueError("no time zone")
    return time.timestamp()


def _check_names(path: Path, label: Label) -> None:
    for column, name in (("subject", label.subject), (PERSON, label.person)):
        if not NAME.fullmatch(name):
            raise DatasetCorruptedError(
                f"{path}: expected a {column} named by 1 to 64 letters, digits and _ and, inside "
                f"the name, - and ., found {name[:SHOWN]!r}. Rename it in the table; a subject is "
                "named as their folder, or as their archive without .zip."
            )


def _check_owners(path: Path, labels: Iterable[Label]) -> None:
    """Refuse a session of two people."""
    owner: dict[str, str] = {}
    for label in labels:
        person = owner.setdefault(label.subject, label.person)
        if person != label.person:
            raise DatasetCorruptedError(
                f"{path}: expected one person for each subject, found {label.subject} of {person} "
                f"and of {label.person}"
            )


def _check_times(path: Path, labels: Iterable[Label]) -> None:
    """Refuse rows that end before they begin, come twice, or overlap."""
    by_subject: dict[str, list[Label]] = {}
    for label in labels:
        if not label.start < label.stop:
            raise DatasetCorruptedError(
                f"{path}, {label.subject}: expected start < stop, found {label.start:.0f} to "
                f"{label.stop:.0f}"
            )
        by_subject.setdefault(label.subject, []).append(label)
    for subject, rows in by_subject.items():
        for one, other in pairwise(sorted(rows, key=lambda row: (row.start, row.stop))):
            if other.start < one.stop:
                kind = "a row twice" if one == other else "rows that overlap"
                raise DatasetCorruptedError(
                    f"{path}, {subject}: expected one condition at a time, found {kind}: "
                    f"{one.condition} from {one.start:.0f} to {one.stop:.0f} and "
                    f"{other.condition} from {other.start:.0f} to {other.stop:.0f}"
                )

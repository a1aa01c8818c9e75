"""The table of a folder dataset: a row for each stretch of a recording with a label or ratings.

    subject,session,file,start,stop,label,arousal,stimulus,person

``session``, ``file``, ``stimulus`` and ``person`` may be left out. Times are seconds from the
beginning of the file. What concerns everybody (columns, names, people) is refused at once; a row
that cannot be used by itself is kept with its reason, so that ``data check`` names it.
"""

import csv
import difflib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.arrays import listed, shown
from datamodules.formats.folder_head import HEAD, LABEL, PLACES, UNUSED, Head
from datamodules.formats.label_table import NAME
from datamodules.formats.packed import leads_out

REQUIRED = ("subject", "start", "stop")
SESSION, FILE, STIMULUS, PERSON = "session", "file", "stimulus", "person"
ONLY_SESSION = "1"
NAMED = 10
"""Largest number of lines that a message names."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        line: Number of its line in the file.
        person: The subject of splits: the column ``person``, or ``subject`` if there is none.
        subject: As written.
        session: Name of the session, unique among those of the person.
        trial: Number of the row among those of the session.
        files: Path of the file of each signal, in the folder.
        start: Seconds from the beginning of the file.
        stop: Seconds from the beginning of the file.
        annotations: Label under ``"label"``, ratings by task.
        stimulus: What was shown; empty where the table has no such column.
        reason: Why it cannot be used; empty: it can.
    """

    line: int
    person: str
    subject: str
    session: str
    trial: int
    files: Mapping[str, str]
    start: float
    stop: float
    annotations: Mapping[str, str | float]
    stimulus: str
    reason: str = ""


@dataclass(frozen=True)
class Table:
    """The rows of a table that take part, and whether they name stimuli that people share."""

    rows: tuple[Row, ...]
    has_stimuli: bool

    @property
    def usable(self) -> tuple[Row, ...]:
        """Rows that can be used, as far as the table tells."""
        return tuple(row for row in self.rows if not row.reason)


def read_table(path: Path, head: Head) -> Table:
    """Return the rows of a table, without those whose labels are unused.

    Raises:
        DatasetNotFoundError: No such file.
        DatasetCorruptedError: Columns, names or people that cannot be, or no row that can be used.
    """
    if not path.is_file():
        raise DatasetNotFoundError(
            f"no {path.name} in {str(path.parent)!r}: expected the table that {HEAD} names"
        )
    columns, cells = _cells(path, head)
    _check_names(path, cells)
    rows = tuple(_rows(cells, head, columns))
    _check_files(path, rows)
    table = Table(tuple(_without_overlaps(rows)), STIMULUS in columns)
    if not table.usable:
        first = next(iter(table.rows), None)
        reason = f"line {first.line}: {first.reason}" if first else f"labels that are all {UNUSED}"
        raise DatasetCorruptedError(
            f"{path}: expected a row that can be used, found none; {reason}"
        )
    if table.has_stimuli:
        people: dict[str, set[str]] = defaultdict(set)
        for row in table.usable:
            people[row.stimulus].add(row.person)
        if max(map(len, people.values())) < 2:
            raise DatasetCorruptedError(
                f"{path}: expected stimuli that several people share, found none. Leave the column "
                f"{STIMULUS} out, or give equal stimuli equal names."
            )
    return table


def _cells(path: Path, head: Head) -> tuple[list[str], dict[int, dict[str, str]]]:
    """Return the names of columns, and the cells of each line by column, without blanks."""
    lines: dict[int, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            _check_columns(path, head, columns)
            for values in reader:
                if not any(value.strip() for value in values):
                    continue
                if len(values) != len(columns):
                    raise DatasetCorruptedError(
                        f"{path}, line {reader.line_num}: expected {len(columns)} cells, as many "
                        f"as there are columns, found {len(values)}"
                    )
                stripped = (value.strip() for value in values)
                lines[reader.line_num] = dict(zip(columns, stripped, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetCorruptedError(
            f"{path}: expected comma-separated values in UTF-8, found otherwise ({error})"
        ) from error
    if not lines:
        raise DatasetCorruptedError(f"{path}: expected a row for each label or rating, found none")
    return columns, lines


def _check_columns(path: Path, head: Head, columns: Sequence[str]) -> None:
    needed = [*REQUIRED, *(rating for rating, _, _ in head.ratings.values())]
    needed += [LABEL] if head.labels else []
    needed += [FILE] if any(not entry.file for entry in head.signals.values()) else []
    known = list(dict.fromkeys([*needed, SESSION, STIMULUS, PERSON]))
    missing = [name for name in needed if name not in columns]
    if missing:
        hint = " Separate columns by commas." if any(";" in name for name in columns) else ""
        raise DatasetCorruptedError(
            f"{path}: expected the columns {', '.join(needed)}, found {listed(columns)}.{hint}"
        )
    if twice := [name for name, count in Counter(columns).items() if count > 1]:
        raise DatasetCorruptedError(
            f"{path}: expected each column once, found {listed(twice)} twice"
        )
    for name in columns:
        if name not in (*known, *head.ignored):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? Otherwise " if near else ""
            raise DatasetCorruptedError(
                f"{path}: expected columns among {', '.join(known)}, found {shown(name)}; {hint}"
                f"list it in {HEAD} under ignored, as in ignored: [{shown(name)}], if it is not "
                "to be read"
            )


def _check_names(path: Path, cells: Mapping[int, Mapping[str, str]]) -> None:
    """Refuse names that are no names, two spellings of one, and a subject of two people."""
    for column in (*PLACES, PERSON):
        wrong = [
            f"{shown(row[column])} in line {line}"
            for line, row in cells.items()
            if column in row and not NAME.fullmatch(row[column])
        ]
        if wrong:
            more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
            raise DatasetCorruptedError(
                f"{path}: expected a {column} named by 1 to 64 letters, digits and _ and, inside "
                f"the name, - and ., found {', '.join(wrong[:NAMED])}{more}"
            )
    for column in (*PLACES, PERSON, STIMULUS):
        spellings: dict[str, str] = {}
        for line, row in cells.items():
            name = row.get(column, "")
            first = spellings.setdefault(name.casefold(), name)
            if first != name:
                raise DatasetCorruptedError(
                    f"{path}, line {line}: expected one spelling of a {column}, found "
                    f"{shown(name)} and {shown(first)}; two spellings would count as two"
                )
    owners: dict[str, str] = {}
    for line, row in cells.items():
        person = row.get(PERSON, row["subject"])
        owner = owners.setdefault(row["subject"], person)
        if owner != person:
            raise DatasetCorruptedError(
                f"{path}, line {line}: expected one person for each subject, found "
                f"{row['subject']} of {owner} and of {person}"
            )


def _rows(
    cells: Mapping[int, Mapping[str, str]], head: Head, columns: Sequence[str]
) -> Iterator[Row]:
    """Yield the rows that take part."""
    subjects_of: dict[str, set[str]] = defaultdict(set)
    for row in cells.values():
        subjects_of[row.get(PERSON, row["subject"])].add(row["subject"])
    trials: Counter[tuple[str, str]] = Counter()
    for line, row in cells.items():
        person, subject = row.get(PERSON, row["subject"]), row["subject"]
        session = row.get(SESSION, ONLY_SESSION)
        if len(subjects_of[person]) > 1:  # a blank, which no name has, keeps them apart
            session = f"{subject} {session}" if SESSION in columns else subject
        annotations, reasons = _annotations(row, head)
        if not annotations and not reasons:
            continue
        start, stop = _seconds(row["start"]), _seconds(row["stop"])
        if not 0 <= start < stop:
            reasons.append(
                "expected 0 <= start < stop in seconds from the beginning of the file, found "
                f"{shown(row['start'])} and {shown(row['stop'])}"
            )
        if STIMULUS in columns and not row[STIMULUS]:
            reasons.append("expected the name of a stimulus, found an empty cell")
        files = {name: _file(row, entry.file) for name, entry in head.signals.items()}
        reasons += dict.fromkeys(
            f"expected the path of a file inside the folder, with /, found {shown(file)}"
            for file in files.values()
            if not file or leads_out(file)
        )
        trials[person, session] += 1
        yield Row(
            line=line,
            person=person,
            subject=subject,
            session=session,
            trial=trials[person, session],
            files=files,
            start=start,
            stop=stop,
            annotations=annotations,
            stimulus=row.get(STIMULUS, ""),
            reason="; ".join(reasons),
        )


def _annotations(row: Mapping[str, str], head: Head) -> tuple[dict[str, str | float], list[str]]:
    """Return label and ratings of a row, and why it cannot be used; neither: it is unused."""
    annotations: dict[str, str | float] = {}
    reasons: list[str] = []
    known = dict.fromkeys(label for mapping in head.labels.values() for label in mapping)
    label = row.get(LABEL, "") if head.labels else ""
    if label and label not in known:
        near = difflib.get_close_matches(label, known, 1)
        hint = f"did you mean {near[0]}? Otherwise add" if near else "add"
        reasons.append(
            f"expected a label among {listed(known)}, found {shown(label)}; {hint} it to the "
            f"labels of a task in {HEAD}, as {UNUSED} if it is not to be used"
        )
    elif label and any(mapping.get(label, UNUSED) != UNUSED for mapping in head.labels.values()):
        annotations[LABEL] = label
    for task, (column, low, high) in head.ratings.items():
        if not row[column]:
            continue
        rating = _seconds(row[column])
        if low <= rating <= high:
            annotations[task] = rating
        else:
            reasons.append(
                f"expected {column} from {low:g} to {high:g}, found {shown(row[column])}"
            )
    if not annotations and not reasons and not label:
        reasons.append("expected a label or a rating, found empty cells")
    return annotations, reasons


def _seconds(text: str) -> float:
    """Return a number; NaN for anything else."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _file(row: Mapping[str, str], pattern: str) -> str:
    """Return the path of a file of a row; names of places have no braces."""
    if not pattern:
        return row[FILE]
    for place in PLACES:
        pattern = pattern.replace(f"{{{place}}}", row.get(place, ONLY_SESSION))
    return pattern


def _check_files(path: Path, rows: Iterable[Row]) -> None:
    """Refuse a file that is read for two people, or for two recordings of one person."""
    recording_of: dict[str, tuple[tuple[str, str, tuple[str, ...]], int]] = {}
    for row in rows:
        recording = row.person, row.session, tuple(row.files.values())
        for file in dict.fromkeys(row.files.values()):
            if not file or leads_out(file):
                continue
            place = PurePosixPath(file.casefold()).as_posix()
            other, line = recording_of.setdefault(place, (recording, row.line))
            if other != recording:
                raise DatasetCorruptedError(
                    f"{path}: expected a file of one recording, found {shown(file)} in line {line} "
                    f"({' '.join(other[:2])}) and in line {row.line} ({' '.join(recording[:2])}). "
                    f"Correct the names, or the pattern of files in {HEAD}."
                )


def _without_overlaps(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows; those that overlap cannot be used, as it is not known which one is right."""
    by_recording: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if not row.reason:
            by_recording[tuple(row.files.values())].append(row)
    reasons: dict[int, str] = {}
    for same in by_recording.values():
        last: Row | None = None
        for row in sorted(same, key=lambda row: (row.start, row.stop)):
            if last is not None and row.start < last.stop:
                words = "expected rows that do not overlap, found this one and line {} to overlap"
                reasons.setdefault(last.line, words.format(row.line))
                reasons.setdefault(row.line, words.format(last.line))
            if last is None or row.stop > last.stop:
                last = row
    for row in rows:
        yield replace(row, reason=reasons[row.line]) if row.line in reasons else row

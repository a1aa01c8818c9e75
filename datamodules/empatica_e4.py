"""Your own Empatica E4 sessions: a folder or an archive a session, and one table of labels.

The sessions are as the Empatica E4 exports them: a folder of files, or the zip archive that the
web portal gives, which is read in place.

* bvp (64 Hz, arbitrary unit), eda (4 Hz, microsiemens), temp (4 Hz, degrees Celsius), acc
  (3 channels, 32 Hz, g). A sensor may have been off; models see the signals that everybody has.
* ``labels.csv``: columns subject, start, stop (UTC seconds, or ISO 8601 with a time zone) and
  condition (baseline, stress or amusement, or names of your own with the option ``conditions``);
  what no row covers is not used, and no two rows of a session overlap. A subject is named as their
  folder or archive, by 1 to 64 letters, digits and ``_`` and, inside the name, ``-`` and ``.``.
  Where people have several sessions, ``subject`` names the session and a column ``person`` the
  person, who is then the subject of splits.
* Rows that reach past an end of the recording are cut there, which is on record as a doubt.

::

    labels.csv
    <subject>/{ACC,BVP,EDA,HR,TEMP}.csv, tags.csv    or
    <subject>.zip                                    with these files at its top
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, IncompatibleRunError
from datamodules.formats import empatica
from datamodules.formats.label_table import COLUMNS, Label, conditions_of, read_labels
from datamodules.formats.packed import SUFFIX
from datamodules.signals.preprocessing import BVP_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import Fault, Recording, Segment
from datamodules.tasks import ConditionTask

LABEL_FILE = "labels.csv"
CONDITIONS = ("baseline", "stress", "amusement")
ONLY_SESSION = "1"
"""Name of the session of a person who has no other one, and no other name."""
NAMED = 20
"""Largest number of folders that a message names."""


@dataclass(frozen=True)
class EmpaticaE4Reader:
    """Reads E4 sessions.

    Args:
        root: Holds ``labels.csv``, and a session folder or archive for each subject named in it.
        conditions: What the conditions of the table stand for, if they have other names, as in
            ``"rest=baseline,TSST=stress,break=unused"``; rows of ``unused`` are left out.

    Raises:
        IncompatibleRunError: Conditions that are written otherwise.
    """

    root: Path
    conditions: str = ""

    def __post_init__(self) -> None:
        try:
            conditions_of(self.conditions, CONDITIONS)
        except ValueError as error:
            raise IncompatibleRunError(f"Empatica E4, option conditions: {error}") from error

    @property
    def subjects(self) -> tuple[str, ...]:
        """People named in the table, in the order of their first row."""
        return tuple(self._sessions)

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the files of a person's sessions, and the label table.

        Raises:
            DatasetNotFoundError: A session that is not there, or has no signal.
        """
        paths = [
            path
            for name in self._sessions_of(subject)
            for path in empatica.session_files(self._place(name))
        ]
        return (*paths, self.root / LABEL_FILE)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield faults and recording of each session; segments are the rows of the table."""
        sessions = self._sessions_of(subject)
        for name, labels in sessions.items():
            session = empatica.read_session(self._place(name))
            called = ONLY_SESSION if list(sessions) == [subject] else name
            yield from session.faults(called)
            segments: list[Segment] = []
            for trial, label in enumerate(labels, start=1):
                segment, reason = self._segment(session, label, trial)
                segments.append(segment)
                if reason:
                    yield Fault(called, trial, reason, omitted=False, doubtful=True)
            yield Recording(subject, called, session.signals, tuple(segments))

    def _segment(
        self, session: empatica.E4Session, label: Label, trial: int
    ) -> tuple[Segment, str]:
        """Return the segment of a row, and what is doubtful about it; empty: nothing."""
        start, stop = label.start - session.start, label.stop - session.start
        begin, end = max(0.0, start), min(session.duration, stop)
        if not begin < end:
            raise DatasetCorruptedError(
                f"{self.root / LABEL_FILE}, {label.subject}: expected rows within the recording "
                f"(UTC {session.start:.0f} to {session.start + session.duration:.0f}), found "
                f"{label.start:.0f} to {label.stop:.0f}. Times are UTC seconds, or ISO 8601."
            )
        lost = [f"{begin - start:.1f} s before the recording"] if start < begin else []
        lost += [f"{stop - end:.1f} s after the recording"] if end < stop else []
        reason = f"{LABEL_FILE}: a row reaches to {' and '.join(lost)}; it is cut there"
        segment = Segment(begin, end, trial, {"condition": label.condition})
        return segment, reason if lost else ""

    def _sessions_of(self, subject: str) -> Mapping[str, list[Label]]:
        if subject not in self._sessions:
            raise DatasetNotFoundError(
                f"{self.root / LABEL_FILE} has no row of {subject!r}: expected one of "
                f"{', '.join(self.subjects) or 'none'}"
            )
        return self._sessions[subject]

    def _place(self, name: str) -> Path:
        """Return the folder of a session, or its archive if there is no folder."""
        folder, archive = self.root / name, self.root / f"{name}{SUFFIX}"
        if folder.is_dir() or archive.is_file():
            return folder if folder.is_dir() else archive
        places = sorted(
            path.name
            for path in self.root.iterdir()
            if path.is_dir() or path.suffix == SUFFIX
            if not path.name.startswith(".")
        )
        more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
        raise DatasetNotFoundError(
            f"no folder {name!r} and no {archive.name!r} in {str(self.root)!r}: expected one of "
            f"them, as {LABEL_FILE} names the subject, found {', '.join(places[:NAMED]) or 'none'}"
            f"{more}. Correct the name in the table, or add the session."
        )

    @cached_property
    def _sessions(self) -> Mapping[str, Mapping[str, list[Label]]]:
        """Rows of each session, in order of time, by person and session."""
        path = self.root / LABEL_FILE
        if not path.is_file():
            raise DatasetNotFoundError(
                f"no {LABEL_FILE} in {str(self.root)!r}: expected a table with the columns "
                f"{', '.join(COLUMNS)} (UTC seconds or ISO 8601; condition one of {CONDITIONS})"
            )
        labels = read_labels(path, conditions_of(self.conditions, CONDITIONS))
        sessions: dict[str, dict[str, list[Label]]] = {label.person: {} for label in labels}
        for label in sorted(labels, key=lambda label: label.start):
            sessions[label.person].setdefault(label.subject, []).append(label)
        return sessions


PREPROCESSING = {**EDA_PARTS, **BVP_BEATS}
"""Parts of skin conductance, and heart beats."""

EMPATICA_E4 = Dataset(
    name="empatica_e4",
    title="Empatica E4",
    reader=EmpaticaE4Reader,
    tasks={
        "stress": ConditionTask(
            "stress",
            ("no_stress", "stress"),
            {"baseline": 0, "amusement": 0, "stress": 1},
            source="labels.csv",
            rest=("baseline",),
        ),
        "affect": ConditionTask(
            "affect",
            CONDITIONS,
            {"baseline": 0, "stress": 1, "amusement": 2},
            source="labels.csv",
            rest=("baseline",),
        ),
    },
    signals=derived_shapes(empatica.SIGNALS, PREPROCESSING),
    preprocessing=PREPROCESSING,
    unit=60.0,
    access="Export the sessions from the device's web portal.",
    layout="labels.csv and <subject>/{ACC,BVP,EDA,TEMP}.csv or <subject>.zip",
    writer="datamodules.synthesis.empatica_e4",
)

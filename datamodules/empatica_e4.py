"""Your own Empatica E4 sessions: a folder a subject and one table of labels.

The sessions are as the Empatica E4 exports them.

* bvp (64 Hz, arbitrary unit), eda (4 Hz, microsiemens), temp (4 Hz, degrees Celsius), acc
  (3 channels, 32 Hz, g).
* ``labels.csv``: columns subject, start, stop (UTC seconds) and condition (baseline, stress or
  amusement); what no row covers is not used. A subject is named as their folder, by 1 to 64
  letters, digits and ``_`` and, inside the name, ``-`` and ``.``.

::

    labels.csv
    <subject>/{ACC,BVP,EDA,TEMP}.csv, tags.csv
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats import empatica
from datamodules.formats.tables import read_columns
from datamodules.signals.preprocessing import BVP_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import WHOLE_SESSION, Fault, Recording, Segment
from datamodules.tasks import ConditionTask

LABEL_FILE = "labels.csv"
LABEL_COLUMNS = {"subject": str, "start": np.float64, "stop": np.float64, "condition": str}
CONDITIONS = ("baseline", "stress", "amusement")
SUBJECT = re.compile(r"\w(?:[\w.-]{0,62}\w)?", re.ASCII)
"""Names of subjects: each is the name of a folder, here and in the cache, and no way to another."""
SHOWN = 70
"""Number of characters of a name that a message shows."""


class _Label(NamedTuple):
    """A row of the table; times in UTC seconds."""

    subject: str
    start: float
    stop: float
    condition: str

    @property
    def is_complete(self) -> bool:
        times = (self.start, self.stop)
        return bool(self.subject and self.condition) and not any(map(math.isnan, times))


@dataclass(frozen=True)
class EmpaticaE4Reader:
    """Reads a folder of E4 sessions.

    Args:
        root: Holds ``labels.csv`` and a session folder for each subject named in it.
    """

    root: Path

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects named in the table, in the order of their first row."""
        return tuple(dict.fromkeys(label.subject for label in self._labels))

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the session's files and the label table; raises DatasetNotFoundError."""
        return (*empatica.session_files(self.root / subject), self.root / LABEL_FILE)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield repairs, then one recording, whose segments are the subject's rows of the table."""
        session = empatica.read_session(self.root / subject)
        for reason in session.repairs:
            yield Fault("1", WHOLE_SESSION, reason, omitted=False)
        segments: list[Segment] = []
        labels = [label for label in self._labels if label.subject == subject]
        for label in sorted(labels, key=lambda label: label.start):
            start, stop = label.start - session.start, label.stop - session.start
            if not (0 <= start < stop <= session.duration):
                raise DatasetCorruptedError(
                    f"{self.root / LABEL_FILE}, {subject}: expected start < stop within the "
                    f"recording (UTC {session.start:.0f} to {session.start + session.duration:.0f})"
                    f", found {label.start:.0f} to {label.stop:.0f}. Times are UTC seconds."
                )
            annotations = {"condition": label.condition}
            segments.append(Segment(start, stop, len(segments) + 1, annotations))
        yield Recording(subject, "1", session.signals, tuple(segments))

    @cached_property
    def _labels(self) -> tuple[_Label, ...]:
        path = self.root / LABEL_FILE
        if not path.is_file():
            raise DatasetNotFoundError(
                f"no {LABEL_FILE} in {str(self.root)!r}: expected a table with the columns "
                f"{', '.join(LABEL_COLUMNS)} (UTC seconds; condition one of {CONDITIONS})"
            )
        try:
            columns = read_columns(path, LABEL_COLUMNS)
        except ValueError as error:
            raise DatasetCorruptedError(
                f"{path}: expected the columns {tuple(LABEL_COLUMNS)}, found otherwise ({error})"
            ) from error
        cells = (columns[name].tolist() for name in LABEL_COLUMNS)
        labels = tuple(_Label(*row) for row in zip(*cells, strict=True))
        unknown = sorted({label.condition for label in labels} - {*CONDITIONS, ""})
        if unknown or not all(label.is_complete for label in labels):
            raise DatasetCorruptedError(
                f"{path}: expected a value in every cell and conditions among {CONDITIONS}, found "
                f"{unknown or 'empty cells'}"
            )
        for subject in dict.fromkeys(label.subject for label in labels):
            if not SUBJECT.fullmatch(subject):
                raise DatasetCorruptedError(
                    f"{path}: expected subjects named as their folders, by 1 to 64 letters, digits "
                    f"and _ and, inside the name, - and ., found {subject[:SHOWN]!r}. Rename the "
                    "folder, and the subject in the table."
                )
        return labels


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
        ),
        "affect": ConditionTask(
            "affect",
            CONDITIONS,
            {"baseline": 0, "stress": 1, "amusement": 2},
            source="labels.csv",
        ),
    },
    signals=derived_shapes(empatica.SIGNALS, PREPROCESSING),
    preprocessing=PREPROCESSING,
    unit=60.0,
    access="Export the sessions from the device's web portal.",
    layout="labels.csv and <subject>/{ACC,BVP,EDA,TEMP}.csv",
    writer="datamodules.synthesis.empatica_e4",
)

"""Your own Empatica E4 sessions: a folder a subject and one table of labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.datamodule import EmotionDataModule
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats import empatica
from datamodules.signals.preprocessing import EDA_PARTS, derived_shapes
from datamodules.signals.recording import Recording, Segment
from datamodules.tasks import ConditionTask

LABEL_FILE = "labels.csv"
LABEL_COLUMNS = ("subject", "start", "stop", "condition")
CONDITIONS = ("baseline", "stress", "amusement")


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
        return tuple(dict.fromkeys(self._labels["subject"]))

    def files(self, subject: str) -> tuple[Path, ...]:
        """The session's files and the label table."""
        return (*empatica.session_files(self.root / subject), self.root / LABEL_FILE)

    def read(self, subject: str) -> Iterator[Recording]:
        """One recording; its segments are the subject's rows of the table."""
        session = empatica.read_session(self.root / subject)
        segments: list[Segment] = []
        rows = self._labels[self._labels["subject"] == subject].sort_values("start")
        columns = (rows[name].tolist() for name in ("start", "stop", "condition"))
        for first, last, condition in zip(*columns, strict=True):
            start, stop = first - session.start, last - session.start
            if not (0 <= start < stop <= session.duration):
                raise DatasetCorruptedError(
                    f"{self.root / LABEL_FILE}, {subject}: expected start < stop within the "
                    f"recording (UTC {session.start:.0f} to {session.start + session.duration:.0f})"
                    f", found {first:.0f} to {last:.0f}. Times are UTC seconds."
                )
            segments.append(Segment(start, stop, len(segments) + 1, {"condition": condition}))
        yield Recording(subject, "1", session.signals, tuple(segments))

    @cached_property
    def _labels(self) -> pd.DataFrame:
        path = self.root / LABEL_FILE
        if not path.is_file():
            raise DatasetNotFoundError(
                f"no {LABEL_FILE} in {str(self.root)!r}: expected a table with the columns "
                f"{', '.join(LABEL_COLUMNS)} (UTC seconds; condition one of {CONDITIONS})"
            )
        types = {"subject": str, "start": np.float64, "stop": np.float64, "condition": str}
        try:
            table = pd.read_csv(path, usecols=list(LABEL_COLUMNS), dtype=types)
        except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise DatasetCorruptedError(
                f"{path}: expected the columns {LABEL_COLUMNS}, found otherwise ({error})"
            ) from error
        unknown = sorted(set(table["condition"].dropna()) - set(CONDITIONS))
        if unknown or table.isna().any(axis=None):
            raise DatasetCorruptedError(
                f"{path}: expected a value in every cell and conditions among {CONDITIONS}, found "
                f"{unknown or 'empty cells'}"
            )
        return table


class EmpaticaE4DataModule(EmotionDataModule):
    """Your own sessions, as the Empatica E4 exports them.

    * bvp (64 Hz, arbitrary unit), eda (4 Hz, microsiemens), temp (4 Hz, degrees Celsius), acc
      (3 channels, 32 Hz, g).
    * ``labels.csv``: columns subject, start, stop (UTC seconds) and condition (baseline, stress or
      amusement); what no row covers is not used.

    ::

        labels.csv
        <subject>/{ACC,BVP,EDA,TEMP}.csv, tags.csv
    """

    title = "Empatica E4"
    reader = EmpaticaE4Reader
    tasks = {
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
    }
    signals = derived_shapes(empatica.SIGNALS, EDA_PARTS)
    preprocessing = EDA_PARTS
    unit = 60.0
    access = "Export the sessions from the device's web portal."
    layout = "labels.csv and <subject>/{ACC,BVP,EDA,TEMP}.csv"

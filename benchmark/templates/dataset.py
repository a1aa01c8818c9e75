"""my_dataset: recordings of your own. Here they are made up; read your files in their place.

    affectbench run full --plugin my_dataset.py --dataset my_dataset --model lda cnn --recipe fast

A dataset that is a table and files of usual formats needs no Python: see ``affectbench data
synthesize folder``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules import Dataset
from datamodules.signals.recording import Recording, Segment, Signal
from datamodules.tasks import ConditionTask

MINUTES = {"rest": 5, "stress": 5}
"""Conditions in their order, and how long each takes."""
RATE = 4.0
"""Samples a second of skin conductance."""


@dataclass(frozen=True)
class MyReader:
    """Reads one person at a time. A reader of files has ``root: Path`` as its first field.

    Args:
        n_subjects: An option; ``affectbench data check`` sets it by ``--option n_subjects=4``.
    """

    n_subjects: int = 6

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of all people, in their order."""
        return tuple(f"P{number:02}" for number in range(1, self.n_subjects + 1))

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return the files of a person; when one changes, the person is read again."""
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        """Yield each recording of a person: signals that start together, and what happened when.

        A recording that cannot be used is a ``Fault`` with the reason, in place of the recording.
        """
        rng = np.random.default_rng(self.subjects.index(subject))
        levels, segments, start = [], [], 0.0
        for trial, (condition, minutes) in enumerate(MINUTES.items(), start=1):
            n_samples = int(60 * minutes * RATE)
            levels.append(rng.normal(1.0 if condition == "stress" else 0.0, 1.0, n_samples))
            stop = start + n_samples / RATE
            segments.append(Segment(start, stop, trial, {"condition": condition}))
            start = stop
        eda = 5 + 0.2 * np.cumsum(np.concatenate(levels)) / RATE
        signal = Signal(eda[None].astype(np.float32), RATE, ("eda",), "uS")
        yield Recording(subject, "1", {"eda": signal}, tuple(segments))


MY_DATASET = Dataset(
    name="my_dataset",
    title="My dataset",
    reader=MyReader,
    tasks={
        "stress": ConditionTask(
            "stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="made up"
        )
    },
    signals={"eda": (1, RATE)},  # channels and rate
    unit=60.0,  # every model is scored on blocks of 60 s
    access="Made up when it is read.",  # where others get it, and on which terms
    layout="no files",
    has_files=False,  # True for a reader with ``root``
)
DATASETS = {"my_dataset": MY_DATASET}

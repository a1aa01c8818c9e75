"""A folder dataset: your own recordings, described by a table and a short head, without Python.

The folder has the name of the dataset. It holds a head, a table and files of samples::

    mylab/dataset.yaml                   the head: what the files hold, tasks, score unit, licence
    mylab/recordings.csv                 the table: who was in which condition, from when until when
    mylab/recordings/P01_bvp.csv ...     samples, as CSV, Parquet, EDF, BDF or npz

The head::

    title: Talks in our lab
    licence: not to be passed on
    access: ask the lab                  # optional
    table: recordings.csv                # optional; this is the default
    score_unit: 60                       # seconds, or trial: each row is a unit
    ignored: [age]                       # optional: columns of the table that are not read
    signals:
      bvp: {file: "recordings/{subject}_bvp.csv", column: BVP, rate: 64, unit: a.u.}
      eda: {file: "recordings/{subject}_eda.csv", column: EDA, rate: 4, unit: uS}
      acc: {columns: [x, y, z], rate: 32, unit: g}      # no file: the one that the row names
    tasks:
      stress:
        classes: [no_stress, stress]
        labels: {rest: no_stress, talk: stress, break: unused}
      arousal: {rating: arousal, scale: [1, 9]}

The table::

    subject,session,file,start,stop,label,arousal
    P01,1,recordings/P01_acc.csv,0,300,rest,2
    P01,1,recordings/P01_acc.csv,300,600,talk,7

* **Table.** A row is a stretch of a recording, ``start`` to ``stop`` in seconds from the beginning
  of its files, which all begin together (times of day are not read). ``session`` may be left out,
  ``file`` where each signal has a pattern of its own. ``stimulus`` names what was shown, where
  people share it; the default split then keeps people and stimuli apart. ``person`` joins several
  subjects who are one person, who is then the subject of splits. Any other column is refused unless
  the head ignores it.
* **Rows that cannot be used** are left out, each with its line and the reason in ``data check``: a
  label that no task has, a rating off its scale, times beyond the end of the recording, rows that
  overlap, a file that is missing or not as the head says. What concerns everybody is refused at
  once: columns, names, two spellings of one name, a file of two people.
* **Signals.** What a name means is its last word: eda, bvp, ecg, emg, eeg, eog, resp, temp or acc.
  Of ``eda`` the tonic and phasic parts are computed, of each bvp and ecg the heart beats.
  Units of one quantity are converted where features go by another, as ``degF`` to degC; ``scale:
  0.001`` converts numbers to the unit that is named; ``may_be_missing: true`` lets a recording
  lack the file. In an npz file, ``column: eeg, channels: [Fp1, Fp2]`` is one array of shape (C, T).
  The rate of CSV, Parquet and npz files is believed, that of EDF is compared with its header.
* **Tasks.** Labels stand for classes; a label that is ``unused`` is left out without a word.
  Ratings are low or high: above the middle of the scale is high.
* Recordings of one session in several files are taken to begin at its start, as the table does not
  say when each began: there the probe ``time`` knows the time in the file alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from datamodules.cache import Reader
from datamodules.dataset import Dataset
from datamodules.digests import digest
from datamodules.errors import (
    DatasetCorruptedError,
    DatasetNotFoundError,
    IncompatibleRunError,
)
from datamodules.formats.arrays import shown
from datamodules.formats.folder_head import (
    HEAD,
    NO_UNIT,
    UNITS,
    Head,
    SignalEntry,
    read_head,
)
from datamodules.formats.folder_table import Row, Table, read_table
from datamodules.formats.sample_files import read_samples
from datamodules.machine import reading, refuse_machine
from datamodules.signals.beats import Beats
from datamodules.signals.kinds import kind_of
from datamodules.signals.preprocessing import EDA_PARTS, Derived, Preprocessing, derived_shapes
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.signals.steps import Step
from datamodules.signals.units import Convert
from datamodules.splits import SUBJECT_SPLITS
from datamodules.stimuli import natural

WAVES: Mapping[str, Beats] = {"bvp": Beats("bvp"), "ecg": Beats("ecg")}
"""The step that finds the heart beats of each kind of signal that has some."""
ROUNDING = 1e-6
"""Seconds by which rounding may push the end of a row past the end of a recording."""
DEFINITION = "definition"
"""Annotation of every segment: a digest of what the head says of tasks and units. By it, recordings
that are scored otherwise are other recordings, and their runs other work."""


@dataclass(frozen=True)
class FolderReader:
    """Reads a folder that a head describes.

    Args:
        root: Holds ``dataset.yaml``.
    """

    root: Path

    @cached_property
    def head(self) -> Head:
        """The head."""
        with reading(str(self.root)):
            return read_head(self.root / HEAD)

    @cached_property
    def table(self) -> Table:
        """The table."""
        with reading(str(self.root)):
            if refusal := self._refusal(self.head.table):
                raise refusal
            return read_table(self.root / self.head.table, self.head)

    @cached_property
    def definition(self) -> str:
        """Digest of signals, tasks and score units."""
        signals = {
            name: (entry.channel_names, entry.rate, entry.unit)
            for name, entry in self.head.signals.items()
        }
        tasks = {name: task.classes for name, task in self.head.tasks.items()}
        units = [self.head.unit, self.trial_seconds, self.table.has_stimuli]
        return digest([signals, tasks, self.head.labels, self.head.ratings, units])

    @property
    def trial_seconds(self) -> tuple[float, float] | None:
        """Shortest and longest row, where rows are the score unit."""
        lengths = [row.stop - row.start for row in self.table.usable]
        return (min(lengths), max(lengths)) if self.head.unit is None else None

    @property
    def subjects(self) -> tuple[str, ...]:
        """People of the table."""
        return tuple(sorted({row.person for row in self.table.rows}, key=natural))

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return head, table and those of a person's files that are there."""
        names = {file for row in self._rows_of(subject) for file in row.files.values()}
        paths = (self.root / name for name in sorted(names) if self._refusal(name) is None)
        return (self.root / HEAD, self.root / self.head.table, *paths)

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        """Yield the recordings of a person, and a fault for each row that cannot be used."""
        recordings: dict[tuple[str, tuple[str, ...]], list[Row]] = defaultdict(list)
        for row in self._rows_of(subject):
            if row.reason:
                yield self._fault(row, row.reason)
            else:
                recordings[row.session, tuple(row.files.values())].append(row)
        for (session, _), rows in recordings.items():
            try:
                signals = self._signals(rows[0].files)
            except (DatasetCorruptedError, DatasetNotFoundError) as error:
                reason = str(error).replace(f"{self.root}/", "")
                yield from (self._fault(row, reason) for row in rows)
                continue
            segments = []
            shortest = min(signals, key=lambda name: signals[name].duration)
            end = signals[shortest].duration
            for row in sorted(rows, key=lambda row: row.start):
                if row.stop > end + ROUNDING:
                    reason = f"expected stop up to {end:g} s, where {shortest} ends"
                    yield self._fault(row, f"{reason}, found {row.stop:g}")
                    continue
                stop = min(row.stop, end)
                segments.append(
                    Segment(row.start, stop, row.trial, self._annotations(row), row.stimulus)
                )
                if self.head.unit is not None and stop - row.start < self.head.unit - ROUNDING:
                    reason = f"lasts {stop - row.start:g} s, so that it holds no score unit"
                    yield self._fault(row, reason, doubtful=True)
            if segments:
                yield Recording(subject, session, signals, tuple(segments))

    def _annotations(self, row: Row) -> Mapping[str, str | float]:
        return {**row.annotations, DEFINITION: self.definition}

    def _fault(self, row: Row, reason: str, doubtful: bool = False) -> Fault:
        line = f"{self.head.table}, line {row.line}: {reason}"
        return Fault(row.session, row.trial, line, omitted=not doubtful, doubtful=doubtful)

    def _rows_of(self, subject: str) -> Sequence[Row]:
        rows = [row for row in self.table.rows if row.person == subject]
        if not rows:
            raise DatasetNotFoundError(
                f"{self.root / self.head.table} has no row of {subject!r}: expected one of "
                f"{', '.join(self.subjects)}"
            )
        return rows

    def _signals(self, files: Mapping[str, str]) -> dict[str, Signal]:
        signals = {}
        for name, entry in self.head.signals.items():
            refusal = self._refusal(files[name])
            if refusal is None:
                samples = read_samples(self.root / files[name], entry)
                signal = Signal(samples, entry.rate, entry.channel_names, entry.unit)
                usual = UNITS.get(kind_of(name), entry.unit)
                signals[name] = signal if entry.unit == NO_UNIT else Convert(usual)(signal)
            elif not entry.may_be_missing:
                raise refusal
        if not signals:
            raise DatasetNotFoundError("expected the file of one signal at least, found none")
        return signals

    def _refusal(self, name: str) -> DatasetNotFoundError | None:
        """Return why a file cannot be read; None: it can."""
        path = self.root / name
        try:
            if not path.resolve().is_relative_to(self.root.resolve()):
                reason = f"expected {shown(name)} inside the folder, found a link that leads out"
            elif path.is_file():
                return None
            else:
                reason = f"expected a file {shown(name)}, found none"
        except (OSError, RuntimeError, ValueError) as error:  # as links that go round
            refuse_machine(error, path)
            reason = f"expected a file {shown(name)}, found none ({type(error).__name__})"
        return DatasetNotFoundError(reason)


@dataclass(frozen=True, eq=False)
class FolderDataset(Dataset):
    """A dataset that a head describes.

    Args:
        definition: Digest of signals, tasks and score units, as of its reader.
    """

    definition: str = ""

    def make_reader(self, root: Path | str | None, **options: Any) -> Reader:
        """Return the reader of a folder whose head says the same.

        Raises:
            DatasetNotFoundError: No such folder.
            IncompatibleRunError: A head that says otherwise.
        """
        reader = super().make_reader(root, **options)
        if isinstance(reader, FolderReader) and reader.definition != self.definition:
            raise IncompatibleRunError(
                f"{reader.root / HEAD}: expected the signals, tasks and score units with which "
                f"{self.name} was loaded, found others. Load this head instead, or call again if "
                "it was changed meanwhile."
            )
        return reader


def folder_dataset(head: Path) -> FolderDataset:
    """Return the dataset that a head describes.

    Args:
        head: Path of ``dataset.yaml``; its table is read, its recordings are not.

    Raises:
        DatasetNotFoundError: No head, or no table.
        DatasetCorruptedError: A head or a table that cannot be, with what to do.
    """
    reader = FolderReader(head.parent)
    described = reader.head
    preprocessing = _preprocessing(described.signals)
    recorded = {
        name: (len(entry.channel_names), entry.rate) for name, entry in described.signals.items()
    }
    crossed = ("subject_stimulus_k_fold",) if reader.table.has_stimuli else ()
    licence = f"Licence: {described.licence}."
    return FolderDataset(
        name=described.name,
        title=described.title,
        reader=FolderReader,
        tasks=described.tasks,
        signals=derived_shapes(recorded, preprocessing),
        preprocessing=preprocessing,
        unit=described.unit,
        trial_seconds=reader.trial_seconds,
        splits=(*crossed, *SUBJECT_SPLITS),
        access=f"{described.access} {licence}".strip(),
        layout=f"{HEAD}, {described.table} and the files that it names",
        definition=reader.definition,
    )


def _preprocessing(signals: Mapping[str, SignalEntry]) -> Preprocessing:
    """Return what is computed of signals: parts of ``eda``, and the beats of each bvp and ecg."""
    derived: dict[str, Sequence[Step] | Derived] = {}
    if "eda" in signals and len(signals["eda"].channel_names) == 1:
        derived.update(EDA_PARTS)
    for name in signals:
        if kind_of(name) in WAVES:
            derived[f"{name}_beats"] = Derived(name, (WAVES[kind_of(name)],))
    return derived

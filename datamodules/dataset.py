"""Dataset: everything that can be said of a dataset before one of its files is opened."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from datamodules.baseline import rest_of
from datamodules.cache import Reader
from datamodules.corruptions import CORRUPTIONS
from datamodules.download import Download
from datamodules.errors import DatasetNotFoundError, IncompatibleRunError
from datamodules.inputs import LENGTH, SignalSpec
from datamodules.machine import reading
from datamodules.protocol import Protocol
from datamodules.signals.kinds import kind_of
from datamodules.signals.preprocessing import Derived, Preprocessing, derived_shapes, steps_of
from datamodules.signals.recording import STATIC_RATE
from datamodules.signals.steps import Resample, Step
from datamodules.signals.units import Brought, Convert
from datamodules.splits import SPLITS, SUBJECT_SPLITS
from datamodules.tasks import RatingTask, Task
from datamodules.windows import n_samples


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset, known without opening its files.

    Args:
        name: Catalogue key, and value on the command line.
        title: Name as the dataset's authors spell it.
        reader: Class of the reader, called with ``root`` (unless there are no files) and options.
        tasks: Tasks by name; the first is the default.
        signals: Number of channels and rate in Hz of every signal after its steps, derived ones
            last.
        access: Where the data can be had, and on which terms.
        layout: Folder tree under ``root``, for messages.
        unit: Length of a score unit in seconds; None: the trial.
        trial_seconds: Shortest and longest trial in seconds, where the unit is the trial: windows
            are never longer than the shortest, so that every model is scored on every trial.
        published_tasks: Tasks of published protocols, and those that only test models of another
            task; run only if they are named.
        optional: Signals that are read only with an option of the reader, and the option's name.
        preprocessing: Steps by signal, done once to each whole recording.
        splits: Names of the splits that it has; the first is the default. Where people share
            stimuli, this is one that keeps both apart.
        trial_blocks: Number of blocks that the trials of a session make, each with every class;
            ``trial_k_fold`` takes them for its folds.
        has_files: False for a dataset that is made up when it is read.
        writer: Module whose ``write`` makes up recordings in the publisher's files; empty: none.
        download: Where it can be fetched without an agreement; None: nowhere.
        channels: Names of the channels of signals, as far as they are known, see SignalSpec.
            Recordings have them: nothing is known before one is read, see ``with_channels``.

    Raises:
        ValueError: Values that contradict each other.
    """

    name: str
    title: str
    reader: Callable[..., Reader]
    tasks: Mapping[str, Task]
    signals: Mapping[str, tuple[int, float]]
    access: str
    layout: str
    unit: float | None = None
    trial_seconds: tuple[float, float] | None = None
    published_tasks: Mapping[str, Task] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    preprocessing: Preprocessing = field(default_factory=dict)
    splits: tuple[str, ...] = SUBJECT_SPLITS
    trial_blocks: int | None = None
    has_files: bool = True
    writer: str = ""
    download: Download | None = None
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.unit is None) == (self.trial_seconds is None):
            raise ValueError(f"{self.title}: expected either unit or trial_seconds")
        if unknown := set(self.splits) - set(SPLITS):
            raise ValueError(f"{self.title}: expected known splits, found {sorted(unknown)}")
        for name, task in self.every_task().items():
            if task.name != name:
                raise ValueError(f"{self.title}: expected task {name}, found {task.name}")

    @property
    def unit_name(self) -> str:
        """Name of a score unit, as ``"60 s block"`` or ``"trial"``."""
        return "trial" if self.unit is None else f"{self.unit:g} s block"

    @property
    def has_stimuli(self) -> bool:
        """True if people share stimuli, which its segments name."""
        return any(SPLITS[name].crosses_stimuli for name in self.splits)

    def same_stimuli(self, protocol: Protocol) -> bool:
        """Return whether other people's responses to the tested stimuli are trained on."""
        splitting = protocol.splitting
        crossed = (splitting.over_subjects and splitting.trains) or "same_stimuli" in protocol.flags
        return self.has_stimuli and crossed

    def every_task(self) -> dict[str, Task]:
        """Return all tasks by name, those of published protocols last."""
        return {**self.tasks, **self.published_tasks}

    def task(self, name: str | None = None) -> Task:
        """Return a task by name, or the first; raises IncompatibleRunError for an unknown name."""
        name = name or next(iter(self.tasks))
        if name not in self.every_task():
            raise IncompatibleRunError(
                f"{self.title}: expected a task among {list(self.every_task())}, found {name!r}"
            )
        return self.every_task()[name]

    def make_reader(self, root: Path | str | None, **options: Any) -> Reader:
        """Return the reader of a folder.

        Raises:
            DatasetNotFoundError: No such folder.
            MachineError: The folder cannot be looked into.
            IncompatibleRunError: An option that the reader has not.
        """
        with reading(self.title):
            missing = self.has_files and (root is None or not Path(root).is_dir())
        if missing:
            raise DatasetNotFoundError(
                f"no {self.title} at {str(root)!r}: expected a folder with {self.layout}. "
                f"{self.access}"
            )
        try:
            if self.has_files and root is not None:
                return self.reader(Path(root), **options)
            return self.reader(**options)
        except TypeError as error:
            raise IncompatibleRunError(f"{self.title}: {error}") from error

    def make_writer(self) -> Callable[..., None] | None:
        """Return the function that makes up recordings in the publisher's files; None: none."""
        if not self.writer:
            return None
        write: Callable[..., None] = import_module(self.writer).write
        return write

    def check_signals(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the named signals; raises IncompatibleRunError for one that it has not."""
        for name in names:
            if name not in self.signals:
                raise IncompatibleRunError(
                    f"{self.title} has no signal {name!r}: expected some of {list(self.signals)}"
                )
        return tuple(names)

    def choose_signals(
        self, names: Sequence[str] | None, options: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """Return the named signals, or all that a reader with these options gives.

        Raises:
            IncompatibleRunError: A signal that it has not, or not with these options.
        """
        available = self.available(options)
        chosen = self.check_signals(available if names is None else names)
        for name in chosen:
            if name not in available:
                raise IncompatibleRunError(
                    f"{self.title}: signal {name!r} is read only with the option "
                    f"{self.optional[name]}"
                )
        return chosen

    def check_subjects(self, reader: Reader, names: Sequence[str] | None) -> tuple[str, ...]:
        """Return the named subjects in the dataset's order, or all.

        Raises:
            DatasetNotFoundError: A subject that it has not, or no subject at all.
            MachineError: The files that say who there is cannot be read.
        """
        with reading(self.title):
            subjects = reader.subjects
        if not subjects:
            raise DatasetNotFoundError(
                f"{self.title}: expected {self.layout}, found nobody's recordings there"
            )
        for name in names or ():
            if name not in subjects:
                raise DatasetNotFoundError(
                    f"{self.title} has no subject {name!r}: expected some of {', '.join(subjects)}"
                )
        return tuple(s for s in subjects if names is None or s in names)

    def without(self, absent: Collection[str]) -> Self:
        """Return the dataset without some signals and what is derived from them."""
        gone = {
            name
            for name in self.signals
            if name in absent
            or (
                isinstance(entry := self.preprocessing.get(name), Derived)
                and entry.source in absent
            )
        }
        return replace(
            self,
            signals={n: shape for n, shape in self.signals.items() if n not in gone},
            preprocessing={n: entry for n, entry in self.preprocessing.items() if n not in gone},
            optional={n: option for n, option in self.optional.items() if n not in gone},
        )

    def with_channels(self, channels: Mapping[str, tuple[str, ...]]) -> Self:
        """Return the dataset with the names of channels that its recordings have, by signal."""
        return replace(self, channels=channels)

    def brought(self, forms: Brought) -> Self:
        """Return the dataset with some measured signals at another rate or in another unit.

        They are so after their own steps. What is derived of them is derived after that, as it is
        in a dataset that was recorded in this form: parts of skin conductance, for one, depend on
        the rate at which they are computed.

        Args:
            forms: Names, rates and units.
        """
        if not forms:
            return self
        steps = {
            name: (*steps_of(self.preprocessing.get(name, ())), *_steps_to(rate, unit))
            for name, rate, unit in forms
        }
        rates = {name: rate for name, rate, _ in forms if rate}
        measured = {
            name: (self.signals[name][0], rates.get(name, self.signals[name][1]))
            for name in self.recorded(tuple(self.signals))
        }
        derived = {n: of for n, of in self.preprocessing.items() if isinstance(of, Derived)}
        shapes = derived_shapes(measured, derived)
        return replace(
            self,
            signals={name: shapes[name] for name in self.signals},
            preprocessing={**self.preprocessing, **steps},
        )

    def available(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the signals that a reader with these options gives, derived ones included."""
        return tuple(
            s for s in self.signals if s not in self.optional or options.get(self.optional[s])
        )

    def recorded(self, signals: Sequence[str]) -> tuple[str, ...]:
        """Return those of some signals that were measured and are not derived from others."""
        return tuple(s for s in signals if not isinstance(self.preprocessing.get(s), Derived))

    def hand_crafted(self, signals: Sequence[str]) -> tuple[str, ...]:
        """Return the signals that hand-crafted features of some signals are computed of.

        These are the measured ones and the heart beats in them, as rate and variability are
        features of beats. Other derived signals repeat a measured one.
        """
        measured = self.recorded(signals)
        beats = {
            name
            for name, entry in self.preprocessing.items()
            if kind_of(name) == "beats" and isinstance(entry, Derived)
            if name in signals or entry.source in measured
        }
        return tuple(s for s in self.signals if s in measured or s in beats)

    def check_split(self, split: str) -> None:
        """Raise IncompatibleRunError for a split that it has not; what only tests, all have."""
        if split not in self.splits and SPLITS[split].trains:
            raise IncompatibleRunError(
                f"{self.title} has no split {split}: expected one of {', '.join(self.splits)}"
            )

    def check_protocol(self, task: str, protocol: Protocol) -> None:
        """Refuse a protocol that does not fit.

        Raises:
            IncompatibleRunError: A split that it has not, a flaw that the split cannot have, a rule
                for a task without ratings, padding where trials are not the score unit, or a
                corruption of signals that it has not, or a baseline where a task does not say
                when people rest.
        """
        self.check_split(protocol.split)
        if protocol.calibrating.seconds:
            rest_of(self.task(task))
        if "same_stimuli" in protocol.flags and not protocol.splitting.crosses_stimuli:
            crossing = ", ".join(name for name, split in SPLITS.items() if split.crosses_stimuli)
            raise IncompatibleRunError(
                f"same_stimuli: expected the split {crossing}, which keeps stimuli apart, found "
                f"{protocol.split}"
            )
        if protocol.rule != "midpoint" and not isinstance(self.task(task), RatingTask):
            raise IncompatibleRunError(
                f"{self.title}, {task}: expected ratings for the label rule {protocol.rule}, "
                "found conditions"
            )
        recorded = self.recorded(tuple(self.signals))
        if protocol.corruption and not CORRUPTIONS[protocol.corruption].touched(recorded):
            raise IncompatibleRunError(
                f"{self.title}: expected signals that {protocol.corruption} disturbs, found "
                f"{', '.join(recorded)}"
            )
        if protocol.padding is not None and self.trial_seconds is None:
            raise IncompatibleRunError(
                f"{self.title} is not scored by the trial, so that no trial is padded"
            )

    def window_length(
        self, window: float, protocol: Protocol | None = None, longest: float = 0.0
    ) -> float:
        """Return the actual length of windows in seconds for a requested length.

        The shortest trial caps it, or the score unit; padded trials are as long as the longest.

        Args:
            window: Requested length in seconds.
            protocol: Protocol of the run; None: the default.
            longest: Seconds up to which a window may be longer than a score unit.
        """
        protocol = protocol or Protocol()
        if self.unit is not None:
            return window if protocol.score_windows else min(window, max(self.unit, longest))
        assert self.trial_seconds is not None  # it has one or the other
        shortest_trial, longest_trial = self.trial_seconds
        return longest_trial if protocol.padding else min(window, shortest_trial)

    def window_beyond_unit(self, window: float, protocol: Protocol, longest: float) -> float:
        """Return the length of windows in seconds if that is more than a score unit; else 0.

        Args:
            window: Requested length in seconds.
            protocol: Protocol of the run.
            longest: Seconds up to which a window may be longer than a score unit.
        """
        if self.unit is None or protocol.score_windows:
            return 0.0
        length = self.window_length(window, protocol, longest)
        return length if length > self.unit else 0.0

    def window_inputs(
        self,
        signals: Sequence[str],
        window: float,
        protocol: Protocol | None = None,
        longest: float = 0.0,
    ) -> dict[str, SignalSpec]:
        """Return the shape of the signals in a window, with the names of channels that are known.

        Arguments are those of ``window_length``.
        """
        length = self.window_length(window, protocol, longest)
        inputs = {}
        for name in signals:
            n_channels, sfreq = self.signals[name]
            n_times, channels = n_samples(length, sfreq), self.channels.get(name, ())
            inputs[name] = SignalSpec(n_channels, n_times, sfreq, channels)
        mask = {LENGTH: SignalSpec(1, 1, STATIC_RATE)}
        return {**inputs, **mask} if protocol and protocol.mask else inputs


def _steps_to(rate: float, unit: str) -> tuple[Step, ...]:
    """Return the steps to another rate and another unit; 0 and empty: as it is."""
    return (*((Convert(unit),) if unit else ()), *((Resample(rate),) if rate else ()))

"""What a dataset is and offers, known before any file is read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning as L

from datamodules.batch import LENGTH, SignalSpec
from datamodules.cache import Derived, Preprocessing, Reader
from datamodules.errors import DatasetNotFoundError, IncompatibleRunError
from datamodules.signals.recording import STATIC_RATE
from datamodules.splits import SUBJECT_SPLITS, SplitName
from datamodules.tasks import LabelRule, RatingTask, Task
from datamodules.windows import Padding, n_samples


class DatasetDeclaration(L.LightningDataModule):
    """What a dataset declares, and what can be asked of it for that: shapes, names, limits."""

    title: ClassVar[str]
    """The dataset as its authors spell it."""
    reader: ClassVar[Callable[..., Reader]]
    """Called with ``root`` (unless it is None) and the options."""
    tasks: ClassVar[Mapping[str, Task]]
    """The first is the default."""
    published_tasks: ClassVar[Mapping[str, Task]] = {}
    """Tasks of published protocols, there for those who name them: ``all`` leaves them out."""
    signals: ClassVar[Mapping[str, tuple[int, float]]]
    """Number of channels and rate in Hz of every signal, after its steps, derived ones last."""
    optional: ClassVar[Mapping[str, str]] = {}
    """Signals that are there only if an option of the reader says so, and the option's name."""
    unit: ClassVar[float | None]
    """Length of a score unit in seconds; None: the trial."""
    trial_seconds: ClassVar[tuple[float, float] | None] = None
    """Shortest and longest trial in seconds, where the unit is the trial: windows are never longer
    than the shortest, so that every model is scored on every trial."""
    preprocessing: ClassVar[Preprocessing] = {}
    """Steps by signal, done once to each whole recording."""
    splits: ClassVar[tuple[SplitName, ...]] = SUBJECT_SPLITS
    """Names of the splits that it has; the first is the default."""
    trial_blocks: ClassVar[int | None] = None
    """Blocks that the trials of a session make, each with every class; ``trial_k_fold`` takes them
    for its folds."""
    access: ClassVar[str]
    """Where the data are to be had, and on which terms."""
    layout: ClassVar[str]
    """Folder tree under ``root``, as text for messages."""
    has_files: ClassVar[bool] = True
    """False for a dataset that is made up when it is read."""

    @classmethod
    def key(cls) -> str:
        """Catalogue key: the name of the file that defines the dataset."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def every_task(cls) -> dict[str, Task]:
        """All tasks by name, those of published protocols last."""
        return {**cls.tasks, **cls.published_tasks}

    @classmethod
    def make_reader(cls, root: Path | None, **options: Any) -> Reader:
        """The reader of a folder.

        Raises:
            DatasetNotFoundError: No such folder.
            IncompatibleRunError: An option that the reader has not.
        """
        if cls.has_files and (root is None or not root.is_dir()):
            raise DatasetNotFoundError(
                f"no {cls.title} at {str(root)!r}: expected a folder with {cls.layout}. "
                f"{cls.access}"
            )
        try:
            return cls.reader(root, **options) if cls.has_files else cls.reader(**options)
        except TypeError as error:
            raise IncompatibleRunError(f"{cls.title}: {error}") from error

    @classmethod
    def check_signals(cls, names: Sequence[str]) -> tuple[str, ...]:
        """The named signals; raises IncompatibleRunError for one that the dataset has not."""
        for name in names:
            if name not in cls.signals:
                raise IncompatibleRunError(
                    f"{cls.title} has no signal {name!r}: expected some of {list(cls.signals)}"
                )
        return tuple(names)

    @classmethod
    def check_subjects(cls, reader: Reader, names: Sequence[str] | None) -> tuple[str, ...]:
        """The named subjects in the dataset's order, or all; raises DatasetNotFoundError."""
        for name in names or ():
            if name not in reader.subjects:
                raise DatasetNotFoundError(
                    f"{cls.title} has no subject {name!r}: expected some of "
                    f"{', '.join(reader.subjects)}"
                )
        return tuple(s for s in reader.subjects if names is None or s in names)

    @classmethod
    def available(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Signals that a reader with these options gives, derived ones included."""
        return tuple(
            s for s in cls.signals if s not in cls.optional or options.get(cls.optional[s])
        )

    @classmethod
    def recorded(cls, signals: Sequence[str]) -> tuple[str, ...]:
        """Those of some signals that were measured and are not derived from others."""
        return tuple(s for s in signals if not isinstance(cls.preprocessing.get(s), Derived))

    @classmethod
    def check_split(cls, split: SplitName) -> None:
        """Raise IncompatibleRunError for a split that the dataset does not have."""
        if split not in cls.splits:
            raise IncompatibleRunError(
                f"{cls.title} has no split {split}: expected one of {', '.join(cls.splits)}"
            )

    @classmethod
    def check_rule(cls, task: str, rule: LabelRule) -> LabelRule:
        """The rule; raises IncompatibleRunError where a task has no ratings for it."""
        if rule != "midpoint" and not isinstance(cls.every_task()[task], RatingTask):
            raise IncompatibleRunError(
                f"{cls.title}, {task}: expected ratings for the label rule {rule}, found conditions"
            )
        return rule

    @classmethod
    def check_padding(cls, padding: Padding | None) -> Padding | None:
        """The padding; raises IncompatibleRunError where trials are not the score unit."""
        if padding is not None and cls.trial_seconds is None:
            raise IncompatibleRunError(
                f"{cls.title} is not scored by the trial, so that no trial is padded"
            )
        return padding

    @classmethod
    def window_length(
        cls, window: float, padding: Padding | None = None, score_windows: bool = False
    ) -> float:
        """Length in seconds of the windows that are cut where so many are asked for."""
        if cls.trial_seconds is None:
            return window if cls.unit is None or score_windows else min(window, cls.unit)
        shortest, longest = cls.trial_seconds
        return longest if padding else min(window, shortest)

    @classmethod
    def window_inputs(
        cls,
        signals: Sequence[str],
        window: float,
        padding: Padding | None = None,
        mask: bool = False,
        score_windows: bool = False,
    ) -> dict[str, SignalSpec]:
        """Shape of the signals in a window where so many seconds are asked for."""
        length = cls.window_length(window, padding, score_windows)
        inputs = {
            name: SignalSpec(channels, n_samples(length, sfreq), sfreq)
            for name, (channels, sfreq) in ((name, cls.signals[name]) for name in signals)
        }
        return {**inputs, LENGTH: SignalSpec(1, 1, STATIC_RATE)} if mask else inputs

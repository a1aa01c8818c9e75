"""EmotionDataModule: a dataset, a task and a fold, ready for a Trainer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import LENGTH, Batch, Inputs, SignalSpec
from datamodules.cache import Archive, Derived, Preprocessing, Reader, StoredSubject, store_subject
from datamodules.errors import (
    AffectbenchError,
    DatasetNotFoundError,
    IncompatibleRunError,
    LeakError,
)
from datamodules.guard import check_fitted, check_no_leak, check_padding, check_read
from datamodules.protocol import SHUFFLED, Flag, check_flags, known_flags
from datamodules.signals.cvxeda import PhasicEDA, TonicEDA
from datamodules.signals.recording import STATIC_RATE
from datamodules.splits import (
    SUBJECT_SPLITS,
    Split,
    SplitName,
    n_folds,
    random_parts,
    split_subjects,
    split_trials,
)
from datamodules.tasks import LabelRule, RatingTask, Task
from datamodules.windows import (
    EPSILON,
    BatchRows,
    Padding,
    Scaling,
    WindowDataset,
    WindowIndex,
    first_samples,
    fit_scaling,
    index_trials,
    index_windows,
    n_samples,
    recorded_samples,
    segment_moments,
)

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

EDA_PARTS: Preprocessing = {
    "eda_tonic": Derived("eda", (TonicEDA(),)),
    "eda_phasic": Derived("eda", (PhasicEDA(),)),
}
"""Skin conductance by cvxEDA, for every dataset that has ``eda``."""

DEVICE_SHARE = 0.5
"""Share of a GPU's free memory that the recordings may take; beyond it they are streamed."""


class EmotionDataModule(L.LightningDataModule):
    """A dataset, a task and a fold.

    A dataset is a subclass that sets the class attributes and adds nothing else. Windows are rows
    of an index into memory-mapped recordings: overlap costs nothing. On a GPU with room for them,
    the recordings are copied there once and stay for the runs that follow in the same process.

    Args:
        root: Folder laid out as the publisher ships it; None for a dataset without files.
        task: One of ``tasks``; None takes the first.
        signals: Names among ``signals``; None takes all, an empty sequence none.
        split: Name of the split.
        fold: Number of the fold, from 0.
        folds: Folds of a k-fold; number of sessions for ``session_out``.
        subjects: Who takes part; None takes all that the reader lists.
        window: Length of a window in seconds; longer than a score unit, or than the shortest trial,
            means that length.
        stride: From one training window's start to the next, in seconds.
        scaling: ``"standard"`` for zero mean and unit variance a channel over the training
            segments; ``"none"`` for the samples as recorded.
        rule: Where the threshold between low and high ratings is; see RatingTask.
        padding: None cuts windows; else every trial is one window, as long as the longest trial,
            filled up with this; see WindowDataset.
        mask: Where trials are padded, say how much is recorded.
        without: Subjects that are not trained on.
        oversample: Repeat training windows of rarer classes, drawn at random, until all classes
            have as many as the most frequent one.
        batch_size: Windows in a batch.
        num_workers: Processes that gather batches when the recordings do not fit on the device.
        seed: Chooses validation subjects and shuffles.
        cache_dir: Where prepared recordings are kept.
        options: Options of the dataset's reader.
        flags: Flaws of a published protocol; none: the honest one.

    Raises:
        IncompatibleRunError: A task, signal or subject that the dataset does not have, or flags
            that do not go together.
    """

    title: ClassVar[str]
    """The dataset as its authors spell it."""
    reader: ClassVar[Callable[..., Reader]]
    """Called with ``root`` (unless it is None) and the options."""
    tasks: ClassVar[Mapping[str, Task]]
    """The first is the default."""
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

    def __init__(
        self,
        root: Path | None = None,
        task: str | None = None,
        *,
        signals: Sequence[str] | None = None,
        split: SplitName = "leave_one_subject_out",
        fold: int = 0,
        folds: int = 5,
        subjects: Sequence[str] | None = None,
        window: float = 60.0,
        stride: float = 30.0,
        scaling: Literal["standard", "none"] = "standard",
        rule: LabelRule = "midpoint",
        padding: Padding | None = None,
        mask: bool = False,
        without: Sequence[str] = (),
        oversample: bool = False,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int = 0,
        cache_dir: Path = Path("cache"),
        options: Mapping[str, Any] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        super().__init__()
        task = task or next(iter(self.tasks))
        if task not in self.tasks:
            raise IncompatibleRunError(
                f"{self.title}: expected a task among {list(self.tasks)}, found {task!r}"
            )
        self.task: Task = self.tasks[task]
        self.rule = self.check_rule(task, rule)
        given = self.available(options or {})
        self.chosen = self.check_signals(given if signals is None else signals)
        for name in self.chosen:
            if name not in given:
                raise IncompatibleRunError(
                    f"{self.title}: signal {name!r} is read only with the option "
                    f"{self.optional[name]}"
                )
        self.raw = self.make_reader(root, **(options or {}))
        self.subjects = self.check_subjects(self.raw, subjects)
        self.check_split(split)
        self.fold: tuple[SplitName, int, int] = split, fold, folds
        self.split: Split
        if split in SUBJECT_SPLITS:
            whole = split_subjects(split, self.subjects, fold, seed, folds)
            kept = tuple(subject for subject in whole.train if subject not in without)
            self.split = replace(whole, train=kept)
        elif without:
            raise IncompatibleRunError(f"{split}: expected everybody to be trained on")
        self.flags = known_flags(flags)
        if mask and padding is None:
            raise IncompatibleRunError("expected padding where there is a mask, found none")
        if set(SHUFFLED) & set(self.flags):
            if without:
                raise IncompatibleRunError(f"{self.flags}: expected everybody to be trained on")
            self.split = Split(self.subjects, self.subjects, self.subjects, flawed=True)
        self.padding, self.mask = self.check_padding(padding), mask
        check_flags(self.flags, split=split, rule=rule, padded=padding is not None, mask=mask)
        self.length = self.window_length(window, padding)
        self.stride = stride
        self.oversample = oversample
        self.scaling_name = scaling
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.folder = cache_dir / self.key()
        self.scaling: Scaling | None = None
        self.archive: Archive
        self.grids: dict[str, WindowIndex]
        self.rows: dict[Part, npt.NDArray[np.int64]]
        self.dealt: dict[str, npt.NDArray[np.int64]] = {}
        self.copies: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.fitted: dict[str, npt.NDArray[np.int64]] = {}

    @classmethod
    def key(cls) -> str:
        """Catalogue key: the name of the file that defines the dataset."""
        return cls.__module__.rpartition(".")[2]

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
        if rule != "midpoint" and not isinstance(cls.tasks[task], RatingTask):
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
    def window_length(cls, window: float, padding: Padding | None = None) -> float:
        """Length in seconds of the windows that are cut where so many are asked for."""
        if cls.trial_seconds is None:
            return window if cls.unit is None else min(window, cls.unit)
        shortest, longest = cls.trial_seconds
        return longest if padding else min(window, shortest)

    @classmethod
    def window_inputs(
        cls,
        signals: Sequence[str],
        window: float,
        padding: Padding | None = None,
        mask: bool = False,
    ) -> dict[str, SignalSpec]:
        """Shape of the signals in a window where so many seconds are asked for."""
        length = cls.window_length(window, padding)
        inputs = {
            name: SignalSpec(channels, n_samples(length, sfreq), sfreq)
            for name, (channels, sfreq) in ((name, cls.signals[name]) for name in signals)
        }
        return {**inputs, LENGTH: SignalSpec(1, 1, STATIC_RATE)} if mask else inputs

    @property
    def inputs(self) -> Inputs:
        """Signals in a window; known before a file is read."""
        return self.window_inputs(self.chosen, self.length, self.padding, self.mask)

    @property
    def n_classes(self) -> int:
        """K; known before a file is read."""
        return len(self.task.classes)

    def prepare_data(self) -> None:
        """Fill the cache."""
        archive = self._open()
        for signal in self.chosen:
            archive.join(signal)

    def setup(self, stage: str | None = None) -> None:
        """Split, label and cut windows; check them for leaks; fit the scaling on train."""
        if hasattr(self, "rows"):
            return
        self.archive = open_archive(self.folder, self._open().subjects)
        self._split_trials()
        if "select_on_test" in self.flags:
            trials = self.split.trials
            self.split = replace(
                self.split,
                val=self.split.test,
                trials={**trials, "val": trials["test"]} if trials else None,
                flawed=True,
            )
        self._label()
        self._deal_windows()
        rows = {}
        for part in PARTS:
            rows[part] = self.rows_of("segments" if part == "train" else "units", part)
            if not len(rows[part]):
                raise IncompatibleRunError(
                    f"{self.title}, {self.task.name}: no window of {self.length:g} s in {part} "
                    f"(subjects {', '.join(getattr(self.split, part))}). Take a shorter window, "
                    "more subjects or fewer folds."
                )
        if self.scaling_name == "standard":
            moments = {s: cached_moments(self.archive, s) for s in self.chosen}
            used = np.zeros(len(self.archive.segments), dtype=bool)
            used[self._fit_on("scale_on_all")] = True
            used &= self._labelled()
            self.fitted["the scaling was"] = np.flatnonzero(used)
            self.scaling = fit_scaling(moments, used)
        if self.oversample and "oversample_before_split" not in self.flags:
            rows["train"] = oversampled(rows["train"], self.grid("train").target, self.seed)
        self.rows = rows
        try:
            self.check(self.flags)
        except LeakError:
            del self.rows  # nobody goes on with them
            raise

    def check(self, flags: Sequence[Flag]) -> None:
        """Look for leaks in what was set up.

        Args:
            flags: Flaws that are asked for, which may pass.

        Raises:
            LeakError: Any other flaw.
        """
        parts: dict[str, WindowIndex] = {part: self.windows(part) for part in PARTS}
        check_no_leak(self.archive, self.split, parts, flags)
        allowed: dict[str, Flag] = {
            "the scaling was": "scale_on_all",
            "label thresholds were": "labels_from_all_ratings",
        }
        for what, used in self.fitted.items():
            trained = self.segments_of("train")
            check_fitted(self.archive, what, used, trained, allowed[what], flags)
        if self.padding is not None:
            check_padding(self.grid("test"), self.mask, flags)

    def _label(self) -> None:
        """Fit the thresholds of the task, if it has any, and cut the windows."""
        if isinstance(self.task, RatingTask):
            used = self._fit_on("labels_from_all_ratings")
            rated = [self.archive.segments[position] for position in used]
            self.task = self.task.fitted(
                self.rule,
                [(self.archive.recordings[row].subject, segment) for row, segment in rated],
                self.subjects,
            )
            if self.rule != "midpoint":
                self.fitted["label thresholds were"] = used
        self.grids = dict(
            zip(
                ("segments", "units"),
                window_grids(
                    self.archive, self.task, self.length, self.stride, self.unit, self.padding
                ),
                strict=True,
            )
        )

    def _labelled(self) -> npt.NDArray[np.bool_]:
        """Which segments are part of the task, shape (S,)."""
        return np.array(
            [
                self.task.label(self.archive.recordings[row].subject, segment) is not None
                for row, segment in self.archive.segments
            ]
        )

    def _fit_on(self, flag: Flag) -> npt.NDArray[np.int64]:
        """Positions of the segments that something is fitted on: of train, or under a flag all."""
        if flag in self.flags:
            return np.arange(len(self.archive.segments))
        return self.segments_of("train")

    def _split_trials(self) -> None:
        split, fold, folds = self.fold
        if "random_trials" in self.flags:
            labelled = np.flatnonzero(self._labelled())
            self.dealt["trials"] = np.full(len(self.archive.segments), -1)
            self.dealt["trials"][labelled] = self._dealt(len(labelled))
        if split in SUBJECT_SPLITS:
            return
        trials: dict[str, list[tuple[str, str]]] = {subject: [] for subject in self.subjects}
        for (row, segment), key in zip(
            self.archive.segments, self.archive.trial_keys.tolist(), strict=True
        ):
            recording = self.archive.recordings[row]
            if self.task.label(recording.subject, segment) is not None:
                trials[recording.subject].append((recording.session, key))
        self.split = split_trials(split, trials, fold, self.seed, folds, self.trial_blocks)

    def _dealt(self, count: int) -> npt.NDArray[np.int64]:
        """Part of each of so many windows or trials, by position in PARTS."""
        split, fold, folds = self.fold
        return random_parts(count, fold, n_folds(split, len(self.subjects), folds), self.seed)

    def _deal_windows(self) -> None:
        """Deal out windows, and copies of windows, at random, where flags say so.

        A window that is in both grids is one window and goes to one part. Copies are of training
        windows; each goes to a part of its own, and those that are tested are left out, as their
        originals are tested once anyway.
        """
        if "random_windows" not in self.flags:
            return
        whole = [
            np.column_stack([grid.segment, np.rint(grid.start / EPSILON).astype(np.int64)])
            for grid in self.grids.values()
        ]
        distinct, which = np.unique(np.concatenate(whole), axis=0, return_inverse=True)
        parts = self._dealt(len(distinct))[which.ravel()]
        self.dealt |= dict(zip(self.grids, np.split(parts, [len(whole[0])]), strict=True))
        if "oversample_before_split" in self.flags:
            every = np.arange(len(whole[0]))
            self.copies = oversampled(every, self.grids["segments"].target, seed=0)[len(every) :]
            self.dealt["copies"] = self._dealt(len(self.copies))

    def segments_of(self, part: Part) -> npt.NDArray[np.int64]:
        """Positions of the segments of a part's subjects and trials."""
        if "trials" in self.dealt:
            return np.flatnonzero(self.dealt["trials"] == PARTS.index(part))
        owners = [self.archive.recordings[row].subject for row, _ in self.archive.segments]
        inside = np.isin(owners, getattr(self.split, part))
        if self.split.trials is not None:
            inside &= np.isin(self.archive.trial_keys, list(self.split.trials[part]))
        return np.flatnonzero(inside)

    def rows_of(self, grid: Literal["segments", "units"], part: Part) -> npt.NDArray[np.int64]:
        """Rows of a grid that belong to a part, copies that a flag asks for behind the others."""
        if grid not in self.dealt:
            return np.flatnonzero(np.isin(self.grids[grid].segment, self.segments_of(part)))
        rows = np.flatnonzero(self.dealt[grid] == PARTS.index(part))
        if grid == "units" or not len(self.copies):
            return rows
        return np.concatenate([rows, self.copies[self.dealt["copies"] == PARTS.index(part)]])

    def class_counts(self) -> Tensor:
        """Training windows of each class, shape (K,)."""
        return torch.from_numpy(np.bincount(self.windows("train").target, minlength=self.n_classes))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that its model can be used on new recordings.

        Returns:
            ``classes``; ``train`` (subjects) and ``trials`` (keys of those trained on, empty for
            all); ``chosen_on`` and ``chosen_on_trials`` (the same of what chose the epoch); and
            ``mean`` and ``std`` of the scaling by signal, shape (C, 1) each, empty where samples
            are taken as recorded.
        """
        trials = self.split.trials
        return {
            "classes": list(self.task.classes),
            "train": list(self.split.train),
            "trials": sorted(trials["train"]) if trials else [],
            "chosen_on": list(self.split.val),
            "chosen_on_trials": sorted(trials["val"]) if trials else [],
            "mean": dict(self.scaling.mean) if self.scaling else {},
            "std": dict(self.scaling.std) if self.scaling else {},
        }

    def grid(self, part: Part) -> WindowIndex:
        """Windows of all subjects, cut as this part wants them; ``rows`` says which are its own."""
        return self.grids["segments" if part == "train" else "units"]

    def windows(self, part: Part) -> WindowIndex:
        """Windows of a part, in order of subject, session and time."""
        return self.grid(part).take(self.rows[part])

    def train_dataloader(self) -> DataLoader[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        return self._loader("train", generator)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader("val", None)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader("test", None)

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self._loader("test", None)

    def read_early(self, device: torch.device) -> WindowDataset:
        """The test windows while a model is fitted; raises LeakError unless a flag asks for it."""
        check_read(self.flags)
        return self.dataset("test", device if device.type == "cuda" else None)

    def dataset(self, part: Part, device: torch.device | None = None) -> WindowDataset:
        """Batches of a part; see WindowDataset.

        Args:
            part: Which one.
            device: Where the recordings are to be; None leaves them memory-mapped.
        """
        windows = self.windows(part)
        return WindowDataset(
            {signal: device_array(self.archive, signal, device) for signal in self.chosen},
            windows,
            {signal: first_samples(self.archive, signal, windows) for signal in self.chosen},
            {signal: self.inputs[signal].n_times for signal in self.chosen},
            self.scaling,
            self.padding,
            {s: recorded_samples(windows, self.signals[s][1]) for s in self.chosen},
            self.mask,
        )

    def _loader(self, part: Part, generator: torch.Generator | None) -> DataLoader[Batch]:
        if part == "test" and self.trainer and self.trainer.state.fn == TrainerFn.FITTING:
            check_read(self.flags)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        resident = device.type == "cuda" and self._fits(device)
        streams = device.type == "cuda" and not resident
        dataset = self.dataset(part, device if resident else None)
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=BatchRows(len(dataset), self.batch_size, generator),
            num_workers=self.num_workers if streams else 0,
            pin_memory=streams,
        )

    def _fits(self, device: torch.device) -> bool:
        needed = sum(
            self.archive.samples(signal).nbytes
            for signal in self.chosen
            if (self.archive.key, signal, device) not in _on_device
        )
        return needed <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]

    def _open(self) -> Archive:
        return Archive(
            self.folder,
            tuple(
                store_subject(self.folder, self.raw, self.preprocessing, subject)
                for subject in self.subjects
            ),
        )


_on_device: dict[tuple[str, str, torch.device], Tensor] = {}


def device_array(archive: Archive, signal: str, device: torch.device | None) -> Tensor:
    """Samples of a signal, memory-mapped (None) or on a device, where they stay for later runs.

    Only one archive at a time is kept on a device.
    """
    if device is None:
        return torch.from_numpy(archive.samples(signal))
    for kept in [kept for kept in _on_device if kept[0] != archive.key]:
        del _on_device[kept]
    wanted = (archive.key, signal, device)
    if wanted not in _on_device:
        _on_device[wanted] = torch.from_numpy(archive.samples(signal)).to(device)
    return _on_device[wanted]


_opened: dict[str, Archive] = {}


def open_archive(folder: Path, subjects: tuple[StoredSubject, ...]) -> Archive:
    """An archive; the same object for as long as the runs of a process ask for the same one."""
    archive = Archive(folder, subjects)
    key = f"{folder}/{archive.key}"
    if key not in _opened:
        _opened.clear()
        window_grids.cache_clear()
        cached_moments.cache_clear()
        _opened[key] = archive
    return _opened[key]


@lru_cache(maxsize=16)
def window_grids(
    archive: Archive,
    task: Task,
    length: float,
    stride: float,
    unit: float | None,
    padding: Padding | None,
) -> tuple[WindowIndex, WindowIndex]:
    """Windows of all subjects, cut in segments and cut in score units; shared by all folds."""
    if padding is not None:
        trials = index_trials(archive, task, length)
        return trials, trials
    segments = index_windows(archive, task, length, stride, unit, in_units=False)
    units = index_windows(archive, task, length, stride, unit, in_units=True)
    return segments, units


cached_moments = lru_cache(maxsize=64)(segment_moments)


def oversampled(
    rows: npt.NDArray[np.int64], target: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """Rows and repeats of them, so that every class that is there has as many as the largest.

    Args:
        rows: Training windows.
        target: Class index of every window of the grid that they are rows of.
        seed: Chooses the repeats.
    """
    classes, counts = np.unique(target[rows], return_counts=True)
    rng = np.random.default_rng(seed)
    more = [
        rng.choice(rows[target[rows] == label], counts.max() - count)
        for label, count in zip(classes, counts, strict=True)
    ]
    return np.concatenate([rows, *more])


def store_subjects(
    module: type[EmotionDataModule], reader: Reader, subjects: Sequence[str], cache_dir: Path
) -> tuple[dict[str, StoredSubject], dict[str, AffectbenchError]]:
    """Fill the cache subject by subject, going on past those that cannot be read.

    Returns:
        The stored subjects, and the error of each of the others.
    """
    stored, failed = {}, {}
    for subject in subjects:
        try:
            stored[subject] = store_subject(
                cache_dir / module.key(), reader, module.preprocessing, subject
            )
        except AffectbenchError as error:
            failed[subject] = error
    return stored, failed

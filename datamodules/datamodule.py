"""EmotionDataModule: a dataset, a task and a fold, ready for a Trainer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import Batch, Front, Inputs
from datamodules.cache import Archive, Derived, Preprocessing, Reader, StoredSubject, store_subject
from datamodules.computed import ComputedDataset, measured_once
from datamodules.dataset import DatasetDeclaration
from datamodules.errors import (
    AffectbenchError,
    IncompatibleRunError,
    LeakError,
)
from datamodules.guard import check_fitted, check_no_leak, check_padding, check_read
from datamodules.protocol import SHUFFLED, Flag, check_flags, known_flags
from datamodules.signals.cvxeda import PhasicEDA, TonicEDA
from datamodules.splits import (
    HOLD_OUT_SHARE,
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
    ChunkDataset,
    ChunkRows,
    Padding,
    Scaling,
    WindowDataset,
    WindowIndex,
    first_samples,
    fit_range,
    fit_scaling,
    index_trials,
    index_windows,
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


class EmotionDataModule(DatasetDeclaration):
    """A dataset, a task and a fold.

    A dataset is a subclass that sets the attributes of DatasetDeclaration and adds nothing else.
    Windows are rows of an index into memory-mapped recordings: overlap costs nothing. On a GPU with
    room for them, the recordings are copied there once and stay for the runs that follow in the
    same process.

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
            segments; ``"min_max"`` for their range to be 0 to 1; ``"none"`` for the samples as
            recorded.
        rule: Where the threshold between low and high ratings is; see RatingTask.
        padding: None cuts windows; else every trial is one window, as long as the longest trial,
            filled up with this; see WindowDataset.
        mask: Where trials are padded, say how much is recorded.
        without: Subjects that are not trained on.
        oversample: Repeat training windows of rarer classes, drawn at random, until all classes
            have as many as the most frequent one.
        batch_size: Windows in a batch.
        chunk: Batches that a training or validation step is given at once, as a Chunk, unless they
            are streamed; 1: a Batch each, as any LightningModule expects.
        num_workers: Processes that gather batches when the recordings do not fit on the device.
        seed: Chooses validation subjects and shuffles.
        cache_dir: Where prepared recordings are kept.
        options: Options of the dataset's reader.
        flags: Flaws of a published protocol; none: the honest one.
        test_share: Share that ``subject_hold_out`` tests on: of the subjects or, where flags deal
            them out, of windows or trials.
        validation: False: nobody is kept apart to choose the epoch. All that is not tested is
            trained on, and the epoch is chosen there, or under ``select_on_test`` on the test part.
        score_windows: Score each window by itself, wherever in a trial it begins, not the mean over
            a score unit; units do not cap the length of windows then.

    Raises:
        IncompatibleRunError: A task, signal or subject that the dataset does not have, or flags
            that do not go together.
    """

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
        scaling: Literal["standard", "min_max", "none"] = "standard",
        rule: LabelRule = "midpoint",
        padding: Padding | None = None,
        mask: bool = False,
        without: Sequence[str] = (),
        oversample: bool = False,
        batch_size: int = 64,
        chunk: int = 1,
        num_workers: int = 0,
        seed: int = 0,
        cache_dir: Path = Path("cache"),
        options: Mapping[str, Any] | None = None,
        flags: Sequence[str] = (),
        test_share: float = HOLD_OUT_SHARE,
        validation: bool = True,
        score_windows: bool = False,
    ) -> None:
        super().__init__()
        task = task or next(iter(self.tasks))
        if task not in self.every_task():
            raise IncompatibleRunError(
                f"{self.title}: expected a task among {list(self.every_task())}, found {task!r}"
            )
        self.task: Task = self.every_task()[task]
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
        self.flags = known_flags(flags)
        self.test_share, self.validation = test_share, validation
        self.score_windows = score_windows
        shuffled = bool(set(SHUFFLED) & set(self.flags))
        if without and (shuffled or split not in SUBJECT_SPLITS):
            raise IncompatibleRunError(f"{split}: expected everybody to be trained on")
        if shuffled:
            self.split = Split(self.subjects, self.subjects, self.subjects, flawed=True)
        elif split in SUBJECT_SPLITS:
            whole = split_subjects(split, self.subjects, fold, seed, folds, test_share)
            kept = tuple(subject for subject in whole.train if subject not in without)
            self.split = replace(whole, train=kept)
        if mask and padding is None:
            raise IncompatibleRunError("expected padding where there is a mask, found none")
        self.padding, self.mask = self.check_padding(padding), mask
        check_flags(self.flags, split=split, rule=rule, padded=padding is not None, mask=mask)
        self.length = self.window_length(window, padding, score_windows)
        self.stride = stride
        self.oversample = oversample
        self.scaling_name = scaling
        self.batch_size = batch_size
        self.chunk = chunk
        self.num_workers = num_workers
        self.seed = seed
        self.folder = cache_dir / self.key()
        self.scaling: Scaling | None = None
        self.front: Front | None = None
        """Of the model that is fitted: computed once of training and validation windows."""
        self.archive: Archive
        self.grids: dict[str, WindowIndex]
        self.rows: dict[Part, npt.NDArray[np.int64]]
        self.dealt: dict[str, npt.NDArray[np.int64]] = {}
        self.copies: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.fitted: dict[str, npt.NDArray[np.int64]] = {}

    @property
    def inputs(self) -> Inputs:
        """Signals in a window; known before a file is read."""
        return self.window_inputs(
            self.chosen, self.length, self.padding, self.mask, self.score_windows
        )

    @property
    def n_classes(self) -> int:
        """K; known before a file is read."""
        return len(self.task.classes)

    def prepare_data(self) -> None:
        """Fill the cache."""
        archive = self._stored
        for signal in self.chosen:
            archive.join(signal)

    def setup(self, stage: str | None = None) -> None:
        """Split, label and cut windows; check them for leaks; fit the scaling on train."""
        if hasattr(self, "rows"):
            return
        self.archive = open_archive(self.folder, self._stored.subjects)
        self._split_trials()
        self._choose_elsewhere()
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
        if self.scaling_name != "none":
            used = np.zeros(len(self.archive.segments), dtype=bool)
            used[self._fit_on("scale_on_all")] = True
            used &= self._labelled()
            self.fitted["the scaling was"] = np.flatnonzero(used)
            if self.scaling_name == "standard":
                moments = {s: cached_moments(self.archive, s) for s in self.chosen}
                self.scaling = fit_scaling(moments, used)
            else:
                self.scaling = fit_range(self.archive, self.chosen, used)
        if self.oversample and "oversample_before_split" not in self.flags:
            rows["train"] = oversampled(rows["train"], self.grid("train").target, self.seed)
        self.rows = rows
        try:
            self.check(self.flags)
        except LeakError:
            del self.rows  # nothing can be read from what was refused
            raise

    def check(self, flags: Sequence[Flag]) -> None:
        """Look for leaks in what was set up.

        Args:
            flags: Flaws that are asked for, which may pass.

        Raises:
            LeakError: Any other flaw.
        """
        own = [part for part in PARTS if part == "train" or self._read_as(part) != "train"]
        parts: dict[str, WindowIndex] = {part: self.windows(part) for part in own}
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
                    self.archive,
                    self.task,
                    self.length,
                    self.stride,
                    self.unit,
                    self.padding,
                    self.score_windows,
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
        wanted = n_folds(split, len(self.subjects), folds, shuffled=True)
        parts = random_parts(count, fold, wanted, self.seed, self.test_share)
        if not self.validation:
            parts[parts == PARTS.index("val")] = PARTS.index("train")
        return parts

    def _read_as(self, part: Part) -> Part:
        """The part whose windows a part has: its own, but for the choice of the epoch."""
        if part == "val" and "select_on_test" in self.flags:
            return "test"
        return "train" if part == "val" and not self.validation else part

    def _choose_elsewhere(self) -> None:
        """Let the epoch be chosen on test or on train, where flags or the lack of others say so."""
        split, chosen_on = self.split, self._read_as("val")
        if chosen_on == "val":
            return
        trials = dict(split.trials) if split.trials else None
        if not self.validation and not split.flawed:
            everybody = {*split.train, *split.val}
            split = replace(
                split, train=tuple(s for s in self.subjects if s in everybody), flawed=True
            )
            if trials:
                trials["train"] |= trials["val"]
        if trials:
            trials["val"] = trials[chosen_on]
        self.split = replace(split, val=getattr(split, chosen_on), trials=trials, flawed=True)

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
        part = self._read_as(part)
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
        part = self._read_as(part)
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

    def train_dataloader(self) -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(self.seed)
        return self._loader("train", generator, self.chunk)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("val", None, self.chunk)

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
        return self._gathering(self.windows(part), self.scaling, device)

    def _gathering(
        self, windows: WindowIndex, scaling: Scaling | None, device: torch.device | None
    ) -> WindowDataset:
        return WindowDataset(
            {signal: device_array(self.archive, signal, device) for signal in self.chosen},
            windows,
            {signal: first_samples(self.archive, signal, windows) for signal in self.chosen},
            {signal: self.inputs[signal].n_times for signal in self.chosen},
            scaling,
            self.padding,
            {s: recorded_samples(windows, self.signals[s][1]) for s in self.chosen},
            self.mask,
        )

    def _computed(
        self, part: Part, windows: WindowDataset, front: Front
    ) -> WindowDataset | ComputedDataset:
        """What is computed of a part's windows, or the windows if it is too much to keep.

        Windows of all subjects are measured as they are recorded, once for all folds, and scaled
        for this one; but padding follows the scaling, so that padded trials are scaled before.
        """
        device = windows.device if windows.device.type == "cuda" else None
        later = self.scaling if self.padding is None else None
        before = None if later else self.scaling
        everyone = self._gathering(self.grid(part), before, device)
        found = measured_once(everyone, front, self.archive.key)
        if found is None:
            return windows
        rows = torch.from_numpy(self.rows[part]).to(windows.device)
        own = {name: values.index_select(0, rows) for name, values in found.items()}
        shift, scale = (windows.mean, windows.std) if later else (None, None)
        return ComputedDataset(windows, front.scaled(own, shift, scale))

    def _loader(
        self, part: Part, generator: torch.Generator | None, chunk: int = 1
    ) -> DataLoader[Any]:
        if part == "test" and self.trainer and self.trainer.state.fn == TrainerFn.FITTING:
            check_read(self.flags)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        resident = device.type == "cuda" and self._fits(device)
        streams = device.type == "cuda" and not resident
        windows = self.dataset(part, device if resident else None)
        dataset: WindowDataset | ComputedDataset = windows
        if self.front and part != "test" and not streams:
            dataset = self._computed(part, windows, self.front)
        share = (0, 1)
        if part == "train" and self.trainer:
            share = self.trainer.global_rank, self.trainer.world_size
        rows = BatchRows(len(dataset), self.batch_size, generator, share)
        if chunk > 1 and not streams:
            return DataLoader(
                ChunkDataset(dataset.__getitem__, len(dataset)),
                batch_size=None,
                sampler=ChunkRows(rows, chunk),
            )
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=rows,
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

    @cached_property
    def _stored(self) -> Archive:
        """The recordings in the cache; Lightning asks for them before every loop."""
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
    score_windows: bool = False,
) -> tuple[WindowIndex, WindowIndex]:
    """Windows of all subjects, cut in segments and cut in score units; shared by all folds."""
    if padding is not None:
        trials = index_trials(archive, task, length)
        return trials, trials
    segments = index_windows(archive, task, length, stride, unit, in_units=False)
    within = None if score_windows else unit
    units = index_windows(archive, task, length, stride, within, True, score_windows)
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

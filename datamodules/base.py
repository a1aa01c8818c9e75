"""EmotionDataModule: a dataset, a task and a fold, ready for a Trainer."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import Batch, Inputs, SignalSpec
from datamodules.cache import Archive, Reader, StoredSubject, store_subject
from datamodules.errors import AffectbenchError, DatasetNotFoundError, IncompatibleRunError
from datamodules.guard import check_no_leak
from datamodules.signals.preprocessing import Step
from datamodules.splits import SplitName, split_subjects
from datamodules.tasks import Task
from datamodules.windows import (
    BatchRows,
    Scaling,
    WindowDataset,
    WindowIndex,
    first_samples,
    fit_scaling,
    index_windows,
    n_samples,
    recording_moments,
)

Part = Literal["train", "val", "test"]

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
        folds: Folds of ``subject_k_fold``.
        subjects: Who takes part; None takes all that the reader lists.
        window: Length of a window in seconds; longer than a score unit means a whole unit.
        stride: From one training window's start to the next, in seconds.
        scaling: ``"standard"`` for zero mean and unit variance a channel over the training
            subjects; ``"none"`` for the samples as recorded.
        batch_size: Windows in a batch.
        num_workers: Processes that gather batches when the recordings do not fit on the device.
        seed: Chooses validation subjects and shuffles.
        cache_dir: Where prepared recordings are kept.
        options: Options of the dataset's reader.

    Raises:
        IncompatibleRunError: A task, signal or subject that the dataset does not have.
    """

    title: ClassVar[str]
    """The dataset as its authors spell it."""
    reader: ClassVar[Callable[..., Reader]]
    """Called with ``root`` (unless it is None) and the options."""
    tasks: ClassVar[Mapping[str, Task]]
    """The first is the default."""
    signals: ClassVar[Mapping[str, tuple[int, float]]]
    """Number of channels and rate in Hz of every signal."""
    unit: ClassVar[float | None]
    """Length of a score unit in seconds; None: the trial."""
    preprocessing: ClassVar[Mapping[str, Sequence[Step]]] = {}
    """Steps by signal, done once to the whole recording."""
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
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int = 0,
        cache_dir: Path = Path("cache"),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        task = task or next(iter(self.tasks))
        if task not in self.tasks:
            raise IncompatibleRunError(
                f"{self.title}: expected a task among {list(self.tasks)}, found {task!r}"
            )
        self.task = self.tasks[task]
        self.chosen = self.check_signals(signals)
        self.raw = self.make_reader(root, **(options or {}))
        self.subjects = self.check_subjects(self.raw, subjects)
        self.split = split_subjects(split, self.subjects, fold, seed, folds)
        self.length = window if self.unit is None else min(window, self.unit)
        self.stride = stride
        self.scaling_name = scaling
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.folder = cache_dir / self.key()
        self.scaling: Scaling | None = None
        self.archive: Archive
        self.grids: dict[str, WindowIndex]
        self.rows: dict[Part, npt.NDArray[np.int64]]

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
    def check_signals(cls, names: Sequence[str] | None) -> tuple[str, ...]:
        """The named signals, or all; raises IncompatibleRunError for one it has not."""
        for name in names or ():
            if name not in cls.signals:
                raise IncompatibleRunError(
                    f"{cls.title} has no signal {name!r}: expected some of {list(cls.signals)}"
                )
        return tuple(cls.signals if names is None else names)

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
    def window_inputs(cls, signals: Sequence[str], window: float) -> dict[str, SignalSpec]:
        """Shape of the signals in a window of so many seconds, never longer than a score unit."""
        length = window if cls.unit is None else min(window, cls.unit)
        return {
            name: SignalSpec(channels, n_samples(length, sfreq), sfreq)
            for name, (channels, sfreq) in cls.signals.items()
            if name in signals
        }

    @property
    def inputs(self) -> Inputs:
        """Signals in a window; known before a file is read."""
        return self.window_inputs(self.chosen, self.length)

    @property
    def n_classes(self) -> int:
        """K; known before a file is read."""
        return self.task.n_classes

    def prepare_data(self) -> None:
        """Fill the cache."""
        archive = self._open()
        for signal in self.chosen:
            archive.join(signal)

    def setup(self, stage: str | None = None) -> None:
        """Index the windows of every part, check them for leaks, fit the scaling on train."""
        if hasattr(self, "rows"):
            return
        self.archive = open_archive(self.folder, self._open().subjects)
        self.grids = dict(
            zip(
                ("segments", "units"),
                window_grids(self.archive, self.task, self.length, self.stride, self.unit),
                strict=True,
            )
        )
        rows = {}
        parts: tuple[Part, ...] = ("train", "val", "test")
        for part in parts:
            members = [
                position
                for position, subject in enumerate(self.subjects)
                if subject in getattr(self.split, part)
            ]
            rows[part] = np.flatnonzero(np.isin(self.grid(part).subject, members))
            if not len(rows[part]):
                raise IncompatibleRunError(
                    f"{self.title}, {self.task.name}: no window of {self.length:g} s in {part} "
                    f"(subjects {', '.join(getattr(self.split, part))}). Take a shorter window."
                )
        windows: dict[str, WindowIndex] = {p: self.grid(p).take(rows[p]) for p in parts}
        check_no_leak(self.archive, self.split, windows)
        if self.scaling_name == "standard":
            moments = {s: cached_moments(self.archive, self.task, s) for s in self.chosen}
            self.scaling = fit_scaling(self.archive, moments, self.split.train)
        self.rows = rows

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that its model can be used on new recordings.

        Returns:
            ``classes``, ``train`` (subjects), and ``mean`` and ``std`` of the scaling by signal,
            shape (C, 1) each, empty where samples are taken as recorded.
        """
        return {
            "classes": list(self.task.classes),
            "train": list(self.split.train),
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
            {signal: spec.n_times for signal, spec in self.inputs.items()},
            self.scaling,
        )

    def _loader(self, part: Part, generator: torch.Generator | None) -> DataLoader[Batch]:
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
    archive: Archive, task: Task, length: float, stride: float, unit: float | None
) -> tuple[WindowIndex, WindowIndex]:
    """Windows of all subjects, cut in segments and cut in score units; shared by all folds."""
    segments = index_windows(archive, task, length, stride, unit, in_units=False)
    units = index_windows(archive, task, length, stride, unit, in_units=True)
    return segments, units


cached_moments = lru_cache(maxsize=64)(recording_moments)


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

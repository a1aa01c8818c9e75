"""EmotionDataModule: a dataset, a protocol and a fold, ready for a Trainer."""

import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from datamodules.adapting import PersonalNorms
from datamodules.archive import Archive
from datamodules.batch import Batch, Front, Inputs
from datamodules.cache import Reader, is_as_written, store_subject
from datamodules.calibration import check_windows
from datamodules.computed import ComputedDataset, measured_once
from datamodules.corruptions import CORRUPTIONS, Disturbed
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.flags import Flag
from datamodules.flaws import everybody, passes, with_flaws
from datamodules.fold import (
    Fold,
    Part,
    Windowing,
    WindowRecipe,
    class_counts,
    conditions,
    deal_members,
    join_validation,
    make_fold,
    test_alone,
    validation_tested,
)
from datamodules.gathering import (
    BatchRows,
    ChunkDataset,
    ChunkRows,
    FixedRows,
    SharedRows,
    WindowDataset,
)
from datamodules.guard import check_fold, check_read, check_undisturbed
from datamodules.minutes import after_minutes, check_minutes, minutes_of
from datamodules.personal import sittings
from datamodules.protocol import Protocol
from datamodules.ranges import Range, measure_range, thinned, thinned_rows
from datamodules.recorded import Constant, Recorded
from datamodules.resident import RESIDENT
from datamodules.scaling import Scaling
from datamodules.signals.preprocessing import sources
from datamodules.stored import StoredSubject
from datamodules.tasks import Task
from datamodules.windows import Cutting, WindowIndex, first_samples, recorded_samples

DEVICE_SHARE = 0.5
"""Share of a GPU's free memory that the recordings may take; beyond it they are streamed."""
RANGE_ROWS = 64
"""Windows whose samples are in memory at once while ranges are measured."""


@dataclass(frozen=True)
class Selection:
    """The part of a dataset that is used.

    Args:
        task: Name of a task; None takes the first.
        signals: Names of signals; None takes all, an empty sequence none.
        subjects: Subjects who take part; None takes all that the reader lists.
        without: Subjects that are not trained on.
        options: Options of the dataset's reader.
    """

    task: str | None = None
    signals: Sequence[str] | None = None
    subjects: Sequence[str] | None = None
    without: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Loading:
    """How windows are loaded.

    Args:
        batch_size: Number of windows in a batch.
        chunk: Number of batches that a training or validation step is given at once, as a Chunk,
            unless they are streamed; 1: a Batch each, as any LightningModule expects.
        num_workers: Number of processes that gather batches when the recordings do not fit on the
            device.
    """

    batch_size: int = 64
    chunk: int = 1
    num_workers: int = 0


class EmotionDataModule(L.LightningDataModule):
    """One fold of a dataset.

    Windows are rows of an index into memory-mapped recordings: overlap costs nothing. On a GPU with
    room for them, the recordings are copied there once and stay for the runs that follow in the
    same process.

    Args:
        dataset: Dataset; its catalogue holds those of this project.
        root: Folder laid out as the publisher ships it; None for a dataset without files.
        selection: Task, signals and subjects.
        protocol: Split, and how it is scored.
        fold: Number of the fold, from 0.
        seed: Seed that chooses validation subjects and shuffles.
        windowing: Length, stride and scaling of windows.
        loading: Size of batches.
        cache_dir: Folder of prepared recordings.

    Raises:
        DatasetNotFoundError: No such folder, or a subject that the dataset does not have.
        IncompatibleRunError: A task or signal that the dataset does not have, or a protocol that
            does not fit it.
    """

    def __init__(
        self,
        dataset: Dataset,
        root: Path | str | None = None,
        selection: Selection | None = None,
        protocol: Protocol | None = None,
        fold: int = 0,
        seed: int = 0,
        windowing: Windowing | None = None,
        loading: Loading | None = None,
        cache_dir: Path | str = "cache",
    ) -> None:
        super().__init__()
        self.dataset, self.protocol = dataset, protocol or Protocol()
        self.selection, self.seed = selection or Selection(), seed
        self.windowing, self.loading = windowing or Windowing(), loading or Loading()
        options = self.selection.options
        self.task: Task = dataset.task(self.selection.task)
        self.signals = dataset.choose_signals(self.selection.signals, options)
        self.reader: Reader = dataset.make_reader(root, **options)
        self.subjects = dataset.check_subjects(self.reader, self.selection.subjects)
        dataset.check_protocol(self.task.name, self.protocol)
        if self.selection.without and not self._deals_subjects:
            raise IncompatibleRunError(
                f"{self.protocol.split}: expected everybody to be trained on"
            )
        self.length = dataset.window_length(
            self.windowing.length, self.protocol, self.windowing.longest
        )
        check_windows(self.protocol.calibrating, self.length, dataset.unit, self.windowing.scaling)
        self.folder = Path(cache_dir) / dataset.name
        self.dealing = self.protocol.dealing(fold, seed, dataset.trial_blocks)
        if self._deals_subjects:  # what cannot be is refused before a file is read
            self.protocol.splitting.members(dict.fromkeys(self.subjects, ()), self.dealing)
        self._fold: Fold | None = None
        self._disturbed: Archive | None = None
        self._norms: PersonalNorms | None = None

    @classmethod
    def for_recipe(cls, recipe: WindowRecipe, *arguments: Any, **named: Any) -> Self:
        """Return a datamodule whose windows and batches are those that a recipe asks for.

        Args:
            recipe: Recipe of a model, as in ``CNN.fast``.
            *arguments: Arguments of the class, but for ``windowing`` and ``loading``.
            **named: The same by name.
        """
        named["windowing"], named["loading"] = Windowing.of(recipe), Loading(recipe.batch_size)
        return cls(*arguments, **named)

    @property
    def n_folds(self) -> int:
        """Number of folds that test everybody once; known before a file is read."""
        return self.protocol.n_folds(len(self.subjects))

    def settings(self) -> dict[str, Any]:
        """Return what is loaded and how, as plain values that any logger shows.

        Returns:
            ``dataset``, ``task``, ``signals``, ``fold`` and ``seed``, and the fields of
            ``protocol``, ``windowing`` and ``loading``.
        """
        return {
            "dataset": self.dataset.name,
            "task": self.task.name,
            "signals": list(self.signals),
            "fold": self.dealing.fold,
            "seed": self.seed,
            "protocol": {**asdict(self.protocol), "flags": list(self.protocol.flags)},
            "windowing": asdict(self.windowing),
            "loading": asdict(self.loading),
        }

    @property
    def _deals_subjects(self) -> bool:
        return self.protocol.splitting.over_subjects and not self.protocol.shuffled

    @property
    def inputs(self) -> Inputs:
        """Signals in a window; known before a file is read, the names of channels after setup."""
        dataset = self.dataset
        if self._fold is not None:
            archive = self._fold.archive
            dataset = dataset.with_channels({name: archive.channels(name) for name in self.signals})
        return dataset.window_inputs(
            self.signals, self.windowing.length, self.protocol, self.windowing.longest
        )

    @property
    def n_classes(self) -> int:
        """K; known before a file is read."""
        return len(self.task.classes)

    @property
    def fold(self) -> Fold:
        """Windows by part; raises RuntimeError before ``setup``."""
        if self._fold is None:
            raise RuntimeError("expected a datamodule that is set up: call setup() before")
        return self._fold

    def prepare_data(self) -> None:
        """Fill the cache, and replace what is not as it was written.

        Raises:
            DatasetCorruptedError: A recording without a signal that windows are to have.
        """
        if not all(is_as_written(stored, self.signals) for stored in self._stored):
            self._store(checked=True)
            RESIDENT.clear()  # it may hold what was damaged
        archive = Archive(self._stored)
        for signal in self.signals:
            archive.stored(signal)

    def setup(self, stage: str | None = None) -> None:
        """Deal, label and cut windows; fit the scaling on train; check it all for leaks."""
        if self._fold is not None:
            return
        archive = RESIDENT.archive(self._stored)
        if self.protocol.shuffled:
            members = everybody(self.subjects)
        else:
            members = deal_members(
                archive,
                self.subjects,
                self.task,
                self.protocol,
                self.dealing,
                self.selection.without,
            )
        fold = make_fold(
            archive,
            self.subjects,
            self.signals,
            self.task,
            members,
            self.protocol,
            self.dealing,
            self.windowing,
            Cutting(
                self.length,
                self.windowing.stride,
                self.dataset.unit,
                self.protocol.padding is not None,
                self.protocol.score_windows,
            ),
        )
        fold = with_flaws(fold, self.protocol.flags)
        if self.protocol.calibrating.kind == "labelled":
            fold = after_minutes(fold)
        check_fold(fold, passes(self.protocol.flags))
        self._disturbed = self._disturb(fold)
        self._fold = fold

    def train_on_validation(self) -> None:
        """Let the windows that chose the epoch be trained on too, from now on.

        Raises:
            IncompatibleRunError: No part is kept apart to choose the epoch.
            LeakError: What would be trained on then is tested.
        """
        fold = join_validation(self.fold)
        check_fold(fold, passes(self.protocol.flags))
        self._fold = fold

    def test_alone(self, subjects: Collection[str]) -> None:
        """Let the test part have some of its subjects only, from now on; see ``test_alone``."""
        fold = test_alone(self.fold, subjects)
        check_fold(fold, passes(self.protocol.flags))
        self._fold = fold

    def testing_validation(self) -> Self:
        """Return the same data with the windows that choose the epoch in place of the tested ones.

        Raises:
            IncompatibleRunError: No people are kept apart to choose the epoch.
        """
        other = copy(self)
        other._fold = validation_tested(self.fold)
        return other

    def check(self, flags: Collection[Flag]) -> None:
        """Look for leaks in what was set up; raises LeakError for one that no flag allows."""
        check_fold(self.fold, passes(flags))

    def windows(self, part: Part) -> WindowIndex:
        """Return the windows of a part, in order of subject, session and time."""
        return self.fold.windows(part)

    def labelled_minutes(self) -> WindowIndex:
        """Return the windows of tested people whose labels the protocol gives to a model.

        Raises:
            LeakError: They overlap what is tested, or are closer to it than the gap.
        """
        minutes = minutes_of(self.fold, self.protocol.calibrating.minutes)
        check_minutes(self.fold, minutes)
        return minutes

    def columns(self, part: Part) -> dict[str, npt.NDArray[Any]]:
        """Return subject, session, trial, unit, start and label of a part's windows, (N,) each."""
        windows = self.windows(part)
        sessions = np.array([recording.session for recording in self.fold.archive.recordings])
        return {
            "subject": np.array(self.subjects)[windows.subject],
            "session": sessions[windows.recording],
            "trial": windows.trial,
            "unit": windows.unit,
            "start": windows.start,
            "label": windows.target,
        }

    def class_counts(self) -> Tensor:
        """Return the number of training windows of each class, shape (K,)."""
        return class_counts(self.fold)

    def conditions(self) -> npt.NDArray[np.int64]:
        """Return the place of each training window's condition in the task's list, shape (N,)."""
        return conditions(self.fold)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, so that its model can be used on new recordings.

        Returns:
            ``classes``; ``train`` (subjects) and ``trials`` (keys of those trained on, empty for
            all); ``chosen_on`` and ``chosen_on_trials`` (the same of what chose the epoch);
            ``mean`` and ``std`` of the scaling by signal, shape (C, 1) each, empty where samples
            are taken as recorded; and ``ranges``: by signal, the values of a Range, as recorded.
        """
        members, scaling = self.fold.members, self.fold.scaling
        return {
            "classes": list(self.task.classes),
            "train": list(members.train),
            "trials": sorted(members.trials["train"]) if members.trials else [],
            "chosen_on": list(members.val),
            "chosen_on_trials": sorted(members.trials["val"]) if members.trials else [],
            "mean": dict(scaling.mean) if scaling else {},
            "std": dict(scaling.std) if scaling else {},
            "ranges": {name: _as_tensors(one.as_dict()) for name, one in self.ranges().items()},
        }

    def ranges(self) -> dict[str, Range]:
        """Return the range of each signal over the training windows, as recorded."""
        windows = self.windows("train")
        gathered = self._gathering(windows, None, self._arrays(self.fold.archive, None))
        parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in self.signals}
        for rows in torch.from_numpy(thinned_rows(len(windows))).split(RANGE_ROWS):
            for name, samples in gathered[rows].signals.items():
                if name in parts:  # and not the mask
                    parts[name].append(thinned(samples.numpy()))
        return {name: measure_range(np.concatenate(part)) for name, part in parts.items()}

    def train_dataloader(self) -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(self.seed)
        return self._loader("train", generator, self.loading.chunk)

    def mixed_batches(self) -> Iterator[Batch]:
        """Yield the training windows in batches of one size, the same ones each time.

        Windows are mixed as in training, and what is left in the end and fills no batch is not
        there. No random number of a training is used up.
        """
        dataset: Any = self.train_dataloader().dataset
        gather = dataset.gather if isinstance(dataset, ChunkDataset) else dataset.__getitem__
        size = min(self.loading.batch_size, len(dataset))
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
        yield from map(gather, order[: len(dataset) // size * size].split(size))

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("val", None, self.loading.chunk)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader("test", None)

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self._loader("test", None)

    def read_early(self, device: torch.device) -> WindowDataset:
        """Return the test windows while a model is fitted; LeakError unless a flag allows it."""
        check_read(passes(self.protocol.flags))
        return self.gathered("test", device if device.type == "cuda" else None)

    def gathered(self, part: Part, device: torch.device | None = None) -> WindowDataset:
        """Return the windows of a part, from which batches are gathered; see WindowDataset.

        It is what a ``DataLoader`` of your own takes, as in ``DataLoader(module.gathered("train"),
        batch_size=16, shuffle=True)``. (``module.dataset`` is the Dataset whose fold this is.)

        Args:
            part: Which one.
            device: Place of the recordings; None leaves them memory-mapped.
        """
        windows, archive = self.windows(part), self._recordings(part)
        if part == "test":
            arrays = {**self._arrays(archive, device), **self._missing(device)}
        else:
            check_undisturbed(self.fold.archive, archive, part, windows)
            arrays = self._arrays(archive, device)
        return self._gathering(windows, self.fold.scaling_of(part), arrays)

    def gathered_windows(self, windows: WindowIndex) -> WindowDataset:
        """Return some windows of the fold's recordings, as those of a part."""
        arrays = self._arrays(self.fold.archive, None)
        return self._gathering(windows, self.fold.scaling, arrays)

    def _recordings(self, part: Part) -> Archive:
        """Return the recordings that the windows of a part are gathered from."""
        return (part == "test" and self._disturbed) or self.fold.archive

    def _arrays(self, archive: Archive, device: torch.device | None) -> dict[str, Recorded]:
        return {signal: RESIDENT.array(archive, signal, device) for signal in self.signals}

    def _missing(self, device: torch.device | None) -> dict[str, Recorded]:
        """Return what is in the place of signals that are not there when a model is tested."""
        corruption = CORRUPTIONS.get(self.protocol.corruption)
        if corruption is None or not corruption.missing:
            return {}
        steps = self.dataset.preprocessing
        gone = [name for name in self.signals if corruption.missing in sources([name], steps)]
        means = self.fold.means(gone)
        return {name: Constant(values, device) for name, values in means.items()}

    def _disturb(self, fold: Fold) -> Archive | None:
        """Return the recordings with those of the tested people disturbed; None: none is."""
        corruption = CORRUPTIONS.get(self.protocol.corruption)
        if corruption is None or corruption.disturbance is None:
            return None
        change = Disturbed(self.protocol.corruption, corruption.disturbance)
        steps, signals = self.dataset.preprocessing, self.signals
        return Archive(
            tuple(
                store_subject(self.folder, self.reader, steps, s.subject, signals, True, change)
                if s.subject in fold.members.test
                else s
                for s in fold.archive.subjects
            )
        )

    def _gathering(
        self, windows: WindowIndex, scaling: Scaling | None, arrays: Mapping[str, Recorded]
    ) -> WindowDataset:
        archive, inputs = self.fold.archive, self.inputs
        return WindowDataset(
            arrays,
            windows,
            {signal: first_samples(archive, signal, windows) for signal in self.signals},
            {signal: inputs[signal].n_times for signal in self.signals},
            scaling,
            self.protocol.padding,
            {s: recorded_samples(windows, inputs[s].sfreq) for s in self.signals},
            self.protocol.mask,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Where people are calibrated, let a network predict by statistics of each of them."""
        trainer = self.trainer
        tests = trainer and trainer.state.fn in (TrainerFn.TESTING, TrainerFn.PREDICTING)
        if trainer and tests and self.protocol.calibrating.scales:
            if self._norms is None:
                self._norms = self._personal_norms(trainer)
            self._norms.expect(self._groups()[batch.row.cpu()])
        return batch

    def teardown(self, stage: str) -> None:
        if self._norms is not None:
            self._norms.remove()
            self._norms = None

    def _personal_norms(self, trainer: L.Trainer) -> PersonalNorms:
        """Return the normalisation of the network that is tested, its people measured."""
        network, fold = trainer.lightning_module, self.fold
        kind = self.protocol.calibrating.kind
        norms = PersonalNorms(network, running=kind == "unlabelled")
        if norms.running or not norms:
            return norms
        windows, owner = self.gathered("test"), self.windows("test").subject
        if kind == "baseline":
            resting = fold.resting_windows
            scaling = fold.personal_scaling(resting) if fold.scaling else None
            arrays = self._arrays(fold.archive, None)
            windows, owner = self._gathering(resting, scaling, arrays), resting.subject
        with trainer.precision_plugin.forward_context():
            for person in np.unique(self.windows("test").subject).tolist():
                signals = windows[torch.from_numpy(np.flatnonzero(owner == person))].signals
                norms.measure(person, {n: v.to(network.device) for n, v in signals.items()})
        return norms

    def _groups(self) -> Tensor:
        """Return the number of the person of each test window, or of the person's session."""
        windows = self.windows("test")
        if self.protocol.calibrating.kind == "unlabelled":
            return torch.from_numpy(sittings(self.fold.archive)[windows.recording])
        return torch.from_numpy(windows.subject)

    @property
    def front(self) -> Front | None:
        """First part of the network that is fitted, if it may be computed once and kept."""
        network = self.trainer.lightning_module if self.trainer else None
        front: Front | None = getattr(network, "front", None)
        return front

    def _computed(
        self, part: Part, windows: WindowDataset, front: Front
    ) -> WindowDataset | ComputedDataset:
        """Return features of a part's windows, or the windows if features are too much to keep.

        Windows of all subjects are measured as they are recorded, once for all folds, and scaled
        for this one; but padding follows the scaling, so that padded trials are scaled before.
        """
        device = windows.device if windows.device.type == "cuda" else None
        later = self.protocol.padding is None
        before = None if later else self.fold.scaling
        arrays = self._arrays(self.fold.archive, device)
        everyone = self._gathering(self.fold.grid(part), before, arrays)
        measured = measured_once(everyone, front, self.fold.archive.place)
        if measured is None:
            return windows
        rows = torch.from_numpy(self.fold.rows[part]).to(windows.device)
        chosen = {name: values.index_select(0, rows) for name, values in measured.items()}
        shift, scale = (windows.mean or None, windows.std or None) if later else (None, None)
        return ComputedDataset(windows, front.scaled(chosen, shift, scale))

    def _loader(
        self, part: Part, generator: torch.Generator | None, chunk: int = 1
    ) -> DataLoader[Any]:
        if part == "test" and self.trainer and self.trainer.state.fn == TrainerFn.FITTING:
            check_read(passes(self.protocol.flags))
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        resident = device.type == "cuda" and self._fits(device)
        streams = device.type == "cuda" and not resident
        windows = self.gathered(part, device if resident else None)
        dataset: WindowDataset | ComputedDataset = windows
        front = self.front
        if front and part != "test" and not streams:
            dataset = self._computed(part, windows, front)
        share = (0, 1)
        if part == "train" and self.trainer:
            share = self.trainer.global_rank, self.trainer.world_size
        rows = BatchRows(len(dataset), self.loading.batch_size, generator, share)
        if chunk > 1 and not streams:
            return DataLoader(
                ChunkDataset(dataset.__getitem__, len(dataset)),
                batch_size=None,
                sampler=self._kept(ChunkRows(rows, chunk), share),
            )
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=self._kept(rows, share),
            num_workers=self.loading.num_workers if streams else 0,
            pin_memory=streams,
        )

    def _kept(self, sampler: BatchRows | ChunkRows, share: tuple[int, int]) -> Sampler[Any]:
        """Return the sampler in a form that a Trainer does not replace."""
        if getattr(self.trainer, "overfit_batches", 0) > 0:
            return FixedRows(sampler)
        return SharedRows(sampler, share) if share[1] > 1 else sampler

    def _fits(self, device: torch.device) -> bool:
        missing = RESIDENT.missing_bytes(self.fold.archive, self.signals, device)
        return missing <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]

    @property
    def recordings(self) -> Archive:
        """Recordings of all subjects, from the cache; no samples are read."""
        return Archive(self._stored)

    @cached_property
    def _stored(self) -> tuple[StoredSubject, ...]:
        """Recordings in the cache; Lightning asks for them before every loop."""
        return self._store(checked=False)

    def _store(self, checked: bool) -> tuple[StoredSubject, ...]:
        """Return the recordings, read where they are not in the cache."""
        steps = self.dataset.preprocessing
        return tuple(
            store_subject(self.folder, self.reader, steps, subject, self.signals, checked)
            for subject in self.subjects
        )


def _as_tensors(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with tensors in place of arrays, as checkpoints are read without others."""
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }


@cache
def datamodule_of(dataset: Dataset) -> type[EmotionDataModule]:
    """Return the LightningDataModule of one dataset, whose first argument is the folder.

    It is named after the dataset's title, as ``SEEDVDataModule`` of SEED-V, and found under this
    name in the package ``datamodules``. Its settings are hyperparameters under the one name
    ``data``, so that loggers show them beside those of a model.
    """

    class OneDataset(EmotionDataModule):
        __doc__ = sys.modules[dataset.reader.__module__].__doc__

        def __init__(self, root: Path | str | None = None, *args: Any, **named: Any) -> None:
            super().__init__(dataset, root, *args, **named)
            self.save_hyperparameters({"data": self.settings()})

    OneDataset.__name__ = OneDataset.__qualname__ = class_name(dataset)
    OneDataset.__module__ = "datamodules"
    return OneDataset


def class_name(dataset: Dataset) -> str:
    """Return the name of a dataset's LightningDataModule."""
    return re.sub(r"\W", "", dataset.title) + "DataModule"

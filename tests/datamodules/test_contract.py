from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import datamodules
from datamodules import datamodule as base
from datamodules.batch import Batch
from datamodules.cache import as_recording
from datamodules.catalogue import DATAMODULES
from datamodules.datamodule import EmotionDataModule, store_subjects
from datamodules.errors import DatasetNotFoundError, IncompatibleRunError, LeakError
from datamodules.splits import SPLITS, SUBJECT_SPLITS
from datamodules.windows import WindowIndex, n_samples

PARTS = ("train", "val", "test")


@pytest.fixture(params=list(DATAMODULES))
def dataset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def module(dataset: str, small_datasets: Any) -> EmotionDataModule:
    found: EmotionDataModule = small_datasets.module(dataset)
    found.setup()
    return found


class TinyModel(L.LightningModule):
    """The mean of every channel, and a linear layer."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)
        self.seen: dict[str, int] = {}

    def loss(self, batch: Batch, part: str) -> Tensor:
        assert isinstance(batch, Batch)
        self.seen[part] = self.seen.get(part, 0) + len(batch.target)
        means = torch.cat([window.mean(2) for window in batch.signals.values()], dim=1)
        return nn.functional.cross_entropy(self.head(means), batch.target)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.loss(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.loss(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.loss(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.loss(batch, "predict")
        return batch.target

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loaders(module: EmotionDataModule) -> dict[str, Any]:
    return {
        "train": module.train_dataloader(),
        "val": module.val_dataloader(),
        "test": module.test_dataloader(),
    }


# ---- the catalogue


def test_every_file_of_the_shelf_is_in_the_catalogue() -> None:
    (folder,) = datamodules.__path__
    shelf = {
        path.stem
        for path in Path(folder).glob("*.py")
        if path.stem != "base" and "(EmotionDataModule)" in path.read_text()
    }
    assert shelf == set(DATAMODULES)


def test_keys_are_file_names(dataset: str) -> None:
    assert DATAMODULES[dataset].key() == dataset
    assert DATAMODULES[dataset].__module__ == f"datamodules.{dataset}"


def test_a_dataset_declares_what_it_is_and_adds_nothing(dataset: str) -> None:
    declared = vars(DATAMODULES[dataset])
    wanted = {"title", "reader", "tasks", "signals", "unit", "access", "layout"}
    assert wanted <= set(declared)
    more = {name for name in declared if not name.startswith("_")} - wanted
    assert more <= {
        "has_files",
        "optional",
        "preprocessing",
        "published_tasks",
        "splits",
        "trial_blocks",
        "trial_seconds",
    }
    assert DATAMODULES[dataset].__doc__
    assert not set(DATAMODULES[dataset].tasks) & set(DATAMODULES[dataset].published_tasks)
    for name, task in DATAMODULES[dataset].every_task().items():
        assert task.name == name
        assert task.source
        assert len(task.classes) == len(set(task.classes)) >= 2
    for channels, rate in DATAMODULES[dataset].signals.values():
        assert channels >= 1
        assert rate > 0
    assert set(DATAMODULES[dataset].optional) <= set(DATAMODULES[dataset].signals)
    assert (DATAMODULES[dataset].unit is None) == (DATAMODULES[dataset].trial_seconds is not None)
    assert set(SUBJECT_SPLITS) <= set(DATAMODULES[dataset].splits) <= set(SPLITS)


# ---- recordings


def test_declared_signals_are_those_stored(module: EmotionDataModule) -> None:
    assert len(module.archive.recordings) >= 3
    for recording in module.archive.recordings:
        found = {
            name: (len(signal.channels), signal.sfreq) for name, signal in recording.signals.items()
        }
        assert found == {name: module.signals[name] for name in module.chosen}
        starts = [segment.start for segment in recording.segments]
        assert starts == sorted(starts)
        trials = [segment.trial for segment in recording.segments]
        assert len(set(trials)) == len(trials)


def test_subjects_are_the_datasets_own(
    dataset: str, module: EmotionDataModule, small_datasets: Any
) -> None:
    backwards = small_datasets.module(dataset, subjects=module.subjects[::-1])
    assert backwards.subjects == module.subjects
    listed = module.raw.subjects
    assert len(set(listed)) == len(listed)
    assert module.subjects == tuple(name for name in listed if name in module.subjects)
    assert [subject.recordings[0].subject for subject in module.archive.subjects] == list(
        module.subjects
    )


def test_subjects_are_in_order_of_their_numbers(dataset: str, small_datasets: Any) -> None:
    """As strings they would be 1, 10, 11, 2."""
    reader = small_datasets.module(dataset).raw
    if not DATAMODULES[dataset].has_files:
        reader = replace(reader, n_subjects=12)
    numbers = [int(subject.lstrip("SsPN")) for subject in reader.subjects]
    assert numbers == sorted(set(numbers))


def test_a_name_padded_otherwise_is_nobody(dataset: str, small_datasets: Any) -> None:
    if not DATAMODULES[dataset].has_files:
        pytest.skip("has no files")
    module = small_datasets.module(dataset)
    for subject in module.subjects:
        letters, number = subject.rstrip("0123456789"), int(subject.lstrip("SsPN"))
        others = {f"{letters}{number:0{width}d}" for width in (1, 2, 3)} - {subject}
        for other in others:
            with pytest.raises(DatasetNotFoundError, match=other):
                module.raw.files(other)


def test_unreadable_subjects_are_told_apart(dataset: str, small_datasets: Any) -> None:
    if not DATAMODULES[dataset].has_files:
        pytest.skip("has no files")
    module = small_datasets.module(dataset)
    asked = (module.subjects[0], "nobody")
    stored, failed = store_subjects(
        DATAMODULES[dataset], module.raw, asked, small_datasets.folder / "cache"
    )
    assert list(stored) == [asked[0]]
    assert list(failed) == ["nobody"]
    assert isinstance(failed["nobody"], DatasetNotFoundError)


# ---- windows and batches


def test_shapes_and_types_are_known_before(dataset: str, small_datasets: Any) -> None:
    module = small_datasets.module(dataset)
    inputs, n_classes = module.inputs, module.n_classes
    module.setup()
    assert list(inputs) == list(module.chosen)
    for name, loader in loaders(module).items():
        n_windows = 0
        for batch in loader:
            assert isinstance(batch, Batch)
            size = len(batch.target)
            n_windows += size
            for signal, spec in inputs.items():
                window = batch.signals[signal]
                assert window.shape == (size, spec.n_channels, spec.n_times)
                assert window.dtype == torch.float32
                assert torch.isfinite(window).all()
                assert (spec.n_channels, spec.sfreq) == module.signals[signal]
            assert list(batch.signals) == list(inputs)
            for column in (batch.target, batch.subject, batch.trial):
                assert column.shape == (size,)
                assert column.dtype == torch.int64
            assert int(batch.target.min()) >= 0
            assert int(batch.target.max()) < n_classes
        alone = name == "train" and len(module.windows(name)) % module.batch_size == 1
        assert n_windows == len(module.windows(name)) - alone


def test_every_class_occurs_in_every_part_of_every_task(dataset: str, small_datasets: Any) -> None:
    for task, described in DATAMODULES[dataset].tasks.items():
        module = small_datasets.module(dataset, task)
        module.setup()
        assert module.n_classes == len(described.classes)
        for part in PARTS:
            targets = set(module.windows(part).target.tolist())
            assert targets == set(range(module.n_classes)), (task, part)


def test_windows_are_of_the_subjects_of_their_part(module: EmotionDataModule) -> None:
    for name, loader in loaders(module).items():
        members = {module.subjects[subject] for batch in loader for subject in batch.subject}
        assert members == set(getattr(module.split, name))


def test_scored_windows_lie_in_score_units(module: EmotionDataModule) -> None:
    if module.unit is None:
        assert set(module.windows("test").unit.tolist()) == {0}
        return
    assert module.unit == 60.0
    for part in ("val", "test"):
        windows = module.windows(part)
        for row in range(len(windows)):
            recording = module.archive.recordings[windows.recording[row]]
            (segment,) = (s for s in recording.segments if s.trial == windows.trial[row])
            start = segment.start + windows.unit[row] * module.unit
            assert start + module.unit <= segment.stop + 1e-6
            assert start - 1e-6 <= windows.start[row]
            assert windows.start[row] + module.length <= start + module.unit + 1e-6
    assert set(module.windows("train").unit.tolist()) == {-1}
    # A unit of 60 s holds windows of 20 s from 0, 10, ... 40 s on.
    test = module.windows("test")
    by_unit: dict[tuple[int, int], int] = {}
    for trial, unit in zip(test.trial.tolist(), test.unit.tolist(), strict=True):
        by_unit[trial, unit] = by_unit.get((trial, unit), 0) + 1
    assert set(by_unit.values()) == {5}


def test_a_window_is_never_longer_than_a_score_unit(dataset: str, small_datasets: Any) -> None:
    module = small_datasets.module(dataset, window=500.0)
    longest = module.unit or module.trial_seconds[0]
    assert module.length == longest
    name, (channels, rate) = next(iter(module.signals.items()))
    assert module.inputs[name].n_times == n_samples(longest, rate)
    module.setup()
    batch = next(iter(module.test_dataloader()))
    assert batch.signals[name].shape[1:] == (channels, n_samples(longest, rate))
    scored = set(zip(module.windows("test").recording, module.windows("test").trial, strict=True))
    tested = [
        (row, segment.trial)
        for row, segment in module.archive.segments
        if module.archive.recordings[row].subject in module.split.test
        and module.task.label(module.archive.recordings[row].subject, segment) is not None
    ]
    if module.unit is None:
        assert scored == set(tested)


def test_scaling_is_fitted_on_training_subjects(module: EmotionDataModule) -> None:
    assert module.scaling is not None
    for name in module.chosen:
        sfreq = module.signals[name][1]
        pieces = []
        for subject in module.archive.subjects:
            for number, stored in enumerate(subject.recordings):
                if stored.subject not in module.split.train:
                    continue
                samples = as_recording(subject, number).signals[name].samples
                for segment in stored.segments:
                    if module.task.label(stored.subject, segment) is not None:
                        first = round(segment.start * sfreq)
                        last = max(first + 1, round(segment.stop * sfreq))
                        pieces.append(samples[:, first:last].astype(np.float64))
        joined = np.concatenate(pieces, axis=1)
        spread = joined.std(axis=1)
        spread[np.ptp(joined, axis=1) == 0] = 1.0
        error = np.abs(module.scaling.mean[name][:, 0].numpy() - joined.mean(axis=1))
        assert (error <= 1e-5 * np.abs(joined.mean(axis=1)) + 1e-5 * spread + 1e-6).all()
        np.testing.assert_allclose(module.scaling.std[name][:, 0], spread, rtol=1e-4)


def test_without_scaling_windows_are_as_recorded(dataset: str, small_datasets: Any) -> None:
    names = list(DATAMODULES[dataset].signals)[1::-1]
    module = small_datasets.module(dataset, scaling="none", signals=names)
    module.setup()
    assert module.scaling is None
    batch = module.dataset("test")[torch.tensor([0])]
    assert list(batch.signals) == names
    windows = module.windows("test")
    subject = module.archive.subjects[windows.subject[0]]
    for name in names:
        rate = module.signals[name][1]
        samples = as_recording(subject, 0).signals[name].samples
        first = round(windows.start[0] * rate)
        last = first + n_samples(module.length, rate)
        np.testing.assert_array_equal(batch.signals[name][0], samples[:, first:last])


def test_the_seed_orders_training_and_nothing_else(dataset: str, small_datasets: Any) -> None:
    def order(seed: int) -> tuple[list[Any], list[Any]]:
        module = small_datasets.module(dataset, seed=seed, split="subject_k_fold", folds=3)
        # The seed chooses who validates, too: not here.
        module.split = small_datasets.module(dataset, split="subject_k_fold", folds=3).split
        module.setup()
        return tuple(  # type: ignore[return-value]
            [next(iter(batch.signals.values())).sum().item() for batch in loader]
            for loader in (module.train_dataloader(), module.test_dataloader())
        )

    (train, test), (again, _), (other, other_test) = order(1), order(1), order(2)
    assert train == again
    assert train != other
    assert test == other_test


def test_an_ordinary_trainer_takes_it(dataset: str, small_datasets: Any, tmp_path: Path) -> None:
    module = small_datasets.module(dataset)
    n_features = sum(spec.n_channels for spec in module.inputs.values())
    model = TinyModel(n_features, module.n_classes)
    before = model.head.weight.detach().clone()
    trainer = L.Trainer(
        fast_dev_run=True,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, datamodule=module)
    trainer.test(model, datamodule=module, verbose=False)
    predicted = trainer.predict(model, datamodule=module)
    assert not torch.equal(before, model.head.weight)
    assert model.seen == {"train": 4, "val": 4, "test": 4, "predict": 4}
    assert predicted is not None
    assert torch.equal(predicted[0], torch.from_numpy(module.windows("test").target[:4]))


def test_worker_processes_give_the_same_batches(small_datasets: Any) -> None:
    module = small_datasets.module("synthetic")
    module.setup()
    data = module.dataset("test")
    rows = torch.arange(len(data)).split(4)
    loader = torch.utils.data.DataLoader(data, batch_size=None, sampler=rows, num_workers=1)
    for plain, worked in zip(rows, loader, strict=True):
        for name, window in data[plain].signals.items():
            assert torch.equal(window, worked.signals[name])


def test_a_checkpoint_keeps_what_new_recordings_need(module: EmotionDataModule) -> None:
    kept = module.state_dict()
    assert kept["classes"] == list(module.task.classes)
    assert kept["train"] == list(module.split.train)
    for name in module.chosen:
        channels = module.signals[name][0]
        assert kept["mean"][name].shape == kept["std"][name].shape == (channels, 1)


# ---- what it refuses


def test_setup_refuses_a_leak(
    dataset: str, small_datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = base.window_grids

    @lru_cache
    def mixed_up(*arguments: Any) -> tuple[WindowIndex, ...]:
        return tuple(replace(grid, subject=np.roll(grid.subject, 1)) for grid in real(*arguments))

    monkeypatch.setattr(base, "window_grids", mixed_up)
    module = small_datasets.module(dataset)
    with pytest.raises(LeakError, match="leak: "):
        module.setup()
    assert not hasattr(module, "rows")


def test_unknown_names(dataset: str, small_datasets: Any) -> None:
    title = DATAMODULES[dataset].title
    for changes, message in (
        ({"task": "joy"}, "expected a task among"),
        ({"signals": ["smell"]}, "has no signal 'smell': expected some of"),
        ({"options": {"colour": 1}}, "colour"),
    ):
        with pytest.raises(IncompatibleRunError, match=message) as caught:
            small_datasets.module(dataset, **changes)
        assert title in str(caught.value)
    with pytest.raises(DatasetNotFoundError, match="has no subject 'nobody': expected some of"):
        small_datasets.module(dataset, subjects=["nobody"])


def test_no_folder(dataset: str, tmp_path: Path) -> None:
    if not DATAMODULES[dataset].has_files:
        pytest.skip("has no files")
    for root in (None, tmp_path / "nowhere"):
        with pytest.raises(DatasetNotFoundError) as caught:
            DATAMODULES[dataset](root)
        message = str(caught.value)
        assert DATAMODULES[dataset].layout in message
        assert DATAMODULES[dataset].access in message


def test_windows_that_no_segment_holds(small_datasets: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(DATAMODULES["synthetic"], "unit", 90.0)
    module = small_datasets.module("synthetic", window=80.0)
    with pytest.raises(IncompatibleRunError, match=r"no window of 80 s in .* a shorter window"):
        module.setup()

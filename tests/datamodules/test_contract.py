"""What every dataset of the catalogue keeps to; it is enough to be in the catalogue."""

import ast
import inspect
import re
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import datamodules
from datamodules import resident as resident_module
from datamodules.batch import Batch
from datamodules.catalogue import DATASETS
from datamodules.datamodule import EmotionDataModule, class_name
from datamodules.dataset import Dataset
from datamodules.errors import DatasetNotFoundError, IncompatibleRunError, LeakError
from datamodules.fold import PARTS
from datamodules.preparing import store_subjects
from datamodules.signals.beats import Beats
from datamodules.signals.kinds import kind_of
from datamodules.signals.preprocessing import Derived
from datamodules.splits import SPLITS, SUBJECT_SPLITS
from datamodules.stored import as_recording
from datamodules.windows import WindowIndex, n_samples


@pytest.fixture(params=DATASETS.values(), ids=list(DATASETS))
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return request.param


@pytest.fixture
def module(dataset: Dataset, small_datasets: Any) -> EmotionDataModule:
    prepared: EmotionDataModule = small_datasets.module(dataset.name)
    prepared.setup()
    return prepared


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


def test_every_dataset_of_the_shelf_is_in_the_catalogue() -> None:
    defined = [
        getattr(import_module(f"datamodules.{path.stem}"), ast.unparse(node.targets[0]))
        for path in Path(*datamodules.__path__).glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "Dataset"
    ]
    assert len(defined) > 5
    assert {one.name: one for one in defined} == DATASETS
    assert len({one.title for one in defined}) == len(defined)


def test_the_facts_of_a_dataset_fit_together(dataset: Dataset) -> None:
    assert DATASETS[dataset.name] is dataset
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", dataset.name)
    assert class_name(dataset).isidentifier()
    assert dataset.access
    assert dataset.layout
    assert import_module(dataset.reader.__module__).__doc__
    assert not set(dataset.tasks) & set(dataset.published_tasks)
    for name, task in dataset.every_task().items():
        assert task.name == name
        assert task.source
        assert len(task.classes) == len(set(task.classes)) >= 2
    for channels, rate in dataset.signals.values():
        assert channels >= 1
        assert rate > 0
    assert {*dataset.optional, *dataset.preprocessing} <= set(dataset.signals)
    derived = [isinstance(dataset.preprocessing.get(s), Derived) for s in dataset.signals]
    assert derived == sorted(derived)
    if dataset.trial_seconds is None:
        assert dataset.unit is not None
        assert dataset.unit > 0
    else:
        assert 0 < dataset.trial_seconds[0] <= dataset.trial_seconds[1]
    assert set(SUBJECT_SPLITS) <= set(dataset.splits) <= set(SPLITS)
    assert SPLITS[dataset.splits[0]].crosses_stimuli == dataset.has_stimuli


def test_every_pulse_and_ecg_has_its_beats(dataset: Dataset) -> None:
    for name in dataset.recorded([*dataset.signals]):
        if kind_of(name) in ("bvp", "ecg"):
            assert dataset.preprocessing[f"{name}_beats"] == Derived(name, (Beats(kind_of(name)),))
            assert dataset.signals[f"{name}_beats"] == (4, 8.0)


def test_a_writer_takes_a_folder_and_a_number_of_subjects(dataset: Dataset) -> None:
    write = dataset.make_writer()
    if write is None:
        pytest.skip("has no writer")
    assert list(inspect.signature(write).parameters)[:2] == ["root", "n_subjects"]


# ---- recordings


def test_declared_signals_are_those_stored(module: EmotionDataModule) -> None:
    assert len(module.fold.archive.recordings) >= 3
    archive = module.fold.archive
    for number, recording in enumerate(archive.recordings):
        signals = {name: archive.stored(name)[number] for name in module.signals}
        stored = {name: (len(s.channels), s.sfreq) for name, s in signals.items()}
        assert stored == {name: module.dataset.signals[name] for name in recording.signals}
        starts = [segment.start for segment in recording.segments]
        assert starts == sorted(starts)
        trials = [segment.trial for segment in recording.segments]
        assert len(set(trials)) == len(trials)


def test_segments_name_their_stimulus_where_people_share_any(module: EmotionDataModule) -> None:
    people: dict[str, set[str]] = {}
    for row, segment in module.fold.archive.segments:
        people.setdefault(segment.stimulus, set()).add(module.fold.archive.recordings[row].subject)
    if module.dataset.has_stimuli:
        assert "" not in people
        assert max(map(len, people.values())) > 1
    else:
        assert set(people) == {""}


def test_subjects_are_the_datasets_own(
    dataset: Dataset, module: EmotionDataModule, small_datasets: Any
) -> None:
    backwards = small_datasets.module(dataset.name, subjects=module.subjects[::-1])
    assert backwards.subjects == module.subjects
    listed = module.reader.subjects
    assert len(set(listed)) == len(listed)
    assert module.subjects == tuple(name for name in listed if name in module.subjects)
    assert [subject.recordings[0].subject for subject in module.fold.archive.subjects] == list(
        module.subjects
    )


def test_numbered_subjects_are_in_order_of_their_numbers(
    dataset: Dataset, small_datasets: Any
) -> None:
    """As strings they would be 1, 10, 11, 2."""
    many = (
        {"n_subjects": 12} if "n_subjects" in inspect.signature(dataset.reader).parameters else {}
    )
    subjects = dataset.make_reader(small_datasets.root(dataset.name), **many).subjects
    numbered = [re.fullmatch(r"(\D*)(\d+)", subject) for subject in subjects]
    if not all(numbered) or len({name[1] for name in numbered if name}) > 1:
        pytest.skip("subjects have names and no numbers")
    numbers = [int(name[2]) for name in numbered if name]
    assert numbers == sorted(set(numbers))


def test_a_name_padded_otherwise_is_nobody(dataset: Dataset, small_datasets: Any) -> None:
    if not dataset.has_files:
        pytest.skip("has no files")
    module = small_datasets.module(dataset.name)
    for subject in module.subjects:
        if name := re.fullmatch(r"(.*?)(\d+)", subject):
            padded = {f"{name[1]}{int(name[2]):0{width}d}" for width in (1, 2, 3)}
            for other in padded - set(module.reader.subjects):
                with pytest.raises(DatasetNotFoundError, match=other):
                    module.reader.files(other)


def test_unreadable_subjects_are_listed_apart(dataset: Dataset, small_datasets: Any) -> None:
    if not dataset.has_files:
        pytest.skip("has no files")
    module = small_datasets.module(dataset.name)
    subjects = (module.subjects[0], "nobody")
    stored, failed = store_subjects(
        dataset, module.reader, subjects, small_datasets.folder / "cache"
    )
    assert list(stored) == [subjects[0]]
    assert list(failed) == ["nobody"]
    assert isinstance(failed["nobody"], DatasetNotFoundError)


# ---- windows and batches


def test_shapes_and_types_are_known_before(dataset: Dataset, small_datasets: Any) -> None:
    module = small_datasets.module(dataset.name)
    inputs, n_classes = module.inputs, module.n_classes
    module.setup()
    assert list(inputs) == list(module.signals)
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
                assert (spec.n_channels, spec.sfreq) == module.dataset.signals[signal]
            assert list(batch.signals) == list(inputs)
            for column in (batch.target, batch.subject, batch.trial):
                assert column.shape == (size,)
                assert column.dtype == torch.int64
            assert int(batch.target.min()) >= 0
            assert int(batch.target.max()) < n_classes
        alone = name == "train" and len(module.windows(name)) % module.loading.batch_size == 1
        assert n_windows == len(module.windows(name)) - alone


def test_every_class_of_every_task_occurs(dataset: Dataset, small_datasets: Any) -> None:
    for task, described in dataset.tasks.items():
        module = small_datasets.module(dataset.name, task)
        module.setup()
        assert module.n_classes == len(described.classes)
        targets = [set(module.windows(part).target.tolist()) for part in PARTS]
        assert set.union(*targets) == set(range(module.n_classes)), task
        if dataset.name in small_datasets.entries:
            # Copies of which the size is chosen are such that everybody has every class.
            assert targets == [set(range(module.n_classes))] * 3, task


def test_windows_are_of_the_subjects_of_their_part(module: EmotionDataModule) -> None:
    for name, loader in loaders(module).items():
        members = {module.subjects[subject] for batch in loader for subject in batch.subject}
        assert members == set(getattr(module.fold.members, name))


def test_scored_windows_lie_in_score_units(module: EmotionDataModule) -> None:
    unit = module.dataset.unit
    if unit is None:
        assert set(module.windows("test").unit.tolist()) == {0}
        return
    for part in ("val", "test"):
        windows = module.windows(part)
        for row in range(len(windows)):
            recording = module.fold.archive.recordings[windows.recording[row]]
            (segment,) = (s for s in recording.segments if s.trial == windows.trial[row])
            start = segment.start + windows.unit[row] * unit
            assert start + unit <= segment.stop + 1e-6
            assert start - 1e-6 <= windows.start[row]
            assert windows.start[row] + module.length <= start + unit + 1e-6
    assert set(module.windows("train").unit.tolist()) == {-1}
    # A unit of 60 s holds windows of 20 s from 0, 10, ... 40 s on.
    test = module.windows("test")
    units = zip(test.recording.tolist(), test.trial.tolist(), test.unit.tolist(), strict=True)
    held = int((unit - module.length) / module.windowing.stride + 1e-6) + 1
    assert set(Counter(units).values()) == {held}


def test_a_window_is_never_longer_than_a_score_unit(dataset: Dataset, small_datasets: Any) -> None:
    module = small_datasets.module(dataset.name, window=5000.0)
    longest = dataset.unit or dataset.trial_seconds[0]
    assert module.length == longest
    name = module.signals[0]
    channels, rate = dataset.signals[name]
    assert module.inputs[name].n_times == n_samples(longest, rate)
    module.setup()
    batch = next(iter(module.test_dataloader()))
    assert batch.signals[name].shape[1:] == (channels, n_samples(longest, rate))
    scored = set(zip(module.windows("test").recording, module.windows("test").trial, strict=True))
    tested = [
        (row, segment.trial)
        for row, segment in module.fold.archive.segments
        if module.fold.archive.recordings[row].subject in module.fold.members.test
        and module.fold.task.label(module.fold.archive.recordings[row].subject, segment) is not None
    ]
    if dataset.unit is None:
        assert scored == set(tested)


def test_scaling_is_fitted_on_training_subjects(module: EmotionDataModule) -> None:
    assert module.fold.scaling is not None
    for name in module.signals:
        sfreq = module.dataset.signals[name][1]
        pieces = []
        for subject in module.fold.archive.subjects:
            for number, stored in enumerate(subject.recordings):
                if stored.subject not in module.fold.members.train:
                    continue
                samples = as_recording(subject, number, [name]).signals[name].samples
                for segment in stored.segments:
                    if module.fold.task.label(stored.subject, segment) is not None:
                        first = round(segment.start * sfreq)
                        last = max(first + 1, round(segment.stop * sfreq))
                        pieces.append(samples[:, first:last].astype(np.float64))
        joined = np.concatenate(pieces, axis=1)
        spread = joined.std(axis=1)
        spread[np.ptp(joined, axis=1) == 0] = 1.0
        error = np.abs(module.fold.scaling.mean[name][:, 0].numpy() - joined.mean(axis=1))
        assert (error <= 1e-5 * np.abs(joined.mean(axis=1)) + 1e-5 * spread + 1e-6).all()
        np.testing.assert_allclose(module.fold.scaling.std[name][:, 0], spread, rtol=1e-4)


def test_without_scaling_windows_are_as_recorded(dataset: Dataset, small_datasets: Any) -> None:
    names = list(small_datasets.module(dataset.name).signals)[1::-1]
    module = small_datasets.module(dataset.name, scaling="none", signals=names)
    module.setup()
    assert module.fold.scaling is None
    batch = module.gathered("test")[torch.tensor([0])]
    assert list(batch.signals) == names
    windows = module.windows("test")
    subject = module.fold.archive.subjects[windows.subject[0]]
    for name in names:
        rate = module.dataset.signals[name][1]
        samples = as_recording(subject, 0, [name]).signals[name].samples
        first = round(windows.start[0] * rate)
        last = first + n_samples(module.length, rate)
        np.testing.assert_array_equal(batch.signals[name][0], samples[:, first:last])


def test_the_seed_orders_training_and_nothing_else(dataset: Dataset, small_datasets: Any) -> None:
    def order(seed: int) -> list[list[float]]:
        # The seed chooses who validates, too: not here.
        module = small_datasets.module(
            dataset.name, seed=seed, split="subject_k_fold", folds=3, validation=False
        )
        module.setup()
        return [
            [next(iter(batch.signals.values())).sum().item() for batch in loader]
            for loader in (module.train_dataloader(), module.test_dataloader())
        ]

    (train, test), (again, _), (other, other_test) = order(1), order(1), order(2)
    assert train == again
    assert train != other
    assert test == other_test


def test_an_ordinary_trainer_takes_it(
    dataset: Dataset, small_datasets: Any, tmp_path: Path
) -> None:
    module = small_datasets.module(dataset.name)
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
    seen = {part: min(4, len(module.windows(part))) for part in PARTS}
    assert model.seen == {**seen, "predict": seen["test"]}
    assert predicted is not None
    assert torch.equal(predicted[0], torch.from_numpy(module.windows("test").target[:4]))


def test_worker_processes_give_the_same_batches(small_datasets: Any) -> None:
    module = small_datasets.module("synthetic")
    module.setup()
    data = module.gathered("test")
    rows = torch.arange(len(data)).split(4)
    loader = torch.utils.data.DataLoader(data, batch_size=None, sampler=rows, num_workers=1)
    for plain, worked in zip(rows, loader, strict=True):
        for name, window in data[plain].signals.items():
            assert torch.equal(window, worked.signals[name])


def test_a_checkpoint_keeps_what_new_recordings_need(module: EmotionDataModule) -> None:
    kept = module.state_dict()
    assert kept["classes"] == list(module.task.classes)
    assert kept["train"] == list(module.fold.members.train)
    for name in module.signals:
        channels = module.dataset.signals[name][0]
        assert kept["mean"][name].shape == kept["std"][name].shape == (channels, 1)


# ---- what it refuses


@pytest.mark.usefixtures("resident")
def test_setup_refuses_a_leak(
    dataset: Dataset, small_datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resident_module.window_grids

    def mixed_up(*arguments: Any) -> tuple[WindowIndex, ...]:
        return tuple(replace(grid, subject=np.roll(grid.subject, 1)) for grid in real(*arguments))

    monkeypatch.setattr(resident_module, "window_grids", mixed_up)
    module = small_datasets.module(dataset.name)
    with pytest.raises(LeakError, match="leak: "):
        module.setup()
    # Nothing can be read from what was refused.
    for read in (lambda: module.windows("test"), module.test_dataloader, lambda: module.fold):
        with pytest.raises(RuntimeError, match="call setup"):
            read()


def test_unknown_names(dataset: Dataset, small_datasets: Any) -> None:
    for changes, message in (
        ({"task": "joy"}, "expected a task among"),
        ({"signals": ["smell"]}, "has no signal 'smell': expected some of"),
        ({"options": {"colour": 1}}, "colour"),
    ):
        with pytest.raises(IncompatibleRunError, match=message) as caught:
            small_datasets.module(dataset.name, **changes)
        assert dataset.title in str(caught.value)
    with pytest.raises(DatasetNotFoundError, match="has no subject 'nobody': expected some of"):
        small_datasets.module(dataset.name, subjects=["nobody"])


def test_no_folder(dataset: Dataset, tmp_path: Path, build: Any) -> None:
    if not dataset.has_files:
        pytest.skip("has no files")
    for root in (None, tmp_path / "nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(DatasetNotFoundError) as caught:
            build(dataset, root)
        assert dataset.layout in str(caught.value)
        assert dataset.access in str(caught.value)


def test_a_folder_may_be_text(dataset: Dataset, small_datasets: Any) -> None:
    root = small_datasets.root(dataset.name)
    if root is None:
        pytest.skip("has no files")
    module = small_datasets.module(dataset.name, root=str(root))
    module.setup()
    assert module.reader == small_datasets.module(dataset.name).reader
    assert isinstance(next(iter(module.train_dataloader())), Batch)


def test_windows_that_no_segment_holds(build: Any, tmp_path: Path) -> None:
    longer = replace(DATASETS["synthetic"], unit=90.0)
    options = {"n_subjects": 3, "phase": 62.0}
    module = build(longer, window=80.0, cache_dir=tmp_path, options=options)
    module.prepare_data()
    with pytest.raises(IncompatibleRunError, match=r"no window of 80 s in .* a shorter window"):
        module.setup()

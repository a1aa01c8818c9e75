"""Tiny networks and a datamodule of made-up windows, for distillers."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules.batch import Batch
from datamodules.gathering import BatchRows
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.base import Teacher
from lightning_modules.recipe import Recipe

RECIPE = Recipe(source="this test", lr=0.01, batch_size=8, max_epochs=2)


class TinyNetwork(nn.Module):
    """Two layers with batch statistics between them, on signals of one channel."""

    def __init__(self, signals: Mapping[str, int], n_classes: int, width: int, norm: bool) -> None:
        super().__init__()
        self.signals = tuple(signals)
        self.hidden = nn.Linear(sum(signals.values()), width)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.head = nn.Linear(width, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        joined = torch.cat([signals[name].flatten(1) for name in self.signals], dim=1)
        embedding = torch.tanh(self.norm(self.hidden(joined)))
        return Output(self.head(embedding), embedding)


class Tiny(EmotionClassifier):
    def __init__(
        self,
        signals: Mapping[str, int],
        n_classes: int = 2,
        width: int = 4,
        norm: bool = True,
        recipe: Recipe = RECIPE,
    ) -> None:
        super().__init__(TinyNetwork(signals, n_classes, width, norm), n_classes, recipe)
        self.save_hyperparameters()


class Windows(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.target)


class Gathered(torch.utils.data.Dataset[Batch]):
    def __init__(self, signals: Mapping[str, Tensor], windows: Windows) -> None:
        self.signals = signals
        self.columns = [
            torch.from_numpy(column) for column in (windows.target, windows.subject, windows.trial)
        ]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, rows: Tensor) -> Batch:
        signals = {name: window[rows] for name, window in self.signals.items()}
        return Batch(signals, *(column[rows] for column in self.columns), rows)


class MadeUp(L.LightningDataModule):
    """Windows in memory.

    Args:
        signals: Signals by name, shape (N, 1, T).
        target: Class indices, shape (N,).
        segment: Segment of each window, shape (N,); a trial is a segment, a person has four.
        val: Signals and target for validation; None takes the training windows.
    """

    def __init__(self, signals, target, segment, val=None, batch_size=8, seed=0):
        super().__init__()
        self.batch_size, self.seed = batch_size, seed
        self.kept = {
            "train": (signals, windows_of(target, segment)),
            "val": (signals, windows_of(target, segment))
            if val is None
            else (val[0], windows_of(val[1], np.arange(len(val[1])))),
        }

    def windows(self, part):
        return self.kept[part][1]

    def conditions(self):
        return self.kept["train"][1].target

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(self.seed)
        return self.loader("train", generator)

    def val_dataloader(self):
        return self.loader("val", None)

    def loader(self, part, generator):
        dataset = Gathered(*self.kept[part])
        rows = BatchRows(len(dataset), self.batch_size, generator)
        return DataLoader(dataset, batch_size=None, sampler=rows)


def windows_of(target, segment):
    """Return columns of windows in order of time; segments of a recording follow each other."""
    segment = np.asarray(segment, dtype=np.int64)
    recording = segment // 4
    start = np.zeros(len(segment))
    for one in np.unique(recording):
        rows = recording == one
        start[rows] = np.arange(rows.sum())
    return Windows(
        recording=recording,
        segment=segment,
        start=start,
        subject=recording,
        trial=segment % 4,
        target=np.asarray(target, dtype=np.int64),
    )


def made_up(n_windows=64, n_segments=8, seed=0, **options):
    """Return a datamodule of ``eda`` with three samples a window, and ``eeg`` with two."""
    rng = np.random.default_rng(seed)
    segment = np.arange(n_windows) * n_segments // n_windows
    target = segment % 2
    signals = {
        "eda": torch.from_numpy(rng.normal(target[:, None, None], 1.0, (n_windows, 1, 3))).float(),
        "eeg": torch.from_numpy(rng.normal(target[:, None, None], 0.3, (n_windows, 1, 2))).float(),
    }
    return MadeUp(signals, target, segment, **options)


def pair(width=4, norm=True, recipe=RECIPE, n_classes=2):
    """Return a student of ``eda`` and a teacher of both signals, neither trained."""
    torch.manual_seed(0)
    student = Tiny({"eda": 3}, n_classes, 4, norm, recipe)
    teacher = Tiny({"eda": 3, "eeg": 2}, n_classes, width, norm, recipe)
    # Running statistics that training would change, were it not frozen.
    with torch.no_grad():
        for _ in range(3):
            teacher.network({"eda": torch.randn(8, 1, 3) + 1, "eeg": torch.randn(8, 1, 2)})
    return student, Teacher(teacher, ("eda", "eeg"))


def tiny(signals, **options):
    return Tiny(signals, **options)


def with_rows(teacher, rows):
    return replace(teacher, rows=rows)


def batch_of(inputs, n_windows, n_classes=2):
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(n_windows) % n_classes
    signals = {
        name: torch.randn(n_windows, spec.n_channels, spec.n_times, generator=generator)
        for name, spec in inputs.items()
    }
    return Batch(signals, target, torch.zeros_like(target), target, torch.arange(n_windows))


def fit(
    model: EmotionClassifier, module, epochs: int = 2, accelerator: str = "cpu", **options
) -> L.Trainer:
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        precision=model.recipe.precision,
    )
    trainer.fit(model, datamodule=module, **options)
    return trainer


@pytest.fixture
def distilling():
    return SimpleNamespace(
        RECIPE=RECIPE,
        batch_of=batch_of,
        fit=fit,
        made_up=made_up,
        MadeUp=MadeUp,
        Teacher=Teacher,
        pair=pair,
        tiny=tiny,
        with_rows=with_rows,
    )

"""Made-up datasets and three small networks, on which speed is measured."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmark.engines import worker
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.result import Result
from benchmark.run import Run
from datamodules.batch import Inputs
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.signals.recording import Recording, Segment, Signal
from datamodules.tasks import ConditionTask
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.catalogue import MODELS
from lightning_modules.recipe import Recipe

CLASSES = ("negative", "neutral", "positive")
TRIALS, SECONDS = 36, 80.0
"""Of a subject, in order, and length of each."""
ROWS = 0.25
"""Rate of the feature rows in Hz: 20 in a trial, 10 800 in all."""
SIGNALS = {"rows": (310, ROWS), "waves": (4, 32.0)}
"""Channels and rate in Hz."""


@dataclass(frozen=True)
class MadeUpReader:
    """Noise with a weak trace of the class, in feature rows and in waves.

    Args:
        n_subjects: Number of subjects.
    """

    n_subjects: int = 15

    @property
    def subjects(self) -> tuple[str, ...]:
        """S1, S2, ..."""
        return tuple(f"S{number + 1}" for number in range(self.n_subjects))

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return no file, as nothing is read."""
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        """Yield one session."""
        rng = np.random.default_rng([0, self.subjects.index(subject)])
        order = rng.permutation(np.repeat(np.arange(len(CLASSES)), TRIALS // len(CLASSES)))
        trace = np.random.default_rng(1).normal(0, 0.15, (len(CLASSES), 310))
        signals = {}
        for name, (channels, sfreq) in SIGNALS.items():
            times = round(SECONDS * sfreq)
            samples = rng.normal(size=(channels, TRIALS * times))
            samples += np.repeat(trace[order, :channels].T, times, axis=1)
            labels = tuple(f"{name} {number}" for number in range(channels))
            signals[name] = Signal(samples.astype(np.float32), sfreq, labels, "au")
        segments = tuple(
            Segment(
                SECONDS * number, SECONDS * (number + 1), number + 1, {"condition": CLASSES[kind]}
            )
            for number, kind in enumerate(order.tolist())
        )
        yield Recording(subject, "1", signals, segments)


MADE_UP = Dataset(
    name="made_up",
    title="Made up",
    reader=MadeUpReader,
    tasks={
        "emotion": ConditionTask(
            "emotion", CLASSES, {name: k for k, name in enumerate(CLASSES)}, source="made up"
        )
    },
    signals=SIGNALS,
    trial_seconds=(SECONDS, SECONDS),
    access="Made up when it is read.",
    layout="no files",
    has_files=False,
)
"""310 features every four seconds, and four waves of 32 Hz."""


@dataclass(frozen=True)
class LongReader(MadeUpReader):
    """Noise, as long as sessions are: six conditions of eight minutes."""

    def read(self, subject: str) -> Iterator[Recording]:
        """Yield one session."""
        rng = np.random.default_rng([1, self.subjects.index(subject)])
        bvp = rng.normal(size=(1, 6 * 480 * 64)).astype(np.float32)
        segments = tuple(
            Segment(480.0 * k, 480.0 * (k + 1), k + 1, {"condition": CLASSES[k % 3]})
            for k in range(6)
        )
        yield Recording(subject, "1", {"bvp": Signal(bvp, 64.0, ("bvp",), "au")}, segments)


LONG = replace(
    MADE_UP,
    name="long",
    title="Long",
    reader=LongReader,
    signals={"bvp": (1, 64.0)},
    trial_seconds=(480.0, 480.0),
)
"""A pulse of 64 Hz."""


class MLPNetwork(nn.Module):
    """310-256-128-3: 112 899 parameters."""

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        (spec,) = inputs.values()
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(spec.n_channels * spec.n_times, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        (window,) = signals.values()
        embedding = self.hidden(window)
        return Output(self.head(embedding), embedding)


class SmallCNNNetwork(nn.Module):
    """Three convolutions of 16, 32 and 64 maps."""

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        (spec,) = inputs.values()
        layers: list[nn.Module] = []
        for before, maps in ((spec.n_channels, 16), (16, 32), (32, 64)):
            layers += [nn.Conv1d(before, maps, 5, padding=2), nn.ReLU(), nn.MaxPool1d(4)]
        self.hidden = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.head = nn.Linear(64, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        (window,) = signals.values()
        embedding = self.hidden(window)
        return Output(self.head(embedding), embedding)


class SmallLSTMNetwork(nn.Module):
    """32 units, the last state."""

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        (spec,) = inputs.values()
        self.recurrent = nn.LSTM(spec.n_channels, 32, batch_first=True)
        self.head = nn.Linear(32, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        (window,) = signals.values()
        states, _ = self.recurrent(window.transpose(1, 2))
        embedding = states[:, -1]
        return Output(self.head(embedding), embedding)


NETWORKS = {"mlp": MLPNetwork, "small_cnn": SmallCNNNetwork, "small_lstm": SmallLSTMNetwork}
RECIPES = {
    "mlp": Recipe("made up", window=4.0, stride=4.0, max_epochs=20),
    "small_cnn": Recipe("made up", window=10.0, stride=10.0, max_epochs=20),
    "small_lstm": Recipe("made up", window=4.0, stride=4.0, max_epochs=20),
}
SIGNAL = {"mlp": "rows", "small_cnn": "waves", "small_lstm": "waves"}


class MLP(EmotionClassifier):
    """The MLP on feature rows."""

    prefers = (("rows",),)
    published = fast = RECIPES["mlp"]

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe = RECIPES["mlp"]) -> None:
        super().__init__(MLPNetwork(inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

    def on_train_start(self) -> None:
        note("train")


CLOCK = "AFFECTBENCH_SPEED_CLOCK"
"""Environment variable that names the file of ``note``."""


def note(event: str) -> None:
    """Add a line to the file: process, event, seconds since the epoch."""
    if CLOCK in os.environ:
        with Path(os.environ[CLOCK]).open("a") as file:
            file.write(f"{os.getpid()} {event} {time.time()}\n")


def _noted(run: Run, places: Places, *words: Any) -> Result:
    note("run")
    return execute(run, places, *words)


def register() -> None:
    """Make the dataset and the MLP known to the command line of this process and its workers."""
    DATASETS[MADE_UP.name] = MADE_UP
    MODELS.register("mlp", MLP)
    worker.execute = _noted

"""A training step of small networks against a bare loop of PyTorch."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import process_time

import lightning as L
import torch
from torch.nn.functional import cross_entropy

from benchmark.execution.assemble import CHUNK
from benchmark.execution.epochs import EpochLogger
from benchmark.execution.fit import lean_trainer
from datamodules.datamodule import EmotionDataModule, Loading, Selection
from datamodules.fold import Windowing
from lightning_modules.base import EmotionClassifier
from tests.benchmarks.speed.made_up import MADE_UP, NETWORKS, RECIPES, SIGNAL
from tests.benchmarks.speed.table import Row, side_by_side

EPOCHS, REPEATS = 3, 5
LIMITS = {"mlp": 1.25, "small_cnn": 1.1, "small_lstm": 1.1}


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as cache:
        for name in NETWORKS:
            yield _row(name, Path(cache))


def _row(name: str, cache: Path) -> Row:
    recipe, signal = RECIPES[name], SIGNAL[name]
    module = EmotionDataModule(
        MADE_UP,
        selection=Selection(signals=[signal]),
        windowing=Windowing(recipe.window, recipe.stride),
        loading=Loading(recipe.batch_size, CHUNK),
        cache_dir=cache,
    )
    module.prepare_data()
    module.setup()
    dataset = module.gathered("train")
    batch = dataset[torch.arange(len(dataset))]
    windows, target = batch.signals[signal], batch.target
    n_steps = len(list(torch.arange(len(target)).split(recipe.batch_size)))

    def bare() -> float:
        network = NETWORKS[name](module.inputs, module.n_classes)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
        seconds = []
        for _ in range(EPOCHS + 1):
            start = process_time()
            for rows in torch.randperm(len(target)).split(recipe.batch_size):
                logits = network({signal: windows[rows]}).logits
                loss = cross_entropy(logits, target[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            seconds.append(process_time() - start)
        return median(seconds[1:]) / n_steps

    def ours() -> float:
        model = EmotionClassifier(NETWORKS[name](module.inputs, module.n_classes), 3, recipe)
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            logger = EpochLogger(Path(folder))
            longer = replace(recipe, max_epochs=EPOCHS + 2)
            trainer = lean_trainer("cpu", longer, logger, [clock], Path(folder))
            trainer.limit_val_batches = 0
            trainer.fit(model, datamodule=module)
        return median(b - a for a, b in pairwise(clock.starts[1:])) / n_steps

    mine, other, ratio = side_by_side(ours, bare, REPEATS)
    return Row(
        f"training step, {name}",
        "bare loop, unfused Adam",
        f"{1e6 * mine:.0f} us",
        f"{1e6 * other:.0f} us",
        f"{ratio:.2f}x",
        f"<= {LIMITS[name]}x",
        ratio <= LIMITS[name],
    )


class Clock(L.Callback):
    """CPU time at the start of every epoch; from one to the next is everything that one costs."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.starts.append(process_time())

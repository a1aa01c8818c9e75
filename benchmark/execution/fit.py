"""Fitting a network: a Trainer without ballast, which keeps the best epoch, or repeats a course."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler

from benchmark.execution.parallel import Group, Shares
from datamodules.datamodule import EmotionDataModule
from lightning_modules.base import EmotionClassifier
from lightning_modules.metrics import macro_f1
from lightning_modules.recipe import Recipe
from lightning_modules.units import predictions, score_units


@dataclass(frozen=True)
class Course:
    """Course of a training.

    Attributes:
        trained: Number of epochs that were trained.
        best: Number of the epoch that counts, from 1.
        rates: Learning rates of each epoch, one for each group of weights.
    """

    trained: int
    best: int
    rates: tuple[tuple[float, ...], ...]


def fit(
    model: EmotionClassifier,
    module: EmotionDataModule,
    device: str,
    folder: Path,
    logger: Logger | None = None,
    more: Sequence[L.Callback] = (),
    profiler: Profiler | None = None,
    group: Group | None = None,
) -> tuple[L.Trainer, Course]:
    """Train a model by its recipe, and give it the weights of its best epoch.

    Args:
        model: Model, which is changed in place.
        module: Data that it is trained and chosen on.
        device: ``"cpu"`` or ``"cuda"``.
        folder: Folder in which a Trainer may write.
        logger: Logger of each epoch.
        more: Callbacks besides the recipe's own.
        profiler: Profiler of what begins and ends.
        group: Processes that train together; it has met, and is left.

    Returns:
        A trainer of one device to test with, and the course of the training.
    """
    recipe = model.recipe
    best, rates = BestEpoch(recipe.select_on), LearningRates()
    callbacks: list[L.Callback] = [best, rates, *more]
    if recipe.patience is not None:
        mode = "min" if best.is_loss else "max"
        callbacks.append(EarlyStopping(recipe.select_on, mode=mode, patience=recipe.patience))
    if group:
        callbacks.append(Shares(group.size))
    trainer = lean_trainer(device, recipe, logger, callbacks, folder, profiler, group)
    trainer.fit(model, datamodule=module)
    course = Course(trainer.current_epoch, best.epoch, tuple(rates.of_epochs))
    if group:
        group.part()
        return lean_trainer(device, recipe, None, [], folder), course
    trainer.logger = None  # predicting would write into it
    return trainer, course


def refit(
    model: EmotionClassifier,
    module: EmotionDataModule,
    course: Course,
    device: str,
    folder: Path,
    profiler: Profiler | None = None,
) -> L.Trainer:
    """Train a model as long as the best epoch of an earlier training, and at its learning rates.

    Nothing is chosen and nobody validates: a schedule that follows a score has none to follow, so
    the rates are those that it came to before.

    Args:
        model: Untrained model, which is changed in place.
        module: Data that it is trained on.
        course: Course of the earlier training.
        device: ``"cpu"`` or ``"cuda"``.
        folder: Folder in which a Trainer may write.
        profiler: Profiler of what begins and ends.

    Returns:
        A trainer to test with.
    """
    model.recipe = replace(model.recipe, max_epochs=course.best, patience=None, plateau_factor=1.0)
    callbacks: list[L.Callback] = [SameRates(course.rates)]
    trainer = lean_trainer(device, model.recipe, None, callbacks, folder, profiler, validates=False)
    trainer.fit(model, datamodule=module)
    check_loss(float(trainer.callback_metrics["train_loss"]), course.best - 1)
    return trainer


def lean_trainer(
    device: str,
    recipe: Recipe,
    logger: Logger | None,
    callbacks: list[L.Callback],
    folder: Path,
    profiler: Profiler | None = None,
    group: Group | None = None,
    validates: bool = True,
) -> L.Trainer:
    """Return a Trainer without whatever costs time and changes no number.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        recipe: Recipe with the number of epochs and the precision.
        logger: Logger of each epoch, or None.
        callbacks: All callbacks.
        folder: Folder in which a Trainer may write.
        profiler: Profiler of what begins and ends.
        group: Processes that train together; None: it trains alone.
        validates: Whether each epoch ends with the windows that choose it.
    """
    if group:
        placement = group.trainer_arguments(device)
    else:
        environment = LightningEnvironment()  # or variables of SLURM's would be believed
        environment.set_global_rank(0)  # its rank was believed on import: loggers were silent
        current = [torch.cuda.current_device()] if device == "cuda" else 1
        placement = {"devices": current, "plugins": [environment]}
    return L.Trainer(
        accelerator=device,
        **placement,
        max_epochs=recipe.max_epochs,
        precision=recipe.precision,
        logger=logger or False,
        callbacks=callbacks,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=None if validates else 0,
        log_every_n_steps=1,
        default_root_dir=folder,
        profiler=profiler,
    )


class BestEpoch(Checkpoint):
    """Keeps the weights of the best epoch, in memory, and puts them back when fitting ends.

    The first of equal epochs counts. It is asked when all scores of an epoch are known, as
    Lightning asks what saves checkpoints.

    Args:
        score: Score that chooses, as in Recipe's ``select_on``.
    """

    def __init__(self, score: str) -> None:
        self.score = score
        self.best = math.inf if self.is_loss else -math.inf
        self.epoch = 0
        self.state: dict[str, torch.Tensor] = {}

    @property
    def is_loss(self) -> bool:
        """True if lower is better."""
        return self.score.endswith("loss")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        check_loss(float(trainer.callback_metrics["val_loss"]), trainer.current_epoch)
        score = float(trainer.callback_metrics[self.score])
        if score < self.best if self.is_loss else score > self.best:
            self.best, self.epoch = score, trainer.current_epoch + 1
            self.state = {k: v.detach().clone() for k, v in pl_module.state_dict().items()}

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.load_state_dict(self.state)


class LearningRates(L.Callback):
    """Keeps the learning rates of every epoch, one for each group of weights."""

    def __init__(self) -> None:
        self.of_epochs: list[tuple[float, ...]] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.of_epochs.append(tuple(float(group["lr"]) for group in _groups(trainer)))


class SameRates(L.Callback):
    """Sets the learning rates of every epoch.

    Args:
        of_epochs: Learning rates, one for each group of weights.
    """

    def __init__(self, of_epochs: Sequence[Sequence[float]]) -> None:
        self.of_epochs = of_epochs

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        rates = self.of_epochs[trainer.current_epoch]
        for group, rate in zip(_groups(trainer), rates, strict=True):
            group["lr"] = rate


def check_loss(loss: float, epoch: int) -> None:
    """Raise FloatingPointError for a loss that is no number.

    Args:
        loss: Mean loss of an epoch.
        epoch: Its number, from 0.
    """
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"expected a finite loss, found {loss} in epoch {epoch + 1}: training diverged. Take a "
            "lower learning rate."
        )


class TestedEpochs(L.Callback):
    """Tests a model after every epoch, for the protocol flags that report it.

    Args:
        model: Model to test; with a distiller, its student.
        module: Datamodule of its signals; the guard refuses it without such a flag.
    """

    def __init__(self, model: EmotionClassifier, module: EmotionDataModule) -> None:
        self.model, self.module = model, module
        self.epochs: list[npt.NDArray[np.float64]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        device = trainer.strategy.root_device
        windows = self.module.read_early(device)
        was = self.model.training
        self.model.eval()
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            parts = [
                self.model.probabilities(self.model(_moved(windows[rows].signals, device)))
                for rows in torch.arange(len(windows)).split(self.module.loading.batch_size)
            ]
        self.model.train(was)
        self.epochs.append(torch.cat(parts).double().cpu().numpy())

    def reported(self) -> npt.NDArray[np.float64]:
        """Return probabilities (N, K) of the epoch with the best macro F1, or of all (E, N, K)."""
        if "report_mean_over_epochs" in self.module.protocol.flags:
            return np.stack(self.epochs)
        columns = self.module.columns("test")
        scored = [score_units(predictions(columns, epoch)) for epoch in self.epochs]
        means = [np.mean([units.score(macro_f1) for units in epoch.values()]) for epoch in scored]
        return self.epochs[int(np.argmax(np.round(means, 9)))]  # the first of equals


def _groups(trainer: L.Trainer) -> list[dict[str, Any]]:
    """Return the groups of weights of all optimisers, each with its learning rate."""
    return [group for optimizer in trainer.optimizers for group in optimizer.param_groups]


def _moved(signals: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: signal.to(device) for name, signal in signals.items()}

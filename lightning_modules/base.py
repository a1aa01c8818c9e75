"""EmotionClassifier: one training, validation and test procedure for every network."""

import logging
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, NamedTuple, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, ReduceLROnPlateau
from torch.serialization import add_safe_globals
from torchmetrics.functional.classification import multiclass_f1_score

from datamodules.batch import LENGTH, Batch, Chunk, Front, Inputs
from datamodules.errors import IncompatibleRunError
from lightning_modules.metrics import SCORES
from lightning_modules.modality_dropout import drop_signals
from lightning_modules.recipe import Recipe
from lightning_modules.statistics import norms_of, take_statistics
from lightning_modules.units import predictions, score_units

LOG = logging.getLogger(__name__)


class Output(NamedTuple):
    """Output of a network.

    Attributes:
        logits: Shape (B, K).
        embedding: Input of the last layer, shape (B, D).
    """

    logits: Tensor
    embedding: Tensor

    def widened(self) -> "Output":
        """Return the same values in float32, where a network computed in less."""
        if self.logits.dtype == self.embedding.dtype == torch.float32:
            return self
        return Output(
            *(values.to(torch.promote_types(values.dtype, torch.float32)) for values in self)
        )


def choose_signals(
    prefers: tuple[tuple[str, ...], ...], available: Collection[str], model: str
) -> tuple[str, ...]:
    """Return the signals that a model takes from a dataset.

    Args:
        prefers: Alternatives, the best first. The first one of which the dataset has any signal is
            taken, with all of its signals that the dataset has. An empty tuple takes every signal.
        available: Names of the dataset's signals.
        model: Name of the model, for the message.

    Raises:
        IncompatibleRunError: The dataset has none of these signals.
    """
    if not prefers:
        return tuple(available)
    for alternative in prefers:
        signals = tuple(name for name in alternative if name in available)
        if signals:
            return signals
    preferred = ", then ".join(" + ".join(alternative) for alternative in prefers)
    raise IncompatibleRunError(f"{model} takes {preferred}; there is only {', '.join(available)}")


def balanced_weights(counts: Tensor) -> Tensor:
    """Return the weight N / (K n_c) of each class, 0 for a class without windows, shape (K,).

    Args:
        counts: Number of windows of each class, n_c, shape (K,).
    """
    weights = counts.sum() / (len(counts) * counts.clamp_min(1))
    return weights.where(counts > 0, 0)


class EmotionClassifier(L.LightningModule):
    """Cross-entropy, scores and optimiser around any network.

    An architecture is a subclass that names its network, its recipe and the signals it prefers. Its
    constructor takes inputs, number of classes and recipe, calls ``check_inputs`` and, for its
    checkpoints, ``save_hyperparameters``.

    Args:
        network: Module that maps a dict of signals, each (B, C, T), to Output.
        n_classes: Number of classes, K.
        recipe: Recipe by which the network is trained.
    """

    prefers: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Alternatives for ``choose_signals``, the paper's own input first."""
    published: ClassVar[Recipe]
    """The recipe of the paper, or of this project where there is no paper.

    Where a paper has one for each of several datasets, a model names the others in
    ``published_on``, a mapping from dataset to recipe.
    """
    fast: ClassVar[Recipe]
    """Fewer epochs and early stopping, for suites that choose it. A model may leave it out."""
    masks: ClassVar[bool] = False
    """Whether the model takes a mask for padded trials."""

    class_weights: Tensor | None

    def __init__(self, network: nn.Module, n_classes: int, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.n_classes = n_classes
        self.register_buffer("class_weights", None, persistent=False)
        self._epoch: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {"train": [], "val": []}
        self._tested: list[Tensor] = []
        self._taken_after = -1

    @classmethod
    def choose_signals(cls, available: Collection[str]) -> tuple[str, ...]:
        """Return the signals of a dataset that the model takes.

        Raises:
            IncompatibleRunError: The dataset has none of them.
        """
        return choose_signals(cls.prefers, available, cls.__name__)

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError, with the reason, for inputs that the model cannot take.

        The reason names the class. A subclass with further reasons calls this method first.
        """
        if LENGTH in inputs and not cls.masks:
            raise IncompatibleRunError(
                f"{cls.__name__} takes no mask: expected signals alone, found {', '.join(inputs)}. "
                "Pad without a mask, or take a model that has one."
            )

    @property
    def front(self) -> Front | None:
        """First part of the network, which may be computed once and kept; None by default."""
        return None

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        output: Output = self.network(signals)
        return output.widened()

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch and its logits (B, K).

        Class weights and penalties count in training only.
        """
        logits = self(batch.signals).logits
        if not self.training:
            return nn.functional.cross_entropy(logits, batch.target), logits
        loss = nn.functional.cross_entropy(logits, batch.target, self.class_weights)
        return self.penalized(loss), logits

    def penalized(self, loss: Tensor) -> Tensor:
        """Return a training loss plus penalties of the weights; there are none by default."""
        return loss

    def on_fit_start(self) -> None:
        """Weigh classes by the datamodule's training windows, where the recipe says so.

        A datamodule whose windows are not those of the recipe is put on record as a warning.

        Raises:
            IncompatibleRunError: There is no datamodule that counts the windows of each class.
        """
        self.class_weights = None
        module = getattr(self.trainer, "datamodule", None)
        if differing := _differing(self.recipe, module):
            LOG.warning(
                "%s: the recipe is not that of the datamodule: %s. Take "
                "DataModule.for_recipe(recipe, ...), or change one of them.",
                type(self).__name__,
                ", ".join(differing),
            )
        if self.recipe.balance != "class_weights":
            return
        counts = getattr(module, "class_counts", None)
        if counts is None:
            raise IncompatibleRunError(
                'balance="class_weights": expected a datamodule with class_counts, found '
                f"{type(module).__name__ if module else 'none'}. Fit with datamodule=, or take "
                'balance="none".'
            )
        self.class_weights = balanced_weights(counts()).to(self.device)

    def training_step(self, batch: Batch | Chunk, batch_idx: int) -> Tensor:
        """Return the loss of a batch, or that of the last batch of a chunk.

        The optimiser steps here on all batches of a chunk but the last: the Trainer's work around a
        step costs as much as a step of a small network. The weights are the same to the last bit,
        but the Trainer counts one step a chunk.
        """
        if isinstance(batch, Batch):
            return self._training_loss(batch)
        if torch.is_autocast_enabled(self.device.type):  # it keeps casts of weights for the step
            raise IncompatibleRunError(
                "steps in chunks: expected precision 32-true, found autocast. Take chunk=1."
            )
        optimizer = cast(Optimizer, self.optimizers(use_pl_optimizer=False))
        parameters = list(self.parameters())
        for number, rows in enumerate(batch.rows, start=1):
            loss = self._training_loss(self._gathered(batch, rows))
            if number < len(batch):
                for parameter in parameters:  # as Optimizer.zero_grad does, but sooner
                    parameter.grad = None
                self._differentiate(loss)
                self._update(optimizer)
        return loss

    def _gathered(self, chunk: Chunk, rows: Tensor) -> Batch:
        return chunk.gather(rows)

    def _differentiate(self, loss: Tensor) -> None:
        loss.backward()

    def _update(self, optimizer: Optimizer) -> None:
        optimizer.step()

    def _training_loss(self, batch: Batch) -> Tensor:
        if self.recipe.modality_dropout:
            signals = drop_signals(batch.signals, self.recipe.modality_dropout)
            batch = batch._replace(signals=signals)
        loss, logits = self.loss(batch)
        self._epoch["train"].append((loss.detach(), logits.detach(), batch.target))
        return loss

    def validation_step(self, batch: Batch | Chunk, batch_idx: int) -> None:
        for one in (batch,) if isinstance(batch, Batch) else batch:
            loss, logits = self.loss(one)
            self._epoch["val"].append((loss, logits, one.target))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return probabilities, shape (B, K)."""
        return self.probabilities(self(batch.signals))

    def on_test_start(self) -> None:
        self._tested.clear()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._tested.append(self.predict_step(batch, batch_idx))

    def on_test_epoch_end(self) -> None:
        """Log the scores of the boards: their means over subjects, and those of each subject.

        A score is over the score units of a subject, whose probabilities are the mean of their
        windows'. ``test_macro_f1`` is the mean over the subjects of the fold, and
        ``test_macro_f1/S2`` that of S2.

        Raises:
            IncompatibleRunError: Testing uses loaders, or a datamodule that lists no windows.
        """
        module = getattr(self.trainer, "datamodule", None)
        columns = getattr(module, "columns", None)
        if columns is None:
            raise IncompatibleRunError(
                f"{type(self).__name__}: expected a datamodule that says whose windows are tested, "
                f"found {type(module).__name__ if module else 'loaders'}. Test with datamodule="
            )
        probabilities = torch.cat(self._tested).double().cpu().numpy()
        units = score_units(predictions(columns("test"), probabilities))
        for name, score in SCORES.items():
            of_subjects = {subject: group.score(score) for subject, group in units.items()}
            self.log(f"test_{name}", float(np.mean(list(of_subjects.values()))))
            self.log_dict({f"test_{name}/{s}": value for s, value in of_subjects.items()})

    def probabilities(self, output: Output) -> Tensor:
        """Return the probabilities that an output stands for, shape (B, K)."""
        return output.logits.softmax(dim=1)

    def on_validation_start(self) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._take_statistics()

    def on_train_end(self) -> None:
        if self._taken_after != self.trainer.global_step:  # nothing was validated
            self._take_statistics()

    def _take_statistics(self) -> None:
        """Take the statistics of batch normalisation anew, where the recipe says so.

        Raises:
            IncompatibleRunError: There is no datamodule whose training windows can be asked for.
        """
        self._taken_after = self.trainer.global_step
        if self.recipe.statistics == "running" or not norms_of(self.network):
            return
        module: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(module, "mixed_batches"):
            raise IncompatibleRunError(
                f'statistics="{self.recipe.statistics}": expected a datamodule that gives its '
                f"training windows, found {type(module).__name__ if module else 'loaders'}. Fit "
                'with datamodule=, or take statistics="running".'
            )
        batches = (batch.signals.items() for batch in module.mixed_batches())
        with self.trainer.precision_plugin.forward_context():
            take_statistics(
                self, ({name: window.to(self.device) for name, window in one} for one in batches)
            )

    def on_train_epoch_end(self) -> None:
        self._log_epoch("train")

    def on_validation_epoch_end(self) -> None:
        self._log_epoch("val")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer, scheduler = self.optimization()
        if isinstance(scheduler, ReduceLROnPlateau):
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "monitor": self.recipe.plateau_on},
            }
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def optimization(self) -> tuple[Optimizer, LRScheduler]:
        """Return a new optimiser and a new schedule of the learning rate, as the recipe says."""
        recipe, optimizer = self.recipe, self._optimizer()
        if recipe.plateau_factor == 1:
            return optimizer, ExponentialLR(optimizer, recipe.lr_decay)
        return optimizer, ReduceLROnPlateau(
            optimizer,
            factor=recipe.plateau_factor,
            patience=recipe.plateau_patience - 1,
            threshold=recipe.plateau_delta,
            threshold_mode="abs",
            min_lr=recipe.lr_min,
        )

    def _optimizer(self) -> Optimizer:
        recipe, lr, decay = self.recipe, self.recipe.lr, self.recipe.weight_decay
        if recipe.optimizer == "sgd":
            return torch.optim.SGD(
                self.parameters(), lr, recipe.momentum, weight_decay=decay, fused=True
            )
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
        optimizer: Optimizer = kind(
            self.parameters(), lr, eps=recipe.eps, weight_decay=decay, fused=True
        )
        return optimizer

    def _log_epoch(self, part: str) -> None:
        """Log mean loss, accuracy and macro F1 over the windows of an epoch, computed once.

        Where several processes train, each has a part of the training windows, and the mean over
        processes is logged, so that all follow the same schedule.
        """
        losses, logits, targets = zip(*self._epoch[part], strict=True)
        self._epoch[part].clear()
        sizes = torch.tensor([len(target) for target in targets], device=self.device)
        predicted, target = torch.cat(logits).argmax(dim=1), torch.cat(targets)
        values = {
            "loss": (torch.stack(losses) * sizes).sum() / sizes.sum(),
            "accuracy": (predicted == target).float().mean(),
            "macro_f1": multiclass_f1_score(predicted, target, self.n_classes, average="macro"),
        }
        self.log_dict({f"{part}_{name}": value for name, value in values.items()}, sync_dist=True)


def _differing(recipe: Recipe, module: Any) -> list[str]:
    """Return what a datamodule loads otherwise than a recipe says, with both values."""
    windowing, loading = (getattr(module, name, None) for name in ("windowing", "loading"))
    if windowing is None or loading is None:
        return []
    pairs = {
        "window": (recipe.window, windowing.length),
        "stride": (recipe.stride, windowing.stride),
        "scaling": (recipe.scaling, windowing.scaling),
        "oversampling": (recipe.balance == "oversample", windowing.oversample),
        "batch size": (recipe.batch_size, loading.batch_size),
    }
    return [f"{name} {one} and {two}" for name, (one, two) in pairs.items() if one != two]


# The second name is that in checkpoints written when this file defined the recipe.
add_safe_globals([Recipe, (Recipe, "lightning_modules.base.Recipe")])

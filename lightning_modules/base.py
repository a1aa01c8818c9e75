"""EmotionClassifier: one training, validation and test procedure for every network."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.serialization import add_safe_globals
from torchmetrics.functional.classification import multiclass_f1_score

from datamodules.batch import LENGTH, Batch, Chunk, Front, Inputs
from datamodules.errors import IncompatibleRunError


class Output(NamedTuple):
    """What a network returns.

    Attributes:
        logits: Shape (B, K).
        embedding: What the last layer reads, shape (B, D).
    """

    logits: Tensor
    embedding: Tensor

    def widened(self) -> "Output":
        """The same in float32, where a network computed in less."""
        if self.logits.dtype == self.embedding.dtype == torch.float32:
            return self
        return Output(
            *(values.to(torch.promote_types(values.dtype, torch.float32)) for values in self)
        )


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, and on which windows.

    Args:
        source: Where the values are from.
        window: Length of a window in seconds; a dataset's score unit caps it.
        stride: From one training window's start to the next, in seconds.
        scaling: ``"standard"``, ``"min_max"`` or ``"none"``; see EmotionDataModule.
        balance: ``"oversample"`` repeats training windows of rarer classes (done by the
            datamodule); ``"class_weights"`` weighs the training loss by N / (K n_c) over training
            windows; ``"none"`` does neither.
        optimizer: ``"adam"``, ``"adamw"`` or ``"sgd"``.
        lr: Learning rate of the first epoch.
        lr_decay: Factor on the learning rate after each epoch.
        plateau_factor: Factor on the learning rate after ``plateau_patience`` epochs in which
            ``plateau_on`` found no new minimum; 1: none.
        plateau_patience: Epochs.
        plateau_on: ``"train_loss"`` or ``"val_loss"``.
        lr_min: The plateau rule goes no lower.
        momentum: Of sgd.
        eps: Of adam and adamw.
        weight_decay: L2 penalty (adam, sgd) or decoupled decay (adamw).
        batch_size: Windows in a batch.
        max_epochs: Epochs at most; the epoch with the best macro F1 on the validation subjects
            counts, the first of equals.
        patience: Epochs without improvement after which training ends; None: all epochs.
        precision: ``"32-true"``; or ``"bf16-mixed"``: matrix products and convolutions in bfloat16,
            weights, loss and scores in float32. Results differ, in training and in predicting.

    Raises:
        ValueError: A value of the wrong type or out of its range.
    """

    source: str
    window: float = 60.0
    stride: float = 10.0
    scaling: Literal["standard", "min_max", "none"] = "standard"
    balance: Literal["none", "oversample", "class_weights"] = "none"
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    lr_decay: float = 1.0
    plateau_factor: float = 1.0
    plateau_patience: int = 10
    plateau_on: Literal["train_loss", "val_loss"] = "val_loss"
    lr_min: float = 0.0
    momentum: float = 0.0
    eps: float = 1e-8
    weight_decay: float = 0.0
    batch_size: int = 64
    max_epochs: int = 20
    patience: int | None = None
    precision: Literal["32-true", "bf16-mixed"] = "32-true"

    def __post_init__(self) -> None:
        for name in ("window", "stride", "lr", "lr_decay", "plateau_factor", "eps"):
            _expect(name, getattr(self, name), (int, float), above=0)
        for name in ("weight_decay", "momentum", "lr_min"):
            _expect(name, getattr(self, name), (int, float), above=-1e-300)
        for name in ("batch_size", "max_epochs", "plateau_patience"):
            _expect(name, getattr(self, name), (int,), above=0)
        if self.patience is not None:
            _expect("patience", self.patience, (int,), above=0)
        choices = {
            "scaling": ("standard", "min_max", "none"),
            "balance": ("none", "oversample", "class_weights"),
            "optimizer": ("adam", "adamw", "sgd"),
            "plateau_on": ("train_loss", "val_loss"),
            "precision": ("32-true", "bf16-mixed"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"expected {name} among {known}, found {getattr(self, name)!r}")


def _expect(name: str, value: object, kinds: tuple[type, ...], above: float) -> None:
    if isinstance(value, bool) or not isinstance(value, kinds) or not value > above:  # type: ignore[operator]
        what = "whole number" if kinds == (int,) else "number"
        raise ValueError(f"expected {name} to be a positive {what}, found {value!r}")


def choose_signals(
    prefers: tuple[tuple[str, ...], ...], available: Collection[str], model: str
) -> tuple[str, ...]:
    """The signals that a model takes from a dataset.

    Args:
        prefers: Alternatives, the best first; of the first that the dataset has any signal of, all
            that are there are taken. Empty: every signal of the dataset.
        available: The dataset's signals.
        model: Name for the message.

    Raises:
        IncompatibleRunError: The dataset has none of them.
    """
    if not prefers:
        return tuple(available)
    for alternative in prefers:
        found = tuple(name for name in alternative if name in available)
        if found:
            return found
    wanted = ", then ".join(" + ".join(alternative) for alternative in prefers)
    raise IncompatibleRunError(f"{model} takes {wanted}; there is only {', '.join(available)}")


def balanced_weights(counts: Tensor) -> Tensor:
    """Weight N / (K n_c) of each class, 0 for one that does not occur, shape (K,).

    Args:
        counts: Windows of each class, n_c, shape (K,).
    """
    weights = counts.sum() / (len(counts) * counts.clamp_min(1))
    return weights.where(counts > 0, 0)


class EmotionClassifier(L.LightningModule):
    """Cross-entropy, scores and optimiser around any network.

    An architecture is a subclass that names its network, its recipe and the signals it prefers.

    Args:
        network: Maps a dict of signals, each (B, C, T), to Output.
        n_classes: K.
        recipe: How it is trained.
    """

    prefers: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Alternatives for ``choose_signals``, the paper's own input first."""
    published: ClassVar[Recipe]
    """The recipe of the paper, or of this project where there is no paper."""
    fast: ClassVar[Recipe]
    """Fewer epochs and early stopping, for suites that choose it."""
    masks: ClassVar[bool] = False
    """Whether it takes a mask for padded trials."""

    class_weights: Tensor | None

    def __init__(self, network: nn.Module, n_classes: int, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.n_classes = n_classes
        self.register_buffer("class_weights", None, persistent=False)
        self._epoch: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {"train": [], "val": []}

    @classmethod
    def choose_signals(cls, available: Collection[str]) -> tuple[str, ...]:
        """The signals it takes from a dataset; raises IncompatibleRunError if there are none."""
        return choose_signals(cls.prefers, available, cls.__name__)

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError, with the reason, for inputs that it cannot work on.

        A subclass that has reasons of its own asks here first.
        """
        if LENGTH in inputs and not cls.masks:
            raise IncompatibleRunError(
                f"{cls.__name__} takes no mask: expected signals alone, found {', '.join(inputs)}. "
                "Pad without a mask, or take a model that has one."
            )

    @property
    def front(self) -> Front | None:
        """What may be computed once and kept; None, unless overridden."""
        return None

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        output: Output = self.network(signals)
        return output.widened()

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss of a batch and its logits (B, K); weights and penalty count in training alone."""
        logits = self(batch.signals).logits
        if not self.training:
            return nn.functional.cross_entropy(logits, batch.target), logits
        loss = nn.functional.cross_entropy(logits, batch.target, self.class_weights)
        return self.penalized(loss), logits

    def penalized(self, loss: Tensor) -> Tensor:
        """A loss in training and what is added whatever the batch: nothing, unless overridden."""
        return loss

    def on_fit_start(self) -> None:
        """Weigh classes by the datamodule's training windows, where the recipe says so.

        Raises:
            IncompatibleRunError: There is no datamodule that counts them.
        """
        self.class_weights = None
        if self.recipe.balance != "class_weights":
            return
        module = getattr(self.trainer, "datamodule", None)
        counts = getattr(module, "class_counts", None)
        if counts is None:
            raise IncompatibleRunError(
                'balance="class_weights": expected a datamodule with class_counts, found '
                f"{type(module).__name__ if module else 'none'}. Fit with datamodule=, or take "
                'balance="none".'
            )
        self.class_weights = balanced_weights(counts()).to(self.device)

    def training_step(self, batch: Batch | Chunk, batch_idx: int) -> Tensor:
        """Loss of a batch; of a chunk, that of the last, after the optimiser stepped on the others.

        What a Trainer does around a step costs as much as a step of a small network. The weights
        are the same to the last bit, but the Trainer counts one step a chunk.
        """
        if isinstance(batch, Batch):
            return self._training_loss(batch)
        if torch.is_autocast_enabled(self.device.type):  # it keeps casts of weights for the step
            raise IncompatibleRunError(
                "steps in chunks: expected precision 32-true, found autocast. Take chunk=1."
            )
        optimizer = cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))
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

    def _update(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.step()

    def _training_loss(self, batch: Batch) -> Tensor:
        loss, logits = self.loss(batch)
        self._epoch["train"].append((loss.detach(), logits.detach(), batch.target))
        return loss

    def validation_step(self, batch: Batch | Chunk, batch_idx: int) -> None:
        for one in (batch,) if isinstance(batch, Batch) else batch:
            loss, logits = self.loss(one)
            self._epoch["val"].append((loss, logits, one.target))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Probabilities, shape (B, K)."""
        output: Output = self(batch.signals)
        return output.logits.softmax(dim=1)

    def on_train_epoch_end(self) -> None:
        self._log_epoch("train")

    def on_validation_epoch_end(self) -> None:
        self._log_epoch("val")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        recipe = self.recipe
        common: dict[str, Any] = {
            "lr": recipe.lr,
            "weight_decay": recipe.weight_decay,
            "fused": True,
        }
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(self.parameters(), momentum=recipe.momentum, **common)
        else:
            kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
            optimizer = kind(self.parameters(), eps=recipe.eps, **common)
        if recipe.plateau_factor == 1:
            scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.lr_decay)
            return {"optimizer": optimizer, "lr_scheduler": scheduler}
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=recipe.plateau_factor,
            patience=recipe.plateau_patience - 1,
            threshold=1e-4,
            threshold_mode="abs",
            min_lr=recipe.lr_min,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": recipe.plateau_on},
        }

    def _log_epoch(self, part: str) -> None:
        """Log mean loss and macro F1 over the windows of an epoch, computed once.

        Where several processes train, each has its part of the training windows, and the mean over
        processes is logged, so that all follow the same schedule.
        """
        losses, logits, targets = zip(*self._epoch[part], strict=True)
        self._epoch[part].clear()
        sizes = torch.tensor([len(target) for target in targets], device=self.device)
        macro_f1 = multiclass_f1_score(
            torch.cat(logits), torch.cat(targets), self.n_classes, average="macro"
        )
        loss = (torch.stack(losses) * sizes).sum() / sizes.sum()
        self.log_dict({f"{part}_loss": loss, f"{part}_macro_f1": macro_f1}, sync_dist=True)


add_safe_globals([Recipe])

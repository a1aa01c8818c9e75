"""Recipe: how a model is trained, and on which windows. It needs no torch."""

from dataclasses import dataclass, field, fields
from typing import Literal, get_origin

from lightning_modules.choices import check_choice

RECIPES = ("published", "fast")
"""Names of the recipes that a model may have."""

POSITIVE = ("window", "stride", "lr", "plateau_factor", "lr_decay", "eps")
NOT_NEGATIVE = ("weight_decay", "momentum", "lr_min", "plateau_delta")
COUNTS = ("batch_size", "max_epochs", "plateau_patience")


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of training, and of the windows that a model is trained on.

    Args:
        source: Origin of the values; prose, which two equal recipes may word differently.
        window: Length of a window in seconds. One that is longer than a dataset's score unit is
            placed around it when the unit is scored, as far as the dataset's segments hold one; the
            shortest of them caps it, or the shortest trial where trials are scored.
        stride: Seconds from the start of one training window to the start of the next.
        scaling: ``"standard"``, ``"min_max"`` or ``"none"``; see EmotionDataModule.
        balance: ``"oversample"`` repeats training windows of rarer classes (done by the
            datamodule); ``"class_weights"`` weighs the training loss by N / (K n_c) over training
            windows; ``"none"`` does neither.
        optimizer: ``"adam"``, ``"adamw"`` or ``"sgd"``.
        lr: Learning rate of the first epoch.
        lr_decay: Factor on the learning rate after each epoch.
        plateau_factor: Factor on the learning rate after ``plateau_patience`` epochs without a new
            minimum of ``plateau_on``; 1 switches the rule off.
        plateau_patience: Number of epochs without a new minimum.
        plateau_on: ``"train_loss"`` or ``"val_loss"``.
        plateau_delta: Fall of ``plateau_on`` from which on it is a new minimum.
        lr_min: Lowest learning rate that the plateau rule sets.
        momentum: Momentum of sgd.
        eps: Term in the denominator of adam and adamw.
        weight_decay: L2 penalty (adam, sgd) or decoupled decay (adamw).
        batch_size: Number of windows in a batch.
        max_epochs: Maximum number of epochs. The epoch with the best ``select_on`` counts, the
            first one if several are equal.
        select_on: What chooses the epoch: ``"val_macro_f1"``, ``"val_accuracy"`` or ``"val_loss"``
            over the windows of the validation subjects, or ``"train_loss"``.
        patience: Number of epochs without improvement after which training ends; None trains all
            epochs.
        precision: ``"32-true"``; or ``"bf16-mixed"``: matrix products and convolutions in bfloat16,
            weights, loss and scores in float32. Results differ, in training and in predicting.
        refit: Whether, once the epoch is chosen, a new model is trained for as many epochs on
            training and validation subjects together, at the same learning rates; that one is
            tested.
        statistics: What batch normalisation predicts by: ``"running"`` means and variances of the
            last training batches; or ``"training_windows"``: those of all training windows, taken
            anew when an epoch ends, for which every window passes the network once more.
        modality_dropout: Probability of each signal to be left out of a training window: it is 0
            there, its training mean after standard scaling, and so is what is derived of it. Never
            are all left out. 0 draws no random number.
        tuned_on: Names of the datasets whose people had a say when this project chose a value; what
            the authors of a paper tried is not known. Like ``source`` it says where values are
            from, and is no part of what they do: it is left out of comparisons and of ids.

    Raises:
        ValueError: A value of the wrong type or out of its range.
    """

    source: str = field(compare=False)
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
    refit: bool = False
    plateau_delta: float = 1e-4
    select_on: Literal["val_macro_f1", "val_accuracy", "val_loss", "train_loss"] = "val_macro_f1"
    statistics: Literal["running", "training_windows"] = "running"
    modality_dropout: float = 0.0
    tuned_on: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in POSITIVE:
            value = getattr(self, name)
            if not (_is_number(value) and value > 0):
                raise ValueError(f"expected {name} to be a positive number, found {value!r}")
        for name in NOT_NEGATIVE:
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                raise ValueError(f"expected {name} to be a number from 0 up, found {value!r}")
        for name in COUNTS if self.patience is None else (*COUNTS, "patience"):
            value = getattr(self, name)
            if not (_is_number(value) and isinstance(value, int) and value > 0):
                raise ValueError(f"expected {name} to be a positive whole number, found {value!r}")
        dropout = self.modality_dropout
        if not (_is_number(dropout) and 0 <= dropout < 1):
            raise ValueError(f"expected modality_dropout from 0 to below 1, found {dropout!r}")
        if dropout and self.scaling != "standard":
            raise ValueError(
                "modality_dropout: expected scaling standard, by which a signal that is left out "
                f"is its mean, found {self.scaling!r}"
            )
        if not isinstance(self.refit, bool):
            raise ValueError(f"expected refit to be true or false, found {self.refit!r}")
        if not (
            isinstance(self.tuned_on, tuple) and all(isinstance(n, str) for n in self.tuned_on)
        ):
            raise ValueError(f"expected tuned_on to be a tuple of names, found {self.tuned_on!r}")
        for item in fields(self):
            if get_origin(item.type) is Literal:
                check_choice(item.name, getattr(self, item.name), item.type)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""RowClassifier: the base of DNN, LSTM, CNN and CNN-LSTM, which classify feature rows."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from torch import nn

from datamodules.batch import LENGTH, Front, Inputs
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier
from lightning_modules.feature_rows.rows import FeatureRows
from lightning_modules.recipe import Recipe

PUBLISHED = Recipe(
    source="this project's design after a study on SEED-V: Adam 1e-3, batch 32, patience 10 as "
    "there; windows of ten rows of 4 s, plateau after 5 epochs are ours",
    window=40.0,
    stride=20.0,
    lr=1e-3,
    plateau_factor=0.2,
    plateau_patience=5,
    plateau_on="val_loss",
    batch_size=32,
    max_epochs=100,
    patience=10,
)

FAST = replace(
    PUBLISHED,
    source="this project's: stopped early; learning rate tuned for the four together on validation "
    "subjects of Stress-Predict (tests/benchmarks/tune_fast.py)",
    lr=3e-3,
    plateau_patience=3,
    max_epochs=25,
    patience=6,
    tuned_on=("stress_predict",),
)


class RowNetwork(nn.Module):
    """A network whose first layer computes feature rows.

    Args:
        inputs: Any signals; see FeatureRows.
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.rows = FeatureRows(inputs)


class RowClassifier(EmotionClassifier):
    """A classifier of feature rows, or of raw signals by the layers of a study on SEED-V.

    ``layers="rows"`` is this project's design on feature rows; it takes a mask for padded trials.
    The other names are the study's own layer tables, which take none; see seedv_study.

    Args:
        inputs: Any signals, preferably ``"eeg_de"``, and ``LENGTH`` where there is a mask.
        n_classes: Number of classes, K.
        layers: Name of one of ``networks``.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: No signal, or inputs that the study's layers cannot take.
        ValueError: There is no network of this name.
    """

    prefers = (
        ("eeg_de",),
        ("eeg",),
        ("eda", "bvp", "bvp_beats", "temp", "resp", "ecg", "ecg_beats"),
        ("eye",),
        ("chest_eda", "chest_temp", "emg", "eog"),
        ("eeg_study",),
        ("eeg_study_pooled",),
    )
    published = PUBLISHED
    fast = FAST
    masks = True
    networks: ClassVar[Mapping[str, Callable[[Inputs, int], nn.Module]]]
    """Networks by the names that ``layers`` takes."""

    def __init__(
        self, inputs: Inputs, n_classes: int, layers: str = "rows", recipe: Recipe = PUBLISHED
    ) -> None:
        self.check_inputs(inputs)
        if layers not in self.networks:
            raise ValueError(f"expected layers among {', '.join(self.networks)}, found {layers!r}")
        super().__init__(self.networks[layers](inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

    @property
    def front(self) -> Front | None:
        """Features; None for the study's layers, and if all signals are feature rows already.

        None too where signals are left out of training windows: rows are those of what is left.
        """
        if self.recipe.modality_dropout or not isinstance(self.network, RowNetwork):
            return None
        return self.network.rows.front

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is a signal."""
        super().check_inputs(inputs)
        if not set(inputs) - {LENGTH}:
            raise IncompatibleRunError(f"{cls.__name__} takes one signal or more, found none")

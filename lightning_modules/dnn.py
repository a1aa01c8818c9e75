"""DNN: dense layers over each feature row, averaged over rows."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output, Recipe
from lightning_modules.rows import PUBLISHED, FeatureRows, RowClassifier
from lightning_modules.seedv_study import StudyDNN1Network, StudyDNN2Network, choose_network

WIDTH = 128
DROPOUT = 0.2


class DNNNetwork(nn.Module):
    """Two dense layers a row, the mean over rows, one dense layer.

    Args:
        inputs: Any signals; see FeatureRows.
        n_classes: K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        self.rows = FeatureRows(inputs)
        self.first = nn.Linear(self.rows.n_features, WIDTH)
        self.first_norm = nn.BatchNorm1d(WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.second_norm = nn.BatchNorm1d(WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        rows = self.rows(signals).transpose(1, 2)  # (B, R, F)
        shape = rows.shape[:2]
        rows = rows.flatten(0, 1)  # (B R, F)
        rows = self.dropout(self.first_norm(self.first(rows).relu()))  # (B R, 128)
        rows = self.dropout(self.second_norm(self.second(rows).relu()))  # (B R, 128)
        embedding = self.hidden(rows.unflatten(0, shape).mean(dim=1)).relu()  # (B, 128)
        return Output(self.head(embedding), embedding)


class DNN(RowClassifier):
    """DNN on feature rows, in the spirit of a study on SEED-V.

    ``layers="rows"`` is this project's design. It has the widths of the study and departs from it
    in the following, and why:

    * The input is feature rows, by preference the dataset's own differential entropy, in windows of
      ten rows; the study takes whole trials of raw EEG, padded with zeros to the longest, and the
      amount of padding alone tells the class.
    * Dense layers act on the features of a row and share their weights over rows; the study's act
      on all samples of a channel.
    * Features computed here are first standardised by running statistics without parameters, of
      training batches only; rows that the dataset has are scaled by the datamodule. The study's
      scaler is that of its last training trial.
    * Training ends, and the epoch is chosen, by macro F1 on validation subjects; the study goes by
      the loss, for some models on the test trials.
    * Validation and test windows come at the same stride as training windows, and probabilities are
      averaged within a score unit.

    ``layers="study_1"`` and ``"study_2"`` are the study's own two tables; see seedv_study.

    Args:
        inputs: Any signals; by preference ``"eeg_de"``.
        n_classes: K.
        layers: Which network.
        recipe: How it is trained.

    Raises:
        IncompatibleRunError: No signal, or one that the study's layers cannot take.

    References:
        Ahmed, Analysis of Deep Learning Models for Emotion Recognition, released notebooks
        (https://github.com/sifatahammed/Analysis-of-Deep-Learning-Models-for-Emotion-Recognition).
    """

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        layers: Literal["rows", "study_1", "study_2"] = "rows",
        recipe: Recipe = PUBLISHED,
    ) -> None:
        self.check_inputs(inputs)
        networks = {"rows": DNNNetwork, "study_1": StudyDNN1Network, "study_2": StudyDNN2Network}
        super().__init__(choose_network(networks, layers, inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

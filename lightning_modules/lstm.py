"""LSTM: two recurrent layers over feature rows."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output, Recipe
from lightning_modules.rows import PUBLISHED, FeatureRows, RowClassifier
from lightning_modules.seedv_study import StudyLSTM1Network, StudyLSTM2Network, choose_network

UNITS = 64
WIDTH = 128
DROPOUT = 0.2


class LSTMNetwork(nn.Module):
    """Two LSTM layers over rows, the state after the last row, one dense layer.

    Args:
        inputs: Any signals; see FeatureRows.
        n_classes: K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        self.rows = FeatureRows(inputs)
        self.lstm = nn.LSTM(self.rows.n_features, UNITS, num_layers=2, batch_first=True)
        self.norm = nn.BatchNorm1d(UNITS)
        self.dropout = nn.Dropout(DROPOUT)
        self.hidden = nn.Linear(UNITS, WIDTH)
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        rows = self.rows(signals).transpose(1, 2)  # (B, R, F)
        states, _ = self.lstm(rows)  # (B, R, 64)
        last = self.dropout(self.norm(states[:, -1]))  # (B, 64)
        embedding = self.hidden(last).relu()  # (B, 128)
        return Output(self.head(embedding), embedding)


class LSTM(RowClassifier):
    """LSTM on feature rows, in the spirit of a study on SEED-V.

    ``layers="rows"`` is this project's design. It has the widths of the study's LSTM-1 and departs
    from it as DNN does, and in this: it steps over rows, which follow each other in time; the study
    steps over electrodes, with all samples of one as the vector of a step. The state after the last
    row is classified: segments have one length, so there is no padding to mask.

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
        networks = {"rows": LSTMNetwork, "study_1": StudyLSTM1Network, "study_2": StudyLSTM2Network}
        super().__init__(choose_network(networks, layers, inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

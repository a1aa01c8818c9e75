"""LSTM: two recurrent layers over feature rows."""

from collections.abc import Mapping

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.feature_rows.rows import last_row
from lightning_modules.row_classifier import RowClassifier, RowNetwork
from lightning_modules.seedv_study import StudyLSTM1Network, StudyLSTM2Network

UNITS = 64
WIDTH = 128
DROPOUT = 0.2


class LSTMNetwork(RowNetwork):
    """Two LSTM layers over rows, the state after the last valid row, one dense layer.

    Args:
        inputs: Any signals; see FeatureRows.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        self.lstm = nn.LSTM(self.rows.n_features, UNITS, num_layers=2, batch_first=True)
        self.norm = nn.BatchNorm1d(UNITS)
        self.dropout = nn.Dropout(DROPOUT)
        self.hidden = nn.Linear(UNITS, WIDTH)
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        rows = self.rows(signals).transpose(1, 2)  # (B, R, F)
        states, _ = self.lstm(rows)  # (B, R, 64)
        last = self.dropout(self.norm(last_row(states, self.rows.valid(signals))))  # (B, 64)
        embedding = self.hidden(last).relu()  # (B, 128)
        return Output(self.head(embedding), embedding)


class LSTM(RowClassifier):
    """LSTM on feature rows, in the spirit of a study on SEED-V.

    ``layers="rows"`` is this project's design. It has the widths of the study's LSTM-1 and departs
    from it as DNN does, and in this: it steps over rows, which follow each other in time; the study
    steps over electrodes, with all samples of one as the vector of a step. The state after the last
    row is classified; of a padded trial with a mask, after the last valid one.

    ``layers="study_1"`` and ``"study_2"`` are the study's own two tables; see seedv_study.

    References:
        Ahmed, Analysis of Deep Learning Models for Emotion Recognition, released notebooks
        (https://github.com/sifatahammed/Analysis-of-Deep-Learning-Models-for-Emotion-Recognition).
    """

    networks = {
        "rows": LSTMNetwork,
        "study_1": StudyLSTM1Network,
        "study_2": StudyLSTM2Network,
    }

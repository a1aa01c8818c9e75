"""CNN-LSTM: two convolutions over sites and feature rows, then a recurrent layer over rows."""

from collections.abc import Mapping

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.cnn import apply_layers, convolve_sites, pool_sites
from lightning_modules.feature_rows.rows import last_row
from lightning_modules.row_classifier import RowClassifier, RowNetwork
from lightning_modules.seedv_study import StudyCNNLSTMNetwork

WIDTHS = (32, 64)
UNITS = 16
DROPOUT = 0.2


class CNNLSTMNetwork(RowNetwork):
    """Two 3x3 convolutions over (sites, rows), an LSTM over rows, the state after the last one.

    EEG features come as one map a band, (5, electrodes, rows); those of other signals as one map a
    feature, (F, 1, rows). See ``FeatureRows.maps``. The last row is that of a trial, not of its
    padding, where there is a mask.

    Args:
        inputs: Any signals; see FeatureRows.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        groups, sites = self.rows.layout
        half = max(1, sites // 2)
        quarter = max(1, half // 2)
        self.layers = nn.Sequential(
            convolve_sites(groups, WIDTHS[0], sites),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(),
            pool_sites(sites),
            convolve_sites(WIDTHS[0], WIDTHS[1], half),
            nn.BatchNorm2d(WIDTHS[1]),
            nn.ReLU(),
            pool_sites(half),
        )
        self.lstm = nn.LSTM(WIDTHS[1] * quarter, UNITS, batch_first=True)
        self.norm = nn.BatchNorm1d(UNITS)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(UNITS, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        valid = self.rows.valid(signals)  # (B, R)
        maps = self.rows.maps(self.rows(signals))  # (B, G, S, R)
        maps = apply_layers(self.layers, maps, valid)  # (B, 64, S/4, R)
        steps = maps.flatten(1, 2).transpose(1, 2)  # (B, R, 64 S/4)
        states, _ = self.lstm(steps)  # (B, R, 16)
        embedding = self.norm(last_row(states, valid))  # (B, 16)
        return Output(self.head(self.dropout(embedding)), embedding)


class CNNLSTM(RowClassifier):
    """CNN-LSTM on feature rows, in the spirit of a study on SEED-V.

    ``layers="rows"`` is this project's design. It has the widths of the study and departs from it
    as CNN and LSTM do, and in this: the state after the last row is classified, by a softmax; the
    study classifies the states of all its steps, by one sigmoid a class. Where there is one site,
    nothing is pooled, and kernels are 1x3.

    ``layers="study"`` is the study's own table; see seedv_study.

    References:
        Ahmed, Analysis of Deep Learning Models for Emotion Recognition, released notebooks
        (https://github.com/sifatahammed/Analysis-of-Deep-Learning-Models-for-Emotion-Recognition).
    """

    networks = {"rows": CNNLSTMNetwork, "study": StudyCNNLSTMNetwork}

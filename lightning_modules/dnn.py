"""DNN: dense layers over each feature row, averaged over rows."""

from collections.abc import Mapping

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.row_classifier import RowClassifier, RowNetwork
from lightning_modules.seedv_study import StudyDNN1Network, StudyDNN2Network

WIDTH = 128
DROPOUT = 0.2


class DNNNetwork(RowNetwork):
    """Two dense layers for each row, the mean over valid rows, one dense layer.

    Padded rows are left out from the start.

    Args:
        inputs: Any signals; see FeatureRows.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        self.first = nn.Linear(self.rows.n_features, WIDTH)
        self.first_norm = nn.BatchNorm1d(WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.second_norm = nn.BatchNorm1d(WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        rows = self.rows(signals).transpose(1, 2)  # (B, R, F)
        valid = self.rows.valid(signals)  # (B, R)
        steps = rows.flatten(0, 1) if valid is None else rows[valid]  # (N, F)
        steps = self.dropout(self.first_norm(self.first(steps).relu()))  # (N, 128)
        steps = self.dropout(self.second_norm(self.second(steps).relu()))  # (N, 128)
        if valid is None:
            mean = steps.unflatten(0, rows.shape[:2]).mean(dim=1)  # (B, 128)
        else:
            spread = steps.new_zeros(*valid.shape, WIDTH).index_put((valid,), steps)  # (B, R, 128)
            mean = spread.sum(dim=1) / valid.sum(dim=1, keepdim=True)  # (B, 128)
        embedding = self.hidden(mean).relu()  # (B, 128)
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

    References:
        Ahmed, Analysis of Deep Learning Models for Emotion Recognition, released notebooks
        (https://github.com/sifatahammed/Analysis-of-Deep-Learning-Models-for-Emotion-Recognition).
    """

    networks = {
        "rows": DNNNetwork,
        "study_1": StudyDNN1Network,
        "study_2": StudyDNN2Network,
    }

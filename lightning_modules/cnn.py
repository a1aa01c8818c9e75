"""CNN: two convolutions over sites and feature rows, averaged over both."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output, Recipe
from lightning_modules.rows import PUBLISHED, FeatureRows, RowClassifier, convolve_sites, pool_sites
from lightning_modules.seedv_study import StudyCNN1Network, StudyCNN2Network, choose_network

WIDTH = 64
DROPOUT = 0.2


class CNNNetwork(nn.Module):
    """Two 3x3 convolutions over (sites, rows), the mean over both, one linear layer.

    EEG features come as one map a band, (5, electrodes, rows); those of other signals as one map a
    feature, (F, 1, rows). See ``FeatureRows.maps``.

    Args:
        inputs: Any signals; see FeatureRows.
        n_classes: K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        self.rows = FeatureRows(inputs)
        groups, sites = self.rows.layout
        self.layers = nn.Sequential(
            convolve_sites(groups, WIDTH, sites),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            pool_sites(sites),
            convolve_sites(WIDTH, WIDTH, max(1, sites // 2)),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        maps = self.rows.maps(self.rows(signals))  # (B, G, S, R)
        embedding = self.layers(maps).mean(dim=(2, 3))  # (B, 64)
        return Output(self.head(self.dropout(embedding)), embedding)


class CNN(RowClassifier):
    """CNN on feature rows, in the spirit of a study on SEED-V.

    ``layers="rows"`` is this project's design. It has the width of the study's CNN-1 and departs
    from it as DNN does, and in this: bands are the input maps, convolutions move one step at a time
    and are normalised before ReLU, pooling halves electrodes but not time, and the mean over
    electrodes and rows is classified instead of each place in the map, so that any number of either
    will do. Where there is one site, nothing is pooled, and kernels are 1x3.

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
        networks = {"rows": CNNNetwork, "study_1": StudyCNN1Network, "study_2": StudyCNN2Network}
        super().__init__(choose_network(networks, layers, inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

"""CNN: two convolutions over sites and feature rows, averaged over both."""

from collections.abc import Mapping

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.feature_rows.rows import normalize
from lightning_modules.row_classifier import RowClassifier, RowNetwork
from lightning_modules.seedv_study import StudyCNN1Network, StudyCNN2Network

WIDTH = 64
DROPOUT = 0.2


def convolve_sites(n_inputs: int, n_outputs: int, n_sites: int) -> nn.Conv2d:
    """Return a 3x3 convolution over sites and rows, or over rows alone if there is one site."""
    return nn.Conv2d(n_inputs, n_outputs, (3 if n_sites > 1 else 1, 3), padding="same")


def pool_sites(n_sites: int) -> nn.Module:
    """Return a layer that takes the maximum of two neighbouring sites; one site stays as it is."""
    return nn.MaxPool2d((2, 1)) if n_sites > 1 else nn.Identity()


def apply_layers(layers: nn.Sequential, maps: Tensor, valid: Tensor | None) -> Tensor:
    """Apply convolutions, norms and pooling of sites to maps.

    Padded rows are zero in the end and after each norm, so that valid rows see the same beyond the
    end of a trial as beyond the end of a window.

    Args:
        layers: Layers with a norm after each convolution.
        maps: Feature maps, shape (B, G, S, R), zero in padded rows.
        valid: Mask of the rows that are not padded, shape (B, R); None for all.

    Returns:
        Feature maps, shape (B, D, S', R).
    """
    for layer in layers:
        norms = isinstance(layer, nn.BatchNorm2d)
        maps = normalize(layer, maps, valid) if norms else layer(maps)
    return maps


class CNNNetwork(RowNetwork):
    """Two 3x3 convolutions over (sites, rows), the mean over both, one linear layer.

    EEG features come as one map a band, (5, electrodes, rows); those of other signals as one map a
    feature, (F, 1, rows). See ``FeatureRows.maps``. Padded rows are left out of the mean.

    Args:
        inputs: Any signals; see FeatureRows.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
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
        valid = self.rows.valid(signals)  # (B, R)
        maps = self.rows.maps(self.rows(signals))  # (B, G, S, R)
        maps = apply_layers(self.layers, maps, valid)  # (B, 64, S/2, R)
        if valid is None:
            embedding = maps.mean(dim=(2, 3))  # (B, 64)
        else:
            embedding = maps.mean(dim=2).sum(dim=2) / valid.sum(dim=1, keepdim=True)  # (B, 64)
        return Output(self.head(self.dropout(embedding)), embedding)


class CNN(RowClassifier):
    """CNN on feature rows, in the spirit of a study on SEED-V.

    ``layers="rows"`` is this project's design. It has the width of the study's CNN-1 and departs
    from it as DNN does, and in this: bands are the input maps, convolutions move one step at a time
    and are normalised before ReLU, pooling halves electrodes but not time, and the mean over
    electrodes and rows is classified instead of each place in the map, so that any number of either
    will do. Where there is one site, nothing is pooled, and kernels are 1x3.

    ``layers="study_1"`` and ``"study_2"`` are the study's own two tables; see seedv_study.

    References:
        Ahmed, Analysis of Deep Learning Models for Emotion Recognition, released notebooks
        (https://github.com/sifatahammed/Analysis-of-Deep-Learning-Models-for-Emotion-Recognition).
    """

    networks = {
        "rows": CNNNetwork,
        "study_1": StudyCNN1Network,
        "study_2": StudyCNN2Network,
    }

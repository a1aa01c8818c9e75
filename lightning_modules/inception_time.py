"""InceptionTime's network (Ismail Fawaz et al. 2020): six inception modules, a mean over time."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.grid_classifier import EPS, GridClassifier, SameConv1d, initialize
from lightning_modules.layers import DebiasedBatchNorm1d
from lightning_modules.mlstm_fcn import CommonGrid
from lightning_modules.recipe import Recipe

KERNELS = (40, 20, 10)
"""Number of samples of the three convolutions of a module."""

N_FILTERS = 32
"""Number of feature maps of each of the four branches of a module."""

BOTTLENECK = 32
"""Number of feature maps that the convolutions of a module read."""

POOLED = 3
"""Number of samples whose maximum the fourth branch reads."""

N_GROUPS, PER_GROUP = 2, 3
"""Number of shortcuts, and of modules that each of them passes by."""

PUBLISHED = Recipe(
    source="Ismail Fawaz et al. 2020 as sktime has it: Adam, 1e-3, batches of 64, 1500 epochs, the "
    "learning rate halved when the training loss stands still for 50 epochs; windows are ours",
    window=60.0,
    stride=10.0,
    lr=1e-3,
    plateau_factor=0.5,
    plateau_patience=50,
    plateau_on="train_loss",
    lr_min=1e-4,
    batch_size=64,
    max_epochs=1500,
)

FAST = replace(
    PUBLISHED,
    source="this project's: fewer windows and epochs, smaller batches; length of windows and class "
    "weights looked at on validation subjects of one fold of Stress-Predict, seed 0",
    stride=120.0,
    balance="class_weights",
    batch_size=16,
    max_epochs=4,
    tuned_on=("stress_predict",),
)


class InceptionModule(nn.Module):
    """Convolutions of three lengths and one over a maximum, side by side, BatchNorm and ReLU.

    The three read a bottleneck of the input, a convolution of one sample; where the input has one
    map, they read that. The fourth branch is a convolution of one sample of the maximum of each
    sample and its neighbours. No convolution has a bias.

    Args:
        n_inputs: Number of feature maps in.
    """

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        narrow = n_inputs > 1
        width = BOTTLENECK if narrow else n_inputs
        self.bottleneck = nn.Conv1d(n_inputs, width, 1, bias=False) if narrow else nn.Identity()
        self.convolutions = nn.ModuleList(
            SameConv1d(width, N_FILTERS, kernel, bias=False) for kernel in KERNELS
        )
        self.maximum = nn.Sequential(
            nn.MaxPool1d(POOLED, stride=1, padding=POOLED // 2),
            nn.Conv1d(n_inputs, N_FILTERS, 1, bias=False),
        )
        self.norm = DebiasedBatchNorm1d(N_FILTERS * (len(KERNELS) + 1), eps=EPS)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (B, 128, T), of maps of shape (B, C, T)."""
        narrowed = self.bottleneck(maps)  # (B, 32, T)
        branches = [convolve(narrowed) for convolve in self.convolutions]
        joined = torch.cat([*branches, self.maximum(maps)], dim=1)  # (B, 128, T)
        return torch.relu(self.norm(joined))


class ResidualGroup(nn.Module):
    """Three inception modules beside a shortcut: a convolution of one sample and BatchNorm.

    Args:
        n_inputs: Number of feature maps in.
    """

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        n_outputs = N_FILTERS * (len(KERNELS) + 1)
        later = [InceptionModule(n_outputs) for _ in range(PER_GROUP - 1)]
        self.inceptions = nn.Sequential(InceptionModule(n_inputs), *later)
        self.shortcut = nn.Sequential(
            nn.Conv1d(n_inputs, n_outputs, 1, bias=False),
            DebiasedBatchNorm1d(n_outputs, eps=EPS),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (B, 128, T), of maps of shape (B, C, T)."""
        total: Tensor = self.inceptions(maps) + self.shortcut(maps)  # (B, 128, T)
        return total.relu()


class InceptionTimeNetwork(nn.Module):
    """Six inception modules with a shortcut past each three, the mean over time, one linear layer.

    Args:
        inputs: Any signals, on one grid; see CommonGrid.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        self.grid = CommonGrid(inputs)
        n_outputs = N_FILTERS * (len(KERNELS) + 1)
        later = [ResidualGroup(n_outputs) for _ in range(N_GROUPS - 1)]
        self.groups = nn.Sequential(ResidualGroup(self.grid.n_variables), *later)
        self.head = nn.Linear(n_outputs, n_classes)
        initialize(self)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        embedding = self.groups(self.grid(signals)).mean(dim=2)  # (B, 128)
        return Output(self.head(embedding), embedding)


class InceptionTime(GridClassifier):
    """InceptionTime's network, one of the five whose mean the paper calls InceptionTime.

    A row is one network, so that it can be compared with the other networks of a board at the same
    cost. The paper's system is the mean of the probabilities of five of them, which differ in
    nothing but their initial weights; it is better than one, and costs five times as much. Rows of
    several seeds say how one network scores in the mean, which is less than the five together.

    Departures from the paper, and why:

    * One network instead of five, as above.
    * The series are windows of several signals at several rates, joined on one grid of at most 640
      samples; see CommonGrid.
    * Samples are standardised with moments of the training subjects. The paper's archive has each
      series standardised by itself, which would take the level of skin conductance out.
    * The epoch is chosen on validation subjects by macro F1; the paper takes the one with the
      lowest training loss.
    * BatchNorm's running moments are the means over the batches so far up to 100 of them; see
      DebiasedBatchNorm1d.

    As published: kernels of 40, 20 and 10 samples, whatever the rate; no bias in convolutions; no
    bottleneck where there is one variable; initial weights uniform after Glorot.

    Args:
        inputs: Any signals.
        n_classes: Number of classes, K.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.

    References:
        Ismail Fawaz et al., InceptionTime: finding AlexNet for time series classification, Data
        Mining and Knowledge Discovery 34 (2020) 1936-1962, arXiv 1909.04939.
    """

    published = PUBLISHED
    fast = FAST

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe = PUBLISHED) -> None:
        self.check_inputs(inputs)
        super().__init__(InceptionTimeNetwork(inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

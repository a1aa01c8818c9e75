"""ResNet for time series (Wang, Yan and Oates 2017): three residual blocks and a mean over time."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.grid_classifier import EPS, GridClassifier, SameConv1d, initialize
from lightning_modules.layers import DebiasedBatchNorm1d
from lightning_modules.mlstm_fcn import CommonGrid
from lightning_modules.recipe import Recipe

KERNELS = (8, 5, 3)
"""Number of samples of the three convolutions of a block."""

MAPS = (64, 128, 128)
"""Number of feature maps of the three blocks."""

PUBLISHED = Recipe(
    source="Wang, Yan and Oates 2017 as sktime has it after Ismail Fawaz et al. 2019: Adam, "
    "batches of 16, 1500 epochs; 1e-3, halved when the training loss stands still for 50 epochs, "
    "was not read again; windows are ours",
    window=60.0,
    stride=10.0,
    lr=1e-3,
    plateau_factor=0.5,
    plateau_patience=50,
    plateau_on="train_loss",
    lr_min=1e-4,
    batch_size=16,
    max_epochs=1500,
)

FAST = replace(
    PUBLISHED,
    source="this project's: fewer windows and epochs; length of windows and class weights "
    "looked at on validation subjects of one fold of Stress-Predict, seed 0",
    stride=120.0,
    balance="class_weights",
    max_epochs=5,
    tuned_on=("stress_predict",),
)


class ResidualBlock(nn.Module):
    """Three convolutions beside a shortcut; as many samples out as in.

    Each convolution is followed by BatchNorm, and the first two by ReLU; the third one's comes
    after the sum. The shortcut is a convolution of one sample where the number of feature maps
    changes, and BatchNorm.

    Args:
        n_inputs: Number of feature maps in.
        n_outputs: Number of feature maps out.
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        first, second, third = KERNELS
        self.convolutions = nn.Sequential(
            SameConv1d(n_inputs, n_outputs, first),
            DebiasedBatchNorm1d(n_outputs, eps=EPS),
            nn.ReLU(),
            SameConv1d(n_outputs, n_outputs, second),
            DebiasedBatchNorm1d(n_outputs, eps=EPS),
            nn.ReLU(),
            SameConv1d(n_outputs, n_outputs, third),
            DebiasedBatchNorm1d(n_outputs, eps=EPS),
        )
        self.shortcut = nn.Sequential(
            nn.Identity() if n_inputs == n_outputs else nn.Conv1d(n_inputs, n_outputs, 1),
            DebiasedBatchNorm1d(n_outputs, eps=EPS),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (B, D, T), of maps of shape (B, C, T)."""
        total: Tensor = self.convolutions(maps) + self.shortcut(maps)  # (B, D, T)
        return total.relu()


class ResNet1DNetwork(nn.Module):
    """Three residual blocks, the mean over time, one linear layer.

    Args:
        inputs: Any signals, on one grid; see CommonGrid.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        self.grid = CommonGrid(inputs)
        sizes = (self.grid.n_variables, *MAPS)
        self.blocks = nn.Sequential(*(ResidualBlock(*pair) for pair in pairwise(sizes)))
        self.head = nn.Linear(MAPS[-1], n_classes)
        initialize(self)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        embedding = self.blocks(self.grid(signals)).mean(dim=2)  # (B, 128)
        return Output(self.head(embedding), embedding)


class ResNet1D(GridClassifier):
    """ResNet of time series: three residual blocks, the mean over time, one linear layer.

    The strong baseline of Wang, Yan and Oates: convolutions of 8, 5 and 3 samples with 64, 128 and
    128 feature maps, nothing that makes time shorter, no dropout.

    Departures from the paper, and why:

    * The series are windows of several signals at several rates, joined on one grid of at most 640
      samples; see CommonGrid. The paper's series are of one variable; more are more input maps.
    * Samples are standardised with moments of the training subjects. The paper's archive has each
      series standardised by itself, which would take the level of skin conductance out.
    * The epoch is chosen on validation subjects by macro F1; the paper takes the one with the
      lowest training loss.
    * A batch has 16 windows; the paper's has fewer where there are fewer than 160 series.
    * BatchNorm's running moments are the means over the batches so far up to 100 of them; see
      DebiasedBatchNorm1d.

    As published: the shortcut of the third block, whose maps are as many as the second's, is
    BatchNorm alone; initial weights uniform after Glorot, biases zero.

    Args:
        inputs: Any signals.
        n_classes: Number of classes, K.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.

    References:
        Wang, Yan and Oates, Time series classification from scratch with deep neural networks: a
        strong baseline, IJCNN (2017) 1578-1585, arXiv 1611.06455.
    """

    published = PUBLISHED
    fast = FAST

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe = PUBLISHED) -> None:
        self.check_inputs(inputs)
        super().__init__(ResNet1DNetwork(inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

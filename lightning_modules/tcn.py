"""TCN (Bai, Kolter and Koltun 2018): causal dilated convolutions, read at the window's end."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.grid_classifier import GridClassifier
from lightning_modules.mlstm_fcn import CommonGrid
from lightning_modules.recipe import Recipe

STD = 0.01
"""Standard deviation of the initial weights of shortcuts."""

PUBLISHED = Recipe(
    source="Bai, Kolter and Koltun 2018 and their code, sequential MNIST: Adam, 2e-3, batches of "
    "64, 20 epochs, the learning rate a tenth after ten epochs (here ten equal steps); windows "
    "are ours",
    window=60.0,
    stride=10.0,
    lr=2e-3,
    lr_decay=10**-0.1,
    batch_size=64,
    max_epochs=20,
)

FAST = replace(
    PUBLISHED,
    source="this project's: fewer windows and epochs, smaller batches; length of windows and class "
    "weights looked at on validation subjects of one fold of Stress-Predict, seed 0",
    stride=60.0,
    balance="class_weights",
    batch_size=16,
    max_epochs=6,
    tuned_on=("stress_predict",),
)


def receptive_field(n_blocks: int, kernel: int) -> int:
    """Return the number of samples that the last sample of the output depends on.

    Block i has two convolutions of dilation 2^i, each of which adds (kernel - 1) 2^i samples.
    """
    return 1 + 2 * (kernel - 1) * ((1 << n_blocks) - 1)


def blocks_for(n_times: int, kernel: int) -> int:
    """Return the smallest number of blocks whose receptive field holds a window of n_times."""
    n_blocks = 1
    while receptive_field(n_blocks, kernel) < n_times:
        n_blocks += 1
    return n_blocks


class CausalConv1d(nn.Conv1d):
    """Convolution that sees no later sample than the one it gives; as many samples out as in.

    Args:
        n_inputs: Number of feature maps in.
        n_outputs: Number of feature maps out.
        kernel: Number of samples.
        dilation: Number of samples from one sample of the kernel to the next.
    """

    def __init__(self, n_inputs: int, n_outputs: int, kernel: int, dilation: int) -> None:
        super().__init__(n_inputs, n_outputs, kernel, dilation=dilation)
        self.before = (kernel - 1) * dilation

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of its parent
        return super().forward(F.pad(input, (self.before, 0)))


class TemporalBlock(nn.Module):
    """Two causal convolutions beside a shortcut, each with weight norm, ReLU and dropout.

    Args:
        n_inputs: Number of feature maps in.
        width: Number of feature maps out.
        kernel: Number of samples.
        dilation: Number of samples from one sample of the kernel to the next.
        dropout: Share of values that are dropped in training.
    """

    def __init__(
        self, n_inputs: int, width: int, kernel: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            weight_norm(CausalConv1d(n_inputs, width, kernel, dilation)),
            nn.ReLU(),
            nn.Dropout(dropout),
            weight_norm(CausalConv1d(width, width, kernel, dilation)),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.shortcut: nn.Module = nn.Identity()
        if n_inputs != width:
            self.shortcut = shortcut = nn.Conv1d(n_inputs, width, 1)
            nn.init.normal_(shortcut.weight, std=STD)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (B, D, T), of maps of shape (B, C, T)."""
        total: Tensor = self.convolutions(maps) + self.shortcut(maps)  # (B, D, T)
        return total.relu()


class TCNNetwork(nn.Module):
    """Causal blocks whose dilation doubles, and one linear layer on their last sample.

    Args:
        inputs: Any signals, on one grid; see CommonGrid.
        n_classes: Number of classes, K.
        width: Number of feature maps of every block, D.
        kernel: Number of samples of every convolution.
        dropout: Share of values that are dropped in training.

    Raises:
        ValueError: No feature map, a kernel that grows no receptive field, or no share.
    """

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        width: int = 25,
        kernel: int = 7,
        dropout: float = 0.05,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"expected at least one feature map, found width {width}")
        if kernel < 2:
            raise ValueError(f"expected a kernel of at least 2 samples, found {kernel}")
        if not 0 <= dropout < 1:
            raise ValueError(f"expected a dropout from 0 to below 1, found {dropout}")
        self.grid = CommonGrid(inputs)
        n_blocks = blocks_for(self.grid.n_times, kernel)
        sizes = (self.grid.n_variables, *[width] * n_blocks)
        self.blocks = nn.Sequential(
            *(TemporalBlock(sizes[i], sizes[i + 1], kernel, 2**i, dropout) for i in range(n_blocks))
        )
        self.head = nn.Linear(width, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        embedding = self.blocks(self.grid(signals))[:, :, -1]  # (B, D)
        return Output(self.head(embedding), embedding)


class TCN(GridClassifier):
    """TCN: causal dilated convolutions in residual blocks, read at the last sample of the window.

    Sizes are those of the authors' code on sequential MNIST, whose series of 784 samples are near
    to a window here: 25 feature maps, kernels of 7 samples, dropout of 0.05. Block i has a dilation
    of 2^i. There are as few blocks as give the last sample a receptive field of the whole window:
    1 + 2 (k - 1) (2^L - 1) samples with L blocks of kernels of k. A window of 640 samples has six
    blocks; one of 784 would have seven, where the authors have eight.

    Departures from the paper, and why:

    * The number of blocks follows from the window, as above.
    * The series are windows of several signals at several rates, joined on one grid of at most 640
      samples; see CommonGrid.
    * The learning rate falls to a tenth in ten epochs in equal steps instead of in one.
    * The epoch is chosen on validation subjects by macro F1; the authors' code keeps the last.
    * Dropout drops values, as in the authors' code; the paper speaks of whole feature maps.

    As published: weight norm on convolutions but not on shortcuts, no gradient clipping on this
    task. Initial weights are those of the authors' code as it runs: small normal ones of shortcuts,
    the framework's of convolutions, where weight norm undoes the small normal ones that it sets.

    Args:
        inputs: Any signals.
        n_classes: Number of classes, K.
        width: Number of feature maps of every block.
        kernel: Number of samples of every convolution, at least 2.
        dropout: Share of values that are dropped in training.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
        ValueError: A width, kernel or dropout that is out of its range.

    References:
        Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and recurrent
        networks for sequence modeling, arXiv 1803.01271 (2018).

        Released code: https://github.com/locuslab/TCN (MIT).
    """

    published = PUBLISHED
    fast = FAST

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        width: int = 25,
        kernel: int = 7,
        dropout: float = 0.05,
        recipe: Recipe = PUBLISHED,
    ) -> None:
        self.check_inputs(inputs)
        network = TCNNetwork(inputs, n_classes, width, kernel, dropout)
        super().__init__(network, n_classes, recipe)
        self.save_hyperparameters()

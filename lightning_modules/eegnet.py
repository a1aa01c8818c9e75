"""EEGNet (Lawhern et al. 2018): filters in time, then over electrodes, then in time again."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.eeg_classifier import AtRate, EEGClassifier
from lightning_modules.layers import DebiasedBatchNorm2d
from lightning_modules.recipe import Recipe

SFREQ = 128.0
"""Rate in Hz of the paper's EEG."""

FIRST, SECOND = 64, 16
"""Number of samples of the convolutions in time: half a second at 128 and at 32 Hz."""

POOLS = (4, 8)
"""Numbers of samples that become one, by their mean."""

LIMIT, HEAD_LIMIT = 1.0, 0.25
"""Largest norm of a filter over electrodes, and of a row of the linear layer."""

EPS = 1e-3
"""Term in the denominator of BatchNorm in the framework of the published code."""

PUBLISHED = Recipe(
    source="the example of Lawhern et al. 2018: Adam, 1e-3, batches of 16, the epoch with the "
    "lowest validation loss; it trains 300 epochs, the paper 500 (not read again); windows as long "
    "as those of its motor imagery",
    window=2.0,
    stride=2.0,
    lr=1e-3,
    batch_size=16,
    max_epochs=500,
    select_on="val_loss",
)

FAST = replace(
    PUBLISHED,
    source="this project's: the paper's with fewer epochs, chosen by macro F1",
    max_epochs=20,
    select_on="val_macro_f1",
)


class TimeConv2d(nn.Conv2d):
    """Convolution in time without a bias; as many samples out as in.

    An even kernel has one zero more after the window than before.

    Args:
        n_inputs: Number of feature maps in.
        n_outputs: Number of feature maps out.
        kernel: Number of samples.
        groups: Number of groups of maps that do not see each other.
    """

    def __init__(self, n_inputs: int, n_outputs: int, kernel: int, groups: int = 1) -> None:
        super().__init__(n_inputs, n_outputs, (1, kernel), groups=groups, bias=False)
        self.around = ((kernel - 1) // 2, kernel // 2)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of its parent
        return super().forward(F.pad(input, self.around))


class LimitedConv2d(nn.Conv2d):
    """Convolution over all electrodes without a bias, whose filters have a norm of at most LIMIT.

    A longer filter acts as if it were cut to that norm. The paper cuts it after each step.

    Args:
        n_maps: Number of feature maps in, none of which sees another.
        depth: Number of filters of each of them.
        n_channels: Number of electrodes.
    """

    def __init__(self, n_maps: int, depth: int, n_channels: int) -> None:
        super().__init__(n_maps, depth * n_maps, (n_channels, 1), groups=n_maps, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of its parent
        weight = self.weight.renorm(2, 0, LIMIT)
        return F.conv2d(input, weight, groups=self.groups)


class LimitedLinear(nn.Linear):
    """Linear layer, whose rows of weights have a norm of at most HEAD_LIMIT; see LimitedConv2d."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of its parent
        return F.linear(input, self.weight.renorm(2, 0, HEAD_LIMIT), self.bias)


class EEGNetNetwork(nn.Module):
    """Convolution in time, over electrodes, a separable one in time, one linear layer.

    Args:
        inputs: One signal of EEG, at any rate.
        n_classes: Number of classes, K.
        maps: Number of filters in time, F1 in the paper.
        depth: Number of filters over electrodes of each of them, D in the paper.
        kernel: Number of samples of the filters in time, at 128 Hz.
        dropout: Share of values that are dropped in training.

    Raises:
        ValueError: No filter, or a dropout that is no share.
    """

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        maps: int = 8,
        depth: int = 2,
        kernel: int = FIRST,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        if min(maps, depth, kernel) < 1:
            raise ValueError(
                f"expected maps, depth and kernel of at least 1, found {maps}, {depth} and {kernel}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"expected a dropout from 0 to below 1, found {dropout}")
        ((self.name, spec),) = inputs.items()
        self.rate = AtRate(spec, SFREQ)
        width = maps * depth
        first, second = POOLS
        self.layers = nn.Sequential(
            TimeConv2d(1, maps, kernel),
            DebiasedBatchNorm2d(maps, eps=EPS),
            LimitedConv2d(maps, depth, spec.n_channels),
            DebiasedBatchNorm2d(width, eps=EPS),
            nn.ELU(),
            nn.AvgPool2d((1, first)),
            nn.Dropout(dropout),
            TimeConv2d(width, width, SECOND, groups=width),
            nn.Conv2d(width, width, 1, bias=False),
            DebiasedBatchNorm2d(width, eps=EPS),
            nn.ELU(),
            nn.AvgPool2d((1, second)),
            nn.Dropout(dropout),
            nn.Flatten(),
        )
        self.head = LimitedLinear(width * (self.rate.n_times // first // second), n_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        window = self.rate(signals[self.name])[:, None]  # (B, 1, C, T)
        embedding = self.layers(window)  # (B, 16 T/32)
        return Output(self.head(embedding), embedding)


class EEGNet(EEGClassifier):
    """EEGNet: filters in time, then over electrodes, then in time again; EEGNet-8,2 by default.

    Eight filters of half a second, two filters over electrodes for each of them, a mean over four
    samples, a separable convolution of half a second, a mean over eight samples, one linear layer.

    Departures from the paper, and why:

    * EEG at another rate than 128 Hz goes through Resample: filters are as long as the paper's in
      samples at 128 Hz.
    * Limits of norms hold where a weight is used instead of after each step; see LimitedConv2d.
    * Samples are standardised with moments of the training subjects, and filtered as the dataset
      is; the paper filters each of its four paradigms in its own way.
    * Class weights are off; the paper has them for two of its paradigms.
    * BatchNorm's running moments are the means over the batches so far up to 100 of them; see
      DebiasedBatchNorm1d.

    As published: dropout of 0.25, which the paper has for people who were not trained on (0.5 for
    those who were); initial weights uniform after Glorot; even kernels have one zero more after
    the window than before.

    Args:
        inputs: One signal of EEG.
        n_classes: Number of classes, K.
        maps: Number of filters in time, F1 in the paper: 8 or 4.
        depth: Number of filters over electrodes of each of them, D in the paper.
        kernel: Number of samples of the filters in time, at 128 Hz; 32 in the paper's motor
            imagery, where nothing is below 4 Hz.
        dropout: Share of values that are dropped in training.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
        ValueError: No filter, or a dropout that is no share.

    References:
        Lawhern, Solon, Waytowich, Gordon, Hung and Lance, EEGNet: a compact convolutional neural
        network for EEG-based brain-computer interfaces, Journal of Neural Engineering 15 (2018)
        056013, arXiv 1611.08024.

        Released code: https://github.com/vlawhern/arl-eegmodels (CC0, Apache 2.0).
    """

    published = PUBLISHED
    fast = FAST
    sfreq = SFREQ
    shortest = POOLS[0] * POOLS[1]

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        maps: int = 8,
        depth: int = 2,
        kernel: int = FIRST,
        dropout: float = 0.25,
        recipe: Recipe = PUBLISHED,
    ) -> None:
        self.check_inputs(inputs)
        network = EEGNetNetwork(inputs, n_classes, maps, depth, kernel, dropout)
        super().__init__(network, n_classes, recipe)
        self.save_hyperparameters()

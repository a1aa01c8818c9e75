"""TSception (Ding et al. 2022): filters of three lengths, over the head and each half of it."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from datamodules.batch import Inputs, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import Output
from lightning_modules.eeg_classifier import AtRate, EEGClassifier
from lightning_modules.electrodes import mirrored_pairs
from lightning_modules.recipe import Recipe

SFREQ = 128.0
"""Rate in Hz of the paper's EEG."""

KERNELS = (64, 32, 16)
"""Numbers of samples of the filters in time: 0.5, 0.25 and 0.125 s at 128 Hz."""

MAPS = 15
"""Number of filters of each kind."""

POOLS = (8, 2, 4)
"""Numbers of samples that become one, by their mean, after each of the three layers."""

ROWS = 3
"""Number of rows that the spatial layer gives: the whole head, its left and its right half."""

HIDDEN = 32
"""Number of units between maps and classes."""

DROPOUT = 0.5

PUBLISHED = Recipe(
    source="the authors' code for DEAP: Adam, 1e-3, batches of 64, 500 epochs, the epoch with the "
    "highest validation accuracy, windows of 4 s side by side, each channel standardised (the "
    "paper itself was not read); its validation windows are of trials that it trains on, ours of "
    "other people",
    window=4.0,
    stride=4.0,
    lr=1e-3,
    batch_size=64,
    max_epochs=500,
    select_on="val_accuracy",
)

FAST = replace(
    PUBLISHED,
    source="this project's: the paper's with fewer epochs and smaller batches, chosen by macro F1",
    batch_size=16,
    max_epochs=20,
    select_on="val_macro_f1",
)


class Filters(nn.Sequential):
    """A convolution with a bias, leaky ReLU, and means over time.

    Args:
        n_inputs: Number of feature maps in.
        kernel: Number of electrodes or rows of a filter, and of samples.
        pool: Number of samples that become one.
        step: Number of rows from one place of a filter to the next.
    """

    def __init__(self, n_inputs: int, kernel: tuple[int, int], pool: int, step: int = 1) -> None:
        super().__init__(
            nn.Conv2d(n_inputs, MAPS, kernel, stride=(step, 1)),
            nn.LeakyReLU(),
            nn.AvgPool2d((1, pool)),
        )


class TSceptionNetwork(nn.Module):
    """Filters in time, then over electrodes, then over the rows of both; a mean; linear layers.

    Args:
        inputs: One signal of EEG, at any rate, whose channels have names of electrodes.
        n_classes: Number of classes, K.

    Raises:
        IncompatibleRunError: Names of channels that give no pair of electrodes.
    """

    electrodes: Tensor

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        ((self.name, spec),) = inputs.items()
        left, right = zip(*pairs_of(self.name, spec), strict=True)
        self.register_buffer("electrodes", torch.tensor([*left, *right]), persistent=False)
        self.rate = AtRate(spec, SFREQ)
        in_time, in_space, fused = POOLS
        half = len(left)
        self.in_time = nn.ModuleList(Filters(1, (1, kernel), in_time) for kernel in KERNELS)
        self.time_norm = nn.BatchNorm2d(MAPS)
        self.over_head = Filters(MAPS, (2 * half, 1), in_space)
        self.over_halves = Filters(MAPS, (half, 1), in_space, step=half)
        self.space_norm = nn.BatchNorm2d(MAPS)
        self.fusion = Filters(MAPS, (ROWS, 1), fused)
        self.fusion_norm = nn.BatchNorm2d(MAPS)
        self.dense = nn.Sequential(nn.Linear(MAPS, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT))
        self.head = nn.Linear(HIDDEN, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        halves = signals[self.name].index_select(1, self.electrodes)  # left, then right
        window = self.rate(halves)[:, None]  # (B, 1, C, T)
        scales = torch.cat([filters(window) for filters in self.in_time], dim=3)
        maps = self.time_norm(scales)  # (B, 15, C, L), the three lengths one after another
        rows = torch.cat([self.over_head(maps), self.over_halves(maps)], dim=2)
        fused = self.fusion_norm(self.fusion(self.space_norm(rows)))  # (B, 15, 1, L/8)
        embedding = self.dense(fused.mean(dim=(2, 3)))  # (B, 32)
        return Output(self.head(embedding), embedding)


class TSception(EEGClassifier):
    """TSception: filters of three lengths, then over the head and over each half of it.

    Fifteen filters each of 0.5, 0.25 and 0.125 s; as many over all electrodes, and as many over
    those of one side, which are the same for left and right; as many over these three rows; after
    each a mean over time; a mean over what is left of it, a linear layer of 32 units and one for
    the classes.

    Electrodes are told apart by the names of channels, whatever their order. Those on the midline
    are left out, as in the paper's DEAP, and so are those whose mirror image is missing. A filter
    over one side reads mirrored electrodes with the same weight.

    Departures from the authors' code, and why:

    * EEG at another rate than 128 Hz goes through Resample: filters are as long as the paper's.
    * Electrodes come from front to back; the code's come in the order of DEAP's files. That decides
      which of the initial weights is whose.
    * Samples are standardised with moments of the training subjects, and filtered as the dataset
      is.

    The layers are those of the authors' code (MIT), of which torcheeg 1.1.3 (MIT) has a version:
    logits are equal at equal weights; see tests/lightning_modules/test_tsception.py.

    Args:
        inputs: One signal of EEG, whose channels have names of electrodes.
        n_classes: Number of classes, K.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``; or names of channels that are not known yet.

    References:
        Ding, Robinson, Zhang, Zeng and Guan, TSception: Capturing Temporal Dynamics and Spatial
        Asymmetry From EEG for Emotion Recognition, IEEE Transactions on Affective Computing 14(3)
        (2023) 2238-2250, arXiv 2104.02935.

        Released code: https://github.com/yi-ding-cs/TSception (MIT).
    """

    published = PUBLISHED
    fast = FAST
    sfreq = SFREQ
    shortest = KERNELS[0] - 1 + POOLS[0]

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe = PUBLISHED) -> None:
        self.check_inputs(inputs)
        super().__init__(TSceptionNetwork(inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is one signal, long enough, of mirrored pairs.

        Names that are not known yet, as no recording was read, are not checked.
        """
        super().check_inputs(inputs)
        ((name, spec),) = inputs.items()
        if spec.channels:
            pairs_of(name, spec)


def pairs_of(name: str, spec: SignalSpec) -> tuple[tuple[int, int], ...]:
    """Return the positions of the left and the right electrode of each mirrored pair, at least one.

    Args:
        name: Name of the signal.
        spec: Its channels.

    Raises:
        IncompatibleRunError: No names, names in which recordings differ, or no pair.
    """
    remedy = "Name the channels after electrodes where they are read, or leave this model out."
    if not spec.channels:
        found = "no names, which are known once recordings were read"
        remedy = "Set the datamodule up before its inputs are asked for."
    elif "" in spec.channels:
        numbers = [str(n) for n, channel in enumerate(spec.channels, start=1) if not channel]
        found = f"recordings that give other names to channel {', '.join(numbers)}"
    else:
        try:
            if pairs := mirrored_pairs(spec.channels):
                return pairs
            found = ", ".join(spec.channels)
        except ValueError as error:
            found = str(error).partition("found ")[2]
    raise IncompatibleRunError(
        f"TSception tells left from right by the names of channels of {name}: expected electrodes, "
        "the same in all recordings, each once, and at least one pair such as F3 and F4, found "
        f"{found}. {remedy}"
    )

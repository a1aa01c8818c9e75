"""EEG Conformer (Song et al. 2022): filters in time and over electrodes, then attention in time."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Inputs
from lightning_modules.base import Output
from lightning_modules.eeg_classifier import AtRate, EEGClassifier
from lightning_modules.recipe import Recipe

SFREQ = 250.0
"""Rate in Hz of the paper's motor imagery."""

WIDTH = 40
"""Number of filters, and of values of a token, D."""

KERNEL, POOL, STEP = 25, 75, 15
"""Number of samples of a filter in time, of those whose mean is a token, and between tokens."""

N_LAYERS, N_HEADS, EXPANSION = 6, 10, 4
"""Number of attention layers, of heads of each, and of hidden units for each value of a token."""

DROPOUT, LAST_DROPOUT = 0.5, 0.3
HIDDEN = (256, 32)
"""Numbers of units between tokens and classes."""

PUBLISHED = Recipe(
    source="Song et al. 2022 as a public replication has it: Adam, 2e-4, batches of 72, 2000 "
    "epochs, windows of 4 s; its first beta of 0.5 and its recombined segments are left out",
    window=4.0,
    stride=4.0,
    lr=2e-4,
    batch_size=72,
    max_epochs=2000,
)

FAST = replace(
    PUBLISHED,
    source="this project's: the paper's with fewer epochs and smaller batches",
    batch_size=16,
    max_epochs=10,
)


class JointFilters(nn.Module):
    """A convolution in time and one over electrodes and maps, computed as one.

    Nothing stands between the two, so that they are one convolution in time over all electrodes,
    whose weights are products of theirs. The maps of every electrode are never made.

    Args:
        n_channels: Number of electrodes, C.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.in_time = nn.Conv2d(1, WIDTH, (1, KERNEL))
        self.in_space = nn.Conv2d(WIDTH, WIDTH, (n_channels, 1))

    def forward(self, window: Tensor) -> Tensor:
        """Return maps of shape (B, 40, T - 24), of samples of shape (B, C, T)."""
        over, along = self.in_space.weight.squeeze(3), self.in_time.weight[:, 0, 0]
        weight = torch.einsum("omc,mk->ock", over, along)  # (40, C, 25)
        bias, after = self.in_time.bias, self.in_space.bias
        assert bias is not None
        assert after is not None
        return F.conv1d(window, weight, over.sum(dim=2) @ bias + after)


class Attention(nn.Module):
    """Self-attention of several heads over tokens.

    Args:
        width: Number of values of a token, D.
        n_heads: Number of heads.
        dropout: Share of attention weights that are dropped in training.
    """

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.read = nn.Linear(width, 3 * width)
        self.write = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, L, D)."""
        parts = self.read(tokens).unflatten(2, (3, self.n_heads, -1))  # (B, L, 3, H, D/H)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B, H, L, D/H)
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5  # (B, H, L, L)
        share = F.dropout(scores.softmax(dim=3), self.dropout, self.training)
        written: Tensor = self.write((share @ value).transpose(1, 2).flatten(2))  # (B, L, D)
        return written


class Layer(nn.Module):
    """Attention and two linear layers over tokens, each normalised before and added to its input.

    Args:
        width: Number of values of a token, D.
        n_heads: Number of heads.
        dropout: Share of values that are dropped in training.
    """

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.LayerNorm(width), Attention(width, n_heads, dropout), nn.Dropout(dropout)
        )
        self.dense = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, EXPANSION * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(EXPANSION * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, L, D)."""
        tokens = tokens + self.attention(tokens)
        changed: Tensor = tokens + self.dense(tokens)
        return changed


class EEGConformerNetwork(nn.Module):
    """Filters in time and over electrodes, means of which are tokens; attention; linear layers.

    Args:
        inputs: One signal of EEG, at any rate.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        ((self.name, spec),) = inputs.items()
        self.rate = AtRate(spec, SFREQ)
        self.filters = nn.Sequential(
            JointFilters(spec.n_channels),
            nn.BatchNorm1d(WIDTH),
            nn.ELU(),
            nn.AvgPool1d(POOL, STEP),
            nn.Dropout(DROPOUT),
            nn.Conv1d(WIDTH, WIDTH, 1),
        )
        self.layers = nn.Sequential(*(Layer(WIDTH, N_HEADS, DROPOUT) for _ in range(N_LAYERS)))
        n_tokens = (self.rate.n_times - (KERNEL - 1) - POOL) // STEP + 1
        first, second = HIDDEN
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(n_tokens * WIDTH, first),
            nn.ELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(first, second),
            nn.ELU(),
            nn.Dropout(LAST_DROPOUT),
        )
        self.head = nn.Linear(second, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        window = self.rate(signals[self.name])  # (B, C, T)
        tokens = self.filters(window).transpose(1, 2)  # (B, L, 40)
        embedding = self.dense(self.layers(tokens))  # (B, 32)
        return Output(self.head(embedding), embedding)


class EEGConformer(EEGClassifier):
    """EEG Conformer: filters in time and over electrodes, then attention over their means in time.

    Forty filters of 0.1 s, as many over electrodes, means over 0.3 s every 60 ms as tokens, six
    layers of attention with ten heads, three linear layers. The first of these reads all tokens at
    once: its weights are as many as the window is long.

    Departures from the paper, and why:

    * EEG at another rate than 250 Hz goes through Resample: filters are as long as the paper's in
      samples at 250 Hz.
    * Windows are not augmented; the paper puts new ones together from pieces of training windows.
    * Adam has its usual moments, 0.9 and 0.999, where the paper has 0.5 and 0.999.
    * Samples are standardised with moments of the training subjects, and filtered as the dataset
      is; the paper filters at 4 to 40 Hz.
    * The epoch is chosen on validation subjects by macro F1; the paper names no such choice.

    The layers are those of the first author's version in braindecode 1.8.1 (BSD 3-Clause), whose
    logits are equal at equal weights; see tests/lightning_modules/test_eegconformer.py.

    Args:
        inputs: One signal of EEG.
        n_classes: Number of classes, K.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.

    References:
        Song, Zheng, Liu and Gao, EEG Conformer: Convolutional Transformer for EEG Decoding and
        Visualization, IEEE Transactions on Neural Systems and Rehabilitation Engineering 31 (2023)
        710-719.
    """

    published = PUBLISHED
    fast = FAST
    sfreq = SFREQ
    shortest = KERNEL - 1 + POOL

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe = PUBLISHED) -> None:
        self.check_inputs(inputs)
        super().__init__(EEGConformerNetwork(inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

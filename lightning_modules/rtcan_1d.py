"""RTCAN-1D: residual temporal and channel attention on skin conductance (Yin et al. 2022)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from math import isqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Inputs
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.choices import check_choice
from lightning_modules.recipe import Recipe

MUSIC = "music"
"""Name of the signal with one sample a window: a vector that describes the song."""

WIDTH = 64
"""Number of feature maps of every layer of the trunk."""

N_TIMES = 2500
"""Number of samples of the published input; longer windows are shortened to it."""

SIDE = 50
"""Height and width of the published input where it is resampled as an image."""

POOLING = 14
"""Number of steps that the last pooling averages."""

N_PARTS = 3
"""Number of parts of a window, each with its own temporal attention."""

Resampling = Literal["time", "image"]
Initialization = Literal["he", "xavier"]
OutputLayer = Literal["linear", "softmax", "relu"]

PUBLISHED = Recipe(
    source="released code of Yin et al. 2022, PMEmo",
    window=50.0,
    stride=50.0,
    optimizer="sgd",
    momentum=0.9,
    lr=1e-3,
    batch_size=300,
    max_epochs=100,
)

PUBLISHED_DEAP = replace(
    PUBLISHED,
    source="released code of Yin et al. 2022, DEAP",
    window=87**2 / 128,
    stride=87**2 / 128,
    lr=0.1,
    weight_decay=1e-3,
    max_epochs=300,
)

PUBLISHED_AMIGOS = replace(
    PUBLISHED,
    source="released code of Yin et al. 2022, AMIGOS",
    window=100**2 / 128,
    stride=100**2 / 128,
    weight_decay=1e-2,
    max_epochs=1000,
)

FAST = Recipe(
    source="this project's: AdamW and early stopping instead of the paper's SGD; learning rate "
    "tuned on validation subjects of Stress-Predict (tests/benchmarks/tune_fast.py)",
    window=60.0,
    stride=30.0,
    optimizer="adamw",
    lr=3e-3,
    weight_decay=1e-4,
    batch_size=64,
    max_epochs=30,
    patience=8,
    tuned_on=("stress_predict",),
)


def shorten(window: Tensor, resampling: Resampling = "time") -> Tensor:
    """Shorten a window of more than 2500 samples to 2500; a shorter one stays as it is.

    Args:
        window: Samples, shape (B, C, T).
        resampling: ``"time"`` averages over time, with triangular weights that reach two new
            samples; ``"image"`` does as the authors did: the first s * s samples are written row by
            row into a square, which is shrunk to 50 x 50 by the same weights in both directions.

    Returns:
        Samples, shape (B, C, min(T, 2500)).
    """
    n_times = window.shape[2]
    if n_times <= N_TIMES:
        return window
    if resampling == "time":
        picture, size = window.unsqueeze(2), (1, N_TIMES)  # (B, C, 1, T)
    else:
        side = isqrt(n_times)
        picture = window[..., : side**2].unflatten(2, (side, side))  # (B, C, s, s)
        size = (SIDE, SIDE)
    return F.interpolate(picture, size, mode="bilinear", antialias=True).flatten(2)  # (B, C, 2500)


class NonLocalBlock(nn.Module):
    """Attention of every step over all steps of the same part, added to them.

    Keys and values are pooled by two where that leaves two of them to choose from. The scores are
    not divided by the root of the width. The closing BatchNorm starts with gain and offset at
    zero: at first the block changes nothing.

    Args:
        n_channels: Number of feature maps in and out, D; the attention has half of them.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        inner = n_channels // 2
        self.query = nn.Conv1d(n_channels, inner, 1)
        self.key = nn.Conv1d(n_channels, inner, 1)
        self.value = nn.Conv1d(n_channels, inner, 1)
        self.out = nn.Conv1d(inner, n_channels, 1)
        self.norm = nn.BatchNorm1d(n_channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, part: Tensor) -> Tensor:
        """Return maps of the same shape, (B, D, L)."""
        pooling = 2 if part.shape[2] >= 4 else 1
        query = self.query(part).transpose(1, 2)  # (B, L, D/2)
        key = F.max_pool1d(self.key(part), pooling).transpose(1, 2)  # (B, L/2, D/2)
        value = F.max_pool1d(self.value(part), pooling).transpose(1, 2)  # (B, L/2, D/2)
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, L, D/2)
        update: Tensor = self.norm(self.out(seen.transpose(1, 2)))  # (B, D, L)
        return part + update


class TemporalAttention(nn.Module):
    """One non-local block, applied to each part of the window by itself.

    While training, the block's BatchNorm takes the moments of one part after the other, so its
    running moments move ``n_parts`` times a step.

    Args:
        n_channels: Number of feature maps, D.
        n_parts: Number of parts; they are cut at ``floor(i * L / n_parts)``.
    """

    def __init__(self, n_channels: int, n_parts: int) -> None:
        super().__init__()
        self.block = NonLocalBlock(n_channels)
        self.n_parts = n_parts

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape, (B, D, L)."""
        cuts = [part * maps.shape[2] // self.n_parts for part in range(self.n_parts + 1)]
        parts = [self.block(maps[..., start:stop]) for start, stop in pairwise(cuts)]
        return torch.cat(parts, dim=2)  # (B, D, L)


class ChannelAttention(nn.Module):
    """A weight in (0, 1) for each feature map, from the means of all of them.

    Args:
        n_channels: Number of feature maps, D; the layer between has an eighth.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv1d(n_channels, n_channels // 8, 1),
            nn.ReLU(),
            nn.Conv1d(n_channels // 8, n_channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape, (B, D, L)."""
        weights: Tensor = self.gate(maps.mean(dim=2, keepdim=True))  # (B, D, 1)
        return maps * weights


class ResidualBlock(nn.Module):
    """A single convolution beside a shortcut; ReLU after it, and after the sum.

    Args:
        n_channels: Number of feature maps, D.
        stride: 1: the shortcut is the input before attention. 2: it is a convolution of the input
            after attention.
        attention: Whether there is channel attention before the convolution.
    """

    def __init__(self, n_channels: int, stride: int, attention: bool) -> None:
        super().__init__()
        self.attention = ChannelAttention(n_channels) if attention else nn.Identity()
        self.branch = nn.Sequential(
            nn.Conv1d(n_channels, n_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm1d(n_channels),
            nn.ReLU(),
        )
        self.shortcut = (
            nn.Sequential(
                nn.Conv1d(n_channels, n_channels, 1, stride, bias=False),
                nn.BatchNorm1d(n_channels),
            )
            if stride > 1
            else None
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (B, D, L/stride), rounded up, of maps of shape (B, D, L)."""
        attended = self.attention(maps)  # (B, D, L)
        shortcut = maps if self.shortcut is None else self.shortcut(attended)
        return torch.relu(self.branch(attended) + shortcut)  # (B, D, L/stride)


def _stages(attention: bool) -> nn.Sequential:
    return nn.Sequential(
        *(
            nn.Sequential(
                ResidualBlock(WIDTH, 2, attention),
                ResidualBlock(WIDTH, 1, attention),
            )
            for _ in range(4)
        )
    )


def _stem_length(n_times: int) -> int:
    return (min(n_times, N_TIMES) - 1) // 2 + 1


def _pooled_length(n_times: int) -> int:
    n_steps = _stem_length(n_times)
    for stride in (2, 2, 2, 2, 3):
        n_steps = (n_steps - 1) // stride + 1
    return max(1, n_steps - POOLING + 1)


class RTCAN1DNetwork(nn.Module):
    """Residual 1-D CNN with attention over time and over feature maps, and a song's vector.

    Args:
        inputs: Signals of one rate and length, stacked as channels, with ``"music"`` or without.
        n_classes: Number of classes, K.
        music: Whether ``"music"`` is read, if ``inputs`` have it.
        attention: Whether there is channel attention after the stem.
        non_local: Whether there is temporal attention after the stem.
        block_attention: Whether every residual block has channel attention; None: as ``attention``.
        n_parts: Number of parts of the window for temporal attention.
        output: Last layer; see RTCAN1D.
        resampling: Way to shorten long windows; see ``shorten``.
        initialization: Initial weights of the trunk's convolutions.

    Raises:
        ValueError: An unknown choice, or fewer than one part.
    """

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        music: bool = True,
        attention: bool = True,
        non_local: bool = True,
        block_attention: bool | None = None,
        n_parts: int = N_PARTS,
        output: OutputLayer = "linear",
        resampling: Resampling = "time",
        initialization: Initialization = "he",
    ) -> None:
        super().__init__()
        if n_parts < 1:
            raise ValueError(f"expected n_parts to be a positive whole number, found {n_parts!r}")
        check_choice("output", output, OutputLayer)
        check_choice("resampling", resampling, Resampling)
        check_choice("initialization", initialization, Initialization)
        self.signals = tuple(name for name in inputs if name != MUSIC)
        self.music = music and MUSIC in inputs
        self.output, self.resampling = output, resampling
        block_attention = attention if block_attention is None else block_attention
        attended = attention or non_local
        n_channels = sum(inputs[name].n_channels for name in self.signals)
        stem: list[nn.Module] = [
            nn.Conv1d(n_channels, WIDTH, 7, 2, padding=3, bias=attended),
            nn.BatchNorm1d(WIDTH),
        ]
        self.stem = nn.Sequential(*stem, *([] if attended else [nn.ReLU()]))
        self.non_local = TemporalAttention(WIDTH, n_parts) if non_local else nn.Identity()
        self.attention = ChannelAttention(WIDTH) if attention else nn.Identity()
        self.stages = _stages(block_attention)
        self.tail = nn.Sequential(nn.Conv1d(WIDTH, WIDTH, 1, 3, bias=False), nn.BatchNorm1d(WIDTH))
        width = WIDTH * _pooled_length(inputs[self.signals[0]].n_times)
        width += inputs[MUSIC].n_channels if self.music else 0
        self.hidden = nn.Sequential(
            nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )
        self.last = nn.Linear(128, n_classes)
        trunk = [self.stages, self.tail] if attended else [self.stem, self.stages, self.tail]
        for part in trunk:
            part.apply(INITIAL[initialization])

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        window = torch.cat([signals[name] for name in self.signals], dim=1)  # (B, C, T)
        maps = self.stem(shorten(window, self.resampling))  # (B, 64, T/2)
        maps = self.attention(self.non_local(maps))  # (B, 64, T/2)
        maps = self.tail(self.stages(maps))  # (B, 64, T/96)
        pooled = F.avg_pool1d(maps, min(POOLING, maps.shape[2]), stride=1)  # (B, 64, T/96 - 13)
        features = pooled.flatten(1)  # (B, 64 (T/96 - 13))
        if self.music:
            features = torch.cat([features, signals[MUSIC].flatten(1)], dim=1)
        embedding = self.hidden(features)  # (B, 128)
        logits = self.last(embedding)  # (B, K)
        if self.output == "softmax":
            logits = logits.softmax(dim=1)
        elif self.output == "relu":
            logits = logits.relu()
        return Output(logits, embedding)


def _he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d):
        nn.init.xavier_normal_(module.weight)


INITIAL: dict[Initialization, Callable[[nn.Module], None]] = {"he": _he, "xavier": _xavier}
"""Initial weights of the trunk's convolutions: in the code of PMEmo; in that of DEAP and AMIGOS."""


class RTCAN1D(EmotionClassifier):
    """RTCAN-1D, trained as published: SGD with momentum 0.9.

    Three channels of skin conductance (original, tonic, phasic) and, where there is one, the
    vector of the song heard. On PMEmo, DEAP and AMIGOS the recipe is that of the released code for
    the dataset, on any other it is PMEmo's. Defaults are the network of the PMEmo code; the
    networks of its DEAP and AMIGOS code have ``block_attention=False, initialization="xavier"``.

    Departures from the released code, and why:

    * Cross-entropy gets plain logits. The code hands it probabilities (with music), which never
      lets the loss below 0.31, or logits cut off at zero (without), which stop learning for a
      window once all of them are negative. ``output`` brings either back.
    * Long windows are averaged over time down to 2500 samples. The code shrinks DEAP's and
      AMIGOS's as if they were square pictures, which mixes samples that are seconds apart;
      ``resampling="image"`` does so.
    * Windows of fewer than 2500 samples stay as they are: stretching them would add no knowledge
      and much work. The last pooling then spans what there is, at most 14 steps; temporal
      attention leaves its keys unpooled in parts of fewer than 4 steps (windows of up to 22
      samples), where pooling would leave one key and nothing to attend to.
    * The width of the head is computed, so every length has one. In the code it is written down
      for 2497 to 2592 samples, without any attention for 1921 to 2016, and others crash.
    * There may be any signals of one rate, with any number of channels, in the order of
      ``inputs``, and any number of classes. The code puts the original first for PMEmo and last
      for the others; this matters only to a reader of its weights.
    * Signals and the song's vector are standardised with moments of the training subjects. The
      code does neither, so that a few of the 6373 values outweigh all else; a recipe with
      ``scaling="none"`` does as the code.
    * A window is 50 s, 2500 samples at PMEmo's rate, but for DEAP and AMIGOS, whose files had more
      samples (``resampling``). How the code's files were cut or stretched is not on record.
    * Subjects are kept apart, and the epoch is chosen on validation subjects by macro F1. The code
      has each subject and each song on both sides, and reports the mean of the test accuracy over
      epochs or keeps epochs that exceed 70 % on test.
    * A linear layer that the code builds and never calls is left out: 2570 parameters fewer.
    * A training batch of one window is left out (by the datamodule); weights are drawn from a
      seed; the code sets none.

    As published, and different from the paper's figures: no ReLU after the stem; temporal attention
    first, then channel attention over the whole window; maximum pooling within temporal attention;
    one ReLU within channel attention. With neither kind of attention the stem has no bias and does
    have a ReLU.

    Args:
        inputs: Signals of one rate and length, with ``"music"`` or without; the paper takes 3
            channels of 2500 samples, and 6373 values of music.
        n_classes: Number of classes, K.
        music: Whether the song's vector is appended before the head, if the dataset has one.
        attention: Whether there is channel attention after the stem.
        non_local: Whether there is temporal attention after the stem.
        block_attention: Whether every residual block has channel attention; None: as ``attention``,
            which is the PMEmo code.
        n_parts: Number of parts of the window for temporal attention; 4 in the code before May
            2021.
        output: ``"linear"``; ``"softmax"`` and ``"relu"`` put one of these before cross-entropy.
            The softmax is that of the probabilities; cross-entropy takes another, as published.
        resampling: ``"time"`` or ``"image"``, for windows longer than 2500 samples.
        initialization: ``"he"``, normal over the fan out; ``"xavier"``, normal.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
        ValueError: An unknown choice, or fewer than one part.

    References:
        Yin, Sun, Yu, Li and Zhang, A Multimodal Framework for Large-Scale Emotion Recognition by
        Fusing Music and Electrodermal Activity Signals, ACM TOMM 18(3) (2022), arXiv 2008.09743.

        Released code: https://github.com/guanghaoyin/RTCAN-1D (no licence; rebuilt from its
        behaviour).
    """

    prefers = (
        ("eda", "eda_tonic", "eda_phasic", MUSIC),
        ("bvp",),
        ("ecg",),
        ("resp",),
        ("eeg_de",),
    )
    published = PUBLISHED
    published_on: ClassVar[Mapping[str, Recipe]] = {
        "deap": PUBLISHED_DEAP,
        "amigos": PUBLISHED_AMIGOS,
    }
    fast = FAST

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        music: bool = True,
        attention: bool = True,
        non_local: bool = True,
        block_attention: bool | None = None,
        n_parts: int = N_PARTS,
        output: OutputLayer = "linear",
        resampling: Resampling = "time",
        initialization: Initialization = "he",
        recipe: Recipe = PUBLISHED,
    ) -> None:
        self.check_inputs(inputs, n_parts)
        network = RTCAN1DNetwork(
            inputs,
            n_classes,
            music,
            attention,
            non_local,
            block_attention,
            n_parts,
            output,
            resampling,
            initialization,
        )
        super().__init__(network, n_classes, recipe)
        self.save_hyperparameters()

    def probabilities(self, output: Output) -> Tensor:
        """Return what the network ends in where that is a softmax, else the softmax of it."""
        network = self.network
        assert isinstance(network, RTCAN1DNetwork)
        return output.logits if network.output == "softmax" else super().probabilities(output)

    @classmethod
    def check_inputs(cls, inputs: Inputs, n_parts: int = N_PARTS) -> None:
        """Raise IncompatibleRunError unless signals can be stacked, and cut in ``n_parts``."""
        super().check_inputs(inputs)
        stacked = {name: spec for name, spec in inputs.items() if name != MUSIC}
        if not stacked:
            raise IncompatibleRunError(
                f"{cls.__name__} takes one signal or more besides {MUSIC}, found none"
            )
        shapes = ", ".join(
            f"{name} with {spec.n_times} samples at {spec.sfreq:g} Hz"
            for name, spec in stacked.items()
        )
        if len({(spec.n_times, spec.sfreq) for spec in stacked.values()}) > 1:
            raise IncompatibleRunError(
                f"{cls.__name__} stacks signals as channels of one: expected one rate and length, "
                f"found {shapes}. Name signals of one rate."
            )
        n_times = next(iter(stacked.values())).n_times
        if _stem_length(n_times) < n_parts:
            raise IncompatibleRunError(
                f"{cls.__name__} cuts a window in {n_parts} parts after halving it: expected at "
                f"least {2 * n_parts - 1} samples, found {shapes}. Take a longer window or a "
                "faster signal."
            )
        if MUSIC in inputs and inputs[MUSIC].n_times != 1:
            raise IncompatibleRunError(
                f"{cls.__name__} takes {MUSIC} as one vector a window: expected 1 sample, found "
                f"{inputs[MUSIC].n_times}"
            )

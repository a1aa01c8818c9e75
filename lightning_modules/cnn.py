"""CNN: a plain one-dimensional baseline that takes wearable signals at their own rates."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import EmotionClassifier, Output, Recipe

COMMON_RATE = 8.0
"""Hz to which the first layer brings a faster signal; a slower one keeps its rate."""


class SignalEncoder(nn.Module):
    """Three convolutions over one signal, summed up by mean and maximum over time.

    Args:
        n_channels: C.
        sfreq: Rate in Hz.
        width: Features W.
    """

    def __init__(self, n_channels: int, sfreq: float, width: int) -> None:
        super().__init__()
        stride = max(1, round(sfreq / COMMON_RATE))
        self.layers = nn.Sequential(
            nn.Conv1d(n_channels, width, 4 * stride + 1, stride, padding=2 * stride),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Conv1d(width, width, 5, 2, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Conv1d(width, width, 5, 2, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
        )

    def forward(self, window: Tensor) -> Tensor:
        features = self.layers(window)  # (B, W, L)
        return torch.cat([features.mean(2), features.amax(2)], dim=1)  # (B, 2 W)


class CNNNetwork(nn.Module):
    """One encoder a signal, one linear layer over all of them.

    Args:
        inputs: Any signals, at any rates.
        n_classes: K.
        width: Features of each encoder.
        dropout: Share of features dropped before the linear layer.
    """

    def __init__(
        self, inputs: Inputs, n_classes: int, width: int = 32, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {
                name: SignalEncoder(spec.n_channels, spec.sfreq, width)
                for name, spec in inputs.items()
            }
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width * len(inputs), n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        encoded = [encoder(signals[name]) for name, encoder in self.encoders.items()]
        embedding = torch.cat(encoded, dim=1)  # (B, D)
        return Output(self.head(self.dropout(embedding)), embedding)


PUBLISHED = Recipe(
    source="this project's; no paper",
    window=60.0,
    stride=30.0,
    lr=1e-3,
    weight_decay=1e-4,
    optimizer="adamw",
    batch_size=64,
    max_epochs=20,
    patience=6,
)


class CNN(EmotionClassifier):
    """A plain 1-D CNN over skin conductance, pulse and temperature.

    Motion is left to the probe of that name: a network that sees it may learn how people move in a
    condition instead of what they feel.
    """

    prefers: ClassVar = (("eda", "bvp", "temp"), ("ecg", "resp"), ("eeg",), ("eeg_de", "eye"))
    published = PUBLISHED

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        width: int = 32,
        dropout: float = 0.5,
        recipe: Recipe = PUBLISHED,
    ) -> None:
        super().__init__(CNNNetwork(inputs, n_classes, width, dropout), n_classes, recipe)
        self.save_hyperparameters()

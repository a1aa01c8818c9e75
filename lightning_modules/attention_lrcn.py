"""Attention-LRCN on spectrograms of the pulse (Choi et al. 2022, 2023)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from datamodules.batch import Inputs, SignalSpec
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.layers import Spectrogram
from lightning_modules.recipe import Recipe

N_LOW = 9
"""Number of bins that the recurrent branch sees: 0 to 8 Hz where the rate allows."""

POOLING = 8
"""Number of frames in one step of the LSTM."""

PUBLISHED_INPUTS = {"bvp": SignalSpec(n_channels=1, n_times=7680, sfreq=64.0)}
"""Inputs of the published weights: 120 s from an Empatica E4."""

PUBLISHED_FILES = {
    "features": (
        "net_lrcn",
        {
            "stem.": "conv1.",
            "first.branch.": "conv2.",
            "second.branch.": "conv3.",
            "lstm.": "lstm1.",
            "norm.": "bn.",
        },
    ),
    "attention": (
        "net_att",
        {
            "stem.": "conv1.",
            "first.branch.": "conv2.",
            "second.branch.": "conv3.",
            "gate.": "conv4.",
        },
    ),
    "classifier": ("net_fc", {"hidden.": "fc.", "last.": "fc.3."}),
}
"""For each part of the network: the authors' file, and their names for its layers."""

PUBLISHED = Recipe(
    source="released code of Choi et al. 2023, baseline training",
    window=120.0,
    stride=1.0,
    scaling="none",
    lr=1e-4,
    lr_decay=0.95,
    batch_size=256,
    max_epochs=20,
)

FAST = replace(
    PUBLISHED,
    source="this project's: fewer windows, smaller batches and epochs; learning rate tuned on "
    "validation subjects of Stress-Predict (tests/benchmarks/tune_fast.py), at a stride of 30 s; "
    "statistics of all training windows, as by running ones validation falls to a constant in "
    "every other epoch (tests/benchmarks/longer_fast.csv)",
    stride=20.0,
    lr=3e-4,
    batch_size=64,
    max_epochs=8,
    statistics="training_windows",
    tuned_on=("stress_predict",),
)


class ResidualBlock(nn.Module):
    """Two convolutions beside the identity, pooling in time by two, ReLU.

    Args:
        n_channels: Number of feature maps, in and out.
        first_kernel: Height and width of the first convolution; the second is (1, 9).
    """

    def __init__(self, n_channels: int, first_kernel: tuple[int, int]) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(n_channels, n_channels, first_kernel, padding="same"),
            nn.ReLU(),
            nn.Conv2d(n_channels, n_channels, (1, 9), padding=(0, 4)),
            nn.BatchNorm2d(n_channels),
        )
        self.pool = nn.MaxPool2d((1, 2))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (B, D, F, L/2), of maps of shape (B, D, F, L)."""
        return torch.relu(self.pool(maps + self.branch(maps)))  # (B, D, F, L/2)


class FeatureNetwork(nn.Module):
    """Convolutions in time over the low bins, then a bidirectional LSTM.

    Args:
        n_channels: Number of channels of the signal, C.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, 16, (N_LOW, 1)),
            nn.ReLU(),
            nn.Conv2d(16, 32, (1, 9), padding=(0, 4)),
            nn.ReLU(),
            nn.Conv2d(32, 64, (1, 9), padding=(0, 4)),
            nn.MaxPool2d((1, 2)),
            nn.ReLU(),
        )
        self.first = ResidualBlock(64, (1, 9))
        self.second = ResidualBlock(64, (1, 9))
        self.lstm = nn.LSTM(64, 64, num_layers=2, batch_first=True, bidirectional=True)
        self.norm = nn.BatchNorm1d(128)

    def forward(self, low: Tensor) -> Tensor:
        """Return features, shape (B, 128, L/8), of levels in dB of shape (B, C, 9, L)."""
        maps = self.stem(low)  # (B, 64, 1, L/2)
        maps = self.second(self.first(maps))  # (B, 64, 1, L/8)
        steps = maps.squeeze(2).transpose(1, 2)  # (B, L/8, 64)
        steps, _ = self.lstm(steps)  # (B, L/8, 128)
        features: Tensor = self.norm(steps.transpose(1, 2))  # (B, 128, L/8)
        return features


class AttentionNetwork(nn.Module):
    """Convolutions in frequency and time over all bins; one weight in (0, 1) for each step.

    Args:
        n_channels: Number of channels of the signal, C.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, 16, (9, 1)),
            nn.ReLU(),
            nn.Conv2d(16, 32, (1, 9), padding=(0, 4)),
            nn.MaxPool2d((1, 2)),
            nn.ReLU(),
        )
        self.first = ResidualBlock(32, (9, 1))
        self.second = ResidualBlock(32, (9, 1))
        self.gate = nn.Sequential(
            nn.Conv2d(32, 16, (9, 1)),
            nn.ReLU(),
            nn.Conv2d(16, 16, (9, 1)),
            nn.ReLU(),
            nn.Conv2d(16, 1, (9, 1)),
            nn.BatchNorm2d(1),
            nn.Sigmoid(),
        )

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return weights, shape (B, 1, L/8), of levels in dB of shape (B, C, 33, L)."""
        maps = self.stem(spectrum)  # (B, 32, 25, L/2)
        maps = self.second(self.first(maps))  # (B, 32, 25, L/8)
        weights: Tensor = self.gate(maps).squeeze(2)  # (B, 1, L/8)
        return weights


class PooledClassifier(nn.Module):
    """Sum of the weighted steps, one hidden layer, logits.

    Args:
        n_classes: Number of classes, K.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(128, 32), nn.BatchNorm1d(32), nn.ReLU())
        self.last = nn.Linear(32, n_classes)

    def forward(self, features: Tensor, weights: Tensor) -> Output:
        """Return logits of features (B, 128, L) and weights (B, 1, L)."""
        pooled = (features * weights).sum(dim=2)  # (B, 128)
        embedding = self.hidden(pooled)  # (B, 32)
        return Output(self.last(embedding), embedding)


class AttentionLRCNNetwork(nn.Module):
    """CNN and bidirectional LSTM over the low bins, gated in time by a second CNN over all bins.

    Args:
        inputs: One signal; the paper takes one channel of ``"bvp"`` at 64 Hz.
        n_classes: Number of classes, K.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        ((self.signal, spec),) = inputs.items()
        self.spectrogram = Spectrogram(spec.sfreq, spec.n_times)
        self.features = FeatureNetwork(spec.n_channels)
        self.attention = AttentionNetwork(spec.n_channels)
        self.classifier = PooledClassifier(n_classes)
        # A training step on a CPU takes two thirds of the time with weights in this layout.
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        spectrum = self.spectrogram(signals[self.signal])  # (B, C, 33, L)
        features = self.features(spectrum[:, :, :N_LOW])  # (B, 128, L/8)
        weights = self.attention(spectrum)  # (B, 1, L/8)
        output: Output = self.classifier(features, weights)
        return output


class AttentionLRCN(EmotionClassifier):
    """Attention-LRCN, trained as published: Adam, learning rate 1e-4, times 0.95 an epoch.

    Departures from the paper's system, and why:

    * The spectrogram is computed batch by batch on the device in float32, not beforehand in
      float64: a fold of WESAD takes 2 GB of them. Logits move by less than 1e-4.
    * The input may have C channels: the first convolution of both branches takes all of them, and
      each channel has its own 80 dB range. The paper takes one channel of pulse; the other signals
      give a row to datasets without a pulse.
    * The rate may be other than 64 Hz: see Spectrogram. The layers stay as they are; below 64 Hz
      they see the same number of bins, up to half the rate (``N_LOW``: up to an eighth).
    * The window may be shorter than 120 s, as a dataset's segments may be, and frames follow each
      other more closely where there would be fewer than 16. Weighted features are summed over
      the steps as published, so their scale grows with the number of steps.
    * The epoch is chosen on validation subjects by macro F1; the authors choose it on the test
      subject by accuracy.
    * Training windows never cross a segment, and come one stride apart from its start; the authors
      join all samples with one label. On WESAD each label is one segment, so the two agree.
    * Pooling comes before ReLU, which costs less; values and gradients are the same either way.
    * Weights are drawn from a seed; the authors set none.

    As published: samples are not filtered or scaled, the loss is unweighted, a training batch of
    one window is left out (by the datamodule), every layer has PyTorch's default initial weights.

    Args:
        inputs: One signal; the paper takes one channel of ``"bvp"`` at 64 Hz for 120 s.
        n_classes: Number of classes, K.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.

    References:
        Choi, Lee, Ryu and Lee, Attention-LRCN: Long-term Recurrent Convolutional Network for
        Stress Detection from Photoplethysmography, IEEE MeMeA 2022.

        Choi, Hwang, Lee, Ryu and Lee, Weighted knowledge distillation of attention-LRCN for
        recognizing affective states from PPG signals, Expert Systems with Applications 233 (2023)
        120883, and its released code (https://github.com/ziiho08/Attention-LRCN).
    """

    prefers = (("bvp",), ("ecg",), ("eda",), ("eeg",))
    published = PUBLISHED
    fast = FAST

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe = PUBLISHED) -> None:
        self.check_inputs(inputs)
        super().__init__(AttentionLRCNNetwork(inputs, n_classes), n_classes, recipe)
        self.save_hyperparameters()

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is one signal, and one step of it is left."""
        super().check_inputs(inputs)
        if len(inputs) != 1:
            raise IncompatibleRunError(
                f"{cls.__name__} takes one signal, found {', '.join(inputs) or 'none'}: name one"
            )
        ((name, spec),) = inputs.items()
        n_frames = Spectrogram(spec.sfreq, spec.n_times).n_frames
        if n_frames < POOLING:
            raise IncompatibleRunError(
                f"{cls.__name__} pools time by {POOLING}: expected at least {POOLING} spectrogram "
                f"frames a window, found {n_frames} in {spec.n_times} samples of {name} at "
                f"{spec.sfreq:g} Hz. Take a longer window or a faster signal."
            )


def load_published(
    folder: Path, fold: str = "S2", n_classes: int = 3, recipe: Recipe = PUBLISHED
) -> AttentionLRCN:
    """Return a model with the authors' published weights (MIT licence, (c) 2022 jihochoi).

    Args:
        folder: The authors' folder ``models/teacher`` or ``models/student``, with
            ``<fold>_net_lrcn.pt``, ``<fold>_net_att.pt`` and ``<fold>_net_fc.pt``.
        fold: Subject that was held out. The authors publish S2 only: these weights were trained on
            all other subjects.
        n_classes: Number of classes of the weights, K.
        recipe: Recipe by which the model is trained further.

    Returns:
        The model, in eval mode, on the CPU, for ``PUBLISHED_INPUTS``.

    Raises:
        DatasetNotFoundError: A file is missing.
        DatasetCorruptedError: A file is no state dictionary, or not of this network.
    """
    model = AttentionLRCN(PUBLISHED_INPUTS, n_classes, recipe)
    for part, (file, layers) in PUBLISHED_FILES.items():
        path = folder / f"{fold}_{file}.pt"
        module = model.network.get_submodule(part)
        weights = module.state_dict()
        names = {name: _published_name(name, layers) for name in weights}
        published = _read_weights(path)
        faults = [f"no {theirs}" for theirs in names.values() if theirs not in published]
        faults += [f"unknown {theirs}" for theirs in published if theirs not in names.values()]
        faults += [
            f"{theirs} of shape {tuple(published[theirs].shape)} instead of "
            f"{tuple(weights[name].shape)}"
            for name, theirs in names.items()
            if theirs in published and published[theirs].shape != weights[name].shape
        ]
        if faults:
            raise DatasetCorruptedError(
                f"{path} does not hold the weights of {file} for {n_classes} classes: "
                f"{'; '.join(faults)}. Take the file as the authors publish it."
            )
        module.load_state_dict({name: published[theirs] for name, theirs in names.items()})
    return model.eval()


def _published_name(name: str, layers: Mapping[str, str]) -> str:
    (prefix,) = (prefix for prefix in layers if name.startswith(prefix))
    return layers[prefix] + name.removeprefix(prefix)


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DatasetNotFoundError(
            f"no weights at {str(path)!r}: expected the authors' file of that name, from "
            "https://github.com/ziiho08/Attention-LRCN, folder models"
        )
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load promises no particular one for a broken file
        raise DatasetCorruptedError(f"{path} cannot be read as weights: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise DatasetCorruptedError(
            f"{path}: expected a dictionary of tensors, found {type(weights).__name__}"
        )
    return weights

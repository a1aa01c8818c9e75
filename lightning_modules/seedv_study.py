"""The layer tables of a study on SEED-V, after which DNN, LSTM, CNN and CNN-LSTM are designed.

The study feeds whole trials of raw EEG,
padded with zeros to the longest one, as an image of (channels, time): recurrent layers step over
channels. Its trials were cut at the times of another session, and the padding alone tells the
class, so its scores say nothing about emotion; these networks are kept out of the boards and serve
experiments on padding. Layers, widths and the framework's defaults are the study's: batch
normalisation after pooling with eps 1e-3 and momentum 0.01, Glorot's initial weights, orthogonal
recurrent ones, zero biases, 1 for the forget gate, one bias a gate. Numbers of parameters are those
that it prints, running statistics included.

Departures: the networks take any number of channels and samples that leaves something after
pooling, and running variances are unbiased.

References:
    Ahmed, Analysis of Deep Learning Models for Emotion Recognition, released notebooks
    (https://github.com/sifatahammed/Analysis-of-Deep-Learning-Models-for-Emotion-Recognition).
"""

from collections.abc import Mapping

from torch import Tensor, nn

from datamodules.batch import LENGTH, Inputs, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import Output

EPS, MOMENTUM = 1e-3, 0.01
DROPOUT = 0.2


class OneSignalNetwork(nn.Module):
    """A network of the study: one signal, as an image of channels and time.

    Args:
        inputs: One signal.
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        if LENGTH in inputs:
            raise IncompatibleRunError(
                'the study\'s layers take no mask: pad without one, or take layers="rows"'
            )
        if len(inputs) != 1:
            raise IncompatibleRunError(
                f"the study's layers take one signal, found {', '.join(inputs) or 'none'}: name one"
            )
        (self.signal,) = inputs


class DenseBlock(nn.Module):
    """Dense layer on the last axis, ReLU, batch normalisation of its features, dropout.

    Args:
        n_inputs: Length of the last axis.
    """

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.dense = dense(n_inputs, 128)
        self.norm = nn.BatchNorm1d(128, EPS, MOMENTUM)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, steps: Tensor) -> Tensor:
        """Return features, shape (B, C, 128), of steps of shape (B, C, T)."""
        features = self.dense(steps).relu().transpose(1, 2)  # (B, 128, C)
        dropped: Tensor = self.dropout(self.norm(features).transpose(1, 2))
        return dropped


class StudyDNN1Network(OneSignalNetwork):
    """DNN-1: one dense layer over time, all channels to the classes."""

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        spec = inputs[self.signal]
        self.block = DenseBlock(spec.n_times)
        self.head = dense(spec.n_channels * 128, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        embedding = self.block(signals[self.signal]).flatten(1)  # (B, 128 C)
        return Output(self.head(embedding), embedding)


class StudyDNN2Network(OneSignalNetwork):
    """DNN-2: two dense layers over time, one over all channels."""

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        spec = inputs[self.signal]
        self.blocks = nn.Sequential(DenseBlock(spec.n_times), DenseBlock(128))
        self.hidden = dense(spec.n_channels * 128, 128)
        self.head = dense(128, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        features = self.blocks(signals[self.signal]).flatten(1)  # (B, 128 C)
        embedding = self.hidden(features).relu()  # (B, 128)
        return Output(self.head(embedding), embedding)


class StudyLSTM1Network(OneSignalNetwork):
    """LSTM-1: two LSTM layers of 64 over channels, one dense layer."""

    n_recurrent = 2
    n_dense = 1

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        spec = inputs[self.signal]
        sizes = [spec.n_times, *[64] * (self.n_recurrent - 1)]
        self.recurrent = nn.ModuleList(lstm(size, 64) for size in sizes)
        self.norm = nn.BatchNorm1d(64, EPS, MOMENTUM)
        self.dropout = nn.Dropout(DROPOUT)
        widths = [64, *[128] * (self.n_dense - 1)]
        self.hidden = nn.Sequential(
            *(nn.Sequential(dense(width, 128), nn.ReLU()) for width in widths)
        )
        self.head = dense(128, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        steps = signals[self.signal]  # (B, C, T)
        for layer in self.recurrent:
            steps, _ = layer(steps)  # (B, C, 64)
        embedding = self.hidden(self.dropout(self.norm(steps[:, -1])))  # (B, 128)
        return Output(self.head(embedding), embedding)


class StudyLSTM2Network(StudyLSTM1Network):
    """LSTM-2: three LSTM layers of 64 over channels, two dense layers."""

    n_recurrent = 3
    n_dense = 2


class StudyCNN1Network(OneSignalNetwork):
    """CNN-1: one convolution of stride 4, all places of the map to the classes."""

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        spec = inputs[self.signal]
        height, width = (((size - 3) // 4 + 1) // 2 for size in (spec.n_channels, spec.n_times))
        check_map(self.signal, spec, height, width)
        self.layers = nn.Sequential(
            convolution(1, 64, stride=4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(64, EPS, MOMENTUM),
            nn.Dropout(DROPOUT),
            nn.Flatten(),
        )
        self.head = dense(64 * height * width, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        embedding = self.layers(signals[self.signal].unsqueeze(1))  # (B, 64 C/8 T/8)
        return Output(self.head(embedding), embedding)


class StudyCNN2Network(OneSignalNetwork):
    """CNN-2: two convolutions, a dense layer of three; defined in the study, with no result."""

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        spec = inputs[self.signal]
        height, width = (halved(halved(size)) for size in (spec.n_channels, spec.n_times))
        check_map(self.signal, spec, height, width)
        self.layers = nn.Sequential(
            convolution(1, 32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            convolution(32, 32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(32, EPS, MOMENTUM),
            nn.Dropout(DROPOUT),
            nn.Flatten(),
            dense(32 * height * width, 3),
            nn.ReLU(),
        )
        self.head = dense(3, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        embedding = self.layers(signals[self.signal].unsqueeze(1))  # (B, 3)
        return Output(self.head(embedding), embedding)


class StudyCNNLSTMNetwork(OneSignalNetwork):
    """CNN-LSTM: two convolutions, an LSTM of 16 over rows of channels, one sigmoid a class.

    The study divides the sigmoids by their sum before the loss. Logits are their logarithms, whose
    softmax is the same.
    """

    def __init__(self, inputs: Inputs, n_classes: int) -> None:
        super().__init__(inputs)
        spec = inputs[self.signal]
        height, width = (halved(halved(size)) for size in (spec.n_channels, spec.n_times))
        check_map(self.signal, spec, height, width)
        self.layers = nn.Sequential(
            convolution(1, 32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            convolution(32, 64),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.lstm = lstm(64 * width, 16)
        self.norm = nn.BatchNorm1d(16, EPS, MOMENTUM)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = dense(16 * height, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        maps = self.layers(signals[self.signal].unsqueeze(1))  # (B, 64, C/4, T/4)
        steps = maps.transpose(1, 2).flatten(2)  # (B, C/4, 64 T/4)
        states, _ = self.lstm(steps)  # (B, C/4, 16)
        features = self.norm(states.transpose(1, 2)).transpose(1, 2)
        embedding = self.dropout(features).flatten(1)  # (B, 16 C/4)
        return Output(nn.functional.logsigmoid(self.head(embedding)), embedding)


def halved(size: int) -> int:
    """Return the length of an axis after a convolution of three without padding, pooled by two."""
    return (size - 2) // 2


def check_map(signal: str, spec: SignalSpec, height: int, width: int) -> None:
    """Raise IncompatibleRunError unless pooling leaves something of both axes."""
    if height < 1 or width < 1:
        raise IncompatibleRunError(
            f"the study's convolutions leave nothing of {spec.n_channels} channels and "
            f"{spec.n_times} samples of {signal}: they take ten of both, or more"
        )


def dense(n_inputs: int, n_outputs: int) -> nn.Linear:
    """Return a dense layer with Glorot's initial weights."""
    layer = nn.Linear(n_inputs, n_outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def convolution(n_inputs: int, n_outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without padding, with Glorot's initial weights."""
    layer = nn.Conv2d(n_inputs, n_outputs, 3, stride)
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def lstm(n_inputs: int, n_units: int) -> nn.LSTM:
    """Return an LSTM with one bias a gate (the other stays zero), 1 for the forget gate."""
    layer = nn.LSTM(n_inputs, n_units, batch_first=True)
    weights = dict(layer.named_parameters())
    nn.init.xavier_uniform_(weights["weight_ih_l0"])
    nn.init.orthogonal_(weights["weight_hh_l0"])
    nn.init.zeros_(weights["bias_ih_l0"])
    nn.init.ones_(weights["bias_ih_l0"][n_units : 2 * n_units])
    nn.init.zeros_(weights["bias_hh_l0"]).requires_grad_(False)
    return layer

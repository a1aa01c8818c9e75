"""GridClassifier: the base of ResNet, InceptionTime and TCN, which read one time grid."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Inputs
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier

EPS = 1e-3
"""Term in the denominator of BatchNorm in the framework of the published code."""


class SameConv1d(nn.Conv1d):
    """Convolution with as many samples out as in.

    An even kernel has one zero more after the window than before.

    Args:
        n_inputs: Number of feature maps in.
        n_outputs: Number of feature maps out.
        kernel: Number of samples.
        bias: Whether a bias is added.
    """

    def __init__(self, n_inputs: int, n_outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__(n_inputs, n_outputs, kernel, padding=(kernel - 1) // 2, bias=bias)
        self.odd = kernel % 2 == 1

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of its parent
        return super().forward(input if self.odd else F.pad(input, (0, 1)))


def initialize(network: nn.Module) -> None:
    """Draw weights of convolutions and linear layers uniformly after Glorot; biases become zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class GridClassifier(EmotionClassifier):
    """A classifier of time series: all channels of all signals on one time grid, see CommonGrid.

    These networks were published for time series from anywhere, and ask for no signal in
    particular. Here they take what MLSTM-FCN takes, so that their rows can be compared with its.
    A grid has at most 640 samples: 60 s of a pulse become about eleven samples a second, which
    show each beat. EEG wants windows of 5 s instead.
    """

    prefers: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("eda", "resp", "bvp", "temp"),
        ("ecg",),
        ("eeg_de",),
        ("eeg",),
    )

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is a signal, with a channel and a sample."""
        super().check_inputs(inputs)
        if not inputs:
            raise IncompatibleRunError(f"{cls.__name__} takes one signal or more, found none")
        for name, spec in inputs.items():
            if spec.n_channels < 1 or spec.n_times < 1:
                raise IncompatibleRunError(
                    f"{cls.__name__} takes at least one channel and one sample of each signal, "
                    f"found {spec.n_channels} and {spec.n_times} of {name}. Take a longer window."
                )

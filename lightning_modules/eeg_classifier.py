"""EEGClassifier: the base of networks that read EEG at the rate of their paper."""

from typing import ClassVar

from torch import Tensor, nn

from datamodules.batch import Inputs, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier
from lightning_modules.mlstm_fcn import Resample


class AtRate(nn.Module):
    """One signal at another rate, through Resample; at the same rate it passes unchanged.

    Args:
        spec: The signal.
        sfreq: New sampling rate in Hz.

    Attributes:
        n_times: Number of samples afterwards, T'.
    """

    def __init__(self, spec: SignalSpec, sfreq: float) -> None:
        super().__init__()
        self.n_times = samples_at(spec, sfreq)
        same = spec.sfreq == sfreq
        self.resample = nn.Identity() if same else Resample(spec, sfreq, self.n_times)

    def forward(self, window: Tensor) -> Tensor:
        """Return samples of shape (B, C, T'), of samples of shape (B, C, T)."""
        samples: Tensor = self.resample(window)
        return samples


def samples_at(spec: SignalSpec, sfreq: float) -> int:
    """Return the number of samples of a window at another rate in Hz."""
    return round(spec.n_times * sfreq / spec.sfreq)


class EEGClassifier(EmotionClassifier):
    """A classifier of one EEG signal, whose network's lengths in samples are those of one rate."""

    prefers: ClassVar[tuple[tuple[str, ...], ...]] = (("eeg",),)
    sfreq: ClassVar[float]
    """Rate in Hz at which the network reads EEG."""
    shortest: ClassVar[int]
    """Number of samples at this rate that the network needs."""

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is one signal, and the window long enough."""
        super().check_inputs(inputs)
        if len(inputs) != 1:
            raise IncompatibleRunError(
                f"{cls.__name__} takes one EEG signal, found {', '.join(inputs) or 'none'}"
            )
        ((name, spec),) = inputs.items()
        if spec.n_channels < 1 or samples_at(spec, cls.sfreq) < cls.shortest:
            raise IncompatibleRunError(
                f"{cls.__name__} takes at least one channel and {cls.shortest / cls.sfreq:.2g} s, "
                f"found {spec.n_channels} and {spec.n_times / spec.sfreq:.2g} s of {name}. Take a "
                "longer window."
            )

"""SignalSpec and Batch: all that a model ever sees of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.serialization import add_safe_globals


@dataclass(frozen=True)
class SignalSpec:
    """Shape of a signal in a window.

    Args:
        n_channels: C.
        n_times: T, samples in a window.
        sfreq: Sampling rate in Hz.
    """

    n_channels: int
    n_times: int
    sfreq: float


Inputs = Mapping[str, SignalSpec]


class Batch(NamedTuple):
    """B windows.

    Attributes:
        signals: By name, float32 of shape (B, C, T); C and T differ from signal to signal.
        target: Class index, int64 of shape (B,).
        subject: Position of the subject in the datamodule's ``subjects``, int64 of shape (B,).
        trial: The publisher's trial number, int64 of shape (B,).
    """

    signals: dict[str, Tensor]
    target: Tensor
    subject: Tensor
    trial: Tensor


add_safe_globals([SignalSpec])

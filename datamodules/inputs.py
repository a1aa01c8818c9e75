"""SignalSpec: shape of a signal in a window, known without torch and before a file is read."""

from collections.abc import Mapping
from dataclasses import dataclass


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

LENGTH = "length"
"""Name of what is no signal: the share of each window that is recorded, shape (B, 1, 1).

It is there only where whole trials are padded and a mask is asked for."""

"""SignalSpec: shape of a signal in a window, known without torch and before a file is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SignalSpec:
    """Shape of a signal in a window, and the names of its channels.

    Args:
        n_channels: C.
        n_times: T, samples in a window.
        sfreq: Sampling rate in Hz.
        channels: A name for each of the C channels as recordings have it, ``""`` for one that they
            name differently; empty as long as no recording was read. Shapes are equal whatever
            their channels are called: names are left out of comparisons.
    """

    n_channels: int
    n_times: int
    sfreq: float
    channels: tuple[str, ...] = field(default=(), compare=False)


Inputs = Mapping[str, SignalSpec]

LENGTH = "length"
"""Name of what is no signal: the share of each window that is recorded, shape (B, 1, 1).

It is there only where whole trials are padded and a mask is asked for."""

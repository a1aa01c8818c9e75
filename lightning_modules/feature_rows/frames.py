"""Frames: which samples of a window belong to each feature row."""

import torch
from torch import Tensor, nn

from datamodules.batch import SignalSpec

ROW_RATE = 1.0
"""Rate in Hz up to which the samples of a signal are feature rows already."""


def n_rows(spec: SignalSpec) -> int:
    """Return R, the number of rows of a window, at least one.

    A row is a whole second, or a sample of a signal that is feature rows already.
    """
    if spec.sfreq <= ROW_RATE:
        return spec.n_times
    return max(1, int(spec.n_times / spec.sfreq + 1e-6))


class Frames(nn.Module):
    """One frame for each row, centred on the row's second as far as the window allows.

    Frames near an end are moved inwards, and a frame is no longer than the window, so that no
    sample is made up.

    Args:
        n_times: Number of samples in a window, T.
        sfreq: Sampling rate in Hz.
        seconds: Length of a frame in seconds.
        rows: Number of rows, R.

    Attributes:
        length: Number of samples in a frame, L.
    """

    index: Tensor

    def __init__(self, n_times: int, sfreq: float, seconds: float, rows: int) -> None:
        super().__init__()
        self.length = min(n_times, max(1, round(seconds * sfreq)))
        starts = (torch.arange(rows, dtype=torch.float64) + 0.5) * sfreq - self.length / 2
        starts = starts.round().long().clamp(0, n_times - self.length)
        index = starts[:, None] + torch.arange(self.length)
        self.register_buffer("index", index, persistent=False)

    def forward(self, window: Tensor) -> Tensor:
        """Return frames, shape (B, C, R, L), of windows of shape (B, C, T)."""
        return window[:, :, self.index]

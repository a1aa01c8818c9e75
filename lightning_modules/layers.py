"""Front ends that the networks share."""

import torch
from torch import Tensor, nn

N_BINS = 33
"""Number of frequency bins of a spectrogram: 0 to 32 Hz where the rate allows."""

MIN_FFT = 64
"""Number of samples of the shortest Fourier transform; its spectrum has just ``N_BINS`` bins."""

MIN_FRAMES = 16
"""Number of frames of a window that has enough samples for them."""

FLOOR = 1e-5
"""Smallest magnitude that differs from zero: -100 dB."""

DYNAMIC_RANGE = 80.0
"""Decibels below its highest level at which a spectrogram is cut off."""


SLOWEST = 0.01
"""Momentum of BatchNorm's running moments in networks that were published with Keras' 0.99."""


class DebiasedBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm whose running moments are of use from the first batch on.

    After n batches they move by ``max(SLOWEST, 1 / (n + 1))``: up to 100 batches they are the means
    over all of them. Keras, with which these networks were published, removes the bias towards the
    initial values too. With a constant momentum of SLOWEST a third of these is left after a hundred
    batches.

    Args:
        num_features: Number of channels.
        eps: Added to the variance.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps=eps, momentum=1.0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of its parent
        debias(self)
        return super().forward(input)


class DebiasedBatchNorm2d(nn.BatchNorm2d):
    """The same of maps of two dimensions, see DebiasedBatchNorm1d.

    Args:
        num_features: Number of channels.
        eps: Added to the variance.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps=eps, momentum=1.0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of its parent
        debias(self)
        return super().forward(input)


def debias(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Set the momentum for the next batch; the counter is not read once it is SLOWEST."""
    if norm.training and norm.momentum != SLOWEST and norm.num_batches_tracked is not None:
        norm.momentum = max(SLOWEST, 1 / (int(norm.num_batches_tracked) + 1))


class Spectrogram(nn.Module):
    """Short-time spectrum in decibels, with the defaults of librosa that the published code used.

    Frames are centred on every ``hop`` samples, the window padded with zeros at both ends, and
    weighted by a periodic Hann window. The level is 20 log10 of the magnitude (no scaling), nothing
    below ``FLOOR`` or more than ``DYNAMIC_RANGE`` below the highest level of the same window and
    channel. Frequencies mean the same at every rate where they can: from 64 Hz on a frame spans
    one second (``round(sfreq)`` samples), so that bins are 1 Hz apart, and those above 32 Hz are
    dropped before the range is cut. Below 64 Hz a frame has 64 samples, and the bins run up to
    half the rate. Frames start a quarter of a frame apart, or as much closer as gives a short
    window ``MIN_FRAMES`` frames, but at least one sample.

    Args:
        sfreq: Sampling rate in Hz.
        n_times: Number of samples in a window, T.

    Attributes:
        n_fft: Number of samples in a frame.
        hop: Number of samples from one frame to the next.
        n_frames: Number of frames, L.

    References:
        Choi et al., Weighted knowledge distillation of attention-LRCN for recognizing affective
        states from PPG signals, Expert Systems with Applications 233 (2023) 120883; released code.
    """

    weight: Tensor

    def __init__(self, sfreq: float, n_times: int) -> None:
        super().__init__()
        self.n_fft = max(MIN_FFT, round(sfreq))
        span = n_times - self.n_fft % 2  # an odd frame is padded by one sample less than it has
        self.hop = max(1, min(self.n_fft // 4, span // (MIN_FRAMES - 1)))
        self.n_frames = 1 + span // self.hop
        self.register_buffer("weight", torch.hann_window(self.n_fft), persistent=False)

    def forward(self, window: Tensor) -> Tensor:
        """Return levels in dB, shape (B, C, F, L), of samples of shape (B, C, T)."""
        spectrum = torch.stft(
            window.flatten(0, 1),
            self.n_fft,
            self.hop,
            window=self.weight,
            pad_mode="constant",
            return_complex=True,
        )[:, :N_BINS]  # (B C, F, L)
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        power = power.reshape(*window.shape[:2], N_BINS, self.n_frames)  # (B, C, F, L)
        level = 10 * power.clamp_min(FLOOR**2).log10()
        return level.maximum(level.amax(dim=(2, 3), keepdim=True) - DYNAMIC_RANGE)

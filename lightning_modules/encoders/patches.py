"""Patches: windows of EEG in seconds of 200 samples, as LaBraM and CBraMod take them."""

from torch import Tensor

SAMPLES = 200
"""Number of samples in a patch: a second at 200 Hz."""
MICROVOLTS = 100.0
"""Microvolts of one unit of the input; both papers scale EEG so."""


def count_patches(n_times: int, most: int | None = None) -> int:
    """Return the number of patches in a window.

    Args:
        n_times: Number of samples in the window.
        most: Largest number of patches; None: any.

    Raises:
        ValueError: A window that is not some whole patches.
    """
    n_patches, rest = divmod(n_times, SAMPLES)
    if rest or not n_patches or (most and n_patches > most):
        few = f" and at most {most * SAMPLES}" if most else ""
        raise ValueError(
            f"expected windows of a multiple of {SAMPLES} samples{few}, found {n_times}: take "
            f"whole seconds{f', {most} at most' if most else ''}"
        )
    return n_patches


def as_patches(window: Tensor) -> Tensor:
    """Return windows (B, C, T) in microvolts as patches (B, C, T / 200, 200) in 100 microvolts."""
    batch, n_channels, _ = window.shape
    return window.reshape(batch, n_channels, -1, SAMPLES) / MICROVOLTS

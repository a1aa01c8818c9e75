"""Made-up EEG with a planted effect of valence and arousal.

    head = draw_head(np.random.default_rng(0), 32)
    samples = eeg(np.random.default_rng(1), head, 60.0, 128.0, valence=0.8, arousal=0.3)

A 1/f background on every channel, an alpha rhythm and beta activity. Arousal takes from alpha and
adds to beta; valence shifts alpha between the first and the second half of the channels. The
constants are round numbers of the right size; they are no model of any dataset.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

ALPHA_FALL = 0.5
"""Alpha amplitude at full arousal is exp(-this) times that at rest."""
BETA_RISE = 0.4
"""Beta amplitude at full arousal is exp(this) times that at rest."""
ASYMMETRY = 0.4
"""Logarithm of the ratio of alpha between the two halves from lowest to highest valence."""
BETA = (14.0, 30.0)
"""Band of the beta activity in Hz."""
WIDTH = 1.0
"""Width of the alpha rhythm in Hz."""
LOWEST = 0.5
"""Frequency in Hz below which the background does not grow further."""


@dataclass(frozen=True, eq=False)
class Head:
    """Properties of EEG that differ from person to person.

    Args:
        alpha_frequency: Frequency of the alpha rhythm in Hz.
        background: Standard deviation of the background in microvolts, shape (C,).
        alpha: Standard deviation of the alpha rhythm in microvolts, shape (C,).
        beta: Standard deviation of the beta activity in microvolts, shape (C,).
    """

    alpha_frequency: float
    background: Samples
    alpha: Samples
    beta: Samples


def draw_head(rng: np.random.Generator, n_channels: int) -> Head:
    """Draw the properties of a random person."""
    scales = rng.lognormal(0.0, 0.2, 3)
    levels = scales[:, None] * rng.lognormal(0.0, 0.15, (3, n_channels)) * [[8.0], [4.0], [2.0]]
    frequency = float(np.clip(rng.normal(10.0, 0.7), 8.5, 12.0))
    return Head(frequency, levels[0], levels[1], levels[2])


def eeg(
    rng: np.random.Generator,
    head: Head,
    seconds: float,
    sfreq: float,
    valence: float,
    arousal: float,
    effect: float = 1.0,
) -> Samples:
    """Make up the EEG of one trial, in microvolts, shape (C, round(seconds * sfreq)).

    Args:
        rng: Source of all random numbers.
        head: Properties of the person's EEG.
        seconds: Length of the trial.
        sfreq: Rate in Hz.
        valence: Felt valence, from 0 to 1.
        arousal: Felt arousal, from 0 to 1.
        effect: Strength of the effect of both; 0 for no effect.
    """
    n_channels, n_times = len(head.background), round(seconds * sfreq)
    frequency = np.fft.rfftfreq(n_times, 1 / sfreq)
    pink = 1 / np.sqrt(np.maximum(frequency, LOWEST)) * (frequency > 0)
    alpha = np.exp(-0.5 * ((frequency - head.alpha_frequency) / WIDTH) ** 2)
    beta = ((frequency >= BETA[0]) & (frequency < BETA[1])).astype(float)
    half = np.where(np.arange(n_channels) < n_channels / 2, -0.5, 0.5)
    tilt = half * ASYMMETRY * (valence - 0.5)
    levels = (
        (head.background, pink),
        (head.alpha * np.exp(effect * (tilt - ALPHA_FALL * arousal)), alpha),
        (head.beta * np.exp(effect * BETA_RISE * arousal), beta),
    )
    samples = np.zeros((n_channels, n_times))
    for level, shape in levels:
        unit = shape / np.sqrt(np.mean(np.square(np.r_[shape, shape[-2:0:-1]])))
        noise = np.fft.rfft(rng.standard_normal((n_channels, n_times)))
        samples += level[:, None] * np.fft.irfft(noise * unit, n_times)
    return samples

"""Made-up trials: stimuli, what people feel, how they rate it, and the signals of their bodies.

stimuli = draw_stimuli(rng, 40)                     # (40, 2) valence and arousal, 0 to 1
ratings = rate(rng, stimuli)                        # (40, 2) on a scale from 1 to 9
signals = body(rng, person, felt(ratings[0]), 60.0, {"eda": 128.0, "bvp": 128.0})
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from datamodules.synthesis.physiology import CHEST_RATES, E4_RATES, Person, Phase, session

Samples = npt.NDArray[np.float64]

LOW, HIGH = 1.0, 9.0
"""Ends of the rating scale."""
BODY_SIGNALS = (*E4_RATES, *CHEST_RATES)
"""Signals that ``body`` can make."""
VALENCE_SHARE = 0.4
"""Share of valence in what the body shows; the rest is arousal."""
LEVELS = (0.25, 0.75)
"""Valence and arousal of a stimulus, low and high, around which it is drawn."""


def draw_stimuli(rng: np.random.Generator, n_stimuli: int) -> Samples:
    """Draw valence and arousal of stimuli in [0, 1], shape (n, 2), balanced over the quadrants."""
    quadrant = rng.permutation(np.arange(n_stimuli) % 4)
    levels = np.take(LEVELS, np.column_stack([quadrant // 2, quadrant % 2]))
    return np.clip(levels + rng.normal(0.0, 0.08, levels.shape), 0.0, 1.0)


def rate(rng: np.random.Generator, stimuli: Samples) -> Samples:
    """Draw one person's ratings of stimuli, shape (n, 2): valence and arousal from 1 to 9."""
    bias = rng.normal(0.0, 0.04, 2)
    levels = np.clip(stimuli + bias + rng.normal(0.0, 0.1, stimuli.shape), 0.0, 1.0)
    return LOW + (HIGH - LOW) * levels


def felt(ratings: Samples) -> Samples:
    """Return the valence and arousal in [0, 1] that a person with these ratings felt."""
    return (ratings - LOW) / (HIGH - LOW)


def body(
    rng: np.random.Generator,
    person: Person,
    levels: Samples,
    seconds: float,
    rates: Mapping[str, float],
    effect: float = 1.0,
    baseline: float = 0.0,
) -> dict[str, Samples]:
    """Make up the peripheral signals of one trial.

    Args:
        rng: Source of all random numbers.
        person: Person whose trial it is.
        levels: Felt valence and arousal, shape (2,).
        seconds: Length of the stimulus.
        rates: Sampling rate in Hz of each signal to make, among BODY_SIGNALS.
        effect: Strength of the effect of feelings on the signals; 0 for no effect.
        baseline: Seconds of rest before the stimulus.

    Returns:
        Signals by name, (C, T) with baseline first, in the units of ``physiology.session``.
    """
    level = float(VALENCE_SHARE * levels[0] + (1 - VALENCE_SHARE) * levels[1])
    rest = [Phase("", baseline, 0.0)] if baseline else []
    made = session(rng, [*rest, Phase("stimulus", seconds, level)], effect, rates, person)
    return {name: signal.samples.astype(np.float64) for name, signal in made.signals.items()}

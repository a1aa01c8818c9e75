"""Skin resistance to skin conductance, also where the readings are no resistance of skin."""

import numpy as np
import numpy.typing as npt

from datamodules.formats.arrays import share

Samples = npt.NDArray[np.float64]

LOWEST_RESISTANCE = 10_000.0
"""Ohm, which is 100 microsiemens: beyond the skin, and where wristbands stop measuring."""
DROPOUTS = 0.1
"""Share of a recording's readings up to which those that are too low are dropouts."""
ASSUMED_LOWEST = 100_000.0
"""Ohm, which is 10 microsiemens: where the lowest reading is put if the offset is missing."""


def conductance(resistance: Samples) -> tuple[Samples, str | None]:
    """Skin conductance in microsiemens, and how it was repaired.

    The reciprocal, where all readings can be skin. A few that cannot be are dropouts: they are
    interpolated. Where many cannot be, down to negative ones, amplifier or publisher took an
    unknown offset away: readings are moved up together, to above ``ASSUMED_LOWEST``, so that what
    rises in the resistance still falls in the conductance, but its level is made up. Nothing is
    infinite or negative, nothing is cut off, and no trial is lost for the other signals.

    Args:
        resistance: Of one recording in Ohm, finite, shape (T,).

    Returns:
        Microsiemens, shape (T,), and words for a fault, None where all is well.
    """
    low = resistance < LOWEST_RESISTANCE
    if not low.any():
        return 1e6 / resistance, None
    found = f"{share(low)} of the samples below {LOWEST_RESISTANCE:g} Ohm, too little for skin: "
    if low.mean() <= DROPOUTS:
        times = np.arange(len(resistance))
        return np.interp(times, times[~low], 1e6 / resistance[~low]), found + "interpolated"
    moved = resistance - resistance.min() + ASSUMED_LOWEST
    return 1e6 / moved, found + "an offset is missing, and a made-up one takes its place"

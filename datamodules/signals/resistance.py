"""Skin conductance from skin resistance, also from readings that cannot be those of skin."""

import numpy as np
import numpy.typing as npt

from datamodules.formats.arrays import share

Samples = npt.NDArray[np.float64]

LOWEST_RESISTANCE = 10_000.0
"""Ohm, which is 100 microsiemens: beyond the skin, and where wristbands stop measuring."""
DROPOUTS = 0.1
"""Largest share of a recording's readings that are too low for which they are dropouts."""
ASSUMED_LOWEST = 100_000.0
"""Ohm, which is 10 microsiemens: the lowest reading after a missing offset was made up."""


def conductance(resistance: Samples) -> tuple[Samples, str | None]:
    """Return skin conductance in microsiemens, and how it was repaired.

    It is the reciprocal if all readings can be those of skin. A few that cannot are dropouts, which
    are interpolated. If many cannot, down to negative ones, amplifier or publisher subtracted an
    unknown offset: all readings are moved up together, the lowest to ``ASSUMED_LOWEST``, so that a
    rise of the resistance is still a fall of the conductance, but its level is made up. No result
    is infinite or negative, nothing is cut off, and no trial is lost for the other signals.

    Args:
        resistance: Resistance of one recording in Ohm, finite, shape (T,).

    Returns:
        Microsiemens, shape (T,), and the words for a fault; None if nothing was repaired.
    """
    low = resistance < LOWEST_RESISTANCE
    if not low.any():
        return 1e6 / resistance, None
    fault = f"{share(low)} of the samples below {LOWEST_RESISTANCE:g} Ohm, too little for skin: "
    if low.mean() <= DROPOUTS:
        times = np.arange(len(resistance))
        return np.interp(times, times[~low], 1e6 / resistance[~low]), fault + "interpolated"
    moved = resistance - resistance.min() + ASSUMED_LOWEST
    return 1e6 / moved, fault + "an offset is missing, and a made-up one takes its place"

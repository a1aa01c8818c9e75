"""Kinds of signals: what the name of a signal means, and the bands and rates that belong to it.

This is the only place that interprets a signal's name.
"""

EEG_BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 14.0),
    "beta": (14.0, 31.0),
    "gamma": (31.0, 50.0),
}
"""Lower and upper edge in Hz; the upper edge is not in the band (as in the SEED papers)."""
BREATHING_RATES = (0.1, 0.8)
"""Lowest and highest breathing rate that is looked for, in Hz. Hyperventilation
and sport lead to more than 30 breaths a minute."""


def kind_of(name: str) -> str:
    """Return the kind of a signal: the last word of its name.

    ``chest_eda`` is of kind ``"eda"``. A part of a signal is a kind of its own: ``eda_tonic`` is of
    kind ``"tonic"``, as it has no responses to count, and ``bvp_beats`` of kind ``"beats"``.
    """
    return name.rpartition("_")[2]

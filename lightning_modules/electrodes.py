"""Electrodes: which ones mirror each other on the two sides of the head, from their names.

Names are those of the 10-20 and 10-10 systems, in upper or lower case: letters for the place from
front to back, then ``z`` on the midline, an odd number on the left and an even one on the right,
from the midline outwards. EDF+ puts the kind of signal before it: ``EEG F3``.
"""

import re
from collections.abc import Sequence

ROWS = ("FP", "AF", "F", "FC", "FT", "C", "T", "CP", "TP", "P", "PO", "O", "CB", "I")
"""Letters of places, from front to back; CB are electrodes of SEED over the cerebellum."""
OLDER = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Names of the 10-20 system that the 10-10 system has changed."""
KIND = "EEG "
"""Word before the name of an electrode in labels of EDF+."""
SIDED = re.compile(rf"({'|'.join(ROWS)})([1-9]|10)")


def mirrored_pairs(channels: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the channels whose electrodes mirror each other, as F3 and F4 do.

    Electrodes on the midline, those whose mirror image is missing, and names that are of no
    electrode are left out.

    Args:
        channels: Names of channels.

    Returns:
        Positions of a left and a right electrode, a pair each, from front to back and from the
        midline outwards, in whatever order the channels are.

    Raises:
        ValueError: Two channels of one place.
    """
    places: dict[tuple[int, int], int] = {}
    for position, name in enumerate(channels):
        electrode = name.upper().removeprefix(KIND)
        match = SIDED.fullmatch(OLDER.get(electrode, electrode))
        if match is None:
            continue
        place = ROWS.index(match[1]), int(match[2])
        if place in places:
            raise ValueError(
                f"expected one channel of an electrode, found {channels[places[place]]} and {name}"
            )
        places[place] = position
    return tuple(
        (places[row, number], places[row, number + 1])
        for row, number in sorted(places)
        if number % 2 and (row, number + 1) in places
    )

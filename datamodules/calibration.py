"""Calibration: what a model is given of a person beforehand, besides the window that it predicts.

A value of a protocol, in words as ``baseline:2``; this file alone knows how they are written.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from datamodules.errors import IncompatibleRunError

Kind = Literal["none", "baseline", "unlabelled", "whole", "labelled"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FORM = re.compile(r"(?P<kind>[a-z]+)(?::(?P<minutes>\d{1,3}(?:\.\d{1,3})?))?")
TIMED: tuple[Kind, ...] = ("baseline", "labelled")
"""Kinds that have a number of minutes; ``labelled`` may have 0, on the units of any other number.
"""
MOST_LABELLED = 10.0
"""Largest number of labelled minutes: what is tested begins after as many, whatever the number."""


@dataclass(frozen=True)
class Calibration:
    """What a model is given of each person beforehand.

    Args:
        kind: ``"none"``: nothing; ``"baseline"``: the first minutes of the first rest;
            ``"unlabelled"``: the recording up to now; ``"whole"``: the whole recording;
            ``"labelled"``: the first minutes, with their labels.
        minutes: Minutes of a baseline, or with labels; 0 for the other kinds.
    """

    kind: Kind = "none"
    minutes: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}:{self.minutes:g}" if self.kind in TIMED else self.kind

    def __bool__(self) -> bool:
        return self.kind != "none"

    @property
    def scales(self) -> bool:
        """True if people are scaled by their own recordings."""
        return self.kind in ("baseline", "unlabelled", "whole")

    @property
    def seconds(self) -> float:
        """Seconds of a baseline; 0 for the other kinds."""
        return 60 * self.minutes if self.kind == "baseline" else 0.0

    @property
    def slug(self) -> str:
        """Part of the name of a board."""
        minutes = f"_{self.minutes:g}_min" if self.kind in TIMED else ""
        return f"calibrated_by_{self.kind}{minutes}"

    @property
    def causal(self) -> bool:
        """True if nothing after the end of a window has a say in it."""
        return self.kind != "whole"

    @property
    def about(self) -> str:
        """What it is, in a line."""
        return ABOUT[self.kind].replace(MINUTES, f"{self.minutes:g} min")


MINUTES = "M minutes"
ABOUT: dict[Kind, str] = {
    "none": "nothing of a person is known beforehand; the honest default",
    "baseline": (
        f"each person's first {MINUTES} of the first rest, known to be rest; they are neither "
        "trained on nor tested"
    ),
    "unlabelled": (
        "statistics of each person's recording from its beginning to the end of the window, "
        "without labels; causal"
    ),
    "whole": (
        "statistics of each person's whole recordings, without labels; transductive: what comes "
        "after a window has a say in it, which nobody has in live use"
    ),
    "labelled": (
        f"each person's first {MINUTES} of labelled signal; tested is what comes after the first "
        f"{MOST_LABELLED:g} min and a gap, the same for every number of minutes"
    ),
}


def check_windows(
    calibration: Calibration, length: float, unit: float | None, scaling: str
) -> None:
    """Refuse windows that a calibration cannot have.

    Args:
        calibration: The calibration.
        length: Length of a window in seconds.
        unit: Length of a score unit in seconds; None: the trial.
        scaling: How a recipe scales samples.

    Raises:
        IncompatibleRunError: Windows longer than a baseline or than a score unit, or scaling by a
            range.
    """
    if calibration.scales and scaling == "min_max":
        raise IncompatibleRunError(
            f"calibration {calibration}: expected samples scaled by mean and standard deviation, "
            "or not at all, found scaling min_max"
        )
    longest = min(calibration.seconds, unit or calibration.seconds)
    if calibration.seconds and length > longest:
        raise IncompatibleRunError(
            f"calibration {calibration}: expected windows of at most {longest:g} s, which a "
            f"baseline and a score unit hold, found {length:g} s"
        )


@lru_cache(maxsize=64)
def parse(text: str) -> Calibration:
    """Return the calibration of some words; ``baseline`` is one minute.

    Raises:
        IncompatibleRunError: Words that are none.
    """
    form = FORM.fullmatch(text)
    kind = next((kind for kind in KINDS if form and form["kind"] == kind), None)
    written = form["minutes"] if form else None
    minutes = float(written or (kind == "baseline"))
    fits = {
        "baseline": minutes > 0,
        "labelled": written is not None and minutes <= MOST_LABELLED,
    }
    if kind is None or not fits.get(kind, written is None):
        raise IncompatibleRunError(
            f"no calibration {text!r}: expected one of none, baseline:M (M minutes of rest), "
            f"unlabelled, whole, labelled:M (M labelled minutes, 0 to {MOST_LABELLED:g})"
        )
    return Calibration(kind, minutes)

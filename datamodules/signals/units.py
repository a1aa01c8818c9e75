"""Units of one quantity, and the step from one of them to another.

It stands apart from the other steps, as no dataset takes it on its own boards: a reader gives the
unit that features go by, and signals are brought to the form of another dataset where models of one
are tested on the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from datamodules.signals.recording import Signal
from datamodules.signals.steps import Step

Brought = tuple[tuple[str, float, str], ...]
"""Recorded signals that are brought to another form: the name, the rate in Hz (0: as it is) and the
unit (empty: as it is) of each."""


class Unit(NamedTuple):
    """A unit: ``factor * number + offset`` is the number in the first unit of its quantity."""

    quantity: str
    factor: float
    offset: float = 0.0


UNITS: Mapping[str, Unit] = {
    "mV": Unit("voltage", 1.0),
    "V": Unit("voltage", 1e3),
    "uV": Unit("voltage", 1e-3),
    "µV": Unit("voltage", 1e-3),
    "nV": Unit("voltage", 1e-6),
    "uS": Unit("conductance", 1.0),
    "µS": Unit("conductance", 1.0),
    "nS": Unit("conductance", 1e-3),
    "mS": Unit("conductance", 1e3),
    "S": Unit("conductance", 1e6),
    "degC": Unit("temperature", 1.0),
    "K": Unit("temperature", 1.0, -273.15),
    "degF": Unit("temperature", 5 / 9, -160 / 9),
    "g": Unit("acceleration", 1.0),
    "mg": Unit("acceleration", 1e-3),
    "1/64 g": Unit("acceleration", 1 / 64),
    "m/s2": Unit("acceleration", 1 / 9.80665),
}
"""Units that are converted, those of one quantity together. Resistance is not among them: its
reciprocal is conductance, and readings that cannot be those of skin are a reader's affair."""


def same_quantity(*units: str) -> bool:
    """Return whether numbers in some units can be converted to each other, or are equal."""
    quantities = {UNITS[unit].quantity if unit in UNITS else f"unit {unit}" for unit in units}
    return len(quantities) == 1


@dataclass(frozen=True)
class Convert(Step):
    """Converts numbers to another unit of the same quantity.

    Args:
        unit: The other unit.

    Raises:
        ValueError: A signal in a unit from which there is no conversion.
    """

    causal = True

    unit: str

    def __call__(self, signal: Signal) -> Signal:
        if signal.unit == self.unit:
            return signal
        if not same_quantity(signal.unit, self.unit):
            raise ValueError(
                f"expected a unit that can be converted to {self.unit}, found {signal.unit}"
            )
        old, new = UNITS[signal.unit], UNITS[self.unit]
        x = signal.samples.astype(np.float64)
        converted = (x * old.factor + (old.offset - new.offset)) / new.factor
        return replace(signal, samples=converted.astype(np.float32), unit=self.unit)

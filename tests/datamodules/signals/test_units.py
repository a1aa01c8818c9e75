"""Units: what a number is in another one, by tables that are not this project's."""

import numpy as np
import pytest

from datamodules.signals.recording import Signal
from datamodules.signals.units import UNITS, Convert, same_quantity

NUMBERS = np.array([[-40.0, 0.0, 36.6, 212.0]], np.float32)


def convert(unit: str, other: str) -> np.ndarray:
    converted = Convert(other)(Signal(NUMBERS, 4.0, ("x",), unit))
    assert (converted.sfreq, converted.channels, converted.unit) == (4.0, ("x",), other)
    assert converted.samples.dtype == np.float32
    return converted.samples.astype(np.float64)


@pytest.mark.parametrize(
    ("unit", "other", "expected"),
    [
        ("uV", "mV", NUMBERS / 1e3),
        ("V", "uV", NUMBERS * 1e6),
        ("S", "uS", NUMBERS * 1e6),
        ("nS", "uS", NUMBERS / 1e3),
        ("K", "degC", NUMBERS - 273.15),
        ("degF", "degC", (NUMBERS - 32) / 1.8),
        ("degC", "degF", NUMBERS * 1.8 + 32),
        ("degF", "K", (NUMBERS - 32) / 1.8 + 273.15),
        ("1/64 g", "g", NUMBERS / 64),
        ("m/s2", "g", NUMBERS / 9.80665),
    ],
)
def test_numbers_in_another_unit(unit, other, expected):
    np.testing.assert_allclose(convert(unit, other), expected, rtol=2e-7, atol=1e-5)


def test_a_number_that_is_in_the_unit_stays_as_it_is():
    signal = Signal(NUMBERS, 4.0, ("x",), "a.u.")
    assert Convert("a.u.")(signal) is signal


@pytest.mark.parametrize(("unit", "other"), [("kOhm", "uS"), ("a.u.", "mV"), ("degC", "uS")])
def test_a_unit_of_another_quantity_is_refused(unit, other):
    assert not same_quantity(unit, other)
    with pytest.raises(ValueError, match=f"can be converted to {other}, found {unit}"):
        Convert(other)(Signal(NUMBERS, 4.0, ("x",), unit))


def test_every_unit_of_a_quantity_can_be_converted_there_and_back():
    for unit, one in UNITS.items():
        for other, two in UNITS.items():
            assert same_quantity(unit, other) == (one.quantity == two.quantity)
            if one.quantity == two.quantity:
                there = Convert(other)(Signal(NUMBERS, 4.0, ("x",), unit))
                back = Convert(unit)(there).samples
                # an offset of 459.67 degF and a factor of 1e9 leave so many digits of 32 bits
                np.testing.assert_allclose(back, NUMBERS, rtol=1e-6, atol=1e-4)


def test_it_is_causal():
    assert Convert("uS").causal

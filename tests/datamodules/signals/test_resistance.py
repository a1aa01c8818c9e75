import numpy as np
import pytest

from datamodules.signals.resistance import conductance


def test_skin_is_the_reciprocal() -> None:
    found, repair = conductance(np.array([1e6, 2e5, 25_000.0, 10_000.0]))
    np.testing.assert_allclose(found, [1.0, 5.0, 40.0, 100.0], rtol=1e-12)
    assert repair is None


def test_dropouts_are_interpolated_in_conductance() -> None:
    ohm = np.full(100, 1e6)
    ohm[50:] = 2e5
    ohm[48:51] = [0.0, -7.0, 9_999.0]
    ohm[0] = ohm[-1] = 0.0
    found, repair = conductance(ohm)
    expected = np.where(np.arange(100) < 48, 1.0, 5.0)
    expected[48:51] = [2.0, 3.0, 4.0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert repair == "1 to 10 % of the samples below 10000 Ohm, too little for skin: interpolated"


@pytest.mark.parametrize("scale", [3e3, 2e5, 1e7])
def test_without_an_offset_changes_are_kept_upside_down(scale: float) -> None:
    ohm = scale * np.sin(np.linspace(-1.5, 1.5, 1001))
    found, repair = conductance(ohm)
    assert (np.diff(found) < 0).all()
    assert found[0] == pytest.approx(10.0)
    assert found[-1] == pytest.approx(1e6 / (1e5 + 2 * scale * np.sin(1.5)))
    assert repair is not None
    assert repair.endswith("an offset is missing, and a made-up one takes its place")


@pytest.mark.parametrize("centre", [-1e5, 0.0, 1e4, 1e5, 1e6])
@pytest.mark.parametrize("spread", [1.0, 1e3, 1e5])
def test_whatever_is_read_is_finite_and_not_negative(centre: float, spread: float) -> None:
    found, _ = conductance(np.random.default_rng(0).normal(centre, spread, 500))
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert (found <= 100).all()


def test_a_line_at_zero_stays_a_line() -> None:
    found, repair = conductance(np.zeros(50))
    np.testing.assert_allclose(found, 10.0)
    assert repair is not None
    assert repair.startswith("all of the samples below 10000 Ohm")

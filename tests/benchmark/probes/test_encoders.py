"""Encoders: what must be said of one, and whether it looks ahead."""

from dataclasses import replace

import pytest

from benchmark.probes.encoders import ENCODERS, Encoder
from datamodules.errors import IncompatibleRunError
from datamodules.inputs import SignalSpec

PULSE = Encoder("some.module:Network", ("bvp", "eda"), 64.0, 30.0, ("unknown",), "pulse")


@pytest.mark.parametrize(
    "change", [{"signals": ()}, {"sfreq": 0.0}, {"window": -1.0}, {"pretrained_on": ()}]
)
def test_encoder_that_says_too_little_is_refused(change):
    with pytest.raises(ValueError, match="names of what it was trained on, or 'unknown'"):
        replace(PULSE, **change)


def test_signals_are_its_own_in_its_order():
    shapes = {name: SignalSpec(1, 240, 4.0) for name in ("eda", "temp", "bvp")}
    assert PULSE.choose_signals(shapes) == ("bvp", "eda")
    with pytest.raises(IncompatibleRunError, match=r"takes bvp \+ eda; there is no bvp"):
        PULSE.choose_signals({"eda": shapes["eda"]})


@pytest.mark.parametrize(
    ("change", "rates", "expected"),
    [
        ({}, {"bvp": 64.0, "eda": 64.0}, True),
        ({}, {"bvp": 64.0, "eda": 4.0}, False),
        ({"notch": 50.0}, {"bvp": 64.0, "eda": 64.0}, False),
        ({"band": (None, 20.0)}, {"bvp": 64.0, "eda": 64.0}, False),
    ],
)
def test_filters_and_other_rates_look_ahead(change, rates, expected):
    assert replace(PULSE, **change).is_causal(rates) is expected


def test_module_is_that_of_the_network():
    assert PULSE.module == "some.module"
    assert replace(PULSE, network=lambda channels, n_times: None).module == __name__
    assert ENCODERS["cbramod"].module == "lightning_modules.encoders.cbramod"


def test_what_it_was_trained_on_changes_no_embedding():
    assert (
        replace(PULSE, pretrained_on=("wesad",), about="x", unused=("a",)).facts() == PULSE.facts()
    )
    for change in ({"sfreq": 4.0}, {"signals": ("bvp",)}, {"band": (1.0, None)}, {"notch": 9.0}):
        assert replace(PULSE, **change).facts() != PULSE.facts()

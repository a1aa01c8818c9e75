"""Spaces of values: ranges and choices that check themselves and take in a default."""

import math

import pytest

from lightning_modules.catalogue import MODELS
from lightning_modules.recipe import Recipe
from lightning_modules.spaces import NETWORK, SPACES, Choice, Range


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(1.0, 1.0), "from low to high"),
        (lambda: Range(2.0, 1.0), "from low to high"),
        (lambda: Range(0.0, math.inf), "from low to high"),
        (lambda: Range(0.0, 1.0, log=True), "expected low to be positive"),
        (lambda: Range(0.5, 3, whole=True), "expected whole ends"),
        (lambda: Choice((1, 1)), "two values or more"),
    ],
)
def test_what_is_no_space_says_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_range_is_widened_for_a_default():
    assert Range(1.0, 2.0).including(1.5) == Range(1.0, 2.0)
    assert Range(1.0, 2.0, log=True).including(0.5) == Range(0.5, 2.0, log=True)
    assert Range(1, 4, whole=True).including(9) == Range(1, 9, whole=True)
    for value in ("auto", None, True):
        with pytest.raises(ValueError, match="expected a number"):
            Range(1.0, 2.0).including(value)
    with pytest.raises(ValueError, match="positive"):
        Range(1.0, 2.0, log=True).including(0.0)


def test_a_choice_gets_a_default_that_it_lacks():
    choice = Choice(("a", 1))
    assert choice.including("a") is choice
    assert choice.including(None) == Choice(("a", 1, None))


def test_networks_are_tuned_in_fields_of_a_recipe_and_never_in_their_windows():
    for space in (NETWORK, *SPACES.values()):
        assert not {"window", "stride", "scaling", "max_epochs"} & set(space)
    assert set(NETWORK) <= set(Recipe.__dataclass_fields__)
    assert set(SPACES) <= set(MODELS)
    for name, values in NETWORK.items():
        ends = values.values if isinstance(values, Choice) else (values.low, values.high)
        for value in ends:
            Recipe("a test", **{name: value})  # takes it

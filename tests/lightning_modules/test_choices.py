"""check_choice: the values of a Literal type and no others."""

from typing import Literal

import pytest

from lightning_modules.choices import check_choice

Size = Literal["small", "large"]


@pytest.mark.parametrize("value", ["small", "large"])
def test_values_of_the_type_are_taken(value):
    check_choice("size", value, Size)


@pytest.mark.parametrize("value", ["middle", "", None, 1, ["small"]])
def test_any_other_value_is_refused_with_the_choices(value):
    with pytest.raises(ValueError, match=r"expected size among \('small', 'large'\), found "):
        check_choice("size", value, Size)

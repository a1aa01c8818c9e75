import sys
from typing import Any

import numpy as np
import pytest

from datamodules.errors import LONGEST, DatasetCorruptedError
from datamodules.formats.arrays import MANY, SHOWN, keys_of, listed, shown


def endless() -> Any:
    value: Any = ["x"]
    for _ in range(100):
        value = [value, value, {"key": value}]
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        endless(),
        "x" * 10**6,
        b"x" * 10**6,
        10 ** (10 * sys.get_int_max_str_digits()),
        ("x" * 10**6,) * 1000,
        dict.fromkeys(range(1000), "x" * 10**6),
        np.zeros((1000, 1000)),
        np.array(["x" * 10**6]),
        {"key": np.zeros(3)},
    ],
    ids=range(9),
)
def test_any_value_is_shown_in_short(value: Any) -> None:
    assert 0 < len(shown(value)) <= SHOWN
    assert len(listed([value] * 1000)) < (SHOWN + 2) * (MANY + 2)


def test_short_values_are_shown_as_they_are() -> None:
    for value in ("S2", 3, -4.5, None, ("a", 1), {"a": [1]}, True):
        assert shown(value) == repr(value)
    assert shown(np.zeros((2, 3), np.float32)) == "float32 (2, 3)"
    assert listed([]) == "[]"
    assert listed(["a", 1]) == "['a', 1]"
    assert keys_of({"b": 1, "a": 2}) == "['a', 'b']"
    assert keys_of(np.zeros(2)) == "float64 (2,)"


def test_a_message_that_quotes_too_much_is_cut() -> None:
    assert str(DatasetCorruptedError("a" * LONGEST)) == "a" * LONGEST
    message = str(DatasetCorruptedError("a" * 10**6))
    assert message.startswith("a" * LONGEST)
    assert message.endswith(f" ... ({10**6 - LONGEST} characters more)")

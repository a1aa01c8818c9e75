"""Types of values from a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from benchmark.typed import check_fields, fits


@dataclass(frozen=True)
class Measured:
    """Values of every kind that results and runs have."""

    name: str
    seconds: float
    counts: tuple[int, ...]
    epochs: tuple[int, int] | None = None
    status: Literal["done", "failed"] = "done"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (str, ["", "a"], [None, 1, b"a"]),
        (int, [0, -1], [True, 1.0, "1", None]),
        (bool, [True, False], [0, 1, None]),
        (float, [0, 1.5, -1], [True, float("nan"), float("inf"), "1", 10**400]),
        (int | None, [None, 3], [3.5, "", True]),
        (Literal["a", "b"], ["a"], ["c", None, 1]),
        (Literal[1], [1], [True, 1.0]),
        (tuple[int, ...], [(), (1, 2)], [[1], (1, "a"), None, 3]),
        (tuple[str, int], [("a", 1)], [("a",), ("a", 1, 2), (1, "a")]),
        (Mapping[str, float], [{}, {"a": 1}], [{"a": "b"}, {1: 1.0}, [], None]),
        (Any, [None, 1, "a"], []),
        (Measured, [Measured("a", 1, ())], [None, {}]),
    ],
    ids=str,
)
def test_what_fits(kind, good, bad):
    assert [value for value in good if not fits(value, kind)] == []
    assert [value for value in bad if fits(value, kind)] == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": None}, "expected name to be str, found None"),
        ({"seconds": float("nan")}, "expected seconds to be float, found nan"),
        ({"counts": [1]}, "expected counts to be tuple"),
        ({"epochs": (1,)}, "expected epochs to be"),
        ({"status": "dome"}, "expected status to be .* found 'dome'"),
        ({"name": ["x"] * 10**6}, r"found \['x', 'x', .*\.\.\.\]$"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_field_is_named(values, said):
    good = {"name": "a", "seconds": 1.0, "counts": (1,)}
    check_fields(Measured(**good))
    with pytest.raises(TypeError, match=said):
        check_fields(Measured(**{**good, **values}))

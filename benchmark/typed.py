"""Types of values from a file: a field of a dataclass is checked against its annotation."""

import math
import reprlib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Value = str | int | float | bool | None
"""Value of an argument or an option."""
PLAIN = (str, int, bool, NoneType)
"""Types that a value has itself: True is no whole number here."""
KINDS: dict[type[Any], dict[str, Any]] = {}
"""Declared types by dataclass, as far as they were asked for."""


def check_fields(made: Any) -> None:
    """Raise TypeError for the first field of a dataclass that is not of its declared type.

    A number may be whole where it may be a fraction; NaN and infinity are no numbers.
    """
    for name, kind in _kinds(type(made)).items():
        value = getattr(made, name)
        if not fits(value, kind):
            words = getattr(kind, "__name__", None) if get_origin(kind) is None else None
            raise TypeError(f"expected {name} to be {words or kind}, found {reprlib.repr(value)}")


def fits(value: object, kind: Any) -> bool:
    """Return whether a value is of an annotated type, with all that is in it."""
    if kind is Any:
        return True
    if kind in PLAIN:
        return type(value) is kind
    if kind is float:
        return isinstance(value, int | float) and type(value) is not bool and _is_finite(value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = (inner[0],) * len(value) if inner[1:] == (...,) else inner
        return len(value) == len(kinds) and all(map(fits, value, kinds))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            fits(name, inner[0]) and fits(item, inner[1]) for name, item in value.items()
        )
    return isinstance(value, kind)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no fraction is as large as
        return False


def _kinds(kind: type[Any]) -> dict[str, Any]:
    """Return the declared types of a dataclass, which are read once."""
    if kind not in KINDS:
        KINDS[kind] = get_type_hints(kind)
    return KINDS[kind]

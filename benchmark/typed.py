"""Types of values from a file: a field of a dataclass is checked against its annotation."""

import math
import reprlib
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Value = str | int | float | bool | None
"""Value of an argument or an option."""
PLAIN = (str, int, bool, NoneType)
"""Types that a value has itself: True is no whole number here."""


def check_fields(made: Any) -> None:
    """Raise TypeError for the first field of a dataclass that is not of its declared type.

    A number may be whole where it may be a fraction; NaN and infinity are no numbers.
    """
    made_of: Any = type(made)
    for name, kind in _kinds(made_of).items():
        value = getattr(made, name)
        if not fits(value, kind):
            words = getattr(kind, "__name__", None) if get_origin(kind) is None else None
            raise TypeError(f"expected {name} to be {words or kind}, found {reprlib.repr(value)}")


def fits(value: object, kind: Any) -> bool:
    """Return whether a value is of an annotated type, with all that is in it."""
    return _check(kind)(value)


@cache
def _check(kind: Any) -> Callable[[Any], bool]:
    """Return the check of an annotated type, which is taken apart once."""
    if kind is Any:
        return lambda value: True
    if kind in PLAIN:
        return lambda value: type(value) is kind
    if kind is float:
        return _is_number
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        checks = [_check(one) for one in inner]
        return lambda value: any(check(value) for check in checks)
    if origin is Literal:
        return lambda value: any(type(value) is type(one) and value == one for one in inner)
    if origin is tuple and inner[1:] == (...,):
        each = _check(inner[0])
        return lambda value: isinstance(value, tuple) and all(map(each, value))
    if origin is tuple:
        places = [_check(one) for one in inner]
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(places)
            and all(check(item) for check, item in zip(places, value, strict=True))
        )
    if origin is Mapping:
        of_name, of_item = (_check(one) for one in inner)
        return lambda value: (
            isinstance(value, Mapping)
            and all(of_name(name) and of_item(item) for name, item in value.items())
        )
    return lambda value: isinstance(value, kind)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no fraction is as large as
        return False


@cache
def _kinds(kind: Any) -> dict[str, Any]:
    """Return the declared types of a dataclass, read once."""
    return get_type_hints(kind)

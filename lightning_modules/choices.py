"""Closed choices: the check of a value against a ``Literal`` type."""

from typing import get_args


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise ValueError unless a value is one of a closed choice.

    Args:
        name: Name of the argument, for the message.
        value: The value that was given.
        choices: A ``Literal`` type; its values are the choice.
    """
    values = get_args(choices)
    if value not in values:
        raise ValueError(f"expected {name} among {values}, found {value!r}")

"""CSV text that a spreadsheet shows and does not run.

A cell that begins like a formula is one for a spreadsheet, also where it is the name of somebody.
It gets an apostrophe in front, which ``with_names`` takes away again; numbers stay as they are.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings of cells that a spreadsheet runs, or takes away to run what comes after."""
QUOTE = "'"
IN_COMMENT = re.compile(rf"(?<=[,;])(?=[{re.escape(''.join(FORMULA))}])")
"""Places in a comment where a spreadsheet sees a cell begin that it would run."""


def csv_text(table: pd.DataFrame, numbers: str | None = None, head: Sequence[str] = ()) -> str:
    """Return a table as CSV, below comment lines.

    Args:
        table: The table; its index is left out.
        numbers: Format of fractions, as ``%.4f``; None: all their digits.
        head: Comment lines.
    """
    shown = table.assign(**{name: _mapped(table[name], quoted) for name in _texts(table)})
    comments = (IN_COMMENT.sub(QUOTE, " ".join(line.split("\n"))) for line in head)
    return "".join(f"# {line}\n" for line in comments) + str(
        shown.to_csv(index=False, float_format=numbers, lineterminator="\n")
    )


def with_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that was read from CSV of ``csv_text``, with the texts that it was made of."""
    return table.assign(**{name: _mapped(table[name], unquoted) for name in _texts(table)})


def quoted(value: object) -> object:
    """Return a value as it stands in a cell; a carriage return, which ends a line, is a space."""
    if not isinstance(value, str):
        return value
    begins = value.startswith((*FORMULA, QUOTE)) and len(value) > 1 and not _is_number(value)
    return (QUOTE if begins else "") + value.replace("\r\n", "\n").replace("\r", " ")


def unquoted(value: object) -> object:
    """Return the value of a cell."""
    if isinstance(value, str) and value.startswith(QUOTE) and quoted(value[1:]) == value:
        return value[1:]
    return value


def _texts(table: pd.DataFrame) -> list[str]:
    """Return the columns that may hold text."""
    return [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]


def _mapped(column: "pd.Series[Any]", change: Callable[[object], object]) -> "pd.Series[Any]":
    return pd.Series([change(value) for value in column], column.index, dtype=object)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text[:1].isspace()

"""Tables as the page shows them: cells with a text to read and a value to sort by."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.report.figures import Strip

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
"""Where there is no number."""
LEAST_P = 1e-4
"""Smaller p-values are shown as smaller than this."""


@dataclass(frozen=True)
class Column:
    """Head of a column.

    Args:
        title: Title above it.
        hint: Explanation for whom the title is too short.
        number: Whether it holds numbers.
        more: Whether it is shown on demand only.
    """

    title: str
    hint: str = ""
    number: bool = True
    more: bool = False


@dataclass(frozen=True)
class Cell:
    """One value.

    Args:
        text: Text to read.
        value: Value to sort by; None: after all others, whatever the direction.
        detail: Text to read with it, in smaller letters.
        strip: A drawing in place of the text.
    """

    text: str
    value: float | str | None
    detail: str = ""
    strip: Strip | None = None


@dataclass(frozen=True)
class Table:
    """Columns, and lines of as many cells; the first cell of a line is its head."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[Cell, ...], ...]


def text(value: object) -> Cell:
    """Return a word or a sentence; empty for NaN."""
    shown = "" if value is None or value is pd.NA or value != value else str(value)
    return Cell(shown, shown or None)


def number(value: object, form: str = ".3f") -> Cell:
    """Return a number in a format; nothing for NaN."""
    finite = _finite(value)
    return Cell(NOTHING, None) if finite is None else Cell(_signed(format(finite, form)), finite)


def count(value: object) -> Cell:
    """Return a whole number."""
    return number(value, ",.0f")


def p_value(value: object) -> Cell:
    """Return a p-value; very small ones by their bound."""
    finite = _finite(value)
    if finite is not None and finite < LEAST_P:
        return Cell(f"< {LEAST_P:.4f}", finite)
    return number(finite, ".4f" if finite is not None and finite < 0.01 else ".3f")


def between(value: object, low: object, high: object, form: str = ".3f") -> Cell:
    """Return a number with its interval."""
    middle, *ends = (number(part, form) for part in (value, low, high))
    if middle.value is None or ends[0].value is None:
        return middle
    return Cell(middle.text, middle.value, f"{ends[0].text} to {ends[1].text}")


def sentence(cell: Cell) -> str:
    """Return a cell as part of a sentence."""
    return f"{cell.text} ({cell.detail})" if cell.detail else cell.text


def plain(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    shown: Collection[str] | None = None,
    hints: Mapping[str, str] | None = None,
) -> Table:
    """Return any table of texts: a column of numbers alone sorts as numbers.

    Args:
        names: Names of the columns.
        rows: Rows.
        shown: Columns that are shown without being asked for; None: all.
        hints: Explanations by column.
    """
    numeric = [_are_numbers([row[place] for row in rows]) for place in range(len(names))]
    columns = tuple(
        Column(name, (hints or {}).get(name, ""), is_it, shown is not None and name not in shown)
        for name, is_it in zip(names, numeric, strict=True)
    )
    return Table(
        columns,
        tuple(
            tuple(
                Cell(value, float(value)) if is_it and value else text(value)
                for value, is_it in zip(row, numeric, strict=True)
            )
            for row in rows
        ),
    )


def _are_numbers(values: Sequence[str]) -> bool:
    try:
        return all(math.isfinite(float(value)) for value in values if value) and any(values)
    except ValueError:
        return False


def scale(end: float) -> Column:
    """Return the head of a column of strips from -end to end."""
    return Column(f"{MINUS}{end:g} … +{end:g}", "drawn: the difference and its 95 % interval")


def pairs(values: Mapping[str, object]) -> Table:
    """Return names and values, a line each."""
    columns = (Column("what", number=False), Column("value", number=False))
    return Table(columns, tuple((text(name), text(value)) for name, value in values.items()))


def _finite(value: object) -> float | None:
    if value is None or value is pd.NA:
        return None
    converted = float(value)  # type: ignore[arg-type]  # numbers of numpy and pandas
    return None if math.isnan(converted) else converted


def _signed(shown: str) -> str:
    """Return a number with a minus as wide as a plus, and no negative zero."""
    if shown.startswith("-") and not shown.strip("-0.,"):
        shown = shown[1:]
    return shown.replace("-", MINUS)

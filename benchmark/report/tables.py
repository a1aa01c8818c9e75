"""Tables as the page shows them: cells with a text to read and a value to sort by."""

import math
from collections.abc import Mapping, Sequence
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
        title: What stands above it.
        hint: What it means, for whom the title is too short.
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
        text: To read.
        value: To sort by; None: after all others, whatever the direction.
        detail: To read with it, in smaller letters.
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
    """A word or a sentence; empty for NaN."""
    shown = "" if value is None or value is pd.NA or value != value else str(value)
    return Cell(shown, shown or None)


def number(value: object, form: str = ".3f") -> Cell:
    """A number in a format; nothing for NaN."""
    known = _known(value)
    return Cell(NOTHING, None) if known is None else Cell(_signed(format(known, form)), known)


def count(value: object) -> Cell:
    """A whole number."""
    return number(value, ",.0f")


def p_value(value: object) -> Cell:
    """A p-value; very small ones by their bound."""
    known = _known(value)
    if known is not None and known < LEAST_P:
        return Cell(f"< {LEAST_P:.4f}", known)
    return number(known, ".4f" if known is not None and known < 0.01 else ".3f")


def between(value: object, low: object, high: object, form: str = ".3f") -> Cell:
    """A number with its interval."""
    middle, *ends = (number(part, form) for part in (value, low, high))
    if middle.value is None or ends[0].value is None:
        return middle
    return Cell(middle.text, middle.value, f"{ends[0].text} to {ends[1].text}")


def sentence(cell: Cell) -> str:
    """A cell as part of a sentence."""
    return f"{cell.text} ({cell.detail})" if cell.detail else cell.text


def plain(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Any table of texts: a column sorts as numbers if all that it holds are."""
    whole = [_are_numbers([row[place] for row in rows]) for place in range(len(names))]
    columns = tuple(Column(name, number=is_it) for name, is_it in zip(names, whole, strict=True))
    return Table(
        columns,
        tuple(
            tuple(
                Cell(value, float(value)) if is_it and value else text(value)
                for value, is_it in zip(row, whole, strict=True)
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
    """Head of a column of strips from -end to end."""
    return Column(f"{MINUS}{end:g} … +{end:g}", "drawn: the difference and its 95 % interval")


def pairs(values: Mapping[str, object]) -> Table:
    """Names and values, a line each."""
    columns = (Column("what", number=False), Column("value", number=False))
    return Table(columns, tuple((text(name), text(value)) for name, value in values.items()))


def _known(value: object) -> float | None:
    if value is None or value is pd.NA:
        return None
    known = float(value)  # type: ignore[arg-type]  # numbers of numpy and pandas
    return None if math.isnan(known) else known


def _signed(shown: str) -> str:
    """With a minus as wide as a plus, and no negative zero."""
    if shown.startswith("-") and not shown.strip("-0.,"):
        shown = shown[1:]
    return shown.replace("-", MINUS)

"""Curves of macro F1 over labelled minutes of a person: a picture a board, a line a model."""

import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

from benchmark.drawing import Dot, Line, Mark, Panel, Picture, Words
from benchmark.tables import with_names

COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#7A4B00", "#6A3D9A", "#666666"),
)
"""Those of Okabe and Ito that show on white, which all kinds of colour vision tell apart, and three
more; from the eleventh model on they come again."""
GRID, GREY = "#dddddd", "#777777"
WIDE, HIGH, GAP = 290, 210, 34
"""Units of the axes of a panel, and between panels."""
LEFT, TOP, BELOW, KEY = 44, 66, 44, 15
"""Units left of the first panel, above and below panels, and a line of the key."""
APART = 2.6
"""Units by which the marks of models stand beside each other, so that intervals can be told apart.
"""
NONE = "none"
"""Adapter of the lines of models as they are."""


def drawn(path: Path) -> tuple[Picture, ...]:
    """Return the curves of each board of ``personalisation.csv``; incomplete lines are not drawn.

    Raises:
        ValueError, KeyError: A file that is no such table.
    """
    rows = (line for line in path.read_text().splitlines(True) if not line.startswith("#"))
    table = with_names(pd.read_csv(StringIO("".join(rows)), keep_default_na=False, na_values=[""]))
    complete = table[table["n_missing"] == 0]
    return tuple(_picture(str(board), lines) for board, lines in complete.groupby("board"))


def _picture(board: str, lines: pd.DataFrame) -> Picture:
    adapters = [name for name in lines["adapter"].unique() if name != NONE]
    keys = ["model", "signals", "recipe"]
    models = [tuple(map(str, key)) for key in lines[keys].drop_duplicates().to_numpy().tolist()]
    names = [key[0] for key in models]
    labels = [key[0] if names.count(key[0]) == 1 else " ".join(key) for key in models]
    ends = lines[["macro_f1", "macro_f1_low", "macro_f1_high"]].to_numpy().ravel()
    known = [float(end) for end in ends if not math.isnan(end)]
    floor = max(0.0, math.floor(min(known, default=0.0) * 10) / 10)
    ceiling = min(1.0, math.ceil(max(known, default=1.0) * 10) / 10)
    most = max(float(lines["minutes"].max()), 1.0)
    panels = []
    for number, adapter in enumerate(adapters):
        marks = _axes(adapter, most, floor, ceiling, sorted(lines["minutes"].unique()))
        for place, key in enumerate(models):
            of_model = lines[(lines[keys].astype(str) == list(key)).all(axis=1)]
            shift = APART * (place - (len(models) - 1) / 2)
            points = _points(of_model, adapter)
            marks += _curve(points, COLOURS[place % len(COLOURS)], shift, most, floor, ceiling)
        panels.append(Panel(LEFT + number * (WIDE + GAP), TOP, tuple(marks)))
    bottom = TOP + HIGH + BELOW
    width = LEFT + max(len(adapters), 1) * (WIDE + GAP)
    key_marks: list[Mark] = [Words(LEFT, 18, board, 12, bold=True)]
    for place, label in enumerate(labels):
        y = bottom + KEY * place
        key_marks += [
            Line(((LEFT, y - 4), (LEFT + 20, y - 4)), COLOURS[place % len(COLOURS)], 2),
            Words(LEFT + 26, y, label),
        ]
    height = bottom + KEY * len(models)
    title = f"{board}: macro F1 over labelled minutes of a person, by adapter"
    return Picture(width, height, title, (*key_marks, *panels))


def _points(of_model: pd.DataFrame, adapter: str) -> list[tuple[float, float, float, float]]:
    """Return minutes, macro F1 and the ends of its interval, by minutes.

    Without minutes it is the adapter's own line, or else that of the model as it is. A model that
    the adapter does not change has no points.
    """
    names = ["minutes", "macro_f1", "macro_f1_low", "macro_f1_high"]
    adapted = of_model[of_model["adapter"] == adapter]
    if adapted.empty:
        return []
    if 0 not in adapted["minutes"].to_list():
        adapted = pd.concat([of_model[of_model["adapter"] == NONE], adapted])
    values = adapted[names].sort_values("minutes").to_numpy().tolist()
    return [(m, score, low, high) for m, score, low, high in values if not math.isnan(score)]


def _axes(
    adapter: str, most: float, floor: float, ceiling: float, minutes: Sequence[float]
) -> list[Mark]:
    marks: list[Mark] = [Words(0, -14, adapter, 11, bold=True)]
    for tenth in range(round(floor * 10), round(ceiling * 10) + 1):
        y = _up(tenth / 10, floor, ceiling)
        marks += [
            Line(((0, y), (WIDE, y)), GRID),
            Words(-7, y + 3.5, f"{tenth / 10:.1f}", anchor="end", colour=GREY),
        ]
    for value in minutes:
        x = _across(value, most)
        marks += [
            Line(((x, HIGH), (x, HIGH + 4)), GREY),
            Words(x, HIGH + 15, f"{value:g}", anchor="middle", colour=GREY),
        ]
    marks.append(Words(WIDE / 2, HIGH + 29, "labelled minutes", anchor="middle", colour=GREY))
    return marks


def _curve(
    points: Sequence[tuple[float, float, float, float]],
    colour: str,
    shift: float,
    most: float,
    floor: float,
    ceiling: float,
) -> list[Mark]:
    places = [(_across(m, most) + shift, _up(score, floor, ceiling)) for m, score, _, _ in points]
    marks: list[Mark] = [Line(tuple(places), colour, 1.6)] if len(places) > 1 else []
    for (x, y), (_, _, low, high) in zip(places, points, strict=True):
        if not math.isnan(low):
            ends = (x, _up(low, floor, ceiling)), (x, _up(high, floor, ceiling))
            marks.append(Line(ends, colour, 0.7))
        marks.append(Dot(x, y, 2.6, colour))
    return marks


def _across(minutes: float, most: float) -> float:
    return 14 + (WIDE - 28) * minutes / most


def _up(score: float, floor: float, ceiling: float) -> float:
    return HIGH * (ceiling - min(max(score, floor), ceiling)) / (ceiling - floor)

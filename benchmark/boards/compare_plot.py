"""A picture of two models' scores, subject by subject."""

from collections.abc import Sequence
from itertools import accumulate

from benchmark.boards.compare import Match, sides, titles
from benchmark.boards.statistics import p_text
from benchmark.drawing import Box, Dot, Line, Mark, Panel, Picture, Words, axis

COLOURS = ("#0072B2", "#D55E00")
"""Blue and vermilion of Okabe and Ito, which all kinds of colour vision tell apart."""
GREY = "#777777"
PANEL, GAP, LEFT, RIGHT, ROW = 300, 12, 76, 60, 11
"""Pixels: width of a panel's axis, between panels, beside them, and from subject to subject."""
TOP, BELOW, KEY = 64, 44, 24
"""Pixels: above and below the lines of a panel, and of the key to the marks."""
COLUMNS = 3
"""Panels side by side."""


def plot(pairs: Sequence[Match]) -> Picture:
    """Return a panel a match, a line a subject, from B's score (square) to A's (dot).

    Subjects are in order of A less B, the best for A on top; the line between has the colour of the
    better model. The axis is macro F1 from 0 to 1.
    """
    across = min(COLUMNS, len(pairs))
    step = LEFT + PANEL + RIGHT + GAP
    most = [
        max(len(match.pair.first) for match in pairs[start : start + COLUMNS])
        for start in range(0, len(pairs), COLUMNS)
    ]
    tops = list(accumulate((TOP + BELOW + ROW * n for n in most), initial=KEY))
    first, second = sides(pairs)
    key = (
        _dot(12, 12),
        Words(22, 15.5, f"A: {first}"),
        _square(12, 27),
        Words(22, 30.5, f"B: {second}"),
    )
    panels = (
        Panel((number % COLUMNS) * step, tops[number // COLUMNS], tuple(_panel(match, title)))
        for number, (match, title) in enumerate(zip(pairs, titles(pairs), strict=True))
    )
    title = f"{first} against {second}, macro F1 of each subject"
    return Picture(across * step - GAP, tops[-1], title, (*key, *panels))


def _panel(match: Match, title: Sequence[str]) -> list[Mark]:
    a, b = match.pair.first, match.pair.second
    its = match.pair.comparison
    subjects = sorted(a, key=lambda subject: (b[subject] - a[subject], subject))
    bottom = TOP + ROW * len(subjects)
    marks: list[Mark] = [
        Words(LEFT, TOP - 15 - 13 * above, words, bold=True)
        for above, words in zip(range(len(title), 0, -1), title, strict=True)
    ]
    result = (
        f"A - B {its.difference:+.3f} ({its.low:+.3f} to {its.high:+.3f}), p {p_text(its.p)}, "
        f"won {its.won}, lost {its.lost}, n {its.n}"
    )
    marks.append(Words(LEFT, TOP - 15, result, colour=GREY))
    fifths = [fifth / 5 for fifth in range(6)]
    marks += axis(fifths, [_x(value) for value in fifths], TOP - 6, bottom, "#dddddd")
    marks.append(Words(LEFT + PANEL / 2, bottom + 27, "macro F1", anchor="middle"))
    for number, subject in enumerate(subjects):
        y = TOP + ROW * number + ROW / 2
        xa, xb = _x(a[subject]), _x(b[subject])
        marks += [
            Words(LEFT - 6, y + 3.5, subject, 9, "end"),
            Line(((xa, y), (xb, y)), COLOURS[xb > xa], 1.5),
            _square(xb, y),
            _dot(xa, y),
        ]
    return marks


def _x(score: float) -> float:
    return round(LEFT + PANEL * score, 2)


def _dot(x: float, y: float) -> Dot:
    return Dot(x, y, 3.2, COLOURS[0])


def _square(x: float, y: float) -> Box:
    return Box(x - 3, y - 3, 6, 6, "#ffffff", COLOURS[1])

"""A picture of two models' scores, subject by subject."""

from collections.abc import Sequence
from itertools import accumulate
from xml.sax.saxutils import escape

from benchmark.boards.compare import Match, sides, titles

COLOURS = ("#0072B2", "#D55E00")
"""Blue and vermilion of Okabe and Ito, which all kinds of colour vision tell apart."""
GREY = "#777777"
PANEL, GAP, LEFT, RIGHT, LINE = 300, 12, 76, 60, 11
"""Pixels: width of a panel's axis, between panels, beside them, and from subject to subject."""
TOP, BELOW, KEY = 64, 44, 24
"""Pixels: above and below the lines of a panel, and of the key to the marks."""
COLUMNS = 3
"""Panels side by side."""


def plot(pairs: Sequence[Match]) -> str:
    """Return an SVG: a panel a match, a line a subject, from B's score (square) to A's (dot).

    Subjects are in order of A less B, the best for A on top; the line between has the colour of the
    better model. The axis is macro F1 from 0 to 1.
    """
    across = min(COLUMNS, len(pairs))
    step = LEFT + PANEL + RIGHT + GAP
    most = [
        max(len(match.pair.first) for match in pairs[start : start + COLUMNS])
        for start in range(0, len(pairs), COLUMNS)
    ]
    tops = list(accumulate((TOP + BELOW + LINE * n for n in most), initial=KEY))
    width, height = across * step - GAP, tops[-1]
    first, second = sides(pairs)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="10">',
        f"<title>{escape(first)} against {escape(second)}, macro F1 of each subject</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _dot(12, 12),
        f'<text x="22" y="15.5">A: {escape(first)}</text>',
        _square(12, 27),
        f'<text x="22" y="30.5">B: {escape(second)}</text>',
    ]
    for number, (match, title) in enumerate(zip(pairs, titles(pairs), strict=True)):
        x, y = (number % COLUMNS) * step, tops[number // COLUMNS]
        lines += [f'<g transform="translate({x} {y})">', *_panel(match, title), "</g>"]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(match: Match, title: Sequence[str]) -> list[str]:
    a, b = match.pair.first, match.pair.second
    its = match.pair.comparison
    subjects = sorted(a, key=lambda subject: (b[subject] - a[subject], subject))
    bottom = TOP + LINE * len(subjects)
    lines = [
        f'<text x="{LEFT}" y="{TOP - 15 - 13 * above}" font-weight="bold">{escape(words)}</text>'
        for above, words in zip(range(len(title), 0, -1), title, strict=True)
    ]
    lines += [
        f'<text x="{LEFT}" y="{TOP - 15}" fill="{GREY}">A - B {its.difference:+.3f} '
        f"({its.low:+.3f} to {its.high:+.3f}), p {its.p:.2g}, won {its.won}, lost {its.lost}, "
        f"n {its.n}</text>",
    ]
    for tenth in range(0, 11, 2):
        x = _x(tenth / 10)
        lines += [
            f'<line x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{bottom}" stroke="#dddddd"/>',
            f'<text x="{x}" y="{bottom + 13}" text-anchor="middle">{tenth / 10:.1f}</text>',
        ]
    middle = LEFT + PANEL / 2
    lines.append(f'<text x="{middle}" y="{bottom + 27}" text-anchor="middle">macro F1</text>')
    for number, subject in enumerate(subjects):
        y = TOP + LINE * number + LINE / 2
        xa, xb = _x(a[subject]), _x(b[subject])
        colour = COLOURS[xb > xa]
        lines += [
            f'<text x="{LEFT - 6}" y="{y + 3.5}" text-anchor="end" font-size="9">'
            f"{escape(subject)}</text>",
            f'<line x1="{xa}" x2="{xb}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="1.5"/>',
            _square(xb, y),
            _dot(xa, y),
        ]
    return lines


def _x(score: float) -> float:
    return round(LEFT + PANEL * score, 2)


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x}" cy="{y}" r="3.2" fill="{COLOURS[0]}"/>'


def _square(x: float, y: float) -> str:
    return (
        f'<rect x="{x - 3:.2f}" y="{y - 3}" width="6" height="6" fill="white" '
        f'stroke="{COLOURS[1]}" stroke-width="1.5"/>'
    )

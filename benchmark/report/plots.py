"""Plots of the page as files: the subjects of each board, score against cost, critical differences.

They are drawn from the content of the page, in the colours of its light scheme.
"""

import math
from collections.abc import Iterator

from benchmark.drawing import Box, Dot, Line, Mark, Panel, Picture, Words, axis
from benchmark.report import figures
from benchmark.report.boards import BoardPage
from benchmark.report.content import Content
from benchmark.report.figures import Diagram, Scatter, Strip
from benchmark.report.lines import label

INK, SOFT, GRID = "#1b1e23", "#5a616b", "#e1e3e6"
COLOURS = {
    "probe": "#5a616b",
    "network": "#0072b2",
    "taught": "#b84a00",
    "ensemble": "#007a59",
}
"""Colour of a mark by kind of row."""
PALE = "#a8cbe2"
"""Colour of a subject's dot."""
PLOT, RIGHT, TOP, BELOW, ROW = 420, 76, 58, 50, 26
"""Units of a plot of subjects: its axis, space for ranks, above, below, and from row to row."""
LETTER = 5.6
"""About the width of a letter of size 10."""
FIFTHS = tuple(fifth / 5 for fifth in range(6))


def pictures(content: Content) -> dict[str, Picture]:
    """Return the plots of the page by the name of their file, without its ending."""
    plots = {}
    for board in content.boards:
        if any(line.subjects for line in board.lines):
            plots[f"{board.name}__subjects"] = _subjects(board)
        for title, unit, plot in board.costs:
            measure = title.rpartition(" ")[2]
            plots[f"{board.name}__{measure}"] = _scatter(plot, f"{board.title}: {title}", unit)
    if content.diagram:
        plots["ranks"] = _diagram(content.diagram)
    return plots


def _subjects(board: BoardPage) -> Picture:
    """Return a row a model: a dot a subject, the mean, its interval, and the ranks of the row."""
    rows = [(line, line.subjects) for line in board.lines if line.subjects]
    names = [label(line, board.lines) for line, _ in rows]
    left = 24 + LETTER * max(map(len, names))
    bottom = TOP + ROW * len(rows)
    references = ", ".join(f"{name} {value:.3f}" for name, value, _ in board.references)
    upright = f"; upright lines: {references}" if references else ""
    places = [left + PLOT * value for value in FIFTHS]
    marks: list[Mark] = [
        Words(12, 20, f"{board.title}, {board.subtitle}", 13, bold=True),
        Words(12, 37, f"a dot a person; mean, 95 % interval{upright}", colour=SOFT),
        Words(left + PLOT + 18, 37, "rank", colour=SOFT),
        *axis(FIFTHS, places, TOP - 8, bottom, GRID),
        Words(left + PLOT / 2, bottom + 32, "macro F1", anchor="middle"),
    ]
    for _, value, _ in board.references:
        x = left + PLOT * value
        marks.append(Line(((x, TOP - 8), (x, bottom)), SOFT, 0.8))
    for number, ((line, strip), name) in enumerate(zip(rows, names, strict=True)):
        y = TOP + ROW * (number + 0.5)
        ranks = "-" if line.ranks is None else " to ".join(map(str, sorted(set(line.ranks))))
        marks += [
            Words(left - 12, y + 3.5, name, anchor="end"),
            *_strip(strip, left, y),
            Words(left + PLOT + 18, y + 3.5, ranks),
        ]
    return Picture(
        left + PLOT + RIGHT, bottom + BELOW, f"{board.title}: macro F1 of subjects", tuple(marks)
    )


def _strip(strip: Strip, left: float, y: float) -> Iterator[Mark]:
    """Yield subjects, interval and mean of a row."""
    for value in strip.values:
        yield Dot(left + PLOT * value, y, 3.2, PALE)
    low, high = (min(max(end, 0.0), 1.0) for end in strip.interval)
    if not math.isnan(strip.interval[0]):
        yield Line(((left + PLOT * low, y), (left + PLOT * high, y)), INK, 1.6)
    middle = left + PLOT * strip.middle
    yield Line(((middle, y - 7), (middle, y + 7)), INK, 2.2)


def _scatter(plot: Scatter, title: str, unit: str) -> Picture:
    """Return score against cost, as on the page."""
    width, height = figures.PLOT
    top, right, bottom, left = figures.MARGIN
    head, floor = 40, height - bottom
    key = (
        "square: probe; blue: network; orange: taught network; green: ensemble; upright lines: "
        "95 % intervals"
    )
    marks: list[Mark] = []
    for y, words in plot.up:
        marks += [
            Line(((left, y), (width - right, y)), GRID),
            Words(left - 7, y + 4, words, anchor="end"),
        ]
    for x, words in plot.across:
        marks += [
            Line(((x, top), (x, floor)), GRID),
            Words(x, floor + 17, words, anchor="middle"),
        ]
    if plot.zero is not None:
        marks.append(Words(plot.zero, floor + 17, "0", anchor="middle"))
        marks.append(Line(((plot.zero + 22, top), (plot.zero + 22, floor)), SOFT, 0.8))
    marks.append(Words((width - right + left) / 2, height - 6, unit, anchor="middle"))
    marks.append(Words(13, (floor + top) / 2, "macro F1", anchor="middle", turned=True))
    for mark in plot.marks:
        marks.append(Line(((mark.x, mark.low), (mark.x, mark.high)), SOFT, 0.8))
    for mark in plot.marks:
        colour = COLOURS[mark.point.kind]
        if mark.point.kind == "probe":
            marks.append(Box(mark.x - 4.5, mark.y - 4.5, 9, 9, "#ffffff", colour))
        else:
            marks.append(Dot(mark.x, mark.y, 5, colour))
        if mark.label:
            x, y, anchor = mark.label
            marks.append(Words(x, y, mark.point.name, anchor=anchor))
    below = tuple(marks)
    heading = (Words(12, 16, title, 12, bold=True), Words(12, 33, key, colour=SOFT))
    return Picture(width, height + head, title, (*heading, Panel(0, head, below)))


def _diagram(diagram: Diagram) -> Picture:
    """Return the critical-difference diagram, as on the page."""
    side, right = diagram.side, diagram.width - diagram.side
    start = diagram.ticks[0][0]
    end = start + diagram.difference
    marks: list[Mark] = [Line(((side, 62), (right, 62)), SOFT)]
    for x, rank in diagram.ticks:
        marks += [
            Line(((x, 56), (x, 62)), SOFT),
            Words(x, 50, str(rank), anchor="middle"),
        ]
    marks += [
        Line(((start, 22), (end, 22)), INK, 2),
        *(Line(((x, 17), (x, 27)), INK, 2) for x in (start, end)),
        Words(start, 12, "CD"),
    ]
    for x, y, on_left, words in diagram.models:
        stop = side - 12 if on_left else right + 12
        marks += [
            Line(((x, 62), (x, y), (stop, y)), SOFT),
            Words(
                stop - 6 if on_left else stop + 6, y + 4, words, 11, "end" if on_left else "start"
            ),
        ]
    marks += [Line(((first, y), (last, y)), INK, 4) for first, last, y in diagram.bars]
    return Picture(
        diagram.width, diagram.height, "Average ranks over datasets, 1 is best", tuple(marks)
    )

"""Numbers to places on the page: strips of subjects, scatter plots, critical differences."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.drawing import Anchor

WIDE, HIGH = 1000, 30
"""Units of a strip; it is stretched to the width it finds, its strokes are not."""
BIN, APART = 12, 5.5
"""Dots closer than BIN units stand APART units above each other."""
BESIDE = 0.3
"""Part of a rank by which a bar reaches beyond its ends, so that a single rank can be seen."""
PLOT = (520, 340)
"""Pixels of a scatter plot."""
MARGIN = (14, 16, 44, 48)
"""Above, right of, below and left of its axes."""
LETTER, LINE = 6.9, 13
"""Pixels: width of a letter of a label, and height of its line."""


@dataclass(frozen=True)
class Strip:
    """Marks along a horizontal axis, as path data in a box of WIDE by HIGH.

    Args:
        values: Values of the dots, smallest first.
        middle: Value of the tick; NaN for none.
        interval: Ends of the bar; NaN for none.
        dots: Each a point of its own.
        bar: The interval.
        mean: The tick in it.
        said: The same in words.
        kind: Class of the marks.
    """

    values: tuple[float, ...]
    middle: float
    interval: tuple[float, float]
    dots: str
    bar: str
    mean: str
    said: str
    kind: str = ""


def strip(
    values: Sequence[float],
    mean: float,
    low: float,
    high: float,
    *,
    said: str,
    ends: tuple[float, float] = (0.0, 1.0),
    kind: str = "",
) -> Strip:
    """Return values as dots, their mean as a tick, its interval as a bar cut off at the ends."""

    def place(value: float) -> float:
        return WIDE * (min(max(value, ends[0]), ends[1]) - ends[0]) / (ends[1] - ends[0])

    level: Counter[int] = Counter()
    dots = []
    for value in sorted(values):
        x = place(value)
        number = level[int(x // BIN)]
        level[int(x // BIN)] += 1
        shift = min((number + 1) // 2 * APART, HIGH / 2 - 3) * (-1) ** number
        dots.append(f"M{x:.0f} {HIGH / 2 + shift:g}h.1")
    bar = "" if math.isnan(low) else f"M{place(low):.1f} {HIGH / 2:g}H{place(high):.1f}"
    tick = "" if math.isnan(mean) else f"M{place(mean):.1f} {HIGH / 2 - 9:g}v18"
    return Strip(tuple(sorted(values)), mean, (low, high), "".join(dots), bar, tick, said, kind)


def lines(values: Sequence[float]) -> str:
    """Return upright lines of a strip at values from 0 to 1."""
    return "".join(f"M{WIDE * value:.1f} 0v{HIGH}" for value in values)


@dataclass(frozen=True)
class RankSets:
    """Ranks that each row of a board may have.

    Args:
        strips: A bar from the first to the last of them, by number of the row.
        grid: Path data of the lines of all ranks.
        ticks: Place, in per cent of the width, and number of ranks.
    """

    strips: Mapping[int, Strip]
    grid: str
    ticks: tuple[tuple[float, int], ...]


def rank_sets(ranks: Mapping[int, tuple[int, int]]) -> RankSets | None:
    """Return the bars of ranked rows; None for fewer than two.

    Args:
        ranks: First and last rank of each ranked row, by number of the row.
    """
    n = len(ranks)
    if n < 2:
        return None
    strips = {
        row: strip(
            [],
            math.nan,
            low - BESIDE,
            high + BESIDE,
            said=f"rank {low}" if low == high else f"ranks {low} to {high}",
            ends=(0.5, n + 0.5),
        )
        for row, (low, high) in ranks.items()
    }
    places = {rank: (rank - 0.5) / n for rank in range(1, n + 1)}
    shown = range(1, n + 1, 1 + (n - 1) // 20)
    ticks = tuple((round(100 * places[rank], 2), rank) for rank in shown)
    return RankSets(strips, lines(list(places.values())), ticks)


def reach(values: Sequence[float]) -> float:
    """Return a round number that no value passes."""
    largest = max((abs(value) for value in values if not math.isnan(value)), default=0.0)
    steps = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
    return next((step for step in steps if step >= largest), math.ceil(largest))


@dataclass(frozen=True)
class Point:
    """One model in a scatter plot.

    Args:
        name: Its label.
        kind: Class and shape of its mark.
        cost: Value on the x axis; 0 has a place of its own, left of all others.
        score: Value on the y axis.
        low: End of its interval.
        high: The other end.
    """

    name: str
    kind: str
    cost: float
    score: float
    low: float
    high: float


@dataclass(frozen=True)
class Mark:
    """A point's place, in pixels; ``label`` is None where it would lie on another."""

    point: Point
    x: float
    y: float
    low: float
    high: float
    label: tuple[float, float, Anchor] | None


@dataclass(frozen=True)
class Scatter:
    """Score against cost on a logarithmic axis.

    Args:
        marks: Marks of all points.
        across: Place and text of the ticks of the x axis.
        up: Place and text of the ticks of the y axis.
        zero: Place of the points without cost; None if there are none.
    """

    marks: tuple[Mark, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    zero: float | None


def scatter(points: Sequence[Point]) -> Scatter | None:
    """Return the places of points, and of labels where there is room; None without any point."""
    if not points:
        return None
    top, right, bottom, left = MARGIN
    costs = [math.log10(point.cost) for point in points if point.cost > 0]
    free = not all(point.cost > 0 for point in points)
    first, last = (math.floor(min(costs)), math.ceil(max(costs))) if costs else (0, 1)
    last = max(last, first + 1)
    start = left + (54 if free else 14)
    width, height = PLOT[0] - right - start - 8, PLOT[1] - top - bottom
    ends = [end for p in points for end in (p.score, p.low, p.high) if not math.isnan(end)]
    floor = max(0.0, math.floor(min(ends) * 10) / 10)
    ceiling = max(min(1.0, math.ceil(max(ends) * 10) / 10), floor + 0.1)

    def across(cost: float) -> float:
        if cost <= 0:
            return left + 20
        return start + width * (math.log10(cost) - first) / (last - first)

    def up(score: float) -> float:
        inside = min(max(score, floor), ceiling)
        return top + height * (ceiling - inside) / (ceiling - floor)

    placed = [(p, round(across(p.cost), 1), round(up(p.score), 1)) for p in points]
    labels = _labels([(p.name, x, y) for p, x, y in placed])
    marks = []
    for (p, x, y), label in zip(placed, labels, strict=True):
        low, high = (y if math.isnan(end) else round(up(end), 1) for end in (p.low, p.high))
        marks.append(Mark(p, x, y, low, high, label))
    step = 1 if last - first <= 5 else 2
    parts = (1, 2, 5) if last - first <= 2 else (1,)
    values = [part * 10.0**n for n in range(first, last + 1, step) for part in parts]
    decades = [(round(across(v), 1), _shown(v)) for v in values if v <= 10.0**last]
    tenths = range(round(floor * 10), round(ceiling * 10) + 1)
    return Scatter(
        tuple(marks),
        tuple(decades) if costs else (),
        tuple((round(up(n / 10), 1), f"{n / 10:.1f}") for n in tenths),
        across(0) if free else None,
    )


def _shown(value: float) -> str:
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:g}{letter}"
    return f"{value:,g}"


def _labels(points: Sequence[tuple[str, float, float]]) -> list[tuple[float, float, Anchor] | None]:
    """Return a place for each label, clear of other points and labels; None where there is none."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for _, x, y in points]
    labels: list[tuple[float, float, Anchor] | None] = []
    for name, x, y in points:
        width = LETTER * len(name)
        places: tuple[tuple[float, float, Anchor, float], ...] = (
            (x + 9, y + 4, "start", x + 9),
            (x - 9, y + 4, "end", x - 9 - width),
            (x, y - 10, "middle", x - width / 2),
            (x, y + 18, "middle", x - width / 2),
        )
        for at, base, anchor, left in places:
            box = (left, base - LINE + 3, left + width, base + 3)
            inside = box[0] > MARGIN[3] and box[2] < PLOT[0] and box[1] > 0
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                labels.append((round(at, 1), round(base, 1), anchor))
                break
        else:
            labels.append(None)
    return labels


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    return not apart


@dataclass(frozen=True)
class Diagram:
    """Average ranks on an axis, and which of them do not differ.

    Args:
        width: Pixels.
        height: Pixels.
        side: Pixels left and right of the axis, for labels.
        ticks: Place and number of whole ranks.
        models: Place on the axis, height of the label, whether it is on the left, and the text.
        bars: Start, end and height of the lines that join models which do not differ.
        difference: Length of the critical difference.
    """

    width: int
    height: int
    side: int
    ticks: tuple[tuple[float, int], ...]
    models: tuple[tuple[float, float, bool, str], ...]
    bars: tuple[tuple[float, float, float], ...]
    difference: float


def critical_diagram(ranks: Sequence[tuple[str, float]], difference: float) -> Diagram:
    """Return the critical-difference diagram (Demšar 2006) of average ranks, best first."""
    line, axis, n = 20, 62, len(ranks)
    labels = [f"{name} {rank:.2f}" for name, rank in ranks]
    side = 40 + round(7.6 * max(map(len, labels)))
    width = 420 + 2 * side

    def place(rank: float) -> float:
        return round(side + (width - 2 * side) * (rank - 1) / (n - 1), 1)

    joined = cliques([rank for _, rank in ranks], difference)
    bars = tuple(
        (place(ranks[first][1]) - 4, place(ranks[last][1]) + 4, axis + 12.0 + 8 * number)
        for number, (first, last) in enumerate(joined)
    )
    top, half = axis + 24 + 8 * len(bars), (n + 1) // 2
    models = tuple(
        (
            place(rank),
            top + line * (number if number < half else n - 1 - number),
            number < half,
            labels[number],
        )
        for number, (_, rank) in enumerate(ranks)
    )
    length = round((width - 2 * side) * difference / (n - 1), 1)
    ticks = tuple((place(rank), rank) for rank in range(1, n + 1, 1 + (n - 1) // 14))
    return Diagram(width, top + line * half, side, ticks, models, bars, length)


def cliques(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Return first and last of every longest run of sorted ranks closer than a difference."""
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(i for i, other in enumerate(ranks) if other - rank < difference)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs

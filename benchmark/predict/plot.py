"""Plot of a model's probabilities over the time of a recording."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
"""Colours of Okabe and Ito, which colour-blind people can tell apart."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 300, 60, 40, 66, 48
"""Size of the plot and its margins, in units of the SVG; lines of doubts come below."""
LINE, LETTER = 17, 7
"""Height of a line of text, and about the width of a letter."""
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440)
"""Minutes between the marks of time, of which the first with at most ``MARKS`` is taken."""
MARKS = 10


def plot_probabilities(
    title: str,
    model: str,
    seconds: npt.NDArray[np.float64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[str],
    doubtful: Sequence[bool],
    doubts: Sequence[str],
) -> str:
    """Return probabilities over time as SVG: of two classes that of the second one.

    Args:
        title: Title above the plot.
        model: Name of the model.
        seconds: Middle of each window, shape (N,).
        probabilities: Shape (N, K); NaN leaves a gap.
        classes: Names of the K classes.
        doubtful: Whether there is something to be doubted in each window, which is shaded.
        doubts: Lines about the recording, which stand below.
    """
    span = max(float(seconds[-1] - seconds[0]), 1e-9)
    inner = HEIGHT - TOP - BOTTOM

    def across(time: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(LEFT + (time - seconds[0]) / span * (WIDTH - LEFT - RIGHT))

    height = HEIGHT + LINE * len(doubts) + (LINE + 6 if doubts else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{LEFT}" y="38" fill="#555555">{escape(model)}</text>',
    ]
    edges = np.r_[seconds[0], (seconds[1:] + seconds[:-1]) / 2, seconds[-1]]
    for first, stop in _stretches(np.asarray(doubtful)):
        left, right = across(edges[[first, stop]])
        lines.append(
            f'<rect class="doubt" x="{left:.1f}" y="{TOP}" width="{max(right - left, 1):.1f}" '
            f'height="{inner}" fill="#eeeeee"/>'
        )
    for level in (0.0, 0.5, 1.0):
        y = TOP + (1 - level) * inner
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#cccccc"/>'
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{level:g}</text>'
        )
    for minute in marks(seconds[0] / 60, (seconds[0] + span) / 60):
        at = float(across(np.array(60 * minute)))
        lines.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP + inner}" y2="{TOP + inner + 4}" '
            'stroke="#888888"/>'
            f'<text class="minute" x="{at:.1f}" y="{TOP + inner + 17}" text-anchor="middle">'
            f"{minute:g}</text>"
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    two = len(classes) == 2
    of_second = f"probability of {classes[1]}" if two else "probability"
    turned = f'transform="rotate(-90 18 {TOP + inner / 2})" text-anchor="middle"'
    lines += [
        f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">'
        "minutes from the start of the recording to the middle of each window</text>",
        f'<text x="18" y="{TOP + inner / 2}" {turned}>{escape(of_second)}</text>',
    ]
    at = float(LEFT)
    for position, name in enumerate(classes):
        if two and position == 0:
            continue
        colour = COLOURS[position % len(COLOURS)]
        heights = TOP + (1 - probabilities[:, position]) * inner
        lines += _curve(across(seconds), heights, colour)
        if not two:
            lines.append(f'<text x="{at:.0f}" y="56" fill="{colour}">{escape(name)}</text>')
            at += LETTER * (len(name) + 3)
    if doubts:
        lines.append(
            f'<text x="{LEFT}" y="{HEIGHT + 14}" font-weight="bold">Doubts (shaded)</text>'
        )
    for number, doubt in enumerate(doubts, start=1):
        lines.append(f'<text x="{LEFT}" y="{HEIGHT + 14 + LINE * number}">{escape(doubt)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def marks(first: float, last: float) -> list[float]:
    """Return round minutes between two, at least one and at most about ``MARKS``."""
    step = next((s for s in STEPS if (last - first) / s < MARKS), STEPS[-1])
    minutes = [n * step for n in range(int(np.ceil(first / step)), int(last / step) + 1)]
    return [round(minute, 6) for minute in minutes] or [round(first, 2)]


def _curve(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], colour: str) -> Iterator[str]:
    """Yield a line for each stretch of numbers; a lone one is a point."""
    for first, stop in _stretches(np.isfinite(y)):
        if stop - first == 1:
            yield f'<circle cx="{x[first]:.1f}" cy="{y[first]:.1f}" r="2" fill="{colour}"/>'
            continue
        pairs = zip(x[first:stop], y[first:stop], strict=True)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _stretches(flags: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield first row and the row behind the last of each stretch of true flags."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False]))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)

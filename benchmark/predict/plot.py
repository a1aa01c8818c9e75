"""Plot of a model's probabilities over the time of a recording."""

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
"""Colours of Okabe and Ito, which colour-blind people can tell apart."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 300, 50, 40, 50, 40
"""Size of the plot and its margins, in units of the SVG."""


def plot_probabilities(
    title: str,
    seconds: npt.NDArray[np.float64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[str],
) -> str:
    """Return probabilities over time as SVG.

    Args:
        title: Title above the plot.
        seconds: Middle of each window, shape (N,).
        probabilities: Shape (N, K).
        classes: Names of the K classes.
    """
    span = max(float(seconds[-1] - seconds[0]), 1e-9)
    x = LEFT + (seconds - seconds[0]) / span * (WIDTH - LEFT - RIGHT)
    inner = HEIGHT - TOP - BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for level in (0.0, 0.5, 1.0):
        y = TOP + (1 - level) * inner
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#cccccc"/>'
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{level:g}</text>'
        )
    for share in np.linspace(0, 1, 6):
        at = LEFT + share * (WIDTH - LEFT - RIGHT)
        minutes = (seconds[0] + share * span) / 60
        lines.append(
            f'<text x="{at:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{minutes:.1f} min</text>'
        )
    for position, name in enumerate(classes):
        curve = TOP + (1 - probabilities[:, position]) * inner
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, curve, strict=True))
        colour = COLOURS[position % len(COLOURS)]
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{LEFT + 130 * position}" y="38" fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"

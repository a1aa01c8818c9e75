"""Content that trackers show of a result: mean scores, the picture of its confusion matrix.

Everything is read from the result and the files beside it; no catalogue is asked.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from benchmark.scored import Scored

CELL = 88
"""Width and height in pixels of a cell in the picture of a confusion matrix."""
DARKEST = np.array([33, 102, 172])
"""Colour of a cell that holds all of its row."""


def mean_scores(result: Scored) -> dict[str, float]:
    """Return the mean of each score over the test subjects, as ``test_<score>``."""
    table = pd.DataFrame(list(result.scores.values()))
    return {f"test_{name}": float(table[name].mean()) for name in table}


def plain(value: object) -> Any:
    """Return a value as it is written in ``result.json``."""
    return json.loads(json.dumps(value))


def draw_confusion(result: Scored) -> npt.NDArray[np.uint8]:
    """Draw a confusion matrix, shape (height, width, 3), with one row for each true class.

    Cells hold the count over all test subjects and the share of their row, which colours them.
    Classes have numbers in results that are older than the names in them.

    Args:
        result: Scored of a run that is done.
    """
    counts = np.sum(list(result.confusion.values()), axis=0)
    classes = result.classes or tuple(map(str, range(len(counts))))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = CELL * (len(classes) + 1)
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    draw.multiline_text((CELL / 2, CELL / 2), "true v\npredicted >", "black", anchor="mm")
    for row, name in enumerate(classes, start=1):
        across, down = (CELL / 2, (row + 0.5) * CELL), ((row + 0.5) * CELL, CELL / 2)
        for position in (across, down):
            draw.text(position, name, "black", anchor="mm")
        for column in range(1, len(classes) + 1):
            share = shares[row - 1, column - 1]
            colour = tuple(np.rint(255 + share * (DARKEST - 255)).astype(int).tolist())
            corner = np.array([column, row]) * CELL
            draw.rectangle((*corner, *(corner + CELL - 1)), fill=colour)
            text = f"{counts[row - 1, column - 1]}\n{share:.0%}"
            ink = "white" if share > 0.5 else "black"
            draw.multiline_text(tuple(corner + CELL / 2), text, ink, anchor="mm", align="center")
    return np.asarray(image)

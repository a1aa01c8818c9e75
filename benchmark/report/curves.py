"""Learning curves of a row: a thin line a run, the mean over runs, and the chosen epochs."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.boards.cohort import Row
from benchmark.curves import MEASURES, METRICS, PARTS, Curves, read_curves
from benchmark.scored import Scored
from benchmark.store import DamagedError, Store

BOX = (236, 136)
"""Pixels of a panel."""
EDGES = (22, 8, 24, 34)
"""Above, right of, below and left of its axes."""
DRAWN = 10
"""Runs of a row that have a line of their own; of more, as many are taken evenly."""
POINTS = 25
"""Points of a line; of more epochs, every second, third and so on is taken."""
CUT = 0.98
"""Share of all losses that the axis holds, so that one run that diverges does not hide the rest."""

Point = tuple[float, float]
"""Epoch and value."""


@dataclass(frozen=True)
class Panel:
    """One measure over epochs, as path data.

    Args:
        measure: Name of the measure.
        thin: Lines of runs, by part.
        mean: Line of the mean over runs, by part.
        chosen: Points at the chosen epoch of each drawn run, on its line of validation.
        up: Place and text of the ticks of the y axis.
        across: Place and text of the ticks of the x axis.
        said: The same in words.
    """

    measure: str
    thin: Mapping[str, str]
    mean: Mapping[str, str]
    chosen: str
    up: tuple[tuple[float, str], ...]
    across: tuple[tuple[float, str], ...]
    said: str


@dataclass(frozen=True)
class RowCurves:
    """Learning curves of a row.

    Args:
        about: Number of runs, and how many of them and of their epochs are drawn.
        panels: A panel a measure; one that was not kept is left out.
    """

    about: str
    panels: tuple[Panel, ...]


def row_curves(row: Row, store: Store) -> RowCurves | None:
    """Return the curves of the runs of a row that are done; None where none were kept."""
    runs = [
        (curves, result.epochs[1])
        for result in sorted(row.done, key=lambda r: (r.run.seed, r.run.fold, r.run.id))
        if result.epochs and (curves := _read(result, store))
    ]
    if not runs:
        return None
    drawn = [runs[place] for place in _evenly(len(runs), DRAWN)]
    last = max(max(curves) for curves, _ in runs)
    step = math.ceil(last / POINTS)
    panels = [_panel(measure, runs, drawn, last, step) for measure in MEASURES]
    return RowCurves(
        _about(len(runs), len(row.done), len(drawn), step),
        tuple(panel for panel in panels if panel),
    )


def _read(result: Scored, store: Store) -> Curves:
    """Return the curves of a run; empty where none were kept, or where they are damaged."""
    if not (result.folder / METRICS).is_file():
        return {}
    try:
        return read_curves(store.read(result.folder, result, METRICS).decode())
    except (DamagedError, ValueError) as error:
        logging.getLogger(__name__).warning("no curves of %s: %s", result.run.label, error)
        return {}


def _evenly(size: int, most: int) -> list[int]:
    """Return at most ``most`` integers below ``size``, evenly, with the first and the last."""
    return sorted({round(place) for place in np.linspace(0, size - 1, min(size, most))})


def _about(kept: int, done: int, drawn: int, step: int) -> str:
    parts = [f"{kept} run{'s' if kept > 1 else ''}"]
    if kept < done:
        parts[0] += f" of {done} that are done; of the others no curves were kept"
    if drawn < kept:
        parts.append(f"{drawn} of them drawn")
    if step > 1:
        parts.append(f"one epoch in {step}")
    return ", ".join(parts)


def _panel(
    measure: str,
    runs: Sequence[tuple[Curves, int]],
    drawn: Sequence[tuple[Curves, int]],
    last: int,
    step: int,
) -> Panel | None:
    """Return the panel of a measure; None where no run has it."""
    values = {part: [_values(curves, f"{part}_{measure}") for curves, _ in runs] for part in PARTS}
    every = [v for lines in values.values() for line in lines for v in line.values()]
    if not every:
        return None
    end = 1.0 if measure != "loss" else _round_up(float(np.quantile(every, CUT)))
    means = {part: _mean(lines) for part, lines in values.items()}
    top, right, bottom, left = EDGES
    width, height = BOX[0] - left - right, BOX[1] - top - bottom

    def place(point: Point) -> tuple[int, int]:
        epoch, value = point
        share = min(max(value / end, 0.0), 1.0)
        across = (epoch - 1) / (last - 1) if last > 1 else 0.5
        return round(left + width * across), round(top + height * (1 - share))

    def path(lines: Iterable[Sequence[Point]]) -> str:
        return "".join(_path([place(point) for point in line]) for line in lines if line)

    thin = {
        part: path(
            _thinned(_values(curves, f"{part}_{measure}"), step, epoch) for curves, epoch in drawn
        )
        for part in PARTS
    }
    validation = [(epoch, _values(curves, f"val_{measure}").get(epoch)) for curves, epoch in drawn]
    return Panel(
        measure.replace("_f1", " F1"),
        thin,
        {part: path([_thinned(mean, step)]) for part, mean in means.items()},
        path([[(epoch, value)] for epoch, value in validation if value is not None]),
        tuple((place((1, end * n / 2))[1], f"{end * n / 2:g}") for n in range(3)),
        tuple((place((n, 0))[0], f"{n}") for n in ((1, last) if last > 1 else (1,))),
        _said(measure, means, [epoch for _, epoch in runs]),
    )


def _values(curves: Curves, name: str) -> dict[int, float]:
    """Return the finite values of a curve by epoch."""
    return {e: v[name] for e, v in curves.items() if name in v and math.isfinite(v[name])}


def _mean(lines: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the mean over the runs that have an epoch, for epochs that at least half of them have.

    Further on it would be that of the few that train longest.
    """
    epochs = sorted({epoch for line in lines for epoch in line})
    having = {epoch: [line[epoch] for line in lines if epoch in line] for epoch in epochs}
    return {e: float(np.mean(v)) for e, v in having.items() if 2 * len(v) >= len(lines)}


def _thinned(line: Mapping[int, float], step: int, chosen: int = 0) -> list[Point]:
    """Return one epoch in ``step`` of a line, its last one and the chosen one."""
    return [
        (epoch, value)
        for epoch, value in sorted(line.items())
        if (epoch - 1) % step == 0 or epoch in (chosen, max(line))
    ]


def _path(places: Sequence[tuple[int, int]]) -> str:
    """Return path data with whole steps; a single point is a dot."""
    (x, y), *rest = places
    if not rest:
        return f"M{x} {y}h.1"
    steps = []
    for following in rest:
        across, down = following[0] - x, following[1] - y
        steps.append(f"{across}{down}" if down < 0 else f"{across} {down}")
        x, y = following
    return f"M{places[0][0]} {places[0][1]}l" + " ".join(steps)


def _round_up(value: float) -> float:
    """Return the next number of two digits whose half is short as well."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(s * unit for s in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10, 20) if s * unit >= value)


def _said(measure: str, means: Mapping[str, Mapping[int, float]], chosen: Sequence[int]) -> str:
    words = {"train": "training", "val": "validation"}
    ends = [
        f"{words[part]} from {mean[min(mean)]:.3g} to {mean[max(mean)]:.3g}"
        for part, mean in means.items()
        if mean
    ]
    return (
        f"mean {measure.replace('_f1', ' F1')} over epochs: {', '.join(ends)}; "
        f"chosen epoch {np.median(chosen):g} (median)"
    )

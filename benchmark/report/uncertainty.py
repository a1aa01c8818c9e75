"""Uncertainty of the rows of a board, as the page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.boards.confidence import NOMINAL
from benchmark.boards.uncertainty import COUNTS, SHARES, Uncertainty, line_of
from benchmark.report.figures import Strip, lines, strip
from benchmark.report.tables import Cell, Column, Table, between, count, number, sentence, text

COLUMNS = {
    "temperature": Column("temperature", "median over runs; above 1: it was too sure"),
    "log_loss": Column("log loss", "before temperature, mean over people"),
    "log_loss_calibrated": Column("after", "log loss after temperature, mean over people"),
    "coverage": Column("coverage", "share of units whose set holds their class (95 % interval)"),
    "coverage_decile": Column("worst decile", "tenth percentile of coverage over people"),
    "below_nominal": Column("people below", f"share of people with less than {NOMINAL:.0%}"),
    "set_size": Column("set size", "mean number of classes in a set"),
    "selective_gain": Column(
        "selective gain", "accuracy over the surest 80 % less that over all units (95 % interval)"
    ),
    "ece": Column("ECE", "calibration error before temperature, mean over people", more=True),
    "ece_calibrated": Column("ECE after", "calibration error after temperature", more=True),
    "brier": Column("Brier", "before temperature", more=True),
    "brier_calibrated": Column("Brier after", "after temperature", more=True),
    "single_sets": Column("one class", "share of sets of one class", more=True),
    "empty_sets": Column("no class", "share of empty sets", more=True),
    "accuracy": Column("accuracy", "over all units", more=True),
    "selective_accuracy": Column("accuracy of 80 %", "over the surest units", more=True),
    "n_subjects": Column("people", "who are tested", more=True),
    "n_validation": Column("validation people", "of the run that has the fewest", more=True),
    "n_validation_units": Column("validation units", "of the run that has the fewest", more=True),
    "note": Column("note", number=False, more=True),
}
"""Columns of the table, after the head of a row."""
INTERVALS = {
    "coverage": ("coverage_low", "coverage_high"),
    "selective_gain": ("gain_low", "gain_high"),
}


@dataclass(frozen=True)
class UncertaintyPage:
    """Uncertainty of a board.

    Args:
        table: A line a row.
        strips: Coverage of each person, by number of the row on the board.
        nominal: Path data of the line of what sets should cover.
    """

    table: Table
    strips: Mapping[int, Strip]
    nominal: str


def uncertainty_page(rows: Sequence[Uncertainty]) -> UncertaintyPage | None:
    """Return the uncertainty of the rows of a board; None where none of them has any.

    Args:
        rows: All rows, in order of the board.
    """
    if not any(one.people for one in rows):
        return None
    table = Table(
        (Column("model", "row of the board", number=False), *COLUMNS.values()),
        tuple(_cells(one) for one in rows),
    )
    strips = {place: _strip(one) for place, one in enumerate(rows) if one.people}
    return UncertaintyPage(table, strips, lines([NOMINAL]))


def _cells(one: Uncertainty) -> tuple[Cell, ...]:
    model, signals, recipe = one.row.label
    detail = f"{signals} · {recipe}"
    values = line_of(one)
    cells = [Cell(model, f"{model} {detail}", detail)]
    for name in COLUMNS:
        if name in INTERVALS:
            low, high = INTERVALS[name]
            cells.append(between(values.get(name), values.get(low), values.get(high)))
        elif name in COUNTS:
            cells.append(count(values.get(name)))
        elif name == "note":
            cells.append(text(one.note))
        else:
            cells.append(number(values.get(name), ".0%" if name in SHARES else ".3f"))
    return tuple(cells)


def _strip(one: Uncertainty) -> Strip:
    values = line_of(one)
    mean, low, high = (float(str(values[n])) for n in ("coverage", *INTERVALS["coverage"]))
    said = f"coverage {sentence(between(mean, low, high))}; {len(one.people)} people"
    return strip(one.values("coverage"), mean, low, high, said=said)

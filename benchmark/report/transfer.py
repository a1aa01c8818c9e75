"""The transfer matrix as the page shows it: a heat map a model, and a table of all lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.boards.transfer import HEAD
from benchmark.report.differences import drawn
from benchmark.report.figures import reach
from benchmark.report.tables import (
    Cell,
    Column,
    Table,
    between,
    count,
    number,
    p_value,
    scale,
    sentence,
    text,
)

PALE, DEEP = 0.3, 0.9
"""Macro F1 of the palest and of the deepest colour."""
SIDES = ("", "_low", "_high")
"""Endings of the columns of a score and of its interval."""
NONE = Cell("", None)
COLUMNS = (
    Column("model", "with its signals and recipe", number=False),
    Column("trained on", "dataset, or part of one", number=False),
    Column("tested on", "the same where its people were trained on in other folds", number=False),
    Column("macro F1", "mean over people (95 % interval)"),
    Column("bal. acc.", "balanced accuracy, mean over people (95 % interval)"),
    Column("false alarms", "share of units of the first class that are called another"),
    Column("within", "macro F1 of the same model trained within the domain that is tested"),
    Column("difference", "transferred less within, paired over people (95 % interval)"),
    Column("p (Holm)", "sign-flip test of the mean, corrected over all lines of a task"),
    Column("people", "who are tested"),
    Column("missing", "runs that failed or are not done"),
)


@dataclass(frozen=True)
class Heat:
    """One cell of a heat map.

    Args:
        shown: Its score; empty for a pair that has none.
        share: Depth of its colour, 0 to 1.
        said: The same in words, with all that belongs to it.
        kind: ``"within"`` on the diagonal, ``"alarms"`` for a share of false alarms.
    """

    shown: str = ""
    share: float = 0.0
    said: str = "not applicable"
    kind: str = ""


@dataclass(frozen=True)
class HeatMap:
    """Scores of one model: domains that it is trained in by domains that it is tested in.

    Args:
        model: Its name.
        detail: Signals and recipe.
        tested: Domains of the columns.
        rows: Domain that it is trained in, and its cells.
    """

    model: str
    detail: str
    tested: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Heat, ...]], ...]


@dataclass(frozen=True)
class TransferPage:
    """Everything about a transfer matrix.

    Args:
        head: Lines that say how to read it.
        maps: A heat map a task, model and recipe.
        table: All lines.
    """

    head: tuple[str, ...]
    maps: tuple[HeatMap, ...]
    table: Table


def transfer_page(lines: pd.DataFrame) -> TransferPage | None:
    """Return the matrix; None where nothing was transferred.

    Args:
        lines: Table of benchmark.boards.transfer.
    """
    if lines.empty:
        return None
    records = lines.to_dict("records")
    end = reach([r[key] for r in records for key in ("difference_low", "difference_high")])
    maps = tuple(
        _heat_map(of_model.to_dict("records"))
        for _, of_model in lines.groupby(["task", "model", "signals", "recipe"], sort=False)
    )
    columns = (*COLUMNS[:7], scale(end), *COLUMNS[7:])
    return TransferPage(HEAD, maps, Table(columns, tuple(_cells(r, end) for r in records)))


def _heat_map(records: Sequence[Mapping[Any, Any]]) -> HeatMap:
    trained = tuple(dict.fromkeys(str(record["trained_on"]) for record in records))
    others = dict.fromkeys(str(record["tested_on"]) for record in records)
    tested = tuple(sorted(others, key=lambda name: (name not in trained, name)))
    cells = {(record["trained_on"], record["tested_on"]): _heat(record) for record in records}
    first = records[0]
    return HeatMap(
        f"{first['model']}",
        f"{first['task']} · {first['signals']} · {first['recipe']}",
        tested,
        tuple((row, tuple(cells.get((row, name), Heat()) for name in tested)) for row in trained),
    )


def _heat(record: Mapping[Any, Any]) -> Heat:
    """Return the cell of a line: macro F1, or false alarms where there is one class alone."""
    score = number(record["macro_f1"], ".2f")
    if score.value is None:
        alarms = number(record["false_alarms"], ".0%")
        if alarms.value is None:
            return Heat(said="no run is done")
        its = between(*(record[f"false_alarms{side}"] for side in SIDES))
        said = f"false alarms {sentence(its)}, {record['n_people']} people"
        return Heat(alarms.text, round(float(alarms.value), 2), said, "alarms")
    its = between(*(record[f"macro_f1{side}"] for side in SIDES))
    said = f"macro F1 {sentence(its)}, {record['n_people']} people"
    within = record["trained_on"] == record["tested_on"]
    if (inside := number(record["within"])).value is not None:
        said += f"; trained there {inside.text}, difference {sentence(_difference(record))}"
    if record["n_missing"]:
        said += f"; incomplete, lacks {record['n_missing']} runs"
    share = min(max((float(score.value) - PALE) / (DEEP - PALE), 0.0), 1.0)
    return Heat(score.text, round(share, 2), said, "within" if within else "")


def _difference(record: Mapping[Any, Any]) -> Cell:
    middle, low, high = (record[f"difference{side}"] for side in SIDES)
    return between(middle, low, high, "+.3f")


def _cells(record: Mapping[Any, Any], end: float) -> tuple[Cell, ...]:
    detail = f"{record['signals']} · {record['recipe']}"
    detail += " · incomplete" if record["n_missing"] else ""
    middle, low, high = (record[f"difference{side}"] for side in SIDES)
    complete = not record["n_missing"]
    return (
        Cell(record["model"], f"{record['model']} {detail}", detail),
        text(record["trained_on"]),
        text(record["tested_on"]),
        between(*(record[f"macro_f1{side}"] for side in SIDES)),
        between(record["balanced_accuracy"], record["balanced_low"], record["balanced_high"]),
        between(*(record[f"false_alarms{side}"] for side in SIDES)),
        number(record["within"]),
        *(drawn(middle, low, high, end, complete) if pd.notna(middle) else (NONE, NONE)),
        p_value(record["p_corrected"]),
        count(record["n_people"]),
        count(record["n_missing"]),
    )

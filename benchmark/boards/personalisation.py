"""Personalisation: what labelled minutes of a person add, by each adapter, paired over people."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmark.adapters.catalogue import ADAPTERS, ONE_CLASS
from benchmark.boards.cohort import Cohort, Row
from benchmark.boards.paired import pair, statistics
from benchmark.boards.statistics import CONFIDENCE, holm, interval
from benchmark.run import Run
from datamodules.calibration import MOST_LABELLED

COLUMNS = (
    "board",
    "model",
    "signals",
    "recipe",
    "adapter",
    "minutes",
    "n_subjects",
    "n_seeds",
    "macro_f1",
    "macro_f1_low",
    "macro_f1_high",
    "against",
    "difference",
    "low",
    "high",
    "median_difference",
    "rank_biserial",
    "p",
    "p_corrected",
    "won",
    "lost",
    "n_one_class",
    "n_missing",
)
AS_IT_IS, ANEW = "as it is", "0 minutes"
"""What a line is compared with: the kept model, or the same adapter without minutes."""


def personalisation_table(cohorts: Iterable[Cohort]) -> pd.DataFrame:
    """Return a line a board, model, adapter and number of minutes.

    All lines of a board are of the same people and score units. An adapter that replaces a part of
    the network without minutes too is compared with itself without minutes, so that a difference is
    what the minutes add; any other with the model as it is. P-values are corrected (Holm) over all
    complete lines of a board that are compared. Of an incomplete line nothing is claimed.

    Args:
        cohorts: Rows of all boards.
    """
    boards: dict[str, dict[Run, Row]] = {}
    for cohort in cohorts:
        if cohort.results[0].run.protocol.calibrating.kind == "labelled":
            rows = {row.run: row for row in cohort.rows}
            boards.setdefault(board_of(cohort.results[0].run), {}).update(rows)
    lines: list[dict[str, Any]] = []
    for board, rows in boards.items():
        of_board = [{"board": board, **_line(row, rows)} for row in rows.values()]
        claims = [line for line in of_board if "p" in line and not line["n_missing"]]
        for line, p in zip(claims, holm([line["p"] for line in claims]), strict=True):
            line["p_corrected"] = p
        lines += of_board
    places = {name: place for place, name in enumerate(("none", *ADAPTERS))}
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    counts = ["won", "lost"]
    table[counts] = table[counts].astype("Int64")
    table["place"] = table["adapter"].map(lambda name: places.get(name, len(places)))
    by = ["board", "model", "signals", "recipe", "place", "adapter", "minutes"]
    return table.sort_values(by, ignore_index=True)[list(COLUMNS)]


def personalisation_head() -> tuple[str, ...]:
    """Return the lines that say how to read the table."""
    return (
        "personalisation: macro F1 of people's later score units, where a model is given their "
        "first minutes with labels, against the same without; paired over people",
        f"minutes: of labelled signal, from the beginning of the record; tested is what comes "
        f"after the first {MOST_LABELLED:g} of them and a gap, the same for every line of a board",
        f"intervals: Student t over people, {CONFIDENCE:.0%}; p: sign-flip test of the mean, "
        "p_corrected (Holm) over all lines of a board",
        f"against: {AS_IT_IS} is the model as it was kept; {ANEW} the same adapter without minutes",
        "n_one_class: people whose minutes have one class only",
        *(f"{name}: {one.about}; one class: {one.one_class}" for name, one in ADAPTERS.items()),
    )


def board_of(run: Run) -> str:
    """Return the name of the board that a run would be on without labelled minutes."""
    return replace(run, protocol=replace(run.protocol, calibration="none")).board


def without_minutes(run: Run, adapter: str) -> Run:
    """Return the run of a row, without minutes and with another adapter or none.

    The code of a run covers its adapter.
    """
    protocol = replace(run.protocol, calibration="labelled:0")
    kept = run.code if adapter else run.trained[0].code
    return replace(run, protocol=protocol, adapter=adapter, code=kept)


def _line(row: Row, rows: Mapping[Run, Row]) -> dict[str, Any]:
    run = row.run
    minutes = run.protocol.calibrating.minutes
    line: dict[str, Any] = {
        "model": replace(run, adapter="").name,
        "signals": row.label[1],
        "recipe": row.label[2],
        "adapter": run.adapter or "none",
        "minutes": minutes,
        "n_subjects": len(row.scores),
        "n_seeds": len({result.run.seed for result in row.results}),
        "n_missing": row.missing,
        "macro_f1": row.mean,
        "n_one_class": len(_one_class(row)),
    }
    if row.scores:
        _, line["macro_f1_low"], line["macro_f1_high"] = interval(row.values("macro_f1"))
    against, base = AS_IT_IS, rows.get(without_minutes(run, ""))
    if minutes and (anew := rows.get(without_minutes(run, run.adapter))):
        against, base = ANEW, anew
    if not run.adapter or base is None:
        return line
    complete = not (row.missing or base.missing)
    its = pair(row.macro_f1, base.macro_f1)
    line["n_missing"] = max(row.missing, base.missing)
    if its:
        line |= {**statistics(its), "against": against}
        line["p"] = line["p"] if complete else np.nan
    return line


def _one_class(row: Row) -> set[str]:
    """Return the people whose labelled minutes have one class only, as the runs noted them."""
    notes = (note for result in row.done for note in result.notes if note.startswith(ONE_CLASS))
    return {person for note in notes for person in note.removeprefix(ONE_CLASS).split(", ")}

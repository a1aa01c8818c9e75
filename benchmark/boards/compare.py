"""Two models, or two suites' results, on every board that both are on."""

import json
import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.boards.cohort import (
    Cohort,
    LeaderboardError,
    Row,
    build_cohorts,
    check_units,
)
from benchmark.boards.paired import Pair, pair, statistics
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import CONFIDENCE, Comparison, holm, p_text
from benchmark.boards.versions import by_version
from benchmark.store import Store
from benchmark.tables import csv_text

FORMATS = ("md", "csv", "json")
PART = "@"
"""Between the model, the signals and the recipe of a row."""


@dataclass(frozen=True)
class Match:
    """Two rows of one board.

    Attributes:
        board: Its name.
        first: Row of the first model.
        second: Row of the other.
        pair: Their macro F1 on the subjects that both have tested.
        p_holm: Corrected over all that is shown.
        sides: Names of A and B: models, or folders of results.
        notes: Lines that a reader must know: rows that are incomplete, recordings that differ.
    """

    board: str
    first: Row
    second: Row
    pair: Pair
    p_holm: float
    sides: tuple[str, str]
    notes: tuple[str, ...]


def matches(
    first: str, second: str, store: Store, other: Store | None = None, boards: Sequence[str] = ()
) -> list[Match]:
    """Return both models on every board that both are on, in order of board.

    Args:
        first: Model as on the row of a board; where a board has several rows of it, with the
            signals and, if that is not enough, the recipe: ``cnn@eda+bvp@published lr=0.1``.
        second: The same of the other.
        store: Results of the first, and of the second if ``other`` is None.
        other: Results of the second.
        boards: Only these; all if empty.

    Raises:
        LeaderboardError: No board has both, a name fits several rows of a board, or the two were
            scored on different units.
    """
    left = _boards(store)
    right = left if other is None else _boards(other)
    shared = _shared(left, right, boards)
    matched = _matched(
        [
            (name, a, b, (a.label[0], b.label[0]))
            for name in shared
            if (a := _row(left[name], first)) and (b := _row(right[name], second))
        ]
    )
    if not matched:
        models = sorted({row.run.name for c in [*left.values(), *right.values()] for row in c.rows})
        raise LeaderboardError(
            f"no board with scores of both {first!r} and {second!r}: expected two of the models "
            f"{', '.join(models)}"
        )
    return matched


def suite_matches(store: Store, other: Store, boards: Sequence[str] = ()) -> list[Match]:
    """Return every row of one folder of results against its counterpart in another.

    Counterparts are of one model, signals and recipe; where a model has one row left on both
    boards, of whatever signals and recipe, these are too.

    Args:
        store: Results of A.
        other: Results of B.
        boards: Only these; all if empty.

    Raises:
        LeaderboardError: There are no counterparts, or they were scored on different units.
    """
    left, right = _boards(store), _boards(other)
    sides = str(store.root), str(other.root)
    matched = _matched(
        [
            (name, a, b, sides)
            for name in _shared(left, right, boards)
            for a, b in _counterparts(left[name].rows, right[name].rows)
        ]
    )
    if not matched:
        raise LeaderboardError(
            f"expected a board with scores of one model in both {sides[0]} and {sides[1]}, found "
            f"{', '.join(left) or 'none'} and {', '.join(right) or 'none'}"
        )
    return matched


def _boards(store: Store) -> dict[str, Cohort]:
    planned = store.plan()
    today, _ = by_version(scored_results(store), planned)
    return {cohort.name: cohort for cohort in build_cohorts(today, planned)}


def _shared(left: Iterable[str], right: Container[str], boards: Sequence[str]) -> list[str]:
    """Return the boards that both have, or those of them that are named."""
    shared = [name for name in left if name in right]
    for name in boards:
        if name not in shared:
            raise LeaderboardError(
                f"no board {name!r} with results of both: expected one of {', '.join(shared)}"
            )
    return [name for name in shared if not boards or name in boards]


def _matched(rows: Iterable[tuple[str, Row, Row, tuple[str, str]]]) -> list[Match]:
    """Return the pairs that tested somebody in common, compared as one family of tests."""
    paired = [(*row, its) for row in rows if (its := pair(row[1].macro_f1, row[2].macro_f1))]
    for name, a, b, *_ in paired:
        check_units(name, (*a.results, *b.results))
    corrected = holm([its.comparison.p for *_, its in paired])
    return [
        Match(name, a, b, its, p, sides, _notes(a, b))
        for (name, a, b, sides, its), p in zip(paired, corrected, strict=True)
    ]


def _counterparts(left: Sequence[Row], right: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return rows of two boards that are of one kind, in the order of the first board."""
    theirs = {row.label: row for row in right}
    ours = {row.label for row in left}
    counterparts = []
    for row in left:
        other = theirs.get(row.label)
        if other is None:
            alone = [r for r in left if r.run.name == row.run.name and r.label not in theirs]
            rest = [r for r in right if r.run.name == row.run.name and r.label not in ours]
            other = rest[0] if len(alone) == len(rest) == 1 else None
        if other is not None:
            counterparts.append((row, other))
    return counterparts


def sides(pairs: Sequence[Match]) -> tuple[str, str]:
    """Return the names of A and B."""
    first, second = (
        " / ".join(dict.fromkeys(names)) for names in zip(*(m.sides for m in pairs), strict=True)
    )
    return first, second


def titles(pairs: Sequence[Match]) -> list[tuple[str, ...]]:
    """Return the board of each match, and the model of A where several of a board are shown."""
    counts = Counter(match.board for match in pairs)
    return [
        (match.board, *([match.first.label[0]] if counts[match.board] > 1 else []))
        for match in pairs
    ]


def _row(cohort: Cohort, name: str) -> Row | None:
    """Return the one row of a board that a name fits; None if there is none."""
    parts = name.split(PART)
    rows = [row for row in cohort.rows if list(row.label[: len(parts)]) == parts]
    if len(rows) > 1:
        fits = ", ".join(repr(PART.join(row.label)) for row in rows)
        raise LeaderboardError(
            f"board {cohort.name}: expected {name!r} to be one row, found {fits}; name one of them"
        )
    return rows[0] if rows else None


def _notes(first: Row, second: Row) -> tuple[str, ...]:
    notes = [
        f"{row.run.name} is incomplete: it lacks {row.missing} of {row.expected} scores"
        for row in (first, second)
        if row.missing
    ]
    for name, one, other in (
        ("data", first.run.data, second.run.data),
        ("protocol", first.run.protocol.version, second.run.protocol.version),
    ):
        if one != other:
            notes.append(f"{name} differ: {one} and {other}")
    return tuple(notes)


def table(pairs: Sequence[Match]) -> pd.DataFrame:
    """Return a line a match."""
    lines = [
        {
            "board": match.board,
            "a": PART.join(match.first.label),
            "b": PART.join(match.second.label),
            "a_macro_f1": sum(match.pair.first.values()) / len(match.pair.first),
            "b_macro_f1": sum(match.pair.second.values()) / len(match.pair.second),
            **_ordered(match),
            "note": "; ".join(match.notes),
        }
        for match in pairs
    ]
    return pd.DataFrame(lines)


def _ordered(match: Match) -> dict[str, Any]:
    """Return statistics with the corrected p-value beside the other."""
    columns: dict[str, Any] = {}
    for name, value in statistics(match.pair).items():
        columns[name] = value
        if name == "p":
            columns["p_holm"] = match.p_holm
    return columns


def render(pairs: Sequence[Match], form: str) -> str:
    """Return the comparison as text.

    Args:
        pairs: Matches, as from ``matches``.
        form: One of FORMATS; JSON has the scores of each subject too.
    """
    lines = table(pairs)
    if form == "csv":
        return csv_text(lines, "%.4g")
    if form == "json":
        records: list[Any] = json.loads(lines.to_json(orient="records", double_precision=10))
        for record, match in zip(records, pairs, strict=True):
            record["subjects"] = {
                subject: {"a": score, "b": match.pair.second[subject]}
                for subject, score in match.pair.first.items()
            }
        return json.dumps(records, indent=1) + "\n"
    return _markdown(pairs)


def _interval(comparison: Comparison) -> str:
    """Return an interval of differences; there is none of too few subjects."""
    if math.isnan(comparison.low):
        return "-"
    return f"{comparison.low:+.3f} to {comparison.high:+.3f}"


def _markdown(pairs: Sequence[Match]) -> str:
    names = sides(pairs)
    lines = [
        f"A: {names[0]}, B: {names[1]}. Macro F1, means over subjects; A - B paired over "
        f"subjects, {CONFIDENCE:.0%} interval (Student t); p of the sign-flip test "
        f"of the mean, and corrected (Holm) over the {len(pairs)} line(s) shown.",
        "",
        "| board | n | A | B | A - B | interval | p | p (Holm) | rank-biserial | won | lost |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rows = table(pairs).to_dict("records")
    for match, title, row in zip(pairs, titles(pairs), rows, strict=True):
        its = match.pair.comparison
        lines.append(
            f"| {' '.join(title)} | {its.n} | {row['a_macro_f1']:.3f} | {row['b_macro_f1']:.3f} "
            f"| {its.difference:+.3f} | {_interval(its)} | {p_text(its.p)} "
            f"| {p_text(match.p_holm)} | {match.pair.rank_biserial:+.2f} | {its.won} | {its.lost} |"
        )
    notes = [
        f"- {' '.join(title)}: {note}"
        for match, title in zip(pairs, titles(pairs), strict=True)
        for note in match.notes
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"

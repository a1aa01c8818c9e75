"""Ensembles of boards: which members inner runs chose in each fold, and with what scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import Cohort, Row, by_subject, signals_label
from benchmark.boards.evidence import Evidence
from benchmark.ensembles.answers import answers_of
from benchmark.ensembles.greedy import Choice, choose
from benchmark.run import Run
from benchmark.store import Store, StoreError

COLUMNS = (
    "board",
    "ensemble",
    "fold",
    "seed",
    "member",
    "signals",
    "recipe",
    "weight",
    "share",
    "inner_score",
    "ensemble_score",
    "n_people",
    "n_runs",
    "hours",
    "note",
)
"""``ensemble`` is the id of the run; ``hours`` are the wall time of the member's inner runs."""


def choice_of(evidence: Evidence, store: Store) -> Choice | None:
    """Return the members that the inner runs of an ensemble choose.

    A member of which an inner run failed is not chosen, and its score alone is NaN.

    Args:
        evidence: The inner runs.
        store: Store of their predictions.

    Returns:
        None if no member has all its inner runs.

    Raises:
        DamagedError: Predictions that are not those that were committed.
        BenchmarkError: Members that were tested on different units.
    """
    members = [evidence.candidate(member) for member in evidence.run.members]
    complete = [(place, one) for place, one in enumerate(members) if one and one.complete]
    if not complete:
        return None
    chosen = choose(answers_of([one.predictions(store) for _, one in complete]))
    weights, alone = [0] * len(members), [np.nan] * len(members)
    for (place, _), weight, score in zip(complete, chosen.weights, chosen.alone, strict=True):
        weights[place], alone[place] = weight, score
    return Choice(tuple(weights), chosen.score, tuple(alone))


@dataclass(frozen=True, eq=False)
class Chosen:
    """An ensemble of one fold and seed.

    Attributes:
        evidence: The inner runs that chose its members.
        choice: The members that they choose; None if that cannot be said.
        note: Reason why not, or why these are others than those of the run; else empty.
    """

    evidence: Evidence
    choice: Choice | None
    note: str


def read_chosen(evidence: Iterable[Evidence], store: Store) -> list[Chosen]:
    """Return the ensembles among runs with evidence, each with the choice of its inner runs."""
    return [_chosen(one, store) for one in evidence if one.run.members]


def _chosen(evidence: Evidence, store: Store) -> Chosen:
    if evidence.missing:
        missing = f"{len(evidence.missing)} inner run(s) are not in the store"
        return Chosen(evidence, None, missing)
    try:
        choice = choice_of(evidence, store)
    except StoreError as error:
        store.put_aside(store.folder(evidence.run), error)
        damaged = "predictions of an inner run are not those that were committed, or are gone"
        return Chosen(evidence, None, damaged)
    if choice is None:
        return Chosen(evidence, None, "no model has all of its inner runs")
    same = choice.weights == evidence.run.weights
    return Chosen(evidence, choice, "" if same else "inner runs choose other members today")


def best_members(ensembles: Iterable[Chosen]) -> dict[Run, Run]:
    """Return the member of each ensemble that scores best alone in its inner runs, by its run."""
    return {
        one.evidence.run: one.evidence.run.members[one.choice.best]
        for one in ensembles
        if one.choice
    }


def best_row(row: Row, cohort: Cohort, best: Mapping[Run, Run]) -> Row | None:
    """Return the row that has, in each fold and seed, the best member of an ensemble alone.

    Args:
        row: Row of an ensemble.
        cohort: Its board.
        best: Member by run of the ensemble, as from ``best_members``.

    Returns:
        None if one of these members is not known, or not done.
    """
    done = {result.run.id: result for result in cohort.done}
    results = [
        done[best[result.run].id]
        for result in row.results
        if result.run in best and best[result.run].id in done
    ]
    if len(results) < len(row.results):
        return None
    return replace(row, results=tuple(results), scores=by_subject(results))


def ensembles_table(ensembles: Iterable[Chosen]) -> pd.DataFrame:
    """Return one line a member of each ensemble: its weight, and its score in the inner runs."""
    lines = [line for one in ensembles for line in _lines(one)]
    return pd.DataFrame(lines, columns=list(COLUMNS)).sort_values(
        ["board", "seed", "fold", "ensemble", "weight", "member"],
        ascending=[True, True, True, True, False, True],
        ignore_index=True,
    )


def _lines(chosen: Chosen) -> list[dict[str, Any]]:
    run, lines = chosen.evidence.run, []
    for place, (member, weight) in enumerate(zip(run.members, run.weights, strict=True)):
        candidate = chosen.evidence.candidate(member)
        results = candidate.results if candidate else ()
        lines.append(
            {
                "board": run.board,
                "ensemble": run.id,
                "fold": run.fold,
                "seed": run.seed,
                "member": member.name,
                "signals": signals_label(member),
                "recipe": member.recipe_label,
                "weight": weight,
                "share": weight / max(sum(run.weights), 1),
                "inner_score": chosen.choice.alone[place] if chosen.choice else np.nan,
                "ensemble_score": chosen.choice.score if chosen.choice else np.nan,
                "n_people": max((len(result.run.subjects) for result in results), default=0),
                "n_runs": len(results),
                "hours": sum(sum(result.seconds.values()) for result in results) / 3600,
                "note": chosen.note,
            }
        )
    return lines

"""Tuned rows: the inner runs that chose their values, what these cost, and what they scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import Cohort, build_cohort, signals_label
from benchmark.boards.distillation import across_folds
from benchmark.probes.catalogue import PROBES
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import Scored, with_scores
from benchmark.store import PREDICTIONS, Store, StoreError, parsed

COLUMNS = (
    "board",
    "model",
    "signals",
    "recipe",
    "fold",
    "seed",
    "budget",
    "n_people",
    "default_score",
    "chosen_score",
    "chosen",
    "n_pruned",
    "n_failed",
    "n_runs",
    "tuning_hours",
    "id",
    "note",
)


def inner_score(results: Sequence[Scored]) -> float:
    """Return the score of a candidate: that by which a board of its inner runs would rank it.

    Args:
        results: Its inner runs that are done, of one inner fold or several.

    Returns:
        NaN if they tested nobody.
    """
    cohort = build_cohort("inner runs", results)
    return cohort.score(cohort.rows[0])


@dataclass(frozen=True, eq=False)
class Candidate:
    """Values that a study tried.

    Attributes:
        folders: Folder of each inner run that has ended.
        results: Their results.
    """

    folders: tuple[Path, ...]
    results: tuple[Result, ...]

    @property
    def failed(self) -> bool:
        """Whether one of its inner runs failed."""
        return any(result.status != "done" for result in self.results)

    @property
    def complete(self) -> bool:
        """Whether every inner fold is done; otherwise it failed or was given up before the end."""
        return not self.failed and len(self.results) == self.results[0].run.protocol.folds

    def score(self, store: Store) -> float:
        """Return its score over all inner folds; NaN if it is not complete.

        Raises:
            DamagedError: Predictions that are not those that were committed.
        """
        if not self.complete:
            return np.nan
        pairs = zip(self.folders, self.results, strict=True)
        return inner_score(
            [with_scores(r, parsed(store.read(f, r, PREDICTIONS), f), f) for f, r in pairs]
        )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What chose the values of a tuned run.

    Attributes:
        run: The run.
        candidates: Candidates in the order in which they were found, the untuned values first.
        missing: Ids of inner runs that are not in the store.
    """

    run: Run
    candidates: tuple[Candidate, ...]
    missing: tuple[str, ...]

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """Results of all inner runs."""
        return tuple(result for one in self.candidates for result in one.results)

    @property
    def chosen(self) -> Candidate | None:
        """The candidate whose values the run has; None if it is not in the store."""
        values = self.run.recipe, self.run.arguments
        return next((one for one in self.candidates if _values(one.results[0]) == values), None)

    @property
    def hours(self) -> float:
        """Wall time of all inner runs."""
        return sum(sum(result.seconds.values()) for result in self.results) / 3600


def evidence_of(run: Run, store: Store, folders: Mapping[str, Path]) -> Evidence:
    """Return what chose the values of a tuned run.

    Args:
        run: The run.
        store: Its store, or one with its inner runs.
        folders: Folders of inner runs by id, as from ``store.inner_folders``.

    Raises:
        StoreError: A result of an inner run that cannot be read.
    """
    named = {name: folders[name] for name in dict.fromkeys(run.chosen_by) if name in folders}
    of_values: dict[tuple[object, object], list[tuple[Path, Result]]] = {}
    for name, folder in named.items():
        result = store.load(folder)
        if result.run.id != name:
            raise StoreError(f"{folder}: expected the inner run {name}, found {result.run.id}")
        of_values.setdefault(_values(result), []).append((folder, result))
    candidates = tuple(
        Candidate(tuple(folder for folder, _ in ended), tuple(result for _, result in ended))
        for ended in of_values.values()
    )
    return Evidence(run, candidates, tuple(n for n in run.chosen_by if n not in named))


def read_evidence(cohorts: Iterable[Cohort], store: Store) -> list[Evidence]:
    """Return what chose the values of every tuned run of some boards, in order.

    An inner run that cannot be read is set aside, and its study has no line.
    """
    tuned = [result.run for cohort in cohorts for result in cohort.results if result.run.budget]
    folders = store.inner_folders() if tuned else {}
    evidence = []
    for run in tuned:
        try:
            evidence.append(evidence_of(run, store, folders))
        except StoreError as error:
            store.put_aside(store.folder(run), error)
    return evidence


def tuning_hours(evidence: Iterable[Evidence]) -> dict[Run, float]:
    """Return the hours of the inner runs of each row, by the row's run."""
    hours: dict[Run, float] = {}
    for one in evidence:
        row = across_folds(one.run)
        hours[row] = hours.get(row, 0.0) + one.hours
    return hours


def tuned_table(evidence: Iterable[Evidence], store: Store) -> pd.DataFrame:
    """Return one line a study: what it chose, and the inner scores of that and of the default."""
    lines = [_line(one, store) for one in evidence]
    return pd.DataFrame(lines, columns=list(COLUMNS)).sort_values(
        ["board", "model", "signals", "recipe", "seed", "fold"], ignore_index=True
    )


def _line(evidence: Evidence, store: Store) -> dict[str, Any]:
    run, candidates, note = evidence.run, evidence.candidates, ""
    scores = {"default_score": np.nan, "chosen_score": np.nan}
    if evidence.missing:
        note = f"{len(evidence.missing)} inner run(s) are not in the store"
    else:
        try:
            scores["default_score"] = candidates[0].score(store)
            if chosen := evidence.chosen:
                scores["chosen_score"] = chosen.score(store)
        except StoreError as error:
            store.put_aside(store.folder(run), error)
            note = "predictions of an inner run are not those that were committed, or are gone"
    people = {len(result.run.subjects) for result in evidence.results}
    return {
        "board": run.board,
        "model": run.name,
        "signals": signals_label(run),
        "recipe": run.untuned.recipe_label,
        "fold": run.fold,
        "seed": run.seed,
        "budget": run.budget,
        "n_people": max(people, default=0),
        **scores,
        "chosen": " ".join(f"{name}={value}" for name, value in chosen_values(run).items()),
        "n_pruned": sum(not one.complete and not one.failed for one in candidates),
        "n_failed": sum(one.failed for one in candidates),
        "n_runs": len(evidence.results),
        "tuning_hours": evidence.hours,
        "id": run.id,
        "note": note,
    }


def chosen_values(run: Run) -> dict[str, object]:
    """Return the values that a study chose; of a network, arguments that differ from defaults."""
    defaults = PROBES[run.model].arguments if run.model in PROBES else {}
    arguments = {**defaults, **dict(run.arguments)}
    of_recipe = {n: getattr(run.recipe, n) for n in run.tuned if hasattr(run.recipe, n)}
    return of_recipe | {name: arguments[name] for name in run.tuned if name in arguments}


def _values(result: Result) -> tuple[object, object]:
    return result.run.recipe, result.run.arguments

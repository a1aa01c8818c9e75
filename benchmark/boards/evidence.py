"""Evidence: the inner runs that chose the values of a run or the members of an ensemble."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.boards.cohort import Cohort, build_cohort
from benchmark.boards.distillation import across_folds
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import Scored, together, with_scores
from benchmark.store import PREDICTIONS, Store, StoreError, parsed
from lightning_modules.units import Columns


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
    """Values that a study tried, or a model that may be a member of an ensemble.

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
        of_folds = zip(self.results, self._predictions(store), self.folders, strict=True)
        return inner_score([with_scores(*of_fold) for of_fold in of_folds])

    def predictions(self, store: Store) -> Columns:
        """Return the predictions of its inner runs, which test everybody once.

        Raises:
            DamagedError: Predictions that are not those that were committed.
        """
        return together(self._predictions(store))

    def _predictions(self, store: Store) -> list[Columns]:
        pairs = zip(self.folders, self.results, strict=True)
        return [parsed(store.read(f, r, PREDICTIONS), f) for f, r in pairs]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What chose the values of a tuned run, or the members of an ensemble.

    Attributes:
        run: The run.
        candidates: Candidates in the order in which they were found: of a tuned run the untuned
            values first, of an ensemble in the order of its members.
        missing: Ids of inner runs that are not in the store.
    """

    run: Run
    candidates: tuple[Candidate, ...]
    missing: tuple[str, ...]

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """Results of all inner runs."""
        return tuple(result for one in self.candidates for result in one.results)

    def candidate(self, run: Run) -> Candidate | None:
        """Return the candidate with the model and the values of a run; None if there is none."""
        values = _values(run)
        return next((one for one in self.candidates if _values(one.results[0].run) == values), None)

    @property
    def hours(self) -> float:
        """Wall time of all inner runs."""
        return sum(sum(result.seconds.values()) for result in self.results) / 3600


def evidence_of(run: Run, store: Store, folders: Mapping[str, Path]) -> Evidence:
    """Return what chose the values of a tuned run, or the members of an ensemble.

    Args:
        run: The run.
        store: Its store, or one with its inner runs.
        folders: Folders of inner runs by id, as from ``store.inner_folders``.

    Raises:
        StoreError: A result of an inner run that cannot be read.
    """
    named = {name: folders[name] for name in dict.fromkeys(run.chosen_by) if name in folders}
    of_values: dict[tuple[object, ...], list[tuple[Path, Result]]] = {}
    for name, folder in named.items():
        result = store.load(folder)
        if result.run.id != name:
            raise StoreError(f"{folder}: expected the inner run {name}, found {result.run.id}")
        of_values.setdefault(_values(result.run), []).append((folder, result))
    candidates = tuple(
        Candidate(tuple(folder for folder, _ in ended), tuple(result for _, result in ended))
        for ended in of_values.values()
    )
    return Evidence(run, candidates, tuple(n for n in run.chosen_by if n not in named))


def read_evidence(cohorts: Iterable[Cohort], store: Store) -> list[Evidence]:
    """Return what chose the values, or the members, of every such run of some boards, in order.

    An inner run that cannot be read is set aside, and its study has no line.
    """
    runs = [result.run for cohort in cohorts for result in cohort.results if result.run.chosen_by]
    folders = store.inner_folders() if runs else {}
    evidence = []
    for run in runs:
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


def _values(run: Run) -> tuple[object, ...]:
    return run.model, run.signals, run.recipe, run.arguments

"""Results to rows: which stand on one board, and what each scored on every subject."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from benchmark.boards.computed import Computed
from benchmark.boards.distillation import across_folds
from benchmark.errors import BenchmarkError
from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from benchmark.scored import Scored

SIMPLE = tuple(name for name, probe in PROBES.items() if probe.simple)
"""Baselines on hand-crafted features, named beforehand; a claim must beat each of them."""
Counts = npt.NDArray[np.float64]
BLIND = frozenset(name for name, probe in PROBES.items() if probe.blind)
"""Probes that should lose; they are not ranked."""


class LeaderboardError(BenchmarkError):
    """Results that cannot stand on one board, or rows that are not there."""


@dataclass(frozen=True, eq=False)
class Row:
    """One model on one board.

    Attributes:
        run: Run of fold and seed 0, which stands for those of all folds and seeds.
        results: Results of these runs.
        scores: By subject, over all units of a seed together, averaged over seeds.
        expected: Number of scores of a complete row, one for each seed of a subject and each fold
            that tests the subject.
        missing: Number of scores that it lacks.
    """

    run: Run
    results: tuple[Scored, ...]
    scores: Mapping[str, Mapping[str, float]]
    expected: int
    missing: int

    @cached_property
    def label(self) -> tuple[str, str, str]:
        """Model, signals and recipe, as in the first columns of a board."""
        return self.run.name, signals_label(self.run), recipe_label(self.run)

    @property
    def complete(self) -> bool:
        """True if every subject was tested with every seed."""
        return not self.missing

    @property
    def done(self) -> list[Scored]:
        """Results that have scores."""
        return [result for result in self.results if result.status == "done"]

    @cached_property
    def macro_f1(self) -> dict[str, float]:
        """Macro F1 by subject, in order of subject."""
        return {subject: scores["macro_f1"] for subject, scores in self.scores.items()}

    def values(self, name: str) -> list[float]:
        """Return one score of every subject, in order of subject."""
        return [scores.get(name, np.nan) for scores in self.scores.values()]

    @property
    def mean(self) -> float:
        """Macro F1, averaged over subjects; NaN if none was tested."""
        return float(np.mean(list(self.macro_f1.values()))) if self.scores else np.nan

    @cached_property
    def counts(self) -> Counts:
        """Sums of units over subjects that macro F1 of all of them together is made of.

        Shape (subjects, R, 2, K), R seeds and partitions: units of each class that are right, and
        units that are of the class or called so; subjects in the order of ``scores``.
        """
        seeds = sorted({repetition(result.run) for result in self.done})
        subjects = {subject: place for place, subject in enumerate(self.scores)}
        size = next((len(c) for r in self.done for c in r.confusion.values()), 0)
        counts = np.zeros((len(subjects), len(seeds), 2, size))
        for result in self.done:
            seed = seeds.index(repetition(result.run))
            for subject, matrix in result.confusion.items():
                table = np.asarray(matrix, dtype=float)
                counts[subjects[subject], seed] += (
                    np.diag(table),
                    table.sum(axis=0) + table.sum(axis=1),
                )
        return counts

    @cached_property
    def pooled(self) -> float:
        """Macro F1 over the units of all subjects together, averaged over seeds; NaN without."""
        return float(pooled_macro_f1(self.counts.sum(axis=0))) if self.scores else np.nan

    @property
    def blind(self) -> bool:
        """True for a probe that should lose."""
        return self.run.name in BLIND


@dataclass(frozen=True, eq=False)
class Cohort:
    """All results that stand on one board.

    Attributes:
        name: Name of the board.
        results: Results, without those of teachers of some of the training subjects.
        rows: Best macro F1 first, incomplete ones last.
        tested: Subjects whom a complete row has tested.
        computed: Numbers that were computed before.
    """

    name: str
    results: tuple[Scored, ...]
    rows: tuple[Row, ...]
    tested: tuple[str, ...]
    computed: Computed = field(default_factory=Computed)

    @property
    def done(self) -> list[Scored]:
        """Results that have scores."""
        return [result for result in self.results if result.status == "done"]

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 if no run is done."""
        return next((len(c) for r in self.done for c in r.confusion.values()), 0)

    @property
    def majority(self) -> Row | None:
        """The row of the probe that always answers with the most frequent class."""
        return self.best(("majority",))

    @property
    def complete(self) -> list[Row]:
        """Rows that may be ranked."""
        return [row for row in self.rows if row.complete]

    @property
    def ranked(self) -> list[Row]:
        """Complete rows, without the probes that should lose."""
        return [row for row in self.complete if not row.blind]

    @property
    def simple(self) -> tuple[Row, ...]:
        """The complete row of each simple baseline, the best where there are several.

        One that is tuned may be the best: a claim must beat a baseline however it does best.
        """
        rows = (self.best((name,)) for name in SIMPLE)
        return tuple(row for row in rows if row)

    @property
    def classes(self) -> set[int]:
        """Classes that score units have."""
        matrices = (m for result in self.done for m in result.confusion.values())
        return {k for matrix in matrices for k, row in enumerate(matrix) if any(row)}

    @cached_property
    def one_class(self) -> int:
        """Number of tested subjects whose score units are all of one class."""
        classes: dict[str, set[int]] = defaultdict(set)
        for result in self.done:
            for subject, matrix in result.confusion.items():
                classes[subject] |= {k for k, row in enumerate(matrix) if any(row)}
        return sum(len(tested) == 1 for tested in classes.values())

    def score(self, row: Row) -> float:
        """Return the score that rows are ranked by.

        It is macro F1, averaged over subjects. Where somebody has units of one class only, macro F1
        of that person says nothing: a constant can reach 1. Then it is macro F1 over the units of
        all subjects together.
        """
        return row.pooled if self.one_class else row.mean

    def best(self, models: Sequence[str]) -> Row | None:
        """Return the best row of some models among those that are complete, tuned or not."""
        rows = (row for row in self.complete if row.run.model in models)
        return max(rows, key=self.score, default=None)


def build_cohorts(
    named: Mapping[str, Sequence[Scored]],
    planned: Collection[Run] = (),
    computed: Computed | None = None,
) -> list[Cohort]:
    """Return the rows of every board, by name of the board.

    Runs under protocol flags, and tests on disturbed recordings, are on none.

    Neither is what tests models of another dataset on units of one class: nothing is ranked there.

    Args:
        named: Results of today by name of their board, as from benchmark.boards.versions.
        planned: Runs of the latest call, done or not.
        computed: Numbers that were computed before.

    Raises:
        LeaderboardError: Models of one board that were scored on different units.
    """
    cohorts = []
    for name, everything in named.items():
        results = [r for r in everything if r.run.protocol.ranked and not r.run.without]
        if results:
            cohort = build_cohort(name, results, planned, computed)
            if len(cohort.classes) != 1 or results[0].run.protocol.splitting.trains:
                cohorts.append(cohort)
    return cohorts


def repetition(run: Run) -> tuple[int, int]:
    """Return seed and partition of a run: all folds of one test every subject once."""
    return run.seed, run.protocol.partition(run.fold)


def shared(row: Row, other: Row) -> Row:
    """Return a row without the seeds and partitions that another row lacks."""
    theirs = {repetition(result.run) for result in other.results}
    results = tuple(result for result in row.results if repetition(result.run) in theirs)
    return replace(row, results=results, scores=by_subject(results))


def signals_label(run: Run) -> str:
    """Return signals as in the column of a board."""
    return "+".join(run.signals) or "none"


def recipe_label(run: Run) -> str:
    """Return the recipe of a model and of its teachers, in words."""
    if not run.teachers:
        return run.recipe_label
    teacher = run.teachers[0]
    several = f" {len(run.teachers)} out of fold" if len(run.teachers) > 1 else ""
    return f"{run.recipe_label}; teacher {signals_label(teacher)} {teacher.recipe_label}{several}"


def check_units(name: str, results: Iterable[Scored]) -> None:
    """Make sure that models were scored on the same units.

    Raises:
        LeaderboardError: Naming two models and the subject.
    """
    seen: dict[tuple[int, int, str], tuple[str, str]] = {}
    for result in results:
        run = result.run
        for subject, units in result.units.items():
            first, model = seen.setdefault((run.seed, run.fold, subject), (units, run.name))
            if units != first:
                raise LeaderboardError(
                    f"board {name}: expected all models to be scored on the same units, found "
                    f"{run.name} and {model} on different ones of subject {subject}. "
                    "Delete the results of one of them and run it again."
                )


def build_cohort(
    name: str,
    results: Sequence[Scored],
    planned: Collection[Run] = (),
    computed: Computed | None = None,
) -> Cohort:
    """Return the rows of one board; raises LeaderboardError like ``build_cohorts``.

    A row is complete with the seeds that it has and those that are planned for it: rows of models
    that are expensive may have fewer than others. Where somebody has units of one class only, what
    is compared are sums over all seeds, so that every row must have the seeds of all.
    """
    check_units(name, results)
    by_row: dict[Run, list[Scored]] = defaultdict(list)
    for result in results:
        by_row[across_folds(result.run)].append(result)
    of_plan: dict[Run, set[int]] = defaultdict(set)
    for run in planned:
        of_plan[across_folds(run)].add(run.seed)
    own = [of_plan[row] for row in by_row]
    cells = _cells(results, {result.run.seed for result in results}.union(*own))
    tested = sorted({subject for of_fold in cells.values() for subject in of_fold})
    cohort = Cohort(name, tuple(results), (), tuple(tested), computed or Computed())
    rows = []
    for row, of_row in by_row.items():
        seeds = {result.run.seed for result in (results if cohort.one_class else of_row)}
        seeds |= of_plan[row]
        expected = sum(len(who) for (seed, _), who in cells.items() if seed in seeds)
        missing = expected - sum(len(result.scores) for result in of_row)
        rows.append(Row(row, tuple(of_row), by_subject(of_row), expected, missing))
    rows.sort(
        key=lambda r: (not r.complete, -cohort.score(r) if r.scores else 0.0, r.label, r.run.id)
    )
    return replace(cohort, rows=tuple(rows))


def pooled_macro_f1(sums: Counts) -> Counts:
    """Return macro F1 of sums over subjects, averaged over seeds.

    A class counts if it occurs among targets or predictions, as in the score of one subject.

    Args:
        sums: Shape (..., seeds, 2, K), as ``Row.counts`` summed over subjects.

    Returns:
        Shape (...).
    """
    right, occurs = sums[..., 0, :], sums[..., 1, :]
    scores = np.divide(2 * right, occurs, out=np.zeros_like(right), where=occurs > 0)
    n_classes = np.maximum((occurs > 0).sum(axis=-1), 1)
    return np.asarray((scores.sum(axis=-1) / n_classes).mean(axis=-1))


def _cells(
    results: Sequence[Scored], seeds: Collection[int]
) -> dict[tuple[int, int], Sequence[str]]:
    """Return the subjects whom each fold of each seed tests, by seed and fold.

    Who has a trial in a fold is known of one that some row has done; any other is taken to test all
    whom the split names.
    """
    run, protocol = results[0].run, results[0].run.protocol
    n_folds = protocol.splitting.n_folds(len(run.subjects), protocol.dealing(0, 0), shuffled=True)
    planned: dict[tuple[int, int], Sequence[str]] = {
        (seed, fold): protocol.splitting.people(run.subjects, protocol.dealing(fold, seed))
        for seed in sorted(seeds)
        for fold in range(n_folds)
    }
    return planned | {(r.run.seed, r.run.fold): tuple(r.scores) for r in results if r.scores}


def by_subject(results: Sequence[Scored]) -> dict[str, dict[str, float]]:
    """Return the scores of each subject over all units of a seed, averaged over seeds."""
    collected: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r.run.seed, r.run.fold)):
        for subject, scores in result.of_subjects.items():
            collected[subject].append(scores)
    return {
        subject: {
            name: sum(scores[name] for scores in of_subject) / len(of_subject)
            for name in of_subject[0]
        }
        for subject, of_subject in sorted(collected.items())
    }

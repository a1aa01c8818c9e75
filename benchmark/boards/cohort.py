"""Results to rows: which stand on one board, and what each scored on every subject."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.boards.distillation import across_folds
from benchmark.errors import BenchmarkError
from benchmark.result import Result
from benchmark.run import WITHIN_SUBJECT, Run

SCORES = ("macro_f1", "balanced_accuracy", "mcc", "accuracy", "brier", "ece")
SIMPLE = ("lda", "random_forest")
"""Baselines on hand-crafted features; every model is compared with the better of them."""
SOME_TESTED = ("subject_hold_out", "subject_stimulus_k_fold")
"""Splits that do not test every subject; who is tested is told by the results."""


class LeaderboardError(BenchmarkError):
    """Results that cannot stand on one board, or rows that are not there."""


@dataclass(frozen=True)
class Row:
    """One model on one board.

    Attributes:
        run: What its runs of all folds and seeds have in common.
        results: Of these runs.
        scores: By subject, averaged over seeds, and over folds where several test the same.
        wanted: Scores that a complete row has, one a subject, seed and fold that tests the subject.
        missing: How many of them are not there.
    """

    run: Run
    results: tuple[Result, ...]
    scores: Mapping[str, Mapping[str, float]]
    wanted: int
    missing: int

    @property
    def label(self) -> tuple[str, str, str]:
        """Model, signals and recipe, as in the first columns of a board."""
        return self.run.name, signals_label(self.run), recipe_label(self.run)

    @property
    def complete(self) -> bool:
        """Whether every subject was tested with every seed."""
        return not self.missing

    @property
    def macro_f1(self) -> dict[str, float]:
        """By subject, in order of subject."""
        return {subject: scores["macro_f1"] for subject, scores in self.scores.items()}

    @property
    def mean(self) -> float:
        """Macro F1, averaged over subjects; NaN if none was tested."""
        return float(np.mean(list(self.macro_f1.values()))) if self.scores else np.nan


@dataclass(frozen=True)
class Cohort:
    """All results that stand on one board.

    Attributes:
        name: Of the board; with the recordings or the protocol where another has the plain name.
        board: The plain name.
        results: Without teachers of some of the training subjects.
        rows: Best macro F1 first, incomplete ones last.
        tested: Subjects whom a complete row has tested.
        others: Digests of other recordings that have boards under the same plain name.
    """

    name: str
    board: str
    results: tuple[Result, ...]
    rows: tuple[Row, ...]
    tested: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def complete(self) -> list[Row]:
        """Rows that may be ranked."""
        return [row for row in self.rows if row.complete]

    @property
    def simple(self) -> Row | None:
        """The better of the simple baselines that have tested everybody."""
        return self.best(SIMPLE)

    def best(self, models: Sequence[str]) -> Row | None:
        """The best of some models that has tested everybody."""
        found = (row for row in self.rows if row.run.name in models)
        whole = [row for row in found if len(row.scores) == len(self.tested)]
        return max(whole, key=lambda row: row.mean, default=None)


def build_cohorts(named: Mapping[str, Sequence[Result]]) -> list[Cohort]:
    """Rows of every board, by name of the board.

    Args:
        named: As from ``by_board``.

    Raises:
        LeaderboardError: Models of one board that were scored on different units.
    """
    cohorts = []
    for name, everything in named.items():
        results = tuple(result for result in everything if not result.run.without)
        if results:
            run = results[0].run
            firsts = [other[0].run for other in named.values()]
            others = [r.data for r in firsts if r.board == run.board and r.data != run.data]
            cohorts.append(_cohort(name, results, tuple(others)))
    return cohorts


def by_board(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Results by the name of their board, those of out-of-fold teachers among them.

    Runs on other recordings, or of another version of the protocol, have names of their own. Runs
    with protocol flags are on no board: they are never ranked, see benchmark.boards.flawed.
    """
    cohorts: dict[str, dict[tuple[int, str], list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        if result.run.flags:
            continue
        cohorts[result.run.board][result.run.protocol, result.run.data].append(result)
    named = {}
    for name, groups in sorted(cohorts.items()):
        ordered = sorted(
            groups.items(), key=lambda g: (-g[0][0], -len(g[1][0].run.subjects), -len(g[1]), g[0])
        )
        newest = ordered[0][0][0]
        for position, ((protocol, data), found) in enumerate(ordered):
            older = "" if protocol == newest else f"__protocol_{protocol}"
            named[name if position == 0 else f"{name}{older}__data_{data[:6]}"] = found
    return named


def signals_label(run: Run) -> str:
    """Signals as in the column of a board."""
    return "+".join(run.signals) or "none"


def recipe_label(run: Run) -> str:
    """How a model was trained, and what taught it."""
    if not run.teachers:
        return run.recipe_label
    teacher = run.teachers[0]
    several = f" {len(run.teachers)} out of fold" if len(run.teachers) > 1 else ""
    return f"{run.recipe_label}; teacher {signals_label(teacher)} {teacher.recipe_label}{several}"


def check_units(name: str, results: Iterable[Result]) -> None:
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


def _cohort(name: str, results: tuple[Result, ...], others: tuple[str, ...]) -> Cohort:
    check_units(name, results)
    run = results[0].run
    found: dict[Run, list[Result]] = defaultdict(list)
    for result in results:
        found[across_folds(result.run)].append(result)
    tested = sorted({subject for result in results for subject in result.scores})
    if run.split not in SOME_TESTED:
        tested = sorted(run.subjects)
    times = run.folds if run.split in WITHIN_SUBJECT else 1
    wanted = len({result.run.seed for result in results}) * len(tested) * times
    rows = [
        Row(row, tuple(own), _by_subject(own), wanted, wanted - sum(len(r.scores) for r in own))
        for row, own in found.items()
    ]
    rows.sort(key=lambda r: (not r.complete, -r.mean if r.scores else 0.0, r.label, r.run.id))
    return Cohort(name, run.board, results, tuple(rows), tuple(tested), others)


def _by_subject(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    collected: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r.run.seed, r.run.fold)):
        for subject, scores in result.scores.items():
            collected[subject].append(scores)
    return {
        subject: {name: float(np.mean([s[name] for s in found])) for name in SCORES}
        for subject, found in sorted(collected.items())
    }

"""Runs under protocol flags: scored over all folds together, shown apart, never ranked."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.boards.cohort import Row
from benchmark.boards.columns import Context, flawed_columns, table
from benchmark.boards.distillation import across_folds
from benchmark.boards.statistics import CONFIDENCE
from benchmark.run import Run
from benchmark.scored import Scored, together
from benchmark.store import PREDICTIONS, Store, parsed
from datamodules.flags import ABOUT, known_flags
from lightning_modules.metrics import SCORES
from lightning_modules.units import UNIT, Columns, score_units


@dataclass(frozen=True)
class Tested:
    """Test of a model on one subject, over all folds of a seed.

    Attributes:
        scores: Over the subject's score units.
        labels: Class index by session, trial and unit.
        windows: Session, trial, unit and start of every window.
    """

    scores: Mapping[str, float]
    labels: Mapping[tuple[object, ...], int]
    windows: frozenset[tuple[object, ...]]


def tested(results: Iterable[Scored], store: Store) -> dict[tuple[int, str], Tested]:
    """Return scores of one model by seed and subject, from the predictions of all folds together.

    Where windows or trials are dealt out at random, those of a subject are tested in many folds:
    scores of a few units at a time would not be scores of all of them. A unit's probabilities are
    the mean of its windows', whichever folds they were tested in. Where the mean over epochs is
    reported, every epoch is scored so, and one that a fold did not get to is its last.

    Args:
        results: Results of one model under one protocol; only those that are done count.
        store: Their store.
    """
    by_seed: dict[int, list[Columns]] = defaultdict(list)
    for result in results:
        if result.status == "done":
            content = store.read(result.folder, result, PREDICTIONS)
            by_seed[result.run.seed].append(parsed(content, result.folder))
    scored = {}
    for seed, folds in sorted(by_seed.items()):
        columns = together(folds)
        windows = list(
            zip(
                *(columns[name].tolist() for name in UNIT),
                np.round(columns["start"], 3).tolist(),
                strict=True,
            )
        )
        for subject, units in score_units(columns).items():
            scored[seed, subject] = Tested(
                {name: units.score(score) for name, score in SCORES.items()},
                dict(zip(units.keys, units.target.tolist(), strict=True)),
                frozenset(windows[row] for row in np.flatnonzero(columns["subject"] == subject)),
            )
    return scored


def averaged(of_seeds: Mapping[tuple[int, str], Tested], name: str) -> dict[str, float]:
    """Return one score by subject, averaged over seeds."""
    values: dict[str, list[float]] = defaultdict(list)
    for (_, subject), test in sorted(of_seeds.items()):
        values[subject].append(test.scores[name])
    return {subject: float(np.mean(scores)) for subject, scores in values.items()}


def by_row(results: Iterable[Scored]) -> dict[Run, list[Scored]]:
    """Return the results of each row, by the run that stands for it."""
    rows: dict[Run, list[Scored]] = defaultdict(list)
    for result in results:
        if not result.run.without:
            rows[across_folds(result.run)].append(result)
    return rows


def flawed_board(
    name: str, results: Sequence[Scored], store: Store
) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return head and table of the runs under one set of flags, in alphabetical order.

    Args:
        name: Name of the board.
        results: Its results.
        store: Their store.
    """
    rows = [_row(run, of_row, store) for run, of_row in by_row(results).items()]
    lines = table(rows, flawed_columns(), Context(), store.not_applicable(results[0].run.board))
    order = lines.sort_values(["model", "signals", "recipe", "flags"], ignore_index=True)
    return _head(name, results), order


def _row(run: Run, results: Sequence[Scored], store: Store) -> Row:
    """Return a row whose scores are those of all folds together."""
    tests = tested(results, store)
    by_name = {name: averaged(tests, name) for name in SCORES}
    subjects = sorted({subject for _, subject in tests})
    scores = {subject: {name: by_name[name][subject] for name in SCORES} for subject in subjects}
    expected = len({result.run.seed for result in results}) * run.n_folds
    missing = expected - sum(result.status == "done" for result in results)
    return Row(run, tuple(results), scores, expected, missing)


def _head(name: str, results: Sequence[Scored]) -> tuple[str, ...]:
    run = results[0].run
    versions = sorted({f"{k} {v}" for r in results for k, v in r.versions.items()})
    devices = sorted({result.device for result in results if result.device})
    done = next((result for result in results if result.confusion), None)
    chance = 1 / len(next(iter(done.confusion.values()))) if done else np.nan
    return (
        f"{name}: NOT RANKED, as the protocol is flawed on purpose; what each flaw adds beside an "
        "honest run is in leak_audit.csv",
        *(f"{flag}: {ABOUT[flag]}" for flag in known_flags(run.protocol.flags)),
        "scores over score units, all folds of a seed together, mean over subjects, seeds averaged "
        f"within a subject; intervals: Student t over subjects, {CONFIDENCE:.0%}",
        f"chance: balanced accuracy {chance:.4f} where a subject has units of every class",
        f"protocol {run.protocol.version}; data {run.data}, "
        f"raw files {' '.join(sorted({r.raw for r in results if r.raw}))}",
        f"{', '.join(versions)}; {'; '.join(devices)}",
    )

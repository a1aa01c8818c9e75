"""Transfer matrix: the score of a model that was trained in one domain on the people of another.

Each person is scored once by the model of each fold and seed, and these scores are averaged within
the person first. The diagonal has the scores within a domain, from its own board.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import by_subject, recipe_label, signals_label
from benchmark.boards.distillation import across_folds
from benchmark.boards.statistics import CONFIDENCE, compare, holm, interval
from benchmark.run import Run
from benchmark.scored import Scored

SCORES = ("macro_f1", "balanced_accuracy")
COLUMNS = (
    "task",
    "model",
    "signals",
    "recipe",
    "trained_on",
    "tested_on",
    "n_people",
    "n_models",
    "macro_f1",
    "macro_f1_low",
    "macro_f1_high",
    "balanced_accuracy",
    "balanced_low",
    "balanced_high",
    "false_alarms",
    "false_alarms_low",
    "false_alarms_high",
    "within",
    "n_paired",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "p_corrected",
    "won",
    "lost",
    "n_missing",
)
HEAD = (
    "transfer: models trained in one domain and tested, as they are, on everybody of another; "
    "where both are one domain, its own board",
    f"intervals: Student t over the people who are tested, {CONFIDENCE:.0%}, given these models",
    "false_alarms: share of the units of the first class that are called another, mean over "
    "people; where a domain has that class alone there are no other scores",
    "within: macro F1 of the same model trained within the domain that is tested, on the people "
    "and units of both; difference: transferred less within, paired over people; p_corrected: "
    "Holm over all lines of a task",
)
COUNTS = ("n_people", "n_models", "n_paired", "won", "lost", "n_missing")
KEYS = ["task", "model", "signals", "recipe", "trained_on", "tested_on"]


@dataclass(frozen=True, eq=False)
class Entry:
    """Results of one model in one domain.

    Attributes:
        results: Results of its folds and seeds.
        trained: Run of a fold whose model is tested; on the diagonal one of the results'.
    """

    results: tuple[Scored, ...]
    trained: Run

    @property
    def run(self) -> Run:
        """Run of one of the folds."""
        return self.results[0].run

    @property
    def label(self) -> tuple[str, ...]:
        """Task, model, signals, recipe and split that the model is of."""
        trained = self.trained
        row = (trained.name, signals_label(trained), recipe_label(trained))
        return (trained.task, *row, trained.protocol.slug)

    @property
    def tested_on(self) -> str:
        """Domain that is tested, with its task where that is another."""
        other = [] if self.run.task == self.trained.task else [self.run.task]
        return " ".join([self.run.domain, *other])

    @cached_property
    def done(self) -> list[Scored]:
        """Results that have scores."""
        return [result for result in self.results if result.status == "done"]

    @property
    def missing(self) -> int:
        """Number of runs that it lacks: failed, or not done."""
        seeds = {result.run.seed for result in self.results}
        return len(seeds) * self.run.n_folds - len(self.done)

    @cached_property
    def scores(self) -> Mapping[str, Mapping[str, float]]:
        """Scores by subject, averaged over folds and seeds."""
        return by_subject(self.done)

    @cached_property
    def units(self) -> Mapping[str, str]:
        """Digest of the units of each subject."""
        return {s: digest for result in self.done for s, digest in result.units.items()}

    @cached_property
    def one_class(self) -> bool:
        """Whether all units are of one class."""
        counts = [np.asarray(c).sum(axis=1) for r in self.done for c in r.confusion.values()]
        return bool(counts) and int((np.sum(counts, axis=0) > 0).sum()) == 1

    @cached_property
    def false_alarms(self) -> list[float]:
        """Share of the units of the first class that are called another, of each subject."""
        shares: dict[str, list[float]] = defaultdict(list)
        for result in self.done:
            for subject, confusion in result.confusion.items():
                if n_units := sum(confusion[0]):
                    shares[subject].append(1 - confusion[0][0] / n_units)
        return [float(np.mean(values)) for values in shares.values()]


def transfer_table(named: Mapping[str, Sequence[Scored]]) -> pd.DataFrame:
    """Return one line a model, domain that it was trained in and domain that it is tested in.

    Args:
        named: Results of today by name of their board, as from benchmark.boards.versions.
    """
    within: dict[tuple[str, ...], Entry] = {}
    across: list[Entry] = []
    for results in named.values():
        rows: dict[Run, list[Scored]] = defaultdict(list)
        for result in results:
            if result.run.protocol.honest and not result.run.without:
                rows[across_folds(result.run)].append(result)
        for of_row in rows.values():
            run = of_row[0].run
            if not run.protocol.splitting.trains:
                across.append(Entry(tuple(of_row), run.trained[0]))
            elif not run.trained:
                entry = Entry(tuple(of_row), run)
                within[(*entry.label, run.domain)] = entry
    lines = [_line(entry, within.get((*entry.label, entry.run.domain))) for entry in across]
    used = {
        key: within[key]
        for entry in across
        for key in ((*entry.label, entry.trained.domain), (*entry.label, entry.run.domain))
        if key in within
    }
    lines += [_line(entry, None) for entry in used.values()]
    for task in {line["task"] for line in lines}:
        claims = [
            line
            for line in lines
            if line["task"] == task and not line["n_missing"] and not np.isnan(line["p"])
        ]
        corrected = holm([line["p"] for line in claims])
        for line, p in zip(claims, corrected, strict=True):
            line["p_corrected"] = p
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    table[list(COUNTS)] = table[list(COUNTS)].astype("Int64")
    return table.sort_values(KEYS, ignore_index=True)


def _line(entry: Entry, home: Entry | None) -> dict[str, Any]:
    """Return the line of a model in a domain, beside the same model trained there, if there is."""
    task, *row, _ = entry.label
    line: dict[str, Any] = {
        **dict(zip(KEYS[:4], (task, *row), strict=True)),
        "trained_on": entry.trained.domain,
        "tested_on": entry.tested_on,
        "n_people": len(entry.scores),
        "n_models": len(entry.done),
        "n_missing": entry.missing,
        "p": np.nan,
    }
    if not entry.done:
        return line
    names = ("false_alarms", "false_alarms_low", "false_alarms_high")
    if entry.false_alarms:
        line |= dict(zip(names, interval(entry.false_alarms), strict=True))
    if entry.one_class:
        return line
    for name, short in zip(SCORES, ("macro_f1", "balanced"), strict=True):
        ends = (name, f"{short}_low", f"{short}_high")
        line |= dict(zip(ends, interval([s[name] for s in entry.scores.values()]), strict=True))
    if home and entry.run.task == home.run.task:
        line |= _against(entry, home)
    return line


def _against(entry: Entry, home: Entry) -> dict[str, Any]:
    """Return the comparison with the same model trained in the domain that is tested."""
    both = [
        name
        for name in entry.scores
        if name in home.scores and entry.units[name] == home.units[name]
    ]
    if not both:
        return {"n_paired": 0}
    ours, theirs = ([one.scores[name]["macro_f1"] for name in both] for one in (entry, home))
    comparison = compare(ours, theirs)
    claimed = not (entry.missing or home.missing)
    return {
        "within": float(np.mean(theirs)),
        "n_paired": len(both),
        "difference": comparison.difference,
        "difference_low": comparison.low,
        "difference_high": comparison.high,
        "p": comparison.p if claimed else np.nan,
        "won": comparison.won,
        "lost": comparison.lost,
    }

"""Runs under protocol flags: scored over all folds together, shown apart, never ranked."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from benchmark.boards.cohort import SCORES, recipe_label, signals_label
from benchmark.boards.distillation import across_folds
from benchmark.boards.statistics import CONFIDENCE, interval
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store
from datamodules.protocol import ABOUT, known_flags
from lightning_modules.metrics import scores

UNIT = ["session", "trial", "unit"]
COLUMNS = (
    "model",
    "signals",
    "recipe",
    "flags",
    "n_subjects",
    "n_seeds",
    "macro_f1",
    "ci_low",
    "ci_high",
    "balanced_accuracy",
    "balanced_low",
    "balanced_high",
    "mcc",
    "accuracy",
    "brier",
    "ece",
    "n_runs",
    "n_failed",
    "complete",
    "commit",
    "note",
)


@dataclass(frozen=True)
class Tested:
    """What a model made of a subject, over all folds of a seed.

    Attributes:
        scores: Over the subject's score units.
        labels: Class index by session, trial and unit.
        windows: Session, trial, unit and start of every window.
    """

    scores: Mapping[str, float]
    labels: Mapping[tuple[object, ...], int]
    windows: frozenset[tuple[object, ...]]


def tested(results: Iterable[Result], store: Store) -> dict[tuple[int, str], Tested]:
    """Scores of one model by seed and subject, from the predictions of all folds together.

    Where windows or trials are dealt out at random, those of a subject are tested in many folds:
    scores of a few units at a time would not be scores of all of them. A unit's probabilities are
    the mean of its windows', whichever folds they were tested in. Where the mean over epochs is
    reported, every epoch is scored so, and one that a fold did not get to is its last.

    Args:
        results: Of one model under one protocol; failed ones do not count.
        store: Has their predictions.
    """
    by_seed: dict[int, list[Result]] = defaultdict(list)
    for result in results:
        if result.status == "done":
            by_seed[result.run.seed].append(result)
    found = {}
    for seed, own in sorted(by_seed.items()):
        kept = [store.predictions(result.run) for result in own]
        columns = pd.concat(
            [pd.DataFrame({n: k[n] for n in ("subject", *UNIT, "start", "label")}) for k in kept],
            ignore_index=True,
        )
        of_epochs = [k.get("of_epochs", k["probabilities"][None]) for k in kept]
        longest = max(len(epochs) for epochs in of_epochs)
        last = [np.minimum(np.arange(longest), len(epochs) - 1) for epochs in of_epochs]
        whole = np.concatenate([e[i] for e, i in zip(of_epochs, last, strict=True)], axis=1)
        for subject, rows in columns.groupby("subject").indices.items():
            found[seed, str(subject)] = _tested(columns.iloc[rows], whole[:, rows])
    return found


def _tested(columns: pd.DataFrame, probabilities: npt.NDArray[np.float64]) -> Tested:
    """Of one subject; probabilities (E, N, K)."""
    units = columns.groupby(UNIT)
    number = units.ngroup().to_numpy()
    labels = units["label"].first()
    means = np.zeros((len(probabilities), len(labels), probabilities.shape[2]))
    for epoch, own in zip(means, probabilities, strict=True):
        np.add.at(epoch, number, own)
    means /= np.bincount(number)[:, None]
    target = torch.from_numpy(labels.to_numpy().astype(np.int64))
    scored = [scores(torch.from_numpy(epoch), target) for epoch in means]
    starts = columns[[*UNIT, "start"]].round({"start": 3})
    return Tested(
        {name: float(np.mean([one[name] for one in scored])) for name in SCORES},
        {tuple(unit): int(label) for unit, label in labels.items()},  # type: ignore[arg-type]
        frozenset(starts.itertuples(index=False, name=None)),
    )


def averaged(found: Mapping[tuple[int, str], Tested], name: str) -> dict[str, float]:
    """One score by subject, averaged over seeds."""
    values: dict[str, list[float]] = defaultdict(list)
    for (_, subject), one in sorted(found.items()):
        values[subject].append(one.scores[name])
    return {subject: float(np.mean(own)) for subject, own in values.items()}


def by_row(results: Iterable[Result]) -> dict[Run, list[Result]]:
    """Results of all folds and seeds of one model under one protocol, by what they share."""
    rows: dict[Run, list[Result]] = defaultdict(list)
    for result in results:
        if not result.run.without:
            rows[across_folds(result.run)].append(result)
    return rows


def flawed_boards(
    results: Sequence[Result], store: Store
) -> Iterator[tuple[str, tuple[str, ...], pd.DataFrame]]:
    """Name, head and table of the runs under each set of flags, models in alphabetical order.

    Args:
        results: Of a store; honest ones are on the boards of benchmark.boards.board.
        store: Has their predictions.
    """
    boards: dict[str, dict[Run, list[Result]]] = defaultdict(dict)
    for run, own in by_row(result for result in results if result.run.flags).items():
        boards[run.board][run] = own
    for name, rows in sorted(boards.items()):
        table = pd.DataFrame([_line(run, own, store) for run, own in rows.items()])
        present = set(table["model"])
        reasons = [
            {"model": model, "complete": False, "note": f"not applicable: {reason}"}
            for model, reason in store.not_applicable(name).items()
            if model not in present
        ]
        table = pd.concat([table, pd.DataFrame(reasons)]).reindex(columns=list(COLUMNS))
        order = table.sort_values(["model", "signals", "recipe", "flags"], ignore_index=True)
        whole = ["n_subjects", "n_seeds", "n_runs", "n_failed"]
        order[whole] = order[whole].astype("Int64")
        yield name, _head(name, rows), order


def _line(run: Run, own: Sequence[Result], store: Store) -> dict[str, object]:
    found = tested(own, store)
    means = {name: list(averaged(found, name).values()) for name in SCORES}
    seeds = {result.run.seed for result in own}
    failed = sum(result.status == "failed" for result in own)
    line: dict[str, object] = {
        "model": run.name,
        "signals": signals_label(run),
        "recipe": recipe_label(run),
        "flags": " ".join(run.flags),
        "n_subjects": len(means["macro_f1"]),
        "n_seeds": len(seeds),
        "n_runs": len(own),
        "n_failed": failed,
        "complete": len(own) - failed == len(seeds) * run.n_folds,
        "commit": " ".join(sorted({result.commit for result in own if result.commit})),
        "note": next((result.error for result in own if result.error), ""),
    }
    if found:
        line |= {name: float(np.mean(values)) for name, values in means.items()}
        ends = {"ci": "macro_f1", "balanced": "balanced_accuracy"}
        for prefix, name in ends.items():
            _, line[f"{prefix}_low"], line[f"{prefix}_high"] = interval(means[name])
    return line


def _head(name: str, rows: Mapping[Run, Sequence[Result]]) -> tuple[str, ...]:
    run = next(iter(rows))
    results = [result for own in rows.values() for result in own]
    versions = sorted({f"{k} {v}" for r in results for k, v in r.versions.items()})
    devices = sorted({result.device for result in results if result.device})
    done = next((result for result in results if result.confusion), None)
    chance = 1 / len(next(iter(done.confusion.values()))) if done else np.nan
    return (
        f"{name}: NOT RANKED, as the protocol is flawed on purpose; what each flaw adds beside an "
        "honest run is in leak_audit.csv",
        *(f"{flag}: {ABOUT[flag]}" for flag in known_flags(run.flags)),
        "scores over score units, all folds of a seed together, mean over subjects, seeds averaged "
        f"within a subject; intervals: Student t over subjects, {CONFIDENCE:.0%}",
        f"chance: balanced accuracy {chance:.4f} whatever the class mix",
        f"protocol {run.protocol}; data {run.data}, "
        f"raw files {' '.join(sorted({r.raw for r in results if r.raw}))}",
        f"{', '.join(versions)}; {'; '.join(devices)}",
    )

"""An ensemble: the mean of the probabilities of its members, each tested by a run of its own.

Nothing is trained and no recording is read. Its cost is that of its members: parameters, and what a
window of each takes, are sums over them.
"""

import time
from collections.abc import Collection
from typing import Any

from benchmark.ensembles.answers import Answers, answers_of
from benchmark.execution.chosen import check_members
from benchmark.execution.needed import finished
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import PREDICTIONS, VALIDATION, Store, parsed
from datamodules.errors import LeakError
from lightning_modules.units import Columns

EFFICIENCY = ("macs", "latency_ms", "cpu_latency_ms")
"""Values of a member's ``efficiency`` that add up."""


def ensemble(run: Run, store: Store) -> tuple[dict[str, Any], Columns, Columns | None]:
    """Return what is known of an ensemble, as the fields of its result, and its predictions.

    The predictions have a row a score unit. The last are those of the validation people; None where
    a member has kept none.

    Args:
        run: Ensemble.
        store: Store of its members and of the inner runs that chose them.

    Raises:
        BenchmarkError: A member that is not finished, whose predictions are not those that were
            committed, or that the inner runs did not choose.
        LeakError: A tested person took part in the choice, or a member is of another fold.
    """
    started = time.perf_counter()
    protocol = run.protocol
    tested = protocol.splitting.people(run.subjects, protocol.dealing(run.fold, run.seed))
    check_members(run, store, tested)
    prepared = time.perf_counter()
    results = [finished(member, store, "member") for member in run.taken]
    predictions = [
        parsed(store.read(folder, result, PREDICTIONS), folder)
        for result in results
        for folder in [store.folder(result.run)]
    ]
    answers = answers_of(predictions)
    weights = tuple(run.taken.values())
    if strangers := sorted(set(answers.units["subject"].tolist()) - set(tested)):
        raise LeakError(
            f"leak: a member answers for {strangers}, whom this run does not test: expected "
            f"{sorted(tested)}."
        )
    first = results[0]
    return (
        {
            "parameters": sum(result.parameters for result in results),
            "efficiency": _efficiency(results),
            "classes": first.classes,
            "labels": first.labels,
            "raw": first.raw,
            "averaged": {result.run.id: result.files[PREDICTIONS] for result in results},
            "seconds": {
                "prepare": round(prepared - started, 3),
                "train": 0.0,
                "predict": round(time.perf_counter() - prepared, 3),
            },
        },
        _mean(answers, weights),
        _validation(results, weights, store, tested),
    )


def _validation(
    results: list[Result], weights: tuple[int, ...], store: Store, tested: Collection[str]
) -> Columns | None:
    """Return the mean of what members predicted of the validation people."""
    if any(VALIDATION not in result.files for result in results):
        return None
    answers = answers_of(
        [
            parsed(store.read(folder, result, VALIDATION), folder, VALIDATION)
            for result in results
            for folder in [store.folder(result.run)]
        ]
    )
    if both := sorted(set(answers.units["subject"].tolist()) & set(tested)):
        raise LeakError(f"leak: a member was calibrated on {both}, whom this run tests.")
    return _mean(answers, weights)


def _mean(answers: Answers, weights: tuple[int, ...]) -> Columns:
    """Return the predictions of an ensemble, a row a score unit."""
    return {**answers.units, "probabilities": answers.mean(weights)}


def _efficiency(results: list[Result]) -> dict[str, float]:
    """Return sums over members; of what one of them lacks, as probes lack all, there is none."""
    sums = {
        name: sum(result.efficiency[name] for result in results)
        for name in EFFICIENCY
        if all(name in result.efficiency for result in results)
    }
    return {**sums, "train_seconds": sum(result.train_seconds for result in results)}

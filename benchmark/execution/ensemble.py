"""An ensemble: the mean of the probabilities of its members, each tested by a run of its own.

Nothing is trained and no recording is read. Its cost is that of its members: parameters, and what a
window of each takes, are sums over them.
"""

import time
from typing import Any

from benchmark.ensembles.answers import answers_of
from benchmark.errors import BenchmarkError
from benchmark.execution.chosen import check_members
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import PREDICTIONS, Store, parsed
from datamodules.errors import LeakError
from lightning_modules.units import Columns

EFFICIENCY = ("macs", "latency_ms", "cpu_latency_ms")
"""Values of a member's ``efficiency`` that add up."""


def ensemble(run: Run, store: Store) -> tuple[dict[str, Any], Columns]:
    """Return what is known of an ensemble, as the fields of its result, and its predictions.

    The predictions have a row a score unit.

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
    results = [_finished(member, store) for member in run.taken]
    predictions = [
        parsed(store.read(folder, result, PREDICTIONS), folder)
        for result in results
        for folder in [store.folder(result.run)]
    ]
    answers = answers_of(predictions)
    if strangers := sorted(set(answers.units["subject"].tolist()) - set(tested)):
        raise LeakError(
            f"leak: a member answers for {strangers}, whom this run does not test: expected "
            f"{sorted(tested)}."
        )
    probabilities = answers.mean(tuple(run.taken.values()))
    first = results[0]
    return {
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
    }, {**answers.units, "probabilities": probabilities}


def _finished(member: Run, store: Store) -> Result:
    """Return the result of a member."""
    result = store.result(member) if store.status(member) == "done" else None
    if result is None:
        raise BenchmarkError(
            f"expected a finished member, found none: {member.label} "
            f"({store.status(member) or 'not run'}). affectbench run --retry-failed does both again"
        )
    return result


def _efficiency(results: list[Result]) -> dict[str, float]:
    """Return sums over members; of what one of them lacks, as probes lack all, there is none."""
    sums = {
        name: sum(result.efficiency[name] for result in results)
        for name in EFFICIENCY
        if all(name in result.efficiency for result in results)
    }
    return {**sums, "train_seconds": sum(result.train_seconds for result in results)}

"""Values that a study chose: before they are used, what chose them is looked at again."""

from collections.abc import Collection

import numpy as np

from benchmark.boards.tuned import evidence_of
from benchmark.errors import BenchmarkError
from benchmark.run import Run
from benchmark.store import Store
from datamodules.errors import LeakError

SHARED = ("dataset", "options", "task", "model", "signals", "code", "seed")
"""Fields of a tuned run that are equal in its inner runs."""


def check_chosen(run: Run, store: Store, tested: Collection[str]) -> None:
    """Refuse values that were chosen with a person whom the run tests, or by nothing on record.

    Args:
        run: Tuned run.
        store: Store of its inner runs.
        tested: Subjects of its test part.

    Raises:
        LeakError: An inner run in which a tested person takes part, or one of another training.
        BenchmarkError: Inner runs that are not in the store, or that chose other values.
    """
    evidence = evidence_of(run, store, store.inner_folders())
    if evidence.missing or not evidence.candidates:
        raise BenchmarkError(
            f"{run.label}: expected the inner runs that chose its values, found "
            f"{len(evidence.missing)} of {len(run.chosen_by)} missing in {store.root}. affectbench "
            "run does them again"
        )
    for result in evidence.results:
        inner = result.run
        if leaked := sorted(set(inner.subjects) & set(tested)):
            raise LeakError(
                f"leak: values were chosen by the inner run {inner.id}, in which {leaked} takes "
                "part, whom this run tests."
            )
        for name in SHARED:
            if getattr(inner, name) != getattr(run, name):
                raise LeakError(
                    f"leak: values were chosen by an inner run of another {name}: expected "
                    f"{getattr(run, name)!r}, found {getattr(inner, name)!r}."
                )
    scores = [one.score(store) for one in evidence.candidates]
    best = evidence.candidates[int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0]
    if best is not evidence.chosen:
        raise BenchmarkError(
            f"{run.label}: expected the values that its inner runs chose, found others. Results "
            "of inner runs have changed since it was planned; run again"
        )

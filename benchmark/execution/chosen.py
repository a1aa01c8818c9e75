"""What a study chose: before it is used, what chose it is looked at again."""

from collections.abc import Collection, Sequence

import numpy as np

from benchmark.boards.ensembles import choice_of
from benchmark.boards.evidence import Evidence, evidence_of
from benchmark.errors import BenchmarkError
from benchmark.run import Run
from benchmark.store import Store
from datamodules.errors import LeakError

SHARED = ("dataset", "options", "task", "seed")
"""Fields of a run that are equal in the inner runs of its study."""
OF_MODEL = ("model", "signals", "code")
"""Fields of a model's run that are equal in its inner runs."""
OF_MEMBERS = ("dataset", "options", "task", "protocol", "fold", "seed", "subjects", "data")
"""Fields of an ensemble that are equal in its members."""


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
    evidence = _evidence(run, store, tested, "values")
    for result in evidence.results:
        _check_equal(result.run, run, OF_MODEL, "values were chosen by an inner run")
    scores = [one.score(store) for one in evidence.candidates]
    best = evidence.candidates[int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0]
    if best is not evidence.candidate(run):
        raise _otherwise(run, "values")


def check_members(run: Run, store: Store, tested: Collection[str]) -> None:
    """Refuse members that were chosen with a person whom the ensemble tests, or by no inner run.

    Args:
        run: Ensemble.
        store: Store of the inner runs that chose its members.
        tested: Subjects of its test part.

    Raises:
        LeakError: A member of another fold, an inner run in which a tested person takes part, or
            one of no member.
        BenchmarkError: Inner runs that are not in the store, or that chose other members.
    """
    for member in run.members:
        _check_equal(member, run, OF_MEMBERS, "an ensemble has a member")
    evidence = _evidence(run, store, tested, "members")
    of_members = {id(evidence.candidate(member)): member for member in run.members}
    for candidate in evidence.candidates:
        for result in candidate.results:
            if id(candidate) not in of_members:
                raise LeakError(
                    f"leak: members were chosen by the inner run {result.run.id} of "
                    f"{result.run.model}, with values that no member has."
                )
            member = of_members[id(candidate)]
            _check_equal(result.run, member, OF_MODEL, "members were chosen by an inner run")
    choice = choice_of(evidence, store)
    if choice is None:
        raise BenchmarkError(
            f"{run.label}: expected a member with all of its inner runs, found that of each one "
            "failed. affectbench run --retry-failed does them again"
        )
    if choice.weights != run.weights:
        raise _otherwise(run, "members")


def _evidence(run: Run, store: Store, tested: Collection[str], chosen: str) -> Evidence:
    """Return the inner runs that chose something, in none of which a tested person takes part."""
    evidence = evidence_of(run, store, store.inner_folders())
    if evidence.missing or not evidence.candidates:
        raise BenchmarkError(
            f"{run.label}: expected the inner runs that chose its {chosen}, found "
            f"{len(evidence.missing)} of {len(run.chosen_by)} missing in {store.root}. affectbench "
            "run does them again"
        )
    for result in evidence.results:
        if leaked := sorted(set(result.run.subjects) & set(tested)):
            raise LeakError(
                f"leak: {chosen} were chosen by the inner run {result.run.id}, in which {leaked} "
                "takes part, whom this run tests."
            )
        _check_equal(result.run, run, SHARED, f"{chosen} were chosen by an inner run")
    return evidence


def _check_equal(one: Run, other: Run, names: Sequence[str], what: str) -> None:
    for name in names:
        if getattr(one, name) != getattr(other, name):
            raise LeakError(
                f"leak: {what} of another {name}: expected {getattr(other, name)!r}, found "
                f"{getattr(one, name)!r}."
            )


def _otherwise(run: Run, chosen: str) -> BenchmarkError:
    return BenchmarkError(
        f"{run.label}: expected the {chosen} that its inner runs chose, found others. Results of "
        "inner runs have changed since it was planned; run again"
    )

"""Members of an ensemble: chosen like the values of a study, by one round of inner runs."""

from collections.abc import Generator, Mapping
from dataclasses import replace

from benchmark.boards.ensembles import choice_of
from benchmark.boards.evidence import evidence_of
from benchmark.plan.ensembles import Ensemble
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from benchmark.tuning.search import Needs


def chosen_members(ensemble: Ensemble, store: Store) -> Generator[Needs, Mapping[str, Scored], Run]:
    """Yield the inner runs of all models that may be members, and choose among these.

    Args:
        ensemble: The ensemble.
        store: Store of the inner runs.

    Yields:
        The inner runs, which are to be done side by side.

    Returns:
        The ensemble with the weights of its members; all of them are 0 if no model has all of its
        inner runs.
    """
    inner = ensemble.inner_runs
    yield inner
    run = replace(ensemble.run, chosen_by=tuple(one.id for one in inner))
    evidence = evidence_of(run, store, {one.id: store.folder(one) for one in inner})
    choice = choice_of(evidence, store)
    return replace(run, weights=choice.weights if choice else (0,) * len(run.members))

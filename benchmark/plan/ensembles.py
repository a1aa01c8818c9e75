"""Ensembles: means of the models of a board, whose members inner runs choose in each fold and seed.

These are the inner runs with which studies of the same models begin, see benchmark.plan.studies, so
that a board that is tuned as well does them once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.code import code_of_run
from benchmark.plan.prepared import Prepared
from benchmark.plan.studies import FOLDS, Study, check_inner, space_around, study_of
from benchmark.plugins import ENSEMBLE
from benchmark.run import Run
from datamodules.errors import IncompatibleRunError

GREEDY = "greedy"
"""Kind of an ensemble's run: its members are chosen by benchmark.ensembles.greedy."""
OF_BOARD = ("dataset", "task", "protocol", "fold", "seed", "subjects", "data", "options")
"""Fields of an ensemble that are those of its members."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A choice among the models of one fold and seed.

    Attributes:
        run: The ensemble with all models that may be its members, none of which is chosen yet.
        studies: A study of each of these, in their order, of which the first candidate counts.
    """

    run: Run
    studies: tuple[Study, ...]

    @property
    def trainings(self) -> tuple[Run, ...]:
        """Runs without which what it chooses is not done."""
        return self.run.members

    @property
    def at_most(self) -> int:
        """Number of inner runs."""
        return len(self.studies) * FOLDS

    @property
    def inner_runs(self) -> tuple[Run, ...]:
        """Inner runs of the members, one after another."""
        return tuple(run for study in self.studies for run in study.inner_runs(study.first))


def ensembles_of(models: Sequence[Sequence[Run]], recordings: Prepared) -> list[Ensemble]:
    """Return an ensemble for each fold and seed.

    Args:
        models: Trainings of each model that may be a member, one a fold and seed, equally ordered.
        recordings: Recordings of all subjects.

    Raises:
        IncompatibleRunError: Nothing can be chosen under this protocol, among so few models or with
            so few people; with the reason.
    """
    if models:
        check_inner(models[0][0].protocol)
    if len(models) < 2:
        names = ", ".join(runs[0].model for runs in models) or "none"
        raise IncompatibleRunError(f"expected two models or more to choose among, found {names}")
    ensembles = []
    for members in zip(*models, strict=True):
        first = members[0]
        signals = tuple(dict.fromkeys(name for one in members for name in one.signals))
        run = Run(
            **{name: getattr(first, name) for name in OF_BOARD},
            model=ENSEMBLE,
            signals=signals,
            samples=recordings.samples_of(first.subjects, signals),
            kind=GREEDY,
            members=members,
        )
        studies = tuple(study_of(one, 0, space_around(one), recordings) for one in members)
        ensembles.append(Ensemble(replace(run, code=code_of_run(run)), studies))
        _ = ensembles[-1].inner_runs[0].n_folds  # too few people raise
    return ensembles

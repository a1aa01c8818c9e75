"""Studies: searches for the values of a training, on the people whom it does not test.

A study belongs to one training of a model: dataset, protocol, fold, seed and signals. Its inner
runs are runs like any other, of a dataset of which nobody but the training's training and
validation people takes part: what they do not hold, they cannot read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from benchmark.plan.alone import arguments_of, defaults_of, differing, own_recipe, recipe_with
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import SuiteError, known_names
from benchmark.probes.catalogue import PROBES
from benchmark.probes.spaces import SPACES as OF_PROBES
from benchmark.run import Run, Value
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol
from datamodules.splits import HOLD_OUT_SHARE
from lightning_modules.spaces import NETWORK, SPACES, Space

FOLDS = 3
"""Number of inner folds, each of which tests a part of the people."""
Values = Mapping[str, Value]
"""Values of a recipe and arguments, by name."""


@dataclass(frozen=True, eq=False)
class Study:
    """A search for the values of one training.

    Attributes:
        run: The training with the values that it has without a study.
        budget: Number of candidates; the first has the values of ``run``.
        space: Values among which candidates are found, those of ``run`` among them.
        people: Subjects whom ``run`` does not test, in the dataset's order.
        data: Digest of their recordings, without samples.
        samples: Digest of the samples of the signals that ``run`` sees, of theirs.
    """

    run: Run
    budget: int
    space: Space
    people: tuple[str, ...]
    data: str
    samples: str

    @property
    def trainings(self) -> tuple[Run, ...]:
        """Runs without which what it chooses is not done."""
        return (self.run,)

    @property
    def at_most(self) -> int:
        """Number of inner runs if no candidate is given up."""
        return self.budget * FOLDS

    @property
    def first(self) -> dict[str, Value]:
        """Values of the first candidate: those that the training has without a study."""
        return values_of(self.run, self.space)

    def inner_runs(self, values: Values) -> tuple[Run, ...]:
        """Return the runs of a candidate, one an inner fold."""
        run = replace(
            with_values(self.run, values),
            protocol=replace(
                self.run.protocol,
                split="subject_k_fold",
                folds=FOLDS,
                partitions=1,
                test_share=HOLD_OUT_SHARE,
            ),
            subjects=self.people,
            data=self.data,
            samples=self.samples,
            tuned=tuple(sorted(self.space)),
            inner=True,
        )
        return tuple(replace(run, fold=fold) for fold in range(FOLDS))

    def tuned_run(self, values: Values, chosen_by: Sequence[str]) -> Run:
        """Return the training with the values that were chosen.

        Args:
            values: Values of a candidate.
            chosen_by: Ids of the inner runs that chose them, candidate by candidate.
        """
        return replace(
            with_values(self.run, values),
            budget=self.budget,
            tuned=tuple(sorted(self.space)),
            chosen_by=tuple(chosen_by),
        )


def studies_of(runs: Sequence[Run], budget: int, recordings: Prepared) -> list[Study]:
    """Return a study for each training of a model.

    Args:
        runs: Trainings of a model, one a fold and seed.
        budget: Number of candidates.
        recordings: Recordings of all subjects.

    Raises:
        IncompatibleRunError: It cannot be tuned under this protocol, with so few people, or has
            nothing to tune; with the reason.
        SuiteError: A space with a name or a value that the model does not take.
    """
    space = space_around(runs[0])
    if not space:
        raise IncompatibleRunError("it has no space of values to choose from")
    check_inner(runs[0].protocol)
    studies = []
    for run in runs:
        study = study_of(run, budget, space, recordings)
        _ = study.inner_runs(study.first)[0].n_folds  # too few people raise
        studies.append(study)
    return studies


def study_of(run: Run, budget: int, space: Space, recordings: Prepared) -> Study:
    """Return the study of a training, on the recordings of those whom it does not test."""
    people = training_people(run)
    data, samples = recordings.data_of(people), recordings.samples_of(people, run.signals)
    return Study(run, budget, space, people, data, samples)


def check_inner(protocol: Protocol) -> None:
    """Refuse a protocol under which inner folds choose nothing; raises IncompatibleRunError."""
    if protocol.flags:
        raise IncompatibleRunError("inner folds choose under the honest protocol alone")
    if not protocol.splitting.over_subjects:
        raise IncompatibleRunError(
            f"inner folds are dealt by person: expected a split over subjects, found "
            f"{protocol.split}, under which training people are tested, or got the tested stimuli"
        )


def training_people(run: Run) -> tuple[str, ...]:
    """Return the subjects whom a run does not test, in the dataset's order."""
    tested = run.protocol.splitting.people(run.subjects, run.protocol.dealing(run.fold, run.seed))
    return tuple(subject for subject in run.subjects if subject not in tested)


def space_of(model: str) -> Space:
    """Return the space of a model or a probe; empty if there is nothing to choose."""
    if model in PROBES:
        return {} if PROBES[model].blind else OF_PROBES.get(model, {})
    return SPACES.get(model, NETWORK)


def space_around(run: Run) -> Space:
    """Return the space of a run's model, which holds the values of the run.

    Raises:
        SuiteError: A name that the model has not, or values of another kind.
    """
    space = space_of(run.model)
    in_recipe = [field.name for field in fields(run.recipe) if field.compare]
    known_names(space, (*in_recipe, *defaults_of(run.model)), f"space of {run.model}:")
    try:
        return {name: space[name].including(v) for name, v in values_of(run, space).items()}
    except ValueError as error:
        raise SuiteError(f"space of {run.model}: {error}") from error


def values_of(run: Run, names: Sequence[str] | Space) -> dict[str, Value]:
    """Return some values of a run's recipe and arguments, by name."""
    arguments = {**defaults_of(run.model), **dict(run.arguments)}
    in_recipe = {field.name for field in fields(run.recipe)}
    return {n: getattr(run.recipe, n) if n in in_recipe else arguments[n] for n in sorted(names)}


def with_values(run: Run, values: Values) -> Run:
    """Return a run with other values of its recipe and arguments."""
    in_recipe = {field.name for field in fields(run.recipe)}
    subject = f"space of {run.model}"
    of_recipe = {n: v for n, v in values.items() if n in in_recipe}
    recipe = recipe_with(run.recipe, of_recipe, subject)
    others = {n: v for n, v in values.items() if n not in in_recipe}
    arguments = run.arguments
    if others:
        arguments = arguments_of(run.model, {**dict(run.arguments), **others}, subject)
    base = own_recipe(run.model, run.kind, run.dataset)[1]
    return replace(run, recipe=recipe, arguments=arguments, changed=differing(base, recipe))

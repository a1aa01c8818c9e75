"""Runs of a transfer matrix: models are trained in one domain and tested in others, as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.plan.brought import lines_of_forms, usable
from benchmark.plan.domain import Domain
from benchmark.plan.expand import Plan, expand, left_out
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import FOUND, Suite, SuiteError, reader_options
from benchmark.plan.trained import test_of
from benchmark.run import Run
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol
from datamodules.signals.preprocessing import sources
from datamodules.tasks import Task
from datamodules.windows import EPSILON

SPLIT = "dataset_out"
NAMED = 5
"""Number of people that a reason names."""


def domains_of(suite: Suite, data: Path) -> tuple[Domain, ...]:
    """Return the domains of a suite whose datasets are there, with all options of their readers.

    Args:
        suite: Suite with ``transfer``.
        data: Folder of the datasets.

    Raises:
        SuiteError: Fewer than two domains, or an option that a reader does not take.
    """
    present = suite.dataset_names(data)
    named = {domain.dataset for domain in suite.transfer if not domain.options and not domain.task}
    others = [
        name
        for name in present
        if name not in named and {*suite.tasks} & {*DATASETS[name].every_task()}
    ]
    domains = []
    for entry in suite.transfer:
        for name in others if entry.dataset == FOUND else [entry.dataset]:
            if name in present:
                values = {**suite.options.get(name, {}), **dict(entry.options)}
                options = reader_options(DATASETS[name], values)
                domains.append(replace(entry, dataset=name, options=options))
    if len(set(domains)) < 2 or all(domain.test_only for domain in domains):
        raise SuiteError(
            f"suite {suite.name}: expected two domains to be there, one of them to train on, "
            f"found {', '.join(domain.name for domain in domains) or 'none'}"
        )
    return tuple(dict.fromkeys(domains))


def suite_of(suite: Suite, domain: Domain) -> Suite:
    """Return the suite that trains and tests within one domain."""
    options = {domain.dataset: dict(domain.options)}
    return replace(suite, transfer=(), datasets=(domain.dataset,), options=options)


def expand_transfer(suite: Suite, prepared: Mapping[Domain, Prepared]) -> Plan:
    """Return the runs within each domain, and those that test their models in the others.

    All models see signals that every domain has, in the same shape. What cannot be tested goes to
    the reasons of its board.

    Args:
        suite: Suite with ``transfer``.
        prepared: Recordings of each domain, in the form that ``forms_of`` says.

    Raises:
        SuiteError: No signal that all domains share.
    """
    signals = shared_signals(suite, prepared)
    note = f"models see signals that all domains of the matrix have: {', '.join(signals)}"
    runs: list[Run] = []
    reasons: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for domain, recordings in prepared.items():
        dataset = DATASETS[domain.dataset]
        if domain.test_only or not {*suite.tasks} & {*dataset.every_task()}:
            continue
        inside = expand(
            replace(suite_of(suite, domain), signals=signals), {domain.dataset: recordings}
        )
        runs += inside.runs
        reasons |= inside.not_applicable
        ours = [note, *lines_of_forms(domain, recordings)]
        notes |= {board: [*lines, *ours] for board, lines in inside.notes.items()}
        for other in (other for other in prepared if other != domain):
            theirs = lines_of_forms(other, prepared[other])
            both = [*dict.fromkeys([*ours, *theirs])]
            for run in inside.runs:
                tested = _in_domain(run, other, prepared[other])
                try:
                    tested = _checked(tested, recordings, prepared[other])
                except IncompatibleRunError as error:
                    reasons[f"{tested.board}/{run.name}"] = str(error)
                    continue
                runs.append(tested)
                notes.setdefault(tested.board, [*_lines(tested, prepared[other]), *both])
    if not runs:
        raise SuiteError(f"suite {suite.name}: none of its domains has a task of the suite")
    return Plan(tuple(dict.fromkeys(runs)), reasons, notes)


def shared_signals(suite: Suite, prepared: Mapping[Domain, Prepared]) -> tuple[str, ...]:
    """Return the signals of a suite that all domains have, with equal channels and rates.

    Args:
        suite: Suite with ``transfer``.
        prepared: Recordings of each domain, in the form that ``forms_of`` says.

    Raises:
        SuiteError: There is none.
    """
    shapes = {domain: _shapes(domain, recordings) for domain, recordings in prepared.items()}
    first = next(iter(shapes.values()))
    shared = tuple(
        name
        for name, shape in first.items()
        if (not suite.signals or name in suite.signals)
        and all(of_domain.get(name) == shape for of_domain in shapes.values())
    )
    if not shared:
        having = "; ".join(
            f"{domain.name}: "
            + ", ".join(f"{n} {channels} @ {rate:g} Hz" for n, (channels, rate) in shape.items())
            for domain, shape in shapes.items()
        )
        raise SuiteError(
            f"suite {suite.name}: expected a signal that all domains have with the same channels "
            f"and rate, found none ({having}). Name the datasets with --dataset, or other signals "
            "with --signals"
        )
    return shared


def _shapes(domain: Domain, recordings: Prepared) -> dict[str, tuple[int, float]]:
    """Return channels and rate of the signals that everybody of a domain has."""
    dataset = usable(domain, recordings)
    available = dataset.available(dict(domain.options))
    return {name: dataset.signals[name] for name in available}


def _in_domain(run: Run, domain: Domain, recordings: Prepared) -> Run:
    """Return the run that tests the model of a run in another domain, be it possible or not."""
    task = domain.task or run.task
    subjects, data = recordings.of_task(task)
    return replace(
        run,
        dataset=domain.dataset,
        options=domain.options,
        brought=recordings.brought,
        task=task,
        protocol=Protocol(SPLIT, folds=max(2, run.n_folds)),
        subjects=subjects,
        data=data,
        samples=_samples_of(recordings, subjects, run.signals),
        trained=(run,),
        alone="",
    )


def _samples_of(recordings: Prepared, subjects: Sequence[str], signals: Sequence[str]) -> str:
    """Return the digest of the samples that a model of another domain sees; empty if it cannot."""
    there = recordings.samples and all(
        name in recordings.samples[subject] for subject in subjects for name in signals
    )
    return recordings.samples_of(subjects, signals) if there else ""


def _checked(tested: Run, known: Prepared, recordings: Prepared) -> Run:
    """Return a run that tests the model of another domain, with its windows.

    Args:
        tested: The run.
        known: Recordings of the domain that the model is trained in.
        recordings: Recordings of the domain that is tested.

    Raises:
        IncompatibleRunError: With the reason why it cannot.
    """
    (trained,) = tested.trained
    home, away = DATASETS[trained.dataset], DATASETS[tested.dataset]
    test_of(trained, tested.protocol)  # whether the model is kept
    if not trained.protocol.splitting.over_subjects or trained.n_folds < 2:
        raise IncompatibleRunError(
            f"expected models of several folds over people, found {trained.protocol.split}"
        )
    _check_classes(trained, home.task(trained.task), away, tested.task)
    same_task = (tested.dataset, tested.task) == (trained.dataset, trained.task)
    if same_task and (both := [name for name in tested.subjects if name in trained.subjects]):
        named = ", ".join(both[:NAMED]) + (", ..." if len(both) > NAMED else "")
        raise IncompatibleRunError(f"expected other people, found {named} in both")
    _check_units(tested, known.units, recordings.units)
    length = home.window_length(trained.recipe.window, trained.protocol, trained.window)
    longest = away.window_length(length, tested.protocol, recordings.longest.get(tested.task, 0.0))
    if longest < length - EPSILON:
        raise IncompatibleRunError(
            f"its windows are of {length:g} s, and around some score units of {away.title} there "
            f"is room for {longest:g} s: take a recipe with a shorter window"
        )
    beyond = length if away.unit is not None and length > away.unit + EPSILON else 0.0
    return replace(tested, window=beyond, recipe=replace(trained.recipe, window=length))


def _check_units(
    tested: Run, known: Mapping[str, Sequence[str]], units: Mapping[str, Sequence[str]]
) -> None:
    """Refuse numbers that are in another unit than those that a model was trained on.

    Those that its signals are derived of count too: an amplitude of beats is in the wave's unit.

    Raises:
        IncompatibleRunError: With the first signal.
    """
    (trained,) = tested.trained
    for name in sorted(sources(tested.signals, DATASETS[tested.dataset].preprocessing)):
        ours, theirs = known.get(name), units.get(name)
        if ours and theirs and ours != theirs:
            raise IncompatibleRunError(
                f"expected {name} in {' and '.join(ours)}, as {trained.dataset} has it, found "
                f"{' and '.join(theirs)}, from which there is no conversion. Convert it where it "
                "is read, or leave it out (--signals)"
            )


def _check_classes(trained: Run, task: Task, away: Dataset, name: str) -> None:
    """Refuse a task that a dataset has not, or that has other classes.

    Raises:
        IncompatibleRunError: With the reason.
    """
    classes = away.task(name).classes
    if classes != task.classes:
        raise IncompatibleRunError(
            f"expected the classes {', '.join(task.classes)} of {trained.dataset}, found "
            f"{', '.join(classes)}"
        )
    if trained.protocol.rule != "midpoint":
        raise IncompatibleRunError(
            f"the label rule {trained.protocol.rule} is fitted on the ratings of one dataset: "
            "expected midpoint"
        )


def _lines(tested: Run, recordings: Prepared) -> list[str]:
    """Return lines on who is left out of a test, and on windows longer than a score unit."""
    strangers = [s for s in recordings.subjects if s not in tested.subjects]
    unlabelled = dict.fromkeys(strangers, f"no segment is part of {tested.task}")
    lines = left_out({**recordings.left_out, **unlabelled})
    if tested.window:
        lines.append(f"windows of {tested.window:g} s around score units, which are shorter")
    return lines

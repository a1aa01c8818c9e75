"""Plan: the runs that a suite comes to on the recordings that are there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from benchmark.plan.alone import check_flaws, each_fold, of_model, with_signals
from benchmark.plan.disturbed import disturbed_runs
from benchmark.plan.encoders import applies, check_encoder, with_weights
from benchmark.plan.ensembles import Ensemble, ensembles_of
from benchmark.plan.pairs import Fitted, check_pairs, fit_pair, name_of, runs_of_pair
from benchmark.plan.personal import personal_runs
from benchmark.plan.prepared import Prepared
from benchmark.plan.studies import Study, studies_of
from benchmark.plan.suite import (
    ALL,
    DEFAULT,
    FOUND,
    Distillation,
    Suite,
    SuiteError,
    every_model,
    known_names,
    reader_options,
)
from benchmark.plugins import ENSEMBLE
from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from datamodules.baseline import rest_of
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Padding, Protocol
from datamodules.splits import HOLD_OUT_SHARE, SPLITS
from datamodules.tasks import RatingTask

LEAST_PEOPLE = 3
"""Number of people that training, the choice of an epoch and a test take at least."""
MASKED: Padding = "zero"
"""Value that trials are filled up with where a mask hides it: one experiment has one board."""


@dataclass(frozen=True)
class Plan:
    """The runs of a suite.

    Args:
        runs: Runs, teachers before their students.
        not_applicable: Reason by ``board/model``.
        notes: Lines that a board must say, by board.
        studies: Studies of the runs that are tuned, and ensembles; what they choose is run too.
    """

    runs: tuple[Run, ...]
    not_applicable: Mapping[str, str]
    notes: Mapping[str, list[str]]
    studies: tuple[Study | Ensemble, ...] = ()


def expand(suite: Suite, prepared: Mapping[str, Prepared]) -> Plan:
    """Return all runs of a suite.

    Args:
        suite: Suite.
        prepared: Its datasets.

    Raises:
        IncompatibleRunError: Fewer subjects than a split needs, or a signal that a dataset has not.
        SuiteError: A task that none of the datasets has, or a value that a recipe, a model or a
            distiller does not take.
    """
    check_pairs(suite)
    runs: list[Run] = []
    studies: dict[tuple[Run, int], Study | Ensemble] = {}
    reasons: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for name, recordings in prepared.items():
        dataset = DATASETS[name].brought(recordings.brought)
        dataset.check_signals(suite.signals)
        for arm in suite.arms():
            if not {name, FOUND} & {*arm.datasets}:
                continue
            for cell in _cells(arm, dataset, recordings, reasons):
                strangers = _strangers(cell, recordings)
                absent = recordings.absent(cell.subjects)
                notes[cell.board] = [
                    *left_out({**recordings.left_out, **strangers}),
                    *lines_of_absent(absent),
                ]
                longest = _longest(cell, recordings)
                usable = dataset.without(absent).with_channels(recordings.channels)
                before = len(runs)
                alone = [
                    each_fold(arm, with_samples(run, recordings))
                    for run in _alone(arm, cell, usable, longest, reasons)
                    if _can_take(arm, run, usable, recordings, reasons)
                ]
                for folds in alone:
                    runs += folds
                    for study in _tuned(arm, folds, recordings, reasons):
                        studies[study.run, study.budget] = study
                people = recordings.after_minutes.get(cell.task, ())
                runs += personal_runs(arm, alone, people, reasons)
                for ensemble in _ensembles(arm, alone, recordings, reasons):
                    studies[ensemble.run, 0] = ensemble
                for pair, fitted in _pairs(arm, cell, usable, longest, reasons):
                    teacher = fitted.teacher and with_samples(fitted.teacher, recordings)
                    student = with_samples(fitted.student, recordings)
                    fitted = replace(fitted, student=student, teacher=teacher)
                    runs += runs_of_pair(arm, cell, pair, fitted)
                runs += [*disturbed_runs(arm, runs[before:], usable, reasons)]
    if not runs and not reasons:
        raise SuiteError(f"none of {', '.join(prepared)} has a task {', '.join(suite.tasks)}")
    return Plan(tuple(dict.fromkeys(runs)), reasons, notes, tuple(studies.values()))


def signals_of(suite: Suite, name: str, recordings: Prepared | None = None) -> tuple[str, ...]:
    """Return the signals of a dataset that the runs of a suite see, in the dataset's order.

    Args:
        suite: Suite.
        name: Catalogue key of the dataset.
        recordings: The dataset after it was read; None: nothing was read yet, and everybody is
            taken to have all signals and segments of any length.

    Raises:
        IncompatibleRunError: A signal that the dataset has not.
        SuiteError: A value that a recipe, a model or a distiller does not take.
    """
    if recordings is None:
        longest = dict.fromkeys(DATASETS[name].every_task(), float("inf"))
        recordings = Prepared((), {}, "", longest=longest)
    dataset = DATASETS[name].brought(recordings.brought)
    dataset.check_signals(suite.signals)
    seen: set[str] = set()
    for arm in suite.arms():
        if not {name, FOUND} & {*arm.datasets}:
            continue
        for cell in _cells(arm, dataset, recordings, {}):
            usable = dataset.without(recordings.absent(cell.subjects))
            within = _longest(cell, recordings)
            for run in _alone(arm, cell, usable, within, {}):
                seen.update(run.signals)
            for _, fitted in _pairs(arm, cell, usable, within, {}):
                seen.update(fitted.student.signals)
                seen.update(fitted.teacher.signals if fitted.teacher else ())
    return tuple(signal for signal in dataset.signals if signal in seen)


def with_samples(run: Run, recordings: Prepared) -> Run:
    """Return a run with the digest of the samples of its signals."""
    return replace(run, samples=recordings.samples_of(run.subjects, run.signals))


def _strangers(cell: Run, recordings: Prepared) -> dict[str, str]:
    """Return why subjects whose recordings can be read do not take part, by subject."""
    members, _ = recordings.of_task(cell.task)
    calibration = cell.protocol.calibrating
    return {
        subject: f"the first rest is shorter than {calibration.minutes:g} min"
        if subject in members
        else f"no segment is part of {cell.task}"
        for subject in recordings.subjects
        if subject not in cell.subjects
    }


def _longest(cell: Run, recordings: Prepared) -> float:
    """Return the seconds up to which a window may be longer than a score unit; 0: none is.

    A longer one around a unit would reach into a baseline.
    """
    return 0.0 if cell.protocol.calibrating.seconds else recordings.longest.get(cell.task, 0.0)


def one_class(task: str, name: str) -> str:
    """Return why a task whose score units all have one class is refused."""
    return (
        f"{task}: expected score units of two classes at least, found {name} alone: whatever is "
        "predicted, there is nothing to tell apart"
    )


def left_out(reasons: Mapping[str, str]) -> list[str]:
    """Return one line a reason, with all subjects that it keeps out."""
    subjects: dict[str, list[str]] = {}
    for subject, reason in reasons.items():
        subjects.setdefault(reason, []).append(subject)
    return [f"left out: {', '.join(names)}: {reason}" for reason, names in subjects.items()]


def lines_of_absent(absent: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one line for each signal that some subjects lack, so that no model sees it."""
    return [
        f"no model sees {name}, which {', '.join(who)} lack{'s' if len(who) == 1 else ''}"
        for name, who in absent.items()
    ]


def _alone(
    suite: Suite, cell: Run, dataset: Dataset, longest: float, reasons: dict[str, str]
) -> Iterator[Run]:
    """Yield fold and seed 0 of each model; why others do not apply goes to ``reasons``."""
    for model in _models(suite):
        try:
            run = with_weights(suite, of_model(suite, cell, model))
            check_flaws(run, dataset)
            run = with_signals(suite, run, dataset, longest=longest)
        except IncompatibleRunError as error:
            reasons[f"{cell.board}/{model}"] = str(error)
            continue
        yield run


def _can_take(
    suite: Suite, run: Run, dataset: Dataset, recordings: Prepared, reasons: dict[str, str]
) -> bool:
    """Return whether a model can take channels as they are; why not goes to ``reasons``."""
    try:
        check_encoder(suite, run, dataset, recordings.channels)
    except IncompatibleRunError as error:
        reasons[f"{run.board}/{run.model}"] = str(error)
        return False
    return True


def _pairs(
    suite: Suite, cell: Run, dataset: Dataset, longest: float, reasons: dict[str, str]
) -> Iterator[tuple[Distillation, Fitted]]:
    """Yield the distillations that fit; why others do not apply goes to ``reasons``."""
    for pair in suite.distillations:
        try:
            fitted = fit_pair(suite, cell, pair, dataset, longest)
        except IncompatibleRunError as error:
            reasons[f"{cell.board}/{name_of(pair)}"] = str(error)
            continue
        yield pair, fitted


def _tuned(
    suite: Suite, runs: Sequence[Run], recordings: Prepared, reasons: dict[str, str]
) -> list[Study]:
    """Return the studies of a model's runs; why it is not tuned goes to ``reasons``.

    A probe that should lose is not tuned, and is not on the board as if it could be.
    """
    model = runs[0].model
    if not suite.budget or (model in PROBES and PROBES[model].blind):
        return []
    try:
        return studies_of(runs, suite.budget, recordings)
    except IncompatibleRunError as error:
        reasons[f"{runs[0].board}/{model}-tuned"] = str(error)
        return []


def _ensembles(
    suite: Suite,
    alone: Sequence[Sequence[Run]],
    recordings: Prepared,
    reasons: dict[str, str],
) -> list[Ensemble]:
    """Return the ensembles of a board's models; why there are none goes to ``reasons``.

    Raises:
        SuiteError: A member that is no model of the suite.
    """
    if not (suite.ensemble and alone):
        return []
    if ALL not in suite.ensemble:
        known_names(suite.ensemble, _models(suite), f"suite {suite.name}: member of the ensemble")
    members = [
        runs
        for runs in alone
        if (model := runs[0].model) in suite.ensemble
        or (ALL in suite.ensemble and not (model in PROBES and PROBES[model].blind))
    ]
    try:
        return ensembles_of(members, recordings)
    except IncompatibleRunError as error:
        reasons[f"{alone[0][0].board}/{ENSEMBLE}"] = str(error)
        return []


def _models(suite: Suite) -> tuple[str, ...]:
    if ALL not in suite.models:
        return suite.models
    return tuple(
        model
        for model in every_model()
        if (suite.protocol.padding or model != "length") and applies(model, suite.encoders)
    )


def _cells(
    suite: Suite, dataset: Dataset, recordings: Prepared, reasons: dict[str, str]
) -> Iterator[Run]:
    """Yield fold and seed 0 of every task and split, without a model.

    The first split of a dataset may be one that the suite's flags or calibrations exclude, and a
    task may have no rest: the reason goes to ``reasons``, for each model and each pair.
    """
    options = reader_options(dataset, suite.options.get(dataset.name, {}))
    names = (*_models(suite), *(name_of(pair) for pair in suite.distillations))
    for task in _tasks(suite, dataset):
        subjects, data = recordings.of_task(task)
        for split, calibration in product(suite.splits, suite.calibrations):
            calibrated = replace(suite.protocol, calibration=calibration)
            honest = suite.protocol.with_flags(())
            cell = Run(
                dataset=dataset.name,
                task=task,
                protocol=_protocol(honest, dataset, task, split, recordings),
                fold=0,
                seed=0,
                model="",
                signals=(),
                subjects=subjects,
                data=data,
                options=options,
                brought=recordings.brought,
            )
            if task in recordings.alone and cell.protocol.rule == "midpoint":
                reason = one_class(task, recordings.alone[task])
                reasons.update(dict.fromkeys((f"{cell.board}/{name}" for name in names), reason))
                continue
            try:
                protocol = _protocol(calibrated, dataset, task, split, recordings)
                if seconds := protocol.calibrating.seconds:
                    rest_of(dataset.task(task))
                    cell = _rested(cell, recordings, seconds)
            except IncompatibleRunError as error:
                board = f"{cell.board}{_apart(calibrated)}"
                reasons.update(dict.fromkeys((f"{board}/{name}" for name in names), str(error)))
                continue
            yield replace(cell, protocol=protocol)


def _rested(cell: Run, recordings: Prepared, seconds: float) -> Run:
    """Return a cell with those who rest so many seconds at first.

    Raises:
        IncompatibleRunError: Too few of them.
    """
    subjects, data = recordings.resting(cell.task, seconds)
    if len(subjects) < LEAST_PEOPLE:
        raise IncompatibleRunError(
            f"expected at least {LEAST_PEOPLE} people with a first rest of {seconds:g} s, found "
            f"{len(subjects)}. Take fewer minutes."
        )
    return replace(cell, subjects=subjects, data=data)


def _apart(protocol: Protocol) -> str:
    """Return the end of the name of a board, of what sets it apart from the honest default."""
    calibration, flags = protocol.calibrating, protocol.flags
    end = f"__{calibration.slug}" if calibration else ""
    return end + (f"__with_{'_and_'.join(flags)}" if flags else "")


def _protocol(
    protocol: Protocol, dataset: Dataset, task: str, split: str, recordings: Prepared
) -> Protocol:
    """Return the protocol of a task and split; values that they do not read are the defaults."""
    name = dataset.splits[0] if split == DEFAULT else split
    splitting = SPLITS[name]
    counts = {"folds": protocol.folds}
    if name in dataset.splits:  # otherwise refused later, with the reason
        counts["sessions"] = recordings.sessions
    folds = counts.get(splitting.counts, Protocol().folds)
    if splitting.in_blocks and dataset.trial_blocks:
        folds = dataset.trial_blocks
    rated = isinstance(dataset.task(task), RatingTask)
    fits = rated or "labels_from_all_ratings" in protocol.flags  # refused later, with the reason
    return replace(
        protocol,
        split=name,
        folds=folds,
        stimulus_folds=(
            protocol.stimulus_folds if splitting.crosses_stimuli else Protocol().stimulus_folds
        ),
        partitions=protocol.partitions if splitting.repeats else 1,
        padding=MASKED if protocol.mask else protocol.padding,
        rule=protocol.rule if fits else "midpoint",
        test_share=protocol.test_share if splitting.holds_out else HOLD_OUT_SHARE,
    )


def _tasks(suite: Suite, dataset: Dataset) -> tuple[str, ...]:
    if ALL in suite.tasks:
        return tuple(dataset.tasks)
    if not suite.tasks:
        return (next(iter(dataset.tasks)),)
    return tuple(task for task in dataset.every_task() if task in suite.tasks)

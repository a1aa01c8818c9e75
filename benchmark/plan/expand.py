"""Plan: the runs that a suite comes to on the recordings that are there."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from benchmark.plan.suite import (
    ALL,
    DEFAULT,
    EVERY_MODEL,
    FOUND,
    Distillation,
    Suite,
    SuiteError,
    as_its_default,
    catalogued,
    known_names,
    reader_options,
)
from benchmark.probes.fit import PROBES, Probe
from benchmark.run import TEST_SHARE, Run, Value
from datamodules.catalogue import DATAMODULES
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import (
    OF_EPOCHS,
    OF_TEACHERS,
    SHUFFLED,
    check_flags,
    known_flags,
    teacher_flags,
)
from datamodules.splits import SUBJECT_SPLITS, n_folds, split_subjects
from datamodules.tasks import LabelRule, RatingTask
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.distillation.base import Teacher

GIVEN = ("inputs", "n_classes", "recipe", "student", "student_signals", "teachers")
"""Arguments of a model or a distiller that a suite does not set as such."""

LATER = (("precision", "32-true"),)
"""Values of recipes that came later: these are left out of a run, so that ids stay."""

Arguments = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class Prepared:
    """A dataset after its recordings were read.

    Args:
        subjects: Who can be used.
        left_out: Why others cannot, by subject.
        data: Digest of the prepared recordings.
        sessions: Most sessions that a subject has.
    """

    subjects: tuple[str, ...]
    left_out: Mapping[str, str]
    data: str
    sessions: int = 1


@dataclass(frozen=True)
class Plan:
    """What a suite comes to.

    Args:
        runs: In the order in which they should start.
        not_applicable: Reason by ``board/model``.
        notes: What a board must say, by board.
    """

    runs: tuple[Run, ...]
    not_applicable: Mapping[str, str]
    notes: Mapping[str, list[str]]


def expand(suite: Suite, prepared: Mapping[str, Prepared]) -> Plan:
    """All runs of a suite.

    Args:
        suite: What to run.
        prepared: Its datasets.

    Raises:
        IncompatibleRunError: Fewer subjects than a split needs, or a signal that a dataset has not.
        SuiteError: A task that none of the datasets has, or a value that a recipe, a model or a
            distiller does not take.
    """
    runs: list[Run] = []
    reasons: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for dataset, found in prepared.items():
        module = DATAMODULES[dataset]
        module.check_signals(suite.signals)
        for arm in suite.arms():
            if not {dataset, FOUND} & {*arm.datasets}:
                continue
            for cell in _cells(arm, dataset, found):
                notes[cell.board] = left_out(found.left_out)
                runs += _of_cell(arm, cell, module, reasons)
    if not runs and not reasons:
        raise SuiteError(f"none of {', '.join(prepared)} has a task {', '.join(suite.tasks)}")
    return Plan(tuple(dict.fromkeys(runs)), reasons, notes)


def _of_cell(
    suite: Suite, cell: Run, module: type[EmotionDataModule], reasons: dict[str, str]
) -> list[Run]:
    """All runs of a cell; why others are not goes to ``reasons``."""
    runs: list[Run] = []
    models = suite.models
    if ALL in models:
        models = tuple(m for m in EVERY_MODEL if suite.padded or m != "length")
    for model in models:
        asked = _of_model(suite, cell, model)
        try:
            whole = dataclasses.replace(asked, signals=_signals(suite, asked, module))
            _check_flaws(whole, module)
        except IncompatibleRunError as error:
            reasons[f"{cell.board}/{model}"] = str(error)
            continue
        runs += _folds(suite, whole)
    for pair in suite.distillations:
        try:
            student, teacher, arguments = _pair(suite, cell, pair, module)
            _check_flaws(dataclasses.replace(student, flags=cell.flags), module, teacher)
        except IncompatibleRunError as error:
            reasons[f"{cell.board}/{_named(pair)}"] = str(error)
            continue
        for alone in _folds(suite, student):
            runs += _taught(pair, alone, teacher, arguments, cell.flags)
    return runs


def _check_flaws(run: Run, module: type[EmotionDataModule], teacher: Run | None = None) -> None:
    """Refuse a run in which none of its flags would do anything.

    Raises:
        IncompatibleRunError: With the reason.
    """
    split: Any = run.split
    flags = known_flags(run.flags)
    rule, padded = cast(LabelRule, run.rule), run.padding is not None
    rated = isinstance(module.every_task()[run.task], RatingTask)
    if "labels_from_all_ratings" in flags and not rated:
        raise IncompatibleRunError("labels_from_all_ratings: conditions have no threshold")
    check_flags(flags, split=split, rule=rule, padded=padded, mask=run.mask)
    recipe = dict(run.recipe)
    if "oversample_before_split" in flags and recipe.get("balance", "oversample") != "oversample":
        raise IncompatibleRunError(
            "oversample_before_split: its recipe does not oversample; expected balance: oversample"
        )
    idle = {
        **dict.fromkeys(OF_EPOCHS, "it has no epoch to choose" if run.model in PROBES else ""),
        "scale_on_all": ""
        if recipe.get("scaling", "none") != "none"
        else "its signals are unscaled",
        OF_TEACHERS: "" if teacher else "it has no teacher",
    }
    if flags and all(idle.get(flag) for flag in flags):
        raise IncompatibleRunError("; ".join(f"{flag}: {idle[flag]}" for flag in flags))


def _cells(suite: Suite, dataset: str, found: Prepared) -> Iterator[Run]:
    """Fold and seed 0 of every task and split, without a model."""
    module = DATAMODULES[dataset]
    options = reader_options(module, suite.options.get(dataset, {}))
    for task in _tasks(suite, module):
        rated = isinstance(module.every_task()[task], RatingTask)
        for named in suite.splits:
            split = module.splits[0] if named == DEFAULT else named
            folds = suite.folds if split.endswith("_k_fold") else 5
            if split == "trial_k_fold" and module.trial_blocks:
                folds = module.trial_blocks
            yield Run(
                dataset=dataset,
                task=task,
                split=split,
                fold=0,
                seed=0,
                model="",
                signals=(),
                subjects=found.subjects,
                data=found.data,
                folds=found.sessions if split == "session_out" else folds,
                options=options,
                rule=suite.rule if rated else "midpoint",
                padding=suite.padded,
                mask=suite.mask,
                flags=known_flags(suite.flags),
                test_share=suite.test_share if split == "subject_hold_out" else TEST_SHARE,
                validation=suite.validation,
                score_windows=suite.score_windows,
            )


def _of_model(suite: Suite, cell: Run, model: str) -> Run:
    """A cell with a model, its recipe and its arguments."""
    asked = suite.arguments.get(model, {})
    arguments: Arguments = ()
    if asked:
        arguments = _changed(MODELS[model], asked, f"suite {suite.name}: argument of {model}")
    return dataclasses.replace(cell, model=model, arguments=arguments, **_recipe(suite, model))


def _folds(suite: Suite, whole: Run) -> list[Run]:
    """Every fold of every seed."""
    split: Any = whole.split
    shuffled = bool({*SHUFFLED} & {*whole.flags})
    count = n_folds(split, len(whole.subjects), whole.folds, shuffled)
    return [
        dataclasses.replace(whole, fold=fold, seed=seed)
        for seed in suite.seeds
        for fold in range(count)
    ]


def _pair(
    suite: Suite, cell: Run, pair: Distillation, module: type[EmotionDataModule]
) -> tuple[Run, Run | None, Arguments]:
    """Student and teacher, each trained alone, and the distiller's arguments that are not defaults.

    Raises:
        IncompatibleRunError: They do not fit.
        SuiteError: An argument that the distiller does not take, or a signal that no dataset has.
    """
    kind, where = DISTILLERS[pair.distiller], f"suite {suite.name}"
    everywhere = [name for other in DATAMODULES.values() for name in other.signals]
    asked_for = (*pair.student_signals, *pair.teacher_signals)
    known_names(asked_for, dict.fromkeys(everywhere), f"{where}: signal for {_named(pair)}")
    arguments = _changed(kind, pair.arguments, f"{where}: argument of {pair.distiller}")
    flags = known_flags(cell.flags)
    alone = dataclasses.replace(cell, flags=tuple(f for f in flags if f != OF_TEACHERS))
    asked = _of_model(suite, alone, pair.student)
    student = dataclasses.replace(
        asked, signals=_signals(suite, asked, module, pair.student_signals)
    )
    teacher = None
    if kind.teacher_is_student:
        teacher = dataclasses.replace(student, flags=teacher_flags(flags))
    elif pair.teacher:
        asked = _on_windows_of(_of_model(suite, cell, pair.teacher), student)
        asked = dataclasses.replace(asked, flags=teacher_flags(flags))
        teacher = dataclasses.replace(
            asked, signals=_signals(suite, asked, module, pair.teacher_signals)
        )
    if pair.out_of_fold and cell.split not in SUBJECT_SPLITS:
        raise IncompatibleRunError(f"out-of-fold teachers need a split over subjects: {cell.split}")
    both = [student, *([teacher] if teacher else [])]
    shapes = [
        module.window_inputs(
            run.signals,
            dict(run.recipe)["window"],  # type: ignore[arg-type]
            run.padding,  # type: ignore[arg-type]
            run.mask,
            run.score_windows,
        )
        for run in both
    ]
    kind.check_pair(
        MODELS[student.model],
        MODELS[teacher.model] if teacher else None,
        shapes[0],
        shapes[1] if teacher else None,
        **dict(arguments),
    )
    if arguments or pair.out_of_fold:  # only its constructor knows what it takes
        teachers = []
        for run, inputs in zip(both, shapes, strict=True):
            build: Any = MODELS[run.model]
            model = build(inputs, len(module.every_task()[cell.task].classes))
            teachers.append(Teacher(model, run.signals))
        several = tuple(teachers[1:] * max(1, pair.out_of_fold))
        build = kind
        try:
            build(teachers[0].model, student.signals, several, **dict(arguments))
        except (TypeError, ValueError) as error:
            raise SuiteError(f"{where}: {_named(pair)}: {error}") from error
    return student, teacher, arguments


def _on_windows_of(teacher: Run, student: Run) -> Run:
    """A teacher whose windows are the student's, so that both see one batch."""
    own, wanted = dict(teacher.recipe), dict(student.recipe)
    windows = {name: wanted[name] for name in ("window", "stride")}
    changed = {name for name, value in windows.items() if own[name] != value}
    return dataclasses.replace(
        teacher,
        recipe=tuple(sorted({**own, **windows}.items())),
        changed=tuple(sorted({*teacher.changed, *changed})),
    )


def _taught(
    pair: Distillation,
    alone: Run,
    teacher: Run | None,
    arguments: Arguments,
    flags: tuple[str, ...] = (),
) -> list[Run]:
    """A student alone, its teachers and the taught student, of one fold and seed."""
    kind = DISTILLERS[pair.distiller]
    recipe = dict(alone.recipe)
    changes: dict[str, Any] = {
        name: value
        for name, value in kind.changes.get(alone.model, {}).items()
        if alone.kind == "published" and name not in alone.changed
    }
    for name in ("max_epochs", "patience"):
        if kind.epochs_factor > 1 and recipe[name] is not None:
            changes[name] = int(recipe[name]) * kind.epochs_factor  # type: ignore[arg-type]
    teachers: list[Run] = []
    if teacher is not None:
        same = dataclasses.replace(teacher, fold=alone.fold, seed=alone.seed)
        teachers = [same]
        if pair.out_of_fold:
            whole = split_subjects(
                alone.split,  # type: ignore[arg-type]
                alone.subjects,
                alone.fold,
                alone.seed,
                alone.folds,
                alone.test_share,
            )
            parts = np.array_split(np.array(whole.train), pair.out_of_fold)
            if any(not len(part) for part in parts) or len(whole.train) <= len(parts[0]):
                raise SuiteError(
                    f"expected at most {len(whole.train)} out-of-fold teachers, as there are so "
                    f"many training subjects, found {pair.out_of_fold}"
                )
            teachers = [dataclasses.replace(same, without=tuple(p.tolist())) for p in parts]
    taught = dataclasses.replace(
        alone,
        recipe=tuple(sorted({**recipe, **changes}.items())),
        changed=tuple(sorted({*alone.changed, *changes})),
        distiller=pair.distiller,
        distillation=arguments,
        teachers=tuple(teachers),
        alone=alone.id,
        flags=flags,
    )
    return [alone, *teachers, taught]


def _named(pair: Distillation) -> str:
    """As the name of its runs."""
    teacher = pair.student if DISTILLERS[pair.distiller].teacher_is_student else pair.teacher
    return "-".join([pair.student, f"by_{pair.distiller}", *([f"of_{teacher}"] if teacher else [])])


def left_out(reasons: Mapping[str, str]) -> list[str]:
    """One line a reason, with all subjects that it keeps out."""
    subjects: dict[str, list[str]] = {}
    for subject, reason in reasons.items():
        subjects.setdefault(reason, []).append(subject)
    return [f"left out: {', '.join(names)}: {reason}" for reason, names in subjects.items()]


def _recipe(suite: Suite, model: str) -> dict[str, Any]:
    kind = suite.recipe if hasattr(catalogued(model), suite.recipe) else "published"
    own: Any = getattr(catalogued(model), kind)
    asked = suite.recipes.get(model, {})
    changes: dict[str, Any] = {k: as_its_default(getattr(own, k), v) for k, v in asked.items()}
    try:
        recipe: Any = dataclasses.replace(own, **changes)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"suite {suite.name}: recipe of {model}: {error}") from error
    values = dataclasses.asdict(recipe)
    kept = {name: value for name, value in values.items() if (name, value) not in LATER}
    return {
        "recipe": tuple(sorted(kept.items())),
        "kind": kind,
        "changed": tuple(sorted(name for name in changes if values[name] != getattr(own, name))),
    }


def _changed(kind: Any, asked: Mapping[str, Value], what: str) -> Arguments:
    """Arguments of a model or a distiller that differ from its defaults, sorted by name."""
    parameters = inspect.signature(kind).parameters
    defaults = {name: p.default for name, p in parameters.items() if name not in GIVEN}
    known_names(asked, defaults, what)
    values = {name: as_its_default(defaults[name], value) for name, value in asked.items()}
    return tuple(sorted((k, v) for k, v in values.items() if v != defaults[k]))


def _signals(
    suite: Suite, run: Run, module: type[EmotionDataModule], only: Sequence[str] = ()
) -> tuple[str, ...]:
    """What a model takes of a dataset; raises IncompatibleRunError, with the reason, if nothing."""
    split: Any = run.split
    module.check_split(split)
    model = catalogued(run.model)
    available = module.available(dict(run.options))
    for chosen in (suite.signals, only):
        if chosen:
            available = tuple(name for name in available if name in chosen)
    padding = module.check_padding(run.padding)  # type: ignore[arg-type]  # the suite has checked it
    if isinstance(model, Probe):
        if model.sees == "length" and padding is None:
            raise IncompatibleRunError("no trial is padded, so that its length does not show")
        return model.choose_signals(module.recorded(available))
    signals = model.choose_signals(available)
    values: dict[str, Any] = dict(run.recipe)
    inputs = module.window_inputs(signals, values["window"], padding, run.mask, run.score_windows)
    model.check_inputs(inputs)
    if run.arguments:
        build: Any = model
        try:
            with torch.device("meta"):
                build(inputs, len(module.every_task()[run.task].classes), **dict(run.arguments))
        except (TypeError, ValueError) as error:
            raise SuiteError(f"suite {suite.name}: arguments of {run.model}: {error}") from error
    return signals


def _tasks(suite: Suite, module: type[EmotionDataModule]) -> tuple[str, ...]:
    if ALL in suite.tasks:
        return tuple(module.tasks)
    if not suite.tasks:
        return (next(iter(module.tasks)),)
    return tuple(task for task in module.every_task() if task in suite.tasks)

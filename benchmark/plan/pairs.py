"""Runs of a distillation: a student alone, its teachers, and the student that they teach."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.code import code_of_run
from benchmark.plan.alone import changed, check_flaws, differing, each_fold, of_model, with_signals
from benchmark.plan.suite import Distillation, Suite, SuiteError, known_names
from benchmark.run import Arguments, Run
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.flags import OF_TEACHERS
from datamodules.protocol import Protocol
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.recipe import Recipe


def check_pairs(suite: Suite) -> None:
    """Refuse distillations with a teacher too many or too few.

    Raises:
        SuiteError: Naming the distillation, or a flag about teachers without any.
    """
    for arm in suite.arms():
        for pair in arm.distillations:
            kind = DISTILLERS[pair.distiller]
            where = f"distillation of {pair.student} by {pair.distiller}"
            takes_teacher = bool(kind.n_teachers and not kind.teacher_is_student)
            if bool(pair.teacher) != takes_teacher:
                raise SuiteError(
                    f"{where}: expected {'a' if takes_teacher else 'no'} teacher, found "
                    f"{pair.teacher or 'none'}"
                )
            if pair.out_of_fold and (pair.out_of_fold < 2 or not kind.n_teachers):
                raise SuiteError(
                    f"{where}: expected out_of_fold to be 0, or 2 and more where there is a "
                    f"teacher, found {pair.out_of_fold}"
                )
        with_teachers = any(DISTILLERS[pair.distiller].n_teachers for pair in arm.distillations)
        if OF_TEACHERS in arm.protocol.flags and not with_teachers:
            raise SuiteError(
                f"suite {suite.name}: {OF_TEACHERS}: expected distillations by a teacher"
            )


def name_of(pair: Distillation) -> str:
    """Return the name of a pair's runs, as on a row of a board."""
    teacher = pair.student if DISTILLERS[pair.distiller].teacher_is_student else pair.teacher
    return "-".join([pair.student, f"by_{pair.distiller}", *([f"of_{teacher}"] if teacher else [])])


@dataclass(frozen=True)
class Fitted:
    """A pair that fits a dataset.

    Attributes:
        student: Run of the student alone, of fold and seed 0.
        teacher: Run of the teacher, likewise; None for a distiller without one.
        arguments: Arguments of the distiller that differ from its defaults.
    """

    student: Run
    teacher: Run | None
    arguments: Arguments


def fit_pair(
    suite: Suite, cell: Run, pair: Distillation, dataset: Dataset, longest: float = 0.0
) -> Fitted:
    """Return student and teacher with their signals and recipes.

    Args:
        suite: Recipes and signals.
        cell: Board without a model.
        pair: Student and teacher.
        dataset: Dataset of the cell.
        longest: Seconds up to which windows may be longer than a score unit.

    Raises:
        IncompatibleRunError: They do not fit the dataset, or each other; with the reason.
        SuiteError: An argument that the distiller does not take, or a signal that no dataset has.
    """
    kind, where = DISTILLERS[pair.distiller], f"suite {suite.name}"
    everywhere = dict.fromkeys(name for other in DATASETS.values() for name in other.signals)
    named = (*pair.student_signals, *pair.teacher_signals)
    known_names(named, everywhere, f"{where}: signal for {name_of(pair)}")
    arguments = changed(kind, pair.arguments, f"{where}: argument of {pair.distiller}")
    protocol = cell.protocol
    alone = protocol.with_flags([flag for flag in protocol.flags if flag != OF_TEACHERS])
    student = of_model(suite, replace(cell, protocol=alone), pair.student, pair.recipe)
    student = _as_taught(student, kind)
    student = with_signals(suite, student, dataset, pair.student_signals, longest)
    teacher = None
    if kind.teacher_is_student:
        teacher = replace(student, protocol=protocol.of_teachers())
    elif pair.teacher:
        taught_by = replace(cell, protocol=protocol.of_teachers())
        teacher = _on_windows_of(of_model(suite, taught_by, pair.teacher), student)
        teacher = with_signals(suite, teacher, dataset, pair.teacher_signals, longest)
    if student.recipe.refit or (teacher and teacher.recipe.refit):
        raise IncompatibleRunError(
            "refit: expected student and teacher to be trained once, on the training subjects "
            "alone; a teacher that knows the validation subjects would choose the student's epoch"
        )
    if isinstance(student.recipe, Recipe) and student.recipe.modality_dropout:
        raise IncompatibleRunError(
            "modality_dropout: expected a student that sees all signals of its teachers' windows"
        )
    if pair.out_of_fold and not protocol.splitting.over_subjects:
        raise IncompatibleRunError(
            f"out-of-fold teachers need a split over subjects: {protocol.split}"
        )
    both = [student, *([teacher] if teacher else [])]
    shapes = [
        dataset.window_inputs(run.signals, run.recipe.window, run.protocol, longest) for run in both
    ]
    kind.check_pair(
        MODELS[student.model],
        MODELS[teacher.model] if teacher else None,
        shapes[0],
        shapes[1] if teacher else None,
        **dict(arguments),
    )
    if arguments or pair.out_of_fold:  # only its constructor knows the arguments that it takes
        teachers = []
        for run, inputs in zip(both, shapes, strict=True):
            build: Any = MODELS[run.model]
            model = build(inputs, len(dataset.task(cell.task).classes))
            teachers.append(Teacher(model, run.signals))
        several = tuple(teachers[1:] * max(1, pair.out_of_fold))
        build = kind
        try:
            build(teachers[0].model, student.signals, several, **dict(arguments))
        except (TypeError, ValueError) as error:
            raise SuiteError(f"{where}: {name_of(pair)}: {error}") from error
    check_flaws(replace(student, protocol=protocol), dataset, teacher is not None)
    return Fitted(student, teacher, arguments)


def _as_taught(student: Run, kind: type[Distiller]) -> Run:
    """Return a student with the recipe by which its distiller's paper teaches it.

    The student alone is trained by it too: a gain is a difference in nothing but the teacher.
    Values that a suite sets stay, and so does a recipe that is not the published one.
    """
    changes: dict[str, Any] = {
        name: value
        for name, value in kind.changes.get(MODELS[student.model], {}).items()
        if student.kind == "published" and name not in student.changed
    }
    assert isinstance(student.recipe, Recipe)  # students are networks
    recipe = replace(student.recipe, **changes)
    return replace(student, recipe=recipe, changed=tuple(sorted({*student.changed, *changes})))


def runs_of_pair(suite: Suite, cell: Run, pair: Distillation, fitted: Fitted) -> list[Run]:
    """Return every fold and seed of a student alone, its teachers and the taught student."""
    runs = []
    for alone in each_fold(suite, fitted.student):
        runs += _taught(pair, alone, fitted, cell.protocol)
    return runs


def _on_windows_of(teacher: Run, student: Run) -> Run:
    """Return a teacher whose windows are the student's, so that both see one batch."""
    recipe = replace(teacher.recipe, window=student.recipe.window, stride=student.recipe.stride)
    names = {*teacher.changed, *differing(teacher.recipe, recipe)}
    return replace(teacher, recipe=recipe, changed=tuple(sorted(names)))


def _taught(pair: Distillation, alone: Run, fitted: Fitted, protocol: Protocol) -> list[Run]:
    """Return a student alone, its teachers and the taught student, of one fold and seed."""
    kind = DISTILLERS[pair.distiller]
    recipe = alone.recipe
    assert isinstance(recipe, Recipe)  # students are networks
    changes: dict[str, Any] = {}
    if kind.epochs_factor > 1:
        changes["max_epochs"] = recipe.max_epochs * kind.epochs_factor
        if recipe.patience is not None:
            changes["patience"] = recipe.patience * kind.epochs_factor
    teachers: list[Run] = []
    if fitted.teacher is not None:
        same = replace(fitted.teacher, fold=alone.fold, seed=alone.seed)
        teachers = _out_of_fold(same, pair.out_of_fold) if pair.out_of_fold else [same]
    student = replace(
        alone,
        recipe=replace(recipe, **changes),
        changed=tuple(sorted({*alone.changed, *changes})),
        distiller=pair.distiller,
        distillation=fitted.arguments,
        teachers=tuple(teachers),
        alone=alone.id,
        protocol=protocol,
    )
    return [alone, *teachers, replace(student, code=code_of_run(student))]


def _out_of_fold(teacher: Run, count: int) -> list[Run]:
    """Return teachers, each trained without a part of the training subjects."""
    protocol = teacher.protocol
    dealing = protocol.dealing(teacher.fold, teacher.seed)
    train = protocol.splitting.members(dict.fromkeys(teacher.subjects, ()), dealing).train
    parts = np.array_split(np.array(train), count)
    if any(not len(part) for part in parts) or len(train) <= len(parts[0]):
        raise SuiteError(
            f"expected at most {len(train)} out-of-fold teachers, as there are so many training "
            f"subjects, found {count}"
        )
    return [replace(teacher, without=tuple(part.tolist())) for part in parts]

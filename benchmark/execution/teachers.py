"""Teachers of a run: they are loaded, checked for leaks, and fitted to the student's signals."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.execution.checkpoint import NETWORK, load_network
from benchmark.execution.predictor import NetworkPredictor, Predictor
from benchmark.run import Run
from benchmark.store import Store
from datamodules.batch import LENGTH
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import LeakError
from datamodules.flaws import passes
from datamodules.guard import Check
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import DISTILLERS
from lightning_modules.distillation.base import Distiller, Teacher

SHARED = ("dataset", "options", "task", "fold", "seed", "subjects", "data", "brought")
"""Fields of a run that are equal in its teachers."""


def taught_signals(run: Run) -> tuple[str, ...]:
    """Return the signals of a run's batches: its own, then those that only its teachers see."""
    everyone = [run.signals, *(teacher.signals for teacher in run.teachers)]
    return tuple(dict.fromkeys(name for signals in everyone for name in signals))


def make_distiller(
    run: Run, student: EmotionClassifier, module: EmotionDataModule, store: Store
) -> Distiller:
    """Return the distiller of a run, with its teachers.

    Args:
        run: The run that is trained.
        student: Its untrained model.
        module: Datamodule of ``taught_signals``, scaled for the student, after its setup.
        store: Store of the teachers' results.

    Raises:
        BenchmarkError: A teacher that is not finished.
        LeakError: A teacher that has seen what the run tests.
    """
    teachers = []
    for teacher in run.teachers:
        if store.status(teacher) != "done":
            raise BenchmarkError(
                f"expected a finished teacher, found none: {teacher.label} "
                f"({store.status(teacher) or 'not run'})"
            )
        predictor = load_network(store.folder(teacher) / NETWORK)
        check_teacher(teacher, predictor, run, module)
        shift, scale = rescaling(predictor, module)
        teachers.append(
            Teacher(predictor.model, teacher.signals, shift, scale, _unseen_rows(teacher, module))
        )
    build = DISTILLERS[run.distiller]
    return build(student, run.signals, tuple(teachers), **dict(run.distillation))


def check_teacher(
    teacher: Run,
    predictor: Predictor,
    run: Run,
    module: EmotionDataModule,
    passed: Collection[Check] | None = None,
) -> None:
    """Refuse a teacher of another fold, or one that was trained or chosen on what the run tests.

    Who it was trained on, and who chose its epoch, is read from its checkpoint.

    Args:
        teacher: Run of the teacher.
        predictor: Its checkpoint.
        run: The run that learns from it.
        module: Datamodule of that run, after its setup.
        passed: Checks of the guard that may fail; None: those of the run's flags.

    Raises:
        LeakError: Naming the subjects or trials.
    """
    for name in SHARED:
        if getattr(teacher, name) != getattr(run, name):
            raise LeakError(
                f"leak: a teacher of another {name}: expected {getattr(run, name)!r}, found "
                f"{getattr(teacher, name)!r}."
            )
    expected = run.protocol.of_teachers()
    if teacher.protocol != expected:
        raise LeakError(
            f"leak: a teacher under another protocol: expected {expected}, found "
            f"{teacher.protocol}."
        )
    if run.protocol.shuffled:
        return  # the same fold of the same deal, as its flags are shared
    passed = passes(run.protocol.flags) if passed is None else passed
    trained = tested_of(module, predictor.subjects, predictor.trials, passed)
    if trained:
        raise LeakError(f"leak: the teacher was trained on {trained}, which this run tests.")
    chosen = tested_of(module, predictor.chosen_on, predictor.chosen_on_trials, passed)
    if chosen and "teacher" not in passed:
        raise LeakError(
            f"leak: the epoch of the teacher was chosen on {chosen}, which this run tests."
        )


def tested_of(
    module: EmotionDataModule,
    subjects: Sequence[str],
    trials: Sequence[str],
    passed: Collection[Check],
) -> list[str]:
    """Return the subjects that are tested, or their trials where subjects are on all sides.

    An empty ``trials`` means all trials of those subjects.
    """
    tested = set(subjects) & set(module.fold.members.test)
    if module.fold.members.within and trials:
        tested.clear()
    if module.fold.members.trials is not None and "stimuli" not in passed:
        tested |= set(trials) & module.fold.members.trials["test"]
    return sorted(tested)


def rescaling(
    predictor: NetworkPredictor, module: EmotionDataModule
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the change from signals scaled for the student to signals scaled for a teacher.

    Returns:
        Shift and scale by signal, shape (C, 1) each: the teacher sees ``x * scale + shift``; empty
        where both scale a signal alike.
    """
    shift, scale = {}, {}
    scaling = module.fold.scaling
    for name in predictor.inputs.keys() - {LENGTH}:
        zero, one = torch.zeros(1, 1), torch.ones(1, 1)
        mean, std = (scaling.mean[name], scaling.std[name]) if scaling else (zero, one)
        teacher_mean = predictor.mean.get(name, zero)
        teacher_std = predictor.std.get(name, one)
        if not (torch.equal(mean, teacher_mean) and torch.equal(std, teacher_std)):
            shift[name], scale[name] = (mean - teacher_mean) / teacher_std, std / teacher_std
    return shift, scale


def _unseen_rows(teacher: Run, module: EmotionDataModule) -> Tensor | None:
    """Return the training rows of the subjects unseen by an out-of-fold teacher; None: all."""
    if not teacher.without:
        return None
    unseen = [module.subjects.index(subject) for subject in teacher.without]
    subjects = torch.from_numpy(module.windows("train").subject)
    return torch.isin(subjects, torch.tensor(unseen)).nonzero().flatten()

"""A run that learns from other runs: its teachers, checked, and what passes between them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.predict.predictor import Predictor, load_predictor
from benchmark.run import Run
from benchmark.store import Store
from datamodules.batch import LENGTH
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import LeakError
from datamodules.protocol import OF_TEACHERS, SHUFFLED, known_flags, teacher_flags
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import DISTILLERS
from lightning_modules.distillation.base import Distiller, Teacher

SHARED = (
    "protocol",
    "dataset",
    "options",
    "task",
    "rule",
    "split",
    "fold",
    "folds",
    "seed",
    "subjects",
    "data",
    "padding",
    "mask",
    "test_share",
    "validation",
    "score_windows",
)
"""Fields of a run that its teachers have in common with it."""


def taught_signals(run: Run) -> tuple[str, ...]:
    """Signals of a batch from which a run is taught: its own, then what only its teachers see."""
    everyone = [run.signals, *(teacher.signals for teacher in run.teachers)]
    return tuple(dict.fromkeys(name for signals in everyone for name in signals))


def make_distiller(
    run: Run, student: EmotionClassifier, module: EmotionDataModule, store: Store
) -> Distiller:
    """The distiller of a run, with its teachers.

    Args:
        run: What is trained.
        student: Its untrained model.
        module: Gives ``taught_signals``, scaled for the student; set up.
        store: Holds the results of the teachers.

    Raises:
        BenchmarkError: A teacher that is not finished.
        LeakError: A teacher that has seen what the run tests.
    """
    teachers = []
    for asked in run.teachers:
        if store.status(asked) != "done":
            raise BenchmarkError(
                f"expected a finished teacher, found none: {asked.label} "
                f"({store.status(asked) or 'not run'})"
            )
        loaded = load_predictor(store.folder(asked) / "model.ckpt")
        check_teacher(asked, loaded, run, module)
        shift, scale = rescaling(loaded, module)
        teachers.append(
            Teacher(loaded.model, asked.signals, shift, scale, _answers_for(asked, module))
        )
    build = DISTILLERS[run.distiller]
    return build(student, run.signals, tuple(teachers), **dict(run.distillation))


def check_teacher(asked: Run, loaded: Predictor, run: Run, module: EmotionDataModule) -> None:
    """Refuse a teacher of another fold, or one that was trained or chosen on what the run tests.

    Who it was trained on, and who chose its epoch, is read from its own checkpoint.

    Raises:
        LeakError: Naming the subjects or trials.
    """
    for what in SHARED:
        if getattr(asked, what) != getattr(run, what):
            raise LeakError(
                f"leak: a teacher of another {what}: expected {getattr(run, what)!r}, found "
                f"{getattr(asked, what)!r}."
            )
    wanted = teacher_flags(known_flags(run.flags))
    if asked.flags != wanted:
        raise LeakError(
            f"leak: a teacher under other protocol flags: expected {wanted}, found {asked.flags}."
        )
    if set(SHUFFLED) & set(run.flags):
        return  # the same fold of the same deal, as its flags are shared
    trained = _tested(module, loaded.subjects, loaded.trials)
    if trained:
        raise LeakError(f"leak: the teacher was trained on {trained}, which this run tests.")
    chosen = _tested(module, loaded.chosen_on, loaded.chosen_on_trials)
    if chosen and OF_TEACHERS not in run.flags:
        raise LeakError(
            f"leak: the epoch of the teacher was chosen on {chosen}, which this run tests."
        )


def _tested(module: EmotionDataModule, subjects: Sequence[str], trials: Sequence[str]) -> list[str]:
    """Those of some subjects, or of their trials where subjects are on all sides, that are tested.

    No trials are all of them.
    """
    found = set(subjects) & set(module.split.test)
    if module.split.within and trials:
        found.clear()
    if module.split.trials is not None:
        found |= set(trials) & module.split.trials["test"]
    return sorted(found)


def rescaling(
    loaded: Predictor, module: EmotionDataModule
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What turns signals that are scaled for the student into those that the teacher knows.

    Returns:
        Shift and scale by signal, shape (C, 1) each: a teacher sees ``x * scale + shift``; empty
        where both take signals alike.
    """
    shift, scale = {}, {}
    for name in loaded.inputs.keys() - {LENGTH}:
        zero, one = torch.zeros(1, 1), torch.ones(1, 1)
        own = module.scaling
        m, s = (own.mean[name], own.std[name]) if own else (zero, one)
        mean, std = loaded.mean.get(name, zero), loaded.std.get(name, one)
        if not (torch.equal(m, mean) and torch.equal(s, std)):
            shift[name], scale[name] = (m - mean) / std, s / std
    return shift, scale


def _answers_for(asked: Run, module: EmotionDataModule) -> Tensor | None:
    """Training rows of those that an out-of-fold teacher has not seen; None: all."""
    if not asked.without:
        return None
    unseen = [module.subjects.index(subject) for subject in asked.without]
    subjects = torch.from_numpy(module.windows("train").subject)
    return torch.isin(subjects, torch.tensor(unseen)).nonzero().flatten()

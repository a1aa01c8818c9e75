"""Protocol flags: what published protocols do and the honest one refuses, each under its name.

A run without flags is honest. A flag lets one flaw pass the guard and is part of the run's id, of
its row and of its board; a run with any flag is never ranked. ``datamodules.flaws`` carries each
out. The effect of a flag is measured by setting it alone, beside an honest run of the same model on
the same windows (``affectbench run leak_audit``).
"""

from collections.abc import Collection, Iterable
from typing import Literal, get_args

from datamodules.errors import IncompatibleRunError

Flag = Literal[
    "random_windows",
    "random_trials",
    "same_stimuli",
    "oversample_before_split",
    "scale_on_all",
    "labels_from_all_ratings",
    "pad_reveals_length",
    "select_on_test",
    "teacher_selected_on_test",
    "report_best_epoch",
    "report_mean_over_epochs",
]
FLAGS: tuple[Flag, ...] = get_args(Flag)

ABOUT: dict[Flag, str] = {
    "random_windows": "windows of all subjects are dealt out at random, so that windows of one "
    "trial, and windows that overlap, are on both sides; each window is tested once",
    "random_trials": "trials of all subjects are dealt out at random, so that the people who are "
    "tested are trained on; each trial is tested once",
    "same_stimuli": "the tested stimuli are trained on too, in the responses of the people who are "
    "trained on; as many other stimuli are left out, so that training sets stay as large",
    "oversample_before_split": "windows of rarer classes are repeated before windows are dealt "
    "out, so that copies of tested windows are trained on; a copy is not tested",
    "scale_on_all": "mean and standard deviation of the signals are those of all subjects",
    "labels_from_all_ratings": "the threshold between low and high of each subject comes from all "
    "ratings of that subject, tested ones too",
    "pad_reveals_length": "whole trials are filled up to the longest, with no mask, so that the "
    "amount of padding tells which trial it is",
    "select_on_test": "the epoch that counts is the best one on the test part; the subjects who "
    "would choose it are not used, so that training sets stay the same",
    "teacher_selected_on_test": "the epoch of the teachers is the best one on the test part",
    "report_best_epoch": "tested after every epoch, and the epoch with the best macro F1 counts",
    "report_mean_over_epochs": "tested after every epoch, and the mean of its scores counts",
}
"""Description of each flag, as on the head of a board."""

SHUFFLED: tuple[Flag, ...] = ("random_windows", "random_trials")
"""Flags that deal out anew who is trained on and tested; the split gives the number of folds."""
REPORTED: tuple[Flag, ...] = ("report_best_epoch", "report_mean_over_epochs")
"""Flags under which the test part is read while the model is fitted."""
OF_EPOCHS: tuple[Flag, ...] = ("select_on_test", *REPORTED)
"""Flags that mean nothing to a model without epochs."""
OF_TEACHERS: Flag = "teacher_selected_on_test"


def known_flags(names: Iterable[str]) -> tuple[Flag, ...]:
    """Return flags in the order of FLAGS, each once.

    Raises:
        IncompatibleRunError: A name that is no flag.
    """
    names = set(names)
    if strangers := sorted(names - set(FLAGS)):
        raise IncompatibleRunError(
            f"expected protocol flags among {', '.join(FLAGS)}, found {', '.join(strangers)}"
        )
    return tuple(flag for flag in FLAGS if flag in names)


def teacher_flags(flags: Collection[Flag]) -> tuple[Flag, ...]:
    """Return the flags of a run's teachers: those of the data, and the choice of their epoch."""
    kept = [flag for flag in flags if flag not in (*OF_EPOCHS, OF_TEACHERS)]
    return known_flags([*kept, *(["select_on_test"] if OF_TEACHERS in flags else [])])

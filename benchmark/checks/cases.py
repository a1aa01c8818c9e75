"""Cases of the self-test: white noise with something planted in it, and what is run on it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.plan.suite import Distillation, Suite
from benchmark.run import Value
from datamodules.flags import OF_TEACHERS, Flag
from datamodules.protocol import Protocol

DRAWS, FEWER = 20, 5
"""Number of draws of noise in which there is nothing to be found; fewer where runs are long."""
WINDOWS: Mapping[str, Value] = {"window": 52.0, "stride": 52.0, "patience": None}
BRIEF: Mapping[str, Value] = {**WINDOWS, "max_epochs": 5, "lr": 1e-3}
"""Values of every network, in place of those of its recipe."""
NETWORKS = ("dnn", "lstm", "cnn", "cnn_lstm", "mlstm_fcn", "rtcan_1d")
"""Networks that take rows of noise; attention_lrcn and EmotionKD take signals of skin or pulse."""
EVERYBODY = ("lda", "random_forest", "subject_mean", "time", "prior", "majority", *NETWORKS)
HALVES: Mapping[str, Any] = {
    "splits": ("subject_hold_out",),
    "protocol": Protocol(test_share=0.5),
}
"""Half of the people is tested, by one model that has seen none of them. Where there is nothing to
be found, its scores of different people are then independent, whatever it says. In folds they are
not: people of two folds are trained on for each other, so that a chance likeness counts for both.
Of a probe that predicts one curve over time for everybody, 95 % intervals over people hold chance
in 95 % of draws in halves, but in 81 % (one person left out of 16) to 90 % (two folds of eight) in
folds, and intervals over means of folds do no better (tests/benchmark/checks/test_cases.py)."""
PADDED = ("length", "random_forest", "dnn")
PADDING: Mapping[str, Any] = {
    "recipes": {"dnn": {**WINDOWS, "max_epochs": 40}},
    "flaws": (("pad_reveals_length",),),
}


@dataclass(frozen=True)
class Case:
    """Noise with something planted in it, and the suite that is run on it.

    Args:
        name: Name of the case.
        planted: Options of the reader.
        fields: Fields of the suite.
        draws: Seeds of the noise. A case in which something has to be found has one, always the
            same; those of a case without have to be new ones.
    """

    name: str
    planted: Mapping[str, Value]
    fields: Mapping[str, Any] = field(default_factory=dict)
    draws: Sequence[int] = (0,)

    def suites(self) -> Iterator[Suite]:
        """Yield one suite for each draw."""
        common = {"tasks": ("emotion",), "splits": ("subject_k_fold",), "recipe": "fast"}
        for draw in self.draws:
            options = {"noise": {"n_subjects": 8, **self.planted, "seed": draw}}
            yield Suite(self.name, ("noise",), options=options, **{**common, **self.fields})


def draws_of(release: str, name: str, count: int) -> tuple[int, ...]:
    """Return seeds of noise that nobody has chosen: they follow from the version.

    Args:
        release: Version of this project.
        name: Name of the case.
        count: Number of seeds.
    """
    digest = hashlib.sha256(f"affectbench {release} {name}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    return tuple(rng.choice(2**31, count, replace=False).tolist())


def make_cases(release: str) -> dict[str, Case]:
    """Return all cases by name, with the draws of a version of this project."""
    cases = (
        Case(
            "null",
            {"n_subjects": 16, "equal": True},
            {"models": EVERYBODY, **HALVES, "recipes": dict.fromkeys(NETWORKS, BRIEF)},
            draws_of(release, "null", DRAWS),
        ),
        Case(
            "planted",
            {"effect": 3.0},
            {"models": ("lda", "random_forest", "dnn"), "protocol": Protocol(folds=2)},
        ),
        Case(
            "permuted",
            {"n_subjects": 16, "effect": 3.0, "permuted": True},
            {"models": ("lda", "random_forest"), **HALVES},
            draws_of(release, "permuted", DRAWS),
        ),
        Case(
            "lasting",
            {"lasting": 3.0},
            {
                "tasks": ("fear",),
                "models": ("random_forest",),
                "protocol": Protocol(folds=4),
                "flaws": (("random_windows",), ("random_windows", "oversample_before_split")),
            },
        ),
        Case(
            "personal",
            {"personal": 3.0},
            {"models": ("lda",), "protocol": Protocol(folds=4), "flaws": (("random_trials",),)},
        ),
        Case(
            "filmed",
            {"film": 3.0, "n_subjects": 12},
            {
                "splits": ("subject_stimulus_k_fold",),
                "models": ("lda",),
                "protocol": Protocol(folds=4, stimulus_folds=3),
                "flaws": (("same_stimuli",),),
            },
        ),
        Case(
            "rated",
            {"rated": 3.0},
            {
                "tasks": ("valence",),
                "models": ("lda",),
                "protocol": Protocol(folds=4),
                "flaws": (("labels_from_all_ratings",),),
            },
        ),
        Case(
            "artefact",
            {"effect": 3.0, "artefact": 30.0},
            {
                "models": ("dnn",),
                "splits": ("leave_one_subject_out",),
                "recipes": {"dnn": {**WINDOWS, "max_epochs": 10}},
                "flaws": (("scale_on_all",),),
            },
        ),
        Case(
            "chosen",
            {"n_subjects": 12, "equal": True},
            {
                "models": ("dnn",),
                "splits": ("leave_one_subject_out",),
                "recipes": {"dnn": {**WINDOWS, "max_epochs": 12}},
                "flaws": (
                    ("select_on_test",),
                    ("report_best_epoch",),
                    ("report_mean_over_epochs",),
                    (OF_TEACHERS,),
                ),
                "distillations": (Distillation("soft_targets", "dnn", "dnn"),),
            },
        ),
        Case(
            "films",
            {"n_subjects": 16},
            {"models": PADDED, "protocol": Protocol(folds=4), **PADDING},
        ),
        Case(
            "equal films",
            {"n_subjects": 16, "equal": True},
            {"models": PADDED, **HALVES, **PADDING},
            draws_of(release, "equal films", FEWER),
        ),
    )
    return {case.name: case for case in cases}


JUDGED: Mapping[Flag, tuple[str, str, str]] = {
    "random_windows": ("lasting", "random_forest", ""),
    "random_trials": ("personal", "lda", ""),
    "same_stimuli": ("filmed", "lda", ""),
    "oversample_before_split": ("lasting", "random_forest", "random_windows"),
    "scale_on_all": ("artefact", "dnn", ""),
    "labels_from_all_ratings": ("rated", "lda", ""),
    "pad_reveals_length": ("films", "dnn", ""),
    "select_on_test": ("chosen", "dnn", ""),
    "teacher_selected_on_test": ("chosen", "dnn-by_soft_targets-of_dnn", ""),
    "report_best_epoch": ("chosen", "dnn", ""),
    "report_mean_over_epochs": ("chosen", "dnn", ""),
}
"""Case and model on which a flag has to inflate, and the flags besides it."""

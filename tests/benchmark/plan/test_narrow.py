"""Narrowing: the part of a suite that was asked for is what is left of it."""

import dataclasses

import pytest

from benchmark.plan.narrow import narrowed
from benchmark.plan.suite import Distillation, Suite, SuiteError

PAIRS = (
    Distillation("soft_targets", "dnn", "lstm"),
    Distillation("soft_targets", "cnn", "lstm"),
)


def test_narrowed():
    suite = Suite("s", datasets=("synthetic", "wesad"), models=("lda", "cnn"), tasks=("stress",))
    assert narrowed(suite) == suite
    narrow = narrowed(
        suite, datasets=["wesad"], models=["cnn"], seeds=[3, 4], subjects=["S2"], splits=None
    )
    assert narrow == dataclasses.replace(
        suite, datasets=("wesad",), models=("cnn",), seeds=(3, 4), subjects=("S2",)
    )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"datasets": ["empatica_e4"]}, ["datasets 'empatica_e4'", "expected wesad"]),
        ({"models": ["cnn"]}, ["models 'cnn'", "expected lda"]),
        ({"models": ["majorty"]}, ["models 'majorty'", "did you mean majority?"]),
        ({"tasks": ["affect"]}, ["tasks 'affect'", "expected stress"]),
        ({"splits": ["loso"]}, ["'loso'"]),
        ({"seeds": [-2]}, ["-2"]),
    ],
    ids=repr,
)
def test_narrowed_to_what_the_suite_has_not(chosen, expected):
    suite = Suite("s", datasets=("wesad",), models=("lda", "majority"), tasks=("stress",))
    with pytest.raises(SuiteError) as caught:
        narrowed(suite, **chosen)
    for part in expected:
        assert part in str(caught.value)


def test_models_are_students_too():
    suite = Suite("s", models=("lda", "cnn"), distillations=PAIRS)
    narrow = narrowed(suite, models=["cnn"])
    assert narrow.models == ("cnn",)
    assert [pair.student for pair in narrow.distillations] == ["cnn"]
    narrow = narrowed(suite, models=["dnn"])
    assert narrow.models == ()
    assert [pair.student for pair in narrow.distillations] == ["dnn"]
    with pytest.raises(SuiteError, match="models 'lstm' is not known: expected lda, cnn, dnn"):
        narrowed(suite, models=["lstm"])


def test_all_and_found_can_be_narrowed_to_anything():
    suite = Suite("s", tasks=("all",))
    narrow = narrowed(suite, datasets=["wesad"], models=["cnn"], tasks=["affect"])
    assert (narrow.datasets, narrow.models, narrow.tasks) == (("wesad",), ("cnn",), ("affect",))
    with pytest.raises(SuiteError, match="did you mean wesad"):
        narrowed(suite, datasets=["wesed"])


def test_first_task_can_be_narrowed_to_any():
    assert narrowed(Suite("s"), tasks=["affect"]).tasks == ("affect",)


def test_parts_keep_what_they_have_of_it():
    parts = ({"models": ("cnn",), "tasks": ("stress",)}, {"models": ("dnn",)})
    suite = Suite("s", ("wesad",), tasks=("affect",), models=("cnn", "dnn"), parts=parts)
    assert narrowed(suite, tasks=["affect"]).parts == ({"models": ("dnn",)},)
    with pytest.raises(SuiteError, match="none of its parts"):
        narrowed(suite, tasks=["affect"], models=["cnn"])


def test_parts_without_models_or_students_fall_away():
    parts = (
        {"models": ("all",), "distillations": PAIRS},
        {"models": ("lda",), "distillations": ()},
        {"seeds": (1,)},
    )
    suite = Suite("s", models=("majority",), distillations=PAIRS[:1], parts=parts)
    first, last = narrowed(suite, models=["dnn"]).parts
    assert first == {"models": ("dnn",), "distillations": PAIRS[:1]}
    assert last == {"models": (), "distillations": PAIRS[:1], "seeds": (1,)}


def test_open_fields_replace_those_of_parts_too():
    suite = Suite("s", models=("cnn",), seeds=(0,), parts=({"seeds": (1, 2)}, {"folds": 3}))
    narrow = narrowed(suite, seeds=[7])
    assert (narrow.seeds, narrow.parts) == ((7,), ({"seeds": (7,)}, {"folds": 3}))
    assert [arm.seeds for arm in narrow.arms()] == [(7,), (7,)]

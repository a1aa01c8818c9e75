"""Run: what went in comes out, it is named after what it does, and it needs no torch."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmark.probes.catalogue import ProbeRecipe
from benchmark.run import Run
from datamodules.protocol import Protocol
from datamodules.splits import SPLITS, Dealing
from lightning_modules.recipe import Recipe

RUN = Run(
    dataset="wesad",
    task="stress",
    protocol=Protocol(),
    fold=2,
    seed=1,
    model="cnn",
    signals=("eda", "bvp"),
    subjects=("S2", "S3", "S4"),
    data="0123456789abcdef",
    recipe=Recipe("a paper"),
)
FULL = replace(
    RUN,
    protocol=Protocol(folds=4, rule="kmeans", padding="edge", mask=True, flags=("scale_on_all",)),
    options=(("effect", 0.5), ("n_subjects", 3)),
    recipe=Recipe("another paper", lr=0.1, patience=None, scaling="none"),
    kind="fast",
    changed=("lr",),
    arguments=(("layers", "study_1"),),
    code="abcdefabcdef",
)
TEACHER = replace(
    RUN, model="lstm", signals=("bvp", "eda"), recipe=Recipe("its paper", lr=0.3, window=20.0)
)
TAUGHT = replace(
    FULL,
    distiller="soft_targets",
    distillation=(("soft", 0.5), ("temperature", 2.0)),
    teachers=tuple(replace(TEACHER, without=names) for names in (("S3",), ("S4",))),
    alone=RUN.id,
)
PROBE = replace(RUN, model="lda", recipe=ProbeRecipe(stride=15.0))


# --- as plain values


@pytest.mark.parametrize("run", [RUN, FULL, TAUGHT, PROBE], ids=["short", "full", "taught", "lda"])
def test_run_round_trip(run):
    again = Run.from_dict(json.loads(json.dumps(run.as_dict())))
    assert again == run
    assert again.id == run.id
    assert hash(again) == hash(run)
    assert type(again.recipe) is type(run.recipe)
    assert all(isinstance(teacher, Run) for teacher in again.teachers)
    assert [teacher.id for teacher in again.teachers] == [t.id for t in run.teachers]


def test_values_that_an_older_file_lacks_are_the_defaults():
    values = {
        **{name: getattr(RUN, name) for name in ("dataset", "task", "fold", "seed", "model")},
        **{name: getattr(RUN, name) for name in ("signals", "subjects", "data")},
        "protocol": {},
        "recipe": {"source": "a paper"},
    }
    again = Run.from_dict(json.loads(json.dumps(values)))
    assert again == RUN
    assert again.id == RUN.id


def test_run_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUN.fold = 3  # type: ignore[misc]


# --- names


@pytest.mark.parametrize(
    ("changes", "board"),
    [
        ({}, "wesad__stress__leave_one_subject_out"),
        ({"task": "affect"}, "wesad__affect__leave_one_subject_out"),
        ({"protocol": Protocol("subject_hold_out")}, "wesad__stress__subject_hold_out"),
        ({"protocol": Protocol("subject_k_fold")}, "wesad__stress__subject_5_fold"),
        ({"protocol": Protocol("subject_k_fold", 3)}, "wesad__stress__subject_3_fold"),
        (
            {"options": (("effect", 0.0), ("n_subjects", 6))},
            "wesad_effect_0_n_subjects_6__stress__leave_one_subject_out",
        ),
        ({"options": (("effect", 0.5),)}, "wesad_effect_0.5__stress__leave_one_subject_out"),
        ({"options": (("study", True),)}, "wesad_study_1__stress__leave_one_subject_out"),
        ({"fold": 0, "seed": 9, "model": "lda"}, "wesad__stress__leave_one_subject_out"),
        ({"protocol": Protocol(rule="median")}, "wesad__stress_median__leave_one_subject_out"),
        (
            {"protocol": Protocol(padding="zero")},
            "wesad__stress_zero_padded__leave_one_subject_out",
        ),
        (
            {"protocol": Protocol(rule="kmeans", padding="edge", mask=True)},
            "wesad__stress_kmeans_edge_padded_masked__leave_one_subject_out",
        ),
        ({"protocol": Protocol("trial_k_fold", 3)}, "wesad__stress__trial_3_fold"),
        (
            {"protocol": Protocol("subject_stimulus_k_fold")},
            "wesad__stress__subject_stimulus_5_fold",
        ),
        (
            {"protocol": Protocol("subject_stimulus_k_fold", 3, stimulus_folds=5)},
            "wesad__stress__subject_stimulus_3_by_5_fold",
        ),
        ({"protocol": Protocol("session_out", 3)}, "wesad__stress__session_out"),
        (
            {"protocol": Protocol("subject_hold_out", test_share=0.3, validation=False)},
            "wesad__stress__subject_hold_out_of_0.3_without_validation",
        ),
        (
            {"protocol": Protocol(score_windows=True, flags=("select_on_test",))},
            "wesad__stress__leave_one_subject_out_by_window__with_select_on_test",
        ),
        (
            {"protocol": Protocol(flags=("select_on_test", "random_trials"))},
            "wesad__stress__leave_one_subject_out__with_random_trials_and_select_on_test",
        ),
        (
            {"distiller": "features", "teachers": (TEACHER,), "without": ("S2",), "alone": "x"},
            "wesad__stress__leave_one_subject_out",
        ),
        ({"code": "x", "data": "y"}, "wesad__stress__leave_one_subject_out"),
        (
            {"brought": (("bvp", 32.5, ""), ("acc", 0.0, "1/64 g"), ("eda", 4.0, "uS"))},
            "wesad_bvp_at_32.5_Hz_acc_in_1_per_64_g_eda_at_4_Hz_in_uS__stress"
            "__leave_one_subject_out",
        ),
    ],
)
def test_board(changes, board):
    assert replace(RUN, **changes).board == board


def test_each_value_of_a_protocol_makes_a_board_of_its_own():
    values = {
        "split": "session_out",
        "rule": "median",
        "padding": "zero",
        "test_share": 0.3,
        "validation": False,
        "score_windows": True,
        "flags": ("random_windows",),
        "corruption": "eda_detached",
    }
    protocols = [Protocol(**{name: value}) for name, value in values.items()]
    protocols += [Protocol(), Protocol(padding="zero", mask=True), Protocol("subject_k_fold", 4)]
    protocols += [Protocol("subject_stimulus_k_fold", stimulus_folds=n) for n in (3, 4)]
    protocols += [Protocol("subject_k_fold", 4, partitions=n) for n in (2, 3)]
    protocols += [
        Protocol(calibration=c) for c in ("baseline", "baseline:2", "unlabelled", "whole")
    ]
    counts = {"mask", "folds", "stimulus_folds", "partitions", "version"}
    assert {*values, *counts, "calibration"} == {f.name for f in dataclasses.fields(Protocol)}
    assert len({replace(RUN, protocol=protocol).board for protocol in protocols}) == len(protocols)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "cnn"),
        ({"distiller": "label_smoothing"}, "cnn-by_label_smoothing"),
        ({"distiller": "features", "teachers": (TEACHER,)}, "cnn-by_features-of_lstm"),
        ({"distiller": "features", "teachers": (TEACHER,) * 3}, "cnn-by_features-of_lstm"),
        ({"without": ("S3",)}, "cnn"),
    ],
)
def test_name_is_of_the_model_and_what_taught_it(changes, name):
    assert replace(RUN, **changes).name == name


def test_folder_is_of_the_board_the_model_and_the_run():
    assert RUN.folder == f"wesad__stress__leave_one_subject_out/cnn/2-1-{RUN.id}"
    board = (
        "wesad_effect_0.5_n_subjects_3__stress_kmeans_edge_padded_masked__leave_one_subject_out"
        "__with_scale_on_all"
    )
    assert TAUGHT.folder == f"{board}/cnn-by_soft_targets-of_lstm/2-1-{TAUGHT.id}"
    assert TAUGHT.label == f"{board} cnn-by_soft_targets-of_lstm fold 2 seed 1"
    one, other = TAUGHT.teachers
    assert one.folder != other.folder


@pytest.mark.parametrize(
    ("run", "label"),
    [
        (RUN, "published"),
        (FULL, "fast layers=study_1 lr=0.1"),
        (TAUGHT, "fast layers=study_1 soft=0.5 temperature=2.0 lr=0.1"),
        (replace(PROBE, changed=("stride",)), "published stride=15.0"),
        (
            replace(FULL, arguments=(("lr", 3),)),  # of the model, not of its recipe
            "fast lr=3 lr=0.1",
        ),
    ],
)
def test_recipe_label_is_what_was_changed(run, label):
    assert run.recipe_label == label


@pytest.mark.parametrize("split", SPLITS)
def test_folds_are_those_of_the_splits(split):
    subjects = tuple(f"S{i}" for i in range(9))
    run = replace(RUN, protocol=Protocol(split, folds=4), subjects=subjects)
    assert run.n_folds == SPLITS[split].n_folds(9, Dealing(0, 0, 4))


@pytest.mark.parametrize(
    ("split", "count"),
    [("leave_one_subject_out", 3), ("subject_hold_out", 1), ("subject_k_fold", 2)],
)
def test_windows_that_are_dealt_out_at_random_need_no_more_subjects(split, count):
    protocol = Protocol(split, folds=2, flags=("random_windows",))
    assert replace(RUN, protocol=protocol).n_folds == count


# --- imports


def loaded_by(module: str) -> set[str]:
    """Return the modules that a fresh process has loaded after it imported one."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "lightning", "torchmetrics", "sklearn", "pandas.core", "scipy.stats"}
"""A library that is imported lazily is listed before it is loaded; then a part of it shows."""


@pytest.mark.parametrize(
    "module",
    ["benchmark.run", "benchmark.plan.suite", "benchmark.plan.parse", "benchmark.plan.narrow"],
)
def test_runs_and_suites_need_nothing_that_takes_long_to_load(module):
    loaded = loaded_by(module)
    assert module in loaded
    assert not loaded & HEAVY


def test_what_takes_long_to_load_would_be_seen():
    assert {"torch", "lightning", "sklearn", "pandas.core"} <= loaded_by(
        "benchmark.plan.expand, sklearn, pandas"
    )

"""Run: equal ids mean equal work, and every field is work. Result: what went in comes out."""

import dataclasses
import hashlib
import json

import pytest

from benchmark.result import Result
from benchmark.run import PROTOCOL, Run
from datamodules.splits import HOLD_OUT_SHARE, SPLITS, n_folds

RUN = Run(
    dataset="wesad",
    task="stress",
    split="leave_one_subject_out",
    fold=2,
    seed=1,
    model="cnn",
    signals=("eda", "bvp"),
    subjects=("S2", "S3", "S4"),
    data="0123456789abcdef",
)
OTHERS = {
    "dataset": "synthetic",
    "task": "affect",
    "split": "subject_hold_out",
    "fold": 3,
    "seed": 2,
    "model": "lda",
    "signals": ("bvp", "eda"),
    "subjects": ("S2", "S3"),
    "data": "fedcba9876543210",
    "folds": 4,
    "options": (("effect", 0.0),),
    "recipe": (("lr", 0.1),),
    "kind": "fast",
    "changed": ("lr",),
    "arguments": (("layers", "study_1"),),
    "rule": "median",
    "padding": "zero",
    "mask": True,
    "distiller": "soft_targets",
    "distillation": (("temperature", 2.0),),
    "teachers": (RUN,),
    "without": ("S3",),
    "alone": "0123456789ab",
    "flags": ("random_windows",),
    "test_share": 0.3,
    "validation": False,
    "score_windows": True,
    "protocol": PROTOCOL + 1,
}
FULL = dataclasses.replace(
    RUN,
    folds=4,
    options=(("effect", 0.5), ("n_subjects", 3)),
    recipe=(("lr", 0.1), ("patience", None), ("scaling", "none")),
    kind="fast",
    changed=("lr",),
    arguments=(("layers", "study_1"),),
    rule="kmeans",
    padding="edge",
    mask=True,
)
TEACHER = dataclasses.replace(RUN, model="lstm", signals=("bvp", "eda"), recipe=(("lr", 0.3),))
TAUGHT = dataclasses.replace(
    FULL,
    distiller="soft_targets",
    distillation=(("soft", 0.5), ("temperature", 2.0)),
    teachers=tuple(dataclasses.replace(TEACHER, without=names) for names in (("S3",), ("S4",))),
    alone=RUN.id,
)


def test_every_field_has_another_value_here():
    assert list(OTHERS) == [field.name for field in dataclasses.fields(Run)]


@pytest.mark.parametrize("name", OTHERS)
def test_id_depends_on_every_field(name):
    assert dataclasses.replace(RUN, **{name: OTHERS[name]}).id != RUN.id


def test_ids_are_all_different():
    runs = [dataclasses.replace(RUN, **{name: value}) for name, value in OTHERS.items()]
    assert len({run.id for run in [RUN, *runs]}) == len(OTHERS) + 1


def test_equal_runs_have_equal_ids():
    again = Run(**{field.name: getattr(RUN, field.name) for field in dataclasses.fields(Run)})
    assert again is not RUN
    assert again == RUN
    assert again.id == RUN.id
    assert hash(again) == hash(RUN)


def test_field_at_its_default_does_not_count():
    asked = {
        "data": "0123456789abcdef",
        "dataset": "wesad",
        "fold": 2,
        "model": "cnn",
        "protocol": PROTOCOL,
        "seed": 1,
        "signals": ["eda", "bvp"],
        "split": "leave_one_subject_out",
        "subjects": ["S2", "S3", "S4"],
        "task": "stress",
    }
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    assert RUN.id == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_protocol_counts_even_at_its_default():
    text = json.dumps(RUN.as_dict())
    assert f'"protocol": {PROTOCOL}' in text
    bumped = dataclasses.replace(RUN, protocol=PROTOCOL + 1)
    assert bumped.id != RUN.id
    assert bumped.board == RUN.board


def test_teachers_count_by_their_ids():
    ids = {RUN.id, TAUGHT.id}
    ids.add(dataclasses.replace(TAUGHT, teachers=TAUGHT.teachers[::-1]).id)
    for name, value in OTHERS.items():
        other = dataclasses.replace(TEACHER, **{name: value})
        ids.add(dataclasses.replace(TAUGHT, teachers=(other,)).id)
    assert len(ids) == 3 + len(OTHERS)
    asked = {
        **{name: getattr(RUN, name) for name in ("dataset", "task", "split", "fold", "seed")},
        **{name: getattr(RUN, name) for name in ("model", "signals", "subjects", "data")},
        "protocol": PROTOCOL,
        "distiller": "features",
        "teachers": [TEACHER.id],
    }
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    run = dataclasses.replace(RUN, distiller="features", teachers=(TEACHER,))
    assert run.id == hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.mark.parametrize("run", [RUN, FULL, TAUGHT], ids=["short", "full", "taught"])
def test_run_round_trip(run):
    again = Run.from_dict(json.loads(json.dumps(run.as_dict())))
    assert again == run
    assert again.id == run.id
    assert hash(again) == hash(run)
    assert all(isinstance(teacher, Run) for teacher in again.teachers)
    assert [teacher.id for teacher in again.teachers] == [t.id for t in run.teachers]


def test_run_of_before_there_were_distillers_reads_back():
    later = ("rule", "padding", "mask", "distiller", "distillation", "teachers", "without", "alone")
    values = {name: value for name, value in RUN.as_dict().items() if name not in later}
    again = Run.from_dict(json.loads(json.dumps(values)))
    assert again == RUN
    assert again.id == RUN.id


@pytest.mark.parametrize(
    "result",
    [
        Result(RUN, "failed", error="ValueError: no", traceback="Traceback\n  ...\n"),
        Result(
            TAUGHT,
            "done",
            scores={"S4": {"macro_f1": 1 / 3, "mcc": -0.25}},
            n_units={"S4": 7},
            units={"S4": "abc"},
            confusion={"S4": [[1, 2], [3, 1]]},
            parameters=12,
            efficiency={"macs": 99.0, "latency_ms": 0.25, "cpu_latency_ms": 0.5},
            seconds={"prepare": 0.5, "train": 1.25, "predict": 0.125},
            peak_memory=5,
            epochs=(20, 7),
            device="cpu",
            threads=2,
            versions={"torch": "2"},
            commit="abc+",
            raw="def",
            notes=("one", "two"),
        ),
    ],
    ids=["failed", "done"],
)
def test_result_round_trip(result):
    values = json.loads(json.dumps(result.as_dict()))
    assert values["id"] == result.run.id
    again = Result.from_dict(values)
    assert again == result
    assert again.run.id == result.run.id


def test_every_field_of_a_result_comes_back():
    values = Result(RUN, "done").as_dict()
    assert set(values) == {field.name for field in dataclasses.fields(Result)} | {"id"}


@pytest.mark.parametrize(
    ("changes", "board"),
    [
        ({}, "wesad__stress__leave_one_subject_out"),
        ({"task": "affect"}, "wesad__affect__leave_one_subject_out"),
        ({"split": "subject_hold_out"}, "wesad__stress__subject_hold_out"),
        ({"split": "subject_k_fold"}, "wesad__stress__subject_5_fold"),
        ({"split": "subject_k_fold", "folds": 3}, "wesad__stress__subject_3_fold"),
        (
            {"options": (("effect", 0.0), ("n_subjects", 6))},
            "wesad_effect_0_n_subjects_6__stress__leave_one_subject_out",
        ),
        ({"options": (("effect", 0.5),)}, "wesad_effect_0.5__stress__leave_one_subject_out"),
        ({"fold": 0, "seed": 9, "model": "lda"}, "wesad__stress__leave_one_subject_out"),
        ({"rule": "median"}, "wesad__stress_median__leave_one_subject_out"),
        ({"padding": "zero"}, "wesad__stress_zero_padded__leave_one_subject_out"),
        (
            {"rule": "kmeans", "padding": "edge", "mask": True},
            "wesad__stress_kmeans_edge_padded_masked__leave_one_subject_out",
        ),
        ({"split": "trial_k_fold", "folds": 3}, "wesad__stress__trial_3_fold"),
        ({"split": "subject_stimulus_k_fold"}, "wesad__stress__subject_stimulus_5_fold"),
        ({"split": "session_out", "folds": 3}, "wesad__stress__session_out"),
        (
            {"split": "subject_hold_out", "test_share": 0.3, "validation": False},
            "wesad__stress__subject_hold_out_of_0.3_without_validation",
        ),
        (
            {"score_windows": True, "flags": ("select_on_test",)},
            "wesad__stress__leave_one_subject_out_by_window__with_select_on_test",
        ),
        (
            {"distiller": "features", "teachers": (TEACHER,), "without": ("S2",), "alone": "x"},
            "wesad__stress__leave_one_subject_out",
        ),
    ],
)
def test_board(changes, board):
    assert dataclasses.replace(RUN, **changes).board == board


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
    assert dataclasses.replace(RUN, **changes).name == name


def test_folder_is_of_the_board_the_model_and_the_run():
    assert RUN.folder == f"wesad__stress__leave_one_subject_out/cnn/2-1-{RUN.id}"
    board = "wesad_effect_0.5_n_subjects_3__stress_kmeans_edge_padded_masked__leave_one_subject_out"
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
        (
            dataclasses.replace(FULL, arguments=(("lr", 3),)),  # of the model, not of its recipe
            "fast lr=3 lr=0.1",
        ),
    ],
)
def test_recipe_label_is_what_was_changed(run, label):
    assert run.recipe_label == label


def test_run_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUN.fold = 3  # type: ignore[misc]


def test_a_hold_out_tests_what_the_splits_say():
    assert RUN.test_share == HOLD_OUT_SHARE


@pytest.mark.parametrize("split", SPLITS)
def test_folds_are_those_of_the_splits(split):
    subjects = tuple(f"S{i}" for i in range(9))
    run = Run("wesad", "stress", split, 0, 0, "cnn", ("eda",), subjects, "a", folds=4)
    assert run.n_folds == n_folds(split, 9, 4)

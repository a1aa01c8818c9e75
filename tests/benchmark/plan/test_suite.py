"""Suite: values that no suite can have are refused by name; changes give another suite."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmark.plan.suite import (
    Distillation,
    Suite,
    SuiteError,
    as_its_default,
    every_model,
    known_names,
    reader_options,
    with_values,
)
from benchmark.probes.catalogue import PROBES, Probe
from datamodules.catalogue import DATASETS
from datamodules.protocol import Protocol
from datamodules.splits import SPLITS
from datamodules.synthetic import SYNTHETIC
from lightning_modules.catalogue import MODELS

PAIR = Distillation("soft_targets", "dnn", "lstm")


def test_probes_and_models_share_no_name():
    assert not set(PROBES) & set(MODELS)
    assert all(isinstance(probe, Probe) for probe in PROBES.values())
    assert (*MODELS, *PROBES) == every_model()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"datasets": ("wesed",)}, ["suite s: dataset 'wesed'", "did you mean wesad?"]),
        ({"models": ("random_forrest",)}, ["'random_forrest'", "did you mean random_forest?"]),
        ({"tasks": ("stres",)}, ["task 'stres'", "did you mean stress?"]),
        ({"splits": ("loso",)}, ["split 'loso'", "leave_one_subject_out"]),
        ({"recipe": "quick"}, ["recipe 'quick'", "published, fast"]),
        ({"recipes": {"cnnn": {}}}, ["recipe of model 'cnnn'", "did you mean cnn?"]),
        ({"recipes": {"cnn": {"rate": 1}}}, ["recipe of cnn: 'rate'", "lr"]),
        ({"recipes": {"lda": {"lr": 0.1}}}, ["recipe of lda: 'lr'", "window, stride"]),
        ({"options": {"wesed": {}}}, ["options of dataset 'wesed'", "did you mean wesad?"]),
        ({"arguments": {"ldb": {}}}, ["arguments of model 'ldb'", "did you mean lda"]),
        ({"flaws": (("random_window",),)}, ["flaw 'random_window'", "did you mean random_windows"]),
        ({"seeds": (-1,)}, ["seeds from 0 to 4294967295", "found -1"]),
        ({"seeds": (2**32,)}, [f"found {2**32}"]),
        ({"datasets": ()}, ["at least one of datasets"]),
        ({"splits": ()}, ["at least one of splits"]),
        ({"models": ()}, ["at least one of models"]),
        ({"seeds": ()}, ["at least one of seeds"]),
    ],
    ids=repr,
)
def test_bad_value(fields, expected):
    with pytest.raises(SuiteError) as caught:
        Suite("s", **fields)
    for part in expected:
        assert part in str(caught.value)


def test_distillations_do_for_models():
    assert Suite("s", models=(), distillations=(PAIR,)).models == ()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("soft_target", "dnn"), ["distiller 'soft_target'", "did you mean soft_targets?"]),
        (("soft_targets", "dnm"), ["model 'dnm'", "did you mean dnn?"]),
        (("soft_targets", "dnn", "lstn"), ["model 'lstn'", "did you mean lstm?"]),
        (("soft_targets", "dnn", "lda"), ["model 'lda'"]),
    ],
    ids=repr,
)
def test_bad_distillation(names, expected):
    with pytest.raises(SuiteError) as caught:
        Distillation(*names)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"protocol": Protocol(padding="zero")}, ["suite s: padding", "add mask: true"]),
        ({"protocol": Protocol(score_windows=True)}, ["score_windows", "protocol flags beside"]),
        (
            {
                "protocol": Protocol(flags=("random_trials",)),
                "distillations": (dataclasses.replace(PAIR, out_of_fold=2),),
            },
            ["out-of-fold teachers", "random_windows and random_trials"],
        ),
        (
            {"protocol": Protocol(flags=("random_trials",)), "splits": ("default", "session_out")},
            ["suite s: protocol flags random_trials", "found session_out"],
        ),
        ({"flaws": (("random_windows", "random_trials"),)}, ["suite s: ", "exclude each other"]),
        ({"flaws": (("random_trials",),), "splits": ("session_out",)}, ["found session_out"]),
        ({"parts": ({"padding": "zero"},)}, ["add mask: true"]),
        ({"parts": ({"mask": True},)}, ["expected padding where there is a mask, found none"]),
        ({"parts": ({"splits": ("loso",)},)}, ["split 'loso'"]),
    ],
    ids=repr,
)
def test_protocol_that_contradicts_itself_or_the_suite(fields, expected):
    with pytest.raises(SuiteError) as caught:
        Suite("s", **fields)
    for part in expected:
        assert part in str(caught.value)


def test_protocol_of_parts_alone_counts_where_there_are_parts():
    parts = ({"mask": True}, {"flags": ("pad_reveals_length",)})
    suite = Suite("s", protocol=Protocol(padding="edge"), parts=parts)
    protocols = [(arm.protocol.padding, arm.protocol.mask) for arm in suite.arms()]
    assert protocols == [("edge", True), ("edge", False)]


@pytest.mark.parametrize("split", SPLITS)
def test_protocol_of_a_split(split):
    suite = Suite("s", protocol=Protocol(folds=3, validation=False))
    assert suite.protocol_of(split) == Protocol(split, 3, validation=False)


# --- arms


def test_arms_are_the_suite_and_each_flaw_with_what_it_needs():
    flaws = (("random_trials",), ("labels_from_all_ratings",))
    suite = Suite("s", protocol=Protocol(flags=("select_on_test",)), flaws=flaws)
    arms = list(suite.arms())
    assert [(arm.protocol.flags, arm.protocol.rule) for arm in arms] == [
        (("select_on_test",), "midpoint"),
        (("random_trials", "select_on_test"), "midpoint"),
        (("select_on_test",), "median"),
        (("labels_from_all_ratings", "select_on_test"), "median"),
    ]
    assert all(arm.flaws == () for arm in arms)


def test_rule_of_the_suite_is_kept_under_a_flaw_about_labels():
    suite = Suite("s", protocol=Protocol(rule="kmeans"), flaws=(("labels_from_all_ratings",),))
    assert [arm.protocol.rule for arm in suite.arms()] == ["kmeans", "kmeans"]


@pytest.mark.parametrize(
    ("protocol", "arms"),
    [
        (Protocol(), [(None, False), ("zero", False)]),
        (Protocol(padding="mean", mask=True), [("mean", True), ("mean", False)]),
    ],
)
def test_flaw_about_padding_pads_without_a_mask(protocol, arms):
    suite = Suite("s", protocol=protocol, flaws=(("pad_reveals_length",),))
    assert [(arm.protocol.padding, arm.protocol.mask) for arm in suite.arms()] == arms


def test_parts_replace_fields_and_values_of_the_protocol():
    parts = ({"seeds": (1, 2), "rule": "median"}, {"models": ("lda",), "folds": 3})
    suite = Suite("s", models=("cnn",), seeds=(3,), protocol=Protocol(rule="kmeans"), parts=parts)
    assert [(arm.models, arm.seeds, arm.protocol, arm.parts) for arm in suite.arms()] == [
        (("cnn",), (1, 2), Protocol(rule="median"), ()),
        (("lda",), (3,), Protocol(rule="kmeans", folds=3), ()),
    ]


def test_each_part_has_each_flaw():
    parts = ({"seeds": (1,)}, {"seeds": (2,)})
    suite = Suite("s", flaws=(("select_on_test",),), parts=parts)
    assert [(arm.seeds, arm.protocol.flags) for arm in suite.arms()] == [
        ((1,), ()),
        ((1,), ("select_on_test",)),
        ((2,), ()),
        ((2,), ("select_on_test",)),
    ]


# --- changes


def test_with_protocol():
    suite = Suite("s", seeds=(4,), protocol=Protocol(rule="median"))
    assert suite.with_protocol(folds=3) == Suite(
        "s", seeds=(4,), protocol=Protocol(rule="median", folds=3)
    )
    with pytest.raises(SuiteError, match=r"suite s: .*at least 2 folds, found 1"):
        suite.with_protocol(folds=1)


@pytest.mark.parametrize(
    ("values", "padding"),
    [
        ({"flags": ("pad_reveals_length",)}, "zero"),
        ({"flags": ("pad_reveals_length",), "padding": "edge"}, "edge"),
        ({"flags": ("select_on_test",)}, None),
    ],
)
def test_flag_about_padding_pads_with_zeros_unless_said(values, padding):
    assert with_values(Protocol(), values, "s").padding == padding


def test_flags_are_sorted_and_checked():
    flags = ("select_on_test", "random_trials")
    assert with_values(Protocol(), {"flags": flags}, "s").flags == flags[::-1]
    with pytest.raises(SuiteError, match=r"suite s: .*found random_window$"):
        with_values(Protocol(), {"flags": ("random_window",)}, "s")


def test_with_max_epochs_changes_every_model_in_every_part():
    recipes = {"cnn": {"lr": 0.5, "max_epochs": 9}}
    part = {"recipes": {"dnn": {"lr": 0.1}, "lda": {"window": 5.0}}}
    suite = Suite("s", recipes=recipes, parts=(part, {"seeds": (1,)})).with_max_epochs(2)
    assert set(suite.recipes) == set(MODELS)
    assert suite.recipes["cnn"] == {"lr": 0.5, "max_epochs": 2}
    one, other = suite.parts
    assert one["recipes"]["dnn"] == {"lr": 0.1, "max_epochs": 2}
    assert one["recipes"]["lda"] == {"window": 5.0}
    assert other == {"seeds": (1,)}
    assert recipes == {"cnn": {"lr": 0.5, "max_epochs": 9}}


def test_with_option_keeps_the_others():
    suite = Suite("s", options={"synthetic": {"phase": 60.0}, "wesad": {}})
    assert suite.with_option("synthetic", "effect", 0.0).options == {
        "synthetic": {"phase": 60.0, "effect": 0.0},
        "wesad": {},
    }
    assert suite.options["synthetic"] == {"phase": 60.0}


# --- datasets


def test_datasets_that_are_found(tmp_path):
    (tmp_path / "WESAD").mkdir()
    (tmp_path / "stress_predict").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "empatica_e4").write_text("a file")
    assert Suite("s").dataset_names(tmp_path) == ("wesad", "stress_predict")
    assert Suite("s", datasets=("synthetic",)).dataset_names(tmp_path) == ("synthetic",)


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_no_dataset_is_found(tmp_path: Path, folder: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SuiteError, match="no dataset in") as caught:
        Suite("s").dataset_names(tmp_path / folder)
    assert "wesad" in str(caught.value)
    assert "synthetic" not in str(caught.value)


# --- options of readers


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_subject": 3}, "did you mean n_subjects?"),
        ({"root": "elsewhere"}, "'root'"),
        ({"n_subjects": "many"}, "found 'many'"),
        ({"n_subjects": 2.5}, "found 2.5"),
        ({"n_subjects": True}, "found True"),
        ({"effect": "large"}, "found 'large'"),
        ({"effect": None}, "found None"),
    ],
    ids=repr,
)
def test_bad_option(options, expected):
    with pytest.raises(SuiteError, match="Synthetic: ") as caught:
        reader_options(SYNTHETIC, options)
    assert expected in str(caught.value)


def test_options_are_those_that_differ_however_they_are_written():
    assert reader_options(SYNTHETIC, {}) == ()
    assert reader_options(SYNTHETIC, {"n_subjects": 4, "effect": 1}) == ()
    (phase,) = reader_options(SYNTHETIC, {"phase": 60, "n_subjects": 4})
    assert phase == ("phase", 60.0)
    assert type(phase[1]) is float
    named = reader_options(SYNTHETIC, {"seed": 3, "effect": 0.5})
    assert [name for name, _ in named] == ["effect", "seed"]


def test_an_option_may_be_a_text():
    conditions = {"conditions": "rest=baseline,TSST=stress"}
    assert reader_options(DATASETS["empatica_e4"], conditions) == tuple(conditions.items())


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_has_options_that_can_be_left_out(name):
    assert reader_options(DATASETS[name], {}) == ()


# --- names and values


def test_known_names_says_what_is_known():
    known_names(["a", "b"], ["a", "b", "c"], "letter")
    with pytest.raises(SuiteError, match=r"letter 'q' is not known: expected a, b$"):
        known_names(["a", "q"], ["a", "b"], "letter")
    with pytest.raises(SuiteError, match=r"letter 'q' is not known: expected none$"):
        known_names(["q"], [], "letter")


@pytest.mark.parametrize(
    ("default", "value", "expected"),
    [(1.0, 2, 2.0), (1, 2, 2), (1.0, True, True), (None, 3, 3), (1, 2.0, 2.0), ("a", 1, 1)],
)
def test_whole_numbers_become_floats_where_the_default_is_one(
    default: Any, value: Any, expected: Any
):
    result = as_its_default(default, value)
    assert (result, type(result)) == (expected, type(expected))

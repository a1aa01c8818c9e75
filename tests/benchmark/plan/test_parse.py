"""Parsing: every bad key or value of a file is refused by name, and the rest read as written."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.plan.parse import (
    PROTOCOL_KEYS,
    SUITE_KEYS,
    about_suite,
    load_suite,
    suite_names,
)
from benchmark.plan.suite import Distillation, Suite, SuiteError
from datamodules.protocol import Protocol

PAIR = {"distiller": "soft_targets", "student": "dnn", "teacher": "lstm"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


@pytest.fixture
def load(path: Path) -> Callable[..., Suite]:
    """Writes a suite file of some keys, and loads it."""

    def loaded(**keys: Any) -> Suite:
        path.write_text(yaml.safe_dump(keys))
        return load_suite(str(path))

    return loaded


# --- bad input


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"sedes": [0]}, ["mine.yaml", "key 'sedes'", "did you mean seeds?"]),
        ({"name": "x"}, ["key 'name'"]),
        ({"split": "session_out"}, ["key 'split'", "did you mean splits?"]),
        ({"version": 2}, ["key 'version'"]),
        ({"protocol": {"folds": 3}}, ["key 'protocol'"]),
        ({"datasets": ["wesed"]}, ["dataset 'wesed'", "did you mean wesad?"]),
        ({"models": ["random_forrest"]}, ["'random_forrest'", "did you mean random_forest?"]),
        ({"models": ["attention"]}, ["'attention'", "attention_lrcn", "cnn", "lda"]),
        ({"tasks": ["stres"]}, ["task 'stres'", "did you mean stress?"]),
        ({"splits": ["loso"]}, ["split 'loso'", "leave_one_subject_out"]),
        ({"recipes": {"cnnn": {}}}, ["recipe of model 'cnnn'", "did you mean cnn?"]),
        ({"recipes": {"cnn": {"learning_rate": 1}}}, ["recipe of cnn", "'learning_rate'", "lr"]),
        ({"recipes": {"lda": {"lr": 0.1}}}, ["recipe of lda", "'lr'", "window"]),
        ({"recipes": {"cnn": 3}}, ["recipes", "mapping"]),
        ({"recipes": [1]}, ["recipes", "mapping"]),
        ({"options": {"wesed": {}}}, ["options of dataset 'wesed'", "did you mean wesad?"]),
        ({"options": {"wesad": None}}, ["options", "mapping"]),
        ({"seeds": ["one"]}, ["seeds", "list of int", "'one'"]),
        ({"budget": "20"}, ["budget", "a whole number", "'20'"]),
        ({"budget": True}, ["budget", "a whole number"]),
        ({"budget": 1}, ["budget", "at least 2 candidates", "found 1"]),
        ({"budget": -5}, ["budget", "found -5"]),
        ({"ensemble": ["cnnn"]}, ["member of the ensemble 'cnnn'", "did you mean cnn?"]),
        ({"ensemble": ["lda", "time"]}, ["found time, a probe that should lose"]),
        ({"ensemble": True}, ["ensemble", "list of str"]),
        ({"seeds": [True]}, ["seeds", "list of int"]),
        ({"seeds": [1.0]}, ["seeds", "list of int"]),
        ({"seeds": [-1]}, ["seeds from 0", "-1"]),
        ({"seeds": [2**32]}, ["seeds from 0", str(2**32)]),
        ({"models": [1]}, ["models", "list of str"]),
        ({"models": {"cnn": 1}}, ["models", "list of str"]),
        ({"datasets": None}, ["datasets", "list of str"]),
        ({"folds": 1}, ["mine.yaml: expected folds to be a whole number of at least 2, found 1"]),
        ({"stimulus_folds": 1}, ["expected stimulus_folds to be a whole number of at least 2"]),
        ({"folds": "five"}, ["folds", "'five'"]),
        ({"folds": True}, ["expected folds to be a whole number of at least 2, found True"]),
        ({"folds": 2.5}, ["folds", "2.5"]),
        ({"subjects": [2]}, ["subjects", "list of str"]),
        ({"datasets": []}, ["at least one of datasets"]),
        ({"splits": []}, ["at least one of splits"]),
        ({"models": []}, ["at least one of models"]),
        ({"seeds": []}, ["at least one of seeds"]),
        ({"models": [], "distillations": []}, ["at least one of models"]),
        ({"rule": "mean"}, ["rule 'mean'", "midpoint, median, kmeans", "did you mean median?"]),
        ({"rule": ["median"]}, ["rule", "a name", "['median']"]),
        ({"padding": "zeros"}, ["padding 'zeros'", "zero, mean, edge", "did you mean zero?"]),
        ({"padding": None}, ["padding", "a name", "None"]),
        ({"mask": True}, ["expected padding where there is a mask, found none"]),
        ({"mask": 1, "padding": "zero"}, ["mask", "true or false", "found 1"]),
        ({"validation": 3}, ["validation to be true or false, found 3"]),
        ({"test_share": 2}, ["a share, as 0.3"]),
        ({"test_share": 1.5}, ["between 0 and 1", "1.5"]),
        ({"score_windows": True}, ["protocol flags beside it"]),
        ({"arguments": {"cnnn": {}}}, ["arguments of model 'cnnn'", "did you mean cnn?"]),
        ({"arguments": {"cnn": 3}}, ["arguments", "mapping"]),
        ({"recipe": "quick"}, ["recipe 'quick'", "published, fast"]),
        ({"distillations": {"student": "dnn"}}, ["distillations", "list of mappings"]),
        ({"distillations": ["soft_targets"]}, ["distillations", "list of mappings"]),
        ({"parts": "cnn"}, ["parts to be a list of mappings"]),
        ({"parts": [{"options": {"synthetic": {}}}]}, ["key of a part 'options' is not known"]),
        ({"parts": [{"subjects": ["S1"]}]}, ["key of a part 'subjects'"]),
        ({"parts": [{"parts": []}]}, ["key of a part 'parts'"]),
        ({"parts": [{"models": ["cnnn"]}]}, ["did you mean cnn"]),
        ({"parts": [{"folds": 1}]}, ["folds", "at least 2"]),
        ({"parts": [{"rule": "mean"}]}, ["did you mean median?"]),
    ],
    ids=repr,
)
def test_bad_key_or_value(load, keys, expected):
    with pytest.raises(SuiteError) as caught:
        load(**keys)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"flags": ["random_window"]}, ["'random_window'", "did you mean random_windows?"]),
        ({"flaws": ["random_window"]}, ["did you mean random_windows?"]),
        ({"parts": [{"flags": ["random_window"]}]}, ["did you mean random_windows?"]),
        ({"flaws": "random_windows"}, ["flaws", "a list of flags"]),
        ({"flaws": [[1]]}, ["flaws", "a list of flags"]),
        ({"flags": ["random_windows", "random_trials"]}, ["exclude each other"]),
        ({"flags": ["oversample_before_split"]}, ["add random_windows"]),
        ({"flags": ["labels_from_all_ratings"]}, ["rule: median or kmeans"]),
        ({"flags": ["random_trials"], "splits": ["session_out"]}, ["found session_out"]),
        ({"padding": "zero"}, ["add mask: true", "pad_reveals_length"]),
        (
            {"padding": "zero", "mask": True, "flags": ["pad_reveals_length"]},
            ["expected padding without a mask"],
        ),
        (
            {"flags": ["random_trials"], "distillations": [{**PAIR, "out_of_fold": 2}]},
            ["out-of-fold teachers"],
        ),
    ],
    ids=repr,
)
def test_flags_that_cannot_be_meant(load, keys, expected):
    with pytest.raises(SuiteError) as caught:
        load(**{"models": ["lda"], **keys})
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"distiller": "soft_target"}, ["distiller 'soft_target'", "did you mean soft_targets?"]),
        ({"student": "dnm"}, ["model 'dnm'", "did you mean dnn?"]),
        ({"teacher": "lstn"}, ["model 'lstn'", "did you mean lstm?"]),
        ({"teacher": "lda"}, ["model 'lda'", "attention_lrcn"]),
        ({"teachers": "lstm"}, ["mine.yaml", "'teachers'", "did you mean teacher?"]),
        ({"out_of_fold": -2}, ["found -2"]),
        ({"out_of_fold": "two"}, ["mine.yaml: distillations: ", "out_of_fold", "'two'"]),
        ({"out_of_fold": 2.5}, ["out_of_fold to be a whole number, found 2.5"]),
        ({"out_of_fold": True}, ["out_of_fold to be a whole number, found True"]),
        ({"out_of_fold": None}, ["out_of_fold to be a whole number, found None"]),
        ({"teacher": None}, ["teacher to be a name, found None"]),
        ({"student_signals": "eda"}, ["student_signals to be a list of names, found 'eda'"]),
        ({"teacher_signals": ["eda", 4]}, ["teacher_signals to be a list of names"]),
        ({"arguments": ["temperature"]}, ["arguments to be a mapping from names to values"]),
    ],
    ids=repr,
)
def test_bad_distillation(load, changes, expected):
    with pytest.raises(SuiteError) as caught:
        load(models=[], distillations=[{**PAIR, **changes}])
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize("lacking", ["distiller", "student"])
def test_distillation_that_lacks_a_key(load, lacking):
    entry = {key: value for key, value in PAIR.items() if key != lacking}
    with pytest.raises(SuiteError, match=f"mine.yaml: distillations: .*'{lacking}'"):
        load(distillations=[entry])


@pytest.mark.parametrize("text", ["", "- 1\n", "word\n", "models: [cnn\n", "a: b: c\n"])
def test_file_that_is_no_suite(path, text):
    path.write_text(text)
    with pytest.raises(SuiteError, match=r"mine\.yaml: expected"):
        load_suite(str(path))


def test_yaml_runs_no_code(path, tmp_path):
    path.write_text(f"models: !!python/object/apply:os.mkdir ['{tmp_path}/harmed']\n")
    with pytest.raises(SuiteError, match="expected YAML"):
        load_suite(str(path))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["nothing", "nothing.yaml", "../quick"])
def test_no_such_suite(name):
    with pytest.raises(SuiteError, match=r"expected one of calibration, .*full, .*quick"):
        load_suite(name)


# --- good input


def test_keys_are_the_fields_of_the_suite_and_of_its_protocol():
    protocol = {field.name for field in dataclasses.fields(Protocol)}
    assert set(PROTOCOL_KEYS) == protocol - {"split", "version", "calibration"}
    suite = {field.name for field in dataclasses.fields(Suite)}
    assert set(SUITE_KEYS) == suite - {"name", "protocol"}
    assert not set(SUITE_KEYS) & protocol


def test_every_key_is_read_as_written(load):
    fields = {
        "datasets": ["wesad", "deap"],
        "tasks": ["all"],
        "splits": ["default", "subject_k_fold"],
        "models": ["cnn", "lda"],
        "seeds": [3, 1],
        "subjects": ["S2"],
        "signals": ["eda", "bvp"],
        "ensemble": ["cnn", "lda"],
    }
    mappings = {
        "options": {"deap": {"keep_baseline": True}},
        "recipes": {"cnn": {"lr": 0.5, "patience": None}},
        "arguments": {"cnn": {"layers": "study_1"}},
    }
    protocol = {
        "folds": 4,
        "stimulus_folds": 3,
        "rule": "kmeans",
        "padding": "edge",
        "mask": True,
        "test_share": 0.3,
        "validation": False,
        "score_windows": True,
    }
    words = {"recipe": "fast", "flags": ["select_on_test"], "budget": 20}
    suite = load(**fields, **mappings, **protocol, **words)
    assert suite == Suite(
        "mine",
        **{name: tuple(values) for name, values in fields.items()},
        **mappings,
        recipe="fast",
        budget=20,
        protocol=Protocol(**protocol, flags=("select_on_test",)),
    )
    assert load(models=["cnn"]) == Suite("mine", models=("cnn",))
    assert load(models="cnn", seeds=4) == Suite("mine", models=("cnn",), seeds=(4,))


def test_flag_about_padding_pads_with_zeros(load):
    keys = {"models": ["cnn"], "flags": ["pad_reveals_length"]}
    assert load(**keys).protocol == Protocol(padding="zero", flags=("pad_reveals_length",))
    assert load(**keys, padding="mean").protocol.padding == "mean"


def test_flaws_are_read_as_written(load):
    keys = {"flags": ["select_on_test"], "flaws": ["random_trials", ["labels_from_all_ratings"]]}
    suite = load(models=["cnn"], **keys)
    assert suite.flaws == (("random_trials",), ("labels_from_all_ratings",))
    assert suite.protocol.flags == ("select_on_test",)
    assert len(list(suite.arms())) == 4


def test_distillations_are_read_as_written(load):
    full = {
        **PAIR,
        "student_signals": ["eda"],
        "teacher_signals": ["eda", "bvp"],
        "arguments": {"temperature": 2.0},
        "out_of_fold": 3,
    }
    suite = load(models=[], distillations=[PAIR, full])
    assert suite.models == ()
    assert suite.distillations == (
        Distillation("soft_targets", "dnn", "lstm"),
        Distillation(
            "soft_targets", "dnn", "lstm", ("eda",), ("eda", "bvp"), {"temperature": 2.0}, 3
        ),
    )
    assert load(models=["cnn"]).distillations == ()


def test_a_part_has_the_fields_of_the_suite_where_it_has_none(load):
    parts = [{"seeds": [1, 2], "folds": 3}, {"models": ["lda"], "flags": ["pad_reveals_length"]}]
    suite = load(models=["cnn"], seeds=[3], parts=parts)
    assert [(arm.models, arm.seeds, arm.parts, arm.protocol) for arm in suite.arms()] == [
        (("cnn",), (1, 2), (), Protocol(folds=3)),
        (("lda",), (3,), (), Protocol(padding="zero", flags=("pad_reveals_length",))),
    ]


def test_suites_are_listed_with_a_line_each():
    assert {"distillation", "full", "quick"} <= set(suite_names())
    assert suite_names() == sorted(suite_names())
    for name in suite_names():
        assert about_suite(name)[0].isupper()
        assert about_suite(name).endswith(".")
        assert load_suite(name).name == name
    assert about_suite("quick").startswith("Every model on made-up recordings")

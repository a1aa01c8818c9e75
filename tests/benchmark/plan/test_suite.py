"""Suite: every bad input is refused by name; what is asked for of it is what is left."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.plan.expand import Prepared, expand
from benchmark.plan.suite import Distillation, Suite, SuiteError, reader_options, suite_names
from benchmark.probes.fit import PROBES, Probe
from datamodules.catalogue import DATAMODULES
from datamodules.synthetic import SyntheticDataModule
from lightning_modules.catalogue import DISTILLERS, MODELS

FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16)


def load(path: Path, **keys: Any) -> Suite:
    path.write_text(yaml.safe_dump(keys))
    return Suite.load(str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


# --- bad input


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"sedes": [0]}, ["mine.yaml", "key 'sedes'", "did you mean seeds?"]),
        ({"name": "x"}, ["key 'name'"]),
        ({"datasets": ["wesed"]}, ["dataset 'wesed'", "did you mean wesad?"]),
        ({"models": ["random_forrest"]}, ["'random_forrest'", "did you mean random_forest?"]),
        ({"models": ["attention"]}, ["'attention'", "attention_lrcn", "cnn", "lda"]),
        ({"tasks": ["stres"]}, ["task 'stres'", "did you mean stress?"]),
        ({"splits": ["loso"]}, ["split 'loso'", "leave_one_subject_out"]),
        ({"recipes": {"cnm": {}}}, ["recipe of model 'cnm'", "did you mean cnn?"]),
        ({"recipes": {"cnn": {"learning_rate": 1}}}, ["recipe of cnn", "'learning_rate'", "lr"]),
        ({"recipes": {"lda": {"lr": 0.1}}}, ["recipe of lda", "'lr'", "window"]),
        ({"recipes": {"cnn": 3}}, ["recipes", "mapping"]),
        ({"recipes": [1]}, ["recipes", "mapping"]),
        ({"options": {"wesed": {}}}, ["options of dataset 'wesed'", "did you mean wesad?"]),
        ({"options": {"wesad": None}}, ["options", "mapping"]),
        ({"seeds": ["one"]}, ["seeds", "list of int", "'one'"]),
        ({"seeds": [True]}, ["seeds", "list of int"]),
        ({"seeds": [1.0]}, ["seeds", "list of int"]),
        ({"seeds": [-1]}, ["seeds from 0", "-1"]),
        ({"seeds": [2**32]}, ["seeds from 0", str(2**32)]),
        ({"models": [1]}, ["models", "list of str"]),
        ({"models": {"cnn": 1}}, ["models", "list of str"]),
        ({"datasets": None}, ["datasets", "list of str"]),
        ({"folds": 1}, ["folds", "at least 2", "1"]),
        ({"folds": "five"}, ["folds", "'five'"]),
        ({"folds": True}, ["folds", "True"]),
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
        ({"arguments": {"cnm": {}}}, ["arguments of model 'cnm'", "did you mean cnn?"]),
        ({"arguments": {"lda": {}}}, ["arguments of model 'lda'"]),
        ({"arguments": {"cnn": 3}}, ["arguments", "mapping"]),
        ({"recipe": "quick"}, ["recipe 'quick'", "published, fast"]),
        ({"distillations": {"student": "dnn"}}, ["distillations", "list of mappings"]),
        ({"distillations": ["soft_targets"]}, ["distillations", "list of mappings"]),
    ],
    ids=repr,
)
def test_bad_key_or_value(path, keys, expected):
    with pytest.raises(SuiteError) as caught:
        load(path, **keys)
    for part in expected:
        assert part in str(caught.value)


PAIR = {"distiller": "soft_targets", "student": "dnn", "teacher": "lstm"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"distiller": "soft_target"}, ["distiller 'soft_target'", "did you mean soft_targets?"]),
        ({"student": "dnm"}, ["model 'dnm'", "did you mean dnn?"]),
        ({"teacher": "lstn"}, ["model 'lstn'", "did you mean lstm?"]),
        ({"teacher": "lda"}, ["model 'lda'", "attention_lrcn"]),
        ({"teachers": "lstm"}, ["mine.yaml", "'teachers'", "did you mean teacher?"]),
        ({"teacher": ""}, ["dnn by soft_targets: expected a teacher, found none"]),
        ({"distiller": "label_smoothing"}, ["by label_smoothing: expected no teacher, found lstm"]),
        ({"distiller": "self_distillation"}, ["expected no teacher, found lstm"]),
        ({"out_of_fold": 1}, ["expected out_of_fold to be 0, or 2 and more", "found 1"]),
        ({"out_of_fold": -2}, ["found -2"]),
        ({"distiller": "more_epochs", "teacher": "", "out_of_fold": 2}, ["where there is a teach"]),
        ({"out_of_fold": "two"}, ["mine.yaml: distillations: ", "out_of_fold", "'two'"]),
        ({"out_of_fold": 2.5}, ["out_of_fold to be a whole number, found 2.5"]),
        ({"out_of_fold": None}, ["out_of_fold to be a whole number, found None"]),
        ({"teacher": None}, ["teacher to be a name, found None"]),
        ({"student_signals": "eda"}, ["student_signals to be a list of names, found 'eda'"]),
        ({"teacher_signals": ["eda", 4]}, ["teacher_signals to be a list of names"]),
        ({"arguments": ["temperature"]}, ["arguments to be a mapping from names to values"]),
    ],
    ids=repr,
)
def test_bad_distillation(path, changes, expected):
    with pytest.raises(SuiteError) as caught:
        load(path, models=[], distillations=[{**PAIR, **changes}])
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize("lacking", ["distiller", "student"])
def test_distillation_that_lacks_a_key(path, lacking):
    entry = {key: value for key, value in PAIR.items() if key != lacking}
    with pytest.raises(SuiteError, match=f"mine.yaml: distillations: .*'{lacking}'"):
        load(path, distillations=[entry])


def test_distillations_are_read_as_written(path):
    full = {
        **PAIR,
        "student_signals": ["eda"],
        "teacher_signals": ["eda", "bvp"],
        "arguments": {"temperature": 2.0},
        "out_of_fold": 3,
    }
    suite = load(path, models=[], distillations=[PAIR, full])
    assert suite.models == ()
    assert suite.distillations == (
        Distillation("soft_targets", "dnn", "lstm"),
        Distillation(
            "soft_targets", "dnn", "lstm", ("eda",), ("eda", "bvp"), {"temperature": 2.0}, 3
        ),
    )
    assert load(path, models=["cnn"]).distillations == ()


def test_rule_padding_mask_and_arguments_are_read_as_written(path):
    keys = {"rule": "kmeans", "padding": "edge", "mask": True, "recipe": "fast"}
    suite = load(path, **keys, arguments={"cnn": {"layers": "study_1"}})
    assert {name: getattr(suite, name) for name in keys} == keys
    assert suite.arguments == {"cnn": {"layers": "study_1"}}
    plain = load(path, models=["cnn"])
    assert (plain.rule, plain.padding, plain.mask) == ("midpoint", None, False)


@pytest.mark.parametrize("text", ["", "- 1\n", "word\n", "models: [cnn\n", "a: b: c\n"])
def test_file_that_is_no_suite(path, text):
    path.write_text(text)
    with pytest.raises(SuiteError, match=r"mine\.yaml: expected"):
        Suite.load(str(path))


def test_yaml_runs_no_code(path, tmp_path):
    path.write_text(f"models: !!python/object/apply:os.mkdir ['{tmp_path}/harmed']\n")
    with pytest.raises(SuiteError, match="expected YAML"):
        Suite.load(str(path))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["nothing", "nothing.yaml", "../quick"])
def test_no_such_suite(name):
    with pytest.raises(SuiteError, match=r"expected one of distillation, full, .*quick"):
        Suite.load(name)


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
        reader_options(SyntheticDataModule, options)
    assert expected in str(caught.value)


def test_options_are_those_that_differ_however_they_are_written():
    assert reader_options(SyntheticDataModule, {}) == ()
    assert reader_options(SyntheticDataModule, {"n_subjects": 4, "effect": 1}) == ()
    (phase,) = reader_options(SyntheticDataModule, {"phase": 60, "n_subjects": 4})
    assert phase == ("phase", 60.0)
    assert type(phase[1]) is float
    named = reader_options(SyntheticDataModule, {"seed": 3, "effect": 0.5})
    assert [name for name, _ in named] == ["effect", "seed"]


# --- narrowing


def test_narrowed():
    suite = Suite("s", datasets=("synthetic", "wesad"), models=("lda", "cnn"), tasks=("stress",))
    assert suite.narrowed() == suite
    narrow = suite.narrowed(
        datasets=["wesad"], models=["cnn"], seeds=[3, 4], subjects=["S2"], splits=None
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
        suite.narrowed(**chosen)
    for part in expected:
        assert part in str(caught.value)


def test_models_are_students_too(path):
    other = {**PAIR, "student": "cnn"}
    suite = load(path, models=["lda", "cnn"], distillations=[PAIR, other])
    narrow = suite.narrowed(models=["cnn"])
    assert narrow.models == ("cnn",)
    assert [pair.student for pair in narrow.distillations] == ["cnn"]
    narrow = suite.narrowed(models=["dnn"])
    assert narrow.models == ()
    assert [pair.student for pair in narrow.distillations] == ["dnn"]
    with pytest.raises(SuiteError, match="models 'lstm' is not known: expected lda, cnn, dnn"):
        suite.narrowed(models=["lstm"])


def test_all_and_found_can_be_narrowed_to_anything():
    suite = Suite("s", tasks=("all",))
    narrow = suite.narrowed(datasets=["wesad"], models=["cnn"], tasks=["affect"])
    assert (narrow.datasets, narrow.models, narrow.tasks) == (("wesad",), ("cnn",), ("affect",))
    with pytest.raises(SuiteError, match="did you mean wesad"):
        suite.narrowed(datasets=["wesed"])


def test_with_folds():
    assert Suite("s").with_folds(3).folds == 3
    with pytest.raises(SuiteError, match="at least 2 folds, found 1"):
        Suite("s").with_folds(1)


def test_with_option_keeps_the_others():
    suite = Suite("s", options={"synthetic": {"phase": 60.0}, "wesad": {}})
    assert suite.with_option("synthetic", "effect", 0.0).options == {
        "synthetic": {"phase": 60.0, "effect": 0.0},
        "wesad": {},
    }
    assert suite.options["synthetic"] == {"phase": 60.0}


def test_datasets_that_are_found(tmp_path):
    (tmp_path / "WESAD").mkdir()
    (tmp_path / "stress_predict").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "empatica_e4").write_text("a file")
    assert Suite("s").dataset_names(tmp_path) == ("wesad", "stress_predict")
    assert Suite("s", datasets=("synthetic",)).dataset_names(tmp_path) == ("synthetic",)


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_no_dataset_is_found(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SuiteError, match="no dataset in") as caught:
        Suite("s").dataset_names(tmp_path / folder)
    assert "wesad" in str(caught.value)
    assert "synthetic" not in str(caught.value)


# --- the suites of this project


def test_suites():
    assert {"distillation", "full", "quick"} <= set(suite_names())
    assert suite_names() == sorted(suite_names())


@pytest.mark.parametrize("name", ["full", "quick"])
def test_suite_loads(name):
    suite = Suite.load(name)
    assert suite.name == name
    assert suite.models == ("all",)
    assert suite.splits == ("default",)


def test_quick_needs_no_data_and_full_takes_all():
    quick = Suite.load("quick")
    assert quick.dataset_names(Path("nowhere")) == ("synthetic",)
    assert expand(quick, {"synthetic": FOUR}).runs
    full = Suite.load("full")
    assert (full.datasets, full.tasks) == (("found",), ("all",))
    assert len(full.seeds) >= 3
    assert not full.recipes


def test_distillation_has_all_distillers():
    pairs = Suite.load("distillation").distillations
    assert {pair.distiller for pair in pairs} == set(DISTILLERS)


@pytest.mark.parametrize("dataset", DATAMODULES)
def test_distillation_on_every_dataset(dataset):
    suite = Suite.load("distillation")
    nine = Prepared(tuple(f"s{number}" for number in range(9)), {}, "e" * 16)
    plan = expand(suite, {dataset: nine})
    tasks = len(DATAMODULES[dataset].tasks)
    pairs = {(run.board, run.name) for run in plan.runs if run.distiller}
    assert len(pairs) + len(plan.not_applicable) == tasks * len(suite.distillations)
    without_ppg = {"uncertainty_weighted"} if dataset == "seed_v" else set()
    wanted = set(DISTILLERS) - without_ppg
    if dataset == "noise":  # one signal: no teacher that sees more, and no pulse or skin
        wanted = {"soft_targets"}
    assert {run.distiller for run in plan.runs} - {""} == wanted


def test_probes_and_models_share_no_name():
    assert not set(PROBES) & set(MODELS)
    assert all(isinstance(probe, Probe) for probe in PROBES.values())


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"flags": ["random_window"]}, ["'random_window'", "did you mean random_windows?"]),
        ({"flaws": ["random_window"]}, ["did you mean random_windows?"]),
        ({"flaws": "random_windows"}, ["flaws", "a list of flags"]),
        ({"flaws": [[1]]}, ["flaws", "a list of flags"]),
        ({"flags": ["random_windows", "random_trials"]}, ["exclude each other"]),
        ({"flags": ["oversample_before_split"]}, ["add random_windows"]),
        ({"flags": ["labels_from_all_ratings"]}, ["rule: median or kmeans"]),
        ({"flags": ["random_trials"], "splits": ["session_out"]}, ["found session_out"]),
        ({"flags": ["teacher_selected_on_test"]}, ["expected distillations by a teacher"]),
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
def test_flags_that_cannot_be_meant(path, keys, expected):
    with pytest.raises(SuiteError) as caught:
        load(path, **{"models": ["lda"], **keys})
    for part in expected:
        assert part in str(caught.value)


def test_arms_of_a_suite(path):
    keys = {"flags": ["select_on_test"], "flaws": ["random_trials", ["labels_from_all_ratings"]]}
    arms = [(arm.flags, arm.rule) for arm in load(path, models=["cnn"], **keys).arms()]
    assert arms == [
        (("select_on_test",), "midpoint"),
        (("random_trials", "select_on_test"), "midpoint"),
        (("select_on_test",), "median"),
        (("labels_from_all_ratings", "select_on_test"), "median"),
    ]
    padded = list(load(path, models=["cnn"], flaws=["pad_reveals_length"]).arms())
    assert [(arm.padded, arm.mask) for arm in padded] == [(None, False), ("zero", False)]

"""Suite: every bad input is refused by name, and the matrix is what it says."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.plan import Plan, Prepared, expand
from benchmark.probes import PROBES, Probe, ProbeRecipe
from benchmark.suite import EVERY_MODEL, Suite, SuiteError, reader_options, suite_names
from datamodules import DATAMODULES
from datamodules.errors import IncompatibleRunError
from datamodules.synthetic import SyntheticDataModule
from lightning_modules import MODELS
from lightning_modules.cnn import CNN

FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16)


def load(path: Path, **keys: Any) -> Suite:
    path.write_text(yaml.safe_dump(keys))
    return Suite.load(str(path))


def plan(found: Prepared = FOUR, **fields: Any) -> Plan:
    fields = {"datasets": ("synthetic",), "models": ("lda",), **fields}
    return expand(Suite("s", **fields), {"synthetic": found})


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
    ],
    ids=repr,
)
def test_bad_key_or_value(path, keys, expected):
    with pytest.raises(SuiteError) as caught:
        load(path, **keys)
    for part in expected:
        assert part in str(caught.value)


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
    with pytest.raises(SuiteError, match=r"expected one of distillation, full, quick"):
        Suite.load(name)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lr": -1}, "lr to be a positive number, found -1"),
        ({"lr": 0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"lr": "1e-3"}, "'1e-3'"),
        ({"lr": True}, "lr"),
        ({"max_epochs": "fast"}, "max_epochs to be a positive whole number, found 'fast'"),
        ({"max_epochs": 1.5}, "max_epochs"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"batch_size": -4}, "batch_size"),
        ({"patience": 0}, "patience"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"window": 0}, "window"),
        ({"stride": -5.0}, "stride"),
        ({"optimizer": "lbfgs"}, "optimizer among"),
        ({"scaling": "robust"}, "scaling among"),
    ],
    ids=repr,
)
def test_bad_recipe_value(changes, expected):
    with pytest.raises(SuiteError, match="suite s: recipe of cnn") as caught:
        plan(models=("cnn",), recipes={"cnn": changes})
    assert expected in str(caught.value)


@pytest.mark.parametrize("changes", [{"window": -1}, {"stride": 0}, {"window": "long"}], ids=repr)
def test_bad_recipe_value_of_a_probe(changes):
    with pytest.raises(SuiteError, match="suite s: recipe of lda"):
        plan(recipes={"lda": changes})


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


@pytest.mark.parametrize(
    ("split", "folds", "n_subjects", "least"),
    [
        ("leave_one_subject_out", 5, 2, 3),
        ("subject_hold_out", 5, 2, 3),
        ("subject_k_fold", 5, 4, 5),
        ("subject_k_fold", 2, 2, 4),
    ],
)
def test_fewer_subjects_than_a_split_needs(split, folds, n_subjects, least):
    found = Prepared(FOUR.subjects[:n_subjects], {}, "d" * 16)
    with pytest.raises(IncompatibleRunError, match=f"at least {least} subjects") as caught:
        plan(found, splits=(split,), folds=folds)
    assert f"found {n_subjects}" in str(caught.value)
    enough = Prepared(tuple(f"S{k}" for k in range(least)), {}, "d" * 16)
    assert plan(enough, splits=(split,), folds=folds).runs


def test_task_that_no_dataset_has():
    with pytest.raises(SuiteError, match="none of synthetic has a task affect"):
        plan(tasks=("affect",))


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


# --- the matrix


def test_counts_and_order():
    found = plan(models=("cnn", "lda"), seeds=(0, 3), splits=("leave_one_subject_out",))
    cells = [(run.model, run.seed, run.fold) for run in found.runs]
    assert cells == [
        (model, seed, fold) for model in ("cnn", "lda") for seed in (0, 3) for fold in range(4)
    ]
    assert len({run.id for run in found.runs}) == 16
    for run in found.runs:
        assert (run.subjects, run.data) == (FOUR.subjects, FOUR.data)


@pytest.mark.parametrize(
    ("split", "folds", "count"),
    [
        ("leave_one_subject_out", 5, 4),
        ("subject_hold_out", 5, 1),
        ("subject_k_fold", 4, 4),
        ("subject_k_fold", 2, 2),
    ],
)
def test_folds_of_splits(split, folds, count):
    runs = plan(splits=(split,), folds=folds).runs
    assert [run.fold for run in runs] == list(range(count))
    assert {run.split for run in runs} == {split}


def test_number_of_folds_is_no_work_where_there_are_none():
    one, other = plan(folds=5).runs, plan(folds=3).runs
    assert [run.id for run in one] == [run.id for run in other]
    splits = ("subject_k_fold",)
    k_fold = [{run.id for run in plan(splits=splits, folds=folds).runs} for folds in (3, 4)]
    assert not k_fold[0] & k_fold[1]


def test_tasks():
    found = {"wesad": Prepared(("S2", "S3", "S4"), {}, "e" * 16)}

    def tasks(*names: str) -> list[str]:
        suite = Suite("s", datasets=("wesad",), models=("majority",), tasks=names)
        return list(dict.fromkeys(run.task for run in expand(suite, found).runs))

    assert tasks() == [next(iter(DATAMODULES["wesad"].tasks))]
    assert tasks("all") == list(DATAMODULES["wesad"].tasks)
    assert tasks("affect") == ["affect"]


def test_all_models_and_their_signals():
    found = plan(models=("all",))
    unpadded = [model for model in EVERY_MODEL if model != "length"]
    assert list(dict.fromkeys(run.model for run in found.runs)) == unpadded
    signals = {run.model: run.signals for run in found.runs}
    assert signals["cnn"] == ("eda", "bvp", "temp")
    assert signals["attention_lrcn"] == ("bvp",)
    assert signals["motion"] == ("acc",)
    assert signals["time"] == signals["majority"] == signals["prior"] == ()
    assert set(signals["lda"]) == {"bvp", "eda", "temp"}
    assert found.not_applicable == {}


def test_signals_to_choose_from():
    found = plan(models=("all",), signals=("eda",))
    signals = {run.model: run.signals for run in found.runs}
    assert signals["cnn"] == signals["lda"] == ("eda",)
    assert any(name.endswith("/motion") for name in found.not_applicable)
    assert "motion" not in signals
    with pytest.raises(IncompatibleRunError, match="no signal 'ekg'"):
        plan(signals=("ekg",))


class EyesDataModule(SyntheticDataModule):
    """A dataset of pupils only, two values a second."""

    title = "Eyes"
    signals = {"eye": (2, 2.0)}


def test_not_applicable_with_reasons(monkeypatch):
    monkeypatch.setitem(DATAMODULES, "eyes", EyesDataModule)
    suite = Suite("s", datasets=("eyes",), models=("attention_lrcn", "cnn", "motion", "time"))
    found = expand(suite, {"eyes": FOUR})
    board = "eyes__stress__leave_one_subject_out"
    assert set(found.not_applicable) == {f"{board}/attention_lrcn", f"{board}/motion"}
    assert "there is only eye" in found.not_applicable[f"{board}/attention_lrcn"]
    assert found.not_applicable[f"{board}/motion"] == "takes acc; there is only eye"
    assert {run.model for run in found.runs} == {"cnn", "time"}


def test_not_applicable_for_a_window_that_is_too_short():
    found = plan(models=("attention_lrcn", "cnn"), recipes={"attention_lrcn": {"window": 0.1}})
    ((cell, reason),) = found.not_applicable.items()
    assert cell.endswith("/attention_lrcn")
    assert "longer window" in reason
    assert {run.model for run in found.runs} == {"cnn"}


def test_everything_not_applicable_is_no_error(monkeypatch):
    monkeypatch.setitem(DATAMODULES, "eyes", EyesDataModule)
    found = expand(Suite("s", datasets=("eyes",), models=("motion",)), {"eyes": FOUR})
    assert found.runs == ()
    assert len(found.not_applicable) == 1


def test_left_out_subjects_are_noted_and_who_is_there_makes_the_id():
    found = Prepared(FOUR.subjects, {"S5": "no file", "S6": "no file", "S7": "empty"}, FOUR.data)
    partial = plan(found)
    ((board, notes),) = partial.notes.items()
    assert board == partial.runs[0].board
    assert notes == ["left out: S5, S6: no file", "left out: S7: empty"]
    assert partial.runs[0].id == plan().runs[0].id
    fewer = Prepared(FOUR.subjects[:3], {}, FOUR.data)
    assert plan(fewer).runs[0].id != plan().runs[0].id


def with_recipe(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setattr(CNN, "published", dataclasses.replace(CNN.published, **changes))


def test_changed_default_of_a_recipe_is_other_work(monkeypatch):
    before = plan(models=("cnn",)).runs
    with_recipe(monkeypatch, lr=CNN.published.lr * 2)
    after = plan(models=("cnn",)).runs
    assert not {run.id for run in before} & {run.id for run in after}
    assert {run.recipe_label for run in after} == {"published"}


def test_changed_default_of_a_probe_is_other_work(monkeypatch):
    before = plan().runs
    monkeypatch.setitem(
        PROBES, "lda", dataclasses.replace(PROBES["lda"], published=ProbeRecipe(stride=15.0))
    )
    assert not {run.id for run in before} & {run.id for run in plan().runs}


def test_suite_changes_the_recipe_and_the_row_says_so():
    default = plan(models=("cnn",)).runs[0]
    run = plan(models=("cnn",), recipes={"cnn": {"lr": 0.5, "max_epochs": 3}}).runs[0]
    assert run.recipe_label == "published lr=0.5 max_epochs=3"
    assert dict(run.recipe) == {**dataclasses.asdict(CNN.published), "lr": 0.5, "max_epochs": 3}
    assert run.id != default.id


def test_recipe_value_that_is_the_default_changes_nothing():
    default = plan(models=("cnn",)).runs[0]
    same = plan(models=("cnn",), recipes={"cnn": {"lr": CNN.published.lr}}).runs[0]
    assert same == default


@pytest.mark.parametrize("write", [int, float])
def test_whole_numbers_are_the_same_work_however_they_are_written(write: Callable[[int], Any]):
    run = plan(models=("cnn",), recipes={"cnn": {"window": write(20), "lr": write(1)}}).runs[0]
    expected = plan(models=("cnn",), recipes={"cnn": {"window": 20.0, "lr": 1.0}}).runs[0]
    assert run.id == expected.id
    assert run.recipe_label == expected.recipe_label


@pytest.mark.parametrize("name", ["seeds", "models", "splits"])
def test_naming_one_twice_makes_no_run_twice(name):
    values = {"seeds": (0, 0), "models": ("lda", "lda"), "splits": ("subject_hold_out",) * 2}
    runs = plan(**{name: values[name]}).runs
    assert len(runs) == len({run.id for run in runs})


# --- the suites of this project


def test_suites():
    assert suite_names() == ["distillation", "full", "quick"]


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


def test_probes_and_models_share_no_name():
    assert not set(PROBES) & set(MODELS)
    assert all(isinstance(probe, Probe) for probe in PROBES.values())


def test_fast_recipe_is_taken_by_models_that_have_one():
    runs = {run.model: run for run in plan(models=("cnn", "lda"), recipe="fast").runs}
    assert dict(runs["cnn"].recipe) == dataclasses.asdict(MODELS["cnn"].fast)
    assert dict(runs["lda"].recipe) == dataclasses.asdict(PROBES["lda"].published)
    assert (runs["cnn"].recipe_label, runs["lda"].recipe_label) == ("fast", "published")
    with pytest.raises(SuiteError, match="did you mean fast"):
        plan(models=("cnn",), recipe="fats")

"""Models that are trained alone: what a suite changes of them, and what they take of a dataset."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.code import code_of_run
from benchmark.plan.alone import changed, check_flaws, differing
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import SuiteError
from benchmark.probes.catalogue import PROBES, ProbeRecipe
from benchmark.run import Run
from datamodules.catalogue import DATASETS
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol
from lightning_modules.catalogue import MODELS
from lightning_modules.cnn import CNN
from lightning_modules.distillation.soft_targets import SoftTargets
from lightning_modules.recipe import Recipe

FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16)
LONG = dataclasses.replace(FOUR, longest={"stress": 89.0})
EIGHT = Prepared(tuple(f"s{number}" for number in range(8)), {}, "e" * 16, sessions=3)

# --- recipes


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
        ({"precision": "16-mixed"}, "precision among"),
    ],
    ids=repr,
)
def test_bad_recipe_value(plan, changes, expected):
    with pytest.raises(SuiteError, match="suite s: recipe of cnn") as caught:
        plan(models=("cnn",), recipes={"cnn": changes})
    assert expected in str(caught.value)


@pytest.mark.parametrize("changes", [{"window": -1}, {"stride": 0}, {"window": "long"}], ids=repr)
def test_bad_recipe_value_of_a_probe(plan, changes):
    with pytest.raises(SuiteError, match="suite s: recipe of lda"):
        plan(recipes={"lda": changes})


def test_recipe_of_a_run_is_that_of_its_model(plan):
    cnn, lda = plan(models=("cnn", "lda")).runs[::4]
    assert (cnn.recipe, cnn.kind, cnn.changed) == (CNN.published, "published", ())
    assert (lda.recipe, lda.kind, lda.changed) == (PROBES["lda"].published, "published", ())


def test_precision_is_part_of_a_run_only_where_it_is_not_the_usual_one(plan):
    usual, same, other = (
        plan(models=("cnn",), recipes={"cnn": changes} if changes else {}).runs[0]
        for changes in ({}, {"precision": "32-true"}, {"precision": "bf16-mixed"})
    )
    assert usual == same
    assert (usual.recipe.precision, other.recipe.precision) == ("32-true", "bf16-mixed")
    assert other.id != usual.id
    assert (usual.changed, other.changed) == ((), ("precision",))


def test_changed_default_of_a_recipe_is_other_work(plan, monkeypatch):
    before = plan(models=("cnn",)).runs
    doubled = dataclasses.replace(CNN.published, lr=CNN.published.lr * 2)
    monkeypatch.setattr(CNN, "published", doubled)
    after = plan(models=("cnn",)).runs
    assert not {run.id for run in before} & {run.id for run in after}
    assert {run.recipe_label for run in after} == {"published"}


def test_changed_source_of_a_recipe_is_the_same_work(plan, monkeypatch):
    before = plan(models=("cnn",)).runs
    monkeypatch.setattr(CNN, "published", dataclasses.replace(CNN.published, source="elsewhere"))
    after = plan(models=("cnn",)).runs
    assert after[0].recipe.source == "elsewhere"
    assert [run.id for run in before] == [run.id for run in after]


def test_changed_default_of_a_probe_is_other_work(plan, monkeypatch):
    before = plan().runs
    monkeypatch.setitem(
        PROBES, "lda", dataclasses.replace(PROBES["lda"], published=ProbeRecipe(stride=15.0))
    )
    assert not {run.id for run in before} & {run.id for run in plan().runs}


def test_suite_changes_the_recipe_and_the_row_says_so(plan):
    default = plan(models=("cnn",)).runs[0]
    run = plan(models=("cnn",), recipes={"cnn": {"lr": 0.5, "max_epochs": 3}}).runs[0]
    assert run.recipe_label == "published lr=0.5 max_epochs=3"
    assert run.recipe == dataclasses.replace(CNN.published, lr=0.5, max_epochs=3)
    assert run.id != default.id


def test_recipe_value_that_is_the_default_changes_nothing(plan):
    default = plan(models=("cnn",)).runs[0]
    same = plan(models=("cnn",), recipes={"cnn": {"lr": CNN.published.lr}}).runs[0]
    assert same == default


@pytest.mark.parametrize("write", [int, float])
def test_whole_numbers_are_the_same_work_however_they_are_written(
    plan, write: Callable[[int], Any]
):
    run = plan(models=("cnn",), recipes={"cnn": {"window": write(20), "lr": write(1)}}).runs[0]
    expected = plan(models=("cnn",), recipes={"cnn": {"window": 20.0, "lr": 1.0}}).runs[0]
    assert run.id == expected.id
    assert run.recipe_label == expected.recipe_label


def test_fast_recipe_is_taken_by_models_that_have_one(plan):
    runs = {run.model: run for run in plan(models=("cnn", "lda"), recipe="fast").runs}
    assert runs["cnn"].recipe == MODELS["cnn"].fast
    assert runs["lda"].recipe == PROBES["lda"].published
    assert (runs["cnn"].recipe_label, runs["lda"].recipe_label) == ("fast", "published")
    with pytest.raises(SuiteError, match="did you mean fast"):
        plan(models=("cnn",), recipe="fats")


def test_names_of_values_in_which_recipes_differ():
    one = Recipe("a paper", lr=0.5, window=20.0)
    assert differing(one, one) == ()
    assert differing(one, dataclasses.replace(one, window=5.0, lr=0.1)) == ("lr", "window")
    assert differing(ProbeRecipe(), ProbeRecipe(stride=5.0)) == ("stride",)


# --- arguments


def test_arguments_are_work_and_the_row_says_so(plan):
    arguments = {"dnn": {"layers": "study_1"}, "cnn": {"layers": "rows"}}
    splits = ("leave_one_subject_out",)
    keys = {"datasets": ("seed_v",), "models": ("dnn", "cnn"), "splits": splits}
    runs = plan(EIGHT, **keys, arguments=arguments).runs
    default = plan(EIGHT, **keys).runs
    assert runs[8:] == default[8:]
    assert runs[0].arguments == (("layers", "study_1"),)
    assert runs[0].recipe_label == "published layers=study_1"
    assert runs[0].id != default[0].id


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"layer": "rows"}, "argument of dnn 'layer' is not known: expected layers; did you mean"),
        ({"recipe": 1}, "argument of dnn 'recipe' is not known"),
        ({"layers": "study_3"}, "arguments of dnn: expected layers among rows, study_1, study_2"),
    ],
    ids=repr,
)
def test_bad_arguments(plan, arguments, expected):
    with pytest.raises(SuiteError, match="suite s: ") as caught:
        plan(models=("dnn",), arguments={"dnn": arguments})
    assert expected in str(caught.value)


def test_arguments_of_a_probe_are_work_and_the_row_says_so(plan):
    models = ("random_forest", "lda")
    plain = plan(models=models).runs
    same = plan(
        models=models, arguments={"random_forest": {"n_trees": 200}, "lda": {"shrinkage": "auto"}}
    ).runs
    assert same == plain
    assert not any(run.arguments for run in plain)
    changes = {"random_forest": {"n_trees": 40, "max_features": 1}, "lda": {"shrinkage": 1}}
    runs = plan(models=models, arguments=changes).runs
    first = next(run for run in runs if run.model == "random_forest")
    assert first.arguments == (("max_features", 1), ("n_trees", 40))
    assert first.recipe_label == "published max_features=1 n_trees=40"
    assert not {run.id for run in runs} & {run.id for run in plain}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"n_tree": 3}, "argument of random_forest 'n_tree' is not known: .*; did you mean n_tr"),
        ({"n_trees": 0.5}, "argument of random_forest: expected n_trees to be a value like 200"),
    ],
)
def test_bad_arguments_of_a_probe(plan, arguments, expected):
    with pytest.raises(SuiteError, match=expected):
        plan(models=("random_forest",), arguments={"random_forest": arguments})


def test_changed_arguments_are_sorted_and_written_as_their_defaults():
    values = {"temperature": 2, "soft": 0.9}
    assert changed(SoftTargets, values, "argument") == (("temperature", 2.0),)
    values = {"temperature": 2, "soft": 0.5}
    assert changed(SoftTargets, values, "argument") == (("soft", 0.5), ("temperature", 2.0))
    with pytest.raises(SuiteError, match="argument 'student' is not known"):
        changed(SoftTargets, {"student": 1}, "argument")


# --- code


def test_code_of_the_model_is_part_of_a_run(plan):
    runs = {run.model: run for run in plan(models=("cnn", "dnn", "lda", "random_forest")).runs}
    codes = {name: run.code for name, run in runs.items()}
    assert len({*codes.values()}) == 4
    assert codes == {name: code_of_run(run) for name, run in runs.items()}


# --- signals


def test_models_and_their_signals(plan):
    signals = {run.model: run.signals for run in plan(models=("all",)).runs}
    assert signals["cnn"] == ("eda", "bvp", "bvp_beats", "temp")
    assert set(signals["lda"]) == {"bvp", "eda", "temp", "bvp_beats"}
    assert signals["attention_lrcn"] == ("bvp",)
    assert signals["motion"] == ("acc",)
    assert signals["time"] == signals["majority"] == signals["prior"] == ()


def test_signals_to_choose_from(plan):
    expanded = plan(models=("all",), signals=("eda",))
    signals = {run.model: run.signals for run in expanded.runs}
    assert signals["cnn"] == signals["lda"] == ("eda",)
    assert any(name.endswith("/motion") for name in expanded.not_applicable)
    assert "motion" not in signals
    with pytest.raises(IncompatibleRunError, match="no signal 'ekg'"):
        plan(signals=("ekg",))


# --- flags that would do nothing

NETWORK = Run(
    dataset="deap",
    task="valence",
    protocol=Protocol(),
    fold=0,
    seed=0,
    model="cnn",
    signals=("eda",),
    subjects=("s1", "s2", "s3"),
    data="d" * 16,
    recipe=Recipe("none", scaling="standard"),
)
BARE = dataclasses.replace(NETWORK, recipe=Recipe("none", scaling="none"))
PROBE = dataclasses.replace(NETWORK, model="lda", recipe=ProbeRecipe())
OVERSAMPLING = dataclasses.replace(NETWORK, recipe=Recipe("none", balance="oversample"))
COPIES = ("random_windows", "oversample_before_split")
EPOCHS = ("select_on_test", "report_best_epoch", "report_mean_over_epochs")


@pytest.mark.parametrize(
    ("run", "flags", "taught", "reason"),
    [
        *((PROBE, (flag,), False, f"{flag}: it has no epoch to choose") for flag in EPOCHS),
        *((NETWORK, (flag,), False, "") for flag in EPOCHS),
        (PROBE, ("scale_on_all",), False, "scale_on_all: its signals are unscaled"),
        (BARE, ("scale_on_all",), False, "scale_on_all: its signals are unscaled"),
        (NETWORK, ("scale_on_all",), False, ""),
        (NETWORK, ("teacher_selected_on_test",), False, "it has no teacher"),
        (NETWORK, ("teacher_selected_on_test",), True, ""),
        (NETWORK, COPIES, False, "its recipe does not oversample; expected balance: oversample"),
        (OVERSAMPLING, COPIES, False, ""),
        (PROBE, COPIES, False, ""),
        (PROBE, ("scale_on_all", "select_on_test"), False, "unscaled; select_on_test: it has no"),
        (PROBE, ("random_trials", "select_on_test"), False, ""),
        (NETWORK, (), False, ""),
    ],
)
def test_flags_of_which_none_does_anything(run, flags, taught, reason):
    run = dataclasses.replace(run, protocol=Protocol(flags=flags))
    if not reason:
        check_flaws(run, DATASETS["deap"], taught)
        return
    with pytest.raises(IncompatibleRunError, match=reason):
        check_flaws(run, DATASETS["deap"], taught)


def test_labels_from_all_ratings_need_ratings():
    protocol = Protocol(rule="median", flags=("labels_from_all_ratings",))
    check_flaws(dataclasses.replace(NETWORK, protocol=protocol), DATASETS["deap"])
    conditions = dataclasses.replace(NETWORK, dataset="wesad", task="stress", protocol=protocol)
    with pytest.raises(IncompatibleRunError, match="conditions have no threshold"):
        check_flaws(conditions, DATASETS["wesad"])


# --- recipes that a paper has for each of several datasets


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ("pmemo", (1e-3, 0.0, 100)),
        ("deap", (0.1, 1e-3, 300)),
        ("amigos", (1e-3, 1e-2, 1000)),
        ("mahnob_hci", (1e-3, 0.0, 100)),
        ("stress_predict", (1e-3, 0.0, 100)),
    ],
)
def test_published_is_the_recipe_of_the_paper_for_the_dataset(plan, dataset, values):
    keys = {"datasets": (dataset,), "models": ("rtcan_1d",)}
    run = plan(EIGHT, **keys).runs[0]
    recipe = run.recipe
    assert (recipe.lr, recipe.weight_decay, recipe.max_epochs) == values
    assert (run.kind, run.changed, run.recipe_label) == ("published", (), "published")
    changes = {"rtcan_1d": {"lr": 0.1}}
    changed_run = plan(EIGHT, **keys, recipes=changes).runs[0]
    assert changed_run.changed == (() if dataset == "deap" else ("lr",))
    fast = plan(EIGHT, **keys, recipe="fast").runs[0]
    assert (fast.kind, fast.recipe) == ("fast", MODELS["rtcan_1d"].fast)


# --- windows longer than a score unit


def windows_of(plan, recordings, **keys):
    """Window and id of the first run of each model."""
    runs = plan(recordings, **keys).runs
    return {run.model: (run.window, run.id) for run in reversed(runs)}


def test_a_network_gets_its_window_as_far_as_segments_hold_it(plan):
    keys = {"datasets": ("stress_predict",), "models": ("attention_lrcn", "dnn", "lda", "majority")}
    capped = windows_of(plan, dataclasses.replace(LONG, longest={}), **keys)
    assert {name: window for name, (window, _) in capped.items()} == dict.fromkeys(
        keys["models"], 0
    )
    long = windows_of(plan, LONG, **keys)
    assert long["attention_lrcn"][0] == 89.0
    assert long["attention_lrcn"][1] != capped["attention_lrcn"][1]
    for name in ("dnn", "lda", "majority"):  # whose windows are no longer than the unit of 60 s
        assert long[name] == capped[name]
    whole = windows_of(plan, dataclasses.replace(LONG, longest={"stress": 300.0}), **keys)
    assert whole["attention_lrcn"][0] == MODELS["attention_lrcn"].published.window == 120.0
    assert len({found["attention_lrcn"][1] for found in (capped, long, whole)}) == 3
    short = windows_of(plan, dataclasses.replace(LONG, longest={"stress": 60.0}), **keys)
    assert short == capped


def test_a_probe_is_never_given_more_than_a_unit(plan):
    keys = {"datasets": ("eegmat",), "models": ("lda",), "tasks": ("workload",)}
    recordings = dataclasses.replace(LONG, longest={"workload": 60.0})
    assert windows_of(plan, recordings, **keys) == windows_of(plan, FOUR, **keys)
    assert PROBES["lda"].published.window == 60.0 > DATASETS["eegmat"].unit


def test_a_window_that_is_scored_by_itself_is_as_long_as_its_recipe_says(plan):
    keys = {"datasets": ("wesad",), "models": ("attention_lrcn",), "flags": ("select_on_test",)}
    keys |= {"score_windows": True}
    assert windows_of(plan, LONG, **keys) == windows_of(plan, FOUR, **keys)


def test_the_window_of_a_run_is_part_of_its_record():
    run = Run("d", "t", Protocol(), 0, 0, "m", (), (), "", window=89.0)
    again = Run.from_dict(json.loads(json.dumps(run.as_dict())))
    assert (again, again.id) == (run, run.id)

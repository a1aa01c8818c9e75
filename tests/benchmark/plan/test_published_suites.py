"""Suites of this project: those of published protocols do what the studies did, unranked."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.plan.expand import expand
from benchmark.plan.narrow import narrowed
from benchmark.plan.parse import SUITES, load_suite, suite_names
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import SuiteError
from benchmark.recordings.prepare import synthesize
from benchmark.run import Run
from datamodules.catalogue import DATASETS
from datamodules.flags import FLAGS
from lightning_modules.catalogue import DISTILLERS

PUBLISHED = [name for name in suite_names() if name.startswith("published_")]
FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16, sessions=1)


def runs(name: str, **chosen: Any) -> tuple[Run, ...]:
    suite = narrowed(load_suite(name), **chosen)
    plan = expand(suite, dict.fromkeys(suite.datasets, FOUR))
    assert not plan.not_applicable
    return plan.runs


# --- the suites that are ranked


@pytest.mark.parametrize("name", ["full", "quick"])
def test_suite_takes_every_model(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.models == ("all",)
    assert suite.splits == ("default",)


def test_quick_needs_no_data_and_full_takes_all() -> None:
    quick = load_suite("quick")
    assert quick.dataset_names(Path("nowhere")) == ("synthetic",)
    assert expand(quick, {"synthetic": FOUR}).runs
    full = load_suite("full")
    assert (full.datasets, full.tasks) == (("found",), ("all",))
    assert len(full.seeds) >= 3
    assert not full.recipes


def test_distillation_has_all_distillers() -> None:
    pairs = load_suite("distillation").distillations
    assert {pair.distiller for pair in pairs} == set(DISTILLERS)


WITH_ALL = (
    *("wesad", "stress_predict", "deap", "amigos", "mahnob_hci", "pmemo", "empatica_e4"),
    "synthetic",
)
DISTILLED = {
    **{name: set(DISTILLERS) for name in WITH_ALL},
    "seed_v": set(DISTILLERS) - {"uncertainty_weighted"},  # neither pulse nor the like
    "noise": {"soft_targets"},  # one signal: no teacher that sees more, and no pulse or skin
}
"""Distillers that some datasets have signals for; another has what its signals allow."""


@pytest.mark.parametrize("dataset", DATASETS)
def test_distillation_on_every_dataset(dataset: str) -> None:
    suite = load_suite("distillation")
    nine = Prepared(tuple(f"s{number}" for number in range(9)), {}, "e" * 16)
    plan = expand(suite, {dataset: nine})
    tasks = len(DATASETS[dataset].tasks)
    pairs = {(run.board, run.name) for run in plan.runs if run.distiller}
    assert len(pairs) + len(plan.not_applicable) == tasks * len(suite.distillations)
    assert all(plan.not_applicable.values())
    distilled = {run.distiller for run in plan.runs} - {""}
    assert distilled == DISTILLED.get(dataset, distilled)


# --- published protocols


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("published_attention_lrcn", 4 * 2),  # subjects, tasks
        ("published_weighted_distillation", 4 * 2 * 3),  # teacher, student, student alone
        ("published_rtcan_1d", 3 * 2 * 10),
        ("published_mlstm_fcn", 2 + 2 + 1),
        ("published_emotionkd", 2 * 2 * 4 * 10 * 3),
        ("published_seed_v", 11),
    ],
)
def test_number_of_runs(name: str, count: int) -> None:
    assert len(runs(name)) == count


def test_every_system_has_a_suite() -> None:
    assert len(PUBLISHED) == 6


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_has_a_line_and_a_file_that_says_what_it_is(name: str) -> None:
    first = (SUITES / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    about = (SUITES / f"{name}.md").read_text()
    assert {line for line in about.splitlines() if line.startswith("## ")} == {
        "## Where it is from",
        "## Not known, filled in here",
        "## Departures, and why",
    }
    keys = {key for key in yaml.safe_load((SUITES / f"{name}.yaml").read_text())}
    for flag in {flag for run in runs(name) for flag in run.protocol.flags}:
        assert f"`{flag}`" in about
    for switch in keys & {"test_share", "validation", "score_windows"}:
        assert f"`{switch}" in about


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "emotionkd" not in name])
def test_every_run_is_flagged(name: str) -> None:
    assert all(run.protocol.flags for run in runs(name))
    assert all(set(run.protocol.flags) <= set(FLAGS) for run in runs(name))


def test_attention_lrcn() -> None:
    for run in runs("published_attention_lrcn"):
        assert (run.protocol.split, run.signals) == ("leave_one_subject_out", ("bvp",))
        assert run.protocol.flags == ("select_on_test",)
        assert (run.protocol.validation, run.protocol.score_windows) == (False, True)
        recipe = run.recipe
        assert (recipe.window, recipe.stride, recipe.batch_size) == (120.0, 1.0, 256)
        assert (recipe.lr, recipe.lr_decay, recipe.max_epochs) == (1e-4, 0.95, 20)
        assert (recipe.scaling, recipe.balance) == ("none", "none")
        assert recipe.select_on == "val_accuracy"
    assert {run.task for run in runs("published_attention_lrcn")} == {"affect", "stress"}


def test_weighted_distillation() -> None:
    taught = [run for run in runs("published_weighted_distillation") if run.distiller]
    assert len(taught) == 8
    for run in taught:
        assert run.protocol.flags == ("select_on_test", "teacher_selected_on_test")
        assert dict(run.distillation) == {"order": "table"}
        assert run.recipe.lr == 2e-3
        (teacher,) = run.teachers
        assert teacher.protocol.flags == ("select_on_test",)
        assert teacher.recipe.lr == 1e-4
        assert run.recipe.select_on == teacher.recipe.select_on == "val_accuracy"
        assert (run.protocol.validation, teacher.protocol.validation) == (False, False)
        assert teacher.fold == run.fold


def test_rtcan_1d() -> None:
    flags = ("random_trials", "labels_from_all_ratings", "report_mean_over_epochs")
    for run in runs("published_rtcan_1d"):
        assert run.protocol.flags == flags
        assert (run.protocol.rule, run.n_folds, run.protocol.validation) == ("kmeans", 10, False)
        recipe, arguments = run.recipe, dict(run.arguments)
        assert (recipe.scaling, recipe.optimizer, recipe.momentum) == ("none", "sgd", 0.9)
        assert (recipe.batch_size, recipe.patience) == (300, None)
        by_dataset = [recipe.lr, recipe.weight_decay, recipe.max_epochs]
        if run.dataset == "pmemo":
            assert by_dataset == [1e-3, 0.0, 100]
            assert arguments.pop("output") == "softmax"
            assert arguments == ({"attention": False} if run.task == "valence" else {})
            assert run.signals[-1] == "music"
            continue
        papers = {"deap": [0.1, 1e-3, 300], "amigos": [1e-3, 1e-2, 1000]}
        assert by_dataset == papers[run.dataset]
        assert arguments == {
            "output": "relu",
            "resampling": "image",
            "block_attention": False,
            "initialization": "xavier",
        }
        if run.dataset == "deap":
            assert recipe.window == recipe.stride == 87 * 87 / 128
            assert run.changed == ("scaling",)
        else:
            assert recipe.window >= 80 * 80 / 128  # a picture of 80 x 80
            assert recipe.stride > 1200  # one window of the longest video


def test_mlstm_fcn() -> None:
    every = runs("published_mlstm_fcn")
    for run in every:
        assert (run.protocol.split, run.protocol.test_share) == ("subject_hold_out", 0.3)
        assert (run.protocol.validation, run.protocol.score_windows) == (False, True)
        assert run.signals == ("eda", "resp", "bvp", "temp")
        assert dict(run.options) == {"keep_baseline": True, "stored_gsr": True}
        assert dict(run.arguments) == {"hard_sigmoid": True}
        recipe = run.recipe
        assert (recipe.window, recipe.stride, recipe.scaling) == (5.0, 3.0, "min_max")
        assert recipe.select_on == "train_loss"
    best = [run for run in every if "oversample_before_split" in run.protocol.flags]
    listed = [(run.task, run.recipe.batch_size, run.recipe.max_epochs) for run in best]
    assert listed == [("arousal_9", 64, 2000), ("valence_9", 128, 2000)]
    assert all(run.recipe.balance == "oversample" for run in best)
    assert {len(DATASETS["deap"].every_task()[run.task].classes) for run in every} == {9, 4}


def test_emotionkd() -> None:
    every = runs("published_emotionkd")
    assert {(run.dataset, run.protocol.split, run.protocol.folds) for run in every} == {
        ("deap", "trial_k_fold", 10),
        ("mahnob_hci", "trial_k_fold", 10),
    }
    for run in every:
        assert run.recipe.window == run.recipe.stride == 4.0
        if run.model == "emotionkd_student":
            assert run.recipe.lr == 1e-6
        else:
            assert (run.signals, run.recipe.lr) == (("eeg", "eda"), 5e-5)


def test_seed_v() -> None:
    every = runs("published_seed_v")
    for run in every:
        assert {"random_trials", "pad_reveals_length"} <= set(run.protocol.flags)
        assert (run.protocol.split, run.protocol.test_share) == ("subject_hold_out", 0.2)
        assert run.protocol.padding == "zero"
        assert dict(run.options) == {"session": 2, "study": True}
        recipe = run.recipe
        assert (recipe.lr, recipe.batch_size, recipe.scaling) == (1e-3, 32, "none")
        assert (recipe.plateau_factor, recipe.plateau_patience) == (0.2, 10)
        assert (recipe.plateau_delta, recipe.select_on) == (1e-5, "val_loss")
        assert run.protocol.validation == ("select_on_test" not in run.protocol.flags)
    by_model = {(run.model, dict(run.arguments)["layers"], run.signals[0]): run for run in every}
    assert len(by_model) == 11
    tested = {key for key, run in by_model.items() if not run.protocol.validation}
    assert tested == {
        ("dnn", "study_1", "eeg_study"),
        ("dnn", "study_2", "eeg_study"),
        ("cnn_lstm", "study", "eeg_study_pooled"),
    }
    assert by_model["lstm", "study_1", "eeg_study"].recipe.patience == 5


# --- parts


def test_a_part_of_a_suite_of_parts() -> None:
    assert len(runs("published_rtcan_1d", datasets=["deap"])) == 20
    assert len(runs("published_rtcan_1d", datasets=["pmemo"], tasks=["valence"])) == 10
    assert {run.model for run in runs("published_seed_v", models=["cnn"])} == {"cnn"}
    assert {run.seed for run in runs("published_mlstm_fcn", seeds=[4, 5])} == {4, 5}


def test_task_that_no_part_has() -> None:
    with pytest.raises(SuiteError, match="valence_9"):
        narrowed(load_suite("published_mlstm_fcn"), tasks=["valence"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_epochs_from_the_command_line(name: str) -> None:
    suite = load_suite(name).with_max_epochs(1)
    plan = expand(suite, dict.fromkeys(suite.datasets, FOUR))
    assert {run.recipe.max_epochs for run in plan.runs} == {1}
    assert all("max_epochs" in run.changed for run in plan.runs)
    usual = runs(name)
    assert [run.board for run in plan.runs] == [run.board for run in usual]
    assert not {run.id for run in plan.runs} & {run.id for run in usual}


# --- made-up data


def test_options_of_a_writer(tmp_path: Path) -> None:
    assert synthesize("deap", tmp_path, 1, 0, 1.0, {"n_videos": 2}) == 1
    with pytest.raises(BenchmarkError, match=r"expected options as in .*n_videos=40.*n_films=2"):
        synthesize("deap", tmp_path, 1, 0, 1.0, {"n_films": 2})
    with pytest.raises(BenchmarkError, match="found n_videos=many"):
        synthesize("deap", tmp_path, 1, 0, 1.0, {"n_videos": "many"})

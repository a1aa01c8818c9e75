"""Suites of published protocols: their runs are what the studies did, and none is ranked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.plan.expand import Prepared, expand
from benchmark.plan.suite import SUITES, Suite, SuiteError, suite_names
from benchmark.recordings.prepare import synthesize
from benchmark.run import Run
from datamodules.catalogue import DATAMODULES
from datamodules.protocol import FLAGS
from lightning_modules.emotionkd import STUDENT_AS_PUBLISHED
from lightning_modules.rtcan_1d import PUBLISHED_AMIGOS, PUBLISHED_DEAP

PUBLISHED = [name for name in suite_names() if name.startswith("published_")]
FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16, sessions=1)


def runs(name: str, **chosen: Any) -> tuple[Run, ...]:
    suite = Suite.load(name).narrowed(**chosen)
    plan = expand(suite, dict.fromkeys(suite.datasets, FOUR))
    assert not plan.not_applicable
    return plan.runs


def recipe(run: Run) -> dict[str, Any]:
    return dict(run.recipe)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("published_attention_lrcn", 4 * 2),  # subjects, tasks
        ("published_weighted_distillation", 4 * 2 * 2),  # and the teacher beside the student
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
    for flag in {flag for run in runs(name) for flag in run.flags}:
        assert f"`{flag}`" in about
    for switch in keys & {"test_share", "validation", "score_windows"}:
        assert f"`{switch}" in about


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "emotionkd" not in name])
def test_every_run_is_flagged(name: str) -> None:
    assert all(run.flags for run in runs(name))
    assert all(set(run.flags) <= set(FLAGS) for run in runs(name))


def test_attention_lrcn() -> None:
    for run in runs("published_attention_lrcn"):
        assert (run.split, run.signals) == ("leave_one_subject_out", ("bvp",))
        assert run.flags == ("select_on_test",)
        assert (run.validation, run.score_windows) == (False, True)
        found = recipe(run)
        assert [found[k] for k in ("window", "stride", "lr", "lr_decay", "batch_size")] == [
            *(120.0, 1.0, 1e-4, 0.95, 256)
        ]
        assert (found["max_epochs"], found["scaling"], found["balance"]) == (20, "none", "none")
    assert {run.task for run in runs("published_attention_lrcn")} == {"affect", "stress"}


def test_weighted_distillation() -> None:
    taught = [run for run in runs("published_weighted_distillation") if run.distiller]
    assert len(taught) == 8
    for run in taught:
        assert run.flags == ("select_on_test", "teacher_selected_on_test")
        assert dict(run.distillation) == {"order": "table"}
        assert recipe(run)["lr"] == 2e-3
        (teacher,) = run.teachers
        assert teacher.flags == ("select_on_test",)
        assert recipe(teacher)["lr"] == 1e-4
        assert (run.validation, teacher.validation) == (False, False)
        assert teacher.fold == run.fold


def test_rtcan_1d() -> None:
    flags = ("random_trials", "labels_from_all_ratings", "report_mean_over_epochs")
    for run in runs("published_rtcan_1d"):
        assert run.flags == flags
        assert (run.rule, run.n_folds, run.validation) == ("kmeans", 10, False)
        found, arguments = recipe(run), dict(run.arguments)
        assert (found["scaling"], found["optimizer"], found["momentum"]) == ("none", "sgd", 0.9)
        assert (found["batch_size"], found["patience"]) == (300, None)
        own = [found[k] for k in ("lr", "weight_decay", "max_epochs")]
        if run.dataset == "pmemo":
            assert own == [1e-3, 0.0, 100]
            assert arguments.pop("output") == "softmax"
            assert arguments == ({"attention": False} if run.task == "valence" else {})
            assert run.signals[-1] == "music"
            continue
        theirs = {"deap": PUBLISHED_DEAP, "amigos": PUBLISHED_AMIGOS}[run.dataset]
        assert own == [theirs.lr, theirs.weight_decay, theirs.max_epochs]
        assert arguments == {
            "output": "relu",
            "resampling": "image",
            "block_attention": False,
            "initialization": "xavier",
        }
        if run.dataset == "deap":
            assert found["window"] == theirs.window


def test_mlstm_fcn() -> None:
    found = runs("published_mlstm_fcn")
    for run in found:
        assert (run.split, run.test_share) == ("subject_hold_out", 0.3)
        assert (run.validation, run.score_windows) == (False, True)
        assert run.signals == ("eda", "resp", "bvp", "temp")
        assert dict(run.options) == {"keep_baseline": True}
        assert dict(run.arguments) == {"hard_sigmoid": True}
        values = recipe(run)
        assert (values["window"], values["stride"], values["scaling"]) == (5.0, 3.0, "min_max")
    best = [run for run in found if "oversample_before_split" in run.flags]
    listed = [(run.task, recipe(run)["batch_size"], recipe(run)["max_epochs"]) for run in best]
    assert listed == [("arousal_9", 64, 2000), ("valence_9", 128, 2000)]
    assert all(recipe(run)["balance"] == "oversample" for run in best)
    assert {len(DATAMODULES["deap"].every_task()[run.task].classes) for run in found} == {9, 4}


def test_emotionkd() -> None:
    found = runs("published_emotionkd")
    assert {(run.dataset, run.split, run.folds) for run in found} == {
        ("deap", "trial_k_fold", 10),
        ("mahnob_hci", "trial_k_fold", 10),
    }
    for run in found:
        assert recipe(run)["window"] == recipe(run)["stride"] == 4.0
        if run.model == "emotionkd_student":
            assert recipe(run)["lr"] == STUDENT_AS_PUBLISHED.lr
        else:
            assert (run.signals, recipe(run)["lr"]) == (("eeg", "eda"), 5e-5)


def test_seed_v() -> None:
    found = runs("published_seed_v")
    for run in found:
        assert {"random_trials", "pad_reveals_length"} <= set(run.flags)
        assert (run.split, run.test_share, run.padding) == ("subject_hold_out", 0.2, "zero")
        assert dict(run.options) == {"session": 2, "study": True}
        values = recipe(run)
        assert (values["lr"], values["batch_size"], values["scaling"]) == (1e-3, 32, "none")
        assert (values["plateau_factor"], values["plateau_patience"]) == (0.2, 10)
        assert run.validation == ("select_on_test" not in run.flags)
    own = {(run.model, dict(run.arguments)["layers"], run.signals[0]): run for run in found}
    assert len(own) == 11
    tested = {key for key, run in own.items() if not run.validation}
    assert tested == {
        ("dnn", "study_1", "eeg_study"),
        ("dnn", "study_2", "eeg_study"),
        ("cnn_lstm", "study", "eeg_study_pooled"),
    }
    assert recipe(own["lstm", "study_1", "eeg_study"])["patience"] == 5


# ---- parts


def test_a_part_of_a_suite_of_parts() -> None:
    assert len(runs("published_rtcan_1d", datasets=["deap"])) == 20
    assert len(runs("published_rtcan_1d", datasets=["pmemo"], tasks=["valence"])) == 10
    assert {run.model for run in runs("published_seed_v", models=["cnn"])} == {"cnn"}
    assert {run.seed for run in runs("published_mlstm_fcn", seeds=[4, 5])} == {4, 5}


def test_what_no_part_has() -> None:
    suite = Suite.load("published_mlstm_fcn")
    with pytest.raises(SuiteError, match="valence_9"):
        suite.narrowed(tasks=["valence"])
    parts = ({"models": ("cnn",), "tasks": ("stress",)}, {"models": ("dnn",)})
    suite = Suite("s", ("wesad",), tasks=("affect",), models=("cnn", "dnn"), parts=parts)
    assert len(suite.narrowed(tasks=["affect"]).parts) == 1
    with pytest.raises(SuiteError, match="none of its parts"):
        suite.narrowed(tasks=["affect"], models=["cnn"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_epochs_from_the_command_line(name: str) -> None:
    suite = Suite.load(name).with_max_epochs(1)
    plan = expand(suite, dict.fromkeys(suite.datasets, FOUR))
    assert {recipe(run)["max_epochs"] for run in plan.runs} == {1}
    assert all("max_epochs" in run.changed for run in plan.runs)
    usual = runs(name)
    assert [run.board for run in plan.runs] == [run.board for run in usual]
    assert not {run.id for run in plan.runs} & {run.id for run in usual}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def written(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text("datasets: [synthetic]\nmodels: [cnn]\n" + text)
        return str(path)

    return written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parts: cnn", "parts to be a list of mappings"),
        ("parts: [{options: {synthetic: {}}}]", "key of a part 'options' is not known"),
        ("parts: [{models: [cmn]}]", "did you mean cnn"),
        ("parts: [{parts: []}]", "key of a part 'parts'"),
        ("test_share: 2", "a share, as 0.3"),
        ("test_share: 1.5", "between 0 and 1"),
        ("validation: 3", "true or false"),
        ("score_windows: true", "protocol flags beside it"),
    ],
)
def test_what_cannot_be_meant(write: Callable[[str], str], text: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        Suite.load(write(text))


def test_a_part_has_the_fields_of_the_suite_where_it_has_none(write: Callable[[str], str]) -> None:
    suite = Suite.load(write("seeds: [3]\nparts:\n  - {seeds: [1, 2]}\n  - {models: [lda]}\n"))
    found = [(arm.models, arm.seeds, arm.parts) for arm in suite.arms()]
    assert found == [(("cnn",), (1, 2), ()), (("lda",), (3,), ())]


def test_tasks_of_published_protocols_are_for_those_who_name_them() -> None:
    plan = expand(Suite("s", ("deap",), tasks=("all",), models=("lda",)), {"deap": FOUR})
    assert {run.task for run in plan.runs} == {"valence", "arousal"}


# ---- made-up data


def test_options_of_a_writer(tmp_path: Path) -> None:
    assert synthesize("deap", tmp_path, 1, 0, 1.0, {"n_videos": 2}) == 1
    with pytest.raises(BenchmarkError, match=r"expected options as in .*n_videos=40.*n_films=2"):
        synthesize("deap", tmp_path, 1, 0, 1.0, {"n_films": 2})
    with pytest.raises(BenchmarkError, match="found n_videos=many"):
        synthesize("deap", tmp_path, 1, 0, 1.0, {"n_videos": "many"})

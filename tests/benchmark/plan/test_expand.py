"""Plan: the matrix is what the suite says, and what cannot be is refused or named."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.execution.execute import make_recipe
from benchmark.plan.expand import Plan, Prepared, expand
from benchmark.plan.suite import EVERY_MODEL, Distillation, Suite, SuiteError
from benchmark.probes.fit import PROBES, ProbeRecipe
from benchmark.run import Run
from datamodules.catalogue import DATAMODULES
from datamodules.errors import IncompatibleRunError
from datamodules.splits import split_subjects
from datamodules.synthetic import SyntheticDataModule
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.cnn import CNN

FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16)


def plan(found: Prepared = FOUR, **fields: Any) -> Plan:
    fields = {"datasets": ("synthetic",), "models": ("lda",), **fields}
    suite = Suite("s", **fields)
    return expand(suite, dict.fromkeys(suite.datasets, found))


def pair(distiller: str, student: str = "dnn", teacher: str = "", **fields: Any) -> Distillation:
    return Distillation(distiller, student, teacher, **fields)


def taught(*pairs: Distillation, found: Prepared = FOUR, **fields: Any) -> Plan:
    return plan(found, **{"models": (), "distillations": pairs, **fields})


def first(found: Plan) -> Run:
    """The taught run of the first fold."""
    return next(run for run in found.runs if run.distiller)


# --- bad values


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
def test_bad_recipe_value(changes, expected):
    with pytest.raises(SuiteError, match="suite s: recipe of cnn") as caught:
        plan(models=("cnn",), recipes={"cnn": changes})
    assert expected in str(caught.value)


def test_precision_is_part_of_a_run_only_where_it_is_not_the_usual_one():
    usual, same, other = (
        plan(models=("cnn",), recipes={"cnn": changes} if changes else {}).runs[0]
        for changes in ({}, {"precision": "32-true"}, {"precision": "bf16-mixed"})
    )
    assert usual == same
    assert "precision" not in dict(usual.recipe)
    assert dict(other.recipe)["precision"] == "bf16-mixed"
    assert other.id != usual.id
    assert (usual.changed, other.changed) == ((), ("precision",))


@pytest.mark.parametrize("changes", [{"window": -1}, {"stride": 0}, {"window": "long"}], ids=repr)
def test_bad_recipe_value_of_a_probe(changes):
    with pytest.raises(SuiteError, match="suite s: recipe of lda"):
        plan(recipes={"lda": changes})


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
    assert make_recipe(run) == dataclasses.replace(CNN.published, lr=0.5, max_epochs=3)
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


def test_fast_recipe_is_taken_by_models_that_have_one():
    runs = {run.model: run for run in plan(models=("cnn", "lda"), recipe="fast").runs}
    assert make_recipe(runs["cnn"]) == MODELS["cnn"].fast
    assert make_recipe(runs["lda"]) == PROBES["lda"].published
    assert (runs["cnn"].recipe_label, runs["lda"].recipe_label) == ("fast", "published")
    with pytest.raises(SuiteError, match="did you mean fast"):
        plan(models=("cnn",), recipe="fats")


# --- splits, rules and padding of a dataset

EIGHT = Prepared(tuple(f"s{number}" for number in range(8)), {}, "e" * 16, sessions=3)


def on(dataset: str, found: Prepared = EIGHT, **fields: Any) -> Plan:
    return plan(found, **{"datasets": (dataset,), "models": ("dnn",), **fields})


@pytest.mark.parametrize(
    ("dataset", "split", "folds", "board", "count"),
    [
        ("seed_v", "default", 4, "leave_one_subject_out", 8),
        ("pmemo", "default", 4, "subject_stimulus_4_fold", 4),
        ("pmemo", "leave_one_subject_out", 4, "leave_one_subject_out", 8),
        ("deap", "trial_k_fold", 4, "trial_4_fold", 8 * 4),
        ("seed_v", "trial_k_fold", 4, "trial_3_fold", 8 * 3),
        ("seed_v", "session_out", 4, "session_out", 8 * 3),
    ],
)
def test_splits_of_datasets(dataset, split, folds, board, count):
    runs = on(dataset, splits=(split,), folds=folds).runs
    assert {run.board.rpartition("__")[2] for run in runs} == {board}
    assert [run.fold for run in runs] == list(range(count))


def test_default_split_by_its_own_name_too_is_no_run_more():
    once = on("pmemo").runs
    assert on("pmemo", splits=("default", "subject_stimulus_k_fold")).runs == once


def test_sessions_are_counted_and_folds_of_blocks_are_the_datasets():
    one, other = (on("seed_v", splits=("trial_k_fold",), folds=folds).runs for folds in (2, 7))
    assert one == other
    assert {run.folds for run in on("seed_v", splits=("session_out",)).runs} == {3}
    with pytest.raises(IncompatibleRunError, match="at least 2 sessions, found 1"):
        on("seed_v", dataclasses.replace(EIGHT, sessions=1), splits=("session_out",))


def test_split_that_a_dataset_has_not_is_named_for_each_model():
    found = plan(models=("cnn", "lda"), splits=("trial_k_fold", "leave_one_subject_out"))
    assert {run.split for run in found.runs} == {"leave_one_subject_out"}
    board = "synthetic__stress__trial_5_fold"
    assert set(found.not_applicable) == {f"{board}/cnn", f"{board}/lda"}
    assert "Synthetic has no split trial_k_fold" in found.not_applicable[f"{board}/cnn"]


def test_rule_is_work_where_there_are_ratings_and_nowhere_else():
    rated, conditions = on("deap", rule="kmeans").runs, plan(rule="kmeans").runs
    assert {run.board for run in rated} == {"deap__valence_kmeans__leave_one_subject_out"}
    assert not {run.id for run in rated} & {run.id for run in on("deap").runs}
    assert conditions == plan().runs


def test_padded_trials():
    flag = {"flags": ("pad_reveals_length",)}
    models = ("dnn", "attention_lrcn", "lda", "length")
    found = on("seed_v", models=models, padding="zero", **flag)
    assert on("seed_v", models=models, **flag) == found
    board = "seed_v__emotion_zero_padded__leave_one_subject_out__with_pad_reveals_length"
    assert {run.board for run in found.runs} == {board}
    assert {run.model for run in found.runs} == {"dnn", "lda", "length"}
    assert {run.padding for run in found.runs} == {"zero"}
    assert set(found.not_applicable) == {f"{board}/attention_lrcn"}
    every = on("seed_v", models=("all",), padding="zero", **flag)
    assert "length" in {run.model for run in every.runs}


def test_mask_for_models_that_take_one():
    found = on("seed_v", models=("all",), padding="mean", mask=True)
    board = "seed_v__emotion_mean_padded_masked__leave_one_subject_out"
    assert {run.board for run in found.runs} == {board}
    networks = {run.model for run in found.runs} & set(MODELS)
    assert networks == {name for name, model in MODELS.items() if model.masks}
    assert "takes no mask" in found.not_applicable[f"{board}/rtcan_1d"]


def test_no_padding_where_trials_are_not_the_unit():
    found = plan(models=("cnn", "lda"), padding="edge", flags=("pad_reveals_length",))
    assert found.runs == ()
    assert len(found.not_applicable) == 2
    assert all("no trial is padded" in reason for reason in found.not_applicable.values())


def test_length_shows_only_where_trials_are_padded():
    found = on("seed_v", models=("length", "dnn"))
    assert {run.model for run in found.runs} == {"dnn"}
    ((cell, reason),) = found.not_applicable.items()
    assert cell.endswith("/length")
    assert "length does not show" in reason


# --- arguments of models


def test_arguments_are_work_and_the_row_says_so():
    arguments = {"dnn": {"layers": "study_1"}, "cnn": {"layers": "rows"}}
    runs = on("seed_v", models=("dnn", "cnn"), arguments=arguments).runs
    default = on("seed_v", models=("dnn", "cnn")).runs
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
def test_bad_arguments(arguments, expected):
    with pytest.raises(SuiteError, match="suite s: ") as caught:
        plan(models=("dnn",), arguments={"dnn": arguments})
    assert expected in str(caught.value)


# --- students and their teachers


def test_student_alone_teacher_and_taught_student_of_every_fold_and_seed():
    runs = taught(pair("soft_targets", teacher="lstm"), seeds=(0, 3)).runs
    assert len(runs) == 2 * 4 * 3
    for number, (alone, teacher, run) in enumerate(
        zip(runs[::3], runs[1::3], runs[2::3], strict=True)
    ):
        seed, fold = (0, 3)[number // 4], number % 4
        assert (alone.model, teacher.model, run.model) == ("dnn", "lstm", "dnn")
        assert {(r.fold, r.seed) for r in (alone, teacher, run)} == {(fold, seed)}
        assert (run.teachers, run.alone) == ((teacher,), alone.id)
        assert (alone.distiller, teacher.distiller) == ("", "")
        assert dataclasses.replace(run, distiller="", teachers=(), alone="") == alone
        assert run.name == "dnn-by_soft_targets-of_lstm"


def test_teachers_come_before_those_they_teach():
    pairs = [pair("features", teacher=name) for name in ("lstm", "cnn")]
    pairs += [pair("soft_targets", teacher="lstm", out_of_fold=2), pair("self_distillation")]
    runs = taught(*pairs, models=("dnn",)).runs
    place = {run.id: number for number, run in enumerate(runs)}
    for run in runs:
        assert all(place[teacher.id] < place[run.id] for teacher in run.teachers)
        assert not run.alone or place[run.alone] < place[run.id]


def test_what_several_pairs_and_the_matrix_share_is_done_once():
    pairs = [pair("soft_targets", teacher="lstm"), pair("features", teacher="lstm")]
    found = taught(*pairs, pair("label_smoothing"), models=("lstm", "dnn"))
    assert len(found.runs) == 4 * (2 + 3)
    assert len({run.id for run in found.runs}) == len(found.runs)


def test_teacher_is_trained_on_the_students_windows():
    recipes = {"dnn": {"window": 20.0, "stride": 5.0, "batch_size": 9}}
    found = taught(pair("soft_targets", teacher="lstm"), models=("lstm",), recipes=recipes)
    run = first(found)
    (teacher,) = run.teachers
    own = dict(found.runs[0].recipe)
    assert dict(teacher.recipe) == {**own, "window": 20.0, "stride": 5.0}
    assert teacher.recipe_label == "published stride=5.0 window=20.0"
    assert teacher.id not in {run.id for run in found.runs if run.changed == ()}
    assert dict(run.recipe)["window"] == 20.0


def test_teacher_of_windows_that_are_its_own_anyway_is_the_models_own_run():
    found = taught(pair("soft_targets", teacher="lstm"), models=("lstm",))
    assert first(found).teachers[0] == found.runs[0]
    assert first(found).teachers[0].recipe_label == "published"


def test_signals_of_student_and_teacher():
    both = {"student_signals": ("bvp",), "teacher_signals": ("temp", "eda")}
    run = first(taught(pair("soft_targets", teacher="lstm", **both)))
    assert (run.signals, run.teachers[0].signals) == (("bvp",), ("eda", "temp"))
    free = first(taught(pair("soft_targets", teacher="lstm")))
    assert free.signals == free.teachers[0].signals == ("eda", "bvp", "temp")


def test_signal_that_no_dataset_has_is_refused_and_one_that_this_has_not_is_named():
    with pytest.raises(SuiteError, match=r"signal for dnn-by_.* 'edaa' .*did you mean eda"):
        taught(pair("soft_targets", teacher="lstm", teacher_signals=("edaa", "bvp")))
    found = taught(pair("soft_targets", teacher="lstm", student_signals=("eye",)))
    assert found.runs == ()
    ((cell, reason),) = found.not_applicable.items()
    assert cell == "synthetic__stress__leave_one_subject_out/dnn-by_soft_targets-of_lstm"
    assert "DNN takes" in reason


def test_student_that_is_its_own_teacher():
    runs = taught(pair("self_distillation")).runs
    assert len(runs) == 4 * 2
    run = first(taught(pair("self_distillation")))
    assert run.teachers == (runs[0],)
    assert run.alone == runs[0].id


@pytest.mark.parametrize("n_teachers", [2, 3, 5])
@pytest.mark.parametrize("split", ["leave_one_subject_out", "subject_k_fold", "subject_hold_out"])
def test_out_of_fold_teachers_share_the_training_subjects(split, n_teachers):
    asked = pair("soft_targets", teacher="lstm", out_of_fold=n_teachers)
    runs = taught(asked, found=EIGHT, splits=(split,), seeds=(5,), folds=4).runs
    for run in (run for run in runs if run.distiller):
        fold: Any = split_subjects(run.split, EIGHT.subjects, run.fold, 5, 4)
        assert len(run.teachers) == n_teachers
        unseen = [name for teacher in run.teachers for name in teacher.without]
        assert sorted(unseen) == sorted(fold.train)
        sizes = [len(teacher.without) for teacher in run.teachers]
        assert 1 <= min(sizes) <= max(sizes) <= min(sizes) + 1 < len(fold.train)
        assert {(t.fold, t.seed, t.model) for t in run.teachers} == {(run.fold, 5, "lstm")}
        assert run.without == ()


def test_more_out_of_fold_teachers_than_training_subjects():
    with pytest.raises(SuiteError, match=r"at most 2 out-of-fold teachers.* found 3"):
        taught(pair("soft_targets", teacher="lstm", out_of_fold=3))


def test_out_of_fold_teachers_need_a_split_over_subjects():
    asked = pair("soft_targets", teacher="lstm", out_of_fold=2)
    found = on("deap", models=(), distillations=(asked,), splits=("trial_k_fold",))
    assert found.runs == ()
    (reason,) = found.not_applicable.values()
    assert "need a split over subjects: trial_k_fold" in reason


def test_feedback_moves_one_teacher():
    asked = pair("adaptive_feedback", teacher="lstm", out_of_fold=2)
    (reason,) = taught(asked).not_applicable.values()
    assert "feedback moves one teacher, found 2" in reason
    frozen = dataclasses.replace(asked, arguments={"feedback": "none"})
    assert taught(frozen).not_applicable == {}


def test_pair_that_does_not_fit_is_named():
    asked = pair("adaptive_feedback", teacher="lstm", arguments={"feature_align": "token_linear"})
    found = taught(asked, pair("more_epochs"))
    assert {run.name for run in found.runs} == {"dnn", "dnn-by_more_epochs"}
    ((cell, reason),) = found.not_applicable.items()
    assert cell.endswith("/dnn-by_adaptive_feedback-of_lstm")
    assert "compares tokens" in reason


@pytest.mark.parametrize("distiller", DISTILLERS)
def test_what_is_not_applicable_is_named_as_its_runs_would_be(distiller, monkeypatch):
    kind = DISTILLERS[distiller]
    teacher = "lstm" if kind.n_teachers and not kind.teacher_is_student else ""
    asked = pair(distiller, teacher=teacher)
    run = first(taught(asked))

    def refuse(*_: Any, **__: Any) -> None:
        raise IncompatibleRunError("no")

    monkeypatch.setattr(kind, "check_pair", refuse)
    assert taught(asked).not_applicable == {f"{run.board}/{run.name}": "no"}


def test_distillers_own_changes_of_a_students_recipe():
    def lr(**fields: Any) -> tuple[object, str]:
        asked = pair("uncertainty_weighted", "attention_lrcn", "attention_lrcn")
        run = first(taught(asked, **fields))
        return dict(run.recipe)["lr"], run.recipe_label

    assert lr() == (2e-3, "published lr=0.002")
    assert lr(recipes={"attention_lrcn": {"lr": 0.5}}) == (0.5, "published lr=0.5")
    fast = MODELS["attention_lrcn"].fast.lr
    assert lr(recipe="fast") == (fast, "fast")
    alone = taught(pair("uncertainty_weighted", "attention_lrcn", "attention_lrcn")).runs[0]
    assert dict(alone.recipe)["lr"] == MODELS["attention_lrcn"].published.lr


@pytest.mark.parametrize(("patience", "doubled"), [(None, None), (3, 6)])
def test_more_epochs_are_twice_as_many(patience, doubled):
    recipes = {"dnn": {"max_epochs": 7, "patience": patience}}
    alone, run = taught(pair("more_epochs"), recipes=recipes).runs[:2]
    assert (run.name, run.teachers, run.alone) == ("dnn-by_more_epochs", (), alone.id)
    assert dict(run.recipe) == {**dict(alone.recipe), "max_epochs": 14, "patience": doubled}
    assert "max_epochs=14" in run.recipe_label


def test_arguments_of_a_distiller_are_those_that_differ_from_its_defaults():
    def run(**arguments: Any) -> Run:
        return first(taught(pair("soft_targets", teacher="lstm", arguments=arguments)))

    assert run(temperature=4, soft=0.9) == run()
    assert run(temperature=2).id == run(temperature=2.0).id != run().id
    assert run(temperature=2, soft=0.5).distillation == (("soft", 0.5), ("temperature", 2.0))
    assert run(soft=0.5).recipe_label == "published soft=0.5"


@pytest.mark.parametrize(
    ("distiller", "arguments", "expected"),
    [
        ("soft_targets", {"temprature": 2}, "argument of soft_targets 'temprature' is not known"),
        ("soft_targets", {"temprature": 2}, "did you mean temperature?"),
        ("soft_targets", {"teachers": 2}, "argument of soft_targets 'teachers' is not known"),
        ("soft_targets", {"temperature": -1}, "expected temperature > 0"),
        ("soft_targets", {"temperature": "hot"}, "dnn-by_soft_targets-of_lstm: "),
        ("features", {"feature": -2.0}, "expected feature from 0 up, found -2.0"),
        ("adaptive_feedback", {"feedback": "loud"}, "expected feedback among"),
        ("more_epochs", {"factor": 3}, "'factor' is not known: expected none"),
        ("label_smoothing", {"smoothing": 2}, "expected smoothing from 0 to 1"),
    ],
    ids=repr,
)
def test_bad_arguments_of_a_distiller(distiller, arguments, expected):
    teacher = "lstm" if DISTILLERS[distiller].n_teachers else ""
    with pytest.raises(SuiteError, match="suite s: ") as caught:
        taught(pair(distiller, teacher=teacher, arguments=arguments))
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_tried_with_arguments_of_a_distiller(name):
    asked = pair("soft_targets", name, name, arguments={"soft": 0.5}, out_of_fold=2)
    assert taught(asked).not_applicable == {}

"""Distillations: students alone, their teachers, and the students that these teach."""

import dataclasses
from typing import Any

import pytest

from benchmark.code import code_of_run
from benchmark.plan.expand import Plan
from benchmark.plan.pairs import check_pairs, name_of
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Distillation, Suite, SuiteError
from benchmark.run import Run
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol
from datamodules.splits import SPLITS, Dealing
from lightning_modules.catalogue import DISTILLERS, MODELS

EIGHT = Prepared(tuple(f"s{number}" for number in range(8)), {}, "e" * 16, sessions=3)


def pair(distiller: str, student: str = "dnn", teacher: str = "", **fields: Any) -> Distillation:
    return Distillation(distiller, student, teacher, **fields)


def first(expanded: Plan) -> Run:
    """Return the taught run of the first fold."""
    return next(run for run in expanded.runs if run.distiller)


# --- pairs that cannot be


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (pair("soft_targets"), "of dnn by soft_targets: expected a teacher, found none"),
        (pair("label_smoothing", teacher="lstm"), "by label_smoothing: expected no teacher, found"),
        (pair("self_distillation", teacher="lstm"), "expected no teacher, found lstm"),
        (pair("soft_targets", teacher="lstm", out_of_fold=1), "out_of_fold to be 0, or 2 and more"),
        (pair("soft_targets", teacher="lstm", out_of_fold=-2), "found -2"),
        (pair("more_epochs", out_of_fold=2), "where there is a teacher, found 2"),
    ],
)
def test_a_teacher_too_many_or_too_few(plan_pairs, entry, expected):
    with pytest.raises(SuiteError, match=expected):
        plan_pairs(entry)
    parts = ({"models": ("lda",)}, {"distillations": (entry,)})
    with pytest.raises(SuiteError, match=expected):
        check_pairs(Suite("s", parts=parts))


def test_flag_about_teachers_needs_one(plan, plan_pairs):
    flags = ("teacher_selected_on_test",)
    for pairs in ((), (pair("label_smoothing"),)):
        with pytest.raises(SuiteError, match=r"suite s: .*expected distillations by a teacher"):
            plan(models=("lda",), flags=flags, distillations=pairs)
    with pytest.raises(SuiteError, match="expected distillations by a teacher"):
        check_pairs(Suite("s", flaws=(flags,)))
    assert plan_pairs(pair("self_distillation"), flags=flags).runs


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (pair("soft_targets", "dnn", "lstm"), "dnn-by_soft_targets-of_lstm"),
        (pair("self_distillation", "dnn"), "dnn-by_self_distillation-of_dnn"),
        (pair("more_epochs", "cnn"), "cnn-by_more_epochs"),
    ],
)
def test_name_of_a_pair(entry, name):
    assert name_of(entry) == name


# --- runs of a pair


def test_student_alone_teacher_and_taught_student_of_every_fold_and_seed(plan_pairs):
    runs = plan_pairs(pair("soft_targets", teacher="lstm"), seeds=(0, 3)).runs
    assert len(runs) == 2 * 4 * 3
    for number, (alone, teacher, run) in enumerate(
        zip(runs[::3], runs[1::3], runs[2::3], strict=True)
    ):
        seed, fold = (0, 3)[number // 4], number % 4
        assert (alone.model, teacher.model, run.model) == ("dnn", "lstm", "dnn")
        assert {(r.fold, r.seed) for r in (alone, teacher, run)} == {(fold, seed)}
        assert (run.teachers, run.alone) == ((teacher,), alone.id)
        assert (alone.distiller, teacher.distiller) == ("", "")
        untaught = {"distiller": "", "teachers": (), "alone": "", "code": alone.code}
        assert dataclasses.replace(run, **untaught) == alone
        assert run.name == "dnn-by_soft_targets-of_lstm"


def test_code_of_the_distiller_is_part_of_a_taught_run(plan_pairs):
    alone, teacher, run = plan_pairs(pair("soft_targets", teacher="lstm")).runs[:3]
    assert len({alone.code, teacher.code, run.code}) == 3
    for each in (alone, teacher, run):
        assert each.code == code_of_run(each)


def test_teachers_come_before_those_they_teach(plan_pairs):
    pairs = [pair("features", teacher=name) for name in ("lstm", "cnn")]
    pairs += [pair("soft_targets", teacher="lstm", out_of_fold=2), pair("self_distillation")]
    runs = plan_pairs(*pairs, models=("dnn",)).runs
    place = {run.id: number for number, run in enumerate(runs)}
    for run in runs:
        assert all(place[teacher.id] < place[run.id] for teacher in run.teachers)
        assert not run.alone or place[run.alone] < place[run.id]


def test_what_several_pairs_and_the_matrix_share_is_done_once(plan_pairs):
    pairs = [pair("soft_targets", teacher="lstm"), pair("features", teacher="lstm")]
    expanded = plan_pairs(*pairs, pair("label_smoothing"), models=("lstm", "dnn"))
    assert len(expanded.runs) == 4 * (2 + 3)
    assert len({run.id for run in expanded.runs}) == len(expanded.runs)


def test_teacher_is_trained_on_the_students_windows(plan_pairs):
    recipes = {"dnn": {"window": 20.0, "stride": 5.0, "batch_size": 9}}
    expanded = plan_pairs(pair("soft_targets", teacher="lstm"), models=("lstm",), recipes=recipes)
    run = first(expanded)
    (teacher,) = run.teachers
    alone = expanded.runs[0]
    assert (alone.model, alone.recipe) == ("lstm", MODELS["lstm"].published)
    assert teacher.recipe == dataclasses.replace(alone.recipe, window=20.0, stride=5.0)
    assert teacher.recipe_label == "published stride=5.0 window=20.0"
    assert teacher.id not in {run.id for run in expanded.runs if run.changed == ()}
    assert run.recipe.window == 20.0


def test_teacher_of_windows_that_are_its_own_anyway_is_the_models_own_run(plan_pairs):
    expanded = plan_pairs(pair("soft_targets", teacher="lstm"), models=("lstm",))
    assert first(expanded).teachers[0] == expanded.runs[0]
    assert first(expanded).teachers[0].recipe_label == "published"


def test_signals_of_student_and_teacher(plan_pairs):
    both = {"student_signals": ("bvp",), "teacher_signals": ("temp", "eda")}
    run = first(plan_pairs(pair("soft_targets", teacher="lstm", **both)))
    assert (run.signals, run.teachers[0].signals) == (("bvp",), ("eda", "temp"))
    free = first(plan_pairs(pair("soft_targets", teacher="lstm")))
    assert free.signals == free.teachers[0].signals == ("eda", "bvp", "bvp_beats", "temp")


def test_signal_that_no_dataset_has_is_refused_and_one_that_this_has_not_is_named(plan_pairs):
    with pytest.raises(SuiteError, match=r"signal for dnn-by_.* 'edaa' .*did you mean eda"):
        plan_pairs(pair("soft_targets", teacher="lstm", teacher_signals=("edaa", "bvp")))
    expanded = plan_pairs(pair("soft_targets", teacher="lstm", student_signals=("eye",)))
    assert expanded.runs == ()
    ((cell, reason),) = expanded.not_applicable.items()
    assert cell == "synthetic__stress__leave_one_subject_out/dnn-by_soft_targets-of_lstm"
    assert "DNN takes" in reason


def test_student_that_is_its_own_teacher(plan_pairs):
    runs = plan_pairs(pair("self_distillation")).runs
    assert len(runs) == 4 * 2
    run = first(plan_pairs(pair("self_distillation")))
    assert run.teachers == (runs[0],)
    assert run.alone == runs[0].id


# --- flags


@pytest.mark.parametrize(
    "entry", [pair("soft_targets", teacher="lstm"), pair("self_distillation")], ids=name_of
)
def test_flags_of_student_and_teacher(plan_pairs, entry):
    flags = ("scale_on_all", "select_on_test")
    alone, teacher, run = plan_pairs(entry, flags=flags).runs[:3]
    assert (alone.protocol.flags, run.protocol.flags) == (flags, flags)
    assert run.teachers == (teacher,)
    assert teacher.protocol.flags == ("scale_on_all",)


def test_teacher_selected_on_test_is_no_flag_of_the_student_alone(plan_pairs):
    flags = ("teacher_selected_on_test",)
    alone, teacher, run = plan_pairs(pair("soft_targets", teacher="lstm"), flags=flags).runs[:3]
    assert (alone.protocol, run.protocol) == (Protocol(), Protocol(flags=flags))
    assert teacher.protocol == Protocol(flags=("select_on_test",))
    expanded = plan_pairs(
        pair("soft_targets", teacher="lstm"), pair("label_smoothing"), flags=flags
    )
    board = f"{run.board}/dnn-by_label_smoothing"
    assert expanded.not_applicable == {board: "teacher_selected_on_test: it has no teacher"}


# --- several teachers


@pytest.mark.parametrize("n_teachers", [2, 3, 5])
@pytest.mark.parametrize("split", ["leave_one_subject_out", "subject_k_fold", "subject_hold_out"])
def test_out_of_fold_teachers_share_the_training_subjects(plan_pairs, split, n_teachers):
    entry = pair("soft_targets", teacher="lstm", out_of_fold=n_teachers)
    runs = plan_pairs(entry, recordings=EIGHT, splits=(split,), seeds=(5,), folds=4).runs
    subjects = dict.fromkeys(EIGHT.subjects, ())
    for run in (run for run in runs if run.distiller):
        dealing = Dealing(run.fold, 5, 4, run.protocol.test_share)
        members = SPLITS[run.protocol.split].members(subjects, dealing)
        assert len(run.teachers) == n_teachers
        unseen = [name for teacher in run.teachers for name in teacher.without]
        assert sorted(unseen) == sorted(members.train)
        sizes = [len(teacher.without) for teacher in run.teachers]
        assert 1 <= min(sizes) <= max(sizes) <= min(sizes) + 1 < len(members.train)
        assert {(t.fold, t.seed, t.model) for t in run.teachers} == {(run.fold, 5, "lstm")}
        assert run.without == ()


def test_out_of_fold_teachers_share_the_training_subjects_of_a_smaller_hold_out(plan_pairs):
    entry = pair("soft_targets", teacher="lstm", out_of_fold=2)
    keys = {"splits": ("subject_hold_out",), "test_share": 0.5}
    run = first(plan_pairs(entry, recordings=EIGHT, **keys))
    unseen = [name for teacher in run.teachers for name in teacher.without]
    assert len(unseen) == 3  # four of eight are tested, one chooses the epoch


def test_more_out_of_fold_teachers_than_training_subjects(plan_pairs):
    with pytest.raises(SuiteError, match=r"at most 2 out-of-fold teachers.* found 3"):
        plan_pairs(pair("soft_targets", teacher="lstm", out_of_fold=3))


def test_out_of_fold_teachers_need_a_split_over_subjects(plan_pairs):
    entry = pair("soft_targets", teacher="lstm", out_of_fold=2)
    keys = {"datasets": ("deap",), "splits": ("trial_k_fold",)}
    expanded = plan_pairs(entry, recordings=EIGHT, **keys)
    assert expanded.runs == ()
    (reason,) = expanded.not_applicable.values()
    assert "need a split over subjects: trial_k_fold" in reason


def test_feedback_moves_one_teacher(plan_pairs):
    entry = pair("adaptive_feedback", teacher="lstm", out_of_fold=2)
    (reason,) = plan_pairs(entry).not_applicable.values()
    assert "feedback moves one teacher, found 2" in reason
    frozen = dataclasses.replace(entry, arguments={"feedback": "none"})
    assert plan_pairs(frozen).not_applicable == {}


# --- pairs that do not fit


def test_pair_that_does_not_fit_is_named(plan_pairs):
    entry = pair("adaptive_feedback", teacher="lstm", arguments={"feature_align": "token_linear"})
    expanded = plan_pairs(entry, pair("more_epochs"))
    assert {run.name for run in expanded.runs} == {"dnn", "dnn-by_more_epochs"}
    ((cell, reason),) = expanded.not_applicable.items()
    assert cell.endswith("/dnn-by_adaptive_feedback-of_lstm")
    assert "compares tokens" in reason


@pytest.mark.parametrize("distiller", DISTILLERS)
def test_what_is_not_applicable_is_named_as_its_runs_would_be(plan_pairs, distiller, monkeypatch):
    kind = DISTILLERS[distiller]
    teacher = "lstm" if kind.n_teachers and not kind.teacher_is_student else ""
    entry = pair(distiller, teacher=teacher)
    run = first(plan_pairs(entry))

    def refuse(*_: Any, **__: Any) -> None:
        raise IncompatibleRunError("no")

    monkeypatch.setattr(kind, "check_pair", refuse)
    assert plan_pairs(entry).not_applicable == {f"{run.board}/{run.name}": "no"}


# --- recipes and arguments


def test_distillers_own_changes_of_a_students_recipe(plan_pairs):
    entry = pair("uncertainty_weighted", "attention_lrcn", "attention_lrcn")

    def lr(**keys: Any) -> tuple[float, str]:
        run = first(plan_pairs(entry, **keys))
        return run.recipe.lr, run.recipe_label

    assert lr() == (2e-3, "published lr=0.002")
    assert lr(recipes={"attention_lrcn": {"lr": 0.5}}) == (0.5, "published lr=0.5")
    fast = MODELS["attention_lrcn"].fast.lr
    assert lr(recipe="fast") == (fast, "fast")
    alone = plan_pairs(entry).runs[0]
    assert alone.recipe.lr == 2e-3  # a gain is a difference in nothing but the teacher


@pytest.mark.parametrize("name", DISTILLERS)
def test_a_gain_is_a_difference_in_nothing_but_the_teacher(plan_pairs, name):
    """Recipe, signals and arguments of a taught student are those of the student alone.

    Epochs are what ``more_epochs`` is about.
    """
    kind = DISTILLERS[name]
    student = "attention_lrcn" if name == "uncertainty_weighted" else "emotionkd_student"
    teacher = {"adaptive_feedback": "emotionkd_teacher"}.get(name, student)
    given = (teacher,) if kind.n_teachers and not kind.teacher_is_student else ()
    runs = plan_pairs(pair(name, student, *given)).runs
    by_id = {run.id: run for run in runs}
    taught = [run for run in runs if run.distiller]
    assert taught
    for run in taught:
        alone = by_id[run.alone]
        differing = {
            field.name
            for field in dataclasses.fields(run.recipe)
            if getattr(run.recipe, field.name) != getattr(alone.recipe, field.name)
        }
        assert differing <= ({"max_epochs", "patience"} if name == "more_epochs" else set())
        assert (run.signals, run.arguments) == (alone.signals, alone.arguments)
        assert (run.fold, run.seed, run.subjects) == (alone.fold, alone.seed, alone.subjects)


def test_a_control_can_have_the_recipe_of_a_published_pair(plan_pairs):
    published = pair("uncertainty_weighted", "attention_lrcn", "attention_lrcn")
    control = pair("label_smoothing", "attention_lrcn", recipe={"lr": 2e-3})
    ours, theirs = (plan_pairs(entry).runs for entry in (published, control))
    assert ours[0].id == theirs[0].id  # one student alone for both
    assert theirs[-1].recipe == ours[-1].recipe
    assert theirs[-1].recipe_label == "published lr=0.002"
    with pytest.raises(SuiteError, match="recipe of attention_lrcn by label_smoothing"):
        plan_pairs(pair("label_smoothing", "attention_lrcn", recipe={"learning": 1}))


@pytest.mark.parametrize(("patience", "doubled"), [(None, None), (3, 6)])
def test_more_epochs_are_twice_as_many(plan_pairs, patience, doubled):
    recipes = {"dnn": {"max_epochs": 7, "patience": patience}}
    alone, run = plan_pairs(pair("more_epochs"), recipes=recipes).runs[:2]
    assert (run.name, run.teachers, run.alone) == ("dnn-by_more_epochs", (), alone.id)
    assert run.recipe == dataclasses.replace(alone.recipe, max_epochs=14, patience=doubled)
    assert "max_epochs=14" in run.recipe_label


def test_arguments_of_a_distiller_are_those_that_differ_from_its_defaults(plan_pairs):
    def run(**arguments: Any) -> Run:
        return first(plan_pairs(pair("soft_targets", teacher="lstm", arguments=arguments)))

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
def test_bad_arguments_of_a_distiller(plan_pairs, distiller, arguments, expected):
    teacher = "lstm" if DISTILLERS[distiller].n_teachers else ""
    with pytest.raises(SuiteError, match="suite s: ") as caught:
        plan_pairs(pair(distiller, teacher=teacher, arguments=arguments))
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_tried_with_arguments_of_a_distiller(plan_pairs, name):
    entry = pair("soft_targets", name, name, arguments={"soft": 0.5}, out_of_fold=2)
    reasons = plan_pairs(entry).not_applicable.values()  # the dataset has no EEG
    assert all(f"{MODELS[name].__name__} takes eeg" in reason for reason in reasons)


# --- windows longer than a score unit


def test_student_teacher_and_student_alone_have_one_window(plan):
    recordings = dataclasses.replace(EIGHT, longest={"stress": 100.0})
    entry = pair("uncertainty_weighted", "attention_lrcn", "attention_lrcn")
    other = pair("soft_targets", "attention_lrcn", "dnn")
    short = pair("soft_targets", "dnn", "attention_lrcn")
    for one, window in ((entry, 100.0), (other, 100.0), (short, 0.0)):
        suite = {"datasets": ("wesad",), "models": (), "distillations": (one,), "signals": ("bvp",)}
        runs = plan(recordings, **suite).runs
        assert {run.window for run in runs} == {window}
        taught = next(run for run in runs if run.distiller)
        assert [teacher.window for teacher in taught.teachers] == [window]
        assert taught.alone in {run.id for run in runs if not run.distiller}


def test_out_of_fold_teachers_answer_for_all_that_is_trained_on(plan_pairs):
    entry = pair("soft_targets", teacher="lstm", out_of_fold=3)
    for run in plan_pairs(entry, validation=False).runs:
        if run.distiller:
            left_out = [name for teacher in run.teachers for name in teacher.without]
            tested = SPLITS[run.protocol.split].people(
                run.subjects, run.protocol.dealing(run.fold, 0)
            )
            assert sorted([*left_out, *tested]) == sorted(run.subjects)

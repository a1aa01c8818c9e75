"""Plan: the matrix is what the suite says, and what cannot be is refused or named."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.plan.expand import Plan, expand, left_out, signals_of
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Distillation, Suite, SuiteError, every_model
from benchmark.probes.catalogue import PROBES
from datamodules.catalogue import DATASETS
from datamodules.digests import digest
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol
from datamodules.synthetic import SYNTHETIC
from lightning_modules.catalogue import MODELS

FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16)
EIGHT = Prepared(tuple(f"s{number}" for number in range(8)), {}, "e" * 16, sessions=3)


@pytest.fixture
def plan_on(plan: Callable[..., Plan]) -> Callable[..., Plan]:
    """Expands a suite of one network on eight subjects of some dataset."""

    def expanded(dataset: str, recordings: Prepared = EIGHT, **keys: Any) -> Plan:
        return plan(recordings, **{"datasets": (dataset,), "models": ("dnn",), **keys})

    return expanded


@pytest.fixture
def eyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of pupils only, two values a second."""
    eyes = dataclasses.replace(SYNTHETIC, name="eyes", title="Eyes", signals={"eye": (2, 2.0)})
    monkeypatch.setitem(DATASETS, "eyes", eyes)


@pytest.mark.parametrize(
    ("split", "folds", "n_subjects", "least"),
    [
        ("leave_one_subject_out", 5, 2, 3),
        ("subject_hold_out", 5, 2, 3),
        ("subject_k_fold", 5, 4, 5),
        ("subject_k_fold", 2, 2, 4),
    ],
)
def test_fewer_subjects_than_a_split_needs(plan, split, folds, n_subjects, least):
    recordings = Prepared(FOUR.subjects[:n_subjects], {}, "d" * 16)
    with pytest.raises(IncompatibleRunError, match=f"at least {least} subjects") as caught:
        plan(recordings, splits=(split,), folds=folds)
    assert f"found {n_subjects}" in str(caught.value)
    enough = Prepared(tuple(f"S{k}" for k in range(least)), {}, "d" * 16)
    assert plan(enough, splits=(split,), folds=folds).runs


@pytest.mark.parametrize("validation", [True, False])
def test_two_people_are_enough_without_validation(plan, validation):
    two = Prepared(("S1", "S2"), {}, "d" * 16)
    keys = {"splits": ("leave_one_subject_out",), "validation": validation}
    if validation:
        with pytest.raises(IncompatibleRunError, match="at least 3 subjects"):
            plan(two, **keys)
        return
    assert [run.fold for run in plan(two, **keys).runs] == [0, 1]


def test_task_that_no_dataset_has(plan):
    with pytest.raises(SuiteError, match="none of synthetic has a task affect"):
        plan(tasks=("affect",))


# --- the matrix


def test_counts_and_order(plan):
    runs = plan(models=("cnn", "lda"), seeds=(0, 3), splits=("leave_one_subject_out",)).runs
    cells = [(run.model, run.seed, run.fold) for run in runs]
    assert cells == [
        (model, seed, fold) for model in ("cnn", "lda") for seed in (0, 3) for fold in range(4)
    ]
    assert len({run.id for run in runs}) == 16
    for run in runs:
        assert (run.subjects, run.data) == (FOUR.subjects, FOUR.data)


def test_protocol_of_the_suite_is_that_of_its_runs(plan):
    values = {"validation": False, "score_windows": True, "flags": ("select_on_test",)}
    runs = plan(models=("cnn",), splits=("subject_k_fold",), folds=4, **values).runs
    assert {run.protocol for run in runs} == {Protocol("subject_k_fold", 4, **values)}


@pytest.mark.parametrize(
    ("split", "folds", "count"),
    [
        ("leave_one_subject_out", 5, 4),
        ("subject_hold_out", 5, 1),
        ("subject_k_fold", 4, 4),
        ("subject_k_fold", 2, 2),
    ],
)
def test_folds_of_splits(plan, split, folds, count):
    runs = plan(splits=(split,), folds=folds).runs
    assert [run.fold for run in runs] == list(range(count))
    assert {run.protocol.split for run in runs} == {split}


def test_number_of_folds_is_no_work_where_there_are_none(plan):
    one, other = plan(folds=5).runs, plan(folds=3).runs
    assert [run.id for run in one] == [run.id for run in other]
    splits = ("subject_k_fold",)
    k_fold = [{run.id for run in plan(splits=splits, folds=folds).runs} for folds in (3, 4)]
    assert not k_fold[0] & k_fold[1]


def test_share_of_a_hold_out_is_no_work_elsewhere(plan):
    assert plan(test_share=0.5).runs == plan().runs
    (one,), (other,) = (
        plan(splits=("subject_hold_out",), test_share=share).runs for share in (0.2, 0.5)
    )
    assert (one.protocol.test_share, other.protocol.test_share) == (0.2, 0.5)
    assert one.id != other.id


def test_tasks():
    recordings = {"wesad": Prepared(("S2", "S3", "S4"), {}, "e" * 16)}

    def tasks(*names: str) -> list[str]:
        suite = Suite("s", datasets=("wesad",), models=("majority",), tasks=names)
        return list(dict.fromkeys(run.task for run in expand(suite, recordings).runs))

    assert tasks() == [next(iter(DATASETS["wesad"].tasks))]
    assert tasks("all") == list(DATASETS["wesad"].tasks)
    assert tasks("affect") == ["affect"]


def test_tasks_of_published_protocols_are_for_those_who_name_them():
    suite = Suite("s", ("deap",), tasks=("all",), models=("lda",))
    assert {run.task for run in expand(suite, {"deap": EIGHT}).runs} == {"valence", "arousal"}
    suite = Suite("s", ("deap",), tasks=("quadrant",), models=("lda",))
    assert {run.task for run in expand(suite, {"deap": EIGHT}).runs} == {"quadrant"}


@pytest.mark.parametrize("name", ["seeds", "models", "splits"])
def test_naming_one_twice_makes_no_run_twice(plan, name):
    values = {"seeds": (0, 0), "models": ("lda", "lda"), "splits": ("subject_hold_out",) * 2}
    runs = plan(**{name: values[name]}).runs
    assert len(runs) == len({run.id for run in runs})


def test_parts_are_of_the_datasets_that_they_name():
    parts = ({"datasets": ("synthetic",)}, {"datasets": ("wesad",), "models": ("prior",)})
    suite = Suite("s", ("synthetic", "wesad"), models=("majority",), parts=parts)
    runs = expand(suite, {"synthetic": FOUR, "wesad": EIGHT}).runs
    assert {(run.dataset, run.model) for run in runs} == {
        ("synthetic", "majority"),
        ("wesad", "prior"),
    }


# --- what is not applicable


def test_all_models_but_that_of_lengths(plan):
    expanded = plan(models=("all",))
    reasons = {cell.rpartition("/")[2]: why for cell, why in expanded.not_applicable.items()}
    weightless = {"length", *(name for name, probe in PROBES.items() if probe.encoder)}
    others = [model for model in every_model() if model not in {*weightless, *reasons}]
    assert list(dict.fromkeys(run.model for run in expanded.runs)) == others
    assert reasons.pop("stimulus") == "people share no stimuli"
    assert set(reasons) == {"dgcnn", "eegnet", "eegconformer", "tsception"}
    assert all("takes eeg" in why for why in reasons.values())


@pytest.mark.usefixtures("eyes")
def test_not_applicable_with_reasons():
    suite = Suite("s", datasets=("eyes",), models=("attention_lrcn", "cnn", "motion", "time"))
    expanded = expand(suite, {"eyes": FOUR})
    board = "eyes__stress__leave_one_subject_out"
    assert set(expanded.not_applicable) == {f"{board}/attention_lrcn", f"{board}/motion"}
    assert "there is only eye" in expanded.not_applicable[f"{board}/attention_lrcn"]
    assert expanded.not_applicable[f"{board}/motion"] == "takes acc; there is only eye"
    assert {run.model for run in expanded.runs} == {"cnn", "time"}


def test_not_applicable_for_a_window_that_is_too_short(plan):
    expanded = plan(models=("attention_lrcn", "cnn"), recipes={"attention_lrcn": {"window": 0.1}})
    ((cell, reason),) = expanded.not_applicable.items()
    assert cell.endswith("/attention_lrcn")
    assert "longer window" in reason
    assert {run.model for run in expanded.runs} == {"cnn"}


@pytest.mark.usefixtures("eyes")
def test_everything_not_applicable_is_no_error():
    expanded = expand(Suite("s", datasets=("eyes",), models=("motion",)), {"eyes": FOUR})
    assert expanded.runs == ()
    assert len(expanded.not_applicable) == 1


# --- notes


def test_left_out_subjects_are_noted_and_who_is_there_makes_the_id(plan):
    reasons = {"S5": "no file", "S6": "no file", "S7": "empty"}
    partial = plan(Prepared(FOUR.subjects, reasons, FOUR.data))
    ((board, notes),) = partial.notes.items()
    assert board == partial.runs[0].board
    assert notes == ["left out: S5, S6: no file", "left out: S7: empty"] == left_out(reasons)
    assert partial.runs[0].id == plan().runs[0].id
    fewer = Prepared(FOUR.subjects[:3], {}, FOUR.data)
    assert plan(fewer).runs[0].id != plan().runs[0].id


def test_a_signal_that_somebody_lacks_is_seen_by_no_model(plan_on):
    models = ("lda", "motion", "attention_lrcn", "majority")
    lacking = {"acc": ("s1",), "bvp": ("s2", "s7"), "ecg": ("stranger",)}
    recordings = dataclasses.replace(EIGHT, lacking=lacking)
    everything = plan_on("wesad", models=models)
    some = plan_on("wesad", recordings, models=models)
    (board,) = some.notes
    assert some.notes[board] == [
        "no model sees acc, which s1 lacks",
        "no model sees bvp, which s2, s7 lack",
    ]
    seen = {run.model: run.signals for run in some.runs}
    of_all = {run.model: run.signals for run in everything.runs}
    assert of_all["attention_lrcn"] == ("bvp",)
    assert seen["attention_lrcn"] == ("ecg",)
    assert set(of_all["lda"]) - set(seen["lda"]) == {"bvp", "bvp_beats"}
    assert seen["motion"] == tuple(name for name in of_all["motion"] if name != "acc")
    assert seen["majority"] == of_all["majority"]
    none = dataclasses.replace(EIGHT, lacking={"acc": ("s1",), "chest_acc": ("s1",)})
    reasons = plan_on("wesad", none, models=("motion",)).not_applicable
    assert list(reasons) == [f"{board}/motion"]
    assert "there is only" in reasons[f"{board}/motion"]


def test_a_task_is_planned_on_those_who_have_segments_of_it(plan_on):
    some = {"stress": (EIGHT.subjects[1:], "f" * 16)}
    recordings = dataclasses.replace(EIGHT, taking=some, left_out={"s9": "empty"})
    expanded = plan_on("wesad", recordings, tasks=("stress", "affect"), models=("majority",))
    people = {run.task: (run.subjects, run.data) for run in expanded.runs}
    assert people == {**some, "affect": (EIGHT.subjects, EIGHT.data)}
    folds = {task: [r.fold for r in expanded.runs if r.task == task] for task in people}
    assert folds == {"stress": list(range(7)), "affect": list(range(8))}
    notes = {board.split("__")[1]: lines for board, lines in expanded.notes.items()}
    assert notes == {
        "stress": ["left out: s9: empty", "left out: s0: no segment is part of stress"],
        "affect": ["left out: s9: empty"],
    }


def test_every_board_has_its_notes(plan):
    expanded = plan(splits=("leave_one_subject_out", "subject_hold_out"), flags=("scale_on_all",))
    boards = {cell.rpartition("/")[0] for cell in expanded.not_applicable}
    assert expanded.notes == {board: [] for board in boards}
    assert len(boards) == 2


# --- splits, rules and padding of a dataset


@pytest.mark.parametrize(
    ("dataset", "split", "folds", "board", "count"),
    [
        ("seed_v", "default", 4, "subject_stimulus_4_fold", 4 * 4),
        ("seed_v", "leave_one_subject_out", 4, "leave_one_subject_out", 8),
        ("deap", "default", 5, "subject_stimulus_5_fold", 5 * 4),
        ("pmemo", "default", 4, "subject_stimulus_4_fold", 4 * 4),
        ("pmemo", "leave_one_subject_out", 4, "leave_one_subject_out", 8),
        ("deap", "trial_k_fold", 4, "trial_4_fold", 8 * 4),
        ("seed_v", "trial_k_fold", 4, "trial_3_fold", 8 * 3),
        ("seed_v", "session_out", 4, "session_out", 8 * 3),
    ],
)
def test_splits_of_datasets(plan_on, dataset, split, folds, board, count):
    runs = plan_on(dataset, splits=(split,), folds=folds).runs
    assert {run.board.rpartition("__")[2] for run in runs} == {board}
    assert [run.fold for run in runs] == list(range(count))


def test_default_split_by_its_own_name_too_is_no_run_more(plan_on):
    once = plan_on("pmemo").runs
    assert plan_on("pmemo", splits=("default", "subject_stimulus_k_fold")).runs == once


def test_sessions_are_counted_and_folds_of_blocks_are_the_datasets(plan_on):
    one, other = (plan_on("seed_v", splits=("trial_k_fold",), folds=folds).runs for folds in (2, 7))
    assert one == other
    sessions = plan_on("seed_v", splits=("session_out",)).runs
    assert {run.protocol.folds for run in sessions} == {3}
    with pytest.raises(IncompatibleRunError, match="at least 2 sessions, found 1"):
        plan_on("seed_v", dataclasses.replace(EIGHT, sessions=1), splits=("session_out",))


@pytest.mark.parametrize(
    ("split", "slug"), [("trial_k_fold", "trial_5_fold"), ("session_out", "session_out")]
)
def test_split_that_a_dataset_has_not_is_named_for_each_model(plan, split, slug):
    expanded = plan(models=("cnn", "lda"), splits=(split, "leave_one_subject_out"))
    assert {run.protocol.split for run in expanded.runs} == {"leave_one_subject_out"}
    board = f"synthetic__stress__{slug}"
    assert set(expanded.not_applicable) == {f"{board}/cnn", f"{board}/lda"}
    assert f"Synthetic has no split {split}" in expanded.not_applicable[f"{board}/cnn"]


def test_first_split_that_flags_exclude_is_named_for_each_model_and_pair(plan_on):
    pair = Distillation("soft_targets", "dnn", "lstm")
    expanded = plan_on("pmemo", flags=("random_trials",), distillations=(pair,))
    board = "pmemo__valence__subject_stimulus_5_fold__with_random_trials"
    assert expanded.runs == ()
    assert list(expanded.not_applicable) == [
        f"{board}/dnn",
        f"{board}/dnn-by_soft_targets-of_lstm",
    ]
    for reason in expanded.not_applicable.values():
        assert "found subject_stimulus_k_fold" in reason
    both = expand(
        Suite(
            "s",
            ("pmemo", "synthetic"),
            models=("dnn",),
            protocol=Protocol(flags=("random_trials",)),
        ),
        {"pmemo": EIGHT, "synthetic": EIGHT},
    )
    assert {run.dataset for run in both.runs} == {"synthetic"}


def test_rule_is_work_where_there_are_ratings_and_nowhere_else(plan, plan_on):
    rated, conditions = plan_on("deap", rule="kmeans").runs, plan(rule="kmeans").runs
    assert {run.board for run in rated} == {"deap__valence_kmeans__subject_stimulus_5_fold"}
    assert not {run.id for run in rated} & {run.id for run in plan_on("deap").runs}
    assert conditions == plan().runs


def test_padded_trials(plan_on):
    flag = {"flags": ("pad_reveals_length",)}
    models = ("dnn", "attention_lrcn", "lda", "length")
    expanded = plan_on("seed_v", models=models, padding="zero", **flag)
    assert plan_on("seed_v", models=models, **flag) == expanded
    board = "seed_v__emotion_zero_padded__subject_stimulus_5_fold__with_pad_reveals_length"
    assert {run.board for run in expanded.runs} == {board}
    assert {run.model for run in expanded.runs} == {"dnn", "lda", "length"}
    assert {run.protocol.padding for run in expanded.runs} == {"zero"}
    assert set(expanded.not_applicable) == {f"{board}/attention_lrcn"}
    every = plan_on("seed_v", models=("all",), padding="zero", **flag)
    assert "length" in {run.model for run in every.runs}


def test_mask_for_models_that_take_one(plan_on):
    expanded = plan_on("seed_v", models=("all",), padding="mean", mask=True)
    # what trials are filled up with is not seen, so that there is one board
    assert expanded.runs == plan_on("seed_v", models=("all",), padding="zero", mask=True).runs
    board = "seed_v__emotion_zero_padded_masked__subject_stimulus_5_fold"
    assert {run.board for run in expanded.runs} == {board}
    networks = {run.model for run in expanded.runs} & set(MODELS)
    assert networks == {name for name, model in MODELS.items() if model.masks}
    assert "takes no mask" in expanded.not_applicable[f"{board}/rtcan_1d"]


def test_no_padding_where_trials_are_not_the_unit(plan):
    expanded = plan(models=("cnn", "lda"), padding="edge", flags=("pad_reveals_length",))
    assert expanded.runs == ()
    assert len(expanded.not_applicable) == 2
    assert all("no trial is padded" in reason for reason in expanded.not_applicable.values())


def test_length_shows_only_where_trials_are_padded(plan_on):
    expanded = plan_on("seed_v", models=("length", "dnn"))
    assert {run.model for run in expanded.runs} == {"dnn"}
    ((cell, reason),) = expanded.not_applicable.items()
    assert cell.endswith("/length")
    assert "length does not show" in reason


def test_stimuli_show_only_where_the_tested_ones_are_trained_on(plan_on):
    models = ("stimulus", "prior")
    over_people = plan_on("seed_v", models=models, splits=("subject_k_fold",))
    assert {run.model for run in over_people.runs} == set(models)
    flawed = plan_on("seed_v", models=models, flags=("same_stimuli",))
    assert {run.model for run in flawed.runs} == set(models)
    elsewhere = plan_on("seed_v", splits=("subject_k_fold",), flags=("same_stimuli",))
    assert elsewhere.runs == ()
    (reason,) = elsewhere.not_applicable.values()
    assert "expected the split subject_stimulus_k_fold" in reason
    for split in ("default", "trial_k_fold", "session_out"):
        expanded = plan_on("seed_v", models=models, splits=(split,))
        assert {run.model for run in expanded.runs} == {"prior"}
        assert set(expanded.not_applicable.values()) == {"no tested stimulus is trained on"}


def test_groups_of_stimuli_are_counted_where_the_split_reads_them(plan_on):
    (protocol,) = {run.protocol for run in plan_on("deap", stimulus_folds=3).runs}
    assert (protocol.folds, protocol.stimulus_folds) == (5, 3)
    (protocol,) = {
        run.protocol for run in plan_on("deap", stimulus_folds=3, splits=("subject_k_fold",)).runs
    }
    assert protocol.stimulus_folds == 4


def test_a_task_of_one_class_is_refused_and_others_are_not(plan):
    """Whatever is predicted, macro F1 of one class is 1."""
    reason = (
        "stress: expected score units of two classes at least, found stress alone: whatever is "
        "predicted, there is nothing to tell apart"
    )
    recordings = Prepared(EIGHT.subjects, {}, EIGHT.data, alone={"stress": "stress"})
    refused = plan(recordings, datasets=("wesad",), models=("lda", "majority"))
    assert refused.runs == ()
    assert set(refused.not_applicable.values()) == {reason}
    assert {cell.rpartition("/")[2] for cell in refused.not_applicable} == {"lda", "majority"}
    both = plan(recordings, datasets=("wesad",), tasks=("stress", "affect"))
    assert {run.task for run in both.runs} == {"affect"}
    # The median of the training ratings has somebody on either side of it.
    rated = Prepared(EIGHT.subjects, {}, EIGHT.data, alone={"valence": "high"})
    for rule, count in (("midpoint", 0), ("median", 1)):
        runs = plan(rated, datasets=("deap",), splits=("trial_k_fold",), rule=rule).runs
        assert bool(runs) == bool(count)


# ---- signals that runs see


SAMPLES = {name: {"eda": f"eda of {name}", "bvp": f"bvp of {name}"} for name in FOUR.subjects}


def test_what_a_run_sees_is_part_of_it(plan):
    """Of its signals and people, and of no others; what reads nothing sees nothing."""
    recordings = dataclasses.replace(FOUR, samples=SAMPLES)
    keys = {"models": ("cnn", "majority"), "splits": ("subject_hold_out",)}
    cnn, majority = plan(recordings, signals=("eda",), **keys).runs
    assert cnn.samples == digest({"eda": [f"eda of {name}" for name in FOUR.subjects]})
    assert majority.samples == ""
    others = {name: {**both, "bvp": "other"} for name, both in SAMPLES.items()}
    changed = dataclasses.replace(recordings, samples=others)
    assert plan(changed, signals=("eda",), **keys).runs == (cnn, majority)
    assert plan(changed, signals=("bvp",), **keys).runs[0].samples != cnn.samples
    others = {**SAMPLES, "S3": {**SAMPLES["S3"], "eda": "other"}}
    changed = dataclasses.replace(recordings, samples=others)
    assert plan(changed, signals=("eda",), **keys).runs[0].id != cnn.id


def test_a_student_and_its_teacher_see_signals_of_their_own(plan):
    pair = Distillation(
        "soft_targets", "cnn", "cnn", student_signals=("eda",), teacher_signals=("bvp",)
    )
    recordings = dataclasses.replace(FOUR, samples=SAMPLES)
    keys = {"models": (), "splits": ("subject_hold_out",), "distillations": (pair,)}
    alone, teacher, taught = plan(recordings, **keys).runs
    seen = [digest({s: [f"{s} of {n}" for n in FOUR.subjects]}) for s in ("eda", "bvp")]
    assert [alone.samples, teacher.samples, taught.samples] == [seen[0], seen[1], seen[0]]
    assert taught.teachers == (teacher,)
    assert taught.alone == alone.id


def names_of(plan: Plan) -> set[str]:
    return {signal for run in plan.runs for signal in run.signals}


@pytest.mark.parametrize(
    "keys",
    [
        {"models": ("cnn",)},
        {"models": ("cnn", "lda")},
        {"models": ("majority", "time")},
        {"models": ("rtcan_1d",)},
        {"models": ("cnn",), "signals": ("temp",)},
        {"models": ("all",), "splits": ("leave_one_subject_out",)},
        {"models": ("cnn",), "options": {"synthetic": {"n_subjects": 4}}},
    ],
)
def test_signals_are_known_before_a_file_is_read(plan, suite_of, keys):
    """Those of the plan, which is made when everything was read."""
    suite = suite_of(datasets=("synthetic",), **keys)
    recordings = dataclasses.replace(FOUR, longest={"stress": 60.0})
    assert set(signals_of(suite, "synthetic")) == names_of(plan(recordings, **keys))
    assert set(signals_of(suite, "synthetic", recordings)) == names_of(plan(recordings, **keys))


def test_signals_of_a_window_that_fits_no_segment_are_asked_for_all_the_same(suite_of):
    """How long segments are is not known yet: better a signal too many than one too few."""
    keys = {"models": ("mlstm_fcn",), "recipes": {"mlstm_fcn": {"window": 200.0}}}
    suite = suite_of(datasets=("synthetic",), **keys)
    unread, read = signals_of(suite, "synthetic"), signals_of(suite, "synthetic", FOUR)
    assert set(read) <= set(unread)
    assert unread


def test_in_place_of_signals_that_somebody_lacks_others_are_asked_for(plan, suite_of):
    recordings = dataclasses.replace(EIGHT, lacking={"bvp": ("s1",)})
    suite = suite_of(datasets=("wesad",), models=("attention_lrcn",))
    assert signals_of(suite, "wesad") == ("bvp",)
    (signal,) = signals_of(suite, "wesad", recordings)
    assert signal != "bvp"
    assert {signal} == names_of(plan(recordings, datasets=("wesad",), models=("attention_lrcn",)))


def test_a_dataset_that_no_part_of_a_suite_names_has_no_signals(suite_of):
    suite = suite_of(datasets=("synthetic",), models=("cnn",))
    assert signals_of(suite, "wesad") == ()

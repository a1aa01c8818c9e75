"""Published values: comparable follows from the protocol, field by field, and nothing is typed."""

import csv
from dataclasses import replace

import pandas as pd
import pytest

from benchmark.boards import published as module
from benchmark.boards.board import write_leaderboards
from benchmark.boards.published import (
    LITERATURE,
    PROTOCOL_FIELDS,
    accepted,
    judge,
    of_row,
    published,
    published_table,
)
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.catalogue import DATASETS
from datamodules.splits import SPLITS
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import boards_of, cohorts_of, make_run, stored

SUBJECTS = ("S1", "S2", "S3")
HONEST = {
    "dataset": "wesad",
    "task": "stress",
    "signals": "eda+bvp",
    "model": "cnn",
    "variant": "",
    "metric": "macro_f1",
    "value": "0.8",
    "label_rule": "conditions",
    "split": "leave_one_subject_out",
    "both_sides": "nothing",
    "selection": "validation_subjects",
    "scaling": "training",
    "oversampling": "none",
    "labels_from": "fixed",
    "padding": "none",
    "unit": "60 s block",
    "averaged_over": "subjects",
}
UNSOUND = {
    "metric": "f1_positive",
    "label_rule": "low up to 4.5",
    "split": "random_windows",
    "both_sides": "trials",
    "selection": "test",
    "scaling": "all",
    "oversampling": "before_split",
    "labels_from": "all",
    "padding": "zero",
    "unit": "1 s window",
    "averaged_over": "units",
}


def run(dataset: str = "wesad", fold: int = 0, model: str = "cnn", **fields) -> Run:
    values = {"task": "stress", "signals": ("bvp", "eda"), "subjects": SUBJECTS, "data": "a" * 16}
    values |= fields
    return make_run(dataset=dataset, fold=fold, seed=0, model=model, **values)


def results(**fields) -> list[Scored]:
    return [
        Scored(
            asked,
            "done",
            scores={SUBJECTS[fold]: dict.fromkeys(SCORES, 0.5)},
            confusion={SUBJECTS[fold]: [[1, 1], [1, 1]]},
            seconds={"train": 1.0},
        )
        for fold in range(3)
        for asked in [run(fold=fold, **fields)]
    ]


# --- the rule


def test_protocol_of_the_board_is_comparable():
    found = judge(HONEST, run(), signals=True)
    assert (found.comparable, found.differs, found.unknown) == ("yes", (), ())


@pytest.mark.parametrize(("name", "value"), UNSOUND.items())
def test_each_field_alone_makes_it_incomparable(name, value):
    found = judge({**HONEST, name: value}, run())
    assert found.comparable == "no"
    assert [text.split(":")[0] for text in found.differs] == [name]
    assert value in found.differs[0]


@pytest.mark.parametrize("name", UNSOUND)
def test_each_field_that_nobody_states_makes_it_unknown(name):
    found = judge({**HONEST, name: ""}, run())
    assert (found.comparable, found.unknown) == ("unknown", (name,))


def test_what_differs_outweighs_what_is_unknown():
    assert judge({**HONEST, "scaling": "", "selection": "test"}, run()).comparable == "no"


def test_every_protocol_field_is_under_test():
    assert {*PROTOCOL_FIELDS, "metric", "label_rule"} == set(UNSOUND)


def test_f1_of_unknown_averaging_is_unknown():
    assert judge({**HONEST, "metric": "f1"}, run()).unknown == ("metric",)


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"split": "subject_k_fold", "folds": 10}, {"split": "subject_10_fold"}),
        ({"task": "valence", "rule": "kmeans"}, {"label_rule": "kmeans"}),
        ({"padding": "zero"}, {"padding": "zero"}),
        (
            {"split": "trial_k_fold", "folds": 3},
            {"split": "trial_3_fold", "both_sides": "subjects", "selection": "validation_trials"},
        ),
    ],
)
def test_protocol_is_that_of_the_board_at_hand(fields, value):
    honest = {**HONEST, "label_rule": "midpoint"}
    plain = run(task=fields.get("task", "stress"))
    assert judge({**honest, **value}, run(**{"rule": "midpoint", **fields})).comparable == "yes"
    assert judge({**honest, **value}, plain).comparable == "no"
    assert judge(honest, run(**fields)).comparable == "no"


def test_signals_count_on_a_row_only():
    other = replace(run(), signals=("bvp",))
    assert judge(HONEST, other).comparable == "yes"
    found = judge(HONEST, other, signals=True)
    assert found.differs == ("signals: bvp+eda, here bvp",)


# --- the files


def test_nothing_is_typed_that_is_computed():
    for name in ("values.csv", "protocols.csv"):
        with (LITERATURE / name).open(newline="") as file:
            columns = next(csv.reader(file))
        assert not {"comparable", "differs", "unknown", "board"} & set(columns)


def test_every_value_says_where_it_stands():
    values = pd.DataFrame(published())
    assert len(values) == len(pd.read_csv(LITERATURE / "values.csv"))
    for name in ("dataset", "task", "model", "metric", "value", "source", "place", "stated_in"):
        assert (values[name] != "").all(), name
    assert set(values["checked"]) == {"yes", "no"}
    assert values["value"].astype(float).between(0, 1).all()
    assert values["spread"].replace("", "0").astype(float).between(0, 0.5).all()
    keys = ["dataset", "task", "model", "variant", "signals", "metric", "source", "place"]
    assert not values.duplicated([*keys, "protocol"]).any()


def test_words_are_those_of_the_catalogues():
    values = pd.DataFrame(published())
    assert set(values["dataset"]) <= set(DATASETS)
    ours = values[values["model"].str.split("-").str[0].isin(MODELS)]
    assert {"attention_lrcn", "mlstm_fcn", "emotionkd_teacher", "cnn"} <= set(ours["model"])
    for name in set(ours["model"]):
        student, *rest = name.split("-")
        assert student in MODELS
        assert all(
            part.removeprefix("by_") in DISTILLERS or part.removeprefix("of_") in MODELS
            for part in rest
        )
    known = {name for data in DATASETS.values() for name in data.signals}
    for signals in set(ours["signals"]):
        assert set(signals.split("+")) <= known
    within = ("trials_of_a_subject", "random_trials", "random_windows", "")
    splits = {name.replace("_k_", f"_{k}_") for name in SPLITS for k in (2, 3)}
    assert set(values["split"]) <= {*splits, *within}


@pytest.mark.parametrize(
    ("dataset", "unit"), [("wesad", "60 s block"), ("deap", "trial"), ("not_in_the_catalogue", "")]
)
def test_what_is_scored_is_that_of_the_dataset(dataset, unit):
    assert accepted(run(dataset))["unit"] == (unit,)


def test_a_value_without_a_board_is_compared_with_the_first_split_of_its_dataset():
    table = published_table([])
    boards = set(zip(table["dataset"], table["task"], table["board"], strict=True))
    assert ("pmemo", "valence", "pmemo__valence__subject_stimulus_5_fold") in boards
    assert ("wesad", "stress", "wesad__stress__leave_one_subject_out") in boards
    named = {(dataset, task) for dataset, task, board in boards if board}
    assert named == {
        (dataset, task) for dataset, task, _ in boards if task in DATASETS[dataset].tasks
    }


def test_published_attention_lrcn_chose_its_epoch_on_the_test_subject():
    words, comparable = of_row(run(model="attention_lrcn", signals=("bvp",)))
    assert words == "accuracy 0.9711; f1 0.9547"
    assert comparable == "no"
    assert of_row(run(model="cnn")) == ("", "")
    assert of_row(run(model="attention_lrcn", task="affect")) == ("", "")


# --- the tables


def test_table_holds_every_value_and_every_board():
    cohorts = cohorts_of(
        [*results(), *results(split="subject_k_fold", folds=3), *results(options=(("x", 1),))]
    )
    table = published_table(cohorts)
    attention = table[table["model"] == "attention_lrcn"]
    assert set(attention["board"]) == {
        "wesad__stress__leave_one_subject_out",
        "wesad__stress__subject_3_fold",
    }
    assert len(attention) == 4
    assert set(table[table["dataset"] == "deap"]["board"]) == {
        "",
        "deap__arousal__subject_stimulus_5_fold",
        "deap__valence__subject_stimulus_5_fold",
    }
    assert (table[table["board"] == ""]["comparable"] == "no").all()
    assert set(table["comparable"]) <= {"yes", "no", "unknown"}
    assert len(table.drop_duplicates(["model", "source", "place", "variant", "metric"])) > 100
    for line in table.to_dict("records"):
        said = "no" if line["differs"] else "unknown" if line["unknown"] else "yes"
        assert line["comparable"] == said


def test_columns_of_a_board(tmp_path, monkeypatch):
    own = {**published()[0], **HONEST}
    found = (own, {**own, "variant": "large", "value": "0.9", "selection": "test"})
    monkeypatch.setattr(module, "published", lambda: found)
    store = stored(tmp_path / "runs", [*results(), *results(model="lda")])
    (board,) = boards_of(store)
    rows = board.table.set_index("model")
    assert rows.loc["cnn", "published"] == "macro_f1 0.8; macro_f1 0.9 (large)"
    assert rows.loc["cnn", "comparable"] == "no"
    assert rows.loc["lda", "published"] == rows.loc["lda", "comparable"] == ""
    monkeypatch.setattr(module, "published", lambda: found[:1])
    write_leaderboards(store, tmp_path / "out")
    path = tmp_path / "out" / "wesad__stress__leave_one_subject_out.csv"
    assert pd.read_csv(path, comment="#").set_index("model").loc["cnn", "comparable"] == "yes"
    (line,) = pd.read_csv(tmp_path / "out" / "published.csv").to_dict("records")
    assert (line["board"], line["comparable"]) == (path.stem, "yes")

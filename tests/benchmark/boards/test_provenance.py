"""What is behind the rows of a board: signals that look ahead, people who chose recipes."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from benchmark.boards.columns import Context, board_columns, flawed_columns
from benchmark.boards.provenance import (
    INPUT_LINE,
    has_seen,
    input_of,
    provenance_head,
    tuned_on,
    window_of,
)
from benchmark.probes.catalogue import PROBES, encoder_probes
from benchmark.probes.encoders import Encoder
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.catalogue import DATASETS
from lightning_modules.catalogue import MODELS
from lightning_modules.recipe import Recipe
from tests.benchmark.made_up import cohorts_of, make_run

SUBJECTS = ("S1", "S2", "S3")


def run_of(model: str = "cnn", signals: tuple[str, ...] = ("eda",), **fields) -> Run:
    values = {"dataset": "wesad", "task": "stress", "fold": 0, "seed": 0, "data": "a" * 16}
    values |= {"model": model, "signals": signals, "subjects": SUBJECTS}
    return make_run(**{**values, **fields})


def rows_of(*runs: Run):
    (cohort,) = cohorts_of([Scored(run, "done", scores={"S1": {"macro_f1": 0.5}}) for run in runs])
    return cohort.rows


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (run_of(), "causal"),
        (run_of(signals=("bvp", "eda", "temp")), "causal"),
        (run_of(signals=("eda", "eda_phasic")), "offline"),
        (run_of(dataset="mahnob_hci", signals=("eeg",)), "offline"),
        (run_of(dataset="mahnob_hci", signals=("eda", "resp")), "causal"),
        (run_of("lda"), "causal"),
        (run_of("lda", ("eda_tonic",)), "offline"),
        (run_of("subject_mean"), "offline"),
        (run_of("time", ()), "none"),
        (run_of("majority", ()), "none"),
        (run_of(dataset="gone"), ""),
    ],
    ids=str,
)
def test_input_is_that_of_the_steps_of_the_signals(run, expected):
    assert input_of(run) == expected


def test_input_of_an_encoder_is_that_of_its_filters_and_rate(monkeypatch):
    plain = Encoder("some.module:Network", ("bvp",), 64.0, 30.0, ("deap",), "plain")
    for rate, name in ((64.0, "same"), (32.0, "other")):
        probes = encoder_probes(name, dataclasses.replace(plain, sfreq=rate))
        monkeypatch.setitem(PROBES, name, probes[name])
    assert input_of(run_of("same", ("bvp",))) == "causal"
    assert input_of(run_of("other", ("bvp",))) == "offline"
    assert input_of(run_of("labram", ("eeg",), dataset="deap")) == "offline"


# --- what encoders have seen


def test_a_row_says_what_its_encoder_was_trained_on():
    (column,) = (column for column in board_columns() if column.name == "pretrained_on")
    values = {}
    runs = (
        run_of("labram", ("eeg",), pretrained="a" * 16, pretrained_on=("seed", "tuep")),
        run_of("labram_untrained", ("eeg",)),
        run_of("lda"),
    )
    for run in runs:
        (row,) = rows_of(run)
        values[run.model] = column.value(row, Context())
    assert values == {"labram": "seed, tuep", "labram_untrained": "nothing", "lda": ""}


@pytest.mark.parametrize("name", ["wesad", "WESAD", "We-Sad "])
def test_a_board_marks_an_encoder_that_has_seen_its_people(name):
    seen = run_of("labram", ("eeg",), pretrained="a" * 16, pretrained_on=("tuep", name))
    assert has_seen(seen)
    (line,) = (one for one in provenance_head(rows_of(seen)) if "people of this dataset" in one)
    assert line.startswith(f"pre-trained on people of this dataset: labram ({'a' * 16});")
    assert not has_seen(dataclasses.replace(seen, dataset="deap"))
    assert has_seen(dataclasses.replace(seen, dataset="seed_v", pretrained_on=("SEED-V",)))
    assert not has_seen(dataclasses.replace(seen, dataset="seed_v", pretrained_on=("seed",)))


def test_a_board_says_of_an_encoder_that_nobody_knows_what_it_saw():
    run = run_of("labram", ("eeg",), pretrained="b" * 16, pretrained_on=("tuep", "unknown"))
    lines = provenance_head(rows_of(run))
    assert any(line.startswith("frozen encoders: ") for line in lines)
    assert any(f"labram ({'b' * 16}); the people who are tested" in line for line in lines)
    assert not any("encoder" in line for line in provenance_head(rows_of(run_of())))


# --- windows


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"recipe": Recipe("a", window=120.0), "window": 120.0}, "120"),
        ({"recipe": Recipe("a", window=120.0), "window": 89.5}, "89.5"),
        ({"recipe": Recipe("a", window=120.0)}, "60"),
        ({"recipe": Recipe("a", window=4.0)}, "4"),
        ({"recipe": Recipe("a", window=120.0), "score_windows": True}, "120"),
        ({"dataset": "deap", "recipe": Recipe("a", window=120.0)}, "60"),
        ({"dataset": "gone"}, ""),
    ],
    ids=str,
)
def test_a_row_says_how_long_its_windows_are(fields, expected):
    assert window_of(run_of(**fields)) == expected
    (row,) = rows_of(run_of(**fields))
    for columns in (board_columns(), flawed_columns()):
        (column,) = (column for column in columns if column.name == "window")
        assert column.value(row, Context()) == expected


def test_the_head_names_windows_that_are_longer_than_a_unit():
    long = run_of("attention_lrcn", recipe=Recipe("a", window=120.0), window=89.0)
    short = run_of("dnn", recipe=Recipe("a", window=120.0))
    lines = provenance_head(rows_of(long, short))
    said = [line for line in lines if line.startswith("windows longer than a score unit")]
    assert len(said) == 1
    assert "attention_lrcn (89 s)" in said[0]
    assert "dnn" not in said[0]
    assert provenance_head(rows_of(short)) == [line for line in lines if line not in said]


# --- people who had a say in a recipe

TUNED = Recipe("here", tuned_on=("wesad", "deap"))


def test_the_fast_recipes_were_tuned_on_stress_predict():
    """Those whose values were tried there, and the teacher that shares its student's."""
    tried = Path(__file__).parents[2] / "benchmarks" / "tune_fast.csv"
    with tried.open(newline="") as file:
        models = {line["model"] for line in csv.DictReader(file)}
    by_hand = {"resnet_1d", "inception_time", "tcn"}
    untried = {"dgcnn", "eegnet", "eegconformer", "tsception"}
    assert models | {"emotionkd_teacher"} | by_hand | untried == set(MODELS)
    for name, model in MODELS.items():
        assert model.fast.tuned_on == (() if name in untried else ("stress_predict",))
        assert model.published.tuned_on == ()
        assert set(model.fast.tuned_on) <= set(DATASETS)


def test_people_of_a_teacher_had_a_say_too():
    assert tuned_on(run_of(recipe=TUNED)) == ("wesad", "deap")
    assert tuned_on(run_of("lda")) == ()
    teacher = run_of("dnn", recipe=Recipe("there", tuned_on=("deap", "pmemo")))
    taught = run_of(recipe=TUNED, distiller="soft_targets", teachers=(teacher,))
    assert tuned_on(taught) == ("wesad", "deap", "pmemo")
    plain = dataclasses.replace(taught, recipe=Recipe("here"))
    assert tuned_on(plain) == ("deap", "pmemo")


def test_the_head_marks_the_board_of_a_dataset_that_chose_a_recipe():
    rows = rows_of(run_of(recipe=TUNED, kind="fast"), run_of("dnn", recipe=Recipe("there")))
    (line,) = provenance_head(rows)
    assert line.startswith("tuned on people of this dataset: cnn (fast); ")
    elsewhere = run_of(dataset="pmemo", recipe=TUNED, kind="fast")
    assert provenance_head(rows_of(elsewhere)) == []


def test_tuned_on_is_kept_and_read_again():
    run = run_of(recipe=TUNED)
    assert Run.from_dict(json.loads(json.dumps(run.as_dict()))).recipe.tuned_on == TUNED.tuned_on


def test_the_columns_stand_behind_the_signals_on_both_kinds_of_board():
    for columns in (board_columns(), flawed_columns()):
        by_name = {column.name: column for column in columns}
        (row,) = rows_of(run_of(signals=("eda_tonic",), recipe=TUNED))
        assert by_name["input"].value(row, Context()) == "offline"
        assert by_name["tuned_on"].value(row, Context()) == "wesad deap"
        place = list(by_name).index("input")
        assert list(by_name)[place + 1] == "tuned_on"
        assert place > list(by_name).index("signals")


def test_the_head_explains_offline_where_a_row_is():
    assert provenance_head(rows_of(run_of(), run_of("majority", ()))) == []
    assert provenance_head(rows_of(run_of(), run_of("lda", ("eda_tonic",)))) == [INPUT_LINE]

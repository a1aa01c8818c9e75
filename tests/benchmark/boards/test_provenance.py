"""What is behind the rows of a board: signals that look ahead."""

import pytest

from benchmark.boards.columns import Context, board_columns, flawed_columns
from benchmark.boards.provenance import INPUT_LINE, input_of, provenance_head
from benchmark.run import Run
from benchmark.scored import Scored
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


def test_the_column_stands_behind_the_signals_on_both_kinds_of_board():
    for columns in (board_columns(), flawed_columns()):
        by_name = {column.name: column for column in columns}
        assert list(by_name).index("input") > list(by_name).index("signals")
        (row,) = rows_of(run_of(signals=("eda_tonic",)))
        assert by_name["input"].value(row, Context()) == "offline"


def test_the_head_explains_offline_where_a_row_is():
    assert provenance_head(rows_of(run_of(), run_of("majority", ()))) == []
    assert provenance_head(rows_of(run_of(), run_of("lda", ("eda_tonic",)))) == [INPUT_LINE]

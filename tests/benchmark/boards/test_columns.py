"""Columns of boards: an ordered list, to which a score adds one."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from benchmark.boards.columns import Context, board_columns, flawed_columns, table
from benchmark.scored import Scored
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import cohorts_of, make_run

VALUES = {"dataset": "wesad", "task": "stress", "signals": ("eda",), "subjects": ("S1", "S2", "S3")}


def names(columns) -> list[str]:
    return [column.name for column in columns]


def test_scores_are_on_both_kinds_of_board_in_their_order(monkeypatch):
    for columns in (board_columns, flawed_columns):
        assert [name for name in names(columns()) if name in SCORES] == list(SCORES)
        assert len(set(names(columns()))) == len(columns())
    before = names(board_columns())
    monkeypatch.setitem(SCORES, "made up", lambda probabilities, target: 0.0)
    after = names(board_columns())
    assert [name for name in after if name != "made up"] == before
    assert after.index("made up") == after.index(list(SCORES)[-2]) + 1


def test_flawed_boards_compare_nothing():
    compared = {"rank_low", "rank_high", "delta_majority", "delta_simple", "p_simple"}
    compared |= {"published", "comparable"}
    assert compared <= set(names(board_columns()))
    assert compared.isdisjoint(names(flawed_columns()))


def test_models_that_do_not_apply_are_lines_with_a_reason():
    made = table([], flawed_columns(), Context(), {"motion": "takes acc"})
    (line,) = made.to_dict("records")
    assert (line["model"], line["note"]) == ("motion", "not applicable: takes acc")
    assert line["complete"] is False
    assert made["n_runs"].dtype == "Int64"


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_pooled_macro_f1_is_that_of_all_units_of_a_seed(seeds):
    rng = np.random.default_rng(5)
    results, expected = [], []
    for seed in seeds:
        targets, guesses = [], []
        for fold, subject in enumerate(("S1", "S2")):
            target, guess = rng.integers(0, 3, 20), rng.integers(0, 3, 20)
            counts = confusion_matrix(target, guess, labels=range(3)).tolist()
            run = make_run(fold=fold, seed=seed, model="cnn", data="d", **VALUES)
            scores = {subject: {"macro_f1": 0.5}}
            results.append(Scored(run, "done", scores=scores, confusion={subject: counts}))
            targets.append(target)
            guesses.append(guess)
        pair = np.concatenate(targets), np.concatenate(guesses)
        expected.append(f1_score(*pair, average="macro"))
    (cohort,) = cohorts_of(results)
    assert cohort.rows[0].pooled == pytest.approx(np.mean(expected), abs=1e-12)

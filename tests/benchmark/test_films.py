"""Films that give their label away, planted: shown for what they are, and kept out by the default.

Sixteen people, a pattern a film and none an emotion, the label fixed by the film: nothing of an
emotion can be learned, but who has seen another person watch the film knows the answer.
"""

from pathlib import Path

import pandas as pd
import pytest

from benchmark.boards.board import Board, write_leaderboards
from benchmark.boards.leak_audit import audit_table
from benchmark.boards.scores import scored_results
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import prepare
from benchmark.store import Store
from datamodules.protocol import Protocol

OPTIONS = {"n_subjects": 16, "film": 3.0}
CHANCE = 0.2
FOLDS = {"folds": 4, "stimulus_folds": 3}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("films")
    return Places(Path("none"), folder / "cache", folder / "runs")


@pytest.fixture(scope="module")
def store(places: Places) -> Store:
    """Probes on both splits; under the crossed one with its flaw too."""
    prepared = prepare("noise", Path("none"), places.cache, OPTIONS, ())
    for split, models, flaws in (
        ("subject_k_fold", ("lda", "stimulus", "majority"), ()),
        ("default", ("lda", "stimulus", "majority"), (("same_stimuli",),)),
    ):
        suite = Suite(
            "films",
            ("noise",),
            splits=(split,),
            models=models,
            options={"noise": OPTIONS},
            protocol=Protocol(**FOLDS),
            flaws=flaws,
        )
        for run in expand(suite, {"noise": prepared}).runs:
            result = execute(run, places)
            assert result.status == "done", result.traceback
    return Store(places.runs)


@pytest.fixture(scope="module")
def boards(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Board]:
    written = write_leaderboards(store, tmp_path_factory.mktemp("boards"))
    return {board.name.rpartition("__")[2]: board for board in written}


def rows(board: Board) -> pd.DataFrame:
    return board.table.set_index("model")


def test_a_split_over_people_alone_rewards_who_knows_the_film_and_says_so(boards):
    board = boards["subject_4_fold"]
    assert any(line.startswith("same stimuli: yes;") for line in board.head)
    table = rows(board)
    assert table.loc["lda", "balanced_accuracy"] > 0.7
    assert table.loc["stimulus", "balanced_accuracy"] == 1.0
    assert table["complete"].all()


def test_people_crossed_with_films_find_nothing(boards):
    board = boards["subject_stimulus_4_by_3_fold"]
    assert any(line.startswith("same stimuli: no;") for line in board.head)
    table = rows(board)
    assert set(table.index[table["complete"]]) == {"lda", "majority"}
    assert table.loc["lda", "ci_low"] < CHANCE
    assert table.loc["lda", "balanced_accuracy"] < CHANCE + 0.1
    assert table.loc["lda", "n_subjects"] == 16
    assert any("n = 16 subjects, 240 score units" in line for line in board.head)


def test_the_audit_says_what_the_same_films_add_on_the_same_units(store):
    table = audit_table(scored_results(store), store)
    (line,) = table[table["model"] == "lda"].to_dict("records")
    assert (line["flaw"], line["n_subjects"]) == ("same_stimuli", 16)
    assert line["same_windows"]
    assert line["low"] > 0.2
    assert line["trained_with"]
    results = [
        r for r in scored_results(store) if r.run.model == "stimulus" and r.run.protocol.flags
    ]
    assert results
    assert all(s["accuracy"] == 1.0 for r in results for s in r.scores.values())

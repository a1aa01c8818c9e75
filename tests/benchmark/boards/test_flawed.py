"""Boards of flawed runs: the folds of a subject together, and a head that says what is wrong."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from benchmark.boards import flawed
from benchmark.boards.flawed import averaged, flawed_board
from benchmark.boards.scores import scored_results
from benchmark.result import Result
from benchmark.store import Store
from datamodules.protocol import VERSION
from tests.benchmark.made_up import make_run

SUBJECTS = ("S1", "S2")


@pytest.fixture
def store(tmp_path) -> Store:
    """Two folds, each of which tests other windows of the same units; the second has one epoch."""
    rng = np.random.default_rng(2)
    store = Store(tmp_path)
    for fold, n_epochs in enumerate((3, 1)):
        run = make_run(
            dataset="wesad",
            task="stress",
            split="subject_k_fold",
            folds=2,
            flags=("random_windows", "report_mean_over_epochs"),
            fold=fold,
            seed=0,
            model="dnn",
            signals=("eda",),
            subjects=SUBJECTS,
            data="d" * 16,
        )
        trial = np.tile(np.arange(6), 2)
        epochs = rng.dirichlet([0.6] * 2, (n_epochs, 12))
        predictions = {
            "subject": np.repeat(SUBJECTS, 6),
            "session": np.array(["1"] * 12),
            "trial": trial,
            "unit": np.zeros(12, int),
            "start": np.full(12, 30.0 * fold),
            "label": trial % 2,
            "probabilities": epochs[-1],
            "of_epochs": epochs,
        }
        store.save(Result(run, "done", raw="r" * 16), predictions)
    return store


def test_folds_of_a_subject_are_scored_together_epoch_by_epoch(store):
    """A fold that ended early stands with its last epoch."""
    results = scored_results(store)
    first, second = (store.predictions(result.run)["of_epochs"] for result in results)
    tests = flawed.tested(results, store)
    assert set(tests) == {(0, "S1"), (0, "S2")}
    for position, subject in enumerate(SUBJECTS):
        rows, truth = slice(6 * position, 6 * position + 6), np.arange(6) % 2
        guesses = [(epoch[rows] + second[0, rows]).argmax(axis=1) for epoch in first]
        expected = np.mean([f1_score(truth, guess, average="macro") for guess in guesses])
        assert tests[0, subject].scores["macro_f1"] == pytest.approx(expected, abs=1e-9)
        expected = np.mean([accuracy_score(truth, guess) for guess in guesses])
        assert averaged(tests, "accuracy")[subject] == pytest.approx(expected, abs=1e-9)
        assert len(tests[0, subject].windows) == 12
        assert list(tests[0, subject].labels.values()) == truth.tolist()


def test_head_says_which_flaws_and_which_protocol(store):
    results = scored_results(store)
    head, table = flawed_board("a_board", results, store)
    assert head[0].startswith("a_board: NOT RANKED")
    assert [line.split(":")[0] for line in head[1:3]] == [
        "random_windows",
        "report_mean_over_epochs",
    ]
    assert f"protocol {VERSION}; data {'d' * 16}, raw files {'r' * 16}" in head
    assert table["flags"].tolist() == ["random_windows report_mean_over_epochs"]
    assert table["n_subjects"].tolist() == [2]
    assert table["complete"].tolist() == [True]

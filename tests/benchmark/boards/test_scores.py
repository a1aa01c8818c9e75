"""The cache of scores: believed where nothing changed, made anew where something has."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from benchmark.boards import scores as module
from benchmark.boards.board import write_leaderboards
from benchmark.boards.scores import CACHE, DAMAGED, Cache, code_version, scored_results
from benchmark.cli.main import main
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import scored
from benchmark.store import PREDICTIONS, Store
from datamodules.protocol import Protocol
from lightning_modules import metrics
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import as_schema_1

SUBJECTS = ("S1", "S2", "S3")


def run(model: str, fold: int, **fields) -> Run:
    fields = {"signals": ("eda",), "subjects": SUBJECTS, "data": "a" * 16, **fields}
    return Run("wesad", "stress", Protocol(), fold, 0, model, **fields)


def predictions(fold: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "subject": np.array([SUBJECTS[fold]] * 12),
        "session": np.array(["1"] * 12),
        "trial": np.arange(12),
        "unit": np.zeros(12, int),
        "start": np.zeros(12),
        "label": np.arange(12) % 2,
        "probabilities": rng.dirichlet([1, 1], 12),
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two models on three subjects, one run failed."""
    store = Store(tmp_path / "runs")
    for number, model in enumerate(("lda", "cnn")):
        for fold in range(3):
            done = Result(run(model, fold), "done", seconds={"train": 1.0})
            store.save(done, predictions(fold, 10 * number + fold))
    store.save(Result(run("dnn", 0), "failed", error="ValueError: no"))
    return store


@pytest.fixture
def derived(monkeypatch) -> list[list[str]]:
    """Scores that were computed, for each result of which any was."""
    calls, original = [], module._entry

    def entry(content, folder, old, missing):
        calls.append(list(SCORES) if old is None else list(missing))
        return original(content, folder, old, missing)

    monkeypatch.setattr(module, "_entry", entry)
    return calls


def half(probabilities: np.ndarray, target: np.ndarray) -> float:
    """A score that is registered in tests."""
    return 0.5


def test_scores_are_computed_once(store, derived):
    first = scored_results(store)
    assert derived == [list(SCORES)] * 6
    before = (store.root / CACHE).stat().st_mtime_ns
    assert scored_results(store) == first
    assert len(derived) == 6
    assert (store.root / CACHE).stat().st_mtime_ns == before
    for result in first:
        assert result == scored(store, result.run)


def test_a_new_score_is_all_that_is_computed_anew(store, derived, monkeypatch):
    first = scored_results(store)
    derived.clear()
    monkeypatch.setitem(SCORES, "half", half)
    again = scored_results(store)
    assert derived == [["half"]] * 6
    for a, b in zip(first, again, strict=True):
        for subject, values in b.scores.items():
            assert list(values) == list(SCORES)
            assert values == {**a.scores[subject], "half": 0.5}
    derived.clear()
    monkeypatch.delitem(SCORES, "half")
    assert scored_results(store) == first
    assert derived == []


def test_a_score_whose_code_changed_is_computed_anew(store, derived, monkeypatch):
    monkeypatch.setitem(SCORES, "mcc", half)
    scored_results(store)
    derived.clear()
    monkeypatch.undo()
    monkeypatch.setattr(module, "_entry", lambda *given: derived.append(given[3]) or entry(*given))
    found = scored_results(store)
    assert derived == [["mcc"]] * 6
    assert all(s["mcc"] != 0.5 for r in found for s in r.scores.values())


entry = module._entry


def test_new_and_gone_results(store, derived):
    scored_results(store)
    derived.clear()
    shutil.rmtree(store.folder(run("cnn", 0)))
    store.save(Result(run("dnn", 1), "done", seconds={"train": 1.0}), predictions(1, 99))
    found = scored_results(store)
    assert len(derived) == 1
    assert len(Cache.from_text((store.root / CACHE).read_text()).entries) == 6
    assert {(r.run.model, r.run.fold) for r in found if r.scores} >= {("dnn", 1)}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "\n" + text.partition("\n")[2],
        lambda text: text.replace('"accuracy": 0', '"accuracy": 1', 1),
        lambda text: "[]",
        lambda text: Cache({"0" * 64: {}}, {}).as_text(),
        lambda text: "\udcff",
    ],
)
def test_a_spoilt_cache_is_not_believed(store, derived, spoil):
    first = scored_results(store)
    path = store.root / CACHE
    good = path.read_text()
    assert '"accuracy": 0' in good
    path.write_text(spoil(good), errors="surrogateescape")
    derived.clear()
    assert scored_results(store) == first
    assert len(derived) == 6
    assert path.read_text() == good
    path.unlink()
    assert scored_results(store) == first


def test_other_code_for_units_makes_all_of_it_old(store, derived, monkeypatch):
    scored_results(store)
    derived.clear()
    monkeypatch.setattr(module, "_units_version", lambda: "other")
    scored_results(store)
    assert derived == [list(SCORES)] * 6


def test_boards_need_no_cache_to_be_written(store, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(module, "write_text", refuse)
    assert len(scored_results(store)) == 7
    assert not (store.root / CACHE).exists()


@pytest.mark.parametrize("how", ["changed", "gone", "of another run"])
def test_a_damaged_result_is_named_and_not_ranked(store, tmp_path, how, caplog, capsys):
    scored_results(store)
    folder = store.folder(run("cnn", 1))
    if how == "changed":
        np.savez(folder / PREDICTIONS, **predictions(1, 5))
    elif how == "gone":
        (folder / PREDICTIONS).unlink()
    else:
        shutil.copyfile(store.folder(run("lda", 1)) / PREDICTIONS, folder / PREDICTIONS)
    (board,) = write_leaderboards(store, tmp_path / "boards")
    assert f"set aside: {folder}" in caplog.text
    (line,) = [line for line in board.head if "NOT RANKED" in line]
    assert line == f"NOT RANKED, {DAMAGED}: cnn {folder.name}"
    table = board.table.set_index("model")
    assert table["complete"].to_dict() == {"lda": True, "cnn": False, "dnn": False}
    assert table["rank_low"].isna().to_dict() == {"lda": False, "cnn": True, "dnn": True}
    assert table.loc["cnn", "note"] == DAMAGED
    assert (table.loc["cnn", "n_runs"], table.loc["cnn", "n_failed"]) == (3, 0)
    lines = pd.read_csv(tmp_path / "boards" / "runs.csv")
    (damaged,) = lines[lines["status"] == "damaged"].to_dict("records")
    assert (damaged["model"], damaged["fold"], damaged["error"]) == ("cnn", 1, DAMAGED)
    assert np.isnan(damaged["macro_f1"])
    words = ["leaderboard", "--runs", str(store.root), "--leaderboards", str(tmp_path / "boards")]
    assert main(words) == 1
    assert f"NOT RANKED, {DAMAGED}: cnn" in capsys.readouterr().out


def test_predictions_without_a_digest_are_believed_if_they_can_be_read(store, tmp_path):
    for path in store.root.rglob("result.json"):
        values = json.loads(path.read_text())
        path.write_text(json.dumps(as_schema_1(values)))
    folder = store.folder(run("cnn", 1))
    np.savez(folder / PREDICTIONS, **predictions(1, 5))
    (store.folder(run("cnn", 2)) / PREDICTIONS).write_bytes(b"PK nothing")
    np.savez(store.folder(run("lda", 2)) / PREDICTIONS, other=np.zeros(3))
    statuses = {(r.run.model, r.run.fold): r.status for r in scored_results(store)}
    assert statuses.pop(("dnn", 0)) == "failed"
    assert {key for key, status in statuses.items() if status == "damaged"} == {
        ("cnn", 2),
        ("lda", 2),
    }
    (board,) = write_leaderboards(store, tmp_path / "boards")
    assert any(line.startswith("4 result(s) were kept by a version") for line in board.head)


# --- splits that test a person in several folds

PEOPLE = ("S1", "S2", "S3", "S4")
CROSSED = Protocol("subject_stimulus_k_fold", 2, stimulus_folds=2)
CELLS = {0: ("S3", "S4"), 1: ("S3", "S4"), 2: ("S1", "S2"), 3: ("S1", "S2")}
"""People whom each fold tests: two groups of people by two of stimuli."""


def cell(model: str, fold: int, seed: int = 0, protocol: Protocol = CROSSED) -> Run:
    return Run("deap", "valence", protocol, fold, seed, model, ("eda",), PEOPLE, "a" * 16)


def answers(fold: int, seed: int, absent: str = "") -> dict[str, np.ndarray]:
    """Predictions of three to five films for each person of a cell, with labels of every mix."""
    rng = np.random.default_rng([seed, fold])
    names = [s for s in CELLS[fold] if s != absent for _ in range(3 + 2 * (fold % 2))]
    return {
        "subject": np.array(names),
        "session": np.array(["1"] * len(names)),
        "trial": np.arange(len(names)) + 100 * fold,
        "unit": np.zeros(len(names), int),
        "start": np.zeros(len(names)),
        "label": np.random.default_rng(fold).integers(0, 2, len(names)),
        "probabilities": rng.dirichlet([1, 1], len(names)),
    }


def crossed_store(folder: Path, without: tuple[tuple[str, int], ...] = (), absent: str = ""):
    store = Store(folder)
    for number, model in enumerate(("lda", "cnn")):
        for fold in CELLS:
            if (model, fold) not in without:
                lacking = absent if fold == 3 else ""
                done = Result(cell(model, fold), "done", seconds={"train": 1.0})
                store.save(done, answers(fold, 10 * number, lacking))
    return store


def by_loop(model_seed: int, subject: str) -> list[float]:
    """Macro F1 and accuracy over all films of a person, by scikit-learn."""
    truth, answered = [], []
    for fold in CELLS:
        columns = answers(fold, model_seed)
        for row, name in enumerate(columns["subject"]):
            if name == subject:
                truth.append(columns["label"][row])
                answered.append(columns["probabilities"][row].argmax())
    return [f1_score(truth, answered, average="macro"), accuracy_score(truth, answered)]


def test_a_person_is_scored_over_the_units_of_all_their_folds(tmp_path):
    store = crossed_store(tmp_path / "runs")
    (board,) = write_leaderboards(store, tmp_path / "boards")
    table = board.table.set_index("model")
    for number, model in enumerate(("lda", "cnn")):
        expected = np.mean([by_loop(10 * number, subject) for subject in PEOPLE], axis=0)
        assert table.loc[model, ["macro_f1", "accuracy"]].tolist() == pytest.approx(expected)
        results = [r for r in scored_results(store) if r.run.model == model]
        of_cells = [s["macro_f1"] for r in results for s in r.scores.values()]
        assert table.loc[model, "macro_f1"] != pytest.approx(np.mean(of_cells))
        assert all(set(r.n_pooled.values()) == {8} for r in results)
    assert table["complete"].all()
    assert table["n_subjects"].tolist() == [4, 4]
    assert any("n = 4 subjects, 32 score units" in line for line in board.head)


def test_folds_that_are_missing_are_counted_by_the_people_whom_they_test(tmp_path):
    store = crossed_store(tmp_path / "runs", without=(("cnn", 1), ("lda", 2), ("cnn", 2)))
    (board,) = write_leaderboards(store, tmp_path / "boards")
    (line,) = [line for line in board.head if "INCOMPLETE" in line]
    assert "lda lacks 2 of 8" in line
    assert "cnn lacks 4 of 8" in line
    assert not board.table["complete"].any()


def test_a_person_without_a_film_of_a_group_is_complete_all_the_same(tmp_path):
    store = crossed_store(tmp_path / "runs", absent="S2")
    (board,) = write_leaderboards(store, tmp_path / "boards")
    assert board.table["complete"].all()
    assert board.table["n_subjects"].tolist() == [4, 4]
    pooled = {s: n for r in scored_results(store) for s, n in r.n_pooled.items()}
    assert pooled == {"S1": 8, "S2": 3, "S3": 8, "S4": 8}


def test_scores_of_several_folds_are_kept_and_made_anew_for_those_who_changed(
    tmp_path, monkeypatch
):
    store = crossed_store(tmp_path / "runs")
    first, calls, original = scored_results(store), [], module._pooled_entry
    monkeypatch.setattr(
        module, "_pooled_entry", lambda *given: calls.append(given[0]) or original(*given)
    )
    assert scored_results(store) == first
    assert calls == []
    shutil.rmtree(store.folder(cell("cnn", 3)))
    again = scored_results(store)
    assert [[r.run.fold for r in of_people] for of_people in calls] == [[2]]
    (left,) = [r for r in again if (r.run.model, r.run.fold) == ("cnn", 2)]
    assert left.pooled == left.scores
    monkeypatch.setitem(SCORES, "half", half)
    assert all(s["half"] == 0.5 for r in scored_results(store) for s in r.of_subjects.values())


def test_seeds_are_scored_apart_and_then_averaged(tmp_path):
    store = Store(tmp_path / "runs")
    for seed in (0, 4):
        for fold in CELLS:
            done = Result(cell("lda", fold, seed), "done", seconds={"train": 1.0})
            store.save(done, answers(fold, seed))
    (board,) = write_leaderboards(store, tmp_path / "boards")
    expected = [by_loop(seed, subject)[0] for seed in (0, 4) for subject in PEOPLE]
    assert board.table["macro_f1"].tolist() == pytest.approx([np.mean(expected)])


# --- versions of code


def version_of(source: str, name: str, monkeypatch) -> str:
    """Version of a function of a module with this source."""
    monkeypatch.setattr(module.inspect, "getsource", lambda _: source)
    module._defined.cache_clear()
    function = dataclasses.make_dataclass("F", ["__module__", "__name__"])("ast", name)
    try:
        return code_version(function)
    finally:
        module._defined.cache_clear()


SOURCE = '''
"""A module."""
import numpy as np
BINS: int = 10

def helper(x):
    """Helps."""
    return x * BINS

def score(p, y):
    """A score."""
    return helper(p) + 1  # why

def other(p, y):
    return 2

SCORES = {"score": score, "other": other}
'''


def test_a_version_is_of_what_a_score_uses_and_of_nothing_else(monkeypatch):
    def version(old: str = "", new: str = "") -> str:
        assert old in SOURCE
        return version_of(SOURCE.replace(old, new) if old else SOURCE, "score", monkeypatch)

    first = version()
    for old, new in [
        ("  # why", "  # because"),
        ('    """A score."""\n', ""),
        ("Helps.", "Helps much."),
        ("return 2", "return 3"),
        ('"other": other', '"more": other'),
        ("import numpy", "\n\nimport numpy"),
    ]:
        assert version(old, new) == first, (old, new)
    for old, new in [("+ 1", "+ 2"), ("x * BINS", "x + BINS"), ("int = 10", "int = 11")]:
        assert version(old, new) != first, (old, new)


def test_every_score_has_a_version_of_its_own():
    assert len(set(module.score_versions().values())) == len(SCORES)
    assert code_version(metrics.ece) == code_version(metrics.ece)

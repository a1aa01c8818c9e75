"""Boards: every number again from the predictions, by other means; nothing is made up or hidden."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
)

from benchmark.boards.board import runs_table, write_leaderboards
from benchmark.boards.cohort import LeaderboardError
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import interval
from benchmark.cli.main import main
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from lightning_modules.metrics import SCORES
from lightning_modules.recipe import Recipe
from tests.benchmark.made_up import boards_of, make_run, stored

BOARD = "synthetic_phase_60__stress__leave_one_subject_out"
SUBJECTS = ("S1", "S2", "S3")


def run(model: str = "cnn", fold: int = 0, seed: int = 0, **fields) -> Run:
    values = {
        "dataset": "synthetic",
        "task": "stress",
        "signals": ("eda",),
        "subjects": SUBJECTS,
        "data": "a" * 16,
        **fields,
    }
    return make_run(fold=fold, seed=seed, model=model, **values)


def taught(fold: int, seed: int = 0, **fields) -> Run:
    """A cnn that learns from an lstm."""
    alone = run("cnn", fold, seed)
    fields = {"teachers": (run("lstm", fold, seed),), **fields}
    return dataclasses.replace(alone, distiller="soft_targets", alone=alone.id, **fields)


def done(asked: Run, macro_f1: float, **fields) -> Scored:
    """A result whose scores all follow from one number."""
    folds = asked.protocol.folds if asked.protocol.splitting.within_subject else 1
    subject = asked.subjects[asked.fold // folds]
    scores = {
        **dict.fromkeys(SCORES, macro_f1),
        "macro_f1": macro_f1,
        "balanced_accuracy": macro_f1 + 0.05,
        "mcc": macro_f1 - 0.1,
        "accuracy": macro_f1 + 0.02,
        "brier": 1 - macro_f1,
        "ece": macro_f1 / 10,
    }
    values = {
        "scores": {subject: scores},
        "n_units": {subject: 4},
        "units": {subject: f"units of {subject}"},
        "confusion": {subject: [[1, 1], [1, 1]]},
        "parameters": 7,
        "seconds": {"prepare": 1.0, "train": 2.0, "predict": 0.5},
        "device": "cpu (none)",
        "versions": {"python": "3"},
        "commit": "abc",
        "raw": "r" * 16,
        **fields,
    }
    return Scored(asked, "done", **values)


def board(store: Store) -> pd.DataFrame:
    (found,) = boards_of(store)
    return found.table.set_index("model")


@pytest.mark.parametrize("n", [8, 9, 40])
def test_interval_is_students(n):
    values = np.random.default_rng(n).random(n).tolist()
    mean, low, high = interval(values)
    assert mean == pytest.approx(np.mean(values))
    expected = stats.t.interval(0.95, n - 1, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert interval([0.5] * n) == (0.5, 0.5, 0.5)


def test_ends_of_a_score_are_scores(tmp_path):
    subjects = tuple(f"S{i}" for i in range(9))
    values = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.1]
    assert interval(values)[2] > 1
    results = [done(run(fold=fold, subjects=subjects), value) for fold, value in enumerate(values)]
    row = board(stored(tmp_path, results)).loc["cnn"]
    assert row["ci_low"] < row["macro_f1"] < row["ci_high"] == 1


def test_one_subject_has_no_interval():
    mean, low, high = interval([0.7])
    assert mean == 0.7
    assert np.isnan(low)
    assert np.isnan(high)


def recomputed(store: Store) -> pd.DataFrame:
    """Scores a model and subject, seeds averaged, from the predictions alone."""
    lines = []
    for folder in sorted(path.parent for path in store.root.rglob("predictions.npz")):
        with np.load(folder / "predictions.npz") as file:
            windows = pd.DataFrame(
                {name: file[name] for name in ("subject", "session", "trial", "unit", "label")}
            )
            probabilities = pd.DataFrame(file["probabilities"]).add_prefix("p")
        keys = ["subject", "session", "trial", "unit"]
        units = windows.join(probabilities).groupby(keys).mean()
        for subject, table in units.groupby("subject"):
            truth = table["label"].to_numpy().astype(int)
            p = table.filter(like="p").to_numpy()
            guess = p.argmax(axis=1)
            lines.append(
                {
                    "model": folder.parent.name,
                    "subject": subject,
                    "macro_f1": f1_score(truth, guess, average="macro", zero_division=0),
                    "balanced_accuracy": balanced_accuracy_score(truth, guess),
                    "mcc": matthews_corrcoef(truth, guess),
                    "accuracy": accuracy_score(truth, guess),
                    "brier": np.mean(np.sum((p - np.eye(2)[truth]) ** 2, axis=1)),
                    "n": len(table),
                }
            )
    return pd.DataFrame(lines).groupby(["model", "subject"]).mean().reset_index()


def test_board_of_real_runs_again_from_the_predictions(finished):
    table = board(finished)
    expected = recomputed(finished)
    assert set(expected["n"]) == {8}
    assert expected["macro_f1"].nunique() > 3
    for model, scores in expected.groupby("model"):
        row = table.loc[model]
        for name in ("macro_f1", "balanced_accuracy", "mcc", "accuracy", "brier"):
            assert row[name] == pytest.approx(scores[name].mean(), abs=1e-6), (model, name)
        for name in ("ci_low", "ci_high", "balanced_low", "balanced_high", "pooled_low"):
            assert np.isnan(row[name])  # of four subjects
        assert row["worst_decile"] == pytest.approx(np.quantile(scores["macro_f1"], 0.1), abs=1e-6)
        assert (row["n_subjects"], row["n_seeds"], row["n_runs"]) == (4, 2, 8)
    f1 = expected.pivot(index="model", columns="subject", values="macro_f1")
    for model in f1.index:
        delta = (f1.loc[model] - f1.loc["majority"]).mean()
        assert table.loc[model, "delta_majority"] == pytest.approx(delta, abs=1e-6)


def test_runs_csv_of_real_runs(finished):
    table = runs_table(scored_results(finished))
    assert len(table) == 3 * 2 * 4
    averaged = table.groupby(["model", "subject"])["macro_f1"].mean().reset_index()
    expected = recomputed(finished)[["model", "subject", "macro_f1"]]
    pd.testing.assert_frame_equal(averaged, expected, atol=1e-6)


def test_confusion_of_real_runs(finished):
    for result in scored_results(finished):
        for subject, counts in result.confusion.items():
            share = np.trace(counts) / np.sum(counts)
            assert share == pytest.approx(result.scores[subject]["accuracy"], abs=1e-6)


def test_seeds_are_averaged_within_a_subject_first(tmp_path):
    by_subject = {0: (0.0, 1.0), 1: (0.4, 0.6), 2: (0.2, 0.6)}
    results = [
        done(run(fold=fold, seed=seed), values[seed])
        for fold, values in by_subject.items()
        for seed in (0, 1)
    ]
    row = board(stored(tmp_path, results)).loc["cnn"]
    assert row["macro_f1"] == pytest.approx((0.5 + 0.5 + 0.4) / 3)
    assert row["seed_spread"] == pytest.approx(np.std([0.2, 2.2 / 3], ddof=1))
    assert np.isnan(row["ci_low"])  # six values are not of six people


def test_missing_run_is_counted_and_not_imputed(tmp_path):
    results = [done(run("lda", fold), 0.6) for fold in range(3)]
    results += [done(run("cnn", fold), 0.9) for fold in range(2)]
    store = stored(tmp_path, results)
    (found,) = boards_of(store)
    table = found.table.set_index("model")
    assert list(table.index) == ["lda", "cnn"]  # complete ones first, whatever their score
    assert bool(table.loc["cnn", "complete"]) is False
    assert bool(table.loc["lda", "complete"]) is True
    assert table.loc["cnn", "n_subjects"] == 2
    assert table.loc["cnn", "macro_f1"] == pytest.approx(0.9)
    (line,) = [line for line in found.head if line.startswith("INCOMPLETE")]
    assert "0 failed" in line
    assert "cnn lacks 1 of 3" in line
    assert "lda" not in line


def test_failed_run_is_counted_and_not_imputed(tmp_path):
    results = [done(run("lda", fold), 0.6) for fold in range(3)]
    results += [done(run("cnn", fold), 0.9) for fold in range(2)]
    results.append(Result(run("cnn", 2), "failed", error="ValueError: no"))
    store = stored(tmp_path, results)
    (found,) = boards_of(store)
    row = found.table.set_index("model").loc["cnn"]
    assert (row["n_runs"], row["n_failed"], row["n_subjects"]) == (3, 1, 2)
    assert row["macro_f1"] == pytest.approx(0.9)
    assert row["note"] == "ValueError: no"
    assert bool(row["complete"]) is False
    assert any("INCOMPLETE, 1 failed run(s): cnn lacks 1 of 3" in line for line in found.head)
    table = runs_table(scored_results(store))
    (failed,) = table[table["status"] == "failed"].to_dict("records")
    assert failed["error"] == "ValueError: no"
    assert np.isnan(failed["macro_f1"])


def test_planned_runs_that_never_began_are_counted(tmp_path):
    store = stored(tmp_path, [done(run("lda", fold), 0.6) for fold in range(3)])
    asked = [run(model, fold) for model in ("lda", "cnn", "lstm") for fold in range(3)]
    elsewhere = [run("dnn", data="b" * 16), run("dnn", task="other")]
    teachers = [run("rtcan_1d", without=("S1",))]
    store.save_plan([*asked, *elsewhere, *teachers])
    (found,) = boards_of(store)
    (line,) = [line for line in found.head if line.startswith("INCOMPLETE")]
    expected = "0 failed run(s), 6 planned run(s) not done: cnn has not run; lstm has not run"
    assert line == f"INCOMPLETE, {expected}"


def test_an_expensive_row_may_have_fewer_seeds_unless_more_are_planned(tmp_path):
    """It is ranked with the seeds that it has, and the head says so."""
    many = [done(run("lda", fold, seed=seed), 0.6) for fold in range(3) for seed in range(3)]
    few = [done(run("cnn", fold), 0.5) for fold in range(3)]
    store = stored(tmp_path, [*many, *few])
    store.save_plan([result.run for result in few])
    (found,) = boards_of(store)
    assert found.table.set_index("model")["complete"].all()
    assert found.table.set_index("model").loc["cnn", "n_seeds"] == 1
    assert any(line.startswith("seeds: 3, but of cnn (1): a mean") for line in found.head)
    assert "INCOMPLETE" not in "".join(found.head)
    store.save_plan([run("cnn", fold, seed=seed) for fold in range(3) for seed in range(2)])
    (found,) = boards_of(store)
    assert found.table.set_index("model")["complete"].to_dict() == {"lda": True, "cnn": False}
    (line,) = [line for line in found.head if line.startswith("INCOMPLETE")]
    assert "3 planned run(s) not done: cnn lacks 3 of 6" in line


def test_complete_board_does_not_say_incomplete(tmp_path):
    store = stored(tmp_path, [done(run("lda", fold), 0.6) for fold in range(3)])
    (found,) = boards_of(store)
    assert "INCOMPLETE" not in "".join(found.head)


def test_board_of_failed_runs_only(tmp_path):
    results = [Result(run("cnn", fold), "failed", error="ValueError: no") for fold in range(3)]
    store = stored(tmp_path, results)
    row = board(store).loc["cnn"]
    assert (row["n_runs"], row["n_failed"]) == (3, 3)
    assert np.isnan(row["macro_f1"])
    (found,) = boards_of(store)
    assert found.to_csv()


def test_columns_do_not_depend_on_what_failed(tmp_path):
    whole = [done(run("lda", fold), 0.6) for fold in range(3)]
    broken = [Result(run("attention_lrcn", fold), "failed", error="no") for fold in range(3)]
    first = board(stored(tmp_path / "whole", whole))
    second = board(stored(tmp_path / "broken", broken))
    both = board(stored(tmp_path / "both", [*whole, *broken]))
    assert list(first.columns) == list(second.columns) == list(both.columns)


def test_not_applicable_is_a_row_with_its_reason(tmp_path):
    store = stored(tmp_path, [done(run("lda", fold), 0.6) for fold in range(3)])
    name = run().board
    store.note_cells({}, {f"{name}/motion": "takes acc; there is only eda"})
    row = board(store).loc["motion"]
    assert row["note"] == "not applicable: takes acc; there is only eda"
    assert bool(row["complete"]) is False
    assert np.isnan(row["macro_f1"])
    assert "INCOMPLETE" not in "".join(boards_of(store)[0].head)


def test_notes_are_in_the_head(tmp_path):
    store = stored(tmp_path, [done(run("lda", fold), 0.6) for fold in range(3)])
    store.note_cells({run().board: ["left out: S9: no file"]}, {})
    assert "left out: S9: no file" in boards_of(store)[0].head


@pytest.mark.parametrize(
    ("validation", "chosen"),
    [
        (True, "epoch chosen on validation subjects,"),
        (False, "epoch chosen on what is trained on,"),
    ],
)
def test_head_says_what_chose_the_epoch(tmp_path, validation, chosen):
    results = [done(run("lda", fold, validation=validation), 0.6) for fold in range(3)]
    (found,) = boards_of(stored(tmp_path, results))
    assert chosen in found.head[1]


def test_different_units_are_refused_by_name(tmp_path):
    results = [done(run("lda", fold), 0.6) for fold in range(3)]
    results += [done(run("cnn", fold), 0.6) for fold in range(2)]
    results.append(done(run("cnn", 2), 0.6, units={"S3": "others"}))
    with pytest.raises(LeaderboardError, match="same units") as caught:
        boards_of(stored(tmp_path, results))
    for word in ("cnn", "lda", "S3", run().board):
        assert word in str(caught.value)


def test_changed_recipe_is_a_row_of_its_own(tmp_path):
    results = [done(run("cnn", fold), 0.6) for fold in range(3)]
    results += [
        done(run("cnn", fold, recipe=Recipe("a paper", lr=0.1), changed=("lr",)), 0.8)
        for fold in range(3)
    ]
    (found,) = boards_of(stored(tmp_path, results))
    assert found.table["recipe"].tolist() == ["published lr=0.1", "published"]
    assert found.table["macro_f1"].tolist() == pytest.approx([0.8, 0.6])


def test_delta_simple_is_against_the_better_baseline(tmp_path):
    scores = {"lda": (0.9, 0.1, 0.2), "random_forest": (0.5, 0.5, 0.5), "cnn": (0.6, 0.7, 0.8)}
    results = [done(run(m, f), scores[m][f]) for m in scores for f in range(3)]
    assert board(stored(tmp_path, results)).loc["cnn", "delta_simple"] == pytest.approx(0.2)


def test_nothing_is_measured_against_a_baseline_that_lacks_somebody(tmp_path):
    results = [done(run("cnn", fold), 0.6) for fold in range(3)]
    results += [done(run("majority", fold), 0.3) for fold in range(2)]
    table = board(stored(tmp_path, results))
    assert np.isnan(table.loc["cnn", "delta_majority"])


def test_model_with_results_is_not_also_not_applicable(tmp_path):
    store = stored(tmp_path, [done(run("lda", fold), 0.6) for fold in range(3)])
    store.note_cells({}, {f"{run().board}/lda": "takes any signal but acc"})
    (found,) = boards_of(store)
    assert found.table["model"].tolist() == ["lda"]


def test_files_come_back_byte_for_byte(finished, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_leaderboards(finished, first)
    names = {path.name for path in first.iterdir()}
    names_of_tables = ["classes", "comparisons", "overall", "published", "runs", "uncertainty"]
    others = {f"{name}.csv" for name in names_of_tables}
    assert names == {f"{BOARD}.csv", *others}
    copy = Store(tmp_path / "elsewhere" / "copy")
    shutil.copytree(finished.root, copy.root)
    write_leaderboards(copy, second)
    for name in names:
        assert (second / name).read_bytes() == (first / name).read_bytes()
        (first / name).unlink()
    write_leaderboards(finished, first)
    for name in names:
        assert (second / name).read_bytes() == (first / name).read_bytes()


def test_boards_without_runs_go_and_nothing_else(tmp_path, capsys):
    runs, folder = tmp_path / "runs", tmp_path / "boards"
    both = [done(run("lda", fold, task=task), 0.6) for fold in range(3) for task in ("a", "b")]
    teachers = [done(run("lstm", fold, task="a"), 0.5) for fold in range(3)]
    alone = [run("lda", fold, task="a") for fold in range(3)]
    pupils = [
        done(dataclasses.replace(a, distiller="soft_targets", alone=a.id, teachers=(t.run,)), 0.7)
        for a, t in zip(alone, teachers, strict=True)
    ]
    store = stored(runs, [*both, *teachers, *pupils])
    store.save_plan([result.run for result in both])
    store.save_plan([])  # a later call asks for something else
    words = ["leaderboard", "--runs", str(runs), "--leaderboards", str(folder)]
    assert main(words) == 0
    gone = {f"{run(task='a').board}.csv", "distillation.csv"}
    assert gone < {path.name for path in folder.iterdir()}
    kept = {
        "mine.csv": "model,score\n",
        "notes__of__mine.csv": "# a table of mine\n",
        "copy.csv": (folder / f"{run(task='b').board}.csv").read_text(),
        "wesad__a__b.csv": "# wesad__a__b: macro F1 over score units, mean over subjects, seeds "
        "averaged within a subject\nmodel\n",
        "bytes.csv": "\udcff".encode(errors="surrogateescape"),
    }
    for name, text in kept.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    shutil.rmtree(runs / run(task="a").board)
    capsys.readouterr()
    assert main(words) == 0
    assert f"removed {folder / run(task='a').board}.csv" in capsys.readouterr().out
    left = {path.name for path in folder.iterdir()}
    assert not left & gone
    assert left >= {*kept, f"{run(task='b').board}.csv"}
    fresh = tmp_path / "fresh"
    assert main([*words[:-1], str(fresh)]) == 0
    assert {path.name: path.read_bytes() for path in fresh.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name not in kept
    }


def test_distillation_of_others_is_not_removed(tmp_path):
    store = stored(tmp_path / "runs", [done(run("lda", fold), 0.6) for fold in range(3)])
    (tmp_path / "distillation.csv").write_text("drop,volume\n")
    write_leaderboards(store, tmp_path)
    assert (tmp_path / "distillation.csv").read_text() == "drop,volume\n"


def test_order_of_saving_does_not_matter(tmp_path):
    results = [
        done(run(m, f, s), 0.3 + f / 10 + s / 7)
        for m in ("lda", "cnn")
        for f in range(3)
        for s in (0, 1)
    ]
    one = boards_of(stored(tmp_path / "one", results))
    other = boards_of(stored(tmp_path / "other", results[::-1]))
    assert [b.to_csv() for b in one] == [b.to_csv() for b in other]


def test_csv_reads_back(finished, tmp_path):
    write_leaderboards(finished, tmp_path)
    table = pd.read_csv(tmp_path / f"{BOARD}.csv", comment="#")
    assert table["model"].tolist() == board(finished).index.tolist()
    np.testing.assert_allclose(table["macro_f1"], board(finished)["macro_f1"], atol=5.1e-5)


def test_result_round_trip_through_the_store(finished):
    for result in finished.results():
        again = Result.from_dict(json.loads(json.dumps(result.as_dict())))
        assert again == result
        assert dataclasses.asdict(again) == dataclasses.asdict(result)


def test_empty_store(tmp_path):
    assert boards_of(Store(tmp_path / "none")) == []


# --- splits within a subject


def within(split: str = "trial_k_fold", model: str = "cnn", seed: int = 0) -> list[Result]:
    """Two folds of each of three subjects."""
    values = (0.2, 0.4, 0.5, 0.5, 0.9, 0.7)
    return [
        done(run(model, fold, seed, split=split, folds=2), value + seed / 10)
        for fold, value in enumerate(values)
    ]


@pytest.mark.parametrize("split", ["trial_k_fold", "session_out"])
def test_folds_that_test_one_subject_are_averaged_first(tmp_path, split):
    (found,) = boards_of(stored(tmp_path, [*within(split), *within(split, seed=1)]))
    (row,) = found.table.to_dict("records")
    assert row["macro_f1"] == pytest.approx((0.35 + 0.55 + 0.85) / 3)
    assert (row["n_subjects"], row["n_seeds"], row["n_runs"]) == (3, 2, 12)
    assert bool(row["complete"]) is True
    assert "one model a subject" in found.head[1]
    assert "n = 3 subjects, 24 score units" in found.head[2]
    assert "INCOMPLETE" not in "".join(found.head)


def test_fold_of_a_subject_that_is_missing_is_counted(tmp_path):
    (found,) = boards_of(stored(tmp_path, [*within(model="lda"), *within()[:-1]]))
    table = found.table.set_index("model")
    assert table["complete"].tolist() == [True, False]
    assert table.loc["cnn", "macro_f1"] == pytest.approx(np.mean([0.3, 0.5, 0.9]))
    assert any("INCOMPLETE, 0 failed run(s): cnn lacks 1 of 6" in line for line in found.head)


# --- taught rows, and teachers that are none


def test_taught_student_has_a_row_of_its_own(tmp_path):
    results = [done(run("cnn", fold), 0.5) for fold in range(3)]
    results += [done(run("lstm", fold), 0.9) for fold in range(3)]
    results += [done(taught(fold), 0.7) for fold in range(3)]
    table = board(stored(tmp_path, results))
    assert table["macro_f1"].to_dict() == pytest.approx(
        {"lstm": 0.9, "cnn-by_soft_targets-of_lstm": 0.7, "cnn": 0.5}
    )
    assert table["complete"].all()
    assert table.loc["cnn-by_soft_targets-of_lstm", "recipe"] == "published; teacher eda published"


@pytest.mark.parametrize(
    ("teachers", "recipe"),
    [
        (lambda f: (run("lstm", f, signals=("eda", "bvp")),), "teacher eda+bvp published"),
        (
            lambda f: (run("lstm", f, recipe=Recipe("a paper", lr=0.1), changed=("lr",)),),
            "teacher eda published lr=0.1",
        ),
        (
            lambda f: tuple(run("lstm", f, without=(s,)) for s in SUBJECTS if s != SUBJECTS[f]),
            "teacher eda published 2 out of fold",
        ),
    ],
    ids=["other signals", "other recipe", "out of fold"],
)
def test_other_teachers_of_one_student_are_rows_apart(tmp_path, teachers, recipe):
    results = [done(taught(fold), 0.5) for fold in range(3)]
    results += [done(taught(fold, teachers=teachers(fold)), 0.8) for fold in range(3)]
    (found,) = boards_of(stored(tmp_path, results))
    rows = dict(zip(found.table["recipe"], found.table["macro_f1"], strict=True))
    assert rows == pytest.approx(
        {f"published; {recipe}": 0.8, "published; teacher eda published": 0.5}
    )
    assert found.table["n_runs"].tolist() == [3, 3]
    assert found.table["complete"].all()


def test_recipe_whose_defaults_changed_is_never_averaged_with_the_old_one(tmp_path):
    results = [done(run("cnn", fold, recipe=Recipe("a paper", lr=0.1)), 0.6) for fold in range(3)]
    results += [done(run("cnn", fold, recipe=Recipe("a paper", lr=0.2)), 0.8) for fold in range(3)]
    (found,) = boards_of(stored(tmp_path, results))
    assert found.table["macro_f1"].tolist() == pytest.approx([0.8, 0.6])
    assert found.table["complete"].all()


def test_out_of_fold_teachers_are_on_no_board_and_marked_in_runs_csv(tmp_path):
    results = [done(run("lstm", fold), 0.6) for fold in range(3)]
    results.append(done(run("lstm", 0, without=("S2", "S3")), 0.1))
    store = stored(tmp_path / "runs", results)
    row = board(store).loc["lstm"]
    assert row["macro_f1"] == pytest.approx(0.6)
    assert (row["n_runs"], bool(row["complete"])) == (3, True)
    table = runs_table(scored_results(store))
    assert sorted(table["without"]) == ["", "", "", "S2+S3"]
    assert table.set_index("without").loc["S2+S3", "macro_f1"] == pytest.approx(0.1)
    alone = stored(tmp_path / "alone", results[-1:])
    assert boards_of(alone) == []


def test_distillation_csv_is_there_where_something_was_distilled(tmp_path):
    results = [done(run(model, fold), 0.5) for fold in range(3) for model in ("cnn", "lstm")]
    write_leaderboards(stored(tmp_path / "plain", results), tmp_path / "one")
    names_of_tables = ["classes", "comparisons", "overall", "published", "runs", "uncertainty"]
    tables = {f"{name}.csv" for name in names_of_tables}
    always = {f"{run().board}.csv", *tables}
    assert {p.name for p in (tmp_path / "one").iterdir()} == always
    results += [done(taught(fold), 0.7) for fold in range(3)]
    write_leaderboards(stored(tmp_path / "taught", results), tmp_path / "other")
    table = pd.read_csv(tmp_path / "other" / "distillation.csv")
    assert table["board"].tolist() == [run().board]
    assert table["gain"].tolist() == pytest.approx([0.2])


# --- units, and what a model costs


def test_units_may_differ_from_seed_to_seed_as_fitted_labels_do(tmp_path):
    results = [
        done(run(model, fold, seed), 0.6, units={SUBJECTS[fold]: f"labels of seed {seed}"})
        for model in ("lda", "cnn")
        for fold in range(3)
        for seed in (0, 1)
    ]
    assert board(stored(tmp_path, results))["complete"].all()


def test_units_may_differ_from_fold_to_fold_of_one_subject(tmp_path):
    results = [*within(), *within(model="lda")]
    results = [
        dataclasses.replace(r, units={s: f"fold {r.run.fold}" for s in r.units}) for r in results
    ]
    assert board(stored(tmp_path / "same", results))["complete"].all()
    results[-1] = dataclasses.replace(results[-1], units={"S3": "others"})
    with pytest.raises(LeaderboardError, match="of subject S3"):
        boards_of(stored(tmp_path / "other", results))


def test_taught_rows_are_checked_for_their_units_too(tmp_path):
    results = [done(run("lda", fold), 0.6) for fold in range(3)]
    results.append(done(taught(2), 0.6, units={"S3": "others"}))
    with pytest.raises(
        LeaderboardError, match=r"cnn-by_soft_targets-of_lstm and lda|lda and cnn-by"
    ):
        boards_of(stored(tmp_path, results))


def test_cost_is_the_median_over_the_runs_that_are_done(tmp_path):
    cost = {"macs": 120.0, "cpu_latency_ms": 2.0}
    times = (1.0, 5.0, 3.0)
    results = [
        done(run("cnn", fold), 0.6, efficiency={**cost, "latency_ms": times[fold]})
        for fold in range(3)
    ]
    results.append(Result(run("cnn", 0, 1), "failed", error="no"))
    results += [done(run("lda", fold), 0.5) for fold in range(3)]
    table = board(stored(tmp_path, results))
    row = table.loc["cnn"]
    assert (row["macs"], row["latency_ms"], row["cpu_latency_ms"]) == (120, 3.0, 2.0)
    assert table["macs"].dtype == "Int64"
    assert pd.isna(table.loc["lda", ["macs", "latency_ms", "cpu_latency_ms"]]).all()
    assert table.loc["lda", "parameters"] == 7


def test_costs_of_real_runs_are_those_of_the_results(finished):
    table = board(finished)
    measured = [r.efficiency for r in scored_results(finished) if r.run.model == "cnn"]
    assert {cost["macs"] for cost in measured} == {table.loc["cnn", "macs"]}
    latency = np.median([cost["cpu_latency_ms"] for cost in measured])
    assert table.loc["cnn", "cpu_latency_ms"] == pytest.approx(latency)
    assert pd.isna(table.loc["lda", "macs"])


# --- partitions


def test_folds_of_partitions_are_averaged_within_a_subject_like_seeds(tmp_path):
    subjects = tuple(f"S{i}" for i in range(9))
    values = {"split": "subject_k_fold", "folds": 3, "partitions": 2, "subjects": subjects}
    rng, results = np.random.default_rng(0), []
    scores = {name: [] for name in subjects}
    means = []
    for fold in range(6):
        asked = run(fold=fold, **values)
        tested = asked.protocol.splitting.people(subjects, asked.protocol.dealing(fold, 0))
        drawn = rng.random(len(tested))
        means.append(drawn.mean())
        for subject, value in zip(tested, drawn, strict=True):
            scores[subject].append(value)
        results.append(
            Scored(
                asked,
                "done",
                scores={s: dict.fromkeys(SCORES, v) for s, v in zip(tested, drawn, strict=True)},
                n_units=dict.fromkeys(tested, 4),
                units={s: s for s in tested},
                confusion={s: [[3, 1], [1, 3]] for s in tested},
                seconds={"train": 1.0},
            )
        )
    (found,) = boards_of(stored(tmp_path, results))
    assert found.name.endswith("subject_3_fold_times_2")
    row = found.table.set_index("model").loc["cnn"]
    assert {len(of_subject) for of_subject in scores.values()} == {2}
    assert row["macro_f1"] == pytest.approx(np.mean([np.mean(v) for v in scores.values()]))
    assert row["pooled_macro_f1"] == pytest.approx(0.75)
    # one third is tested, four fifths of the other two thirds are trained on
    half = stats.t.ppf(0.975, 5) * np.sqrt((1 / 6 + 1 / 1.6) * np.var(means, ddof=1))
    assert row["resampled_low"] == pytest.approx(np.mean(means) - half)
    assert row["resampled_high"] == pytest.approx(np.mean(means) + half)
    assert "n = 9 subjects, 36 score units" in found.head[2]
    assert bool(row["complete"]) is True

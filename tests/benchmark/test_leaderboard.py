"""Boards: every number again from the predictions, by other means; nothing is made up or hidden."""

import dataclasses
import json
import shutil
from pathlib import Path

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

from benchmark.leaderboard import (
    LeaderboardError,
    build_boards,
    interval,
    runs_table,
    write_leaderboards,
)
from benchmark.results import Store
from benchmark.run import Result, Run

BOARD = "synthetic_phase_60__stress__leave_one_subject_out"
SUBJECTS = ("S1", "S2", "S3")


def run(model: str = "cnn", fold: int = 0, seed: int = 0, **fields) -> Run:
    fields = {"signals": ("eda",), "subjects": SUBJECTS, "data": "a" * 16, **fields}
    return Run("synthetic", "stress", "leave_one_subject_out", fold, seed, model, **fields)


def done(asked: Run, macro_f1: float, **fields) -> Result:
    """A result whose scores all follow from one number."""
    subject = asked.subjects[asked.fold]
    scores = {
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
    return Result(asked, "done", **values)


def stored(folder: Path, results: list[Result]) -> Store:
    store = Store(folder)
    for result in results:
        assert store.save(result)
    return store


def board(store: Store) -> pd.DataFrame:
    (found,) = build_boards(store)
    return found.table.set_index("model")


@pytest.mark.parametrize("values", [[0.1, 0.9], [0.2, 0.4, 0.9, 0.35], [0.5] * 5])
def test_interval_is_students(values):
    mean, low, high = interval(values)
    assert mean == pytest.approx(np.mean(values))
    error = stats.sem(values)
    if error == 0:
        assert (low, high) == (mean, mean)
        return
    assert (low, high) == pytest.approx(
        stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
    )


def test_interval_in_closed_form():
    # n = 2: t has one degree of freedom, a Cauchy distribution; its 97.5 % point is tan(0.475 pi)
    mean, low, high = interval([0.0, 1.0])
    half = np.tan(0.475 * np.pi) * 0.5
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


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
        for name, low, high in (
            ("macro_f1", "ci_low", "ci_high"),
            ("balanced_accuracy", "balanced_low", "balanced_high"),
        ):
            half = stats.t.ppf(0.975, 3) * stats.sem(scores[name])
            assert row[high] - row[low] == pytest.approx(2 * half, abs=1e-6)
            assert row[high] + row[low] == pytest.approx(2 * scores[name].mean(), abs=1e-6)
        assert row["worst_decile"] == pytest.approx(np.quantile(scores["macro_f1"], 0.1), abs=1e-6)
        assert row["subjects_above_chance"] == (scores["balanced_accuracy"] > 0.5 + 1e-6).sum()
        assert (row["n_subjects"], row["n_seeds"], row["n_runs"]) == (4, 2, 8)
    f1 = expected.pivot(index="model", columns="subject", values="macro_f1")
    for model in f1.index:
        for column, other in (("delta_majority", "majority"), ("delta_simple", "lda")):
            delta = (f1.loc[model] - f1.loc[other]).mean()
            assert table.loc[model, column] == pytest.approx(delta, abs=1e-6)


def test_runs_csv_of_real_runs(finished):
    table = runs_table(finished.results())
    assert len(table) == 3 * 2 * 4
    averaged = table.groupby(["model", "subject"])["macro_f1"].mean().reset_index()
    expected = recomputed(finished)[["model", "subject", "macro_f1"]]
    pd.testing.assert_frame_equal(averaged, expected, atol=1e-6)


def test_confusion_of_real_runs(finished):
    for result in finished.results():
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
    mean, low, high = interval([0.5, 0.5, 0.4])
    assert (row["macro_f1"], row["ci_low"], row["ci_high"]) == pytest.approx((mean, low, high))
    assert row["ci_high"] - row["ci_low"] < 0.3  # six values as if of six people span more
    assert row["subjects_above_chance"] == 2


def test_missing_run_is_counted_and_not_imputed(tmp_path):
    results = [done(run("lda", fold), 0.6) for fold in range(3)]
    results += [done(run("cnn", fold), 0.9) for fold in range(2)]
    store = stored(tmp_path, results)
    (found,) = build_boards(store)
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
    (found,) = build_boards(store)
    row = found.table.set_index("model").loc["cnn"]
    assert (row["n_runs"], row["n_failed"], row["n_subjects"]) == (3, 1, 2)
    assert row["macro_f1"] == pytest.approx(0.9)
    assert row["note"] == "ValueError: no"
    assert bool(row["complete"]) is False
    assert any("INCOMPLETE, 1 failed run(s): cnn lacks 1 of 3" in line for line in found.head)
    table = runs_table(store.results())
    (failed,) = table[table["status"] == "failed"].to_dict("records")
    assert failed["error"] == "ValueError: no"
    assert np.isnan(failed["macro_f1"])


def test_complete_board_does_not_say_incomplete(tmp_path):
    store = stored(tmp_path, [done(run("lda", fold), 0.6) for fold in range(3)])
    (found,) = build_boards(store)
    assert "INCOMPLETE" not in "".join(found.head)


def test_board_of_failed_runs_only(tmp_path):
    results = [Result(run("cnn", fold), "failed", error="ValueError: no") for fold in range(3)]
    store = stored(tmp_path, results)
    row = board(store).loc["cnn"]
    assert (row["n_runs"], row["n_failed"]) == (3, 3)
    assert np.isnan(row["macro_f1"])
    (found,) = build_boards(store)
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
    assert "INCOMPLETE" not in "".join(build_boards(store)[0].head)


def test_notes_are_in_the_head(tmp_path):
    store = stored(tmp_path, [done(run("lda", fold), 0.6) for fold in range(3)])
    store.note_cells({run().board: ["left out: S9: no file"]}, {})
    assert "left out: S9: no file" in build_boards(store)[0].head


def test_different_units_are_refused_by_name(tmp_path):
    results = [done(run("lda", fold), 0.6) for fold in range(3)]
    results += [done(run("cnn", fold), 0.6) for fold in range(2)]
    results.append(done(run("cnn", 2), 0.6, units={"S3": "others"}))
    with pytest.raises(LeaderboardError, match="same units") as caught:
        build_boards(stored(tmp_path, results))
    for word in ("cnn", "lda", "S3", run().board):
        assert word in str(caught.value)


def test_two_versions_of_the_data_never_share_a_board(tmp_path):
    old = [done(run("lda", fold, data="b" * 16), 0.9, raw="s" * 16) for fold in range(3)]
    new = [done(run(model, fold), 0.6) for fold in range(3) for model in ("lda", "cnn")]
    boards = build_boards(stored(tmp_path, [*old, *new]))
    assert [found.name for found in boards] == [run().board, f"{run().board}__data_bbbbbb"]
    assert boards[0].table["macro_f1"].tolist() == pytest.approx([0.6, 0.6])
    assert boards[1].table["macro_f1"].tolist() == pytest.approx([0.9])
    for found, other in zip(boards, ("b" * 16, "a" * 16), strict=True):
        assert any("other recordings" in line and other in line for line in found.head)


def test_two_versions_of_the_protocol_never_share_a_board(tmp_path):
    cases = [(2, "a"), (2, "b"), (1, "a"), (1, "b")]
    results = [
        done(run("lda", fold, protocol=protocol, data=data * 16), protocol / 10 + ord(data) / 1000)
        for protocol, data in cases
        for fold in range(3)
    ]
    boards = build_boards(stored(tmp_path, results))
    assert len({found.name for found in boards}) == 4
    assert sorted(float(found.table["macro_f1"].iloc[0]) for found in boards) == pytest.approx(
        sorted(protocol / 10 + ord(data) / 1000 for protocol, data in cases)
    )
    assert "protocol 2" in boards[0].head[1]


def test_changed_recipe_is_a_row_of_its_own(tmp_path):
    results = [done(run("cnn", fold), 0.6) for fold in range(3)]
    results += [
        done(run("cnn", fold, recipe=(("lr", 0.1),), changed=("lr",)), 0.8) for fold in range(3)
    ]
    (found,) = build_boards(stored(tmp_path, results))
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
    (found,) = build_boards(store)
    assert found.table["model"].tolist() == ["lda"]


def test_files_come_back_byte_for_byte(finished, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_leaderboards(finished, first)
    names = {path.name for path in first.iterdir()}
    assert names == {f"{BOARD}.csv", "runs.csv"}
    copy = Store(tmp_path / "elsewhere" / "copy")
    shutil.copytree(finished.root, copy.root)
    write_leaderboards(copy, second)
    for name in names:
        assert (second / name).read_bytes() == (first / name).read_bytes()
        (first / name).unlink()
    write_leaderboards(finished, first)
    for name in names:
        assert (second / name).read_bytes() == (first / name).read_bytes()


def test_order_of_saving_does_not_matter(tmp_path):
    results = [
        done(run(m, f, s), 0.3 + f / 10 + s / 7)
        for m in ("lda", "cnn")
        for f in range(3)
        for s in (0, 1)
    ]
    one = build_boards(stored(tmp_path / "one", results))
    other = build_boards(stored(tmp_path / "other", results[::-1]))
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
    assert build_boards(Store(tmp_path / "none")) == []

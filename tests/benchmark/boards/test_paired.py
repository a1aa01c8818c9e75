"""Families of comparisons and the pooled score: against scipy, scikit-learn and by hand."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from benchmark.boards.board import write_leaderboards
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import compare, step_down
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.protocol import Protocol
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import boards_of, cohorts_of, stored

N = 12
SUBJECTS = tuple(f"S{i:02d}" for i in range(N))


def run(model: str, fold: int, seed: int = 0, **fields) -> Run:
    fields = {"signals": ("eda",), "subjects": SUBJECTS, "data": "a" * 16, **fields}
    return Run("wesad", "stress", Protocol(), fold, seed, model, **fields)


def done(asked: Run, macro_f1: float, confusion=((1, 1), (1, 1))) -> Scored:
    subject = asked.subjects[asked.fold]
    return Scored(
        asked,
        "done",
        scores={subject: dict.fromkeys(SCORES, macro_f1)},
        n_units={subject: 4},
        units={subject: subject},
        confusion={subject: [list(row) for row in confusion]},
        seconds={"train": 1.0},
        control=asked.distiller == "label_smoothing",
        raw="r",
    )


def results(scores: dict[str, np.ndarray], **fields) -> list[Scored]:
    return [
        done(run(model, fold, **fields), float(value))
        for model, values in scores.items()
        for fold, value in enumerate(values)
    ]


def made_up(rng: np.random.Generator, shifts: dict[str, float]) -> dict[str, np.ndarray]:
    people = rng.normal(0.6, 0.1, N)
    return {model: people + shift + rng.normal(0, 0.02, N) for model, shift in shifts.items()}


SHIFTS = {"cnn": 0.1, "lstm": 0.0995, "lda": 0.0, "random_forest": -0.05, "majority": -0.3}


@pytest.fixture
def scores() -> dict[str, np.ndarray]:
    return made_up(np.random.default_rng(3), SHIFTS)


def test_of_equal_models_one_in_twenty_seems_better_over_subjects_but_many_over_windows():
    rng = np.random.default_rng(0)
    people = rng.normal(0, 0.1, (1000, N, 1))  # by how much one model suits a person more
    windows = people + rng.normal(0, 0.1, (1000, N, 20))
    over_subjects = [compare(d.tolist(), [0.0] * N).p for d in windows.mean(axis=2)]
    over_windows = stats.wilcoxon(windows.reshape(1000, -1), axis=1).pvalue
    assert np.mean(np.array(over_subjects) <= 0.05) <= 0.06
    assert np.mean(over_windows <= 0.05) > 0.2


# --- families


def test_ranked_pairs_again_by_other_means(tmp_path, scores):
    write_leaderboards(stored(tmp_path / "runs", results(scores)), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv")
    ranked = table[table["family"] == "ranked"]
    rows = sorted((m for m in SHIFTS if m != "majority"), key=lambda m: -scores[m].mean())
    assert [(r["model"], r["against"]) for _, r in ranked.iterrows()] == list(combinations(rows, 2))
    corrected = step_down(np.array([scores[m] for m in rows])).corrected
    for (_, row), p in zip(ranked.iterrows(), corrected, strict=True):
        d = scores[row["model"]] - scores[row["against"]]
        low, high = stats.t.interval(0.95, N - 1, d.mean(), stats.sem(d))
        exact = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=np.inf
        )
        expected = {
            "difference": d.mean(),
            "low": low,
            "high": high,
            "median_difference": np.median(d),
            "p": exact.pvalue,
            "p_corrected": p,
            "won": sum(d > 0),
            "lost": sum(d < 0),
            "n_subjects": N,
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-3), (row["model"], name)
        assert row["claim"]


def test_probes_that_should_lose_are_compared_one_by_one(tmp_path, scores):
    write_leaderboards(stored(tmp_path / "runs", results(scores)), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv")
    lines = table[table["family"] == "should_lose"].set_index("model")
    assert set(lines["against"]) == {"majority"}
    assert set(lines.index) == {"cnn", "lstm", "lda", "random_forest"}
    assert lines["p_corrected"].isna().all()
    assert not lines["claim"].any()
    d = scores["cnn"] - scores["majority"]
    assert lines.loc["cnn", "difference"] == pytest.approx(d.mean(), rel=1e-3)
    assert lines.loc["cnn", "p"] == pytest.approx(2 / 2**N, rel=1e-3)


def test_an_incomplete_row_is_in_no_comparison(tmp_path, scores):
    found = [r for r in results(scores) if (r.run.name, r.run.fold) != ("cnn", 3)]
    write_leaderboards(stored(tmp_path / "runs", found), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv")
    assert "cnn" not in {*table["model"], *table["against"]}
    assert {*table["model"], *table["against"]} == {"lstm", "lda", "random_forest", "majority"}


def test_distilled_against_alone(tmp_path):
    rng = np.random.default_rng(1)
    found = []
    for fold in range(N):
        alone, teacher = run("dnn", fold), run("lstm", fold, signals=("eda", "bvp"))
        own = {"alone": alone.id, "teachers": (teacher,)}
        found += [done(alone, rng.random()), done(teacher, rng.random())]
        found.append(done(run("dnn", fold, distiller="soft_targets", **own), rng.random()))
        own = {"alone": alone.id, "distiller": "label_smoothing"}
        found.append(done(run("dnn", fold, **own), rng.random()))
    store = stored(tmp_path / "runs", found)
    boards = write_leaderboards(store, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv", keep_default_na=False)
    table = table[table["family"] == "distilled_against_alone"]
    labels = {tuple(r) for r in boards[0].table[["model", "signals", "recipe"]].to_numpy()}
    assert {tuple(r) for r in table[["model", "signals", "recipe"]].to_numpy()} <= labels
    assert table["model"].tolist() == [
        "dnn-by_soft_targets-of_lstm",
        "dnn-by_label_smoothing",
    ]
    assert table["claim"].astype(str).tolist() == ["True", "False"]
    scores = {
        name: np.array([next(iter(r.scores.values()))["macro_f1"] for r in found if key(r) == name])
        for name in ("alone", "soft_targets", "label_smoothing")
    }
    for line, name in zip(
        table.to_dict("records"), ("soft_targets", "label_smoothing"), strict=True
    ):
        d = scores[name] - scores["alone"]
        assert float(line["difference"]) == pytest.approx(d.mean(), rel=1e-3)
        assert float(line["median_difference"]) == pytest.approx(np.median(d), rel=1e-3)
        p = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert float(line["p"]) == pytest.approx(p, rel=1e-3)
        assert line["against"] == "dnn"


def key(result: Scored) -> str:
    return result.run.distiller or {"dnn": "alone"}.get(result.run.model, result.run.model)


# --- pooled score


def test_pooled_score_of_real_runs_again_from_the_predictions(finished):
    cohorts = cohorts_of(scored_results(finished))
    for row in cohorts[0].rows:
        expected = []
        for seed in (0, 1):
            truth, guess = [], []
            for result in (r for r in row.results if r.run.seed == seed):
                file = finished.predictions(result.run)
                windows = pd.DataFrame({k: file[k] for k in ("trial", "unit", "label")})
                chances = pd.DataFrame(file["probabilities"])
                units = windows.join(chances).groupby(["trial", "unit"]).mean()
                truth += units["label"].astype(int).tolist()
                guess += units[[0, 1]].to_numpy().argmax(axis=1).tolist()
            assert len(truth) == 4 * 8
            expected.append(f1_score(truth, guess, average="macro"))
        assert row.pooled == pytest.approx(np.mean(expected))


def test_one_class_subjects_are_counted_and_do_not_spoil_the_pooled_score(tmp_path):
    confusions = [((3, 1), (0, 0)), ((0, 0), (0, 4)), ((2, 2), (1, 3))]
    found = [
        done(run("cnn", fold, subjects=SUBJECTS[:3]), 0.5, confusion)
        for fold, confusion in enumerate(confusions)
    ]
    (board,) = boards_of(stored(tmp_path, found))
    assert any(
        line.startswith("2 of 3 subjects have score units of one class") for line in board.head
    )
    truth = [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    guess = [0, 0, 0, 1] + [1] * 4 + [0, 0, 1, 1] + [0, 1, 1, 1]
    expected = f1_score(truth, guess, average="macro")
    assert board.table["pooled_macro_f1"].tolist() == pytest.approx([expected])


def test_absent_third_class_has_no_pooled_score(tmp_path):
    confusion = ((2, 0, 0), (1, 3, 0), (0, 0, 0))
    expected = f1_score([0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], average="macro")
    found = [done(run("cnn", 0, subjects=SUBJECTS[:3]), 0.5, confusion)]
    (board,) = boards_of(stored(tmp_path, found))
    assert board.table["pooled_macro_f1"].tolist() == pytest.approx([expected])


# --- what it costs


def test_boards_need_no_torch():
    code = "import sys, benchmark.boards.board; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

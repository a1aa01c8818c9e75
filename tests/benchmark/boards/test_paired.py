"""Tie groups, families of tests and effect sizes: closed forms, plain loops, simulations."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from benchmark.boards.board import write_leaderboards
from benchmark.boards.columns import pooled_macro_f1
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import compare, detectable, effects, tie_groups
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
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


# --- effect sizes


def test_effects_by_hand():
    # differences 0.1, -0.2, 0.3, 0.4, 0: ranks 1, 2, 3, 4 and one that is none; 8 - 2 of 10
    median, correlation = effects([0.1, 0.0, 0.3, 0.4, 0.5], [0.0, 0.2, 0.0, 0.0, 0.5])
    assert median == pytest.approx(0.1)
    assert correlation == pytest.approx(0.6)
    assert effects([0.5, 0.5], [0.5, 0.5]) == (0.0, 0.0)
    assert effects([0.9, 0.7], [0.5, 0.5])[1] == 1
    assert effects([0.5, 0.5], [0.9, 0.7])[1] == -1


@pytest.mark.parametrize("seed", range(5))
def test_rank_biserial_from_scipys_statistic(seed):
    differences = np.random.default_rng(seed).normal(0.2, 1.0, 11)
    below = stats.wilcoxon(differences, alternative="greater").statistic  # W+
    expected = 2 * below / (11 * 12 / 2) - 1
    assert effects(differences, np.zeros(11))[1] == pytest.approx(expected)


# --- tie groups


def test_tie_groups_by_hand():
    # 12 subjects: a row that is better on everybody has p = 2 / 2^12; of 3 pairs corrected 0.0015
    steps = np.linspace(0.01, 0.02, N)
    base = np.full(N, 0.5)
    assert tie_groups(np.array([base + 3 * steps, base + steps, base])) == [1, 2, 3]
    assert tie_groups(np.array([base, base, base - steps])) == [1, 1, 2]
    assert tie_groups(np.array([base])) == [1]
    assert tie_groups(np.empty((0, N))) == []


def test_row_below_one_of_a_later_group_may_tie_with_the_first():
    steps = np.linspace(0.01, 0.02, N)
    best = np.full(N, 0.5)
    sure = best - steps
    unsure = best - 0.02 + np.where(np.arange(N) % 2, 0.3, -0.3)
    assert best.mean() > sure.mean() > unsure.mean()
    assert compare(best.tolist(), unsure.tolist()).p > 0.05
    assert tie_groups(np.array([best, sure, unsure])) == [1, 2, 1]


def test_too_few_subjects_tie_whatever_they_score():
    assert tie_groups(np.array([[0.9] * 5, [0.5] * 5, [0.1] * 5])) == [1, 1, 1]


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_models_are_set_apart_in_no_more_boards_than_stated(seed):
    rng = np.random.default_rng(seed)
    apart = uncorrected = 0
    for _ in range(40):
        rows = rng.normal(0.6, 0.1, N) + rng.normal(0, 0.05, (8, N))
        rows = rows[np.argsort(-rows.mean(axis=1))]
        apart += max(tie_groups(rows)) > 1
        uncorrected += min(compare(*rows[[0, i]].tolist()).p for i in range(1, 8)) < 0.05
    assert apart <= 5  # of 40 at 5 %: six or more have a chance of 1.4 %
    assert uncorrected > 8  # the best of eight equal models seems to be better


def test_twenty_equal_models_are_one_group(tmp_path):
    rng = np.random.default_rng(0)
    people = rng.normal(0.6, 0.1, N)
    equal = {f"m{i:02d}": people + rng.normal(0, 0.05, N) for i in range(20)}
    (board,) = boards_of(stored(tmp_path, results(equal)))
    assert set(board.table["tie_group"]) == {1}


def test_tie_groups_on_a_board(tmp_path, scores):
    found = results(scores)
    found = [r for r in found if (r.run.name, r.run.fold) != ("majority", 0)]
    (board,) = boards_of(stored(tmp_path, found))
    table = board.table.set_index("model")
    ranked = {"cnn": 1, "lstm": 1, "lda": 2, "random_forest": 3}
    assert table["tie_group"].dropna().to_dict() == ranked
    assert table.index[-1] == "majority"
    assert board.to_csv().count("\n,majority,") == 1


def test_of_equal_models_one_in_twenty_seems_better_over_subjects_but_many_over_windows():
    rng = np.random.default_rng(0)
    people = rng.normal(0, 0.1, (1000, N, 1))  # by how much one model suits a person more
    windows = people + rng.normal(0, 0.1, (1000, N, 20))
    over_subjects = [compare(d.tolist(), [0.0] * N).p for d in windows.mean(axis=2)]
    over_windows = stats.wilcoxon(windows.reshape(1000, -1), axis=1).pvalue
    assert np.mean(np.array(over_subjects) <= 0.05) <= 0.06
    assert np.mean(over_windows <= 0.05) > 0.2


# --- families


def test_p_holm_is_against_the_better_simple_baseline(tmp_path, scores):
    (board,) = boards_of(stored(tmp_path, results(scores)))
    table = board.table.set_index("model")
    others = ["cnn", "lstm", "random_forest", "majority"]
    p = {m: stats.wilcoxon(scores[m] - scores["lda"], method="exact").pvalue for m in others}
    expected, reached = {}, 0.0
    for step, model in enumerate(sorted(p, key=lambda m: p[m])):
        reached = max(reached, min(1.0, p[model] * (4 - step)))
        expected[model] = reached
    for model in others:
        assert table.loc[model, "p_holm"] == pytest.approx(expected[model])
    assert np.isnan(table.loc["lda", "p_holm"])


def test_incomplete_row_is_compared_but_makes_no_claim(tmp_path, scores):
    found = [r for r in results(scores) if (r.run.name, r.run.fold) != ("cnn", 3)]
    write_leaderboards(stored(tmp_path / "runs", found), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv").set_index("model")
    assert table.loc["cnn", "n_subjects"] == N - 1
    assert not table.loc["cnn", "claim"]
    assert np.isnan(table.loc["cnn", "p_holm"])
    rest = [i for i in range(N) if i != 3]
    expected = np.mean(scores["cnn"][rest] - scores["lda"][rest])
    assert table.loc["cnn", "difference"] == pytest.approx(expected, rel=1e-3)
    assert table["claim"].sum() == 3


def test_comparisons_again_by_other_means(tmp_path, scores):
    write_leaderboards(stored(tmp_path / "runs", results(scores)), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv").set_index("model")
    assert set(table["family"]) == {"against_simple"}
    assert set(table["against"]) == {"lda"}
    assert "lda" not in table.index
    for model, row in table.iterrows():
        d = scores[model] - scores["lda"]
        low, high = stats.t.interval(0.95, N - 1, d.mean(), stats.sem(d))
        expected = {
            "difference": d.mean(),
            "low": low,
            "high": high,
            "median_difference": np.median(d),
            "p": stats.wilcoxon(d, method="exact").pvalue,
            "won": sum(d > 0),
            "lost": sum(d < 0),
            "n_subjects": N,
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-3), (model, name)


def test_no_simple_baseline_no_family(tmp_path, scores):
    found = results({m: scores[m] for m in ("cnn", "lstm")})
    (board,) = boards_of(stored(tmp_path / "runs", found))
    assert board.table["p_holm"].isna().all()
    write_leaderboards(Store(tmp_path / "runs"), tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "comparisons.csv")) == 0


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
    labels = {tuple(r) for r in boards[0].table[["model", "signals", "recipe"]].to_numpy()}
    assert {tuple(r) for r in table[["model", "signals", "recipe"]].to_numpy()} <= labels
    assert table["model"].tolist() == [
        "dnn-by_soft_targets-of_lstm",
        "dnn-by_label_smoothing",
    ]
    assert table["claim"].tolist() == [True, False]
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
        p = stats.wilcoxon(d, method="exact").pvalue
        assert float(line["p"]) == pytest.approx(p, rel=1e-3)
        assert line["against"] == "dnn"


def key(result: Scored) -> str:
    return result.run.distiller or {"dnn": "alone"}.get(result.run.model, result.run.model)


# --- head


def test_detectable_is_that_of_tables():
    # G*Power 3.1, paired t-test, two-sided 5 %, power 80 %: dz 0.5 takes 34, 0.8 takes 15
    for effect, n in ((0.5, 34), (0.8, 15), (0.2, 199)):
        assert detectable(1.0, n) <= effect < detectable(1.0, n - 1)
    assert detectable(0.07, 20) == pytest.approx(0.07 * detectable(1.0, 20))


@pytest.mark.parametrize("n", [8, 15, 34])
def test_detectable_is_found_in_four_of_five_experiments(n):
    rng = np.random.default_rng(n)
    differences = rng.normal(detectable(0.05, n), 0.05, (4000, n))
    share = np.mean(stats.ttest_1samp(differences, 0.0, axis=1).pvalue < 0.05)
    assert share == pytest.approx(0.8, abs=0.02)


def test_nothing_is_detectable_by_five_subjects():
    assert detectable(0.01, 5) == np.inf
    assert detectable(0.01, 6) < 0.02


def test_head_states_the_detectable_difference(tmp_path, scores):
    (board,) = boards_of(stored(tmp_path, results(scores)))
    (line,) = [line for line in board.head if line.startswith("smallest difference")]
    spreads = [np.std(a - b, ddof=1) for a, b in combinations(scores.values(), 2)]
    assert f"{np.median(spreads):.4f}" in line
    assert f"{detectable(np.median(spreads), N):.4f} macro F1" in line
    assert f"n = {N}" in line
    assert "80% power" in line


def test_head_of_few_subjects_says_that_nothing_can_be_told(tmp_path):
    found = [
        done(run(model, fold, subjects=SUBJECTS[:3]), 0.5 + fold / 10 * (model == "cnn"))
        for model in ("cnn", "lda")
        for fold in range(3)
    ]
    (board,) = boards_of(stored(tmp_path, found))
    assert any("no difference can be told" in line for line in board.head)
    assert not any("smallest" in line for line in board.head)


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
        assert pooled_macro_f1(row.results) == pytest.approx(np.mean(expected))


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


def test_absent_third_class_has_no_pooled_score():
    confusion = ((2, 0, 0), (1, 3, 0), (0, 0, 0))
    found = [done(run("cnn", 0), 0.5, confusion)]
    expected = f1_score([0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], average="macro")
    assert pooled_macro_f1(found) == pytest.approx(expected)
    assert np.isnan(pooled_macro_f1([]))


# --- what it costs


def test_boards_need_no_torch():
    code = "import sys, benchmark.boards.board; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

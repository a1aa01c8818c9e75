"""Ranks, claims, remarks, chance and power of a board: closed forms, plain loops, simulations."""

import numpy as np
import pytest
from scipy import stats

from benchmark.boards.chance import chance_of, p_above_chance, subjects_above_chance
from benchmark.boards.cohort import Cohort
from benchmark.boards.decisions import decide, lead_over_simple, p_simple
from benchmark.boards.power import found_by, smallest_difference
from benchmark.boards.remarks import remarks
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import step_down
from lightning_modules.metrics import macro_f1_of
from tests.benchmark.boards.test_paired import SUBJECTS, N, done, made_up, results, run
from tests.benchmark.made_up import boards_of, cohorts_of, stored
from tests.benchmarks.decisions import SPREAD, detectable, normal

SHIFTS = {"cnn": 0.1, "lstm": 0.0995, "lda": 0.0, "random_forest": -0.05, "majority": -0.3}


@pytest.fixture
def scores() -> dict[str, np.ndarray]:
    return made_up(np.random.default_rng(3), SHIFTS)


def cohort_of(scores: dict[str, np.ndarray]) -> Cohort:
    (cohort,) = cohorts_of(results(scores))
    return cohort


# --- ranks


def test_ranks_on_a_board(tmp_path, scores):
    found = [r for r in results(scores) if (r.run.name, r.run.fold) != ("lda", 0)]
    found += results({"time": np.full(N, 0.95)})
    (board,) = boards_of(stored(tmp_path, found))
    ranks = board.table.set_index("model")[["rank_low", "rank_high"]].astype(object)
    assert ranks.loc["cnn"].tolist() == [1, 2]
    assert ranks.loc["lstm"].tolist() == [1, 2]
    assert ranks.loc["random_forest"].tolist() == [3, 3]
    for model in ("lda", "time", "majority"):  # incomplete, or should lose
        assert ranks.loc[model].isna().all()
    assert board.table["model"].tolist()[0] == "time"
    assert board.table["model"].tolist()[-1] == "lda"


def test_twenty_equal_models_share_all_ranks(tmp_path):
    rng = np.random.default_rng(0)
    people = rng.normal(0.6, 0.1, N)
    equal = {f"m{i:02d}": people + rng.normal(0, 0.05, N) for i in range(20)}
    (board,) = boards_of(stored(tmp_path, results(equal)))
    assert set(board.table["rank_low"]) == {1}
    assert set(board.table["rank_high"]) == {20}


def test_rows_that_should_lose_do_not_make_decisions_harder(scores):
    alone = cohort_of({name: values for name, values in scores.items() if name != "majority"})
    rng = np.random.default_rng(0)
    blind = {name: rng.random(N) for name in ("majority", "prior", "time", "motion", "length")}
    beside = cohort_of({**scores, **blind})
    ours = decide(alone).values.corrected
    assert decide(beside).values.corrected.tolist() == ours.tolist()


# --- claims


def test_a_claim_must_beat_both_simple_baselines(scores):
    cohort = cohort_of(scores)
    rows = {row.run.name: row for row in cohort.rows}
    order = ["cnn", "lstm", "lda", "random_forest"]
    order.sort(key=lambda name: -scores[name].mean())
    corrected = dict(
        zip(
            [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]],
            step_down(np.array([scores[name] for name in order])).corrected,
            strict=True,
        )
    )
    expected = max(corrected["cnn", "lda"], corrected["cnn", "random_forest"])
    assert p_simple(cohort, rows["cnn"]) == pytest.approx(expected)
    leads = [scores["cnn"].mean() - scores[name].mean() for name in ("lda", "random_forest")]
    assert lead_over_simple(cohort, rows["cnn"]) == pytest.approx(min(leads))
    for name in ("lda", "random_forest", "majority"):
        assert np.isnan(p_simple(cohort, rows[name]))
    assert np.isnan(lead_over_simple(cohort, rows["lda"]))


def test_beating_one_baseline_is_no_claim(scores):
    rng = np.random.default_rng(1)
    scores["random_forest"] = scores["cnn"] + rng.normal(0, 0.02, N)
    cohort = cohort_of(scores)
    rows = {row.run.name: row for row in cohort.rows}
    assert decide(cohort).p(rows["cnn"], rows["lda"]) <= 0.05
    assert p_simple(cohort, rows["cnn"]) > 0.05


def test_without_one_of_the_baselines_there_is_no_claim(tmp_path, scores):
    del scores["random_forest"]
    (board,) = boards_of(stored(tmp_path, results(scores)))
    assert board.table[["delta_simple", "p_simple"]].isna().all(axis=None)
    (line,) = [line for line in board.head if line.startswith("no row can be called better")]
    assert "random_forest not complete here" in line


# --- subjects of one class


def test_subjects_with_one_class_are_ranked_by_their_units_together(tmp_path):
    """A constant reaches 1 on those who have its class alone; it is not the better model."""
    rng = np.random.default_rng(0)
    found = []
    for fold in range(N):
        calm = fold % 3 > 0  # two thirds have the first class alone
        units = 20
        right = rng.binomial(units, 0.85)
        good = [[right, units - right], [0, 0]] if calm else [[8, 2], [1, 9]]
        constant = [[units, 0], [0, 0]] if calm else [[10, 0], [10, 0]]
        for model, table in (("cnn", good), ("lda", constant)):
            score = macro_f1_of(np.array(table))
            found.append(done(run(model, fold), score, table))
    (cohort,) = cohorts_of(found)
    rows = {row.run.name: row for row in cohort.rows}
    assert cohort.one_class == 8
    assert rows["lda"].mean > rows["cnn"].mean
    assert rows["cnn"].pooled > rows["lda"].pooled
    assert [row.run.name for row in decide(cohort).rows] == ["cnn", "lda"]
    (board,) = boards_of(stored(tmp_path, found))
    assert any("rows are ranked by pooled_macro_f1" in line for line in board.head)
    assert board.table["model"].tolist() == ["cnn", "lda"]
    assert (board.table["pooled_low"] < board.table["pooled_macro_f1"]).all()


# --- remarks


def test_a_probe_that_should_lose_and_wins_is_remarked(tmp_path, scores):
    (board,) = boards_of(stored(tmp_path, results({**scores, "time": np.full(N, 0.95)})))
    (line,) = [line for line in board.head if line.startswith("NO ROW IS BETTER")]
    assert "time (random forest on the seconds since the start) reaches 0.950" in line


def test_a_probe_that_is_as_good_is_remarked_and_a_worse_one_is_not(scores):
    rng = np.random.default_rng(1)
    scores["motion"] = scores["cnn"] - 0.05 + rng.normal(0, 0.15, N)
    (line,) = remarks(cohort_of(scores))
    assert line.startswith("NOT TOLD APART: motion")
    assert remarks(cohort_of({name: scores[name] for name in SHIFTS})) == []


def test_an_incomplete_probe_is_in_no_remark(scores):
    found = results({**scores, "time": np.full(N, 0.95)})
    (cohort,) = cohorts_of([r for r in found if (r.run.name, r.run.fold) != ("time", 0)])
    assert remarks(cohort) == []


# --- chance


def test_chance_is_that_of_the_class_mix():
    """Of many units: classes drawn with frequency q give F1 = q of a class, and recall q."""
    tables = [[[1500, 0], [500, 0]], [[1500, 0], [500, 0]]]
    found = [done(run("cnn", fold), 0.5, table) for fold, table in enumerate(tables)]
    chance = chance_of(cohorts_of(found)[0])
    assert chance["macro_f1"] == pytest.approx((0.75 + 0.25) / 2, abs=0.01)
    assert chance["balanced_accuracy"] == pytest.approx(0.5, abs=0.01)


def test_chance_of_people_with_one_class_is_not_one_of_k():
    tables = [[[40, 0], [0, 0]], [[40, 0], [0, 0]], [[0, 0], [20, 0]]]
    found = [done(run("cnn", fold), 0.5, table) for fold, table in enumerate(tables)]
    chance = chance_of(cohorts_of(found)[0])
    assert chance["balanced_accuracy"] == pytest.approx((0.8 + 0.8 + 0.2) / 3, abs=0.02)


@pytest.mark.parametrize("table", [[[8, 2], [3, 7]], [[5, 5], [5, 5]], [[9, 1], [0, 10]]])
def test_p_of_a_person_is_fishers(table):
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert p_above_chance(np.array(table)) == pytest.approx(expected)


def test_p_of_a_person_of_three_classes_is_that_of_dealing_predictions_anew():
    table = np.array([[4, 1, 1], [2, 4, 1], [1, 1, 3]])
    rng = np.random.default_rng(0)
    true = np.repeat([0, 1, 2], table.sum(axis=1))
    guess = np.concatenate([np.repeat([0, 1, 2], row) for row in table])

    def recall(answers: np.ndarray) -> float:
        return float(np.mean([(answers[true == k] == k).mean() for k in range(3)]))

    dealt = [recall(rng.permutation(guess)) >= recall(guess) - 1e-9 for _ in range(4000)]
    assert p_above_chance(table) == pytest.approx(np.mean(dealt), abs=0.03)


def test_subjects_above_chance_are_few_where_nothing_is_known():
    rng = np.random.default_rng(0)
    found = []
    for fold in range(N):
        truth, guess = rng.integers(0, 2, (2, 40))
        table = np.zeros((2, 2), int)
        np.add.at(table, (truth, guess), 1)
        found.append(done(run("cnn", fold), 0.5, table.tolist()))
        found.append(done(run("dnn", fold), 0.9, [[18, 2], [2, 18]]))
        found.append(done(run("lstm", fold), 1.0, [[20, 0], [0, 0]]))
    (cohort,) = cohorts_of(found)
    counts = {row.run.name: subjects_above_chance(row) for row in cohort.rows}
    assert counts["cnn"] <= 2
    assert counts["dnn"] == N
    assert counts["lstm"] == 0  # one class alone shows nothing


# --- power


@pytest.mark.parametrize(("n", "rows"), [(15, 6), (34, 2)])
def test_smallest_difference_is_found_in_four_of_five_other_experiments(n, rows):
    rng = np.random.default_rng(7)
    residuals = normal(rng, rows, 400)
    residuals -= residuals.mean(axis=1, keepdims=True)
    sampled = residuals[:, :n] - residuals[:, :n].mean(axis=1, keepdims=True)
    smallest = found_by(sampled, experiments=200)
    shares = []
    for _ in range(150):
        scores = sampled[:, rng.integers(0, n, n)]
        scores = scores + smallest * (np.arange(rows) == 0)[:, None]
        shares.append((step_down(scores).corrected[: rows - 1] <= 0.05).mean())
    assert np.mean(shares) == pytest.approx(0.8, abs=0.08)


def test_smallest_difference_of_two_rows_is_near_that_of_a_t_test():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, SPREAD / np.sqrt(2), (2, 200))[:, :34]
    scores *= SPREAD / np.std(scores[0] - scores[1], ddof=1)
    scores -= scores.mean(axis=1, keepdims=True)
    assert found_by(scores, 400) == pytest.approx(detectable(34), rel=0.15)


def test_more_rows_need_larger_differences():
    rng = np.random.default_rng(0)
    scores = normal(rng, 12, 20)
    scores -= scores.mean(axis=1, keepdims=True)
    assert found_by(scores) > found_by(scores[:3])


def test_head_states_the_smallest_difference(tmp_path, scores):
    found = results(scores)
    (board,) = boards_of(stored(tmp_path, found))
    (line,) = [line for line in board.head if line.startswith("smallest difference")]
    (cohort,) = cohorts_of(scored_results(stored(tmp_path / "again", found)))
    assert f"{smallest_difference(cohort):.4f} macro F1" in line


def test_head_of_few_subjects_says_that_nothing_can_be_found(tmp_path):
    few = SUBJECTS[:5]
    found = [
        done(run(model, fold, subjects=few), 0.5 + fold / 10 * (model == "cnn"))
        for model in ("cnn", "lda")
        for fold in range(5)
    ]
    (board,) = boards_of(stored(tmp_path, found))
    assert any("no difference can ever be found, it takes 6" in line for line in board.head)
    assert any("no intervals: they take 8 subjects" in line for line in board.head)
    assert not any("smallest" in line for line in board.head)

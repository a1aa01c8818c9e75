"""Comparisons and decisions: against plain loops over all exchanges, scipy and closed forms."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from benchmark.boards.cohort import pooled_macro_f1
from benchmark.boards.statistics import (
    FLIPS,
    LEAST_SUBJECTS,
    bootstrap_interval,
    compare,
    comparisons,
    effects,
    effects_of,
    holm,
    interval,
    p_text,
    pairs_of,
    random_exchanges,
    rank_sets,
    resampled_interval,
    step_down,
)
from tests.benchmarks.decisions import errors, exchanged, normal, skewed


def p_of(differences: np.ndarray) -> float:
    return compare(differences, np.zeros(len(differences))).p


def p_by_flips(differences: np.ndarray) -> float:
    """Share of all flips of signs whose sum is as far from 0 as the one that was observed."""
    observed = abs(sum(differences))
    signs = product((-1, 1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(one, differences, strict=True))) for one in signs]
    return float(np.mean([value >= observed - 1e-6 for value in sums]))


@pytest.mark.parametrize("n", range(1, 12))
def test_p_is_that_of_all_flips(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.3, 1.0):
        differences = rng.normal(shift, 1.0, n)
        assert p_of(differences) == pytest.approx(p_by_flips(differences), abs=1e-12)
    tied = rng.integers(-2, 4, n) / 8
    assert p_of(tied) == pytest.approx(p_by_flips(tied), abs=1e-12)


@pytest.mark.parametrize("n", [8, 13])
def test_p_is_scipys(n):
    differences = np.random.default_rng(n).normal(0.3, 1.0, n)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert p_of(differences) == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize("n", [14, 34])
def test_p_of_many_subjects_is_near_that_of_more_random_flips(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.5):
        differences = rng.normal(shift, 1.0, n)
        signs = rng.choice([-1.0, 1.0], (400_000, n))
        expected = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
        error = np.sqrt(expected * (1 - expected) / FLIPS)
        assert p_of(differences) == pytest.approx(expected, abs=5 * error + 2 / FLIPS)
        assert p_of(differences) == p_of(differences)


def test_p_by_hand():
    assert p_of(np.full(5, 0.1)) == 2 / 2**5
    assert p_of(np.full(13, -0.1)) == 2 / 2**13
    assert p_of(np.array([0.1, 0.2, 0.3, -0.4])) == 12 / 16  # sums of 0.2 and more, either way
    assert p_of(np.array([0.1, -0.1])) == 1
    assert p_of(np.array([0.3])) == 1


def test_p_is_never_zero():
    assert p_of(np.linspace(0.01, 0.9, 300)) == 1 / FLIPS


def test_scores_that_rounding_sets_apart_are_ties():
    first = np.float32([0.8, 0.6, 0.7, 0.9, 1 / 3])
    second = np.float32([0.6, 0.4, 0.5, 0.8, 0.3333334])
    exact = np.array([0.2, 0.2, 0.2, 0.1])
    assert len(set((first.astype(float) - second)[:3])) > 1
    found = compare(first.tolist(), second.tolist())
    assert found.p == p_by_flips(np.append(exact, 0.0)) == 2 / 16
    assert (found.won, found.lost, found.n) == (4, 0, 5)


def test_small_differences_that_are_real_count():
    found = compare([0.50001, 0.6, 0.7], [0.5, 0.6, 0.70001])
    assert (found.won, found.lost) == (1, 1)


def test_comparison_by_hand():
    # four subjects gain 0.1 and four 0.3: mean 0.2, variance 8 * 0.01 / 7
    found = compare([0.6] * 4 + [0.8] * 4, [0.5] * 8)
    half = stats.t.ppf(0.975, 7) * np.sqrt(0.08 / 7 / 8)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert (found.won, found.lost, found.n, found.p) == (8, 0, 8, 2 / 2**8)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 25, 200])
def test_many_pairs_at_once_are_each_as_alone(n):
    rng = np.random.default_rng(n)
    differences = np.rint(rng.normal(0, 0.1, (40, n)) * 20) / 20  # with ties, and none at all
    differences[:4] = 0.0
    medians, correlations = effects_of(differences)
    for row, one in enumerate(comparisons(differences, np.full(40, 0.5))):
        alone = differences[row]
        assert (one.difference, one.n, one.p) == (np.mean(alone), n, 0.5)
        steps = np.rint(alone * 20)
        assert (one.won, one.lost) == ((steps > 0).sum(), (steps < 0).sum())
        if n >= 8:
            half = stats.t.ppf(0.975, n - 1) * np.std(alone, ddof=1) / np.sqrt(n)
            assert (one.low, one.high) == (one.difference - half, one.difference + half)
        else:
            assert np.isnan([one.low, one.high]).all()
        assert medians[row] == np.median(alone)
        ranks = stats.rankdata(np.abs(steps[steps != 0]))
        signed = (np.sign(steps[steps != 0]) * ranks).sum()
        assert correlations[row] == (signed / ranks.sum() if len(ranks) else 0.0)


def test_other_way_round():
    rng = np.random.default_rng(0)
    one, two = rng.random(9), rng.random(9)
    here, there = compare(one, two), compare(two, one)
    assert here.p == there.p < 1
    assert (here.won, here.lost) == (there.lost, there.won)
    assert (here.difference, here.low, here.high) == pytest.approx(
        (-there.difference, -there.high, -there.low)
    )


def test_single_subject():
    found = compare([0.75], [0.5])
    assert (found.difference, found.p, found.won, found.lost, found.n) == (0.25, 1, 1, 0, 1)
    assert np.isnan([found.low, found.high]).all()


def test_no_difference_at_all():
    found = compare([0.4, 0.5] * 4, [0.4, 0.5] * 4)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert (found.won, found.lost, found.n) == (0, 0, 8)


@pytest.mark.parametrize(
    ("first", "second"),
    [([0.1, 0.2, 0.3], [0.1, 0.2]), ([0.1, 0.2], [0.1]), ([0.1, np.nan], [0.1, 0.2])],
)
def test_scores_that_do_not_pair_are_refused(first, second):
    with pytest.raises(ValueError, match="expected two scores of each subject"):
        compare(first, second)


def test_interval_in_closed_form():
    values = [1.0, 2.0, 6.0, 1.0, 2.0, 6.0, 1.0, 2.0, 6.0]
    mean, low, high = interval(values)
    half = 2.306004135 * np.sqrt(42 / 8 / 9)  # t of 8 degrees of freedom, from a table
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - half, 3.0 + half))


def test_no_interval_of_fewer_than_eight():
    assert LEAST_SUBJECTS == 8
    values = [0.1, 0.4, 0.5, 0.2, 0.9, 0.3, 0.8]
    assert np.isnan(interval(values)[1:]).all()
    assert interval(values)[0] == pytest.approx(np.mean(values))
    assert np.isfinite(interval([*values, 0.6])).all()
    counts = np.ones((7, 1, 2, 2))
    assert np.isnan(bootstrap_interval(counts, pooled_macro_f1)).all()


def test_bootstrap_interval_is_scipys():
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 9, (12, 2, 2))
    counts = np.array(
        [[[np.diag(m), m.sum(axis=0) + m.sum(axis=1)]] for m in matrices], dtype=float
    )
    low, high = bootstrap_interval(counts, pooled_macro_f1)

    def score(rows: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.apply_along_axis(
            lambda r: pooled_macro_f1(counts[r.astype(int)].sum(axis=0)), axis, rows
        )

    expected = stats.bootstrap(
        (np.arange(12),), score, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_resampled_interval_by_hand():
    # three partitions of five folds, a quarter as many tested as trained
    means = [0.5, 0.6, 0.7, 0.6, 0.5] * 3
    variance = np.var(means, ddof=1) * (1 / 15 + 0.25)
    half = stats.t.ppf(0.975, 14) * np.sqrt(variance)
    assert resampled_interval(means, 0.25) == pytest.approx((0.58 - half, 0.58 + half))
    assert np.isnan(resampled_interval([0.5], 0.25)).all()


def by_loops(scores: np.ndarray, score=np.mean) -> dict[tuple[int, int], float]:
    """Corrected p-value of every pair: all exchanges, one subject and one pair at a time."""
    rows, n = len(scores), scores.shape[1]
    pairs = list(combinations(range(rows), 2))

    def distance(pair: tuple[int, int], exchange: tuple[bool, ...]) -> float:
        one, other = pair
        first = [scores[other if e else one][s] for s, e in enumerate(exchange)]
        second = [scores[one if e else other][s] for s, e in enumerate(exchange)]
        return abs(score(np.array(first)) - score(np.array(second)))

    observed = {pair: distance(pair, (False,) * n) for pair in pairs}
    order = sorted(pairs, key=lambda pair: -observed[pair])
    exchanges = list(product((False, True), repeat=n))
    drawn = [{pair: distance(pair, e) for pair in pairs} for e in exchanges]
    corrected, before = {}, 0.0
    for place, pair in enumerate(order):
        larger = [max(d[p] for p in order[place:]) >= observed[pair] - 1e-7 for d in drawn]
        before = max(before, float(np.mean(larger)))
        corrected[pair] = before
    return corrected


@pytest.mark.parametrize("seed", range(4))
def test_step_down_is_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    scores = rng.random((4, 7)) + np.array([0.6, 0.3, 0.0, 0.0])[:, None]
    if seed == 3:
        scores[3] = scores[2]  # a pair without a difference
    expected = by_loops(scores)
    found = step_down(scores)
    assert found.corrected.tolist() == pytest.approx([expected[pair] for pair in pairs_of(4)])
    for (one, other), p in zip(pairs_of(4), found.alone, strict=True):
        assert p == pytest.approx(p_by_flips(scores[one] - scores[other]))
    assert (found.corrected >= found.alone - 1e-12).all()


def test_step_down_of_pooled_scores_is_that_of_a_plain_loop():
    rng = np.random.default_rng(5)
    matrices = rng.integers(0, 6, (3, 6, 2, 2)) + np.array([8, 3, 0])[:, None, None, None] * np.eye(
        2
    )
    counts = np.stack(
        [matrices.diagonal(axis1=2, axis2=3), matrices.sum(axis=2) + matrices.sum(axis=3)], axis=2
    )

    def macro_f1(chosen: np.ndarray) -> float:
        right, occurs = chosen.sum(axis=0)
        return float(np.mean(2 * right / occurs))

    expected = by_loops(counts, macro_f1)
    flat = counts.reshape(3, 6, -1)
    found = step_down(
        flat.astype(float), lambda sums: pooled_macro_f1(sums.reshape(*sums.shape[:-1], 1, 2, 2))
    )
    assert found.corrected.tolist() == pytest.approx([expected[pair] for pair in pairs_of(3)])


def test_step_down_does_not_depend_on_how_much_is_in_memory(monkeypatch):
    scores = np.random.default_rng(0).random((5, 9))
    every = step_down(scores)
    monkeypatch.setattr("benchmark.boards.statistics.CHUNK", 100)
    few = step_down(scores)
    assert few.corrected.tolist() == every.corrected.tolist()
    assert few.alone.tolist() == every.alone.tolist()


def test_no_pairs():
    for rows in (np.empty((0, 9)), np.ones((1, 9))):
        assert len(step_down(rows).corrected) == 0
    assert rank_sets([0.5], np.empty(0)) == [(1, 1)]
    assert rank_sets([], np.empty(0)) == []


def test_rank_sets_by_hand():
    # pairs 01 02 03 12 13 23: the first is better than the last two, the second than the last
    p = np.array([0.4, 0.05, 0.01, 0.06, 0.02, 1.0])
    assert rank_sets([0.9, 0.8, 0.6, 0.5], p) == [(1, 2), (1, 3), (2, 4), (3, 4)]
    # the other way round, whichever row comes first
    assert rank_sets([0.5, 0.6, 0.8, 0.9], p) == [(3, 4), (2, 4), (1, 3), (1, 2)]


def test_five_subjects_cannot_be_told_apart_whatever_they_score():
    assert step_down(np.array([[0.9] * 5, [0.5] * 5, [0.1] * 5])).corrected.min() > 0.05
    assert step_down(np.array([[0.9] * 6, [0.5] * 6, [0.1] * 6])).corrected.max() < 0.05


@pytest.mark.parametrize("draw", [normal, skewed])
@pytest.mark.parametrize(("n", "rows"), [(15, 6), (34, 6)])
def test_equally_good_rows_are_told_apart_in_no_more_boards_than_stated(draw, n, rows):
    draws = 400
    share = errors(exchanged, draw, n, rows, draws)
    assert share <= 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / draws)  # 99 of 100 at 5 %


def test_one_of_equals_seems_better_where_pairs_are_not_corrected():
    rng = np.random.default_rng(0)
    alone = [
        step_down(normal(rng, 8, 12), exchanges=random_exchanges(rng, 500, 12)).alone.min()
        for _ in range(60)
    ]
    assert np.mean(np.array(alone) <= 0.05) > 0.3


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


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.6, 0.001, 0.5], [1.0, 0.003, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([1.0, 1.0], [1.0, 1.0]),
    ],
)
def test_holm_by_hand(raw, corrected):
    assert holm(raw) == pytest.approx(corrected)


def test_holm_rejects_as_the_procedure_does():
    """Step down through the ordered p-values and stop at the first that is too large."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        raw = rng.random(7) ** 3
        rejected = set()
        for step, position in enumerate(np.argsort(raw)):
            if raw[position] > 0.05 / (len(raw) - step):
                break
            rejected.add(int(position))
        assert {k for k, p in enumerate(holm(raw.tolist())) if p <= 0.05} == rejected


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "< 0.001"),
        (0.00099, "< 0.001"),
        (0.001, "0.001"),
        (0.0512, "0.051"),
        (1.0, "1.000"),
        (np.nan, "-"),
    ],
)
def test_small_p_values_are_shown_by_their_bound(p, text):
    assert p_text(p) == text

"""Comparisons: against scipy's exact test, all flips of signs one by one, and closed forms."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from benchmark.boards.statistics import compare, holm, interval


def p_of(differences: np.ndarray) -> float:
    return compare(differences, np.zeros(len(differences))).p


def p_by_flips(differences: np.ndarray) -> float:
    """Share of all flips of signs whose rank sum is as far from its mean as the one found."""
    values = [value for value in differences if value]
    sizes = [abs(value) for value in values]
    ranks = [sum(s < own for s in sizes) + (sum(s == own for s in sizes) + 1) / 2 for own in sizes]
    centre = sum(ranks) / 2
    found = abs(sum(r for r, v in zip(ranks, values, strict=True) if v > 0) - centre)
    far = [
        abs(sum(r for r, sign in zip(ranks, signs, strict=True) if sign) - centre) >= found - 1e-9
        for signs in product((False, True), repeat=len(values))
    ]
    return sum(far) / len(far)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 20, 45])
def test_p_without_ties_is_scipys_exact_one(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.3, 1.0):
        differences = rng.normal(shift, 1.0, n)
        expected = stats.wilcoxon(differences, method="exact").pvalue
        assert p_of(differences) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", range(1, 11))
def test_p_with_ties_and_zeros_is_that_of_all_flips(n):
    rng = np.random.default_rng(n)
    tied = 0
    for _ in range(4):
        differences = rng.integers(-2, 4, n) / 8
        sizes = np.abs(differences[differences != 0])
        tied += len(sizes) - len(set(sizes.tolist()))
        assert p_of(differences) == pytest.approx(p_by_flips(differences), abs=1e-12)
    assert tied or n < 4


def test_p_by_hand():
    assert p_of(np.full(5, 0.1)) == 2 / 2**5
    assert p_of(np.full(15, -0.1)) == 2 / 2**15
    assert p_of(np.array([0.1, 0.2, 0.3, -0.4])) == 14 / 16  # rank sums up to 4: 7 of 16 flips
    assert p_of(np.array([0.1, -0.1])) == 1
    assert p_of(np.array([0.3])) == 1


def test_p_is_small_where_everybody_of_many_wins():
    assert p_of(np.linspace(0.01, 0.9, 300)) == pytest.approx(2.0**-299, rel=1e-9)


def test_scores_that_rounding_sets_apart_are_ties():
    first = np.float32([0.8, 0.6, 0.7, 0.9, 1 / 3])
    second = np.float32([0.6, 0.4, 0.5, 0.8, 0.3333334])
    exact = np.array([0.2, 0.2, 0.2, 0.1])
    assert len(set((first.astype(float) - second)[:3])) > 1
    found = compare(first.tolist(), second.tolist())
    assert found.p == p_by_flips(exact) == 2 / 16
    assert (found.won, found.lost, found.n) == (4, 0, 5)


def test_small_differences_that_are_real_count():
    found = compare([0.50001, 0.6, 0.7], [0.5, 0.6, 0.70001])
    assert (found.won, found.lost) == (1, 1)


def test_comparison_by_hand():
    # mean 0.2, standard deviation 0.2; t of two degrees of freedom is (2q - 1) / sqrt(2 q (1 - q))
    found = compare([0.5, 0.9, 0.6], [0.5, 0.5, 0.4])
    half = 0.95 / np.sqrt(2 * 0.975 * 0.025) * 0.2 / np.sqrt(3)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert (found.won, found.lost, found.n, found.p) == (2, 0, 3, 0.5)


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
    found = compare([0.4, 0.5], [0.4, 0.5])
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert (found.won, found.lost, found.n) == (0, 0, 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [([0.1, 0.2, 0.3], [0.1, 0.2]), ([0.1, 0.2], [0.1]), ([0.1, np.nan], [0.1, 0.2])],
)
def test_scores_that_do_not_pair_are_refused(first, second):
    with pytest.raises(ValueError, match="expected two scores of each subject"):
        compare(first, second)


def test_interval_of_three_in_closed_form():
    mean, low, high = interval([1.0, 2.0, 6.0])
    half = 0.95 / np.sqrt(2 * 0.975 * 0.025) * np.sqrt(7) / np.sqrt(3)  # variance (4 + 1 + 9) / 2
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - half, 3.0 + half))


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

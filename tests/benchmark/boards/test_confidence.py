"""Temperature, sets and selective accuracy: against scikit-learn, plain loops and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss as log_loss_of_sklearn

from benchmark.boards.confidence import (
    COLDEST,
    FLOOR,
    NOMINAL,
    WARMEST,
    covered,
    fit_temperature,
    log_loss,
    scaled,
    selective_accuracy,
    sets_of,
    threshold,
)


def drawn(n: int, n_classes: int, heat: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Units whose classes are drawn by softmax(logits), and what is said of them: too sure."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, n_classes))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    below = true.cumsum(axis=1)[:, :-1] < rng.random((n, 1))
    target = below.sum(axis=1)
    said = np.exp(heat * logits)
    return said / said.sum(axis=1, keepdims=True), target


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_temperature_is_the_best_of_a_grid_by_scikit_learn(n_classes):
    probabilities, target = drawn(300, n_classes, 3.0, n_classes)
    fitted = fit_temperature(probabilities, target)
    labels = list(range(n_classes))

    def loss(temperature: float) -> float:
        return log_loss_of_sklearn(target, scaled(probabilities, temperature), labels=labels)

    grid = np.geomspace(0.2, 20, 400)
    best = grid[np.argmin([loss(temperature) for temperature in grid])]
    assert fitted == pytest.approx(best, rel=0.02)
    assert loss(fitted) <= min(loss(temperature) for temperature in grid) + 1e-12


def test_a_temperature_that_was_planted_is_found():
    probabilities, target = drawn(20000, 3, 2.5, 0)
    assert fit_temperature(probabilities, target) == pytest.approx(2.5, rel=0.03)


def test_two_classes_and_one_sureness_have_a_closed_form():
    """Said .9 and right in 7 of 10: T = logit(.9) / logit(.7)."""
    probabilities = np.tile([0.9, 0.1], (10, 1))
    target = np.array([0] * 7 + [1] * 3)
    expected = math.log(9) / math.log(7 / 3)
    assert fit_temperature(probabilities, target) == pytest.approx(expected, rel=1e-8)
    assert scaled(probabilities, expected)[0] == pytest.approx([0.7, 0.3])


def test_temperatures_without_a_best_one_end_at_the_range():
    right = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(right, np.array([0, 1])) == COLDEST
    assert fit_temperature(right, np.array([1, 0])) == WARMEST
    equal = np.full((4, 2), 0.5)
    assert scaled(equal, fit_temperature(equal, np.array([0, 1, 0, 1]))) == pytest.approx(equal)


def test_what_is_certain_and_wrong_is_finite():
    certain = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    target = np.array([0, 0, 1])
    expected = log_loss_of_sklearn(target, certain, labels=[0, 1])
    assert log_loss(certain, target) == pytest.approx(expected)
    assert log_loss(certain, target) == pytest.approx(-math.log(FLOOR) / 3)
    after = scaled(certain, fit_temperature(certain, target))
    assert after == pytest.approx(np.tile([2 / 3, 1 / 3], (3, 1)))


def test_log_loss_is_that_of_scikit_learn():
    probabilities, target = drawn(50, 4, 1.0, 1)
    expected = log_loss_of_sklearn(target, probabilities, labels=[0, 1, 2, 3])
    assert log_loss(probabilities, target) == pytest.approx(expected)


def test_temperature_changes_no_order():
    probabilities, _ = drawn(100, 4, 1.0, 2)
    for temperature in (0.1, 1.0, 7.0):
        after = scaled(probabilities, temperature)
        assert (after.argsort(axis=1) == probabilities.argsort(axis=1)).all()
        assert after.sum(axis=1) == pytest.approx(1)
    assert scaled(probabilities, 1.0) == pytest.approx(probabilities)


@pytest.mark.parametrize("n", [1, 8, 9, 10, 19, 20, 57, 99, 100])
def test_sets_by_a_plain_loop(n):
    """Score 1 - p of the true class; its finite-sample quantile, infinite where n is too small."""
    probabilities, target = drawn(n, 3, 2.0, n)
    tested, _ = drawn(40, 3, 2.0, 1000 + n)
    scores = sorted(1 - probabilities[i, target[i]] for i in range(n))
    place = next(k for k in itertools.count(1) if 10 * k >= 9 * (n + 1))  # ceil((n + 1) .9)
    quantile = scores[place - 1] if place <= n else math.inf
    expected = [[1 - p <= quantile + 1e-12 for p in unit] for unit in tested]
    assert sets_of(tested, threshold(probabilities, target)).tolist() == expected


def test_sets_may_be_empty_and_then_cover_nothing():
    sets = sets_of(np.array([[0.5, 0.5], [0.9, 0.1]]), 0.8)
    assert sets.tolist() == [[False, False], [True, False]]
    assert covered(sets, np.array([0, 0])).tolist() == [False, True]
    assert covered(sets, np.array([1, 1])).tolist() == [False, False]


def test_equal_probabilities_are_in_or_out_together():
    """Rounding is not to decide: .1 + .2 is larger than .3."""
    assert 0.1 + 0.2 > 0.3
    assert sets_of(np.array([[0.3, 0.7]]), 0.1 + 0.2).tolist() == [[True, True]]


@pytest.mark.parametrize("n", [30, 99])
def test_coverage_of_exchangeable_units_is_what_is_promised(n):
    """Of one more unit, drawn like the others, .9 at least and .9 + 1/(n + 1) at most."""
    rounds, hits = 3000, 0
    probabilities, target = drawn(rounds * (n + 1), 3, 2.0, n)
    groups = zip(
        probabilities.reshape(rounds, n + 1, 3), target.reshape(rounds, n + 1), strict=True
    )
    for said, true in groups:
        least = threshold(said[:n], true[:n])
        hits += int(covered(sets_of(said[n:], least), true[n:])[0])
    low = stats.binom.ppf(0.0005, rounds, NOMINAL)
    high = stats.binom.ppf(0.9995, rounds, NOMINAL + 1 / (n + 1))
    assert low <= hits <= high


def by_all_choices(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Accuracy of the surest 4 of 5 units, averaged over all orders of equally sure ones."""
    kept, accuracies = len(target) * 4 // 5, []
    sure = probabilities.max(axis=1).tolist()
    for order in itertools.permutations(range(len(target))):
        if all(sure[a] >= sure[b] for a, b in itertools.pairwise(order)):
            right = [probabilities[i].argmax() == target[i] for i in order[:kept]]
            accuracies.append(sum(right) / kept)
    return float(np.mean(accuracies))


@pytest.mark.parametrize("seed", range(12))
def test_selective_accuracy_is_the_mean_over_all_choices_among_equals(seed):
    rng = np.random.default_rng(seed)
    sure = rng.choice([0.6, 0.7, 0.9], 5)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    target = rng.integers(0, 2, 5)
    expected = by_all_choices(probabilities, target)
    assert selective_accuracy(probabilities, target) == pytest.approx(expected)
    order = rng.permutation(5)
    assert selective_accuracy(probabilities[order], target[order]) == pytest.approx(expected)


def test_a_border_inside_a_unit_counts_it_in_part():
    """80 % of four units are the three surest, and a fifth of the last."""
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    assert selective_accuracy(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(3 / 3.2)
    assert selective_accuracy(probabilities, np.array([1, 0, 0, 0])) == pytest.approx(2.2 / 3.2)
    assert selective_accuracy(np.array([[0.5, 0.5]]), np.array([0])) == 1.0


def test_a_constant_gains_nothing_by_selection():
    probabilities, target = np.tile([0.7, 0.3], (7, 1)), np.array([0, 1, 0, 0, 1, 0, 0])
    assert selective_accuracy(probabilities, target) == pytest.approx(5 / 7)

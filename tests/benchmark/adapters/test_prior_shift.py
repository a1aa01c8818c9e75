"""Prior shift against Bayes' rule by hand."""

import numpy as np
import pytest

from benchmark.adapters.person import Seen, Trained
from benchmark.adapters.prior_shift import SMOOTHING, prior_shift


def seen(probabilities, target):
    count = len(probabilities)
    return Seen(
        np.empty((count, 0)), np.array(probabilities), np.array(target), np.zeros(count, int)
    )


def trained(shares, minutes=5.0):
    return Trained(len(shares), np.array(shares), minutes, lambda: None, 0)


def test_it_is_bayes_rule_with_another_prior():
    tested = seen([[0.6, 0.4], [0.2, 0.8]], [0, 0])
    minutes = seen([[0.5, 0.5]] * 4, [0, 0, 0, 1])
    answers = prior_shift(trained([0.7, 0.3], 10.0), minutes, tested)
    prior = [
        (10 * share + SMOOTHING * of_all) / (10 + SMOOTHING)
        for share, of_all in ((0.75, 0.7), (0.25, 0.3))
    ]
    for row, (first, second) in zip(answers, tested.probabilities, strict=True):
        likelihoods = first / 0.7, second / 0.3
        both = [one * p for one, p in zip(likelihoods, prior, strict=True)]
        assert row == pytest.approx([one / sum(both) for one in both])


def test_shares_of_the_training_people_change_nothing():
    tested = seen([[0.6, 0.4]], [0])
    answers = prior_shift(trained([0.5, 0.5]), seen([[0.5, 0.5]] * 2, [0, 1]), tested)
    assert answers == pytest.approx(tested.probabilities)


def test_one_class_leans_to_it_and_rules_nothing_out():
    tested = seen([[0.5, 0.5]], [1])
    few, many = (
        prior_shift(trained([0.5, 0.5], minutes), seen([[0.5, 0.5]], [0]), tested)[0]
        for minutes in (1.0, 10.0)
    )
    assert 0.5 < few[0] < many[0] < 1


def test_a_class_that_training_lacked_stays_impossible():
    tested = seen([[0.5, 0.5, 0.0]], [1])
    answers = prior_shift(trained([0.5, 0.5, 0.0]), seen([[0.5, 0.5, 0.0]] * 2, [2, 0]), tested)
    assert answers[0, 2] == 0
    assert answers.sum() == pytest.approx(1)


def test_without_windows_it_is_the_model_as_it_is():
    tested = seen([[0.6, 0.4]], [0])
    none = seen(np.empty((0, 2)), np.empty(0, int))
    assert (prior_shift(trained([0.9, 0.1]), none, tested) == tested.probabilities).all()

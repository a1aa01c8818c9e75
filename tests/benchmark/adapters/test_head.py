"""The head against scikit-learn by hand, with weights in the place of repeated windows."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmark.adapters.head import PENALTY, WEIGHT, head
from benchmark.adapters.person import Seen, Trained
from benchmark.probes.classifiers import forest


def windows(rng, count, shift=0.0, classes=2):
    target = rng.integers(0, classes, count)
    columns = rng.normal(size=(count, 5)) + target[:, None] + shift
    people = np.zeros(count, dtype=np.int64)
    return Seen(columns, np.full((count, classes), 1 / classes), target, people)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def trained(training, n_classes=2, classifier=None):
    return Trained(
        n_classes, np.full(n_classes, 1 / n_classes), 5.0, lambda: training, 0, classifier
    )


def test_a_window_of_the_person_counts_as_ten(rng):
    training, minutes, tested = windows(rng, 80), windows(rng, 6, 2.0), windows(rng, 9, 2.0)
    answers = head(trained(training), minutes, tested)
    columns = np.concatenate([training.columns, minutes.columns])
    weights = np.concatenate([np.ones(80), np.full(6, WEIGHT)])
    scaler = StandardScaler().fit(columns, sample_weight=weights)
    target = np.concatenate([training.target, minutes.target])
    counts = np.bincount(target, weights)
    balanced = weights.sum() / (2 * counts)
    by_hand = LogisticRegression(C=PENALTY, max_iter=5000).fit(
        scaler.transform(columns), target, weights * balanced[target]
    )
    expected = by_hand.predict_proba(scaler.transform(tested.columns))
    assert answers == pytest.approx(expected, abs=1e-4)


def test_minutes_move_the_answers_towards_their_labels(rng):
    """Without them, a person whose windows lie where the other class does is told wrong."""
    training = windows(rng, 200)
    target = np.array([0, 1] * 10)
    columns = rng.normal(size=(20, 5)) + 1 - target[:, None]
    minutes = Seen(columns, np.full((20, 2), 0.5), target, np.ones(20, dtype=np.int64))
    none = Seen(*(values[:0] for values in minutes))
    correct = [
        (head(trained(training), seen, minutes).argmax(axis=1) == target).mean()
        for seen in (none, minutes)
    ]
    assert correct[0] < 0.5 < correct[1]


def test_one_class_is_fitted_beside_the_training_people(rng):
    training, tested = windows(rng, 60), windows(rng, 5)
    minutes = windows(rng, 4)._replace(target=np.zeros(4, dtype=np.int64))
    answers = head(trained(training), minutes, tested)
    assert answers.sum(axis=1) == pytest.approx(np.ones(5))
    assert (answers > 0).all()


def test_a_probe_has_its_own_classifier(rng):
    training, minutes, tested = windows(rng, 60), windows(rng, 4), windows(rng, 5)
    answers = head(trained(training, classifier=forest), minutes, tested)
    columns = np.concatenate([training.columns, np.repeat(minutes.columns, WEIGHT, axis=0)])
    target = np.concatenate([training.target, np.repeat(minutes.target, WEIGHT)])
    expected = forest(0, 2, columns.shape).fit(columns, target).predict_proba(tested.columns)
    assert answers == pytest.approx(expected)


def test_a_class_that_nobody_has_gets_nothing_and_no_numbers_get_none(rng):
    training, minutes, tested = windows(rng, 60), windows(rng, 4), windows(rng, 5)
    tested.columns[2] = np.nan
    answers = head(trained(training, n_classes=3), minutes, tested)
    assert np.isnan(answers[2]).all()
    assert (answers[[0, 1, 3, 4], 2] == 0).all()

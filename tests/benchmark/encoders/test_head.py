"""Head: a regression as scikit-learn fits it, whose penalty people choose who are trained on."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from benchmark.encoders import head
from benchmark.encoders.head import ALONE, PENALTIES, LinearHead


def made_up(n_people: int = 10, n_windows: int = 30, n_columns: int = 5, seed: int = 0):
    """Columns that carry the class a little, beside others that say who it is."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_people), n_windows)
    target = np.tile(np.arange(n_windows) % 2, n_people)
    columns = rng.normal(size=(len(people), n_columns)).astype(np.float32)
    columns[:, 0] += target
    return columns, target, people


def test_regression_is_that_of_standardised_columns():
    columns, target, people = made_up()
    columns[:, 1] *= 1000
    fitted = LinearHead().fit(columns, target, people)
    mean, deviation = columns.mean(axis=0, dtype=float), columns.std(axis=0, dtype=float)
    plain = LogisticRegression(C=fitted.C, class_weight="balanced", max_iter=500)
    plain.fit((columns - mean) / deviation, target)
    expected = plain.predict_proba((columns - mean) / deviation)
    np.testing.assert_allclose(fitted.predict_proba(columns), expected, atol=1e-4)
    assert fitted.C in PENALTIES
    assert fitted.size == 6
    assert list(fitted.classes_) == [0, 1]


def test_several_classes_are_one_regression():
    rng = np.random.default_rng(1)
    target = np.tile([1, 3, 4], 40)
    columns = (np.eye(6)[target] + rng.normal(size=(120, 6)) / 3).astype(np.float32)
    fitted = LinearHead().fit(columns, target, np.repeat(np.arange(6), 20))
    probabilities = fitted.predict_proba(columns)
    assert list(fitted.classes_) == [1, 3, 4]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == target).mean() > 0.9


def named_people(n_people: int = 12, n_windows: int = 10, n_columns: int = 60):
    """Windows that tell who it is and nothing else, of people with one class each."""
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(n_people), n_windows)
    faces = rng.normal(size=(n_people, n_columns))
    columns = faces[people] + 0.5 * rng.normal(size=(len(people), n_columns))
    return columns.astype(np.float32), people % 2, people


def test_inner_folds_are_of_other_people(monkeypatch):
    seen = []
    fitted = head._fitted

    def watched(columns, target, penalty):
        seen.append({*columns[:, 0].astype(int)})
        return fitted(columns, target, penalty)

    monkeypatch.setattr(head, "_fitted", watched)
    columns, target, people = made_up(n_people=7)
    columns[:, 0] = people
    LinearHead().fit(columns, target, people)
    *inner, last = seen
    assert last == {*range(7)}
    assert len(inner) == len(PENALTIES) * 5
    left_out = [{*range(7)} - one for one in inner[:5]]
    assert sorted(number for one in left_out for number in one) == list(range(7))
    assert all(1 <= len(one) <= 2 for one in left_out)


def test_people_on_both_sides_of_an_inner_fold_would_show(monkeypatch):
    """What tells people apart is of no use for others: shuffled folds take it for knowledge."""
    columns, target, people = named_people()
    honest = LinearHead().fit(columns, target, people)

    class Shuffled:
        def __init__(self, n_splits: int) -> None:
            self.folds = KFold(n_splits, shuffle=True, random_state=0)

        def split(self, columns, target, people):
            return self.folds.split(columns)

    scores: list[float] = []
    original = head.f1_score

    def watched(*arguments, **named):
        scores.append(original(*arguments, **named))
        return scores[-1]

    monkeypatch.setattr(head, "f1_score", watched)
    LinearHead().fit(columns, target, people)
    of_people = max(scores)
    scores.clear()
    monkeypatch.setattr(head, "GroupKFold", Shuffled)
    LinearHead().fit(columns, target, people)
    assert max(scores) > 0.95
    assert of_people < 0.7
    assert honest.C in PENALTIES


def test_noise_takes_the_strongest_penalty_of_equals():
    columns = np.zeros((40, 3), np.float32)
    fitted = LinearHead().fit(columns, np.tile([0, 1], 20), np.repeat(np.arange(4), 10))
    assert PENALTIES[0] == fitted.C


@pytest.mark.parametrize("people", [np.zeros(40, np.int64), np.repeat([0, 1], 20)])
def test_people_who_cannot_choose_leave_a_fixed_penalty(people):
    columns, target, _ = made_up(n_people=4, n_windows=10)
    if people.any():
        target = people  # each person has one class: a fold of one has nothing to tell apart
    assert LinearHead().fit(columns, target, people).C == ALONE


def test_rarer_class_weighs_as_much():
    columns, target, people = made_up(n_people=8)
    kept = (target == 0) | (np.arange(len(target)) % 6 == 1)
    columns, target, people = columns[kept], target[kept], people[kept]
    said = LinearHead().fit(columns, target, people).predict_proba(columns).argmax(axis=1)
    recall = [(said[target == one] == one).mean() for one in (0, 1)]
    assert min(recall) > 0.5

"""Greedy selection, against a case counted by hand, a plain loop, and the score of boards."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmark.boards.evidence import inner_score
from benchmark.ensembles.answers import answers_of
from benchmark.ensembles.greedy import ADDITIONS, choose
from benchmark.result import Result
from benchmark.scored import with_scores
from tests.benchmark.made_up import make_run

RUN = make_run(
    dataset="synthetic",
    task="stress",
    split="subject_k_fold",
    folds=2,
    fold=0,
    seed=0,
    model="lda",
    signals=("eda",),
    subjects=("S1", "S2", "S3", "S4"),
    data="d" * 16,
)


def columns(probability, target, people=None):
    """Return predictions of two classes, a window a unit, from the probability of the second."""
    n = len(target)
    people = np.array(people if people is not None else ["S1"] * n)
    second = np.asarray(probability, dtype=float)
    return {
        "subject": people,
        "session": np.array(["day"] * n),
        "trial": np.arange(n),
        "unit": np.zeros(n, dtype=np.int64),
        "start": np.arange(n, dtype=float),
        "label": np.array(target),
        "probabilities": np.stack([1 - second, second], axis=1),
    }


def made_up(n_models, seed, units=12, one_class=False):
    """Return the predictions of models of all qualities for four people."""
    rng = np.random.default_rng(seed)
    people = np.repeat(["S1", "S2", "S3", "S4"], units)
    target = np.tile([0, 1, 1], 4 * units // 3)
    if one_class:
        target[:units] = 1
    return [
        columns(
            np.clip(target * skill + (1 - skill) / 2 + rng.normal(0, 0.25, 4 * units), 0, 1),
            target,
            people,
        )
        for skill in rng.uniform(0.0, 0.4, n_models)
    ]


def score_of(models, weights):
    """Return macro F1 of a weighted mean, averaged over people or pooled, by scikit-learn."""
    total = sum(w * model["probabilities"] for w, model in zip(weights, models, strict=True))
    predicted, target = total.argmax(axis=1), models[0]["label"]
    people = models[0]["subject"]
    of_people = [people == name for name in np.unique(people)]
    if any(len(np.unique(target[rows])) == 1 for rows in of_people):
        return f1_score(target, predicted, average="macro")
    return np.mean([f1_score(target[r], predicted[r], average="macro") for r in of_people])


def plain(models):
    """Return weights by lists of members, as the paper tells it, with no thought of speed."""
    alone = [score_of([model], [1]) for model in models]
    order = sorted(range(len(models)), key=lambda n: (-round(alone[n], 9), n))

    def score(members):
        return round(score_of(models, [members.count(n) for n in range(len(models))]), 9)

    beginnings = [order[: n + 1] for n in range(len(order))]
    members = next(b for b in beginnings if score(b) == max(score(o) for o in beginnings))
    ways = [members]
    for _ in range(ADDITIONS):
        longer = [[*ways[-1], n] for n in order]
        ways.append(next(w for w in longer if score(w) == max(score(o) for o in longer)))
    best = next(way for way in ways if score(way) == max(score(other) for other in ways))
    return tuple(best.count(n) for n in range(len(models))), score(best), alone


def test_a_case_counted_by_hand():
    """Six units of one person; B and C are wrong on other units, and right together.

    Alone: A is right on 0, 1, 4, 5: of each class 2 of 3 are right and 2 of 3 calls, F1 2/3. B
    calls everything but unit 3 rightly: F1 of the first class 6/7 (3 of 4 calls, 3 of 3 units), of
    the second 4/5. C calls everything but unit 2 rightly: F1 4/5 and 6/7. B begins, as it has
    the mean of C and stands before it. B with C: their means call all six rightly, F1 is 1: on unit
    3, (.4 + .9) / 2; on unit 2, (.1 + .6) / 2.
    """
    target = [0, 0, 0, 1, 1, 1]
    a = columns([0.1, 0.1, 0.9, 0.1, 0.9, 0.9], target)
    b = columns([0.1, 0.1, 0.1, 0.4, 0.9, 0.9], target)
    c = columns([0.1, 0.1, 0.6, 0.9, 0.9, 0.9], target)
    choice = choose(answers_of([a, b, c]))
    mean = (6 / 7 + 4 / 5) / 2
    assert choice.alone == pytest.approx((2 / 3, mean, mean))
    assert choice.weights == (0, 1, 1)
    assert choice.score == 1
    assert choice.best == 1


def test_a_member_may_be_taken_again():
    """B must weigh twice as much as C, which says its one error in too loud a voice.

    One to one, unit 2 is (.1 + 1) / 2 = .55 and wrong; two to one it is .4, and unit 3 is
    (.4 + .4 + 1) / 3 = .6.
    """
    target = [0, 0, 0, 1, 1, 1]
    b = columns([0.1, 0.1, 0.1, 0.4, 0.9, 0.9], target)
    c = columns([0.1, 0.1, 1.0, 1.0, 0.9, 0.9], target)
    choice = choose(answers_of([b, c]))
    assert choice.weights == (2, 1)
    assert choice.score == 1


def test_what_adds_nothing_is_not_taken():
    target = [0, 1] * 6
    perfect = columns(np.array(target) * 0.8 + 0.1, target)
    constant = columns([0.5] * 12, target)
    assert choose(answers_of([constant, perfect, constant])).weights == (0, 1, 0)


@pytest.mark.parametrize("one_class", [False, True], ids=["means", "pooled"])
@pytest.mark.parametrize("seed", range(6))
def test_a_plain_loop_takes_the_same(seed, one_class):
    models = made_up(2 + seed, seed, one_class=one_class)
    weights, score, alone = plain(models)
    choice = choose(answers_of(models))
    assert choice.weights == weights
    assert choice.score == pytest.approx(score)
    assert choice.alone == pytest.approx(alone)
    assert choice.score >= max(choice.alone)


@pytest.mark.parametrize("one_class", [False, True], ids=["means", "pooled"])
def test_the_score_is_that_by_which_a_board_ranks(one_class):
    models = made_up(5, 1, one_class=one_class)
    answers = answers_of(models)
    choice = choose(answers)
    mean = {**answers.units, "probabilities": answers.mean(choice.weights)}
    for predictions, score in (
        (mean, choice.score),
        *zip(models, choice.alone, strict=True),
    ):
        result = with_scores(Result(RUN, "done"), predictions)
        assert inner_score([result]) == pytest.approx(score, abs=1e-9)
    assert sum(weight > 0 for weight in choice.weights) > 1  # otherwise it would show little

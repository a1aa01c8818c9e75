"""Searches: the same candidates each time, the default first, the best of the complete chosen."""

import ast
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.plan.studies import FOLDS, values_of
from benchmark.tuning import search as search_module
from benchmark.tuning.search import GENERATION, search
from datamodules.errors import MissingExtraError
from tests.benchmark.tuning.made_up import NAMES, by_values, made_up, studies, who_is_tested

ROOT = Path(search_module.__file__).parent


def follow(study, score=by_values, status=lambda run: "done"):
    """Return the tuned run of a study, and the runs that it needed, round by round."""
    searching, rounds = search(study), []
    needs = next(searching)
    while True:
        rounds.append(needs)
        results = {run.id: made_up(run, score(run), status(run)) for run in needs}
        try:
            needs = searching.send(results)
        except StopIteration as end:
            return end.value, rounds


def candidates(rounds):
    """Return the runs of each candidate, in the order in which candidates were found."""
    of_values = {}
    for needs in rounds:
        for run in needs:
            of_values.setdefault(tuple(values_of(run, NAMES).items()), []).append(run)
    return of_values


def test_the_same_candidates_each_time():
    study, other = studies()
    tuned, rounds = follow(study)
    again, rounds_again = follow(study)
    assert again == tuned
    assert rounds_again == rounds
    assert list(candidates(follow(other)[1])) != list(candidates(rounds))  # a seed of its own


def test_a_larger_budget_begins_with_the_same_candidates():
    """So that a study that is given more candidates does none of them twice."""
    few, many = (follow(studies(budget)[0])[1] for budget in (7, 15))
    ids = [run.id for needs in many for run in needs]
    assert {run.id for needs in few for run in needs} <= set(ids)
    assert len(candidates(few)) == 7
    assert len(candidates(many)) == 15


def test_the_untuned_values_are_the_first_candidate():
    (study, _) = studies()
    _, rounds = follow(study)
    first, *others = candidates(rounds)
    assert dict(first) == study.first
    assert len(others) == 11
    space = study.space
    for values in map(dict, others):
        assert space["lr"].low <= values["lr"] <= space["lr"].high
        assert values["balance"] in space["balance"].values
        assert values["lr"] == float(f"{values['lr']:.3g}")


def test_scores_decide_what_is_tried_next():
    (study, _) = studies()
    one, other = (list(candidates(follow(study, score)[1])) for score in (by_values, lambda _: 0.5))
    assert one[:GENERATION] == other[:GENERATION]
    assert one[GENERATION:] != other[GENERATION:]


def test_the_best_complete_candidate_is_chosen():
    """Against a plain loop: the mean over everybody whom the inner folds test."""
    (study, _) = studies()
    tuned, rounds = follow(study)
    means = {}
    for values, runs in candidates(rounds).items():
        if len(runs) == FOLDS:
            sizes = [2, 1, 1]  # four people in three folds
            means[values] = np.average([by_values(run) for run in runs], weights=sizes)
    best = max(means, key=means.__getitem__)
    assert values_of(tuned, NAMES) == dict(best)
    assert means[best] > means[tuple(study.first.items())]
    assert len(tuned.chosen_by) == len({run.id for needs in rounds for run in needs})
    assert set(tuned.chosen_by) == {run.id for needs in rounds for run in needs}


def test_of_equals_the_untuned_values_are_chosen():
    (study, _) = studies()
    tuned, _ = follow(study, lambda _: 0.5)
    assert values_of(tuned, NAMES) == study.first


def test_worse_candidates_are_given_up_by_the_median_of_complete_ones():
    """Against a plain loop over the folds so far; none of the first generation is given up."""
    (study, _) = studies(20)
    _, rounds = follow(study)
    runs_of = list(candidates(rounds).values())
    assert all(len(runs) == FOLDS for runs in runs_of[:GENERATION])
    people = [2, 1, 1]

    def reached(runs, folds):
        scores = [by_values(run) for run in runs[:folds]]
        return max(
            np.average(scores[:n], weights=people[:n]) for n in range(1, folds + 1)
        )  # Optuna compares the best so far

    def mean(runs, folds):
        return np.average([by_values(run) for run in runs[:folds]], weights=people[:folds])

    for start in range(GENERATION, 20, GENERATION):
        complete = [runs for runs in runs_of[:start] if len(runs) == FOLDS]
        for runs in runs_of[start : start + GENERATION]:
            stopped = FOLDS
            for folds in (1, 2):
                if reached(runs, folds) < np.median([mean(one, folds) for one in complete]):
                    stopped = folds
                    break
            assert len(runs) == stopped
    assert any(len(runs) < FOLDS for runs in runs_of)


@pytest.mark.parametrize("levels", range(8))
def test_values_that_come_again_are_those_of_their_first_time(levels):
    """Among few values, some of them equal: as whoever looks at the inner runs would choose."""
    study, _ = studies(30, "lda")
    random = np.random.default_rng(levels)
    scores = {
        value: random.integers(3, size=FOLDS) / 2 for value in study.space["shrinkage"].values
    }

    def score(run):
        return float(scores[values_of(run, ["shrinkage"])["shrinkage"]][run.fold])

    tuned, rounds = follow(study, score)
    runs = {run.id: run for needs in rounds for run in needs}
    assert len(runs) <= FOLDS * len(scores)
    of_values = {}
    for name in tuned.chosen_by:
        run = runs[name]
        of_values.setdefault(values_of(run, ["shrinkage"])["shrinkage"], set()).add(run.fold)
    complete = [value for value, folds in of_values.items() if len(folds) == FOLDS]
    best = max(complete, key=lambda value: np.average(scores[value], weights=[2, 1, 1]))
    assert values_of(tuned, ["shrinkage"]) == {"shrinkage": best}


def test_a_candidate_that_fails_is_not_chosen():
    (study, _) = studies()
    tuned, _ = follow(study)
    best = values_of(tuned, NAMES)

    def status(run):
        return "failed" if values_of(run, NAMES) == best and run.fold == 1 else "done"

    other, rounds = follow(study, status=status)
    assert values_of(other, NAMES) != best
    assert candidates(rounds)[tuple(best.items())]


def test_where_all_fail_the_untuned_values_remain():
    (study, _) = studies()
    tuned, rounds = follow(study, status=lambda _: "failed")
    assert values_of(tuned, NAMES) == study.first
    assert len(candidates(rounds)) == 12


def test_where_somebody_has_one_class_the_score_is_pooled():
    """As boards rank: a constant is not the best for being right about people of one class."""
    (study, _) = studies(2)
    searching = search(study)
    needs = next(searching)

    def result(run):
        is_constant = values_of(run, NAMES) == study.first
        made = made_up(run, 0.6 if is_constant else 0.55)
        matrix = [[0, 2], [0, 4]] if is_constant else [[1, 1], [1, 3]]
        people = who_is_tested(run)
        of_class = dict.fromkeys(people, matrix) | {people[0]: [[0, 0], [1 - is_constant, 6]]}
        return dataclasses.replace(made, confusion=of_class)

    with pytest.raises(StopIteration) as end:
        searching.send({run.id: result(run) for run in needs})
    assert values_of(end.value.value, NAMES) != study.first


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"--budget.*pip install 'affectbench\[tuning\]'"):
        next(search(studies()[0]))


def test_optuna_is_imported_by_a_search_alone():
    imported = [
        name
        for path in ("search.py", "rounds.py")
        for node in ast.parse((ROOT / path).read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (getattr(node, "module", None) or node.names[0].name,)
    ]
    assert "benchmark.plan.studies" in imported
    assert not [name for name in imported if name.startswith("optuna")]

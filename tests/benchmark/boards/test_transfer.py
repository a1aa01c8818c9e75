"""The transfer table, by hand: means over people of means over folds, the diagonal, gaps."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.board import build_boards, write_leaderboards
from benchmark.boards.cohort import build_cohorts
from benchmark.boards.overall import overall_ranks
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import compare, holm, interval
from benchmark.boards.transfer import COLUMNS, transfer_table
from benchmark.boards.versions import by_version
from benchmark.report.page import render
from benchmark.scored import Scored
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import make_run, stored

HOME, AWAY = (tuple(f"{letter}{number}" for number in range(1, 11)) for letter in "AB")
MODELS = ("lda", "cnn")
FOLDS = 2


def score(*key):
    """A score of its own for every model, fold, person and place."""
    return 0.3 + 0.6 * np.random.default_rng([sum(map(ord, "".join(map(str, key))))]).random()


def scored(run, people, counts=(6, 4)):
    right, wrong = counts
    values = {}
    for person in people:
        own = dict.fromkeys(SCORES, score(run.model, run.fold, person, len(run.trained)))
        values[person] = own
    return Scored(
        run,
        "done",
        scores=values,
        n_units=dict.fromkeys(people, 20),
        units={person: f"units of {person}" for person in people},
        confusion={person: [[right + n % 3, wrong], [3, 7]] for n, person in enumerate(people)},
    )


def inside(dataset, people, model, data):
    """The runs of a model within a domain, each of which tests a half."""
    for fold in range(FOLDS):
        run = make_run(
            dataset=dataset, task="stress", split="subject_k_fold", folds=FOLDS, fold=fold, seed=0,
            model=model, signals=("eda",), subjects=people, data=data * 16,
        )  # fmt: skip
        yield scored(run, people[fold::FOLDS])


def across(trained, dataset, people, data, task="stress", counts=(6, 4)):
    for result in trained:
        run = make_run(
            dataset=dataset, task=task, split="dataset_out", folds=FOLDS, fold=result.run.fold,
            seed=0, model=result.run.model, signals=("eda",), subjects=people, data=data * 16,
            trained=(result.run,),
        )  # fmt: skip
        yield scored(run, people, counts)


@pytest.fixture
def results():
    found = []
    for model in MODELS:
        home, away = (
            list(inside(*values, model=model, data=data))
            for *values, data in (("wesad", HOME, "a"), ("deap", AWAY, "b"))
        )
        found += [*home, *away, *across(home, "deap", AWAY, "b"), *across(away, "wesad", HOME, "a")]
    return found


def named(results):
    return by_version(results, [])[0]


def line(table, model, trained_on, tested_on):
    (row,) = table[
        (table["model"] == model)
        & (table["trained_on"] == trained_on)
        & (table["tested_on"] == tested_on)
    ].to_dict("records")
    return row


def by_person(results, model, trained_on, tested_on, value):
    """The value of each person, averaged over the folds that test them, by a plain loop."""
    people = {}
    for result in results:
        run = result.run
        home = run.trained[0].dataset if run.trained else run.dataset
        if (run.model, home, run.dataset) == (model, trained_on, tested_on):
            for person in result.scores:
                people.setdefault(person, []).append(value(result, person))
    return {person: np.mean(values) for person, values in people.items()}


def macro_f1(result, person):
    return result.scores[person]["macro_f1"]


def test_a_line_for_every_model_and_pair(results):
    table = transfer_table(named(results))
    assert tuple(table.columns) == COLUMNS
    pairs = table[["model", "trained_on", "tested_on"]].to_records(index=False).tolist()
    names = ("deap", "wesad")
    assert pairs == [(m, one, other) for m in sorted(MODELS) for one in names for other in names]
    assert set(table["n_people"]) == {10}
    assert set(table["n_models"]) == {FOLDS}
    assert set(table["n_missing"]) == {0}


@pytest.mark.parametrize("model", MODELS)
def test_folds_are_averaged_within_a_person_and_people_are_the_unit(results, model):
    table = transfer_table(named(results))
    for trained_on in ("wesad", "deap"):
        for tested_on in ("wesad", "deap"):
            row = line(table, model, trained_on, tested_on)
            people = by_person(results, model, trained_on, tested_on, macro_f1)
            ends = interval(list(people.values()))
            expected = (row["macro_f1"], row["macro_f1_low"], row["macro_f1_high"])
            assert expected == pytest.approx(ends)
            alarms = by_person(
                results, model, trained_on, tested_on,
                lambda result, person: 4 / sum(result.confusion[person][0]),
            )  # fmt: skip
            assert row["false_alarms"] == pytest.approx(np.mean(list(alarms.values())))


def test_the_same_model_trained_where_it_is_tested_stands_beside(results):
    table = transfer_table(named(results))
    p_values, lines = [], []
    for model in sorted(MODELS):
        for one, other in (("deap", "wesad"), ("wesad", "deap")):
            row = line(table, model, one, other)
            away = by_person(results, model, one, other, macro_f1)
            within = by_person(results, model, other, other, macro_f1)
            comparison = compare([away[p] for p in sorted(away)], [within[p] for p in sorted(away)])
            assert row["within"] == pytest.approx(np.mean(list(within.values())))
            assert row["difference"] == pytest.approx(row["macro_f1"] - row["within"])
            assert (row["difference_low"], row["difference_high"]) == pytest.approx(
                (comparison.low, comparison.high)
            )
            assert (row["n_paired"], row["won"] + row["lost"]) == (10, 10)
            assert row["p"] == pytest.approx(comparison.p)
            p_values.append(comparison.p)
            lines.append(row)
    assert [row["p_corrected"] for row in lines] == pytest.approx(holm(p_values))
    diagonal = table[table["trained_on"] == table["tested_on"]]
    assert diagonal[["within", "difference", "p", "p_corrected"]].isna().all(axis=None)


def test_people_whose_units_differ_are_not_paired(results):
    changed = [
        dataclasses.replace(r, units={**r.units, "B1": "others"})
        if r.run.dataset == "deap" and r.run.trained
        else r
        for r in results
    ]
    row = line(transfer_table(named(changed)), "lda", "wesad", "deap")
    assert (row["n_people"], row["n_paired"]) == (10, 9)


def test_what_lacks_a_run_claims_nothing(results):
    lacking = [r for r in results if not (r.run.trained and r.run.fold and r.run.model == "lda")]
    table = transfer_table(named(lacking))
    row = line(table, "lda", "wesad", "deap")
    assert row["n_missing"] == 1
    assert np.isnan(row["p"])
    assert np.isnan(row["p_corrected"])
    assert not np.isnan(row["difference"])
    other = line(table, "cnn", "wesad", "deap")
    both = [line(table, "cnn", *pair)["p"] for pair in (("deap", "wesad"), ("wesad", "deap"))]
    assert other["p_corrected"] == pytest.approx(holm(both)[1])


def test_a_domain_of_one_class_has_false_alarms_alone(results):
    home = [r for r in results if r.run.dataset == "wesad" and not r.run.trained]
    exercise = [
        dataclasses.replace(r, confusion={p: [c[0], [0, 0]] for p, c in r.confusion.items()})
        for r in across([r for r in home if r.run.model == "lda"], "deap", AWAY, "c", "exercise")
    ]
    table = transfer_table(named([*results, *exercise]))
    row = line(table, "lda", "wesad", "deap exercise")
    shares = [4 / (10 + n % 3) for n in range(10)]
    assert row["false_alarms"] == pytest.approx(np.mean(shares))
    assert np.isnan([row["macro_f1"], row["balanced_accuracy"], row["within"]]).all()
    cohorts = build_cohorts(named([*results, *exercise]))
    assert not [cohort for cohort in cohorts if "exercise" in cohort.name]


def test_boards_of_transferred_models_say_so_and_are_in_no_average_rank(results, tmp_path):
    store = stored(tmp_path / "runs", results)
    boards = {board.name: board for board in build_boards(scored_results(store), store)}
    name = "deap__stress__dataset_out_by_2_of_wesad"
    head = " ".join(boards[name].head)
    assert "trained on other people, of another dataset" in head
    assert "models of wesad, stress, subject_2_fold" in head
    assert set(boards[name].table["n_subjects"]) == {10}
    assert boards[name].table["complete"].all()
    _, ranks = overall_ranks(build_cohorts(named(results)))
    assert [column for column in ranks if "__" in column] == [
        "deap__stress__subject_2_fold",
        "wesad__stress__subject_2_fold",
    ]


def test_models_of_other_recordings_are_an_older_version(results):
    """The recordings that a model was trained on count, not only those that it is tested on."""
    newer = [
        dataclasses.replace(r, run=dataclasses.replace(r.run, trained=(other,)), ended=9.0)
        for r in results
        if r.run.trained
        for other in [dataclasses.replace(r.run.trained[0], data="e" * 16)]
    ]
    today, older = by_version([*results, *newer], [])
    board = "deap__stress__dataset_out_by_2_of_wesad"
    assert {r.run.trained[0].data for r in today[board]} == {"e" * 16}
    (before,) = [version for version in older if version.board == board]
    assert before.name == f"{board}__data_aaaaaa"


def test_the_table_is_written_and_goes_with_its_runs(results, tmp_path):
    folder = tmp_path / "leaderboards"
    write_leaderboards(stored(tmp_path / "runs", results), folder)
    written = pd.read_csv(folder / "transfer.csv", comment="#")
    assert len(written) == 8
    assert (folder / "transfer.csv").read_text().startswith("# transfer: ")
    alone = [result for result in results if not result.run.trained]
    write_leaderboards(stored(tmp_path / "alone", alone), folder)
    assert not (folder / "transfer.csv").exists()


def test_the_page_has_a_tab_with_a_map_a_model(results, tmp_path):
    page = render(stored(tmp_path / "runs", results), tmp_path)
    assert 'id="tab-transfer"' in page
    assert page.count('<table class="confusion matrix">') == len(MODELS)
    assert page.count('class="within') == 2 * len(MODELS)
    assert "trained on wesad" in page

"""Scores of each class, against scikit-learn on the units of each person and of all together."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from benchmark.boards.board import write_leaderboards
from benchmark.boards.classes import COLUMNS, classes_table, precision_recall_f1
from benchmark.boards.scores import scored_results
from benchmark.scored import Scored
from lightning_modules.metrics import SCORES, confusion
from lightning_modules.units import score_units
from tests.benchmark.made_up import cohorts_of, make_run

NAMES = ("calm", "stress", "fun")
SUBJECTS = ("S1", "S2", "S3", "S4")
MISSING = {"S2": {2}, "S3": {0, 2}}
"""Classes of which a person has no units."""


def by_sklearn(target, guess, n_classes):
    """Precision, recall and F1 of each class, shape (3, K), by scikit-learn."""
    labels = range(n_classes)
    return np.array(
        precision_recall_fscore_support(target, guess, labels=labels, zero_division=0)[:3]
    )


def test_one_matrix_is_as_scikit_learn_has_it():
    rng = np.random.default_rng(0)
    for _ in range(50):
        target, guess = rng.integers(0, 4, 12), rng.integers(0, 4, 12)
        counts = confusion(np.eye(4)[guess], target)
        expected = by_sklearn(target, guess, 4)
        expected[:, np.bincount(target, minlength=4) == 0] = np.nan
        np.testing.assert_allclose(precision_recall_f1(counts.tolist()), expected)


def units(subject, seed):
    """Targets of a person, without the classes that the person lacks, and predictions."""
    rng = np.random.default_rng([seed, *subject.encode()])
    classes = [k for k in range(3) if k not in MISSING.get(subject, ())]
    return np.random.default_rng(ord(subject[1])).choice(classes, 15), rng.integers(0, 3, 15)


def results(seeds=(0, 1), lost=()):
    found = []
    for seed in seeds:
        for fold, subject in enumerate(SUBJECTS):
            target, guess = units(subject, seed)
            run = make_run(
                dataset="wesad", task="affect", signals=("eda",), subjects=SUBJECTS,
                data="d" * 16, model="cnn", fold=fold, seed=seed,
            )  # fmt: skip
            if (fold, seed) in lost:
                found.append(Scored(run, "failed", error="lost"))
                continue
            derived = {
                "scores": {subject: dict.fromkeys(SCORES, 0.5)},
                "units": {subject: subject},
                "n_units": {subject: 15},
                "confusion": {subject: confusion(np.eye(3)[guess], target).tolist()},
            }
            found.append(Scored(run, "done", classes=NAMES, **derived))
    return found


def test_people_without_a_class_are_in_the_pooled_values_alone():
    lines = classes_table(cohorts_of(results())).set_index("class")
    assert lines.index.tolist() == list(NAMES)
    assert lines["n_subjects"].tolist() == [3, 4, 2]
    for k, name in enumerate(NAMES):
        having = [s for s in SUBJECTS if k not in MISSING.get(s, ())]
        means = np.mean(
            [
                np.mean([by_sklearn(*units(s, seed), 3)[:, k] for seed in (0, 1)], axis=0)
                for s in having
            ],
            axis=0,
        )
        line = lines.loc[name]
        np.testing.assert_allclose(line[["precision", "recall", "f1"]].tolist(), means)
        together = [np.concatenate([units(s, seed) for s in SUBJECTS], axis=1) for seed in (0, 1)]
        pooled = np.mean([by_sklearn(*both, 3)[:, k] for both in together], axis=0)
        columns = ["pooled_precision", "pooled_recall", "pooled_f1"]
        np.testing.assert_allclose(line[columns].tolist(), pooled)
        assert line["n_units"] == sum((units(s, 0)[0] == k).sum() for s in SUBJECTS)
    assert lines["precision"].gt(lines["pooled_precision"]).any()  # false alarms of the others


def test_a_class_that_nobody_has_has_no_score():
    chosen = [result for result in results() if result.run.fold == 2]
    lines = classes_table(cohorts_of(chosen)).set_index("class")
    assert lines["n_subjects"].tolist() == [0, 1, 0]
    assert lines.loc["fun", "precision":].isna().all()


def test_incomplete_rows_say_so():
    whole = classes_table(cohorts_of(results()))
    lost = classes_table(cohorts_of(results(lost=[(0, 0)])))
    assert whole["complete"].all()
    assert not lost["complete"].any()
    empty = classes_table(cohorts_of([r for r in results(lost=[(0, 0)]) if r.status != "done"]))
    assert (list(empty), len(empty)) == (list(COLUMNS), 0)


def test_a_second_partition_is_another_mean_not_more_units():
    doubled = results(seeds=(0,))
    fields = {"split": "subject_k_fold", "folds": 4, "partitions": 2}
    again = []
    for partition in range(2):
        for result in doubled:
            run = make_run(
                dataset="wesad", task="affect", signals=("eda",), subjects=SUBJECTS,
                data="d" * 16, model="cnn", fold=result.run.fold + 4 * partition, seed=0, **fields,
            )  # fmt: skip
            again.append(dataclasses.replace(result, run=run))
    once, twice = (classes_table(cohorts_of(of)) for of in (doubled, again))
    assert twice["complete"].all()
    pd.testing.assert_frame_equal(once.drop(columns="board"), twice.drop(columns="board"))


def test_classes_csv_again_from_the_predictions(finished, tmp_path):
    write_leaderboards(finished, tmp_path)
    lines = pd.read_csv(tmp_path / "classes.csv").set_index(["model", "class"])
    found = {}
    for result in scored_results(finished):
        for subject, of_subject in score_units(finished.predictions(result.run)).items():
            guess = of_subject.probabilities[-1].argmax(axis=1)
            scores = by_sklearn(of_subject.target, guess, len(result.classes))
            of_row = found.setdefault((result.run.name, result.classes), {})
            of_row.setdefault(subject, []).append(scores)  # of a seed
    assert len(lines) == sum(len(classes) for _, classes in found)
    assert lines["recall"].nunique() > 3
    for (model, classes), people in found.items():
        for k, name in enumerate(classes):
            line = lines.loc[(model, name)]
            expected = np.mean([np.mean(seeds, axis=0)[:, k] for seeds in people.values()], axis=0)
            values = line[["precision", "recall", "f1"]].tolist()
            assert values == pytest.approx(expected.tolist(), abs=1e-4)
            assert line["n_subjects"] == len(people)

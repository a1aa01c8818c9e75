"""Answers of models to score units, against plain loops over windows."""

import numpy as np
import pytest

from benchmark.ensembles.answers import answers_of, per_unit
from benchmark.errors import BenchmarkError


def windows(per, shift=0.0, units=(0, 1, 2), people=("S1", "S10", "S2"), seed=0):
    """Return predictions with some windows a unit, in an order of no meaning."""
    rng = np.random.default_rng(seed)
    rows = [
        (subject, "day", trial, unit, 100.0 * trial + 30 * unit + shift + 5 * window, unit % 2)
        for subject in people
        for trial in (0, 1)
        for unit in units
        for window in range(per)
    ]
    rows = [rows[place] for place in rng.permutation(len(rows))]
    names = ("subject", "session", "trial", "unit", "start", "label")
    columns = {
        name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    return {**columns, "probabilities": rng.dirichlet((1.0, 1.0), len(rows))}


def test_a_unit_is_the_mean_of_its_windows():
    columns = windows(3)
    units = per_unit(columns)
    assert len(units["label"]) == 3 * 2 * 3
    for row in range(len(units["label"])):
        same = np.ones(len(columns["label"]), dtype=bool)
        for name in ("subject", "session", "trial", "unit"):
            same &= columns[name] == units[name][row]
        assert same.sum() == 3
        assert units["start"][row] == columns["start"][same].min()
        assert set(columns["label"][same]) == {units["label"][row]}
        expected = columns["probabilities"][same].mean(axis=0)
        assert units["probabilities"][row] == pytest.approx(expected)


def test_models_with_other_windows_meet_on_units():
    short, long = windows(3, seed=1), windows(1, shift=-15.0, seed=2)
    answers = answers_of([short, long])
    assert answers.probabilities.shape == (2, 18, 2)
    for model, columns in enumerate((short, long)):
        expected = per_unit(columns)["probabilities"]
        assert np.array_equal(answers.probabilities[model], expected)
    assert np.array_equal(answers.units["start"], per_unit(long)["start"])


def test_the_mean_is_weighed():
    answers = answers_of([windows(2, seed=seed) for seed in range(3)])
    first, second, third = answers.probabilities
    assert answers.mean((1, 0, 3)) == pytest.approx((first + 3 * third) / 4)
    assert np.array_equal(answers.mean((0, 5, 0)), 5 * second / 5)
    assert answers.mean((2, 1, 4)).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    "other", [windows(1, units=(0, 1)), windows(1, people=("S1", "S10", "S3"))], ids=["few", "who"]
)
def test_models_that_were_tested_on_others_are_refused(other):
    with pytest.raises(BenchmarkError, match="tested on the same score units"):
        answers_of([windows(2), other])


def test_models_that_were_tested_on_other_labels_are_refused():
    other = windows(1)
    other["label"] = 1 - other["label"]
    with pytest.raises(BenchmarkError, match="tested on the same score units"):
        answers_of([windows(2), other])

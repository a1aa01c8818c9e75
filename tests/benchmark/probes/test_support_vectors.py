"""Support vectors: values of scikit-learn's machines, and probabilities from other people's."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmark.probes.support_vectors import Machine, SupportVectors


def made(n_classes: int, n_people: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_classes)
    people = np.repeat(np.arange(n_people), 20)
    target = rng.integers(0, n_classes, len(people))
    columns = rng.normal(size=(len(people), 4)) + 0.8 * target[:, None]
    return columns * [1, 100, 0.01, 1], target, people


def values_by_hand(columns: np.ndarray, target: np.ndarray, new: np.ndarray) -> np.ndarray:
    scaler = StandardScaler().fit(columns)
    classes = np.unique(target)
    return np.stack(
        [
            SVC(C=2.0, class_weight="balanced")
            .fit(scaler.transform(columns), target == positive)
            .decision_function(scaler.transform(new))
            for positive in (classes[1:] if len(classes) == 2 else classes)
        ],
        axis=1,
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_values_are_those_of_scikit_learn(n_classes):
    columns, target, _ = made(n_classes)
    new = columns[::3] * 1.1
    found = Machine(2.0, "scale").fit(columns, target).values(new)
    np.testing.assert_allclose(found, values_by_hand(columns, target, new), atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_fitted_on_people_whom_the_machine_has_not_seen(n_classes):
    columns, target, people = made(n_classes, n_people=4)
    held_out = np.zeros((len(target), 1 if n_classes == 2 else n_classes))
    for person in range(4):
        mine = people == person
        held_out[mine] = values_by_hand(columns[~mine], target[~mine], columns[mine])
    platt = LogisticRegression(class_weight="balanced").fit(held_out, target)
    expected = platt.predict_proba(values_by_hand(columns, target, columns))
    fitted = SupportVectors(2.0, "scale").fit(columns, target, people)
    np.testing.assert_allclose(fitted.predict_proba(columns), expected, atol=1e-5)
    inside = LogisticRegression(class_weight="balanced").fit(
        values_by_hand(columns, target, columns), target
    )
    assert abs(inside.coef_).max() > abs(fitted.platt.coef_).max()  # it would promise too much


@pytest.mark.parametrize("alone", ["one person", "a class of one person"])
def test_where_people_cannot_be_dealt_out_the_training_windows_serve(alone):
    columns, target, people = made(2)
    if alone == "one person":
        people = np.zeros_like(people)
    else:
        target = (people == 0).astype(int)
    fitted = SupportVectors(2.0, "scale").fit(columns, target, people)
    values = values_by_hand(columns, target, columns)
    platt = LogisticRegression(class_weight="balanced").fit(values, target)
    np.testing.assert_allclose(
        fitted.predict_proba(columns), platt.predict_proba(values), atol=1e-5
    )


def test_gamma_is_the_sharpness_of_the_kernel():
    columns, target, people = made(2)
    sharp = SupportVectors(1.0, 3.0).fit(columns, target, people)
    assert sharp.machine.sharpness == 3.0
    assert SupportVectors(1.0, "scale").fit(columns, target, people).machine.sharpness == (
        pytest.approx(1 / 4)
    )
    machine = sharp.machine
    assert sharp.size == machine.vectors.size + len(machine.vectors) + 1 + 2

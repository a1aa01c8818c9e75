"""Every score against scikit-learn, or a plain loop where scikit-learn has none."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
)

from lightning_modules.metrics import ECE_BINS, SCORES, scores

Case = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

# scikit-learn warns of just the cases that are tested here.
pytestmark = [
    pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning"),
    pytest.mark.filterwarnings("ignore:A single label was found in:UserWarning"),
]


def draw(seed: int, n_windows: int, n_classes: int, among: list[int], skill: float) -> Case:
    """Probabilities (N, K) and targets (N,), the targets from some classes only."""
    rng = np.random.default_rng(seed)
    target = rng.choice(among, n_windows)
    logits = rng.normal(0, 1.5, (n_windows, n_classes))
    logits[np.arange(n_windows), target] += skill
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True), target


def brier_by_loop(probabilities: npt.NDArray[np.float64], target: npt.NDArray[np.int64]) -> float:
    total = 0.0
    for row, true in zip(probabilities, target, strict=True):
        total += sum((p - (k == true)) ** 2 for k, p in enumerate(row))
    return total / len(target)


def ece_by_loop(probabilities: npt.NDArray[np.float64], target: npt.NDArray[np.int64]) -> float:
    """Ten bins of equal width, each with its lower edge, the last with both."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    total = 0.0
    for b in range(10):
        low, high = b / 10, (b + 1) / 10
        rows = [i for i, c in enumerate(confidence) if low <= c < high or (b == 9 and c == 1)]
        if rows:
            total += len(rows) / len(target) * abs(right[rows].mean() - confidence[rows].mean())
    return total


def expected_scores(
    probabilities: npt.NDArray[np.float64], target: npt.NDArray[np.int64]
) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    return {
        "macro_f1": f1_score(target, predicted, average="macro", zero_division=0),
        "balanced_accuracy": balanced_accuracy_score(target, predicted),
        "mcc": matthews_corrcoef(target, predicted),
        "accuracy": accuracy_score(target, predicted),
        "brier": brier_by_loop(probabilities, target),
        "ece": ece_by_loop(probabilities, target),
    }


def check(probabilities: npt.NDArray[np.float64], target: npt.NDArray[np.int64]) -> None:
    found = scores(torch.from_numpy(probabilities), torch.from_numpy(target))
    assert tuple(found) == SCORES
    assert found == pytest.approx(expected_scores(probabilities, target), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_windows", [7, 60, 1000])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_random_cases(n_classes: int, n_windows: int, seed: int) -> None:
    check(*draw(seed, n_windows, n_classes, list(range(n_classes)), skill=0.5 * seed))


@pytest.mark.parametrize("skill", [-1.0, 1.0])
@pytest.mark.parametrize(("n_classes", "among"), [(3, [0, 2]), (5, [1, 3]), (5, [4, 0, 2])])
def test_classes_that_are_predicted_but_never_right(
    n_classes: int, among: list[int], skill: float
) -> None:
    probabilities, target = draw(1, 80, n_classes, among, skill)
    assert set(probabilities.argmax(axis=1)) - set(target)
    check(probabilities, target)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_subjects_with_one_class(n_classes: int) -> None:
    for true in range(n_classes):
        probabilities, target = draw(2, 40, n_classes, [true], skill=1.0)
        assert len(set(probabilities.argmax(axis=1))) > 1
        check(probabilities, target)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_one_prediction_for_all(n_classes: int) -> None:
    _, target = draw(3, 50, n_classes, list(range(n_classes)), skill=0.0)
    probabilities = np.full((50, n_classes), 0.3 / (n_classes - 1))
    probabilities[:, 1] = 0.7
    check(probabilities, target)
    assert scores(torch.from_numpy(probabilities), torch.from_numpy(target))["mcc"] == 0


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_one_class_that_is_always_predicted(n_classes: int) -> None:
    """All that there is to get right is right, yet a correlation needs two classes."""
    probabilities = torch.full((20, n_classes), 0.3 / (n_classes - 1))
    probabilities[:, 0] = 0.7
    target = torch.zeros(20, dtype=torch.int64)
    found = scores(probabilities, target)
    assert (found["macro_f1"], found["balanced_accuracy"], found["accuracy"]) == (1, 1, 1)
    assert found["ece"] == pytest.approx(0.3, abs=1e-6)
    assert found["mcc"] == 0


@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_class_that_is_never_predicted(n_classes: int) -> None:
    probabilities = np.full((20, n_classes), 0.3 / (n_classes - 1))
    probabilities[:, 0] = 0.7
    check(probabilities, np.ones(20, dtype=np.int64))


def test_certainty_shares_the_last_bin() -> None:
    """Over-confidence at 0.95 and lack of it at 1.0 cancel in one bin, not in two."""
    probabilities = np.array([[0.95, 0.05], [1.0, 0.0], [0.0, 1.0], [0.08, 0.92]])
    target = np.array([0, 1, 1, 1])
    assert ECE_BINS == 10
    found = scores(torch.from_numpy(probabilities), torch.from_numpy(target))
    assert found["ece"] == pytest.approx(ece_by_loop(probabilities, target), abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_certain_and_right_is_best_and_certain_and_wrong_is_worst(n_classes: int) -> None:
    target = torch.arange(4 * n_classes) % n_classes
    best = scores(torch.nn.functional.one_hot(target, n_classes).double(), target)
    assert best == {
        "macro_f1": 1, "balanced_accuracy": 1, "mcc": 1, "accuracy": 1, "brier": 0, "ece": 0
    }  # fmt: skip
    wrong = torch.nn.functional.one_hot((target + 1) % n_classes, n_classes).double()
    worst = scores(wrong, target)
    assert (worst["macro_f1"], worst["accuracy"], worst["brier"], worst["ece"]) == (0, 0, 2, 1)
    assert worst["mcc"] == pytest.approx(-1 / (n_classes - 1))


def test_the_first_of_equals_is_predicted() -> None:
    probabilities = torch.tensor([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.4, 0.2, 0.4]])
    assert scores(probabilities, torch.tensor([0, 1, 0]))["accuracy"] == 1
    assert scores(probabilities, torch.tensor([1, 2, 2]))["accuracy"] == 0

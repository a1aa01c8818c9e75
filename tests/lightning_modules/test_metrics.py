"""Every score against scikit-learn, or a plain loop where scikit-learn has none."""

import subprocess
import sys

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
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

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


def torch_scores(
    probabilities: npt.NDArray[np.float64], target: npt.NDArray[np.int64]
) -> dict[str, float]:
    """The former definition, by torch and torchmetrics, which boards of schema 1 were made with."""
    p, true = torch.from_numpy(probabilities), torch.from_numpy(target)
    n_classes = p.shape[1]
    confidence, predicted = p.max(dim=1)
    present = torch.bincount(true, minlength=n_classes) > 0
    recall = multiclass_accuracy(predicted, true, n_classes, average="none")
    one_hot = torch.nn.functional.one_hot(true, n_classes)
    coded = [torch.nn.functional.one_hot(x, n_classes).double() for x in (predicted, true)]
    x, y = (code - code.mean(dim=0) for code in coded)
    spread = torch.sqrt((x * x).sum() * (y * y).sum())
    bins = (confidence * ECE_BINS).long().clamp(max=ECE_BINS - 1)
    gaps = torch.zeros(ECE_BINS, dtype=torch.float64)
    gaps.index_add_(0, bins, (predicted == true).double() - confidence)
    values = {
        "macro_f1": multiclass_f1_score(predicted, true, n_classes, average="macro"),
        "balanced_accuracy": recall[present].mean(),
        "mcc": (x * y).sum() / spread if spread > 0 else spread,
        "accuracy": multiclass_accuracy(predicted, true, n_classes, average="micro"),
        "brier": ((p - one_hot) ** 2).sum(dim=1).mean(),
        "ece": gaps.abs().sum() / len(true),
    }
    return {name: float(value) for name, value in values.items()}


def check(probabilities: npt.NDArray[np.float64], target: npt.NDArray[np.int64]) -> None:
    found = scores(probabilities, target)
    assert list(found) == list(SCORES)
    expected, former = expected_scores(probabilities, target), torch_scores(probabilities, target)
    assert set(found) >= set(expected) >= set(former)
    assert {n: found[n] for n in expected} == pytest.approx(expected, abs=1e-12)
    assert {n: found[n] for n in former} == pytest.approx(former, abs=1e-6)


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
    assert scores(probabilities, target)["mcc"] == 0


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_one_class_that_is_always_predicted(n_classes: int) -> None:
    """All that there is to get right is right, yet a correlation needs two classes."""
    probabilities = np.full((20, n_classes), 0.3 / (n_classes - 1))
    probabilities[:, 0] = 0.7
    target = np.zeros(20, dtype=np.int64)
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
    found = scores(probabilities, target)
    assert found["ece"] == pytest.approx(ece_by_loop(probabilities, target), abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_certain_and_right_is_best_and_certain_and_wrong_is_worst(n_classes: int) -> None:
    target = np.arange(4 * n_classes) % n_classes
    best = scores(np.eye(n_classes)[target], target)
    ones = dict.fromkeys(("macro_f1", "balanced_accuracy", "mcc", "accuracy"), 1)
    assert best.items() >= {**ones, "brier": 0, "ece": 0}.items()
    worst = scores(np.eye(n_classes)[(target + 1) % n_classes], target)
    assert (worst["macro_f1"], worst["accuracy"], worst["brier"], worst["ece"]) == (0, 0, 2, 1)
    assert worst["mcc"] == pytest.approx(-1 / (n_classes - 1))


def test_the_first_of_equals_is_predicted() -> None:
    probabilities = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.4, 0.2, 0.4]])
    assert scores(probabilities, np.array([0, 1, 0]))["accuracy"] == 1
    assert scores(probabilities, np.array([1, 2, 2]))["accuracy"] == 0


def test_scores_know_no_torch() -> None:
    code = "import sys, lightning_modules.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""The one definition of every score.

Two scores are not torchmetrics' own: its Matthews correlation of two classes has special values of
1, -1 or a small number where the correlation is 0/0, and its calibration error puts a confidence
of exactly 1 into an eleventh bin of ten.
"""

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

ECE_BINS = 10
"""Equal-width bins of confidence in the expected calibration error."""

SCORES = ("macro_f1", "balanced_accuracy", "mcc", "accuracy", "brier", "ece")
"""Names of the scores, in the order of the boards' columns."""


def scores(probabilities: Tensor, target: Tensor) -> dict[str, float]:
    """All scores of one subject, or of any other set of score units.

    * macro_f1: mean of F1 over the classes that occur among the targets or the predictions; a class
      in neither has no F1 and is left out, so a subject with one class only can still reach 1.
    * balanced_accuracy: mean recall over the classes that occur among the targets. A prediction
      that knows nothing of the signal expects 1/K of it, whatever the class mix (where all K
      classes occur); macro F1 has no such constant.
    * mcc: Matthews' correlation, in the form for K classes; 0 where it is 0/0.
    * accuracy: share of units with the right class.
    * brier: mean over units of the squared distance between probabilities and one-hot target (0
      is best, 2 worst).
    * ece: expected calibration error of the top class, over ten bins of equal width.

    The predicted class is that of the highest probability, the first of equals.

    Args:
        probabilities: Shape (N, K), rows sum to 1.
        target: Class index, shape (N,).
    """
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(dim=1)
    present = torch.bincount(target, minlength=n_classes) > 0
    recall = multiclass_accuracy(predicted, target, n_classes, average="none")
    one_hot = torch.nn.functional.one_hot(target, n_classes)
    values = {
        "macro_f1": multiclass_f1_score(predicted, target, n_classes, average="macro"),
        "balanced_accuracy": recall[present].mean(),
        "mcc": _matthews(predicted, target, n_classes),
        "accuracy": multiclass_accuracy(predicted, target, n_classes, average="micro"),
        "brier": ((probabilities - one_hot) ** 2).sum(dim=1).mean(),
        "ece": _calibration_error(probabilities, target),
    }
    return {name: float(values[name]) for name in SCORES}


def _matthews(predicted: Tensor, target: Tensor, n_classes: int) -> Tensor:
    """Correlation of the one-hot codes of prediction and target (Gorodkin 2004)."""
    coded = [torch.nn.functional.one_hot(x, n_classes).double() for x in (predicted, target)]
    x, y = (code - code.mean(dim=0) for code in coded)
    spread = torch.sqrt((x * x).sum() * (y * y).sum())
    return (x * y).sum() / spread if spread > 0 else spread


def _calibration_error(probabilities: Tensor, target: Tensor) -> Tensor:
    """Mean distance between confidence and hit rate over bins, weighted by their size."""
    confidence, predicted = probabilities.max(dim=1)
    bins = (confidence * ECE_BINS).long().clamp(max=ECE_BINS - 1)
    gaps = torch.zeros(ECE_BINS, dtype=torch.float64, device=bins.device)
    gaps.index_add_(0, bins, (predicted == target).double() - confidence.double())
    return gaps.abs().sum() / len(target)

"""The one definition of every score."""

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
    multiclass_matthews_corrcoef,
)

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
        "mcc": multiclass_matthews_corrcoef(predicted, target, n_classes),
        "accuracy": multiclass_accuracy(predicted, target, n_classes, average="micro"),
        "brier": ((probabilities - one_hot) ** 2).sum(dim=1).mean(),
        "ece": multiclass_calibration_error(probabilities, target, n_classes, n_bins=ECE_BINS),
    }
    return {name: float(values[name]) for name in SCORES}

"""Temperature scaling, split-conformal sets and selective accuracy: functions of probabilities.

Temperature and threshold are fitted on the score units of validation people; what they are worth is
measured on others.

References:
    Guo, Pleiss, Sun and Weinberger: On calibration of modern neural networks. ICML 2017.
    Sadinle, Lei and Wasserman: Least ambiguous set-valued classifiers with bounded error levels.
    Journal of the American Statistical Association 114, 2019.
"""

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from lightning_modules.metrics import Probabilities, Target

NOMINAL = 0.9
"""Share of units whose sets should have their class in them."""
KEPT = 0.8
"""Share of units that a selective classifier answers."""
FLOOR = float(np.finfo(np.float64).eps)
"""Smallest probability whose logarithm is taken; scikit-learn's ``log_loss`` has the same."""
COLDEST, WARMEST = 0.05, 1000.0
"""Range of temperatures. Where all validation units are right, no temperature is cold enough; where
probabilities say nothing, none is warm enough."""
ROUNDING = 1e-9
"""Probabilities that differ by less are equal: ties are not to be broken by rounding."""

Sets = npt.NDArray[np.bool_]
"""Shape (N, K): whether a class is in the set of a unit."""


def fit_temperature(probabilities: Probabilities, target: Target) -> float:
    """Return the temperature T at which softmax(log p / T) has the smallest log loss.

    The loss is convex in 1/T, so that its derivative, the mean over units of the expected less the
    true log p, crosses zero once at most; where it crosses outside of the range, the end of the
    range is returned.

    Args:
        probabilities: Shape (N, K), N of 1 or more.
        target: Shape (N,).
    """
    logs = np.ascontiguousarray(_logs(probabilities).T)  # (K, N): sums over classes are soonest
    largest, true = logs.max(axis=0), logs[target, np.arange(len(target))]

    @cache  # both ends of the range are asked for twice
    def slope(cold: float) -> float:
        """Return the derivative of the loss by 1/T, at its logarithm."""
        temperature = math.exp(-cold)
        powers = np.exp(logs / temperature - largest / temperature)
        powers /= powers.sum(axis=0)
        powers *= logs
        return float((powers.sum(axis=0) - true).sum()) / len(true)

    warm, cold = -math.log(WARMEST), -math.log(COLDEST)
    if slope(warm) >= 0:
        return WARMEST
    if slope(cold) <= 0:
        return COLDEST
    return math.exp(-float(brentq(slope, warm, cold, xtol=1e-10)))


def scaled(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return softmax(log p / T) of each unit, shape (N, K)."""
    logs = _logs(probabilities) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss(probabilities: Probabilities, target: Target) -> float:
    """Return the mean negative logarithm of the probability of the true class."""
    return float(-np.take_along_axis(_logs(probabilities), target[:, None], axis=1).mean())


def threshold(probabilities: Probabilities, target: Target) -> float:
    """Return the threshold of split-conformal sets: the least probability of a class in a set.

    With n calibration units it is 1 less the ceil((n + 1) NOMINAL)-th smallest value of 1 - p of
    the true class; 0, so that sets hold every class, where n is too small to have one.
    """
    n = len(target)
    place = math.ceil((n + 1) * NOMINAL - ROUNDING)
    if place > n:
        return 0.0
    true = np.take_along_axis(probabilities, target[:, None], axis=1)[:, 0]
    return float(np.sort(true)[n - place])


def sets_of(probabilities: Probabilities, least: float) -> Sets:
    """Return the classes whose probability reaches a threshold; there may be none.

    Args:
        probabilities: Shape (N, K).
        least: The threshold.
    """
    return np.asarray(probabilities >= least - ROUNDING)


def covered(sets: Sets, target: Target) -> npt.NDArray[np.bool_]:
    """Return whether the true class of each unit is in its set, shape (N,)."""
    return np.asarray(np.take_along_axis(sets, target[:, None], axis=1)[:, 0])


def selective_accuracy(probabilities: Probabilities, target: Target) -> float:
    """Return the accuracy over the KEPT of the units with the highest largest probability.

    It is over KEPT times N units exactly: those at the border, which are equally sure, share what
    is left of it in equal parts, so that a border inside one unit counts that unit in part.
    """
    right = (probabilities.argmax(axis=1) == target).astype(float)
    sure = np.rint(probabilities.max(axis=1) / ROUNDING)
    kept = len(target) * KEPT
    border = np.sort(sure)[len(target) - math.ceil(kept - ROUNDING)]
    beyond, at = sure > border, sure == border
    rest = kept - float(beyond.sum())
    return float((right[beyond].sum() + rest * right[at].mean()) / kept)


def _logs(probabilities: Probabilities) -> Probabilities:
    """Return logarithms, those of 0 as of FLOOR."""
    return np.asarray(np.log(np.clip(probabilities, FLOOR, 1.0)))

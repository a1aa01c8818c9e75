"""Prior shift: probabilities moved towards the classes that a person's minutes have more of.

References:
    Saerens, Latinne, Decaestecker: Adjusting the outputs of a classifier to new a priori
    probabilities. Neural Computation 14, 2002 (equation 2.4, with priors that are counted).
"""

import numpy as np

from benchmark.adapters.person import Seen, Trained, Values

SMOOTHING = 5.0
"""Minutes of the training people's class shares that are added to those of the person."""


def prior_shift(trained: Trained, minutes: Seen, tested: Seen) -> Values:
    """Return probabilities times the ratio of the person's class shares to the training shares.

    The person's shares are smoothed by training shares, so that no class is ruled out. A class
    that training lacked keeps its probability of 0.
    """
    if not len(minutes.target):
        return tested.probabilities
    counts = np.bincount(minutes.target, minlength=trained.n_classes)
    shares = trained.minutes * counts / counts.sum() + SMOOTHING * trained.shares
    shares /= trained.minutes + SMOOTHING
    ratio = np.divide(shares, trained.shares, out=np.zeros_like(shares), where=trained.shares > 0)
    shifted = tested.probabilities * ratio
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

"""MiniRocket: proportions of convolutions above biases, and a ridge classifier on them."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler

from benchmark.probes.convolutions import Plan, fit_biases, make_plan, proportions
from benchmark.probes.scale import Scale
from benchmark.probes.windows import Samples, Windows

ALPHAS = np.logspace(-3, 3, 10)
"""Weights of the ridge that are tried (section 4 of the paper)."""


class MiniRocket:
    """MiniRocket for signals at their own rates (Dempster, Schmidt, Webb 2021).

    Each signal has its own kernels, dilations and share of the features; channels of a signal are
    combined at random, as in the authors' code for several channels. The ridge classifier chooses
    its weight by leaving one training window out, as in the paper, and weighs classes equally. The
    other windows of that person stay in, so that this weight knows nothing of other people.

    The paper was tried on series of mean 0 and deviation 1. Here, every channel of a window has its
    mean taken out, as zeros beyond the ends of a window would make a step of a level, and is
    divided by its standard deviation over the training windows, so that channels can be summed. How
    much a window varies, beside others, stays.

    A ridge classifier knows no probabilities. They are the softmax of its values, which are
    fitted to 1 for a window's own class and -1 for others: in the right order, but not calibrated.

    Args:
        seed: Seed of the channels and of the windows that biases are taken from.
        n_features: Largest number of features, all signals together.

    Attributes:
        classes_: Classes of the training windows, shape (K,).
        alpha: Weight of the ridge that was chosen.
    """

    classes_: npt.NDArray[np.int64]

    def __init__(self, seed: int, n_features: int) -> None:
        self.seed, self.n_features = seed, n_features

    def fit(self, windows: Windows, target: npt.NDArray[np.int64]) -> Self:
        """Fit biases and the ridge classifier on all windows."""
        rng = np.random.default_rng(self.seed)
        self.scale = Scale.of(windows)
        share = self.n_features // len(windows.inputs)
        self.plans, self.biases = {}, {}
        for name, spec in windows.inputs.items():
            plan = make_plan(spec.n_channels, spec.n_times, share, rng)

            def gather(rows: npt.NDArray[np.int64], name: str = name) -> Samples:
                return self.scale.scaled(windows[rows], name)

            self.plans[name] = vars(plan)
            self.biases[name] = fit_biases(plan, gather, len(windows), rng)
        columns = self.transform(windows)
        scaler = StandardScaler(with_mean=False).fit(columns)  # the ridge has an intercept
        ridge: Any = RidgeClassifierCV(ALPHAS, class_weight="balanced")
        ridge.fit(scaler.transform(columns), target)
        self.classes_, self.alpha = ridge.classes_, float(ridge.alpha_)
        self.weights = np.atleast_2d(ridge.coef_) / scaler.scale_
        self.intercepts = np.atleast_1d(ridge.intercept_)
        return self

    def transform(self, windows: Windows) -> Samples:
        """Return the features of windows, shape (N, F)."""
        plans = {name: Plan(**values) for name, values in self.plans.items()}
        parts = [
            np.concatenate(
                [
                    proportions(plan, self.biases[name], self.scale.scaled(chunk, name))
                    for name, plan in plans.items()
                ],
                axis=1,
            )
            for chunk in windows.chunks()
        ]
        return np.concatenate(parts)

    def predict_proba(self, windows: Windows) -> npt.NDArray[np.float64]:
        """Return the softmax of the values of each class, shape (N, K)."""
        values = self.transform(windows) @ self.weights.T + self.intercepts
        if values.shape[1] == 1:
            values = np.hstack([-values, values])
        return np.asarray(scipy.special.softmax(values, axis=1))

    @property
    def size(self) -> int:
        """Number of biases, and of weights and intercepts of the ridge."""
        learned = (*self.biases.values(), self.weights, self.intercepts)
        return sum(values.size for values in learned)

"""Greedy selection of the members of an ensemble (Caruana et al. 2004).

Models are sorted by the score that each has alone, and the best of them begin together, as many as
score best (sorted initialisation). Then, again and again, the model whose addition gives the best
score joins, whether it is in already or not (selection with replacement); of all ensembles on this
way the best is taken, the smallest of equals. The score is that of a board: macro F1, averaged over
people, and pooled where somebody has units of one class only. The paper's bagging of the models is
left out: it draws random numbers, and helps most with many more models than a board has.

References:
    Caruana, Niculescu-Mizil, Crew, Ksikes (2004). Ensemble selection from libraries of models.
    ICML.
"""

from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np

from benchmark.ensembles.answers import Answers
from lightning_modules.metrics import confusion, macro_f1_of

ADDITIONS = 20
"""Number of models that join after those that begin."""
Weights = tuple[int, ...]
"""Number of times that each model is taken."""
DIGITS = 9
"""Decimals of a score; finer differences come from the order of sums."""


@dataclass(frozen=True)
class Choice:
    """Members that were chosen.

    Attributes:
        weights: Number of times that each model was taken.
        score: Score of the ensemble.
        alone: Score of each model alone; NaN for one that could not be chosen.
    """

    weights: Weights
    score: float
    alone: tuple[float, ...]

    @property
    def best(self) -> int:
        """Number of the model with the best score alone, the first of equals."""
        return int(np.nanargmax(self.alone))


def choose(answers: Answers) -> Choice:
    """Return the members with which an ensemble scores best on some people.

    Args:
        answers: Answers of the models to the units of these people.
    """
    score = cache(_Score(answers))
    nobody: Weights = (0,) * len(answers.probabilities)
    models = range(len(nobody))
    alone = tuple(score(_with(nobody, model)) for model in models)
    order = sorted(models, key=lambda model: -alone[model])
    first = list(accumulate(order, _with, initial=nobody))[1:]
    way = [max(first, key=score)]  # the first of equals, as max takes it
    for _ in range(ADDITIONS):
        way.append(max((_with(way[-1], model) for model in order), key=score))
    best = max(way, key=score)
    return Choice(best, score(best), alone)


def _with(weights: Weights, model: int) -> Weights:
    """Return weights with a model taken once more."""
    return *weights[:model], weights[model] + 1, *weights[model + 1 :]


class _Score:
    """Score of an ensemble by its weights.

    Args:
        answers: Answers of the models.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._target = answers.units["label"]
        subjects = answers.units["subject"]
        self._people = [np.flatnonzero(subjects == name) for name in np.unique(subjects)]
        self._pooled = any(len(np.unique(self._target[rows])) == 1 for rows in self._people)

    def __call__(self, weights: Weights) -> float:
        mean = self._answers.mean(weights)
        counts = [confusion(mean[rows], self._target[rows]) for rows in self._people]
        if self._pooled:
            return round(macro_f1_of(np.sum(counts, axis=0)), DIGITS)
        return round(float(np.mean([macro_f1_of(one) for one in counts])), DIGITS)

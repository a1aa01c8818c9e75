"""Head: a classifier fitted anew, on the training people and a person's minutes."""

import inspect

import numpy as np

from benchmark.adapters.person import Seen, Trained, Values
from benchmark.probes.classifiers import logistic

WEIGHT = 10
"""Number of training windows that a window of the person counts as; chosen beforehand."""
PENALTY = 1e-2
"""Inverse weight of the squared coefficients of the head of a network, on standardised embeddings;
chosen beforehand."""


def head(trained: Trained, minutes: Seen, tested: Seen) -> Values:
    """Return the probabilities of a classifier fitted on training people and a person's minutes.

    A class that neither has gets 0, a window with columns that are no numbers NaN.
    """
    training = trained.training()
    columns, target, people = (
        np.concatenate([ours, np.repeat(theirs, WEIGHT, axis=0)])
        for ours, theirs in (
            (training.columns, minutes.columns),
            (training.target, minutes.target),
            (training.people, minutes.people),
        )
    )
    usable = np.isfinite(columns).all(axis=1)
    columns, target, people = columns[usable], target[usable], people[usable]
    n_classes, (n, width) = len(np.unique(target)), columns.shape
    if trained.classifier is None:
        classifier = logistic(trained.seed, n_classes, (n, width), C=PENALTY)
    else:
        classifier = trained.classifier(trained.seed, n_classes, (n, width))
    asks = "groups" in inspect.signature(classifier.fit).parameters
    classifier = classifier.fit(columns, target, **({"groups": people} if asks else {}))
    probabilities = np.full((len(tested.columns), trained.n_classes), np.nan)
    rows = np.flatnonzero(np.isfinite(tested.columns).all(axis=1))
    probabilities[rows] = 0.0
    answers = classifier.predict_proba(tested.columns[rows])
    probabilities[rows[:, None], classifier.classes_] = answers
    return probabilities

"""What an adapter is given: a trained model, and what it makes of a person's windows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import nn

Values = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
NO_LABEL = -1
"""Class of a window whose label an adapter is not given."""


class Seen(NamedTuple):
    """What a trained model makes of N windows.

    Attributes:
        columns: Embeddings of a network, or features of a probe, shape (N, D).
        probabilities: Answers of the model as it is, shape (N, K).
        target: Classes, shape (N,); NO_LABEL for windows that are tested.
        people: Number of the person of each window, shape (N,).
    """

    columns: Values
    probabilities: Values
    target: Numbers
    people: Numbers


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, as adapters take it.

    Attributes:
        n_classes: Number of classes K.
        shares: Share of each class among the training windows, shape (K,).
        minutes: Labelled minutes of each person.
        training: Function that returns what the model makes of its training windows.
        seed: Seed of the model.
        classifier: Function of seed, number of classes and shape (N, D) of the columns that returns
            an unfitted classifier like that of a probe; None for a network.
        layer: Last layer of a network, from embeddings to logits; None where it is not asked for.
    """

    n_classes: int
    shares: Values
    minutes: float
    training: Callable[[], Seen]
    seed: int
    classifier: Callable[[int, int, tuple[int, int]], Any] | None = None
    layer: nn.Module | None = None


Adapt = Callable[[Trained, Seen, Seen], Values]
"""From a trained model, a person's minutes and tested windows to probabilities (N, K)."""

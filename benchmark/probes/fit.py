"""Probes: rows of every board that a network has to beat, or that say what is wrong with it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from datamodules.cache import Archive
from datamodules.datamodule import EmotionDataModule, Part
from datamodules.errors import IncompatibleRunError
from datamodules.signals.features import features
from datamodules.signals.kinds import kind_of
from datamodules.windows import (
    Padding,
    WindowDataset,
    WindowIndex,
    first_samples,
    n_samples,
    recorded_samples,
)

CHUNK = 256
"""Windows whose samples are in memory at once while features are computed."""
TREES = 200
MANY, COMPONENTS = 1000, 60
"""Features beyond which principal components are taken, and how many; PMEmo's authors took 60."""
LEAF = 5
"""Smallest number of windows in a leaf."""


@dataclass(frozen=True)
class ProbeRecipe:
    """Windows of a probe.

    Args:
        window: Length in seconds; a dataset's score unit caps it.
        stride: From one training window's start to the next, in seconds.

    Raises:
        ValueError: A value that is not positive.
    """

    window: float = 60.0
    stride: float = 30.0

    def __post_init__(self) -> None:
        if not (self.window > 0 and self.stride > 0):
            raise ValueError(f"expected a positive window and stride, found {self}")


def forest(seed: int, n_classes: int, shape: tuple[int, int]) -> Any:
    """A balanced random forest."""
    return RandomForestClassifier(
        TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed, n_jobs=1
    )


def linear(seed: int, n_classes: int, shape: tuple[int, int]) -> Any:
    """Linear discriminant analysis with a shrunken covariance and equal priors.

    More features than MANY are first brought down to COMPONENTS, or to what the windows allow.
    """
    priors = np.full(n_classes, 1 / n_classes)
    last = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=priors)
    if shape[1] <= MANY:
        return make_pipeline(StandardScaler(), last)
    fewer = PCA(min(COMPONENTS, shape[0] - 1), svd_solver="randomized", random_state=seed)
    return make_pipeline(StandardScaler(), fewer, last)


def most_frequent(seed: int, n_classes: int, shape: tuple[int, int]) -> Any:
    """The most frequent class of the training windows, always, with certainty."""
    return DummyClassifier(strategy="most_frequent")


def frequencies(seed: int, n_classes: int, shape: tuple[int, int]) -> Any:
    """The class frequencies of the training windows, always."""
    return DummyClassifier(strategy="prior")


@dataclass(frozen=True)
class Probe:
    """A classifier from scikit-learn and what it may see.

    It has no epoch to choose, so it is fitted on all subjects that are not tested, those who choose
    the epoch of a network included.

    Args:
        sees: ``"nothing"``; ``"time"``: seconds since the start of the session, as far as the
            dataset tells; ``"length"``: how many seconds of a padded trial are recorded;
            ``"motion"``: features of acceleration; ``"signals"``: features of all other signals;
            ``"subject"``: the mean of those over all windows of the subject, so that it can only
            tell people apart, not moments.
        make: Builds the classifier from seed, number of classes and shape (N, F) of what it sees.
        about: One line for ``affectbench list models``.
    """

    sees: Literal["nothing", "time", "length", "motion", "subject", "signals"]
    make: Callable[[int, int, tuple[int, int]], Any]
    about: str
    published: ProbeRecipe = ProbeRecipe()

    def choose_signals(self, available: Collection[str]) -> tuple[str, ...]:
        """The signals it takes; raises IncompatibleRunError if there are none."""
        motion = tuple(name for name in available if kind_of(name) == "acc")
        others = tuple(name for name in available if name not in motion)
        found = {"motion": motion, "subject": others, "signals": others}.get(self.sees)
        if found == ():
            what = "acc" if self.sees == "motion" else "any signal but acc"
            raise IncompatibleRunError(f"takes {what}; there is only {', '.join(available)}")
        return found or ()


PROBES: dict[str, Probe] = {
    "random_forest": Probe("signals", forest, "random forest on hand-crafted features"),
    "lda": Probe("signals", linear, "linear discriminant analysis on hand-crafted features"),
    "subject_mean": Probe(
        "subject", linear, "who it is, not when: features averaged over a person"
    ),
    "motion": Probe("motion", forest, "random forest on acceleration alone"),
    "time": Probe("time", forest, "random forest on the seconds since the start"),
    "length": Probe("length", forest, "random forest on the length of a padded trial"),
    "prior": Probe("nothing", frequencies, "class frequencies of the training windows"),
    "majority": Probe("nothing", most_frequent, "most frequent class of the training windows"),
}


@dataclass(frozen=True, eq=False)
class FittedProbe:
    """A fitted classifier.

    Attributes:
        probe: What it is.
        classifier: Of scikit-learn.
        n_classes: K.
        trained_on: Windows of each class that it was fitted on.
    """

    probe: Probe
    classifier: Any
    n_classes: int
    trained_on: tuple[int, ...] = ()

    def predict(self, module: EmotionDataModule) -> npt.NDArray[np.float64]:
        """Probabilities of the test windows, shape (N, K)."""
        columns = _columns(self.probe, module, "test")
        probabilities = np.zeros((len(columns), self.n_classes))
        probabilities[:, self.classifier.classes_] = self.classifier.predict_proba(columns)
        return probabilities

    @property
    def size(self) -> int:
        """Learnt values: coefficients and intercepts, or nodes of the trees; 0 for a constant."""
        last = self.classifier[-1] if hasattr(self.classifier, "steps") else self.classifier
        if isinstance(last, RandomForestClassifier):
            return sum(tree.tree_.node_count for tree in last.estimators_)
        if isinstance(last, LinearDiscriminantAnalysis):
            return int(last.coef_.size + last.intercept_.size)
        return 0


def fit_probe(probe: Probe, module: EmotionDataModule, seed: int) -> FittedProbe:
    """Fit a probe on all windows of a fold that are not tested."""
    parts: tuple[Part, ...] = ("train", "val")
    columns = np.concatenate([_columns(probe, module, part) for part in parts])
    target = np.concatenate([_grid(module, part).target[_rows(module, part)] for part in parts])
    classifier = probe.make(seed, module.n_classes, columns.shape)
    counts = tuple(np.bincount(target, minlength=module.n_classes).tolist())
    return FittedProbe(probe, classifier.fit(columns, target), module.n_classes, counts)


def _grid(module: EmotionDataModule, part: str) -> WindowIndex:
    return module.grids["units" if part == "test" else "segments"]


def _rows(module: EmotionDataModule, part: Part) -> npt.NDArray[np.int64]:
    """Rows of a part in its grid; validation subjects give training windows here."""
    return module.rows_of("units" if part == "test" else "segments", part)


def _columns(probe: Probe, module: EmotionDataModule, part: Part) -> npt.NDArray[np.float64]:
    """What the probe sees of the windows of a part, shape (N, F)."""
    grid, rows = _grid(module, part), _rows(module, part)
    if probe.sees == "nothing":
        return np.zeros((len(rows), 1))
    if probe.sees == "time":
        offsets = np.array([recording.offset for recording in module.archive.recordings])
        return (offsets[grid.recording] + grid.start)[rows, None]
    if probe.sees == "length":
        return grid.seconds[rows, None]
    table = window_features(module.archive, grid, module.chosen, module.padding)
    if probe.sees == "subject":
        subjects = range(len(module.subjects))
        means = np.array([table[grid.subject == subject].mean(axis=0) for subject in subjects])
        return np.asarray(means[grid.subject[rows]])
    return table[rows]


@lru_cache(maxsize=8)
def window_features(
    archive: Archive, windows: WindowIndex, signals: tuple[str, ...], padding: Padding | None
) -> npt.NDArray[np.float64]:
    """Features of windows, shape (N, F); kept for the folds and probes that share the windows.

    Each row is a function of its own window alone: nothing is fitted, so that computing the rows of
    all subjects at once carries nothing from one to another.
    """
    specs = {signal: archive.recordings[0].signals[signal] for signal in signals}
    dataset = WindowDataset(
        {signal: torch.from_numpy(archive.samples(signal)) for signal in signals},
        windows,
        {signal: first_samples(archive, signal, windows) for signal in signals},
        {signal: n_samples(windows.length, specs[signal].sfreq) for signal in signals},
        None,
        padding,
        {signal: recorded_samples(windows, specs[signal].sfreq) for signal in signals},
    )
    chunks = []
    for rows in torch.arange(len(windows)).split(CHUNK):
        batch = dataset[rows]
        chunks.append(
            np.concatenate(
                [
                    features(signal, batch.signals[signal].numpy(), specs[signal].sfreq)[0]
                    for signal in signals
                ],
                axis=1,
            )
        )
    return np.concatenate(chunks)

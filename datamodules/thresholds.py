"""Thresholds between low and high ratings, fitted on the ratings of training segments alone."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Segment
from datamodules.tasks import LabelRule, RatingTask

CLUSTERING_STARTS = 10
"""Starting points of k-means, of which the best clustering counts; unspecified where published."""


def fit_thresholds(
    task: RatingTask,
    rule: LabelRule,
    ratings: Iterable[tuple[str, Segment]],
    subjects: Iterable[str],
) -> RatingTask:
    """Return a task with thresholds from ratings.

    Subjects with training ratings use their own threshold; all others use the one of all ratings
    together, as nothing about a new person is known.

    Args:
        task: Task with a rating scale.
        rule: ``"midpoint"``: as published, nothing is fitted. ``"median"``: the median rating.
            ``"kmeans"``: the ratings of ``task.plane`` in two clusters, and the middle between
            their centres on this task's axis (RTCAN-1D, Yin et al. 2022, figure 2).
        ratings: Subjects and their training segments.
        subjects: All subjects of the run.

    Raises:
        IncompatibleRunError: No training segment has the ratings.
    """
    if rule == "midpoint":
        return task
    plane = task.plane if rule == "kmeans" else (task.name,)
    axis = plane.index(task.name)
    points: dict[str, list[list[float]]] = {}
    for subject, segment in ratings:
        if all(name in segment.annotations for name in plane):
            point = [float(segment.annotations[name]) for name in plane]
            points.setdefault(subject, []).append(point)
    if not points:
        raise IncompatibleRunError(
            f"{task.name}, label rule {rule}: expected training trials with ratings of "
            f"{' and '.join(plane)}, found none. Take the rule midpoint or other subjects."
        )
    threshold = {"median": _median, "kmeans": _between_clusters}[rule]
    pooled = threshold(np.array([point for rated in points.values() for point in rated]))[axis]
    personal = {subject: threshold(np.array(rated))[axis] for subject, rated in points.items()}
    thresholds = tuple((name, float(personal.get(name, pooled))) for name in subjects)
    return replace(task, thresholds=thresholds)


def _median(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the median of each column of (n, d) ratings."""
    return np.asarray(np.median(points, axis=0))


def _between_clusters(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the middle of the two k-means centres of (n, d) ratings; of a single one: itself."""
    from sklearn.cluster import KMeans  # takes two seconds, and few runs cluster ratings

    if len(np.unique(points, axis=0)) < 2:
        return np.asarray(points[0])
    clustering = KMeans(2, n_init=CLUSTERING_STARTS, random_state=0).fit(points)
    return np.asarray(clustering.cluster_centers_.mean(axis=0))

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Segment
from datamodules.tasks import RULES, RatingTask
from datamodules.thresholds import fit_thresholds

VALENCE = RatingTask("valence", 5.0, source="test")
AROUSAL = replace(VALENCE, name="arousal")

Point = tuple[float, float]
Points = list[Point]
ratings = st.floats(1.0, 9.0)
points = st.lists(st.tuples(ratings, ratings), min_size=1, max_size=8)
people = st.dictionaries(st.sampled_from(["S1", "S2", "S3"]), points, min_size=1)


def rated(trial: int = 1, **annotations: float) -> Segment:
    return Segment(0.0, 1.0, trial, annotations)


def trials(rated_by: dict[str, Points]) -> list[tuple[str, Segment]]:
    """Segments of subjects, from their points of arousal and valence."""
    return [
        (subject, rated(arousal=arousal, valence=valence))
        for subject, pairs in rated_by.items()
        for arousal, valence in pairs
    ]


def two_means(pairs: Points) -> np.ndarray:
    """The middle between the centres of the best of all bipartitions; NaN if several are best."""
    plane = np.array(pairs)
    bipartitions = []
    for bits in range(1, 2 ** (len(plane) - 1)):
        inside = (bits >> np.arange(len(plane)) & 1).astype(bool)
        parts = plane[inside], plane[~inside]
        cost = sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in parts)
        bipartitions.append((cost, (parts[0].mean(axis=0) + parts[1].mean(axis=0)) / 2))
    (least, middle), *others = sorted(bipartitions, key=lambda one: one[0])
    alone = all(cost > least * 1.001 for cost, _ in others)
    return middle if alone else np.full(2, np.nan)


def clumps(seed: int, n: int = 9, apart: float = 3.0) -> Points:
    """Ratings of somebody who likes some things and not others."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(1.0, 8.0 - apart, 2)
    side = np.arange(n)[:, None] % 3 > 0
    return [tuple(p) for p in (low + apart * side + rng.uniform(0, 1, (n, 2))).tolist()]


def test_the_midpoint_is_not_fitted() -> None:
    assert fit_thresholds(VALENCE, "midpoint", trials({"S1": clumps(0)}), ["S1"]) is VALENCE
    assert fit_thresholds(VALENCE, "midpoint", [], ["S1"]) is VALENCE


@given(people)
def test_medians(rated_by: dict[str, Points]) -> None:
    everybody = ["S9", *rated_by]
    for task, axis in ((AROUSAL, 0), (VALENCE, 1)):
        thresholds = dict(fit_thresholds(task, "median", trials(rated_by), everybody).thresholds)
        assert list(thresholds) == everybody
        for subject, pairs in rated_by.items():
            assert thresholds[subject] == pytest.approx(np.median([point[axis] for point in pairs]))
        pooled = [point[axis] for pairs in rated_by.values() for point in pairs]
        assert thresholds["S9"] == pytest.approx(np.median(pooled))


@pytest.mark.parametrize("seed", range(12))
def test_k_means_against_all_bipartitions(seed: int) -> None:
    rated_by = {"S1": clumps(seed, n=9), "S2": clumps(seed + 100, n=6, apart=4.0)}
    expected = {subject: two_means(pairs) for subject, pairs in rated_by.items()}
    assert np.isfinite(list(expected.values())).all()
    for task, axis in ((AROUSAL, 0), (VALENCE, 1)):
        fitted = fit_thresholds(task, "kmeans", trials(rated_by), ["S1", "S2"])
        for subject, threshold in fitted.thresholds:
            assert threshold == pytest.approx(expected[subject][axis])
        labels = [fitted.label(subject, segment) for subject, segment in trials(rated_by)]
        assert labels == [
            int(point[axis] > expected[subject][axis])
            for subject, pairs in rated_by.items()
            for point in pairs
        ]


def test_strangers_get_the_threshold_of_all_ratings_together() -> None:
    # Not the mean of the subjects' thresholds: S2 counts for as many ratings as there are.
    rated_by = {"S1": clumps(1, n=9), "S2": clumps(2, n=3)}
    pooled = two_means([point for pairs in rated_by.values() for point in pairs])
    thresholds = dict(
        fit_thresholds(VALENCE, "kmeans", trials(rated_by), ["S7", "S1", "S2", "S8"]).thresholds
    )
    assert thresholds["S7"] == thresholds["S8"] == pytest.approx(pooled[1])
    assert thresholds["S7"] != pytest.approx((thresholds["S1"] + thresholds["S2"]) / 2)


def test_clusters_are_found_in_the_plane_and_not_on_one_axis() -> None:
    # Arousal tells two clusters apart, across which valence is spread out; on the axis of valence
    # alone the threshold would be 5.5.
    pairs: Points = [(1.0, 1.0), (1.0, 2.0), (1.0, 9.0), (9.0, 1.0), (9.0, 8.0), (9.0, 9.0)]
    assert two_means(pairs) == pytest.approx([5.0, 5.0])
    ((_, threshold),) = fit_thresholds(VALENCE, "kmeans", trials({"S1": pairs}), ["S1"]).thresholds
    assert threshold == pytest.approx(5.0)
    alone = replace(VALENCE, plane=("valence", "valence"))
    ((_, threshold),) = fit_thresholds(alone, "kmeans", trials({"S1": pairs}), ["S1"]).thresholds
    assert threshold == pytest.approx((4 / 3 + 26 / 3) / 2)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["median", "kmeans"]), points, people, people, st.data())
def test_nobody_else_moves_an_own_threshold(
    rule: str,
    pairs: Points,
    some: dict[str, Points],
    others: dict[str, Points],
    data: st.DataObject,
) -> None:
    fitted = []
    for rest in (some, others):
        given_ratings = data.draw(st.permutations(trials({**rest, "S1": pairs})))
        # Their own stay in order: the order of equal sums is not what is asked.
        given_ratings = [one for one in given_ratings if one[0] != "S1"] + trials({"S1": pairs})
        fitted.append(dict(fit_thresholds(VALENCE, rule, given_ratings, ["S1", "S9"]).thresholds))
    assert fitted[0]["S1"] == fitted[1]["S1"]
    low, high = (
        min(valence for _, valence in pairs),
        max(valence for _, valence in pairs),
    )
    assert low - 1e-9 <= fitted[0]["S1"] <= high + 1e-9


@pytest.mark.parametrize("rule", ["median", "kmeans"])
@pytest.mark.parametrize(
    "pairs", [[(3.3, 7.1)], [(3.3, 7.1)] * 7, [(1.7, 7.1), (8.9, 7.1), (2.3, 7.1)]]
)
def test_ratings_that_are_all_the_same_are_low(rule: str, pairs: Points) -> None:
    task = fit_thresholds(VALENCE, rule, trials({"S1": pairs}), ["S1", "S2"])
    assert task.thresholds == (("S1", 7.1), ("S2", 7.1))
    assert {task.label("S1", segment) for _, segment in trials({"S1": pairs})} == {0}


@pytest.mark.parametrize("low", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("high", [7.0, 8.0, 9.0])
def test_a_tie_with_the_middle_between_clusters_is_low(low: float, high: float) -> None:
    pairs = [(low, low)] * 3 + [(high, high)] * 5
    task = fit_thresholds(VALENCE, "kmeans", trials({"S1": pairs}), ["S1"])
    assert task.label("S1", rated(valence=(low + high) / 2)) == 0


def test_trials_that_are_not_rated_on_both_axes_count_for_the_median_alone() -> None:
    half: Iterable[tuple[str, Segment]] = [("S1", rated(valence=9.0))] * 4
    given_ratings = [*trials({"S1": [(1.0, 1.0), (2.0, 3.0)]}), *half, ("S2", rated(arousal=4.0))]
    median = fit_thresholds(VALENCE, "median", given_ratings, ["S1", "S2"])
    assert median.thresholds == (("S1", 9.0), ("S2", 9.0))
    kmeans = fit_thresholds(VALENCE, "kmeans", given_ratings, ["S1", "S2"])
    assert kmeans.thresholds == (("S1", 2.0), ("S2", 2.0))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "midpoint"])
def test_without_ratings_there_is_no_threshold(rule: str) -> None:
    with pytest.raises(IncompatibleRunError, match=rf"valence, label rule {rule}: .* found none"):
        fit_thresholds(VALENCE, rule, [("S1", rated(arousal=4.0))], ["S1"])


def test_fitting_again_starts_from_the_midpoint() -> None:
    once = fit_thresholds(VALENCE, "median", trials({"S1": clumps(1)}), ["S1", "S2"])
    again = fit_thresholds(once, "median", trials({"S1": clumps(2)}), ["S1"])
    assert again == fit_thresholds(VALENCE, "median", trials({"S1": clumps(2)}), ["S1"])
    assert again.label("S2", rated(valence=5.1)) == 1


def test_a_plane_of_ratings_may_have_other_names() -> None:
    task = replace(VALENCE, plane=("dominance", "valence"))
    segments = [
        rated(dominance=low, valence=high) for low, high in [(1, 2), (1, 4), (9, 7), (9, 9)]
    ]
    fitted = fit_thresholds(task, "kmeans", [("S1", s) for s in segments], ["S1"])
    assert fitted.thresholds == (("S1", pytest.approx((3 + 8) / 2)),)

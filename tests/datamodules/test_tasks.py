from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Segment
from datamodules.tasks import (
    RULES,
    ConditionTask,
    QuadrantTask,
    RatingTask,
    RoundedTask,
    Task,
)

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
        for subject, own in rated_by.items()
        for arousal, valence in own
    ]


def two_means(own: Points) -> np.ndarray:
    """The middle between the centres of the best of all bipartitions; NaN if several are best."""
    plane = np.array(own)
    found = []
    for bits in range(1, 2 ** (len(plane) - 1)):
        inside = (bits >> np.arange(len(plane)) & 1).astype(bool)
        parts = plane[inside], plane[~inside]
        cost = sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in parts)
        found.append((cost, (parts[0].mean(axis=0) + parts[1].mean(axis=0)) / 2))
    (least, middle), *others = sorted(found, key=lambda one: one[0])
    alone = all(cost > least * 1.001 for cost, _ in others)
    return middle if alone else np.full(2, np.nan)


def clumps(seed: int, n: int = 9, apart: float = 3.0) -> Points:
    """Ratings of somebody who likes some things and not others."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(1.0, 8.0 - apart, 2)
    side = np.arange(n)[:, None] % 3 > 0
    found: Points = [tuple(p) for p in (low + apart * side + rng.uniform(0, 1, (n, 2))).tolist()]
    return found


# ---- classes


@pytest.mark.parametrize(
    ("rating", "label"),
    [(5.9, 1), (5.0, 0), (5.0000001, 1), (4.9, 0), (1.0, 0), (9.0, 1), (5, 0), (6, 1), ("5.5", 1)],
)
def test_above_the_midpoint_is_high_and_ties_are_low(rating: float | str, label: int) -> None:
    assert VALENCE.label("S1", Segment(0.0, 1.0, 1, {"valence": rating, "arousal": 5.5})) == label


@pytest.mark.parametrize("rating", [1.0, 1.5, 2.5, 4.49, 4.5, 5.5, 6.04, 8.5, 9.0])
def test_a_class_for_each_rounded_rating(rating: float) -> None:
    task = RoundedTask("valence_9", "valence", (1, 9), source="test")
    assert task.classes == tuple("123456789")
    label = task.label("S1", rated(valence=rating))
    assert label is not None
    assert int(task.classes[label]) == np.rint(rating)
    assert task.label("S1", rated(arousal=rating)) is None


@pytest.mark.parametrize(
    ("valence", "arousal", "name"),
    [
        (4.5, 4.4, "low_valence_low_arousal"),  # 4.5 rounds to 4
        (4.6, 1.0, "high_valence_low_arousal"),
        (1.0, 5.0, "low_valence_high_arousal"),
        (9.0, 5.5, "high_valence_high_arousal"),
    ],
)
def test_quadrants_of_rounded_ratings(valence: float, arousal: float, name: str) -> None:
    task = QuadrantTask("quadrant", 5, source="test")
    label = task.label("S1", rated(valence=valence, arousal=arousal))
    assert label is not None
    assert task.classes[label] == name
    assert task.label("S1", rated(valence=valence)) is None


def test_no_rating_no_class() -> None:
    assert VALENCE.label("S1", rated(arousal=9.0)) is None
    assert replace(VALENCE, thresholds=(("S1", 2.0),)).label("S1", rated(arousal=9.0)) is None
    assert AROUSAL.label("S1", rated(arousal=9.0)) == 1


def test_a_subjects_own_threshold_holds_for_that_subject() -> None:
    task = replace(VALENCE, thresholds=(("S1", 3.0), ("S2", 7.0)))
    segment = rated(valence=6.0)
    assert [task.label(subject, segment) for subject in ("S1", "S2", "S3")] == [1, 0, 1]
    assert task.label("S1", rated(valence=3.0)) == 0
    assert task.classes == ("low", "high")


def test_conditions() -> None:
    task = ConditionTask("stress", ("rest", "stress"), {"rest": 0, "read": 0, "stress": 1}, "test")
    found = [
        task.label("S1", Segment(0.0, 1.0, 1, {"condition": name}))
        for name in ("rest", "read", "stress", "talk")
    ]
    assert found == [0, 0, 1, None]
    assert task.label("S1", rated(valence=2.0)) is None
    film = replace(task, annotation="film")
    assert film.label("S1", Segment(0.0, 1.0, 1, {"condition": "rest", "film": "stress"})) == 1


@pytest.mark.parametrize(
    ("classes", "conditions"),
    [
        (("rest",), {"rest": 0}),
        (("rest", "stress"), {"rest": 0}),
        (("rest", "stress"), {"rest": 0, "stress": 2}),
        (("rest", "stress"), {"rest": 0, "stress": 1, "fun": 2}),
    ],
)
def test_classes_and_conditions_that_do_not_fit(
    classes: tuple[str, ...], conditions: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match=r"task stress: expected conditions for each of .*rest"):
        ConditionTask("stress", classes, conditions, source="test")


@pytest.mark.parametrize(
    "make",
    [
        lambda: RatingTask("valence", 5.0, "test"),
        lambda: VALENCE.fitted("median", trials({"S1": [(1, 2), (3, 4)]}), ["S1", "S2"]),
    ],
)
def test_equal_tasks_are_one_key(make: Callable[[], Task]) -> None:
    one, other = make(), make()
    one.label("S1", rated(valence=3.0))
    assert one == other
    assert hash(one) == hash(other)
    assert one is not other


def test_what_labels_otherwise_is_not_equal() -> None:
    tasks = {
        VALENCE,
        AROUSAL,
        replace(VALENCE, midpoint=4.5),
        replace(VALENCE, thresholds=(("S1", 5.5),)),
        replace(VALENCE, thresholds=(("S1", 5.6),)),
        replace(VALENCE, thresholds=(("S2", 5.5),)),
    }
    assert len(tasks) == 6


# ---- thresholds


def test_the_midpoint_is_not_fitted() -> None:
    assert VALENCE.fitted("midpoint", trials({"S1": clumps(0)}), ["S1"]) is VALENCE
    assert VALENCE.fitted("midpoint", [], ["S1"]) is VALENCE


@given(people)
def test_medians(rated_by: dict[str, Points]) -> None:
    everybody = ["S9", *rated_by]
    for task, axis in ((AROUSAL, 0), (VALENCE, 1)):
        found = dict(task.fitted("median", trials(rated_by), everybody).thresholds)
        assert list(found) == everybody
        for subject, own in rated_by.items():
            assert found[subject] == pytest.approx(np.median([point[axis] for point in own]))
        pooled = [point[axis] for own in rated_by.values() for point in own]
        assert found["S9"] == pytest.approx(np.median(pooled))


@pytest.mark.parametrize("seed", range(12))
def test_k_means_against_all_bipartitions(seed: int) -> None:
    rated_by = {"S1": clumps(seed, n=9), "S2": clumps(seed + 100, n=6, apart=4.0)}
    expected = {subject: two_means(own) for subject, own in rated_by.items()}
    assert np.isfinite(list(expected.values())).all()
    for task, axis in ((AROUSAL, 0), (VALENCE, 1)):
        fitted = task.fitted("kmeans", trials(rated_by), ["S1", "S2"])
        for subject, threshold in fitted.thresholds:
            assert threshold == pytest.approx(expected[subject][axis])
        labels = [fitted.label(subject, segment) for subject, segment in trials(rated_by)]
        assert labels == [
            int(point[axis] > expected[subject][axis])
            for subject, own in rated_by.items()
            for point in own
        ]


def test_strangers_get_the_threshold_of_all_ratings_together() -> None:
    # Not the mean of the subjects' thresholds: S2 counts for as many ratings as there are.
    rated_by = {"S1": clumps(1, n=9), "S2": clumps(2, n=3)}
    pooled = two_means([point for own in rated_by.values() for point in own])
    found = dict(VALENCE.fitted("kmeans", trials(rated_by), ["S7", "S1", "S2", "S8"]).thresholds)
    assert found["S7"] == found["S8"] == pytest.approx(pooled[1])
    assert found["S7"] != pytest.approx((found["S1"] + found["S2"]) / 2)


def test_clusters_are_found_in_the_plane_and_not_on_one_axis() -> None:
    # Arousal tells two clusters apart, across which valence is spread out; on the axis of valence
    # alone the threshold would be 5.5.
    own: Points = [(1.0, 1.0), (1.0, 2.0), (1.0, 9.0), (9.0, 1.0), (9.0, 8.0), (9.0, 9.0)]
    assert two_means(own) == pytest.approx([5.0, 5.0])
    ((_, threshold),) = VALENCE.fitted("kmeans", trials({"S1": own}), ["S1"]).thresholds
    assert threshold == pytest.approx(5.0)
    alone = replace(VALENCE, plane=("valence", "valence"))
    ((_, threshold),) = alone.fitted("kmeans", trials({"S1": own}), ["S1"]).thresholds
    assert threshold == pytest.approx((4 / 3 + 26 / 3) / 2)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["median", "kmeans"]), points, people, people, st.data())
def test_nobody_else_moves_an_own_threshold(
    rule: str, own: Points, some: dict[str, Points], others: dict[str, Points], data: st.DataObject
) -> None:
    found = []
    for rest in (some, others):
        given_ratings = data.draw(st.permutations(trials({**rest, "S1": own})))
        # Their own stay in order: the order of equal sums is not what is asked.
        given_ratings = [one for one in given_ratings if one[0] != "S1"] + trials({"S1": own})
        found.append(dict(VALENCE.fitted(rule, given_ratings, ["S1", "S9"]).thresholds))  # type: ignore[arg-type]
    assert found[0]["S1"] == found[1]["S1"]
    low, high = min(valence for _, valence in own), max(valence for _, valence in own)
    assert low - 1e-9 <= found[0]["S1"] <= high + 1e-9


@pytest.mark.parametrize("rule", ["median", "kmeans"])
@pytest.mark.parametrize(
    "own", [[(3.3, 7.1)], [(3.3, 7.1)] * 7, [(1.7, 7.1), (8.9, 7.1), (2.3, 7.1)]]
)
def test_ratings_that_are_all_the_same_are_low(rule: str, own: Points) -> None:
    task = VALENCE.fitted(rule, trials({"S1": own}), ["S1", "S2"])  # type: ignore[arg-type]
    assert task.thresholds == (("S1", 7.1), ("S2", 7.1))
    assert {task.label("S1", segment) for _, segment in trials({"S1": own})} == {0}


@pytest.mark.parametrize("low", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("high", [7.0, 8.0, 9.0])
def test_a_tie_with_the_middle_between_clusters_is_low(low: float, high: float) -> None:
    own = [(low, low)] * 3 + [(high, high)] * 5
    task = VALENCE.fitted("kmeans", trials({"S1": own}), ["S1"])
    assert task.label("S1", rated(valence=(low + high) / 2)) == 0


def test_trials_that_are_not_rated_on_both_axes_count_for_the_median_alone() -> None:
    half: Iterable[tuple[str, Segment]] = [("S1", rated(valence=9.0))] * 4
    given_ratings = [*trials({"S1": [(1.0, 1.0), (2.0, 3.0)]}), *half, ("S2", rated(arousal=4.0))]
    median = VALENCE.fitted("median", given_ratings, ["S1", "S2"])
    assert median.thresholds == (("S1", 9.0), ("S2", 9.0))
    kmeans = VALENCE.fitted("kmeans", given_ratings, ["S1", "S2"])
    assert kmeans.thresholds == (("S1", 2.0), ("S2", 2.0))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "midpoint"])
def test_without_ratings_there_is_no_threshold(rule: str) -> None:
    with pytest.raises(IncompatibleRunError, match=rf"valence, label rule {rule}: .* found none"):
        VALENCE.fitted(rule, [("S1", rated(arousal=4.0))], ["S1"])  # type: ignore[arg-type]


def test_fitting_again_starts_from_the_midpoint() -> None:
    once = VALENCE.fitted("median", trials({"S1": clumps(1)}), ["S1", "S2"])
    again = once.fitted("median", trials({"S1": clumps(2)}), ["S1"])
    assert again == VALENCE.fitted("median", trials({"S1": clumps(2)}), ["S1"])
    assert again.label("S2", rated(valence=5.1)) == 1

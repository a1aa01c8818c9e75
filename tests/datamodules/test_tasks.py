from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from datamodules.signals.recording import Segment
from datamodules.tasks import ConditionTask, QuadrantTask, RatingTask, RoundedTask, Task

VALENCE = RatingTask("valence", 5.0, source="test")
AROUSAL = replace(VALENCE, name="arousal")


def rated(trial: int = 1, **annotations: float) -> Segment:
    return Segment(0.0, 1.0, trial, annotations)


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
    labels = [
        task.label("S1", Segment(0.0, 1.0, 1, {"condition": name}))
        for name in ("rest", "read", "stress", "talk")
    ]
    assert labels == [0, 0, 1, None]
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


def test_a_task_that_only_tests_may_lack_a_class() -> None:
    exercise = {"bicycle": 0}
    task = ConditionTask("exercise", ("calm", "stress"), exercise, "test", partial=True)
    assert task.label("S1", Segment(0.0, 1.0, 1, {"condition": "bicycle"})) == 0
    with pytest.raises(ValueError, match="expected conditions for each of"):
        replace(task, partial=False)
    for wrong in ({"bicycle": 2}, {"bicycle": 0, "talk": 2}):
        with pytest.raises(ValueError, match="expected conditions for each of"):
            replace(task, conditions=wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RatingTask("valence", 5.0, "test"),
        lambda: replace(VALENCE, thresholds=(("S1", 3.0), ("S2", 3.0))),
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

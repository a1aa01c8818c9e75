from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from datamodules.archive import Archive
from datamodules.baseline import Rest, baseline_windows, baselines, first_rests, near, too_short
from datamodules.catalogue import DATASETS
from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Recording
from datamodules.tasks import ConditionTask
from datamodules.windows import index_windows

TASK = ConditionTask(
    "stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test", rest=("rest",)
)


def test_the_first_rest_is_found_in_order_of_session_and_time(archive: Archive) -> None:
    rests = first_rests(archive.recordings, TASK)
    assert rests == {
        "S1": Rest(0, 0, 2.0, 30.5),
        "S2": Rest(2, 7, 45.0, 90.0),
        "S10": Rest(3, 9, 0.5, 50.0),
    }
    for rest in rests.values():
        row, segment = archive.segments[rest.segment]
        assert row == rest.recording
        assert segment.annotations["condition"] == "rest"


def test_a_recording_may_rest_from_its_beginning(archive: Archive) -> None:
    rests = first_rests(archive.recordings, replace(TASK, rests_before=True))
    assert [rest.start for rest in rests.values()] == [0.0, 0.0, 0.0]
    assert [rest.stop for rest in rests.values()] == [30.5, 90.0, 50.0]


def test_who_rests_less_is_named(archive: Archive) -> None:
    assert list(too_short(first_rests(archive.recordings, TASK), ("S1", "S2", "S10"), 40.0)) == [
        "S1"
    ]
    with pytest.raises(IncompatibleRunError, match=r"expected 40 s of rest of everybody.*S1"):
        baselines(archive, TASK, 40.0)
    assert baselines(archive, TASK, 20.0)["S2"] == Rest(2, 7, 45.0, 65.0)


def test_a_task_without_rest_has_no_baseline(archive: Archive) -> None:
    for task in (replace(TASK, rest=()), DATASETS["deap"].task("valence")):
        with pytest.raises(IncompatibleRunError, match="says when people rest"):
            first_rests(archive.recordings, task)
    with pytest.raises(ValueError, match="expected rest among"):
        replace(TASK, rest=("sleep",))


def test_windows_near_a_baseline(archive: Archive) -> None:
    index = index_windows(archive, TASK, 5.0, 1.25, None, in_units=False)
    rests = baselines(archive, TASK, 20.0)
    for gap in (0.0, 5.0, 20.0):
        expected = [
            index.recording[row] == rest.recording
            and index.start[row] + 5.0 > rest.start - gap
            and index.start[row] < rest.stop + gap
            for row in range(len(index))
            for rest in [rests[archive.recordings[index.recording[row]].subject]]
        ]
        assert near(archive, rests.values(), index, gap).tolist() == expected
        assert any(expected)
        assert not all(expected)


def test_recordings_of_a_session_are_placed_by_their_offsets(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    spans = [(0.0, 20.0, "rest")], [(0.0, 20.0, "stress")]
    for offset, reached in ((0.0, []), (21.0, [0.0]), (60.0, [])):
        archive = archive_of(
            {
                "S1": (
                    make_recording("S1", spans[0]),
                    replace(make_recording("S1", spans[1]), offset=offset),
                )
            }
        )
        index = index_windows(archive, TASK, 5.0, 5.0, None, in_units=False)
        close = near(archive, baselines(archive, TASK, 20.0).values(), index, 5.0)
        assert index.start[close & (index.recording == 1)].tolist() == reached


def test_windows_inside_baselines(archive: Archive) -> None:
    windows = baseline_windows(archive, baselines(archive, TASK, 20.0).values(), 10.0, 5.0)
    assert windows.start.tolist() == [2.0, 7.0, 12.0, 45.0, 50.0, 55.0, 0.5, 5.5, 10.5]
    assert windows.recording.tolist() == [0] * 3 + [2] * 3 + [3] * 3
    assert windows.subject.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert np.unique(windows.target).tolist() == [-1]


def test_datasets_with_rest_say_so() -> None:
    resting = {
        name
        for name, dataset in DATASETS.items()
        for task in dataset.every_task().values()
        if isinstance(task, ConditionTask) and task.rest
    }
    assert {"stress_predict", "wearable_stress", "eegmat", "wesad"} <= resting
    assert "seed_v" not in resting

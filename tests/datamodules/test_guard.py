from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from datamodules import DATAMODULES
from datamodules.cache import Archive
from datamodules.errors import LeakError
from datamodules.guard import check_no_leak
from datamodules.signals.recording import Recording
from datamodules.splits import Split
from datamodules.tasks import Task
from datamodules.windows import WindowIndex, index_windows

TASK = Task("stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test")
SUBJECTS = ("S1", "S2", "S10", "S11")
SPLIT = Split(train=("S1", "S2"), val=("S10",), test=("S11",))


@pytest.fixture
def archive(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> Archive:
    spans = [(5.0, 35.0, "rest"), (40.0, 70.0, "stress")]
    return archive_of(
        {
            name: (
                make_recording(name, spans, seed=number, session="a"),
                make_recording(name, spans, seed=number + 100, session="b"),
            )
            for number, name in enumerate(SUBJECTS)
        }
    )


@pytest.fixture
def index(archive: Archive) -> WindowIndex:
    return index_windows(archive, TASK, 10.0, 5.0, None, in_units=False)


@pytest.fixture
def parts(index: WindowIndex) -> dict[str, WindowIndex]:
    return {
        part: index.take(np.flatnonzero(np.isin(index.subject, members)))
        for part, members in (("train", [0, 1]), ("val", [2]), ("test", [3]))
    }


def join(one: WindowIndex, other: WindowIndex) -> WindowIndex:
    columns = {
        column.name: np.concatenate([getattr(one, column.name), getattr(other, column.name)])
        for column in fields(one)
        if column.name != "length"
    }
    return WindowIndex(**columns, length=one.length)


def rows(windows: WindowIndex, *numbers: int) -> WindowIndex:
    return windows.take(np.array(numbers))


def everywhere(subject: str) -> Split:
    """A split that was tampered with: the subject is in all three parts."""
    split = replace(SPLIT)
    for part in ("train", "val", "test"):
        object.__setattr__(split, part, (*getattr(SPLIT, part), subject))
    return split


def test_honest_parts_pass(archive: Archive, parts: dict[str, WindowIndex]) -> None:
    assert [len(windows) for windows in parts.values()] == [40, 20, 20]
    check_no_leak(archive, SPLIT, parts)


@pytest.mark.parametrize(
    ("part", "source", "subject"),
    [
        ("train", "test", "S11"),
        ("train", "val", "S10"),
        ("val", "test", "S11"),
        ("val", "train", "S1"),
        ("test", "train", "S1"),
        ("test", "val", "S10"),
    ],
)
def test_a_window_of_somebody_else(
    archive: Archive, parts: dict[str, WindowIndex], part: str, source: str, subject: str
) -> None:
    # Taken away on its own side: it is the subject that gives it away, not the overlap.
    stolen = rows(parts[source], 6)
    parts[part] = join(parts[part], stolen)
    parts[source] = parts[source].take(
        np.flatnonzero(parts[source].recording != stolen.recording[0])
    )
    with pytest.raises(
        LeakError, match=rf"1 window\(s\) in {part} are of .* who are not in it: {subject} at 45 s"
    ):
        check_no_leak(archive, SPLIT, parts)


def test_a_stolen_window_under_a_false_name(
    archive: Archive, parts: dict[str, WindowIndex]
) -> None:
    stolen = rows(parts["test"], 6)
    stolen.subject[:] = 0
    parts["train"] = join(parts["train"], stolen)
    with pytest.raises(LeakError, match=r"train are of subjects .* S11 at 45 s"):
        check_no_leak(archive, SPLIT, parts)


def test_many_stolen_windows_are_counted(archive: Archive, parts: dict[str, WindowIndex]) -> None:
    parts["train"] = join(parts["train"], parts["test"])
    with pytest.raises(LeakError, match=r"20 window\(s\) in train .*, \.\.\. ?\. train has"):
        check_no_leak(archive, SPLIT, parts)


@pytest.mark.parametrize(("part", "row", "right"), [("train", 7, "S1"), ("test", 3, "S11")])
def test_a_wrong_subject_column(
    archive: Archive, parts: dict[str, WindowIndex], part: str, row: int, right: str
) -> None:
    parts[part].subject[row] = 1
    at = parts[part].start[row]
    with pytest.raises(
        LeakError, match=f"{part} is labelled as of subject S2, .* of {right} at {at:g} s"
    ):
        check_no_leak(archive, SPLIT, parts)


def test_the_same_trial_on_two_sides(archive: Archive, parts: dict[str, WindowIndex]) -> None:
    # Windows at 5 and 20 s of trial 1: they do not touch.
    parts["train"] = join(parts["train"], rows(parts["test"], 3))
    parts["test"] = rows(parts["test"], 0)
    with pytest.raises(LeakError, match=r"trial\(s\) \[1\] of S11, session a .* 20 s") as caught:
        check_no_leak(archive, everywhere("S11"), parts)
    assert "train and test" in str(caught.value)


@pytest.mark.parametrize("shift", [-9.9, -5.0, 0.0, 5.0, 9.9])
def test_overlapping_windows_on_two_sides(
    archive: Archive, parts: dict[str, WindowIndex], shift: float
) -> None:
    stolen = rows(parts["val"], 2)
    parts["val"] = rows(parts["val"], 2, 8)
    stolen.trial[:] = 9
    stolen.start[:] += shift
    parts["train"] = join(parts["train"], stolen)
    at = f"{stolen.start[0]:g}"
    with pytest.raises(
        LeakError, match=rf"1 window\(s\) of S10, session a overlap .*train and val, .* at {at} s"
    ):
        check_no_leak(archive, everywhere("S10"), parts)


@pytest.mark.parametrize("shift", [-10.0, 10.0])
def test_one_recording_on_two_sides_without_overlap(
    archive: Archive, parts: dict[str, WindowIndex], shift: float
) -> None:
    stolen = rows(parts["val"], 2)
    parts["val"] = rows(parts["val"], 2)
    stolen.trial[:] = 9
    stolen.start[:] += shift
    parts["train"] = join(parts["train"], stolen)
    with pytest.raises(LeakError, match=r"subject\(s\) \['S10'\] are in both train and val"):
        check_no_leak(archive, everywhere("S10"), parts)


def test_two_sessions_of_one_subject_on_two_sides(
    archive: Archive, parts: dict[str, WindowIndex]
) -> None:
    second = np.flatnonzero(parts["test"].recording == 7)
    first = np.flatnonzero(parts["test"].recording == 6)
    parts["train"] = join(parts["train"], parts["test"].take(second))
    parts["test"] = parts["test"].take(first)
    with pytest.raises(LeakError, match="S11"):
        check_no_leak(archive, SPLIT, parts)
    with pytest.raises(LeakError, match=r"subject\(s\) \['S11'\] are in both train and test"):
        check_no_leak(archive, everywhere("S11"), parts)


@pytest.mark.parametrize("dataset", DATAMODULES)
def test_every_dataset_is_honest_and_would_be_caught(dataset: str, small_datasets: Any) -> None:
    for fold in range(3):
        module = small_datasets.module(dataset, fold=fold)
        module.setup()
        parts = {part: module.windows(part) for part in ("train", "val", "test")}
        check_no_leak(module.archive, module.split, parts)
        parts["train"] = join(parts["train"], rows(parts["test"], 0))
        with pytest.raises(LeakError, match=f"{module.split.test[0]} at "):
            check_no_leak(module.archive, module.split, parts)

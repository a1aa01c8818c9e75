from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from datamodules.cache import Archive
from datamodules.catalogue import DATAMODULES
from datamodules.errors import LeakError
from datamodules.guard import check_no_leak
from datamodules.signals.recording import Recording, Segment
from datamodules.splits import Split, SplitName, split_trials
from datamodules.tasks import ConditionTask
from datamodules.windows import WindowIndex, index_trials, index_windows

TASK = ConditionTask("stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test")
SUBJECTS = ("S1", "S2", "S10", "S11")
SPLIT = Split(train=("S1", "S2"), val=("S10",), test=("S11",))


@pytest.fixture
def archive(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> Archive:
    spans = [(5.0, 35.0, "rest"), (40.0, 70.0, "stress"), (0.0, 75.0, "all of it")]
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


def as_of_the_long_trial(archive: Archive, windows: WindowIndex) -> None:
    """Say that windows are of the trial that lasts for the whole recording, so that they may."""
    for position, (row, segment) in enumerate(archive.segments):
        if row == windows.recording[0] and segment.annotations["condition"] == "all of it":
            windows.segment[:], windows.trial[:] = position, segment.trial


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
        LeakError, match=rf"1 window\(s\) in {part} are of .* that are not in it: {subject} at 45 s"
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
    as_of_the_long_trial(archive, stolen)
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
    as_of_the_long_trial(archive, stolen)
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


# ---- splits of trials

N_CLIPS = 6
CLIP = 20.0
"""Seconds; half of the clips last 5 s less."""


def clips(subject: str, number: int, make_recording: Callable[..., Recording]) -> list[Recording]:
    """The same clips for everybody, each a recording of its own, in an order of their own."""
    found = []
    for trial, clip in enumerate(np.random.default_rng(number).permutation(N_CLIPS), start=1):
        condition = "rest" if clip % 2 else "stress"
        made = make_recording(subject, [(0.0, CLIP - 5 * (clip % 2), condition)], seed=number)
        (segment,) = made.segments
        annotations = {**segment.annotations, "stimulus": f"clip {clip}"}
        segments = (Segment(segment.start, segment.stop, trial, annotations),)
        found.append(replace(made, segments=segments))
    return found


@pytest.fixture
def trial_archive(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> Archive:
    return archive_of(
        {
            name: tuple(clips(name, number, make_recording))
            for number, name in enumerate(("S1", "S2", "S10"))
        }
    )


def split_of(archive: Archive, name: SplitName, fold: int = 0) -> Split:
    subjects = {stored.subject for stored in archive.subjects}
    trials: dict[str, list[tuple[str, str]]] = {name: [] for name in sorted(subjects)}
    for recording in archive.recordings:
        for segment in recording.segments:
            trials[recording.subject].append(("1", str(segment.annotations["stimulus"])))
    return split_trials(name, trials, fold, 0, 3)


def parts_of(archive: Archive, split: Split, index: WindowIndex) -> dict[str, WindowIndex]:
    """Windows of the subjects and trials of each part, picked one by one."""
    assert split.trials is not None
    found = {}
    for part in ("train", "val", "test"):
        mine = []
        for row in range(len(index)):
            recording = archive.recordings[index.recording[row]]
            (segment,) = recording.segments
            if (
                recording.subject in getattr(split, part)
                and segment.annotations["stimulus"] in split.trials[part]
            ):
                mine.append(row)
        found[part] = index.take(np.array(mine))
    return found


def indices(archive: Archive) -> dict[str, WindowIndex]:
    return {
        "cut": index_windows(archive, TASK, 10.0, 5.0, None, in_units=False),
        "padded": index_trials(archive, TASK, CLIP),
    }


@pytest.mark.parametrize("how", ["cut", "padded"])
@pytest.mark.parametrize("name", ["trial_k_fold", "subject_stimulus_k_fold"])
def test_honest_splits_of_trials_pass(trial_archive: Archive, name: SplitName, how: str) -> None:
    index = indices(trial_archive)[how]
    for fold in range(3):
        split = split_of(trial_archive, name, fold)
        parts = parts_of(trial_archive, split, index)
        assert all(len(windows) for windows in parts.values())
        check_no_leak(trial_archive, split, parts)


@pytest.mark.parametrize("how", ["cut", "padded"])
@pytest.mark.parametrize(("part", "source"), [("train", "test"), ("test", "val"), ("val", "train")])
def test_a_trial_of_another_part(trial_archive: Archive, how: str, part: str, source: str) -> None:
    split = split_of(trial_archive, "trial_k_fold")
    parts = parts_of(trial_archive, split, indices(trial_archive)[how])
    stolen = rows(parts[source], 0)
    key = trial_archive.trial_keys[stolen.segment[0]]
    parts[part] = join(parts[part], stolen)
    keep = np.flatnonzero(parts[source].segment != stolen.segment[0])
    parts[source] = parts[source].take(keep)
    with pytest.raises(
        LeakError, match=rf"1 window\(s\) in {part} are of trials .* not in it: {key} at 0 s"
    ):
        check_no_leak(trial_archive, split, parts)


def test_a_trial_in_two_parts_of_a_split(trial_archive: Archive) -> None:
    # As if the split had been made wrongly: both parts say that the trial is theirs.
    split = split_of(trial_archive, "trial_k_fold")
    parts = parts_of(trial_archive, split, indices(trial_archive)["cut"])
    assert split.trials is not None
    key = sorted(split.trials["test"])[0]
    wrong = replace(split)
    object.__setattr__(
        wrong, "trials", {**split.trials, "train": split.trials["train"] | frozenset({key})}
    )
    (mine,) = np.nonzero(trial_archive.trial_keys[parts["test"].segment] == key)
    windows = parts["test"].take(mine)
    assert len(windows) > 1
    parts["train"] = join(parts["train"], rows(windows, 0))
    parts["test"] = join(
        rows(windows, 1), parts["test"].take(np.setdiff1d(np.arange(len(parts["test"])), mine))
    )
    # Of one recording: found by the number of the trial.
    with pytest.raises(
        LeakError, match=r"trial\(s\) \[\d\] of S1, session 1 are in both train and"
    ):
        check_no_leak(trial_archive, wrong, parts)


def test_a_clip_of_one_subject_under_two_numbers(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    # Seen twice by the subject, in two recordings: nothing but its name tells that it is the same.
    first, *others = clips("S1", 0, make_recording)
    name = first.segments[0].annotations["stimulus"]
    again = replace(first, segments=(replace(first.segments[0], trial=99),))
    archive = archive_of({"S1": (first, *others, again)})
    index = index_trials(archive, TASK, CLIP)
    keys = archive.trial_keys[index.segment].tolist()
    assert keys.count(name) == 2
    a, b, *rest = [key for key in keys if key != name]
    split = Split(
        ("S1",),
        ("S1",),
        ("S1",),
        {"train": frozenset([name, *rest]), "val": frozenset([a]), "test": frozenset([b])},
    )
    assert split.trials is not None
    object.__setattr__(split, "trials", {**split.trials, "test": frozenset([b, name])})
    parts = {
        part: index.take(np.flatnonzero([key in names for key in keys]))
        for part, names in split.trials.items()
    }
    parts["train"] = parts["train"].take(np.flatnonzero(parts["train"].trial != 99))
    parts["test"] = parts["test"].take(np.flatnonzero(parts["test"].trial != 1))
    with pytest.raises(LeakError, match=rf"trial\(s\) \['{name}'\] are in both train and test"):
        check_no_leak(archive, split, parts)


def test_a_song_on_two_sides_with_other_listeners(trial_archive: Archive) -> None:
    split = split_of(trial_archive, "subject_stimulus_k_fold")
    parts = parts_of(trial_archive, split, indices(trial_archive)["padded"])
    assert split.trials is not None
    song = sorted(split.trials["test"])[0]
    # Heard by the training subject, who may be there; only the song may not.
    everything = indices(trial_archive)["padded"]
    subjects = np.array([found.subject for found in trial_archive.recordings])
    (row,) = np.flatnonzero(
        (trial_archive.trial_keys[everything.segment] == song)
        & (subjects[everything.recording] == split.train[0])
    )
    parts["train"] = join(parts["train"], rows(everything, row))
    with pytest.raises(LeakError, match=rf"in train are of trials .* not in it: {song} at"):
        check_no_leak(trial_archive, split, parts)
    wrong = replace(split)
    object.__setattr__(
        wrong, "trials", {**split.trials, "train": split.trials["train"] | frozenset({song})}
    )
    with pytest.raises(LeakError, match=rf"trial\(s\) \['{song}'\] are in both train and test"):
        check_no_leak(trial_archive, wrong, parts)


def test_a_listener_on_two_sides_with_other_songs(trial_archive: Archive) -> None:
    split = split_of(trial_archive, "subject_stimulus_k_fold")
    (listener,) = split.test
    wrong = replace(split)
    object.__setattr__(wrong, "train", (*split.train, listener))
    parts = parts_of(trial_archive, wrong, indices(trial_archive)["padded"])
    with pytest.raises(LeakError, match=f"in train are of subjects .* not in it: {listener} at"):
        check_no_leak(trial_archive, split, parts)
    with pytest.raises(
        LeakError, match=rf"subject\(s\) \['{listener}'\] are in both train and test"
    ):
        check_no_leak(trial_archive, wrong, parts)


@pytest.mark.parametrize(
    ("column", "change"), [("start", 0.5), ("start", -0.5), ("seconds", 0.5), ("trial", 1)]
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_window_that_is_not_all_of_its_trial(
    trial_archive: Archive, part: str, column: str, change: float
) -> None:
    split = split_of(trial_archive, "subject_stimulus_k_fold")
    parts = parts_of(trial_archive, split, indices(trial_archive)["padded"])
    getattr(parts[part], column)[-1] += change
    at = parts[part].start[-1]
    with pytest.raises(
        LeakError,
        match=rf"in {part} is labelled as of trial .* of .* at {at:g} s, are not all of that trial",
    ):
        check_no_leak(trial_archive, split, parts)


def test_samples_of_another_trial_under_a_false_name(trial_archive: Archive) -> None:
    # A window of the test says that it is of a segment of train, but its samples are where they
    # were: in another recording.
    split = split_of(trial_archive, "trial_k_fold")
    parts = parts_of(trial_archive, split, indices(trial_archive)["padded"])
    stolen = rows(parts["test"], 0)
    stolen.segment[:], stolen.trial[:] = parts["train"].segment[0], parts["train"].trial[0]
    parts["train"] = join(parts["train"], stolen)
    parts["test"] = parts["test"].take(np.arange(1, len(parts["test"])))
    with pytest.raises(LeakError, match=r"in train is labelled as of trial .* not all of that"):
        check_no_leak(trial_archive, split, parts)


def test_padding_is_no_part_of_a_window(archive: Archive) -> None:
    # Trials of one recording, each padded beyond the start of the next: only samples count.
    found = index_trials(archive, TASK, 45.0)
    assert (found.start[1:2] < found.start[:1] + found.length).all()
    parts = {
        part: found.take(np.flatnonzero(np.isin(found.subject, members)))
        for part, members in (("train", [0, 1]), ("val", [2]), ("test", [3]))
    }
    check_no_leak(archive, SPLIT, parts)
    one = ("S1",)
    for train, val in (("a/1", "a/2"), ("a/2", "a/1")):
        keys = {"train": train, "val": val, "test": "b/1"}
        within = Split(one, one, one, {part: frozenset([key]) for part, key in keys.items()})
        mine = {
            part: found.take(
                np.flatnonzero((archive.trial_keys[found.segment] == key) & (found.subject == 0))
            )
            for part, key in keys.items()
        }
        assert [len(windows) for windows in mine.values()] == [1, 1, 1]
        check_no_leak(archive, within, mine)
    mine["val"].seconds[:] = 36.0
    with pytest.raises(LeakError, match="not all of that trial"):
        check_no_leak(archive, within, mine)

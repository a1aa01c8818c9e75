from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, get_args

import numpy as np
import pytest

from datamodules.archive import Archive
from datamodules.catalogue import DATASETS
from datamodules.errors import LeakError
from datamodules.fold import PARTS
from datamodules.guard import (
    Check,
    check_fitted,
    check_fold,
    check_no_leak,
    check_padding,
    check_read,
)
from datamodules.signals.recording import Recording
from datamodules.splits import SPLITS, Dealing, Members
from datamodules.tasks import ConditionTask
from datamodules.windows import WindowIndex, index_around_units, index_trials, index_windows

TASK = ConditionTask("stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test")
SUBJECTS = ("S1", "S2", "S10", "S11")
MEMBERS = Members(train=("S1", "S2"), val=("S10",), test=("S11",))


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


def test_long_windows_are_looked_at_by_all_that_they_read(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    """The score units of one trial begin where the other trial ends; the windows around them not.

    Both trials are of one recording, which is what a split within subjects deals out.
    """
    spans = [(0.0, 30.0, "rest"), (20.0, 60.0, "stress")]
    recordings = archive_of({name: (make_recording(name, spans),) for name in SUBJECTS})
    windows = index_windows(recordings, TASK, 10.0, 10.0, None, in_units=False)
    units = index_around_units(recordings, TASK, 30.0, 10.0)
    train = windows.take(np.flatnonzero((windows.subject == 0) & (windows.trial == 1)))
    test = units.take(np.flatnonzero((units.subject == 0) & (units.trial == 2) & (units.unit > 0)))
    assert (test.unit * 10.0 + 20.0 >= (train.start + 10.0).max()).all()
    assert test.start.tolist() == [20.0, 30.0, 30.0]
    trials = {"train": frozenset({"1"}), "val": frozenset({"9"}), "test": frozenset({"2"})}
    keys = recordings.trial_keys
    names = {
        part: frozenset(keys[w.segment].tolist()) for part, w in (("train", train), ("test", test))
    }
    members = Members(("S1",), ("S1",), ("S1",), {**trials, **names})
    with pytest.raises(
        LeakError, match=r"1 window\(s\) of S1.* overlap across both train and test"
    ):
        check_no_leak(recordings, members, {"train": train, "test": test})
    check_no_leak(recordings, members, {"train": train, "test": test.take(np.array([1, 2]))})


def test_a_long_window_that_leaves_its_trial(archive: Archive) -> None:
    units = index_around_units(archive, TASK, 25.0, 10.0)
    test = units.take(np.flatnonzero(units.subject == 3))
    check_no_leak(archive, MEMBERS, {"test": test})
    test.start[0] -= 1.0
    with pytest.raises(LeakError, match="at 4 s, are not all of that trial"):
        check_no_leak(archive, MEMBERS, {"test": test})


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


def everywhere(subject: str) -> Members:
    """Members that were tampered with: the subject is in all three parts."""
    members = replace(MEMBERS)
    for part in PARTS:
        object.__setattr__(members, part, (*getattr(MEMBERS, part), subject))
    return members


def test_honest_parts_pass(archive: Archive, parts: dict[str, WindowIndex]) -> None:
    assert [len(windows) for windows in parts.values()] == [40, 20, 20]
    check_no_leak(archive, MEMBERS, parts)


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
        check_no_leak(archive, MEMBERS, parts)


def test_a_stolen_window_under_a_false_name(
    archive: Archive, parts: dict[str, WindowIndex]
) -> None:
    stolen = rows(parts["test"], 6)
    stolen.subject[:] = 0
    parts["train"] = join(parts["train"], stolen)
    with pytest.raises(LeakError, match=r"train are of subjects .* S11 at 45 s"):
        check_no_leak(archive, MEMBERS, parts)


def test_many_stolen_windows_are_counted(archive: Archive, parts: dict[str, WindowIndex]) -> None:
    parts["train"] = join(parts["train"], parts["test"])
    with pytest.raises(LeakError, match=r"20 window\(s\) in train .*, \.\.\. ?\. train has"):
        check_no_leak(archive, MEMBERS, parts)


@pytest.mark.parametrize(("part", "row", "right"), [("train", 7, "S1"), ("test", 3, "S11")])
def test_a_wrong_subject_column(
    archive: Archive, parts: dict[str, WindowIndex], part: str, row: int, right: str
) -> None:
    parts[part].subject[row] = 1
    at = parts[part].start[row]
    with pytest.raises(
        LeakError, match=f"{part} is labelled as of subject S2, .* of {right} at {at:g} s"
    ):
        check_no_leak(archive, MEMBERS, parts)


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
        check_no_leak(archive, MEMBERS, parts)
    with pytest.raises(LeakError, match=r"subject\(s\) \['S11'\] are in both train and test"):
        check_no_leak(archive, everywhere("S11"), parts)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_is_honest_and_would_be_caught(dataset: str, small_datasets: Any) -> None:
    for fold in range(3):
        module = small_datasets.module(dataset, fold=fold)
        module.setup()
        parts = {part: module.windows(part) for part in PARTS}
        check_no_leak(module.fold.archive, module.fold.members, parts)
        parts["train"] = join(parts["train"], rows(parts["test"], 0))
        with pytest.raises(LeakError, match=f"{module.fold.members.test[0]} at "):
            check_no_leak(module.fold.archive, module.fold.members, parts)


# ---- splits of trials

N_CLIPS = 6
CLIP = 20.0
"""Seconds; half of the clips last 5 s less."""


def clips(subject: str, number: int, make_recording: Callable[..., Recording]) -> list[Recording]:
    """The same clips for everybody, each a recording of its own, in an order of their own."""
    recordings = []
    for trial, clip in enumerate(np.random.default_rng(number).permutation(N_CLIPS), start=1):
        condition = "rest" if clip % 2 else "stress"
        made = make_recording(subject, [(0.0, CLIP - 5 * (clip % 2), condition)], seed=number)
        (segment,) = made.segments
        segments = (replace(segment, trial=trial, stimulus=f"clip {clip}"),)
        recordings.append(replace(made, segments=segments))
    return recordings


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


def members_of(archive: Archive, name: str, fold: int = 0) -> Members:
    subjects = {stored.subject for stored in archive.subjects}
    trials: dict[str, list[tuple[str, str]]] = {name: [] for name in sorted(subjects)}
    for recording in archive.recordings:
        for segment in recording.segments:
            trials[recording.subject].append(("1", str(segment.stimulus)))
    return SPLITS[name].members(trials, Dealing(fold, seed=0, folds=3))


def parts_of(archive: Archive, members: Members, index: WindowIndex) -> dict[str, WindowIndex]:
    """Windows of the subjects and trials of each part, picked one by one."""
    assert members.trials is not None
    parts = {}
    for part in PARTS:
        chosen = []
        for row in range(len(index)):
            recording = archive.recordings[index.recording[row]]
            (segment,) = recording.segments
            if (
                recording.subject in getattr(members, part)
                and segment.stimulus in members.trials[part]
            ):
                chosen.append(row)
        parts[part] = index.take(np.array(chosen))
    return parts


def indices(archive: Archive) -> dict[str, WindowIndex]:
    return {
        "cut": index_windows(archive, TASK, 10.0, 5.0, None, in_units=False),
        "padded": index_trials(archive, TASK, CLIP),
    }


@pytest.mark.parametrize("how", ["cut", "padded"])
@pytest.mark.parametrize("name", ["trial_k_fold", "subject_stimulus_k_fold"])
def test_honest_splits_of_trials_pass(trial_archive: Archive, name: str, how: str) -> None:
    index = indices(trial_archive)[how]
    for fold in range(3):
        members = members_of(trial_archive, name, fold)
        parts = parts_of(trial_archive, members, index)
        assert all(len(windows) for windows in parts.values())
        check_no_leak(trial_archive, members, parts)


@pytest.mark.parametrize("how", ["cut", "padded"])
@pytest.mark.parametrize(("part", "source"), [("train", "test"), ("test", "val"), ("val", "train")])
def test_a_trial_of_another_part(trial_archive: Archive, how: str, part: str, source: str) -> None:
    members = members_of(trial_archive, "trial_k_fold")
    parts = parts_of(trial_archive, members, indices(trial_archive)[how])
    stolen = rows(parts[source], 0)
    key = trial_archive.trial_keys[stolen.segment[0]]
    parts[part] = join(parts[part], stolen)
    keep = np.flatnonzero(parts[source].segment != stolen.segment[0])
    parts[source] = parts[source].take(keep)
    with pytest.raises(
        LeakError, match=rf"1 window\(s\) in {part} are of trials .* not in it: {key} at 0 s"
    ):
        check_no_leak(trial_archive, members, parts)


def test_a_trial_in_two_parts_of_the_members(trial_archive: Archive) -> None:
    # As if the members had been dealt wrongly: both parts say that the trial is theirs.
    members = members_of(trial_archive, "trial_k_fold")
    parts = parts_of(trial_archive, members, indices(trial_archive)["cut"])
    assert members.trials is not None
    key = sorted(members.trials["test"])[0]
    wrong = replace(members)
    object.__setattr__(
        wrong, "trials", {**members.trials, "train": members.trials["train"] | frozenset({key})}
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
    name = first.segments[0].stimulus
    again = replace(first, segments=(replace(first.segments[0], trial=99),))
    archive = archive_of({"S1": (first, *others, again)})
    index = index_trials(archive, TASK, CLIP)
    keys = archive.trial_keys[index.segment].tolist()
    assert keys.count(name) == 2
    a, b, *rest = [key for key in keys if key != name]
    members = Members(
        ("S1",),
        ("S1",),
        ("S1",),
        {"train": frozenset([name, *rest]), "val": frozenset([a]), "test": frozenset([b])},
    )
    assert members.trials is not None
    object.__setattr__(members, "trials", {**members.trials, "test": frozenset([b, name])})
    parts = {
        part: index.take(np.flatnonzero([key in names for key in keys]))
        for part, names in members.trials.items()
    }
    parts["train"] = parts["train"].take(np.flatnonzero(parts["train"].trial != 99))
    parts["test"] = parts["test"].take(np.flatnonzero(parts["test"].trial != 1))
    with pytest.raises(LeakError, match=rf"trial\(s\) \['{name}'\] are in both train and test"):
        check_no_leak(archive, members, parts)


def test_a_song_on_two_sides_with_other_listeners(trial_archive: Archive) -> None:
    members = members_of(trial_archive, "subject_stimulus_k_fold")
    parts = parts_of(trial_archive, members, indices(trial_archive)["padded"])
    assert members.trials is not None
    song = sorted(members.trials["test"])[0]
    # Heard by the training subject, who may be there; only the song may not.
    everything = indices(trial_archive)["padded"]
    subjects = np.array([recording.subject for recording in trial_archive.recordings])
    (row,) = np.flatnonzero(
        (trial_archive.trial_keys[everything.segment] == song)
        & (subjects[everything.recording] == members.train[0])
    )
    parts["train"] = join(parts["train"], rows(everything, row))
    with pytest.raises(LeakError, match=rf"in train are of trials .* not in it: {song} at"):
        check_no_leak(trial_archive, members, parts)
    wrong = replace(members)
    object.__setattr__(
        wrong, "trials", {**members.trials, "train": members.trials["train"] | frozenset({song})}
    )
    with pytest.raises(LeakError, match=rf"stimulus\(s\) \['{song}'\] are in both train and test"):
        check_no_leak(trial_archive, wrong, parts)


def test_a_listener_on_two_sides_with_other_songs(trial_archive: Archive) -> None:
    members = members_of(trial_archive, "subject_stimulus_k_fold")
    (listener,) = members.test
    wrong = replace(members)
    object.__setattr__(wrong, "train", (*members.train, listener))
    parts = parts_of(trial_archive, wrong, indices(trial_archive)["padded"])
    with pytest.raises(LeakError, match=f"in train are of subjects .* not in it: {listener} at"):
        check_no_leak(trial_archive, members, parts)
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
    members = members_of(trial_archive, "subject_stimulus_k_fold")
    parts = parts_of(trial_archive, members, indices(trial_archive)["padded"])
    getattr(parts[part], column)[-1] += change
    at = parts[part].start[-1]
    with pytest.raises(
        LeakError,
        match=rf"in {part} is labelled as of trial .* of .* at {at:g} s, are not all of that trial",
    ):
        check_no_leak(trial_archive, members, parts)


def test_samples_of_another_trial_under_a_false_name(trial_archive: Archive) -> None:
    # A window of the test says that it is of a segment of train, but its samples are where they
    # were: in another recording.
    members = members_of(trial_archive, "trial_k_fold")
    parts = parts_of(trial_archive, members, indices(trial_archive)["padded"])
    stolen = rows(parts["test"], 0)
    stolen.segment[:], stolen.trial[:] = parts["train"].segment[0], parts["train"].trial[0]
    parts["train"] = join(parts["train"], stolen)
    parts["test"] = parts["test"].take(np.arange(1, len(parts["test"])))
    with pytest.raises(LeakError, match=r"in train is labelled as of trial .* not all of that"):
        check_no_leak(trial_archive, members, parts)


def test_padding_is_no_part_of_a_window(archive: Archive) -> None:
    # Trials of one recording, each padded beyond the start of the next: only samples count.
    trials = index_trials(archive, TASK, 45.0)
    assert (trials.start[1:2] < trials.start[:1] + trials.length).all()
    parts = {
        part: trials.take(np.flatnonzero(np.isin(trials.subject, members)))
        for part, members in (("train", [0, 1]), ("val", [2]), ("test", [3]))
    }
    check_no_leak(archive, MEMBERS, parts)
    one = ("S1",)
    for train, val in (("a/1", "a/2"), ("a/2", "a/1")):
        keys = {"train": train, "val": val, "test": "b/1"}
        within = Members(one, one, one, {part: frozenset([key]) for part, key in keys.items()})
        mine = {
            part: trials.take(
                np.flatnonzero((archive.trial_keys[trials.segment] == key) & (trials.subject == 0))
            )
            for part, key in keys.items()
        }
        assert [len(windows) for windows in mine.values()] == [1, 1, 1]
        check_no_leak(archive, within, mine)
    mine["val"].seconds[:] = 36.0
    with pytest.raises(LeakError, match="not all of that trial"):
        check_no_leak(archive, within, mine)


# ---- the other checks, and their permission


def test_a_fold_is_checked_for_all_of_it(small_datasets: Any) -> None:
    module = small_datasets.module("synthetic")
    module.setup()
    fold = module.fold
    check_fold(fold)
    everything = np.arange(len(fold.archive.segments))
    chosen_on_test = replace(fold.members, val=fold.members.test, disjoint=False)
    flawed: dict[Check, Any] = {
        "scaling": replace(fold, scaling_from=everything),
        "choice": replace(fold, members=chosen_on_test, chosen_on="test"),
    }
    for check, other in flawed.items():
        with pytest.raises(LeakError, match="leak: "):
            check_fold(other)
        with pytest.raises(LeakError, match="leak: "):
            check_fold(other, [name for name in get_args(Check) if name not in (check, *WIDER)])
        check_fold(other, [check])
    # Nothing is fitted, so that nothing is fitted on too much.
    check_fold(replace(flawed["scaling"], windowing=replace(fold.windowing, scaling="none")))


WIDER: tuple[Check, ...] = ("groups", "overlap", "copies")
"""Checks that also hold of two equal parts."""


def test_what_chooses_is_not_checked_where_all_that_is_trained_on_does(
    small_datasets: Any,
) -> None:
    module = small_datasets.module("synthetic", validation=False)
    module.setup()
    check_fold(module.fold)
    with pytest.raises(LeakError, match="both train and val"):
        check_fold(replace(module.fold, chosen_on="val"))


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        ((), r"trial\(s\) \[1\] of S10, session a"),
        (("groups",), r"trial\(s\) \[1\] of S10, session a"),
        (
            ("overlap",),
            r"1 window\(s\) are .* val, the first of S10, trial 1, at 15 s",
        ),
        (("groups", "overlap"), r"1 window\(s\) are in both train and val"),
        (("overlap", "copies"), r"subject\(s\) \['S10'\] are in both train and val"),
        (("groups", "overlap", "copies"), None),
    ],
)
def test_each_check_has_a_permission_of_its_own(
    archive: Archive,
    parts: dict[str, WindowIndex],
    passed: tuple[Check, ...],
    message: str | None,
) -> None:
    parts["train"] = join(parts["train"], rows(parts["val"], 2))
    if message is None:
        check_no_leak(archive, everywhere("S10"), parts, passed)
        return
    with pytest.raises(LeakError, match=message):
        check_no_leak(archive, everywhere("S10"), parts, passed)


def test_no_permission_lets_a_stranger_or_a_false_column_pass(
    archive: Archive, parts: dict[str, WindowIndex]
) -> None:
    wrong = {**parts, "train": join(parts["train"], rows(parts["val"], 2))}
    with pytest.raises(LeakError, match=r"in train are of subjects .* S10 at 15 s"):
        check_no_leak(archive, MEMBERS, wrong, get_args(Check))
    parts["test"].subject[3] = 1
    with pytest.raises(LeakError, match="test is labelled as of subject S2"):
        check_no_leak(archive, MEMBERS, parts, get_args(Check))


def test_what_is_fitted_on_more_than_is_trained_on(archive: Archive) -> None:
    positions = np.arange(len(archive.segments))
    check_fitted(archive, "the scaling was", positions[:3], positions[:6])
    check_fitted(archive, "the scaling was", positions[:0], positions[:6])
    with pytest.raises(LeakError) as caught:
        check_fitted(archive, "label thresholds were", positions[:7], positions[:6])
    assert str(caught.value) == (
        "leak: label thresholds were fitted on 1 segment(s) that are not trained on: S2 trial 1."
    )
    with pytest.raises(LeakError, match=r"fitted on 18 segment\(s\) .*S2 trial 2, \.\.\.\.$"):
        check_fitted(archive, "the scaling was", positions, positions[:6])


def test_padding_that_differs_tells_trials_apart(archive: Archive) -> None:
    trials = index_trials(archive, TASK, 45.0)
    check_padding(trials)
    trials.seconds[2] -= 0.5
    with pytest.raises(LeakError, match=r"29\.5 to 30 s are filled up to 45 s with no mask"):
        check_padding(trials)


def test_the_test_part_is_not_read_early() -> None:
    for passed in ((), [name for name in get_args(Check) if name != "reading"]):
        with pytest.raises(LeakError, match="read while the model is fitted"):
            check_read(passed)
    check_read(["reading"])

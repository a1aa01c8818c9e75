"""Labelled minutes by plain loops, and that nothing of them is near what is tested."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from datamodules.errors import LeakError
from datamodules.minutes import (
    LONGEST,
    check_minutes,
    ends_of_minutes,
    gap_of,
    labelled_clock,
    people_after,
    seconds_since,
)
from datamodules.synthetic import SYNTHETIC, SyntheticReader
from datamodules.tasks import ConditionTask
from datamodules.windows import index_windows

TASK = ConditionTask("stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test")
FIRST = [(5.0, 305.0, "rest"), (310.0, 400.0, "talk"), (420.0, 600.0, "stress")]
SECOND = [(10.0, 310.0, "stress"), (320.0, 900.0, "rest")]
UNIT = 30.0
OPTIONS = {"n_subjects": 4, "phase": 150.0}
"""Eight phases, twenty minutes of each person."""


@pytest.fixture
def archive(archive_of, make_recording):
    """S1 has two sessions, of 8 and 14.7 labelled minutes; S2 is short."""
    return archive_of(
        {
            "S1": (
                make_recording("S1", FIRST, session="a"),
                make_recording("S1", SECOND, seed=1, session="b"),
            ),
            "S2": (make_recording("S2", FIRST, seed=2, session="a"),),
        }
    )


def test_the_clock_counts_labelled_signal_alone(archive):
    expected = [0.0, np.nan, 300.0, 480.0, 780.0, 0.0, np.nan, 300.0]
    assert labelled_clock(archive, TASK) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("minutes", "recording", "second"),
    [(0, 0, 5.0), (1, 0, 65.0), (5, 0, 305.0), (6, 0, 480.0), (8, 0, 600.0), (10, 1, 130.0)],
)
def test_minutes_end_where_a_clock_of_labelled_signal_says(archive, minutes, recording, second):
    end = ends_of_minutes(archive, TASK, minutes)["S1"]
    assert (end.recording, end.second) == (recording, pytest.approx(second))


def test_who_has_fewer_minutes_is_left_out(archive):
    assert set(ends_of_minutes(archive, TASK, 8)) == {"S1", "S2"}
    assert set(ends_of_minutes(archive, TASK, 8.1)) == {"S1"}
    assert people_after(archive, TASK, UNIT) == ("S1",)
    assert people_after(archive, TASK, None) == ()  # its last segment begins within the gap


def test_the_gap_is_two_of_the_longest_windows_that_all_models_may_have(archive):
    assert gap_of(archive, TASK, UNIT) == 2 * LONGEST  # no segment is shorter
    assert gap_of(archive, TASK, 150.0) == 300.0
    longer = replace(TASK, conditions={**TASK.conditions, "talk": 1})
    assert gap_of(archive, longer, UNIT) == 2 * 90.0


def test_recordings_of_a_session_are_placed_by_their_offsets(archive_of, make_recording):
    def recording(offset, session="a"):
        made = make_recording("S1", [(0.0, 60.0, "rest")], seed=int(offset), session=session)
        return replace(made, offset=offset)

    archive = archive_of({"S1": (recording(0.0), recording(100.0), recording(50.0, "b"))})
    end = ends_of_minutes(archive, TASK, 0.5)["S1"]
    windows = index_windows(archive, TASK, 30.0, 30.0, 30.0, in_units=True)
    since = seconds_since(archive, end, windows, windows.start)
    assert since.tolist() == [-30.0, 0.0, 70.0, 100.0, np.inf, np.inf]


# --- folds


def module_of(small_datasets, minutes):
    module = small_datasets.module(
        "synthetic", calibration=f"labelled:{minutes:g}", options=OPTIONS
    )
    module.setup()
    return module


@pytest.fixture
def module(small_datasets):
    return module_of(small_datasets, 10)


def test_what_is_tested_is_the_same_for_every_number_of_minutes(small_datasets):
    tested = [module_of(small_datasets, minutes).columns("test") for minutes in (0, 1, 2, 5, 10)]
    for columns in tested[1:]:
        for name in tested[0]:
            assert (columns[name] == tested[0][name]).all()


def test_tested_units_are_those_after_the_minutes_and_the_gap(module, small_datasets):
    """Eight phases of 150 s follow each other; the gap is twice LONGEST."""
    ordinary = small_datasets.module("synthetic", options=OPTIONS)
    ordinary.setup()
    before, after = ordinary.windows("test"), module.windows("test")
    segments = module.fold.archive.segments
    unit = module.dataset.unit
    starts = [
        segments[segment][1].start + number * unit
        for segment, number in zip(before.segment, before.unit, strict=True)
    ]
    ends = ends_of_minutes(module.fold.archive, module.task, 10)
    expected = []
    for row, start in enumerate(starts):
        person = module.fold.archive.recordings[before.recording[row]].subject
        if start >= ends[person].second + 2 * LONGEST - 1e-6:
            expected.append((int(before.segment[row]), float(before.start[row])))
    assert list(zip(after.segment.tolist(), after.start.tolist(), strict=True)) == expected
    assert 0 < len(expected) < len(starts)


def test_training_and_validation_are_those_of_the_ordinary_protocol(module, small_datasets):
    ordinary = small_datasets.module("synthetic", options=OPTIONS)
    ordinary.setup()
    for part in ("train", "val"):
        for name, values in ordinary.columns(part).items():
            assert (module.columns(part)[name] == values).all()


@pytest.mark.parametrize("minutes", [0, 1, 2.5, 10])
def test_minutes_are_windows_of_tested_people_that_end_within_them(small_datasets, minutes):
    module = module_of(small_datasets, minutes)
    windows, fold = module.labelled_minutes(), module.fold
    clock = labelled_clock(fold.archive, module.task)
    grid = fold.grids["segments"]
    expected = []
    for row in range(len(grid)):
        segment = fold.archive.segments[grid.segment[row]][1]
        end = clock[grid.segment[row]] + grid.start[row] + grid.seconds[row] - segment.start
        if module.subjects[grid.subject[row]] in fold.members.test and end <= 60 * minutes + 1e-6:
            expected.append((int(grid.segment[row]), float(grid.start[row])))
    assert list(zip(windows.segment.tolist(), windows.start.tolist(), strict=True)) == expected
    assert bool(expected) == (minutes >= 1)


# --- the guard


def planted(module, shift):
    """The labelled windows of a fold, and one that ends some seconds before the tested part."""
    tested = module.windows("test").take(np.array([0]))
    return replace(tested, start=tested.start - tested.seconds - shift)


def test_minutes_that_overlap_the_test_are_refused(module):
    check_minutes(module.fold, module.labelled_minutes())
    with pytest.raises(LeakError, match=r"before \d+ tested window"):
        check_minutes(module.fold, planted(module, -1.0))


def test_minutes_that_are_closer_than_the_gap_are_refused(module):
    least = module.length + module.dataset.unit
    with pytest.raises(LeakError, match=f"less than {least:g} s"):
        check_minutes(module.fold, planted(module, least - 1.0))
    check_minutes(module.fold, planted(module, least))


def test_minutes_that_come_after_the_test_are_refused(module):
    late = module.windows("test")
    with pytest.raises(LeakError, match="leak: a labelled window of "):
        check_minutes(module.fold, replace(late, start=late.start + 1000.0))


def test_a_datamodule_refuses_them(module, monkeypatch):
    monkeypatch.setattr(
        "datamodules.datamodule.minutes_of", lambda fold, minutes: fold.windows("test")
    )
    with pytest.raises(LeakError, match="a window and a score unit"):
        module.labelled_minutes()


@dataclass(frozen=True)
class TwiceReader(SyntheticReader):
    """The first minutes of everybody are stored once more, where people are tested."""

    def read(self, subject):
        for recording in super().read(subject):
            for signal in recording.signals.values():
                begin, count = (round(seconds * signal.sfreq) for seconds in (1000.0, 150.0))
                signal.samples[:, begin : begin + count] = signal.samples[:, :count]
            yield recording


@pytest.mark.parametrize("minutes", [0, 10])
def test_minutes_whose_signal_is_tested_once_more_are_refused(build, minutes, tmp_path):
    """By the recordings alone: no time says that these minutes are those that are tested."""
    twice = build(
        replace(SYNTHETIC, reader=TwiceReader),
        calibration=f"labelled:{minutes:g}",
        options=OPTIONS,
        signals=("eda", "bvp"),
        cache_dir=tmp_path,
    )
    twice.prepare_data()
    twice.setup()
    if not minutes:
        assert not len(twice.labelled_minutes())
        return
    with pytest.raises(LeakError, match=r"in the labelled minutes, as .* at 1[\d.]+ s, in test"):
        twice.labelled_minutes()

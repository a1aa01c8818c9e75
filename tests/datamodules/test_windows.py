from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.archive import Archive
from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Recording, Segment
from datamodules.stored import StoredRecording, StoredSubject
from datamodules.tasks import ConditionTask
from datamodules.windows import (
    Cutting,
    WindowIndex,
    first_samples,
    index_around_units,
    index_trials,
    index_windows,
    n_samples,
    recorded_samples,
    shortest_with_unit,
    window_grids,
)

Spans = Mapping[str, Sequence[Sequence[tuple[float, float, str]]]]

TASK = ConditionTask(
    "stress", ("rest", "stress"), {"rest": 0, "fun": 0, "stress": 1}, source="test"
)
LONGEST = 12.5
"""Seconds, of the windows that whole trials are padded to."""


def plain_index(
    spans: Spans, length: float, stride: float, unit: float | None, in_units: bool
) -> list[tuple]:
    """Windows one by one: recording, start, target, subject, trial, unit."""
    rows = []
    recording = 0
    for subject, sessions in enumerate(spans.values()):
        for segments in sessions:
            for trial, (start, stop, condition) in enumerate(segments, start=1):
                if condition == "talk":
                    continue
                target = 1 if condition == "stress" else 0
                pieces = [(-1, start, stop)]
                if in_units and unit is None:
                    pieces = [(0, start, stop)]
                elif in_units:
                    pieces = []
                    while start + (len(pieces) + 1) * unit <= stop:
                        first = start + len(pieces) * unit
                        pieces.append((len(pieces), first, first + unit))
                for number, first, last in pieces:
                    now = first
                    while now + length <= last:
                        rows.append((recording, now, target, subject, trial, number))
                        now += stride
            recording += 1
    return rows


def as_rows(index: WindowIndex) -> list[tuple]:
    columns = (index.recording, index.start, index.target, index.subject, index.trial, index.unit)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("in_units", [False, True])
@pytest.mark.parametrize("unit", [None, 10.0, 9.875])
@pytest.mark.parametrize(
    ("length", "stride"), [(5.0, 5.0), (5.0, 1.0), (9.875, 0.125), (4.0, 7.5), (0.5, 0.25)]
)
def test_index_is_that_of_a_plain_loop(
    archive: Archive, spans: Spans, length: float, stride: float, unit: float | None, in_units: bool
) -> None:
    # All times are in eighths of a second, so that sums of them are exact.
    index = index_windows(archive, TASK, length, stride, unit, in_units)
    expected = plain_index(spans, length, stride, unit, in_units)
    assert as_rows(index) == expected
    assert len(expected) > 10
    assert index.length == length


def test_there_may_be_no_window(archive: Archive) -> None:
    index = index_windows(archive, TASK, 200.0, 1.0, None, in_units=True)
    assert len(index) == 0
    assert first_samples(archive, "fast", index).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 9.0), st.floats(0.3, 60.0), st.sampled_from(["rest", "stress"])),
        min_size=1,
        max_size=5,
    ),
    st.floats(0.2, 12.0),
    st.floats(0.1, 12.0),
    st.floats(0.2, 20.0),
    st.booleans(),
)
def test_windows_never_cross_a_segment_or_a_unit(
    archive_from: Callable[..., Archive],
    gaps: list[tuple[float, float, str]],
    length: float,
    stride: float,
    unit: float,
    in_units: bool,
) -> None:
    spans, now = [], 0.0
    for gap, seconds, condition in gaps:
        spans.append((now + gap, now + gap + seconds, condition))
        now = spans[-1][1]
    archive = archive_from(spans)
    index = index_windows(archive, TASK, length, stride, unit, in_units)
    seen = dict.fromkeys(range(1, len(spans) + 1), 0)
    for _, start, target, _, trial, number in as_rows(index):
        first, last, condition = spans[trial - 1]
        assert target == (condition == "stress")
        if in_units:
            first, last = first + number * unit, min(last, first + (number + 1) * unit)
        else:
            assert number == -1
        assert first - 1e-9 <= start
        assert start + length <= last + 2e-6
        seen[trial] += 1
    for trial, (first, last, _) in enumerate(spans, start=1):
        room = min(unit, last - first) if in_units else last - first
        complete = last - first >= unit if in_units else True
        if length < room - 1e-5 and complete:
            assert seen[trial] > 0


@pytest.fixture(scope="module")
def archive_from(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Archive]:
    """Archives that hold segments and no samples: the index needs no more."""
    folder = tmp_path_factory.mktemp("no_samples")

    def opened(spans: list[tuple[float, float, str]]) -> Archive:
        segments = tuple(
            Segment(start, stop, trial, {"condition": condition})
            for trial, (start, stop, condition) in enumerate(spans, start=1)
        )
        recording = StoredRecording("S1", "1", ("fast",), segments, 0.0, 1250.0)
        stored = StoredSubject("S1", folder / "S1", (recording,), (), "0", {}, (), 0)
        return Archive((stored,))

    return opened


# ---- both grids


@pytest.mark.parametrize("unit", [None, 10.0])
def test_grids_are_cut_in_segments_and_in_units(
    archive: Archive, spans: Spans, unit: float | None
) -> None:
    segments, units = window_grids(archive, TASK, Cutting(5.0, 2.5, unit))
    assert as_rows(segments) == plain_index(spans, 5.0, 2.5, unit, in_units=False)
    assert as_rows(units) == plain_index(spans, 5.0, 2.5, unit, in_units=True)


def test_every_window_may_be_a_unit_wherever_it_begins(archive: Archive, spans: Spans) -> None:
    segments, units = window_grids(archive, TASK, Cutting(5.0, 2.5, 10.0, each=True))
    assert as_rows(segments) == plain_index(spans, 5.0, 2.5, None, in_units=False)
    assert [row[:-1] for row in as_rows(units)] == [row[:-1] for row in as_rows(segments)]
    numbers: dict[int, list[int]] = {}
    for segment, unit in zip(units.segment.tolist(), units.unit.tolist(), strict=True):
        numbers.setdefault(segment, []).append(unit)
    assert all(units == list(range(len(units))) for units in numbers.values())
    assert max(map(len, numbers.values())) > 5


def test_padded_trials_are_the_same_in_both_grids(trials: Archive) -> None:
    segments, units = window_grids(trials, TASK, Cutting(LONGEST, 5.0, padded=True))
    assert segments is units
    assert as_rows(segments) == as_rows(index_trials(trials, TASK, LONGEST))


# ---- windows longer than a score unit


def plain_index_around(spans: Spans, length: float, unit: float) -> list[tuple]:
    """One window a unit, slid along the segment in steps of an eighth until its middle fits best.

    Columns as of ``plain_index``.
    """
    rows = []
    for recording, target, subject, trial, number, first, last in units_of(spans, unit):
        starts = np.arange(first, last - length + 1 / 16, 1 / 16)
        middle = first + (number + 0.5) * unit
        start = starts[np.abs(starts + length / 2 - middle).argmin()]
        rows.append((recording, start, target, subject, trial, number))
    return rows


def units_of(spans: Spans, unit: float) -> list[tuple]:
    """Units one by one: recording, target, subject, trial, number, ends of the segment."""
    rows = plain_index(spans, unit, unit, unit, in_units=True)
    sessions = [segments for of_subject in spans.values() for segments in of_subject]
    return [
        (recording, target, subject, trial, number, *sessions[recording][trial - 1][:2])
        for recording, _, target, subject, trial, number in rows
    ]


@pytest.mark.parametrize(
    ("length", "unit"), [(12.0, 10.0), (19.875, 10.0), (18.0, 17.125), (15.5, 5.25)]
)
def test_a_long_window_lies_around_its_unit(
    archive: Archive, spans: Spans, length: float, unit: float
) -> None:
    index = index_around_units(archive, TASK, length, unit)
    assert as_rows(index) == plain_index_around(spans, length, unit)
    assert index.length == length
    assert (index.seconds == length).all()
    short = index_windows(archive, TASK, 2.0, 1.0, unit, in_units=True)
    assert unit_keys(index) == unit_keys(short)
    assert len(unit_keys(index)) == len(index) > 5


def unit_keys(index: WindowIndex) -> set[tuple]:
    columns = (index.recording, index.segment, index.unit, index.target)
    return set(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 9.0), st.floats(0.3, 60.0)), min_size=1, max_size=5),
    st.floats(0.2, 20.0),
    st.floats(1.01, 4.0),
)
def test_a_long_window_holds_its_unit_and_never_leaves_the_segment(
    archive_from: Callable[..., Archive],
    gaps: list[tuple[float, float]],
    unit: float,
    factor: float,
) -> None:
    spans, now = [], 0.0
    for gap, seconds in gaps:
        spans.append((now + gap, now + gap + seconds, "rest"))
        now = spans[-1][1]
    archive = archive_from(spans)
    length = unit * factor
    shortest = shortest_with_unit(archive, TASK, unit)
    holding = [last - first for first, last, _ in spans if last - first + 1e-6 >= unit]
    assert shortest == pytest.approx(min(holding, default=0.0))
    if 0 < shortest < length - 1e-5:
        with pytest.raises(IncompatibleRunError, match="expected segments of at least"):
            index_around_units(archive, TASK, length, unit)
        return
    for _, start, _, _, trial, number in as_rows(index_around_units(archive, TASK, length, unit)):
        first, last, _ = spans[trial - 1]
        assert first - 2e-6 <= start
        assert start + length <= last + 2e-6
        assert start <= first + number * unit + 1e-9
        assert start + length >= first + (number + 1) * unit - 2e-6


def test_a_segment_too_short_for_a_long_window_is_named(archive: Archive) -> None:
    expected = (
        r"at least 19.9 s around score units of 10 s, found one of 19.875 s: S1, trial 1. "
        r"Take a window of at most 19.875 s"
    )
    with pytest.raises(IncompatibleRunError, match=expected):
        index_around_units(archive, TASK, 19.9, 10.0)
    assert shortest_with_unit(archive, TASK, 10.0) == 19.875
    assert shortest_with_unit(archive, TASK, 100.0) == 0.0


def test_units_are_scored_by_one_long_window_each(archive: Archive, spans: Spans) -> None:
    segments, units = window_grids(archive, TASK, Cutting(15.0, 2.5, 10.0))
    assert as_rows(segments) == plain_index(spans, 15.0, 2.5, None, in_units=False)
    assert as_rows(units) == plain_index_around(spans, 15.0, 10.0)
    unit_long, in_unit = (window_grids(archive, TASK, Cutting(10.0, s, 10.0))[1] for s in (1.0, 9))
    assert as_rows(unit_long) == as_rows(in_unit)  # as long as a unit: one place, whatever stride
    for same in (Cutting(15.0, 2.5, 10.0, each=True), Cutting(15.0, 2.5)):
        assert not same.around


# ---- samples


@pytest.mark.parametrize(
    ("seconds", "sfreq", "expected"),
    [(4.8, 8.0, 38), (4.8, 2.5, 12), (0.01, 4.0, 1), (60.0, 700.0, 42000), (48.0, 0.25, 12)],
)
def test_samples_of_a_window(seconds: float, sfreq: float, expected: int) -> None:
    assert n_samples(seconds, sfreq) == expected


def test_recorded_samples_of_padded_trials(trials: Archive) -> None:
    index = index_trials(trials, TASK, LONGEST)
    assert recorded_samples(index, 8.0).tolist() == [100, 22, 1, 62, 48, 20]
    assert recorded_samples(index, 0.25).tolist() == [3, 1, 1, 2, 2, 1]


def test_the_last_window_stays_in_its_recording(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    # The second recording ends 0.06 s after its segment: less than half a sample of 2.5 Hz.
    one = make_recording("S1", [(0.0, 10.0, "rest")])
    two = make_recording("S2", [(0.3, 7.3, "stress")])
    cut = {
        name: type(signal)(
            signal.samples[:, : int(7.36 * signal.sfreq)], signal.sfreq, signal.channels, "a.u."
        )
        for name, signal in two.signals.items()
    }
    short = {"fast": cut["fast"], "slow": two.signals["slow"]}
    archive = archive_of({"S1": (one,), "S2": (Recording("S2", "1", short, ()),)})
    index = index_windows(archive, TASK, 7.0, 1.0, None, in_units=False)
    late = WindowIndex(
        recording=np.array([1]),
        segment=np.array([1]),
        start=np.array([0.3]),
        seconds=np.array([7.0]),
        target=np.array([0]),
        subject=np.array([1]),
        trial=np.array([1]),
        unit=np.array([-1]),
        length=7.0,
    )
    assert len(index) == 4
    n_first = one.signals["fast"].samples.shape[1]
    n_times = cut["fast"].samples.shape[1]
    assert n_times == 58
    assert first_samples(archive, "fast", late).tolist() == [n_first + 2]
    late.start[0] = 0.4
    assert first_samples(archive, "fast", late).tolist() == [n_first + n_times - 56]
    with pytest.raises(IncompatibleRunError, match=r"recordings of at least 8\.0 s.*fast"):
        first_samples(
            archive,
            "fast",
            replace(late, seconds=np.array([8.0]), length=8.0),
        )


# ---- whole trials, padded


def test_every_trial_of_a_task_is_one_window(trials: Archive) -> None:
    index = index_trials(trials, TASK, LONGEST)
    assert as_rows(index) == [
        (0, 0.0, 0, 0, 1, 0),
        (2, 0.5, 1, 0, 1, 0),
        (3, 0.0, 1, 1, 1, 0),
        (5, 1.25, 0, 1, 1, 0),
        (7, 0.0, 1, 2, 1, 0),
        (8, 2.0, 0, 2, 1, 0),
    ]
    assert index.seconds.tolist() == pytest.approx([12.5, 2.8, 0.1, 7.75, 6.0, 2.5])
    assert index.segment.tolist() == [0, 2, 3, 5, 7, 8]
    assert index.length == LONGEST
    none = index_trials(trials, replace(TASK, annotation="film"), LONGEST)
    assert len(none) == 0
    assert first_samples(trials, "fast", none).shape == (0,)


def test_several_trials_of_a_recording(archive: Archive, spans: Spans) -> None:
    index = index_trials(archive, TASK, 60.0)
    expected = plain_index(spans, 0.5, 1000.0, None, in_units=True)
    assert as_rows(index) == expected
    segments = [span for sessions in spans.values() for session in sessions for span in session]
    assert index.seconds.tolist() == [b - a for a, b, name in segments if name != "talk"]


def test_a_trial_that_is_too_long(trials: Archive) -> None:
    with pytest.raises(
        IncompatibleRunError,
        match=r"trials of at most 12 s to pad, found one of 12\.5 s\. Run without padding",
    ):
        index_trials(trials, TASK, 12.0)
    # Rounding is no reason.
    assert len(index_trials(trials, TASK, 12.5 - 1e-9)) == 6

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.batch import LENGTH
from datamodules.cache import (
    Archive,
    StoredRecording,
    StoredSignal,
    StoredSubject,
    as_recording,
)
from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import STATIC_RATE, Recording, Segment
from datamodules.tasks import ConditionTask
from datamodules.windows import (
    PADDINGS,
    BatchRows,
    ChunkRows,
    Padding,
    WindowDataset,
    WindowIndex,
    first_samples,
    fit_scaling,
    index_trials,
    index_windows,
    n_samples,
    recorded_samples,
    segment_moments,
)

TASK = ConditionTask(
    "stress", ("rest", "stress"), {"rest": 0, "fun": 0, "stress": 1}, source="test"
)
SPANS = {
    "S1": [
        [(2.0, 30.5, "rest"), (31.0, 40.0, "talk"), (41.25, 71.375, "stress")],
        [(0.0, 19.875, "fun"), (20.0, 24.0, "stress"), (30.0, 70.0, "stress")],
    ],
    "S2": [[(1.125, 45.0, "stress"), (45.0, 90.0, "rest"), (91.0, 94.875, "rest")]],
    "S10": [[(0.5, 50.0, "rest"), (60.0, 85.0, "talk"), (85.0, 140.5, "stress")]],
}


@pytest.fixture
def archive(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> Archive:
    recordings = {
        subject: tuple(
            make_recording(subject, spans, seed=10 * number + session, session=str(session))
            for session, spans in enumerate(sessions)
        )
        for number, (subject, sessions) in enumerate(SPANS.items())
    }
    return archive_of(recordings)


def plain_index(length: float, stride: float, unit: float | None, in_units: bool) -> list[tuple]:
    """Windows one by one: recording, start, target, subject, trial, unit."""
    rows = []
    recording = 0
    for subject, sessions in enumerate(SPANS.values()):
        for spans in sessions:
            for trial, (start, stop, condition) in enumerate(spans, start=1):
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


def segments_of(archive: Archive, subjects: tuple[str, ...]) -> np.ndarray:
    """Which segments are of these subjects and part of the task."""
    return np.array(
        [
            archive.recordings[row].subject in subjects and TASK.label("", segment) is not None
            for row, segment in archive.segments
        ]
    )


def as_rows(index: WindowIndex) -> list[tuple]:
    columns = (index.recording, index.start, index.target, index.subject, index.trial, index.unit)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("in_units", [False, True])
@pytest.mark.parametrize("unit", [None, 10.0, 9.875])
@pytest.mark.parametrize(
    ("length", "stride"), [(5.0, 5.0), (5.0, 1.0), (9.875, 0.125), (4.0, 7.5), (0.5, 0.25)]
)
def test_index_is_that_of_a_plain_loop(
    archive: Archive, length: float, stride: float, unit: float | None, in_units: bool
) -> None:
    # All times are in eighths of a second, so that sums of them are exact.
    found = index_windows(archive, TASK, length, stride, unit, in_units)
    expected = plain_index(length, stride, unit, in_units)
    assert as_rows(found) == expected
    assert len(expected) > 10
    assert found.length == length


def test_there_may_be_no_window(archive: Archive) -> None:
    found = index_windows(archive, TASK, 200.0, 1.0, None, in_units=True)
    assert len(found) == 0
    assert first_samples(archive, "fast", found).shape == (0,)


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
    found = index_windows(archive, TASK, length, stride, unit, in_units)
    seen = dict.fromkeys(range(1, len(spans) + 1), 0)
    for _, start, target, _, trial, number in as_rows(found):
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
        whole = last - first >= unit if in_units else True
        if length < room - 1e-5 and whole:
            assert seen[trial] > 0


@pytest.fixture(scope="module")
def archive_from(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Archive]:
    """Archives that hold segments and no samples: the index needs no more."""
    folder = tmp_path_factory.mktemp("no_samples")

    def build(spans: list[tuple[float, float, str]]) -> Archive:
        segments = tuple(
            Segment(start, stop, trial, {"condition": condition})
            for trial, (start, stop, condition) in enumerate(spans, start=1)
        )
        signal = StoredSignal(10000, 8.0, ("c",), "a.u.")
        recording = StoredRecording("S1", "1", {"fast": signal}, segments, 0.0)
        stored = StoredSubject("S1", folder / "S1", (recording,), (), "0", {})
        return Archive(folder, (stored,))

    return build


def dataset(archive: Archive, index: WindowIndex, scaled: bool) -> WindowDataset:
    rates = {"fast": 8.0, "slow": 2.5}
    moments = {name: segment_moments(archive, name) for name in rates}
    return WindowDataset(
        {name: torch.from_numpy(archive.samples(name)) for name in rates},
        index,
        {name: first_samples(archive, name, index) for name in rates},
        {name: n_samples(index.length, rate) for name, rate in rates.items()},
        fit_scaling(moments, segments_of(archive, ("S1", "S10"))) if scaled else None,
    )


@pytest.mark.parametrize("scaled", [False, True])
def test_batches_are_slices_of_the_recordings(archive: Archive, scaled: bool) -> None:
    index = index_windows(archive, TASK, 4.8, 1.125, 10.0, in_units=True)
    data = dataset(archive, index, scaled)
    whole = [
        as_recording(subject, number)
        for subject in archive.subjects
        for number in range(len(subject.recordings))
    ]
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    assert len(data) == len(index) > 50
    for rows in order.split(7):
        batch = data[rows]
        for place, row in enumerate(rows.tolist()):
            recording = whole[index.recording[row]]
            for name, sfreq, n_times in (("fast", 8.0, 38), ("slow", 2.5, 12)):
                first = round(index.start[row] * sfreq)
                expected = recording.signals[name].samples[:, first : first + n_times].copy()
                if scaled:
                    expected -= data.mean[name].numpy()
                    expected /= data.std[name].numpy()
                np.testing.assert_array_equal(
                    batch.signals[name][place].numpy(), expected, strict=True
                )
            assert batch.target[place] == index.target[row]
            assert batch.subject[place] == index.subject[row]
            assert batch.trial[place] == index.trial[row]
        assert batch.signals["fast"].shape == (len(rows), 2, 38)
        assert batch.target.dtype == batch.subject.dtype == batch.trial.dtype == torch.int64


def test_gathering_leaves_the_samples_as_they_are(archive: Archive) -> None:
    before = archive.samples("fast").copy()
    data = dataset(archive, index_windows(archive, TASK, 5.0, 1.0, None, False), scaled=True)
    first = data[torch.arange(len(data))].signals["fast"]
    np.testing.assert_array_equal(archive.samples("fast"), before)
    torch.testing.assert_close(data[torch.arange(len(data))].signals["fast"], first)
    assert abs(float(first.mean())) < 0.1


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


MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy as np, torch
from datamodules.windows import BatchRows, Scaling, WindowDataset, WindowIndex

seconds, sfreq, length = 7200, 64, 60
np.save(sys.argv[1], np.zeros((1, seconds * sfreq), np.float32))
samples = torch.from_numpy(np.load(sys.argv[1], mmap_mode="c"))
n = seconds - length
zeros = np.zeros(n, np.int64)
start, seconds = np.arange(n, dtype=float), np.full(n, float(length))
index = WindowIndex(zeros, zeros, start, seconds, zeros, zeros, zeros, zeros, float(length))
torch.zeros(64, 1, 4).index_select(0, torch.arange(3)).sub_(1).div_(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
one = {"bvp": torch.ones(1, 1)}
data = WindowDataset(
    {"bvp": samples}, index, {"bvp": np.arange(n) * sfreq}, {"bvp": length * sfreq},
    Scaling(one, one),
)
rows = BatchRows(n, 64, torch.Generator().manual_seed(0))
total = sum(len(data[batch].target) for batch in rows)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "windows": total,
    "grown": (after - before) * 1024,
    "file": samples.numel() * 4,
    "batch": 64 * length * sfreq * 4,
    "table": n * length * sfreq * 4,
}))
"""


def test_overlap_costs_no_memory(tmp_path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "bvp.npy")],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(found.stdout)
    assert measured["windows"] == 7140
    # The pages of the file that were read, a few batches, and what libraries load on first use.
    assert measured["grown"] < measured["file"] + 5 * measured["batch"] + 16e6
    assert measured["table"] > 3 * (measured["file"] + 5 * measured["batch"] + 16e6)


def test_scaling_is_mean_and_deviation_of_the_training_segments(archive: Archive) -> None:
    moments = {name: segment_moments(archive, name) for name in ("fast", "slow")}
    scaling = fit_scaling(moments, segments_of(archive, ("S1", "S10")))
    for name, sfreq in (("fast", 8.0), ("slow", 2.5)):
        pieces = []
        for subject in archive.subjects:
            for number, stored in enumerate(subject.recordings):
                samples = as_recording(subject, number).signals[name].samples.astype(np.float64)
                for segment in stored.segments:
                    if stored.subject != "S2" and segment.annotations["condition"] != "talk":
                        pieces.append(
                            samples[:, round(segment.start * sfreq) : round(segment.stop * sfreq)]
                        )
        joined = np.concatenate(pieces, axis=1)
        assert scaling.mean[name].shape == (len(joined), 1)
        np.testing.assert_allclose(scaling.mean[name][:, 0], joined.mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(scaling.std[name][:, 0], joined.std(axis=1), rtol=1e-6)


def test_scaling_knows_nothing_of_other_subjects(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    def fitted(seed: int, spans: list[tuple[float, float, str]]) -> tuple[torch.Tensor, ...]:
        archive = archive_of(
            {
                "S1": (make_recording("S1", SPANS["S1"][0], seed=1),),
                "S2": (make_recording("S2", spans, seed=seed),),
                "S3": (make_recording("S3", SPANS["S2"][0], seed=2),),
            }
        )
        moments = {name: segment_moments(archive, name) for name in ("fast", "slow")}
        scaling = fit_scaling(moments, segments_of(archive, ("S1", "S3")))
        return (*scaling.mean.values(), *scaling.std.values())

    one, other = fitted(3, SPANS["S2"][0]), fitted(4, SPANS["S10"][0])
    for here, there in zip(one, other, strict=True):
        assert torch.equal(here, there)


def test_a_channel_that_never_changes_is_not_divided_by_zero(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    recording = make_recording("S1", [(0.0, 20.0, "rest")])
    recording.signals["fast"].samples[1] = 36.7
    archive = archive_of({"S1": (recording,)})
    moments = {"fast": segment_moments(archive, "fast")}
    scaling = fit_scaling(moments, segments_of(archive, ("S1",)))
    assert scaling.std["fast"][1, 0] == 1
    assert scaling.std["fast"][0, 0] > 1.5


# ---- whole trials, padded

MIXED = {"fast": (2, 8.0), "slow": (1, 2.5), "static": (3, STATIC_RATE)}
LONGEST = 12.5
"""Seconds, of the windows."""
POISON = np.float32(1e9)


@pytest.fixture
def trials(archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]) -> Archive:
    """Trials of many lengths; what is not part of the task, and lies between, is huge."""
    spans = {
        "S1": [(0.0, 12.5, "rest"), (0.0, 90.0, "talk"), (0.5, 3.3, "stress")],
        "S2": [(0.0, 0.1, "stress"), (0.0, 20.0, "talk"), (1.25, 9.0, "rest")],
        "S10": [(0.0, 20.0, "talk"), (0.0, 6.0, "stress"), (2.0, 4.5, "fun")],
    }
    recordings = {
        subject: tuple(
            make_recording(subject, [span], 10 * n + trial, rates=MIXED, session=str(trial))
            for trial, span in enumerate(own)
        )
        for n, (subject, own) in enumerate(spans.items())
    }
    for own in recordings.values():
        for recording in own:
            if recording.segments[0].annotations["condition"] == "talk":
                for signal in recording.signals.values():
                    signal.samples[:] = POISON
            else:
                # Nor is what comes after a trial in its own recording.
                for name, (_, sfreq) in MIXED.items():
                    recording.signals[name].samples[
                        :, max(1, round(recording.segments[0].stop * sfreq)) :
                    ] = POISON
    return archive_of(recordings)


def padded(
    archive: Archive,
    index: WindowIndex,
    padding: Padding | None,
    scaled: bool = False,
    mask: bool = False,
) -> WindowDataset:
    moments = {name: segment_moments(archive, name) for name in MIXED}
    return WindowDataset(
        {name: torch.from_numpy(archive.samples(name)) for name in MIXED},
        index,
        {name: first_samples(archive, name, index) for name in MIXED},
        {name: n_samples(index.length, sfreq) for name, (_, sfreq) in MIXED.items()},
        fit_scaling(moments, segments_of(archive, ("S1", "S2"))) if scaled else None,
        padding,
        {name: recorded_samples(index, sfreq) for name, (_, sfreq) in MIXED.items()},
        mask,
    )


def test_every_trial_of_a_task_is_one_window(trials: Archive) -> None:
    found = index_trials(trials, TASK, LONGEST)
    assert as_rows(found) == [
        (0, 0.0, 0, 0, 1, 0),
        (2, 0.5, 1, 0, 1, 0),
        (3, 0.0, 1, 1, 1, 0),
        (5, 1.25, 0, 1, 1, 0),
        (7, 0.0, 1, 2, 1, 0),
        (8, 2.0, 0, 2, 1, 0),
    ]
    assert found.seconds.tolist() == pytest.approx([12.5, 2.8, 0.1, 7.75, 6.0, 2.5])
    assert found.segment.tolist() == [0, 2, 3, 5, 7, 8]
    assert found.length == LONGEST
    none = index_trials(trials, replace(TASK, annotation="film"), LONGEST)
    assert len(none) == 0
    assert first_samples(trials, "fast", none).shape == (0,)


def test_several_trials_of_a_recording(archive: Archive) -> None:
    found = index_trials(archive, TASK, 60.0)
    expected = plain_index(0.5, 1000.0, None, in_units=True)
    assert as_rows(found) == expected
    spans = [span for own in SPANS.values() for session in own for span in session]
    assert found.seconds.tolist() == [b - a for a, b, name in spans if name != "talk"]


def test_a_trial_that_is_too_long(trials: Archive) -> None:
    with pytest.raises(
        IncompatibleRunError,
        match=r"trials of at most 12 s to pad, found one of 12\.5 s\. Run without padding",
    ):
        index_trials(trials, TASK, 12.0)
    # Rounding is no reason.
    assert len(index_trials(trials, TASK, 12.5 - 1e-9)) == 6


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("scaled", [False, True])
def test_padding_sample_by_sample(trials: Archive, padding: Padding, scaled: bool) -> None:
    index = index_trials(trials, TASK, LONGEST)
    data = padded(trials, index, padding, scaled)
    whole = [
        as_recording(subject, number)
        for subject in trials.subjects
        for number in range(len(subject.recordings))
    ]
    filled = 0
    for rows in (torch.tensor([4, 1]), torch.tensor([5, 0, 3, 2]), torch.arange(6)):
        batch = data[rows]
        for place, row in enumerate(rows.tolist()):
            recording = whole[index.recording[row]]
            for name, (channels, sfreq) in MIXED.items():
                window = batch.signals[name][place].numpy()
                n_times = {"fast": 100, "slow": 31, "static": 1}[name]
                assert window.shape == (channels, n_times)
                assert window.dtype == np.float32
                first = round(index.start[row] * sfreq)
                n_recorded = max(1, round(index.seconds[row] * sfreq))
                for channel in range(channels):
                    there = []
                    for step in range(n_recorded):
                        value = recording.signals[name].samples[channel, first + step]
                        if scaled:
                            value = (value - data.mean[name][channel, 0].numpy()) / data.std[name][
                                channel, 0
                            ].numpy()
                        there.append(value)
                    rest = {
                        "zero": 0.0,
                        "mean": sum(map(float, there)) / n_recorded,
                        "edge": there[-1],
                    }[padding]
                    assert window[channel, :n_recorded].tolist() == there
                    assert window[channel, n_recorded:] == pytest.approx(rest, rel=1e-5, abs=1e-6)
                    filled += n_times - n_recorded
    assert filled > 500


@pytest.mark.parametrize("padding", PADDINGS)
def test_nothing_but_the_trial_leaks_into_its_window(trials: Archive, padding: Padding) -> None:
    # Neighbouring recordings and the rest of the own one hold 1e9; the last one has no neighbour.
    batch = padded(trials, index_trials(trials, TASK, LONGEST), padding)[torch.arange(6)]
    for name, window in batch.signals.items():
        assert float(window.abs().max()) < 100, name
        assert float(trials.samples(name).max()) == POISON


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("scaled", [False, True])
def test_a_recorded_window_is_the_same_with_and_without_padding(
    trials: Archive, padding: Padding, scaled: bool
) -> None:
    index = index_windows(trials, TASK, 2.4, 0.7, None, in_units=True)
    assert len(index) > 20
    rows = torch.randperm(len(index), generator=torch.Generator().manual_seed(0))
    plain = padded(trials, index, None, scaled)[rows]
    filled = padded(trials, index, padding, scaled)[rows]
    for name, window in plain.signals.items():
        assert torch.equal(window, filled.signals[name])
    for one, other in zip(plain[1:], filled[1:], strict=True):
        assert torch.equal(one, other)


def test_gathering_padded_windows_leaves_the_samples_as_they_are(trials: Archive) -> None:
    before = {name: trials.samples(name).copy() for name in MIXED}
    for padding in PADDINGS:
        data = padded(trials, index_trials(trials, TASK, LONGEST), padding, scaled=True)
        first, again = data[torch.arange(6)], data[torch.arange(6)]
        for name, samples in before.items():
            assert torch.equal(first.signals[name], again.signals[name])
            np.testing.assert_array_equal(trials.samples(name), samples)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_mask_says_how_much_is_recorded(trials: Archive, scaled: bool) -> None:
    index = index_trials(trials, TASK, LONGEST)
    batch = padded(trials, index, "zero", scaled, mask=True)[torch.tensor([0, 3, 2])]
    assert list(batch.signals) == [*MIXED, LENGTH]
    assert batch.signals[LENGTH].shape == (3, 1, 1)
    assert batch.signals[LENGTH].dtype == torch.float32
    assert batch.signals[LENGTH][:, 0, 0].tolist() == pytest.approx(
        [1.0, 7.75 / 12.5, 0.1 / 12.5], rel=1e-6
    )
    assert LENGTH not in padded(trials, index, "zero", scaled)[torch.tensor([0])].signals


def test_a_static_vector_is_that_of_its_recording_at_any_time(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    # After half an hour the nearest sample would be the neighbour's.
    rates = {"fast": (1, 0.5), "static": (2, STATIC_RATE)}
    spans = [(0.0, 30.0, "rest"), (1790.0, 1820.0, "stress"), (2500.0, 2530.0, "stress")]
    recordings = {s: (make_recording(s, spans, n, rates=rates),) for n, s in enumerate(SPANS)}
    archive = archive_of(recordings)
    count, mean, variance = segment_moments(archive, "static")
    index = index_windows(archive, TASK, 30.0, 30.0, None, in_units=True)
    data = WindowDataset(
        {"static": torch.from_numpy(archive.samples("static"))},
        index,
        {"static": first_samples(archive, "static", index)},
        {"static": 1},
        None,
    )
    windows = data[torch.arange(9)].signals["static"]
    for row in range(9):
        vector = recordings[list(SPANS)[row // 3]][0].signals["static"].samples
        np.testing.assert_array_equal(windows[row], vector)
        np.testing.assert_array_equal(mean[row], vector[:, 0])
    assert (count == 1).all()
    assert (variance == 0).all()


# ---- rows of batches


@given(st.integers(0, 60), st.integers(1, 12), st.booleans())
def test_every_row_once(n_windows: int, batch_size: int, shuffled: bool) -> None:
    generator = torch.Generator().manual_seed(0) if shuffled else None
    rows = BatchRows(n_windows, batch_size, generator)
    batches = list(rows)
    assert len(batches) == len(rows)
    seen = torch.cat(batches).tolist() if batches else []
    alone = shuffled and batch_size > 1 and n_windows % batch_size == 1
    assert len(seen) == len(set(seen)) == n_windows - alone
    assert set(seen) <= set(range(n_windows))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    if not shuffled:
        assert seen == list(range(n_windows))


@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 4))
def test_processes_share_every_batch(n_windows: int, batch_size: int, size: int) -> None:
    def batches(share: tuple[int, int]) -> list[list[int]]:
        generator = torch.Generator().manual_seed(0)
        return [rows.tolist() for rows in BatchRows(n_windows, batch_size, generator, share)]

    parts = zip(*(batches((rank, size)) for rank in range(size)), strict=True)
    for whole, shares in zip(batches((0, 1)), parts, strict=True):
        if len(whole) < 2 * size:
            assert all(share == whole for share in shares)
        else:
            assert sorted(row for share in shares for row in share) == sorted(whole)
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_order_comes_from_the_seed() -> None:
    def order(seed: int, epochs: int = 2) -> list[list[int]]:
        rows = BatchRows(50, 8, torch.Generator().manual_seed(seed))
        return [torch.cat(list(rows)).tolist() for _ in range(epochs)]

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    assert first[0] != first[1]
    assert first[0] != sorted(first[0])


@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 5))
def test_chunks_hold_the_same_batches_in_the_same_order(
    n_windows: int, batch_size: int, size: int
) -> None:
    def rows() -> BatchRows:
        return BatchRows(n_windows, batch_size, torch.Generator().manual_seed(0))

    chunks = list(found := ChunkRows(rows(), size))
    assert len(chunks) == len(found)
    assert [batch.tolist() for chunk in chunks for batch in chunk] == [b.tolist() for b in rows()]
    assert all(len(chunk) == size for chunk in chunks[:-1])

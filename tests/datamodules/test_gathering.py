import json
import subprocess
import sys
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from datamodules.archive import Archive
from datamodules.batch import LENGTH, Batch
from datamodules.gathering import (
    BatchRows,
    ChunkDataset,
    ChunkRows,
    FixedRows,
    SharedRows,
    WindowDataset,
)
from datamodules.protocol import PADDINGS, Padding
from datamodules.resident import RESIDENT
from datamodules.scaling import fit_scaling, segment_moments
from datamodules.signals.recording import STATIC_RATE, Recording
from datamodules.stored import as_recording
from datamodules.tasks import ConditionTask
from datamodules.windows import (
    WindowIndex,
    first_samples,
    index_trials,
    index_windows,
    n_samples,
    recorded_samples,
)

TASK = ConditionTask(
    "stress", ("rest", "stress"), {"rest": 0, "fun": 0, "stress": 1}, source="test"
)
MIXED = {"fast": (2, 8.0), "slow": (1, 2.5), "static": (3, STATIC_RATE)}
"""Channels and rate in Hz of the signals of trials."""
LONGEST = 12.5
"""Length in seconds of the windows that whole trials are padded to."""


def segments_of(archive: Archive, subjects: tuple[str, ...]) -> np.ndarray:
    """Which segments are of these subjects and part of the task."""
    return np.array(
        [
            archive.recordings[row].subject in subjects and TASK.label("", segment) is not None
            for row, segment in archive.segments
        ]
    )


def dataset(
    archive: Archive, index: WindowIndex, scaled: bool, device: torch.device | None = None
) -> WindowDataset:
    rates = {"fast": 8.0, "slow": 2.5}
    moments = {name: segment_moments(archive, name) for name in rates}
    return WindowDataset(
        {name: RESIDENT.array(archive, name, device) for name in rates},
        index,
        {name: first_samples(archive, name, index) for name in rates},
        {name: n_samples(index.length, rate) for name, rate in rates.items()},
        fit_scaling(moments, segments_of(archive, ("S1", "S10"))) if scaled else None,
    )


DEVICES = [None, torch.device("cpu")]
"""Recordings as they are mapped, and as they lie on a device."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scaled", [False, True])
def test_batches_are_slices_of_the_recordings(
    archive: Archive, scaled: bool, device: torch.device | None
) -> None:
    index = index_windows(archive, TASK, 4.8, 1.125, 10.0, in_units=True)
    data = dataset(archive, index, scaled, device)
    recordings = [
        as_recording(subject, number)
        for subject in archive.subjects
        for number in range(len(subject.recordings))
    ]
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    assert len(data) == len(index) > 50
    for rows in order.split(7):
        batch = data[rows]
        for place, row in enumerate(rows.tolist()):
            recording = recordings[index.recording[row]]
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
    before = [piece.copy() for piece in archive.samples("fast")]
    data = dataset(archive, index_windows(archive, TASK, 5.0, 1.0, None, False), scaled=True)
    first = data[torch.arange(len(data))].signals["fast"]
    for piece, sound in zip(archive.samples("fast"), before, strict=True):
        np.testing.assert_array_equal(piece, sound)
    torch.testing.assert_close(data[torch.arange(len(data))].signals["fast"], first)
    assert abs(float(first.mean())) < 0.1


MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy as np, torch
from datamodules.gathering import BatchRows, WindowDataset
from datamodules.recorded import Mapped
from datamodules.scaling import Scaling
from datamodules.windows import WindowIndex

seconds, sfreq, length = 7200, 64, 60
np.save(sys.argv[1], np.zeros((1, seconds * sfreq), np.float32))
samples = Mapped([np.load(sys.argv[1], mmap_mode="r")], np.zeros(1, np.int64))
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
    "file": samples.nbytes,
    "batch": 64 * length * sfreq * 4,
    "table": n * length * sfreq * 4,
}))
"""


def test_overlap_costs_no_memory(tmp_path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "bvp.npy")],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(process.stdout)
    assert measured["windows"] == 7140
    # The pages of the file that were read, a few batches, and what libraries load on first use.
    assert measured["grown"] < measured["file"] + 5 * measured["batch"] + 16e6
    assert measured["table"] > 3 * (measured["file"] + 5 * measured["batch"] + 16e6)


# ---- whole trials, padded


def padded(
    archive: Archive,
    index: WindowIndex,
    padding: Padding | None,
    scaled: bool = False,
    mask: bool = False,
    device: torch.device | None = None,
) -> WindowDataset:
    moments = {name: segment_moments(archive, name) for name in MIXED}
    return WindowDataset(
        {name: RESIDENT.array(archive, name, device) for name in MIXED},
        index,
        {name: first_samples(archive, name, index) for name in MIXED},
        {name: n_samples(index.length, sfreq) for name, (_, sfreq) in MIXED.items()},
        fit_scaling(moments, segments_of(archive, ("S1", "S2"))) if scaled else None,
        padding,
        {name: recorded_samples(index, sfreq) for name, (_, sfreq) in MIXED.items()},
        mask,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("scaled", [False, True])
def test_padding_sample_by_sample(
    trials: Archive, padding: Padding, scaled: bool, device: torch.device | None
) -> None:
    index = index_trials(trials, TASK, LONGEST)
    data = padded(trials, index, padding, scaled, device=device)
    recordings = [
        as_recording(subject, number)
        for subject in trials.subjects
        for number in range(len(subject.recordings))
    ]
    filled = 0
    for rows in (torch.tensor([4, 1]), torch.tensor([5, 0, 3, 2]), torch.arange(6)):
        batch = data[rows]
        for place, row in enumerate(rows.tolist()):
            recording = recordings[index.recording[row]]
            for name, (channels, sfreq) in MIXED.items():
                window = batch.signals[name][place].numpy()
                n_times = {"fast": 100, "slow": 31, "static": 1}[name]
                assert window.shape == (channels, n_times)
                assert window.dtype == np.float32
                first = round(index.start[row] * sfreq)
                n_recorded = max(1, round(index.seconds[row] * sfreq))
                for channel in range(channels):
                    recorded = []
                    for step in range(n_recorded):
                        value = recording.signals[name].samples[channel, first + step]
                        if scaled:
                            value = (value - data.mean[name][channel, 0].numpy()) / data.std[name][
                                channel, 0
                            ].numpy()
                        recorded.append(value)
                    rest = {
                        "zero": 0.0,
                        "mean": sum(map(float, recorded)) / n_recorded,
                        "edge": recorded[-1],
                    }[padding]
                    assert window[channel, :n_recorded].tolist() == recorded
                    assert window[channel, n_recorded:] == pytest.approx(rest, rel=1e-5, abs=1e-6)
                    filled += n_times - n_recorded
    assert filled > 500


@pytest.mark.parametrize("padding", PADDINGS)
def test_nothing_but_the_trial_leaks_into_its_window(trials: Archive, padding: Padding) -> None:
    # Neighbouring recordings and the rest of the own one hold 1e9; the last one has no neighbour.
    batch = padded(trials, index_trials(trials, TASK, LONGEST), padding)[torch.arange(6)]
    for name, window in batch.signals.items():
        assert float(window.abs().max()) < 100, name
        assert max(float(piece.max()) for piece in trials.samples(name)) == 1e9


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
    before = {name: [piece.copy() for piece in trials.samples(name)] for name in MIXED}
    for padding in PADDINGS:
        data = padded(trials, index_trials(trials, TASK, LONGEST), padding, scaled=True)
        first, again = data[torch.arange(6)], data[torch.arange(6)]
        for name, samples in before.items():
            assert torch.equal(first.signals[name], again.signals[name])
            for piece, sound in zip(trials.samples(name), samples, strict=True):
                np.testing.assert_array_equal(piece, sound)


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
    subjects = ("S1", "S2", "S10")
    rates = {"fast": (1, 0.5), "static": (2, STATIC_RATE)}
    spans = [(0.0, 30.0, "rest"), (1790.0, 1820.0, "stress"), (2500.0, 2530.0, "stress")]
    recordings = {s: (make_recording(s, spans, n, rates=rates),) for n, s in enumerate(subjects)}
    archive = archive_of(recordings)
    count, mean, variance = segment_moments(archive, "static")
    index = index_windows(archive, TASK, 30.0, 30.0, None, in_units=True)
    data = WindowDataset(
        {"static": RESIDENT.array(archive, "static", None)},
        index,
        {"static": first_samples(archive, "static", index)},
        {"static": 1},
        None,
    )
    windows = data[torch.arange(9)].signals["static"]
    for row in range(9):
        vector = recordings[subjects[row // 3]][0].signals["static"].samples
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
    for batch, shares in zip(batches((0, 1)), parts, strict=True):
        if len(batch) < 2 * size:
            assert all(share == batch for share in shares)
        else:
            assert sorted(row for share in shares for row in share) == sorted(batch)
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

    chunks = list(sampler := ChunkRows(rows(), size))
    assert len(chunks) == len(sampler)
    assert [batch.tolist() for chunk in chunks for batch in chunk] == [b.tolist() for b in rows()]
    assert all(len(chunk) == size for chunk in chunks[:-1])


def test_a_chunk_gathers_each_batch_when_its_turn_comes(archive: Archive) -> None:
    data = dataset(archive, index_windows(archive, TASK, 5.0, 5.0, None, in_units=True), False)
    gathered: list[list[int]] = []

    def gather(rows: torch.Tensor) -> Batch:
        gathered.append(rows.tolist())
        return data[rows]

    chunks = ChunkDataset(gather, len(data))
    assert len(chunks) == len(data)
    chunk = chunks[[torch.tensor([3, 1]), torch.tensor([0])]]
    assert len(chunk) == 2
    assert gathered == []
    batches = iter(chunk)
    assert torch.equal(next(batches).signals["fast"], data[torch.tensor([3, 1])].signals["fast"])
    assert gathered == [[3, 1]]
    assert next(batches).row.tolist() == [0]
    assert next(batches, None) is None


# ---- loaders that are not the datamodule's


@pytest.mark.parametrize("scaled", [False, True])
def test_a_loader_of_ones_own_makes_the_same_batches(archive: Archive, scaled: bool) -> None:
    data = dataset(archive, index_windows(archive, TASK, 4.8, 1.125, 10.0, in_units=True), scaled)
    loader = DataLoader(
        data, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(3)
    )
    sizes, rows = [], []
    for batch in loader:
        assert type(batch) is Batch
        assert batch.row is not None
        expected = data[batch.row]
        assert batch.signals.keys() == expected.signals.keys()
        for name, windows in expected.signals.items():
            assert torch.equal(batch.signals[name], windows)
        for values, others in zip(batch[1:], expected[1:], strict=True):
            assert torch.equal(values, others)
        sizes.append(len(batch.target))
        rows += batch.row.tolist()
    full, rest = divmod(len(data), 16)
    assert rest
    assert sizes == [16] * full + [rest]
    assert sorted(rows) == list(range(len(data))) != rows


def test_a_part_of_the_windows_is_loaded_as_well(archive: Archive) -> None:
    data = dataset(archive, index_windows(archive, TASK, 4.8, 1.125, 10.0, in_units=True), True)
    chosen = np.array([40, 3, 17])
    (batch,) = DataLoader(torch.utils.data.Subset(data, chosen), batch_size=4)
    assert batch.row.tolist() == chosen.tolist()
    assert torch.equal(batch.signals["fast"], data[torch.from_numpy(chosen)].signals["fast"])


def test_a_loader_of_padded_windows_knows_their_length(trials: Archive) -> None:
    data = padded(trials, index_trials(trials, TASK, LONGEST), "zero", mask=True)
    batch = next(iter(DataLoader(data, batch_size=2)))
    assert torch.equal(batch.signals[LENGTH], data[torch.arange(2)].signals[LENGTH])


def test_one_number_is_no_batch(archive: Archive) -> None:
    data = dataset(archive, index_windows(archive, TASK, 4.8, 1.125, 10.0, in_units=True), False)
    replaced = DataLoader(data, batch_size=None, sampler=torch.utils.data.SequentialSampler(data))
    with pytest.raises(TypeError, match=r"found 0\. .* use_distributed_sampler=False"):
        next(iter(replaced))


def test_fixed_rows_are_drawn_once() -> None:
    rows = BatchRows(20, 6, torch.Generator().manual_seed(1))
    fixed = FixedRows(rows)
    assert isinstance(fixed, torch.utils.data.SequentialSampler)  # or Lightning replaces it
    first, second = ([batch.tolist() for batch in fixed] for _ in range(2))
    assert first == second
    assert len(fixed) == len(first) == len(rows)
    assert sorted(chain(*first)) == list(range(20))
    assert first != [batch.tolist() for batch in rows]


def test_shared_rows_are_those_of_one_process() -> None:
    shares = []
    for rank in range(2):
        rows = BatchRows(20, 6, torch.Generator().manual_seed(1), (rank, 2))
        shared = SharedRows(rows, (rank, 2))
        assert isinstance(shared, torch.utils.data.DistributedSampler)  # or Lightning deals it out
        shares.append([batch.tolist() for batch in shared])
        assert len(shared) == len(shares[-1]) == 4
    assert set(chain(*shares[0], *shares[1])) == set(range(20))

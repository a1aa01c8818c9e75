"""Disturbances, against plain loops over samples."""

import numpy as np
import pytest

from datamodules.signals.disturbances import CELL, Detached, Halved, Held, Late, Moved
from datamodules.signals.recording import Signal

RATES = {"bvp": (1, 64.0), "eda": (1, 4.0), "temp": (1, 4.0), "acc": (3, 32.0)}
SECONDS = 155.5
ALL = (Detached("eda", 10.0), Held("bvp", 0.2), Halved(), Late(1.0), Moved(0.5, 3.0, 5.0))


@pytest.fixture
def signals():
    """Four signals that never stand still, and a wrist that moves in the second minute."""
    random = np.random.default_rng(3)
    made = {}
    for name, (channels, rate) in RATES.items():
        times = np.arange(int(SECONDS * rate)) / rate
        samples = (
            5 + np.sin(2 * np.pi * 1.2 * times) + random.normal(0, 0.1, (channels, len(times)))
        )
        if name == "acc":
            samples = random.normal(0, 0.001, (channels, len(times)))
            samples[:, 60 * 32 : 120 * 32] *= 300
        made[name] = Signal(
            samples.astype(np.float32), rate, tuple(f"c{n}" for n in range(channels)), "a.u."
        )
    return made


def disturbed(disturbance, signals, seed=1):
    return disturbance(signals, np.random.default_rng(seed))


@pytest.mark.parametrize("disturbance", ALL, ids=lambda one: type(one).__name__)
def test_what_is_not_touched_stays_and_nothing_changes_its_length(disturbance, signals):
    before = {name: signal.samples.copy() for name, signal in signals.items()}
    after = disturbed(disturbance, signals)
    assert list(after) == list(signals)
    touched = disturbance.touched(tuple(signals))
    for name, signal in signals.items():
        assert (signal.samples == before[name]).all()  # nor is the recording itself changed
        assert after[name].samples.shape == before[name].shape
        assert after[name].samples.dtype == np.float32
        assert (after[name].samples == before[name]).all() == (name not in touched), name


@pytest.mark.parametrize("disturbance", ALL, ids=lambda one: type(one).__name__)
def test_equal_seeds_disturb_equally(disturbance, signals):
    one, again, other = (disturbed(disturbance, signals, seed) for seed in (1, 1, 2))
    equal = [(one[name].samples == again[name].samples).all() for name in signals]
    assert all(equal)
    drawn = isinstance(disturbance, Detached | Held | Moved)
    assert drawn == any((one[name].samples != other[name].samples).any() for name in signals)


def test_an_electrode_is_off_for_one_stretch_of_each_cell(signals):
    after = disturbed(Detached("eda", 10.0), signals)["eda"].samples[0]
    before, width = signals["eda"].samples[0], int(CELL * 4)
    for cell in range(5):
        rows = range(cell * width, (cell + 1) * width)
        off = [row for row in rows if after[row] == 0]
        assert len(off) == 40
        assert off == list(range(off[0], off[0] + 40))
        assert all(after[row] == before[row] for row in rows if row not in off)
    assert (after[5 * width :] == before[5 * width :]).all()  # no complete cell


def test_lost_seconds_hold_the_last_sample(signals):
    after = disturbed(Held("bvp", 0.2), signals)["bvp"].samples[0]
    before, last, lost = signals["bvp"].samples[0], None, 0
    for second in range(int(SECONDS) + 1):
        rows = range(second * 64, min((second + 1) * 64, len(before)))
        if all(after[row] == before[row] for row in rows):
            last = before[rows[-1]]
            continue
        lost += 1
        assert all(after[row] == last for row in rows)
    assert 0.1 < lost / SECONDS < 0.3


def test_of_half_the_rate_the_samples_between_are_means_of_their_neighbours(signals):
    after = disturbed(Halved(), signals)
    for name, signal in signals.items():
        for before, now in zip(signal.samples, after[name].samples, strict=True):
            for row in range(0, len(before), 2):
                assert now[row] == before[row]
            for row in range(1, len(before) - 1, 2):
                assert now[row] == pytest.approx((before[row - 1] + before[row + 1]) / 2, abs=1e-6)


def test_late_signals_are_shifted_and_one_keeps_time(signals):
    after = disturbed(Late(1.0), signals)
    assert (after["bvp"].samples == signals["bvp"].samples).all()
    for name in ("eda", "temp", "acc"):
        rate, before = int(signals[name].sfreq), signals[name].samples
        assert (after[name].samples[:, rate:] == before[:, :-rate]).all()
        assert (after[name].samples[:, :rate] == before[:, :1]).all()


def test_who_keeps_time_does_not_depend_on_the_order_of_signals():
    assert Late(1.0).touched(("eeg", "ecg")) == Late(1.0).touched(("ecg", "eeg")) == ("eeg",)
    assert Late(1.0).touched(("temp", "eda")) == ("temp",)


@pytest.mark.parametrize(("level", "artefact"), [(0.1, 2.0), (0.5, 3.0)])
def test_bursts_have_the_level_and_the_course_of_real_movement(signals, level, artefact):
    after = disturbed(Moved(level, artefact, 5.0), signals)
    moved = after["acc"].samples.astype(float) - signals["acc"].samples
    wave = after["bvp"].samples[0].astype(float) - signals["bvp"].samples[0]
    at_rest = []
    for second in [*range(60), *range(120, 155)]:
        beat = signals["bvp"].samples[0, second * 64 : second * 64 + 64].astype(float)
        at_rest.append(np.sqrt(((beat - beat.mean()) ** 2).mean()))
    for cell in range(5):
        burst = moved[:, cell * 960 : (cell + 1) * 960]
        rows = np.flatnonzero(np.abs(burst).sum(axis=0) > 1e-6)
        assert (rows[0], len(rows)) == (rows[0], rows[-1] - rows[0] + 1)
        assert abs(len(rows) - 160) <= 1
        assert np.sqrt((burst[:, rows] ** 2).sum(axis=0).mean()) == pytest.approx(level, rel=0.02)
        added = wave[cell * 1920 : (cell + 1) * 1920]
        rows = np.flatnonzero(np.abs(added) > 1e-6)
        assert np.sqrt((added[rows[0] : rows[0] + 320] ** 2).mean()) == pytest.approx(
            artefact * np.median(at_rest), rel=0.02
        )
    # the course is that of a stretch in which the wrist moved
    first = np.flatnonzero(np.abs(moved).sum(axis=0) > 1e-6)[0]
    course = moved[:, first : first + 160].ravel()
    likeness = []
    for start in range(60 * 32, 120 * 32 - 160 + 1, 32):
        stretch = signals["acc"].samples[:, start : start + 160].astype(float)
        stretch -= stretch.mean(axis=1, keepdims=True)
        likeness.append(np.corrcoef(course, stretch.ravel())[0, 1])
    assert max(likeness) > 0.99


def test_movement_needs_acceleration():
    assert Moved(0.5, 3.0, 5.0).touched(("bvp", "eda")) == ()
    assert Moved(0.5, 3.0, 5.0).touched(("acc", "bvp")) == ("bvp", "acc")


def test_a_recording_shorter_than_a_cell_stays_as_it_is(signals):
    short = {
        name: Signal(s.samples[:, : int(10 * s.sfreq)], s.sfreq, s.channels, s.unit)
        for name, s in signals.items()
    }
    for disturbance in (Detached("eda", 10.0), Moved(0.5, 3.0, 5.0)):
        after = disturbed(disturbance, short)
        assert all((after[name].samples == short[name].samples).all() for name in short)

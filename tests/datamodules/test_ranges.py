"""Ranges: quantiles of the training windows alone, and what lies outside them."""

import dataclasses

import numpy as np
import pytest

from datamodules.datamodule import EmotionDataModule, Selection
from datamodules.fold import Windowing
from datamodules.ranges import MUCH, SAMPLES, WINDOWS, Range, measure_range, thinned, thinned_rows
from datamodules.signals.recording import Recording
from datamodules.synthetic import SYNTHETIC, SyntheticReader


def noise(n_windows: int, n_channels: int = 2, n_times: int = 100, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(3, 2, (n_windows, n_channels, n_times)).astype(np.float32)


def test_ends_are_quantiles_of_each_channel():
    windows = noise(200)
    windows[:, 1] *= 10
    found = measure_range(windows)
    for channel in (0, 1):
        samples = np.sort(windows[:, channel].ravel().astype(np.float64))
        n = len(samples)
        assert np.mean(samples < found.low[channel]) == pytest.approx(0.001, abs=2 / n)
        assert np.mean(samples > found.high[channel]) == pytest.approx(0.001, abs=2 / n)


@pytest.mark.parametrize("seed", range(5))
def test_few_training_windows_are_outside_whatever_they_are(seed):
    rng = np.random.default_rng(seed)
    levels = rng.lognormal(0, 2, (300, 1, 1))
    windows = (levels * noise(300, 1, 50, seed)).astype(np.float32)
    found = measure_range(windows)
    assert found.outside == found.is_outside(windows).mean()
    assert found.outside <= 2 * 0.001 / MUCH + 1e-9


def test_a_window_is_outside_if_more_than_a_few_samples_are():
    usual = Range(np.array([0.0], np.float32), np.array([1.0], np.float32), 0.0, 0.0)
    windows = np.full((3, 1, 100), 0.5, np.float32)
    windows[1, 0, :5] = 7
    windows[2, 0, :6] = -7
    assert usual.is_outside(windows).tolist() == [False, False, True]


def test_a_channel_that_does_not_move_is_seen_in_a_large_unit_too():
    windows = noise(50) * np.float32(1000)
    usual = measure_range(windows)
    assert usual.still == 0
    other = windows[:4].copy()
    other[1, 1] = 3000
    other[2, 0] = 3000 + np.tile([0.1, -0.1], 50)
    assert usual.is_still(other).tolist() == [False, True, True, False]


def test_many_samples_are_thinned_evenly():
    windows = noise(1, 1, 10 * SAMPLES + 1)
    x = thinned(windows)
    assert SAMPLES / 2 < x.shape[2] <= SAMPLES
    np.testing.assert_array_equal(x[0, 0], windows[0, 0, ::11])
    assert thinned(x).shape == x.shape
    assert thinned(noise(1, 1, SAMPLES)).shape[2] == SAMPLES
    assert thinned_rows(3).tolist() == [0, 1, 2]
    rows = thinned_rows(10 * WINDOWS)
    assert len(rows) == WINDOWS
    assert (rows[0], rows[-1]) == (0, 10 * WINDOWS - 1)
    assert set(np.diff(rows)) <= {10, 11}


def module_at(cache, scaling: str = "standard") -> EmotionDataModule:
    module = EmotionDataModule(
        SYNTHETIC,
        None,
        Selection(options={"n_subjects": 4, "phase": 60.0}),
        windowing=Windowing(30.0, 30.0, scaling),
        cache_dir=cache,
    )
    module.prepare_data()
    module.setup()
    return module


def test_ranges_are_those_of_the_samples_of_the_training_windows(tmp_path):
    module = module_at(tmp_path)
    ranges = module.ranges()
    assert list(ranges) == list(module.signals)
    train = module.fold.members.train
    for name in ("eda", "temp"):
        parts = []
        for subject in train:
            for recording in module.reader.read(subject):
                signal = recording.signals[name]
                for segment in recording.segments:
                    first = round(segment.start * signal.sfreq)
                    parts.append(signal.samples[0, first : first + round(60 * signal.sfreq)])
        samples = np.concatenate(parts)
        low, high = np.quantile(samples, [0.001, 0.999])
        assert ranges[name].low[0] == pytest.approx(low, rel=1e-5)
        assert ranges[name].high[0] == pytest.approx(high, rel=1e-5)


def test_who_is_not_trained_on_has_no_influence(tmp_path, monkeypatch):
    clean = module_at(tmp_path / "clean")
    others = {*clean.fold.members.test, *clean.fold.members.val}
    read = SyntheticReader.read

    def louder(self, subject):
        for item in read(self, subject):
            if isinstance(item, Recording) and subject in changed:
                signals = {
                    name: dataclasses.replace(signal, samples=signal.samples * np.float32(100))
                    for name, signal in item.signals.items()
                }
                yield dataclasses.replace(item, signals=signals)
            else:
                yield item

    monkeypatch.setattr(SyntheticReader, "read", louder)
    changed = others
    for name, kept in module_at(tmp_path / "others").ranges().items():
        np.testing.assert_array_equal(kept.high, clean.ranges()[name].high)
    changed = set(clean.fold.members.train)
    for name, kept in module_at(tmp_path / "train").ranges().items():
        if not name.endswith(("beats", "phasic")):
            assert (kept.high != clean.ranges()[name].high).all()


def test_a_checkpoint_keeps_them_as_recorded(tmp_path):
    scaled, unscaled = (module_at(tmp_path, scaling) for scaling in ("standard", "none"))
    for name, values in scaled.state_dict()["ranges"].items():
        again = Range(values["low"].numpy(), values["high"].numpy(), 0.0, 0.0)
        np.testing.assert_array_equal(again.low, unscaled.ranges()[name].low)
        assert values["outside"] == unscaled.ranges()[name].outside

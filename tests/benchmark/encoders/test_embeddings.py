"""Embeddings: of each window by itself, at the encoder's rate, computed once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from torch import Tensor, nn

from benchmark.encoders import embeddings as module
from benchmark.encoders.embeddings import FOLDER, Frozen, as_one_array, embeddings, steps
from benchmark.execution.assemble import make_datamodule
from benchmark.probes.encoders import Encoder
from datamodules.archive import Archive
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import IncompatibleRunError
from datamodules.resident import RESIDENT
from datamodules.signals.recording import Signal
from datamodules.signals.steps import BandPass, Notch, Resample
from datamodules.stored import as_recording

ENCODER = Encoder("benchmark.none:None", ("eda", "bvp"), 8.0, 20.0, ("wesad",), "moments")


class Moments(nn.Module):
    """Mean of each channel, and its last sample."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.calls = nn.Parameter(torch.ones(1)), 0

    def forward(self, window: Tensor) -> Tensor:
        self.calls += len(window)
        return self.one * torch.cat([window.mean(dim=2), window[:, :, -1]], dim=1)


@pytest.fixture
def data(workshop: Any, tiny: Encoder, weights: Path) -> EmotionDataModule:
    (run, *_) = workshop.plan(["tiny_untrained"], recipes={})
    made = make_datamodule(run, workshop.places(Path("none")))
    made.prepare_data()
    made.setup()
    RESIDENT.clear()
    return made


def test_embeddings_are_those_of_each_window_by_itself(data, tmp_path):
    frozen = Frozen(ENCODER, Moments(), "key")
    fold = data.fold
    tables = embeddings(frozen, fold.archive, fold.grids, tmp_path)
    assert set(tables) == {"segments", "units"}
    for name, windows in fold.grids.items():
        assert tables[name].shape == (len(windows), 4)
        for row in range(0, len(windows), 7):
            subject = fold.archive.subjects[windows.subject[row]]
            recording = as_recording(subject, 0)  # each has one
            channels = []
            for signal in (recording.signals["eda"], recording.signals["bvp"]):
                (x,) = Resample(8.0)(signal).samples
                first = round(windows.start[row] * 8)
                channels.append(x[first : first + 160])
            expected = [*(x.mean() for x in channels), *(x[-1] for x in channels)]
            np.testing.assert_allclose(tables[name][row], expected, rtol=1e-4)


def test_windows_are_computed_once(data, tmp_path, monkeypatch):
    network = Moments()
    frozen, fold = Frozen(ENCODER, network, "key"), data.fold
    first = embeddings(frozen, fold.archive, fold.grids, tmp_path)
    starts = {
        (number, round(start * 8))
        for windows in fold.grids.values()
        for number, start in zip(windows.recording, windows.start, strict=True)
    }
    assert network.calls == len(starts) < sum(map(len, fold.grids.values()))
    embeddings(frozen, fold.archive, fold.grids, tmp_path)
    RESIDENT.clear()
    again = embeddings(frozen, fold.archive, fold.grids, tmp_path)  # from the file
    assert network.calls == len(starts)
    np.testing.assert_array_equal(again["units"], first["units"])
    embeddings(replace(frozen, key="other weights"), fold.archive, fold.grids, tmp_path)
    assert network.calls == 2 * len(starts)


def test_other_samples_of_its_signals_are_computed_anew(data, tmp_path, monkeypatch):
    network = Moments()
    frozen, fold = Frozen(ENCODER, network, "key"), data.fold
    embeddings(frozen, fold.archive, fold.grids, tmp_path)
    calls, samples_key = network.calls, Archive.samples_key

    def other(archive, signals):
        return "other" if signals == ENCODER.signals else samples_key(archive, signals)

    monkeypatch.setattr(Archive, "samples_key", other)
    embeddings(frozen, fold.archive, fold.grids, tmp_path)
    assert network.calls == 2 * calls


@pytest.mark.parametrize("damage", [b"", b"no zip archive", None])
def test_file_that_was_changed_is_computed_anew(data, tmp_path, damage):
    network = Moments()
    frozen, fold = Frozen(ENCODER, network, "key"), data.fold
    first = embeddings(frozen, fold.archive, fold.grids, tmp_path)
    (path,) = (tmp_path / FOLDER).glob("*.npz")
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 255
    path.write_bytes(packed if damage is None else damage)
    RESIDENT.clear()
    calls = network.calls
    again = embeddings(frozen, fold.archive, fold.grids, tmp_path)
    assert network.calls == 2 * calls
    np.testing.assert_array_equal(again["segments"], first["segments"])


def test_batches_change_nothing(data, tmp_path, monkeypatch):
    frozen, fold = Frozen(ENCODER, Moments(), "key"), data.fold
    first = embeddings(frozen, fold.archive, fold.grids, tmp_path / "one")
    monkeypatch.setattr(module, "VALUES", 1)
    RESIDENT.clear()
    again = embeddings(frozen, fold.archive, fold.grids, tmp_path / "other")
    np.testing.assert_allclose(again["segments"], first["segments"], rtol=1e-6)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda w: w, "expected embeddings of shape"),
        (lambda w: w.mean(), "expected embeddings of shape"),
        (lambda w: w[:, :, 0] / 0, "expected embeddings that are numbers"),
    ],
)
def test_answers_that_are_no_embeddings_are_refused(data, tmp_path, answer, said):
    class Other(nn.Module):
        def forward(self, window: Tensor) -> Tensor:
            return answer(window)

    fold = data.fold
    with pytest.raises(IncompatibleRunError, match=said):
        embeddings(Frozen(ENCODER, Other(), "key"), fold.archive, fold.grids, tmp_path)


EEG = replace(ENCODER, signals=("eeg",), sfreq=200.0, band=(0.3, 75.0), notch=60.0)


@pytest.mark.parametrize(
    ("encoder", "rate", "expected"),
    [
        (EEG, 500.0, (BandPass(0.3, 75.0), Notch(60.0), Resample(200.0))),
        (EEG, 200.0, (BandPass(0.3, 75.0), Notch(60.0))),
        (EEG, 128.0, (BandPass(0.3, None), Notch(60.0), Resample(200.0))),
        (EEG, 100.0, (BandPass(0.3, None), Resample(200.0))),
        (replace(EEG, band=(None, 75.0), notch=None), 128.0, (Resample(200.0),)),
        (ENCODER, 8.0, ()),
    ],
)
def test_steps_are_those_that_a_rate_allows(encoder, rate, expected):
    assert steps(encoder, rate) == expected


def test_filters_leave_the_band_alone():
    times = np.arange(500 * 20) / 500.0
    waves = {f: np.sin(2 * np.pi * f * times) for f in (10.0, 60.0, 120.0)}
    signal = Signal(sum(waves.values())[None].astype(np.float32), 500.0, ("Cz",), "uV")
    x = as_one_array([signal], EEG)
    assert x.shape == (1, 4000)
    density = scipy.signal.periodogram(x[0, 400:-400], 200.0, "hann")
    at = dict(zip(np.round(density[0], 3), density[1], strict=True))
    assert at[10.0] > 1e3 * max(at[60.0], at[80.0])  # 120 Hz would come out at 80 Hz


def test_signals_that_differ_by_a_sample_are_cut_to_the_shorter():
    one, other = (
        Signal(np.ones((2, n), np.float32), rate, ("a", "b"), "")
        for n, rate in ((80, 8.0), (639, 64.0))
    )
    assert as_one_array([one, other], ENCODER).shape == (4, 80)

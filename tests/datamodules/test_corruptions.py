"""Corruptions: what tested windows hold under each, and that nobody else's are touched."""

import numpy as np
import pytest
import torch

from datamodules.catalogue import DATASETS
from datamodules.corruptions import CORRUPTIONS, Corruption, Disturbed
from datamodules.errors import IncompatibleRunError, LeakError
from datamodules.protocol import Protocol
from datamodules.signals.beats import Beats
from datamodules.signals.disturbances import Detached, Late
from datamodules.synthetic import SYNTHETIC, SyntheticReader

OPTIONS = {"n_subjects": 4, "phase": 60.0}
WRIST = ("bvp", "eda", "temp", "acc")
FELT = [name for name, one in CORRUPTIONS.items() if one.touched(WRIST)]
SIGNALS = ("bvp", "eda", "temp", "bvp_beats")


@pytest.fixture
def wrist(build, tmp_path_factory):
    """Makes a datamodule of made-up wrists under a corruption, set up."""
    cache = tmp_path_factory.getbasetemp() / "corrupted"

    def made(corruption="", signals=SIGNALS, window=60.0, **fields):
        module = build(
            SYNTHETIC,
            options=OPTIONS,
            signals=signals,
            window=window,
            corruption=corruption,
            cache_dir=cache,
            **fields,
        )
        module.prepare_data()
        module.setup()
        return module

    return made


def windows(module, part="test"):
    gathered = module.gathered(part)
    return gathered[torch.arange(len(gathered))].signals


def read(module):
    """The recording of the tested person as it is."""
    (subject,) = module.fold.members.test
    (recording,) = SyntheticReader(**OPTIONS).read(subject)
    return recording


def test_every_corruption_is_felt_by_some_dataset():
    for name, corruption in CORRUPTIONS.items():
        felt = [d.name for d in DATASETS.values() if corruption.touched(d.recorded([*d.signals]))]
        assert felt, name
        assert bool(corruption.missing) == (corruption.disturbance is None)


@pytest.mark.parametrize("name", FELT)
def test_only_what_is_tested_is_disturbed(name, wrist):
    plain, module = wrist(), wrist(name)
    for part in ("train", "val"):
        before, after = windows(plain, part), windows(module, part)
        assert all(torch.equal(before[signal], after[signal]) for signal in SIGNALS)
    assert module.fold.archive.key == plain.fold.archive.key
    assert all(
        (plain.columns("test")[n] == values).all() for n, values in module.columns("test").items()
    )
    before, after = windows(plain), windows(module)
    changed = {signal for signal in SIGNALS if not torch.equal(before[signal], after[signal])}
    touched = set(CORRUPTIONS[name].touched(WRIST))
    derived = {"bvp_beats"} if "bvp" in touched else set()
    assert changed == (touched | derived) & set(SIGNALS)


def test_windows_hold_the_disturbed_recording(wrist):
    """By hand: the recording is disturbed, and windows are cut out of it by a plain loop."""
    for name in FELT:
        disturbance = CORRUPTIONS[name].disturbance
        if disturbance is None:
            continue
        module = wrist(name, scaling="none")
        recording = Disturbed(name, disturbance)(read(module), 0)
        expected = {s: recording.signals[s] for s in ("bvp", "eda", "temp")}
        expected["bvp_beats"] = Beats("bvp")(recording.signals["bvp"])  # of the disturbed wave
        starts, gathered = module.columns("test")["start"], windows(module)
        assert len(starts) == 8
        for signal, whole in expected.items():
            for row, start in enumerate(starts):
                first = round(float(start) * whole.sfreq)
                stretch = whole.samples[:, first : first + round(60 * whole.sfreq)]
                assert np.array_equal(gathered[signal][row].numpy(), stretch), (name, signal)


@pytest.mark.parametrize("name", ["eda_detached", "motion_strong", "bvp_dropout"])
def test_models_of_other_windows_and_seeds_see_the_same_recording(name, wrist):
    long = wrist(name, scaling="none")
    short = wrist(name, signals=("eda", "bvp"), window=20.0, scaling="none", seed=5)
    if short.fold.members.test != long.fold.members.test:
        pytest.fail("expected one person to be tested by both")
    places = {float(start): row for row, start in enumerate(long.columns("test")["start"])}
    seen = 0
    for row, start in enumerate(short.columns("test")["start"]):
        unit = max(place for place in places if place <= start)
        for signal, rate in (("eda", 4), ("bvp", 64)):
            first = round((float(start) - unit) * rate)
            around = windows(long)[signal][places[unit], :, first : first + 20 * rate]
            assert torch.equal(windows(short)[signal][row], around)
            seen += 1
    assert seen == 2 * 16


def test_an_electrode_that_is_off_is_0_in_the_right_stretch_of_a_window(wrist):
    plain, module = wrist(scaling="none"), wrist("eda_detached", scaling="none")
    before, after = windows(plain)["eda"][:, 0], windows(module)["eda"][:, 0]
    assert (before > 0).all()
    for row, start in enumerate(module.columns("test")["start"]):
        assert float(start) % 30 == 0  # so that a window is two cells
        for cell in range(2):
            off = [n for n in range(cell * 120, (cell + 1) * 120) if after[row, n] == 0]
            assert off == list(range(off[0], off[0] + 40))
        others = after[row] != 0
        assert torch.equal(after[row, others], before[row, others])


def test_late_signals_hold_earlier_samples(wrist):
    plain, module = wrist(scaling="none"), wrist("clock_offset", scaling="none")
    before, after = windows(plain), windows(module)
    assert torch.equal(before["bvp"], after["bvp"])
    assert torch.equal(before["bvp_beats"], after["bvp_beats"])
    for signal in ("eda", "temp"):
        assert torch.equal(after[signal][:, :, 4:], before[signal][:, :, :-4])


@pytest.mark.parametrize("name", ["missing_eda", "missing_bvp"])
def test_a_missing_signal_is_the_mean_of_training_people(name, wrist):
    missing = CORRUPTIONS[name].missing
    gone = {"missing_eda": ("eda", "eda_tonic"), "missing_bvp": ("bvp", "bvp_beats")}[name]
    signals = (*SIGNALS, "eda_tonic")
    scaled, recorded = wrist(name, signals), wrist(name, signals, scaling="none")
    train = {s: [] for s in gone}
    archive = recorded.fold.archive
    for stored, recording in zip(archive.recordings, range(len(archive.recordings)), strict=True):
        if stored.subject in recorded.fold.members.train:
            for signal in gone:
                piece, rate = (
                    archive.samples(signal)[recording],
                    archive.stored(signal)[recording].sfreq,
                )
                for segment in stored.segments:
                    first, stop = round(segment.start * rate), round(segment.stop * rate)
                    train[signal].append(piece[:, first:stop].astype(np.float64))
    for signal in signals:
        values = windows(scaled)[signal]
        assert (values == 0).all() == (signal in gone), (signal, missing)
    for signal in gone:
        mean = np.concatenate(train[signal], axis=1).mean(axis=1)
        values = windows(recorded)[signal].numpy()
        assert np.allclose(values, mean[None, :, None], rtol=1e-5, atol=1e-6)


def test_a_corrupted_training_part_is_refused(wrist, monkeypatch):
    """As it would be if recordings of the wrong people were disturbed."""
    module = wrist("eda_detached")
    other = wrist("eda_detached", fold=1)
    assert other.fold.members.test != module.fold.members.test
    monkeypatch.setattr(module, "_recordings", lambda part: other._disturbed)
    (subject,) = other.fold.members.test
    part = "val" if subject in module.fold.members.val else "train"
    with pytest.raises(
        LeakError, match=f"window.s. in {part} are of disturbed recordings, of {subject}"
    ):
        module.gathered(part)


# --- what goes together


def test_a_corruption_that_there_is_not():
    with pytest.raises(IncompatibleRunError, match="no corruption 'wet'"):
        Protocol(corruption="wet")


def test_flaws_are_measured_on_recordings_as_they_are():
    with pytest.raises(IncompatibleRunError, match="expected no flags and no calibration"):
        Protocol(corruption="eda_detached", flags=("scale_on_all",))
    assert not Protocol(corruption="eda_detached").ranked
    assert not Protocol(flags=("scale_on_all",)).ranked
    assert Protocol().ranked


def test_a_dataset_without_the_signal(build, tmp_path):
    with pytest.raises(IncompatibleRunError, match="expected signals that missing_eeg disturbs"):
        build(SYNTHETIC, options=OPTIONS, corruption="missing_eeg", cache_dir=tmp_path)


def test_why_a_corruption_says_nothing_of_a_model():
    gone = Corruption("", missing="eda")
    late = Corruption("", disturbance=Late(1.0))
    off = Corruption("", disturbance=Detached("eda", 10.0))
    assert "the dataset has nothing of the kind" in gone.why_not(["bvp"], ["bvp", "temp"])
    assert gone.why_not(["bvp"], WRIST) == "it sees no eda, so that its score stays as it is"
    assert gone.why_not(["eda"], WRIST) == "it sees no other signal"
    assert late.why_not(["eda", "temp"], WRIST) == "all that it sees is late alike"
    assert not gone.why_not(["eda", "bvp"], WRIST)
    assert not late.why_not(["eda", "bvp"], WRIST)
    assert not off.why_not(["eda"], WRIST)

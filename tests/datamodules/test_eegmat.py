import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy

from datamodules.eegmat import EEG, EEGMAT, SUBJECTS, EEGMATReader
from datamodules.errors import (
    AffectbenchError,
    DatasetCorruptedError,
    DatasetNotFoundError,
    MissingExtraError,
)
from datamodules.signals.recording import Recording, Segment
from datamodules.synthesis import eegmat as synthesis

HEAD, N_CHANNELS = 256, 22
"""Bytes of the header of a file, and of each channel's; channels with the annotations."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eegmat")
    synthesis.write(folder, 2, seed=3, rest=70)
    return folder


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    for path in written.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def read(root: Path, subject: str = "Subject00") -> list[Recording]:
    return list(EEGMATReader(root).read(subject))


def header(path: Path, offset: int, width: int) -> list[str]:
    """A field of the header of every channel."""
    begin = HEAD + N_CHANNELS * offset
    raw = path.read_bytes()[begin : begin + N_CHANNELS * width].decode("ascii")
    return [raw[at : at + width].strip() for at in range(0, len(raw), width)]


def plain_samples(path: Path) -> np.ndarray:
    """Physical values of the 21 channels by the formula of the format, without a library."""
    body = np.frombuffer(path.read_bytes()[HEAD * (1 + N_CHANNELS) :], "<i2")
    records = body.reshape(-1, 21 * 500 + 57)[:, : 21 * 500].reshape(-1, 21, 500)
    whole = records.transpose(1, 0, 2).reshape(21, -1).astype(np.float64)
    low, high, first, last = (
        np.array([float(cell) for cell in header(path, offset, 8)])[:21, None]
        for offset in (104, 112, 120, 128)
    )
    return (whole - first) * (high - low) / (last - first) + low


# ---- the files


def test_files_look_as_published(written: Path) -> None:
    names = sorted(path.name for path in written.iterdir())
    assert names == [f"Subject0{n}_{part}.edf" for n in (0, 1) for part in (1, 2)]
    path = written / "Subject01_2.edf"
    raw = path.read_bytes()
    assert len(raw) == 1314956  # as published
    assert raw[:8] == b"0       "
    assert raw[184:192] == b"5888    "
    assert raw[192:197] == b"EDF+C"
    assert raw[236:256] == b"62      1       22  "
    assert header(path, 0, 16) == [
        *(f"EEG {name}" for name in EEG),
        *("EEG A2-A1", "ECG ECG", "EDF Annotations"),
    ]
    assert header(path, 96, 8) == [*["uV"] * 20, "mV", ""]
    assert header(path, 216, 8) == [*["500"] * 21, "57"]
    assert header(path, 136, 80)[0] == "HP:0.500000Hz LP:45.000000Hz RF:50Hz"
    assert len(set(header(path, 104, 8))) > 20
    annotations = raw[HEAD * 23 + 21 * 1000 :][:114]
    assert annotations == b"+0\x14\x14".ljust(114, b"\0")


def test_lengths_are_as_published(tmp_path: Path) -> None:
    synthesis.write(tmp_path, 5)
    seconds = {path.name: int(path.read_bytes()[236:244]) for path in tmp_path.iterdir()}
    assert {name: s for name, s in seconds.items() if name.endswith("_1.edf")} == {
        **{f"Subject0{number}_1.edf": 182 for number in range(4)},
        "Subject04_1.edf": 170,
    }
    assert {s for name, s in seconds.items() if name.endswith("_2.edf")} == {62}


def test_a_person_does_not_depend_on_how_many_there_are(written: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=3, rest=70)
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (written / path.name).read_bytes()


def test_the_effect_is_planted(tmp_path: Path) -> None:
    def fall(effect: float) -> float:
        """Mean logarithm of alpha at rest over that while subtracting."""
        root = tmp_path / str(effect)
        synthesis.write(root, 2, effect=effect, rest=60)
        falls = []
        for subject in SUBJECTS[:2]:
            alpha = []
            for recording in read(root, subject):
                frequency, power = scipy.signal.welch(recording.signals["eeg"].samples, 500)
                alpha.append(np.log(power[:, (frequency >= 8) & (frequency < 13)]).mean())
            falls.append(alpha[0] - alpha[1])
        return float(np.mean(falls))

    assert fall(1.0) > fall(0.0) + 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 36 subjects, found 0"),
        ({"n_subjects": 37}, "expected 1 to 36 subjects, found 37"),
        ({"n_subjects": 1, "effect": -0.5}, "expected an effect of 0 or more, found -0.5"),
        ({"n_subjects": 1, "rest": 59}, "expected 60 s of rest or more, found 59"),
    ],
)
def test_impossible_requests(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", ["Subject01_1.edf", "Subject00_2.edf"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(AffectbenchError, match=f"expected no {there}"):
        synthesis.write(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "write_edf", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


# ---- the reader


def test_subjects() -> None:
    assert len(SUBJECTS) == 36
    assert (SUBJECTS[0], SUBJECTS[-1]) == ("Subject00", "Subject35")


def test_samples_are_those_of_the_format(written: Path) -> None:
    for part, recording in enumerate(read(written), start=1):
        expected = plain_samples(written / f"Subject00_{part}.edf")
        eeg, ecg = recording.signals["eeg"], recording.signals["ecg"]
        assert (eeg.unit, ecg.unit, eeg.sfreq, ecg.sfreq) == ("uV", "mV", 500.0, 500.0)
        assert eeg.channels == EEG
        np.testing.assert_allclose(eeg.samples, expected[:19], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(ecg.samples, expected[20:], rtol=1e-5, atol=1e-6)
        assert 5 < eeg.samples.std() < 50
        assert 0.05 < ecg.samples.std() < 1


def test_rest_is_its_last_minute_and_arithmetic_all_of_it(written: Path) -> None:
    rest, arithmetic = read(written)
    assert rest.segments == (Segment(10.0, 70.0, 1, {"condition": "rest"}),)
    assert arithmetic.segments == (Segment(0.0, 62.0, 2, {"condition": "arithmetic"}),)
    assert (rest.offset, arithmetic.offset) == (0.0, 70.0)
    assert rest.session == arithmetic.session
    labels = [EEGMAT.tasks["workload"].label("", r.segments[0]) for r in (rest, arithmetic)]
    assert labels == [0, 1]


def test_without_mne_nobody_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends with the name of the extra: no recording is at fault."""
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingExtraError, match=r"affectbench\[eeg\]"):
        read(root)


def test_missing_files(root: Path) -> None:
    reader = EEGMATReader(root)
    with pytest.raises(DatasetNotFoundError, match=r"no Subject02_1\.edf and Subject02_2\.edf in"):
        reader.files("Subject02")
    (root / "Subject00_2.edf").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no Subject00_2\.edf in"):
        reader.files("Subject00")
    with pytest.raises(DatasetNotFoundError, match="nobody"):
        reader.files("nobody")


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        assert old in raw
        assert len(old) == len(new)
        return raw.replace(old, new, 1)

    return change


def fifty_seconds(raw: bytes) -> bytes:
    short = swapped(b"70      1   ", b"50      1   ")(raw)
    return short[: -20 * 2 * (21 * 500 + 57)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:-1], r"Subject00_1\.edf: expected a whole \.edf file"),
        (lambda raw: raw[: len(raw) // 2], r"Subject00_1\.edf: expected a whole \.edf file"),
        (lambda raw: raw[:300], r"Subject00_1\.edf: expected a whole \.edf file"),
        (lambda raw: b"", r"Subject00_1\.edf: expected a whole \.edf file"),
        (lambda raw: b"<html>" * 9999, r"Subject00_1\.edf: expected a whole \.edf file"),
        (swapped(b"EEG Fz", b"EEG Xz"), r"expected a channel EEG Fz, found EEG Fp1, .*EEG Xz"),
        (swapped(b"uV", b"mV"), r"expected 500 Hz, uV and for the ECG mV, found 500 Hz and .*'mV'"),
        (swapped(b"mV", b"uV"), "expected 500 Hz, uV and for the ECG mV, found .*'ECG ECG', 'uV'"),
        (swapped(b"70      1   ", b"70      0.5 "), "expected 500 Hz, .* found 1000 Hz"),
        (fifty_seconds, "expected at least 60 s of rest, found 50 s"),
    ],
)
def test_damaged_files_are_named(
    root: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    path = root / "Subject00_1.edf"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read(root)
    assert str(path) in str(caught.value)


# ---- real recordings


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("AFFECTBENCH_DATA")
    if not folder or not (Path(folder) / "eegmat").is_dir():
        pytest.skip("AFFECTBENCH_DATA names no folder with eegmat in it")
    return Path(folder) / "eegmat"


@pytest.mark.data
def test_the_published_recordings(real: Path) -> None:
    people = sorted({re.sub(r"_\d\.edf", "", path.name) for path in real.glob("Subject*.edf")})
    assert people
    for subject in people:
        recordings = read(real, subject)
        assert [r.segments[0].annotations["condition"] for r in recordings] == [
            "rest",
            "arithmetic",
        ]
        assert [r.segments[0].duration for r in recordings] == [60.0, 62.0]
        for part, recording in enumerate(recordings, start=1):
            expected = plain_samples(real / f"{subject}_{part}.edf")
            eeg, ecg = (recording.signals[name].samples for name in ("eeg", "ecg"))
            np.testing.assert_allclose(eeg, expected[:19], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(ecg, expected[20:], rtol=1e-4, atol=1e-5)
            assert 1 < np.median(eeg.std(axis=1)) < 50, subject

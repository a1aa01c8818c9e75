import struct
import sys
from pathlib import Path

import mne
import numpy as np
import pytest

from datamodules.errors import DatasetCorruptedError, MissingExtraError
from datamodules.formats import neuroscan
from datamodules.formats.neuroscan import NeuroscanFile
from datamodules.synthesis.seed_v import RAW_CHANNELS, write_cnt

N_TIMES = 2000
NAMES = ("FP1", "TP7", "CB2", "VEO")


@pytest.fixture(scope="module")
def microvolts() -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 30.0, (66, N_TIMES))


@pytest.fixture
def path(tmp_path: Path, microvolts: np.ndarray) -> Path:
    """Two seconds of 66 channels, with events at its ends."""
    found = tmp_path / "1_1_20180804.cnt"
    pieces = np.split(microvolts, [300, 1100], axis=1)
    write_cnt(found, iter(pieces), N_TIMES, [(1, 0), (2, N_TIMES - 1)])
    return found


def test_size_and_header_are_the_formats(path: Path) -> None:
    raw = path.read_bytes()
    table = 900 + 75 * 66 + 4 * 66 * N_TIMES
    assert len(raw) == table + 9 + 2 * 19
    assert raw[:12] == b"Version 3.0\0"
    assert struct.unpack_from("<H", raw, 370) == (66,)
    assert struct.unpack_from("<H", raw, 376) == (1000,)
    assert struct.unpack_from("<i", raw, 864) == (N_TIMES,)
    assert struct.unpack_from("<ifi", raw, 886) == (table, 2.0, 1)
    assert struct.unpack_from("<Bii", raw, table) == (2, 38, 0)


def test_stretches_in_microvolts(path: Path, microvolts: np.ndarray) -> None:
    """To half a step of the recorder, which is 5 nV."""
    opened = NeuroscanFile(path, NAMES, 1000.0)
    rows = [RAW_CHANNELS.index(name) for name in NAMES]
    for start, stop in ((0.0, 2.0), (0.5, 0.75), (1.999, 2.0)):
        signal = opened.read(start, stop)
        first, last = round(1000 * start), round(1000 * stop)
        assert signal.samples.shape == (4, last - first)
        np.testing.assert_allclose(signal.samples, microvolts[rows, first:last], atol=2.6e-3)
        assert (signal.channels, signal.unit, signal.sfreq) == (NAMES, "uV", 1000.0)


def test_the_order_is_the_callers(path: Path) -> None:
    forward = NeuroscanFile(path, NAMES, 1000.0).read(0.0, 1.0).samples
    backward = NeuroscanFile(path, NAMES[::-1], 1000.0).read(0.0, 1.0).samples
    np.testing.assert_array_equal(forward, backward[::-1])


def test_pieces_join(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = NeuroscanFile(path, NAMES, 1000.0).read(0.1, 1.9).samples
    monkeypatch.setattr(neuroscan, "AT_ONCE", 700)
    np.testing.assert_array_equal(NeuroscanFile(path, NAMES, 1000.0).read(0.1, 1.9).samples, whole)


def test_opening_reads_no_samples(path: Path) -> None:
    assert not NeuroscanFile(path, NAMES, 1000.0).raw.preload


def test_the_date_is_as_unreadable_as_the_published_one(path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="Could not parse meas date"):
        mne.io.read_raw_cnt(path, verbose="WARNING")


def test_other_warnings_are_not_hidden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = mne.io.read_raw_cnt

    def warned(*arguments: object, **options: object) -> object:
        mne.utils.warn("something new")
        return real(*arguments, **options)

    monkeypatch.setattr(mne.io, "read_raw_cnt", warned)
    with pytest.warns(RuntimeWarning, match="something new"):
        NeuroscanFile(path, NAMES, 1000.0)


def test_a_name_of_five_letters_is_no_bad_channel(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[900:910] = b"FPONE".ljust(10, b"\0")
    path.write_bytes(raw)
    with pytest.warns(RuntimeWarning, match="Could not parse"):
        assert mne.io.read_raw_cnt(path, verbose="WARNING").info["bads"] == ["FPONE"]
    opened = NeuroscanFile(path, ("FPONE", "FPZ"), 1000.0)
    assert opened.raw.info["bads"] == []
    assert opened.read(0.0, 1.0).samples.shape == (2, 1000)


def test_a_stretch_beyond_the_end(path: Path) -> None:
    opened = NeuroscanFile(path, NAMES, 1000.0)
    with pytest.raises(
        DatasetCorruptedError, match=r"expected a recording of at least 2\.001 s, found 2 s"
    ):
        opened.read(1.0, 2.001)


@pytest.mark.parametrize(
    ("channels", "sfreq", "message"),
    [
        (NAMES, 500.0, r"4 channels by name at 500 Hz, found 1000 Hz; channels missing: none"),
        (("FP1", "A1"), 1000.0, r"2 channels .* found 1000 Hz; channels missing: A1"),
    ],
)
def test_another_recording(
    path: Path, channels: tuple[str, ...], sfreq: float, message: str
) -> None:
    with pytest.raises(DatasetCorruptedError, match=message):
        NeuroscanFile(path, channels, sfreq)


def damaged(raw: bytes, how: str) -> bytes:
    changed = bytearray(raw)
    if how == "no bytes":
        return b""
    if how == "text":
        return b"<html>please sign in</html>"
    if how == "cut short":
        return raw[: len(raw) // 2]
    if how == "no events":
        return raw[: 900 + 75 * 66 + 4 * 66 * N_TIMES]
    if how == "no channels":
        changed[370:372] = bytes(2)
    elif how == "no samples":
        changed[864:868] = bytes(4)
    elif how == "no place of events":
        changed[886:890] = struct.pack("<i", -5)
    elif how == "event of no type":
        changed[900 + 75 * 66 + 4 * 66 * N_TIMES] = 77
    return bytes(changed)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no bytes", "expected a header of 900 bytes, found 0 bytes in all"),
        ("text", "expected a header of 900 bytes, found 27 bytes"),
        ("cut short", "expected at least 533850 bytes for 2000 samples of 66 channels, found 2669"),
        ("no events", "expected a Neuroscan recording of 32-bit samples, .* Fetch the file anew"),
        ("no channels", "expected at least 900 bytes for 2000 samples of 0 channels"),
        ("no samples", "expected at least 5850 bytes for 0 samples of 66 channels"),
        ("no place of events", "expected a Neuroscan recording of 32-bit samples"),
        ("event of no type", "expected a Neuroscan recording of 32-bit samples"),
    ],
)
def test_damaged_files(path: Path, how: str, message: str) -> None:
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        NeuroscanFile(path, NAMES, 1000.0)
    assert str(path) in str(caught.value)


def test_blocks_that_make_no_sense(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[894:898] = struct.pack("<i", 4 * 7777)
    path.write_bytes(raw)
    opened = NeuroscanFile(path, NAMES, 1000.0)
    with pytest.raises(DatasetCorruptedError, match="expected a Neuroscan recording of 32-bit"):
        opened.read(0.0, 2.0)


def test_without_mne_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'affectbench\[eeg\]'") as caught:
        NeuroscanFile(path, NAMES, 1000.0)
    assert path.name in str(caught.value)

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.errors import DatasetCorruptedError, MissingExtraError
from datamodules.formats.edf import read_channels
from datamodules.synthesis.edf import BITS_16, BITS_24, Channel, write_bdf, write_edf

START = datetime(2011, 2, 3, 4, 5, 6)
RATE, SECONDS = 64, 5
UNITS = {
    "EEG Fp1": ("uV", -73.6162, 93.88263),
    "ECG": ("mV", -0.20503, 0.654943),
    "Fast": ("V", -1.0, 2.0),
    "GSR1": ("Ohm", -8388608, 8388607),
    "Conductance": ("nS", 0, 40000),
    "Temp": ("C", -1000, 1000),
    "Status": ("Boolean", -8388608, 8388607),
    "Nothing": ("", -5, 7.5),
}
"""Unit and range by label."""


def channels(bits: tuple[int, int]) -> tuple[Channel, ...]:
    return tuple(Channel(label, *rest, bits=bits) for label, rest in UNITS.items())


def numbers(bits: tuple[int, int]) -> npt.NDArray[np.int32]:
    rng = np.random.default_rng(0)
    digital = rng.integers(*bits, (len(UNITS), RATE * SECONDS), endpoint=True).astype(np.int32)
    digital[:, :2] = bits
    return digital


KINDS: dict[str, tuple[tuple[int, int], Callable[..., None]]] = {
    "edf": (BITS_16, write_edf),
    "bdf": (BITS_24, write_bdf),
}


@pytest.fixture(params=KINDS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    bits, write = KINDS[request.param]
    file = tmp_path / f"x.{request.param}"
    write(file, channels(bits), numbers(bits), RATE, START)
    return file


def bits_of(path: Path) -> tuple[int, int]:
    return KINDS[path.suffix[1:]][0]


def test_values_are_in_the_units_of_the_header(path: Path) -> None:
    read, rate = read_channels(path, tuple(UNITS))
    assert rate == RATE
    assert list(read) == list(UNITS)
    lowest, highest = bits_of(path)
    for row, (label, (unit, low, high)) in enumerate(UNITS.items()):
        digital = numbers((lowest, highest))[row]
        expected = (digital - lowest) / (highest - lowest) * (high - low) + low
        assert read[label].unit == unit
        np.testing.assert_allclose(
            read[label].samples, expected, rtol=1e-9, atol=1e-9 * (high - low), err_msg=label
        )
        np.testing.assert_array_equal(read[label].digital, digital, err_msg=label)


def test_channels_are_read_by_label_in_any_order(path: Path) -> None:
    both, _ = read_channels(path, ("Temp", "ECG"))
    everything, _ = read_channels(path, tuple(UNITS))
    assert list(both) == ["Temp", "ECG"]
    for label, channel in both.items():
        np.testing.assert_array_equal(channel.samples, everything[label].samples)
    with pytest.raises(DatasetCorruptedError, match=r"expected a channel EOG, found EEG Fp1, ECG"):
        read_channels(path, ("ECG", "EOG"))


def test_records_of_another_length_are_of_another_rate(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:244] + b"2       " + raw[252:])
    assert read_channels(path, ("ECG",))[1] == RATE / 2


def test_other_rates_are_refused_only_where_they_are_read(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    count = int(raw[252:256])
    rates = 256 + count * 216
    width = 3 if path.suffix == ".bdf" else 2
    raw[rates + 8 : rates + 16] = b"32      "
    raw += bytes(SECONDS * 32 * width)
    path.write_bytes(raw)
    with pytest.raises(DatasetCorruptedError, match=r"one rate for all .* found \[32.0, 64.0\] Hz"):
        read_channels(path, ("EEG Fp1", "ECG"))
    assert read_channels(path, ("ECG",))[1] == 32


@pytest.mark.parametrize("length", [0, 100, 256, 700, -1])
def test_files_that_were_cut_off(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        DatasetCorruptedError, match=rf"x\{path.suffix}: expected a whole \{path.suffix} file"
    ):
        read_channels(path, ("ECG",))


@pytest.mark.parametrize(
    ("at", "text"),
    [(236, b"-1      "), (236, b"many    "), (244, b"0       "), (252, b"0   "), (252, b"-3  ")],
)
def test_headers_that_make_no_sense(path: Path, at: int, text: bytes) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:at] + text + raw[at + len(text) :])
    with pytest.raises(DatasetCorruptedError, match=r"expected a whole .* Fetch it anew"):
        read_channels(path, ("ECG",))


def test_a_header_of_another_length_than_it_says_is_refused(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:184] + b"512     " + raw[192:])
    with pytest.raises(DatasetCorruptedError, match=r"expected a whole .* file"):
        read_channels(path, ("ECG",))


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_without_mne_the_extra_is_named(tmp_path, monkeypatch, suffix):
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'affectbench\[eeg\]'") as caught:
        read_channels(tmp_path / f"a{suffix}", ("ECG",))
    assert f"a{suffix}" in str(caught.value)

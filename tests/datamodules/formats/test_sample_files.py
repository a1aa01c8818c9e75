import sys
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import DatasetCorruptedError, MachineError
from datamodules.formats.folder_head import SignalEntry
from datamodules.formats.sample_files import read_samples
from datamodules.synthesis.edf import BITS_16, Channel, write_edf


def entry(*columns: str, channels: tuple[str, ...] = (), unit: str = "mV", scale=None, rate=10.0):
    return SignalEntry(columns, channels, rate, unit, "", scale, False)


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_of_csv_are_read_by_name_in_the_order_of_the_head(tmp_path):
    path = csv(tmp_path, "\ufefft,y,x\n0,1,2.5\n1,3,4e0\n")
    samples = read_samples(path, entry("x", "y"))
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    assert samples.tolist() == [[2.5, 4.0], [1.0, 3.0]]


def test_the_factor_of_the_head_multiplies(tmp_path):
    samples = read_samples(csv(tmp_path, "x\n64\n-32\n"), entry("x", scale=1 / 64))
    assert samples.tolist() == [[1.0, -0.5]]


def test_a_slower_column_ends_in_empty_cells(tmp_path):
    path = csv(tmp_path, "fast,slow\n1,7\n2,8\n3,\n4,\n")
    assert read_samples(path, entry("slow")).tolist() == [[7.0, 8.0]]
    assert read_samples(path, entry("fast")).shape == (1, 4)


BROKEN = {
    "an empty cell": ("x,y\n1,1\n,1\n3,1\n", "1 empty cell.*first in row 2"),
    "a blank line": ("x\n1\n\n3\n", "1 empty cell.*first in row 2"),
    "a word": ("x\n1\nhigh\n", "columns of numbers"),
    "a word for nothing": ("x\n1\nNA\n2\n", "empty cell"),
    "infinity": ("x\n1\ninf\n", "finite numbers in x"),
    "too large a number": ("x\n1\n1e39\n", "finite numbers in x"),
    "no number": ("x\n", "columns of one length|found x with 0"),
    "no line": ("", "expected one column x, found .."),
    "another column": ("y\n1\n", "expected one column x, found .'y'."),
    "a column twice": ("x,x\n1,2\n", "expected one column x, found .'x', 'x'."),
    "no names": ("1\n2\n", "expected one column x, found .'1'."),
    "semicolons": ("x;y\n1;2\n", "Separate columns by commas"),
    "decimal commas": ("x\n1,5\n2,5\n", "columns of numbers"),
    "a cell too many at the end": ("x,y\n1,2,3\n4,5,6\n", "columns of numbers"),
    "a cell too many later": ("x,y\n1,2\n4,5,6\n", "columns of numbers"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_csv_that_is_not_as_described_is_refused(tmp_path, case):
    text, message = BROKEN[case]
    with pytest.raises(DatasetCorruptedError, match=message):
        read_samples(csv(tmp_path, text), entry("x"))


def test_columns_of_two_lengths_are_no_signal(tmp_path):
    path = csv(tmp_path, "x,y\n1,1\n2,\n")
    with pytest.raises(DatasetCorruptedError, match="x with 2, y with 1 numbers"):
        read_samples(path, entry("x", "y"))


def test_npz_has_an_array_a_channel_or_one_of_all(tmp_path):
    path = tmp_path / "a.npz"
    eeg = np.arange(6.0).reshape(2, 3)
    np.savez(path, eeg=eeg, x=np.array([1, 2], np.int16), odd=np.array([None]), b=np.eye(2) > 0)
    both = read_samples(path, entry("eeg", channels=("Fp1", "Fp2")))
    assert both.tolist() == eeg.tolist()
    assert read_samples(path, entry("x")).tolist() == [[1.0, 2.0]]
    for wrong in (entry("eeg"), entry("eeg", channels=("Fp1",)), entry("b", channels=("1", "2"))):
        with pytest.raises(DatasetCorruptedError, match="expected the shape"):
            read_samples(path, wrong)
    with pytest.raises(DatasetCorruptedError, match="allow_pickle"):
        read_samples(path, entry("odd"))
    with pytest.raises(DatasetCorruptedError, match="expected one column ecg, found"):
        read_samples(path, entry("ecg"))
    np.savez(path, x=np.array([1.0, np.nan, 2.0]))
    with pytest.raises(DatasetCorruptedError, match=r"finite numbers in x.*first at 1"):
        read_samples(path, entry("x"))


HEADERS = {
    "huge": "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }",
    "more than there is": "{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }",
    "negative": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
    "an object": "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "half a dict": "{'descr': '<f8', 'fortran_order': (",
    "a call": "__import__('os').system('true')",
    "no type": "{'descr': 'nothing', 'fortran_order': False, 'shape': (1,), }",
    "a list of types": "{'descr': [1], 'fortran_order': False, 'shape': (1,), }",
}


@pytest.mark.parametrize("case", HEADERS)
def test_an_array_whose_header_cannot_be_is_refused(tmp_path, case):
    path = tmp_path / "a.npz"
    header = HEADERS[case].encode().ljust(117) + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", start + header + bytes(16))
    with pytest.raises(DatasetCorruptedError, match="expected a whole"):
        read_samples(path, entry("x"))


@pytest.mark.parametrize("suffix", [".npz", ".edf", ".bdf", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04" + bytes(400)])
def test_a_file_of_another_kind_is_refused(tmp_path, suffix, content):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra [parquet]")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(DatasetCorruptedError, match=f"expected a whole {suffix} file"):
        read_samples(path, entry("x"))


def edf(tmp_path: Path, unit: str, rate: int = 10) -> Path:
    path, channel = tmp_path / "a.edf", Channel("EEG Cz", unit, -1000, 1000, bits=BITS_16)
    digital = channel.digital(np.linspace(-500, 500, 2 * rate))[None]
    write_edf(path, [channel], digital, rate, datetime(2024, 1, 1))
    return path


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1.0), ("mV", 1e-3)])
def test_voltages_of_edf_are_converted_to_the_unit_of_the_head(tmp_path, unit, factor):
    samples = read_samples(edf(tmp_path, "uV"), entry("EEG Cz", unit=unit))
    np.testing.assert_allclose(samples[0], factor * np.linspace(-500, 500, 20), atol=0.02 * factor)


def test_what_edf_says_otherwise_is_refused(tmp_path):
    with pytest.raises(DatasetCorruptedError, match="at 20 Hz, as the head says, found 10 Hz"):
        read_samples(edf(tmp_path, "uV"), entry("EEG Cz", unit="uV", rate=20.0))
    with pytest.raises(DatasetCorruptedError, match="EEG Cz in mV, as the head says, found nS"):
        read_samples(edf(tmp_path, "nS"), entry("EEG Cz"))
    scaled = read_samples(edf(tmp_path, "nS"), entry("EEG Cz", unit="uS", scale=1e-3))
    np.testing.assert_allclose(scaled[0], np.linspace(-0.5, 0.5, 20), atol=1e-4)
    with pytest.raises(DatasetCorruptedError, match="expected a channel x, found EEG Cz"):
        read_samples(edf(tmp_path, "uV"), entry("x"))
    path = edf(tmp_path, "uV")
    path.write_bytes(path.read_bytes().replace(b"EDF+C", b"EDF+D", 1))
    with pytest.raises(DatasetCorruptedError, match=r"without gaps, found EDF\+D"):
        read_samples(path, entry("EEG Cz", unit="uV"))


def test_columns_of_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra [parquet]")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    table = pa.table(
        {"x": [1, 2, 3], "slow": [0.5, None, None], "gap": [1.0, None, 2.0], "t": ["a"] * 3}
    )
    parquet.write_table(table, path)
    assert read_samples(path, entry("x")).tolist() == [[1.0, 2.0, 3.0]]
    assert read_samples(path, entry("slow")).tolist() == [[0.5]]
    with pytest.raises(DatasetCorruptedError, match="1 empty cell"):
        read_samples(path, entry("gap"))
    with pytest.raises(DatasetCorruptedError, match="columns of numbers"):
        read_samples(path, entry("t"))
    with pytest.raises(DatasetCorruptedError, match="expected one column y, found"):
        read_samples(path, entry("y"))


def test_parquet_without_its_library_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MachineError, match=r"pip install 'affectbench\[parquet\]'"):
        read_samples(tmp_path / "a.parquet", entry("x"))


def test_a_file_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(DatasetCorruptedError, match=r"ends in \.csv, \.parquet.*found a\.txt"):
        read_samples(tmp_path / "a.txt", entry("x"))
    with pytest.raises(DatasetCorruptedError, match=r"expected an \.npz file"):
        read_samples(tmp_path / "a.csv", entry("x", channels=("x", "y")))

import io

import numpy as np
import pytest

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.sample_lines import SampleLines

RATES = {"eda": 4.0, "acc": 32.0}


class Pieces:
    """A stream that gives a text in pieces that cut lines and numbers."""

    def __init__(self, text: str, size: int) -> None:
        self._file, self._size = io.BytesIO(text.encode()), size

    def read1(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._size))


def read(text: str, size: int = 7, rates: dict[str, float] | None = None):
    lines = SampleLines(Pieces(text, size), RATES if rates is None else rates)
    parts: dict[str, list[np.ndarray]] = {}
    while piece := lines.read(()):
        for name, samples in piece.samples.items():
            parts.setdefault(name, []).append(samples)
    return lines.start, {name: np.concatenate(these, axis=1) for name, these in parts.items()}


def row(name: str, number: int, start: float, value: float) -> str:
    values = ",".join([f"{value:.3f}"] * (3 if name == "acc" else 1))
    return f"{name},{start + number / RATES[name]:.6f},{values}\n"


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
def test_mixed_lines_are_put_side_by_side_by_their_times(size):
    rows = [(1000 + n / 4, row("eda", n, 1000.0, n)) for n in range(40)]
    rows += [(1000.5 + n / 32, row("acc", n, 1000.5, n / 100)) for n in range(320)]
    text = "# a remark\n\n" + "".join(line for _, line in sorted(rows)) + "temp,1000,30\n"
    start, samples = read(text, size)
    assert start == 1000.5
    np.testing.assert_array_equal(samples["eda"], np.arange(2, 40, dtype=np.float32)[None])
    expected = np.round(np.arange(320) / 100, 3).astype(np.float32)
    np.testing.assert_array_equal(samples["acc"], np.stack([expected] * 3))


def test_samples_that_did_not_come_are_missing():
    text = "".join(row("eda", n, 5.0, n) for n in (0, 1, 4, 5))
    _, samples = read(text, rates={"eda": 4.0})
    np.testing.assert_array_equal(samples["eda"][0], [0, 1, np.nan, np.nan, 4, 5])


def test_times_may_be_off_by_less_than_half_a_sample():
    times = np.arange(100) / 4 + np.random.default_rng(0).uniform(-0.12, 0.12, 100)
    times[0] = 0.0
    text = "".join(f"eda,{100 + time:.4f},{n}\n" for n, time in enumerate(times))
    _, samples = read(text, rates={"eda": 4.0})
    np.testing.assert_array_equal(samples["eda"][0], np.arange(100))


def test_a_last_line_without_an_end_is_left_out():
    _, samples = read("eda,1,5\neda,1.25,6\neda,1.5,7", rates={"eda": 4.0})
    assert samples["eda"].tolist() == [[5, 6]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("eda,1.5", "line 3 of the input.*'eda,1.5'"),
        ("eda,1.5,x", "found b'eda,1.5,x'"),
        ("eda,nan,1", "eda,nan,1"),
        ("eda,1.5,inf", "eda,1.5,inf"),
        ("eda,1.5,1e99", "1e99"),
        ("eda;1.5;1", "eda;1.5;1"),
        ("eda,1.5,1,2", "2 values of eda, 1 before"),
        ("eda,1.25,1", "eda at 1.25, less than a sample at 4 Hz after"),
        ("eda,0,1", "eda at 0, less than a sample"),
        ("eda,602,1", "eda more than 600 s after its last sample"),
    ],
)
def test_a_line_that_is_none_is_refused(line, words):
    with pytest.raises(DatasetCorruptedError, match=words):
        read(f"eda,1,5\neda,1.25,6\n{line}\neda,1.75,1\n", rates={"eda": 4.0})


def test_a_line_that_never_ends_is_refused():
    with pytest.raises(DatasetCorruptedError, match="more than 65536 characters"):
        read("1" * 70_000, 5000)


@pytest.mark.parametrize("begun", [False, True])
def test_a_signal_that_does_not_come_is_named(begun):
    text = row("acc", 0, 0.0, 1) if begun else ""
    text += "".join(row("eda", n, 0.0, n) for n in range(2402))
    with pytest.raises(DatasetCorruptedError, match="nothing of acc for 600 s of eda"):
        read(text, 1000)

"""A growing session against the reader of sessions that are over."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats import empatica
from datamodules.formats.empatica_growing import POLL, GrowingSession
from datamodules.synthesis.empatica import write_session
from datamodules.synthesis.physiology import Phase, session
from tests.datamodules.formats.growing import Copy

START = 1644227574
SECONDS = 60.0


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    folder = tmp_path / "whole"
    folder.mkdir()
    made = session(np.random.default_rng(5), [Phase("", SECONDS, 0.3)])
    write_session(folder, made, START, np.random.default_rng(1), ())
    return folder


def nothing() -> None:
    """Wait for what does not come."""


def read_all(
    place: Path, names: tuple[str, ...], wait: Callable[[], None] = nothing, idle: float = 1.0
) -> tuple[float, dict[str, np.ndarray]]:
    growing = GrowingSession(place, names, idle, wait)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    while piece := growing.read(names):
        for name, samples in piece.samples.items():
            parts[name].append(samples)
    return growing.start, {name: np.concatenate(these, axis=1) for name, these in parts.items()}


def shifted(path: Path, seconds: float) -> None:
    first, *rest = path.read_text().split("\n")
    starts = [f"{float(value) + seconds:.6f}" for value in first.split(",")]
    path.write_text("\n".join([", ".join(starts), *rest]))


@pytest.mark.parametrize("largest", [60, 2000, 20000])
def test_pieces_are_the_samples_of_the_whole_bit_for_bit(
    whole: Path, tmp_path: Path, largest: int
) -> None:
    shifted(whole / "BVP.csv", 1.27)  # the others lose their first samples
    shifted(whole / "ACC.csv", 0.5)
    expected = empatica.read_session(whole)
    names = tuple(empatica.SIGNALS)
    copy = Copy(whole, tmp_path / "copy", tuple(empatica.FILES.values()), largest, largest)
    start, samples = read_all(tmp_path / "copy", names, copy, idle=3.0)
    assert start == expected.start
    for name, signal in expected.signals.items():
        length = signal.samples.shape[1]  # cut to the time of all
        np.testing.assert_array_equal(samples[name][:, :length], signal.samples)
        assert (samples[name].shape[1] - length) / signal.sfreq < 3
    assert float(samples["temp"].max()) < 100  # 382.2 at switching on


def test_date_byte_order_mark_and_carriage_returns_are_as_in_the_reader(whole: Path) -> None:
    path = whole / "EDA.csv"
    rows = path.read_text().split("\n")
    path.write_text("\ufeff" + "\r\n".join(["2022-02-07 09:52:54", *rows[1:]]), newline="")
    expected = empatica.read_session(whole, ("eda",))
    start, samples = read_all(whole, ("eda",))
    assert start == START
    length = expected.signals["eda"].samples.shape[1]
    np.testing.assert_array_equal(samples["eda"][:, :length], expected.signals["eda"].samples)


def test_only_what_is_needed_is_read(whole: Path) -> None:
    growing = GrowingSession(whole, ("eda", "bvp"), 0.0, nothing)
    piece = growing.read(("eda",))
    assert piece
    assert set(piece.samples) == {"eda"}


def test_the_last_line_without_an_end_is_left_out(whole: Path) -> None:
    path = whole / "TEMP.csv"
    _, complete = read_all(whole, ("temp",))
    path.write_bytes(path.read_bytes() + b"30")
    _, samples = read_all(whole, ("temp",))
    np.testing.assert_array_equal(samples["temp"], complete["temp"])


def test_a_blank_line_is_a_missing_sample(whole: Path) -> None:
    path = whole / "EDA.csv"
    rows = path.read_text().splitlines()
    rows[2 + 100] = ""
    path.write_text("".join(f"{row}\n" for row in rows))
    _, samples = read_all(whole, ("eda",))
    assert np.flatnonzero(np.isnan(samples["eda"][0])).tolist() == [100]


def test_a_recording_shorter_than_the_start_up_is_read_at_its_end(whole: Path) -> None:
    for name in empatica.FILES.values():
        rows = (whole / name).read_text().splitlines()
        rate = float(rows[1].split(",")[0])
        (whole / name).write_text("".join(f"{row}\n" for row in rows[: 2 + int(4 * rate)]))
    expected = empatica.read_session(whole)
    _, samples = read_all(whole, ("eda", "temp"), idle=0.0)
    for name, found in samples.items():
        np.testing.assert_array_equal(found, expected.signals[name].samples)


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("EDA.csv", "0.3x", "after line"),
        ("EDA.csv", "1,2", "after line"),
        ("ACC.csv", "1,2", "in line 103"),
        ("EDA.csv", "inf", "in line 103"),
        ("EDA.csv", "\0\0\0\0", "after line"),
    ],
)
def test_a_broken_line_is_refused(whole: Path, name: str, row: str, words: str) -> None:
    rows = (whole / name).read_text().splitlines()
    rows[102] = row
    (whole / name).write_text("".join(f"{row}\n" for row in rows))
    with pytest.raises(DatasetCorruptedError, match=words) as raised:
        read_all(whole, (name[:3].lower(),))
    assert str(whole / name) in str(raised.value)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (["1644227574", "8.0"], r"at 4 Hz that start together, found rates \[8.0\]"),
        (["1644227574, 1644227575", "4, 4"], "start together"),
        (["inf", "4"], r"starts \[inf\]"),
        (["today", "4"], "UTC seconds"),
    ],
)
def test_the_head_is_checked_as_the_reader_does(whole: Path, head: list[str], words: str) -> None:
    rows = (whole / "EDA.csv").read_text().splitlines()
    (whole / "EDA.csv").write_text("".join(f"{row}\n" for row in [*head, *rows[2:]]))
    messages = []
    for read in (lambda: read_all(whole, ("eda",)), lambda: empatica.read_session(whole)):
        with pytest.raises(DatasetCorruptedError, match=words) as raised:
            read()
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_files_that_start_far_apart_are_of_different_sessions(whole: Path) -> None:
    shifted(whole / "EDA.csv", 20)
    with pytest.raises(DatasetCorruptedError, match="within 15 s of each other"):
        read_all(whole, ("eda", "bvp"))


def test_files_that_never_come_are_named(whole: Path, tmp_path: Path) -> None:
    (whole / "EDA.csv").unlink()
    (whole / "TEMP.csv").write_text("1644227574\n")
    waits: list[int] = []
    with pytest.raises(DatasetNotFoundError, match=r"EDA.csv, TEMP.csv, found none for 2 s"):
        read_all(whole, ("bvp", "eda", "temp"), lambda: waits.append(1), idle=2.0)
    assert len(waits) == 2.0 / POLL
    with pytest.raises(DatasetNotFoundError, match="no folder"):
        GrowingSession(tmp_path / "none", ("eda",), 1.0)

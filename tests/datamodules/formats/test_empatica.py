import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats import empatica
from datamodules.synthesis.empatica import heart_rates, write_session
from datamodules.synthesis.physiology import Phase, Session, session

START = 1644227574
SECONDS = 60.0


@pytest.fixture(scope="module")
def made() -> Session:
    return session(np.random.default_rng(5), [Phase("", SECONDS, 0.3)])


@pytest.fixture
def folder(made: Session, tmp_path: Path) -> Path:
    write_session(tmp_path, made, START, np.random.default_rng(1), tags=(START + 7, START + 30))
    return tmp_path


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def rewrite(path: Path, new: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in new))


# ---- the files, against those of real exports


@pytest.mark.parametrize(
    ("name", "first", "rate", "row"),
    [
        ("BVP", "1644227574.00", "64.000000", r"-?\d+\.\d\d"),
        ("EDA", "1644227574.000000", "4.000000", r"\d+\.\d{6}"),
        ("TEMP", "1644227574.000000", "4.000000", r"\d+\.\d\d"),
        (
            "ACC",
            "1644227574.000000, 1644227574.000000, 1644227574.000000",
            "32.000000, 32.000000, 32.000000",
            r"-?\d+,-?\d+,-?\d+",
        ),
        ("HR", "1644227584.000000", "1.000000", r"\d+\.\d\d"),
    ],
)
def test_files_look_like_an_export(
    folder: Path, name: str, first: str, rate: str, row: str
) -> None:
    raw = (folder / f"{name}.csv").read_bytes()
    assert b"\r" not in raw
    assert raw.endswith(b"\n")
    written = lines(folder / f"{name}.csv")
    assert written[:2] == [first, rate]
    assert len(written) > 40
    assert [line for line in written[2:] if not re.fullmatch(row, line)] == []


def test_derived_files_look_like_an_export(folder: Path, made: Session) -> None:
    written = lines(folder / "IBI.csv")
    assert written[0] == "1644227574.000000, IBI"
    for line in written[1:]:
        assert re.fullmatch(r"\d+\.\d{6},\d\.\d{6}", line)
        time, interval = (float(value) for value in line.split(","))
        assert np.abs(made.beats - time).min() < 1 / 64
        assert np.abs(made.beats - (time - interval)).min() < 1 / 64
    assert 10 < len(written) < len(made.beats)
    assert (folder / "tags.csv").read_bytes() == b"1644227581\r\n1644227604\r\n"
    assert not (folder / "info.txt").read_text().startswith(".csv files in this archive")


def test_start_up_is_that_of_a_real_device(folder: Path) -> None:
    assert lines(folder / "EDA.csv")[2] == "0.000000"
    assert float(lines(folder / "EDA.csv")[3]) > 0
    assert set(lines(folder / "BVP.csv")[2:13]) == {"-0.00"}
    temperatures = [float(line) for line in lines(folder / "TEMP.csv")[2:]]
    assert min(temperatures[:4]) > 380
    assert max(temperatures[4:]) < 40


def test_heart_rate_is_that_of_the_last_ten_seconds() -> None:
    beats = np.arange(0.25, 60.0, 0.8)
    rates = heart_rates(beats, 20)
    assert len(rates) == 10
    assert rates == pytest.approx([75.0] * 10)


def test_files_end_at_different_times(folder: Path) -> None:
    durations = {
        name: (len(lines(folder / file)) - 2) / empatica.SIGNALS[name][1]
        for name, file in empatica.FILES.items()
    }
    assert len(set(durations.values())) == 4
    assert all(SECONDS - 2 <= duration <= SECONDS for duration in durations.values())


# ---- the traps


def test_header_lines_are_no_samples(folder: Path) -> None:
    found = empatica.read_session(folder)
    assert found.start == START
    for name, (channels, rate) in empatica.SIGNALS.items():
        assert len(found.signals[name].samples) == channels
        assert found.signals[name].sfreq == rate
        assert np.abs(found.signals[name].samples).max() < 1000
    written = np.array([float(line) for line in lines(folder / "BVP.csv")[2:]], np.float32)
    bvp = found.signals["bvp"].samples[0]
    np.testing.assert_array_equal(bvp, written[: len(bvp)])


def test_first_skin_conductance_of_zero_is_mended(folder: Path) -> None:
    eda = empatica.read_session(folder).signals["eda"].samples[0]
    written = [np.float32(line) for line in lines(folder / "EDA.csv")[2:]]
    assert written[0] == 0
    assert eda[0] == written[1]
    assert eda[1:].tolist() == written[1 : len(eda)]


def test_temperatures_of_the_first_second_are_mended(folder: Path) -> None:
    temp = empatica.read_session(folder).signals["temp"].samples[0]
    written = [np.float32(line) for line in lines(folder / "TEMP.csv")[2:]]
    assert temp[:4].tolist() == [written[4]] * 4
    assert temp[4:].tolist() == written[4 : len(temp)]


def test_only_the_start_is_mended(folder: Path) -> None:
    late = {"EDA": (100, "0.000000"), "TEMP": (100, "150.00")}
    for name, (row, value) in late.items():
        new = lines(folder / f"{name}.csv")
        new[2 + row] = value
        rewrite(folder / f"{name}.csv", new)
    found = empatica.read_session(folder)
    assert found.signals["eda"].samples[0, 100] == 0
    assert found.signals["temp"].samples[0, 100] == 150


def test_skin_conductance_that_stays_zero_is_left_alone(folder: Path) -> None:
    head = lines(folder / "EDA.csv")[:2]
    rewrite(folder / "EDA.csv", [*head, *["0.000000"] * 230])
    assert (empatica.read_session(folder).signals["eda"].samples == 0).all()
    rewrite(folder / "EDA.csv", [*head, *["0.000000"] * 40, *["1.500000"] * 190])
    eda = empatica.read_session(folder).signals["eda"].samples[0]
    assert (eda[:40].tolist(), eda[40]) == ([0.0] * 40, 1.5)


def test_tags_may_be_empty_renamed_or_missing(folder: Path) -> None:
    assert empatica.read_session(folder).tags == (7.0, 30.0)
    (folder / "tags.csv").write_bytes(b"")
    assert empatica.read_session(folder).tags == ()
    (folder / "tags.csv").unlink()
    assert empatica.read_session(folder).tags == ()
    (folder / "tags_S02.csv").write_bytes(b"1644227584.50\r\n")
    assert empatica.read_session(folder).tags == (10.5,)
    (folder / "tags_S02.csv").write_bytes(b"1644227584.50\r\n16442275")
    assert empatica.read_session(folder).tags == (10.5,)
    (folder / "tags_S02.csv").write_bytes(b"pressed\r\n")
    with pytest.raises(DatasetCorruptedError, match=r"tags_S02\.csv: expected one UTC time a line"):
        empatica.read_session(folder)


def test_channels_are_cut_to_their_common_time(folder: Path) -> None:
    counts = {name: len(lines(folder / file)) - 2 for name, file in empatica.FILES.items()}
    shortest = min(counts[name] / rate for name, (_, rate) in empatica.SIGNALS.items())
    found = empatica.read_session(folder)
    for name, (_, rate) in empatica.SIGNALS.items():
        assert found.signals[name].samples.shape[1] == int(shortest * rate)
    assert shortest - 0.25 < found.duration <= shortest


def test_files_that_start_later_are_aligned(folder: Path) -> None:
    new = lines(folder / "EDA.csv")
    new[0] = f"{START + 2}.000000"
    rewrite(folder / "EDA.csv", new)
    found = empatica.read_session(folder)
    assert found.start == START + 2
    written = [np.float32(line) for line in lines(folder / "BVP.csv")[2:]]
    bvp = found.signals["bvp"].samples[0]
    assert bvp.tolist() == written[128 : 128 + len(bvp)]
    assert found.tags == (5.0, 28.0)


def test_heart_rate_starting_ten_seconds_late_is_not_read(folder: Path) -> None:
    before = empatica.read_session(folder)
    for name in ("HR.csv", "IBI.csv", "info.txt"):
        (folder / name).unlink()
    after = empatica.read_session(folder)
    assert (after.start, after.duration) == (before.start, before.duration)
    assert set(after.signals) == {"bvp", "eda", "temp", "acc"}


def test_acceleration_is_in_g(folder: Path) -> None:
    acc = empatica.read_session(folder).signals["acc"]
    written = pd.read_csv(folder / "ACC.csv", skiprows=2, header=None).to_numpy()
    np.testing.assert_array_equal(acc.samples * 64, written[: acc.samples.shape[1]].T)
    assert np.median(np.linalg.norm(acc.samples, axis=0)) == pytest.approx(1.0, abs=0.05)
    assert acc.unit == "g"


def test_signals_are_close_to_what_was_made(folder: Path, made: Session) -> None:
    found = empatica.read_session(folder)
    steps = {"bvp": (11, 0.006), "eda": (1, 1e-6), "temp": (4, 0.006), "acc": (0, 0.51 / 64)}
    for name, (first, tolerance) in steps.items():
        samples = found.signals[name].samples
        expected = made.signals[name].samples[:, : samples.shape[1]]
        if name == "acc":
            expected = np.clip(expected, -2, 127 / 64)
        np.testing.assert_allclose(
            samples[:, first:], expected[:, first:], atol=tolerance, rtol=1e-6
        )


# ---- sensors that were off, clocks, and the portal's archive


@pytest.mark.parametrize("absent", [("BVP",), ("ACC",), ("BVP", "ACC"), ("EDA", "TEMP")])
def test_a_signal_may_be_absent(folder: Path, absent: tuple[str, ...]) -> None:
    before = empatica.read_session(folder)
    for name in absent:
        (folder / f"{name}.csv").unlink()
    after = empatica.read_session(folder)
    assert {*before.signals} - {*after.signals} == {name.lower() for name in absent}
    assert (after.start, after.repairs, after.doubts) == (before.start, (), ())
    for name, signal in after.signals.items():
        shorter = before.signals[name].samples
        np.testing.assert_array_equal(signal.samples[:, : shorter.shape[1]], shorter)
    names = [path.stem for path in empatica.session_files(folder)]
    assert names == [n for n in ("BVP", "EDA", "TEMP", "ACC", "HR") if n not in absent]


def test_a_clock_that_starts_apart_is_kept_and_doubted(folder: Path) -> None:
    before = empatica.read_session(folder)
    new = lines(folder / "EDA.csv")
    new[0] = f"{START - 10}.000000"
    rewrite(folder / "EDA.csv", [*new, *new[-40:]])
    after = empatica.read_session(folder)
    assert after.start == before.start
    written = [np.float32(line) for line in lines(folder / "EDA.csv")[2:]]
    eda = after.signals["eda"].samples[0]
    assert eda.tolist() == written[40 : 40 + len(eda)]
    doubts = [doubt for doubt in after.doubts if "starts" in doubt]
    assert doubts == [
        "eda: starts 10 s before the last file; the files are aligned by their own times, so that "
        "this clock should be looked at"
    ]


def test_a_clock_within_a_sample_is_no_doubt(folder: Path) -> None:
    new = lines(folder / "EDA.csv")
    new[0] = f"{START - 0.25}"
    rewrite(folder / "EDA.csv", new)
    session = empatica.read_session(folder)
    assert (session.start, session.doubts) == (START, ())


@pytest.mark.parametrize("how", ["doubled", "each doubled", "missing"])
@pytest.mark.parametrize("name", ["BVP", "ACC"])
def test_a_hundred_rows_too_many_or_too_few_are_a_doubt(folder: Path, name: str, how: str) -> None:
    path = folder / f"{name}.csv"
    head, rows = lines(path)[:2], lines(path)[2:]
    # files that end with the pulse, so that nothing is due to their ends
    for other, rate in (("BVP", 64), ("ACC", 32)):
        whole = lines(folder / f"{other}.csv")
        rewrite(folder / f"{other}.csv", whole[: 2 + 57 * rate])
    rewrite(folder / "HR.csv", lines(folder / "HR.csv")[: 2 + 47])
    assert empatica.read_session(folder).doubts == ()
    rows = rows[: 57 * (64 if name == "BVP" else 32)]
    changed = {
        "doubled": [*rows[:700], *rows[600:]],
        "each doubled": [
            *rows[:600],
            *(r for row in rows[600:700] for r in (row, row)),
            *rows[700:],
        ],
        "missing": [*rows[:600], *rows[700:]],
    }
    rewrite(path, [*head, *changed[how]])
    doubts = empatica.read_session(folder).doubts
    seconds = 100 / (64 if name == "BVP" else 32)
    if how == "missing":
        assert any(re.search(rf"ends {seconds:.1f} s (after|before) ", doubt) for doubt in doubts)
        return
    (of_rows,) = (doubt for doubt in doubts if doubt.startswith(f"{name.lower()}: "))
    count = re.search(r"(\d+) rows from line (\d+) on are doubled, .* by (\S+) s", of_rows)
    assert count
    assert 99 <= int(count[1]) <= 101
    assert abs(int(count[2]) - 603) <= 1
    assert float(count[3]) == pytest.approx(seconds, abs=0.06)


def test_heart_rates_that_make_no_sense_are_no_clock(folder: Path) -> None:
    for content in (b"", b"soon\n1.0\n70\n", b"\xff\xfe", b"1644227584.0\n0.0\n70\n"):
        (folder / "HR.csv").write_bytes(content)
        assert empatica.read_session(folder).doubts == ()


def packed(folder: Path, target: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("*.*")):
            archive.write(path, f"{inside}{path.name}")
    return target


def test_the_portals_archive_is_read_in_place(folder: Path, tmp_path_factory: Any) -> None:
    place = tmp_path_factory.mktemp("portal")
    path = packed(folder, place / "1644227574_A00204.zip")
    before, after = empatica.read_session(folder), empatica.read_session(path)
    assert (after.start, after.tags) == (before.start, before.tags)
    assert list(after.signals) == list(before.signals)
    for name, signal in before.signals.items():
        np.testing.assert_array_equal(signal.samples, after.signals[name].samples)
    assert empatica.session_files(path) == (path,)
    assert list(place.iterdir()) == [path]


def test_an_archive_of_a_folder_has_no_session_at_its_top(folder: Path, tmp_path: Path) -> None:
    path = packed(folder, tmp_path / "deep.zip", inside="session/")
    with pytest.raises(DatasetNotFoundError, match=r"no BVP\.csv, .* in '.*deep\.zip'"):
        empatica.read_session(path)


def test_a_damaged_file_of_an_archive_is_named(folder: Path, tmp_path: Path) -> None:
    rewrite(folder / "EDA.csv", lines(folder / "EDA.csv")[:2])
    path = packed(folder, tmp_path / "session.zip")
    with pytest.raises(DatasetCorruptedError, match=r"session\.zip/EDA\.csv: expected a start"):
        empatica.read_session(path)


# ---- files as other programs save them


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1644227574.00", START),
        (" 1644227574", START),
        ("2022-02-07 09:52:54", START),
        ("2022-02-07T09:52:54.250", START + 0.25),
        ("2022-02-07T09:52:54Z", START),
        ("2022-02-07 10:52:54+01:00", START),
    ],
)
def test_times_are_seconds_or_dates_in_utc(text: str, expected: float) -> None:
    assert empatica.utc_seconds(text) == expected


@pytest.mark.parametrize("text", ["", "2022-02-07", "2022-02-07 09:52", "2022-02-07 09:52:5", "x"])
def test_times_that_were_cut_off_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="could not convert string to float"):
        empatica.utc_seconds(text)


def test_dates_in_the_first_rows(folder: Path) -> None:
    before = empatica.read_session(folder)
    for file in empatica.FILES.values():
        new = lines(folder / file)
        new[0] = ",".join(["2022-02-07 09:52:54"] * (1 + new[0].count(",")))
        (folder / file).write_text("".join(f"{line}\r\n" for line in new), newline="")
    (folder / "tags.csv").write_text("2022-02-07 09:53:01\r\n2022-02-07 09:53:24\r\n", newline="")
    after = empatica.read_session(folder)
    assert (after.start, after.tags, after.repairs) == (before.start, before.tags, ())
    for name, signal in before.signals.items():
        np.testing.assert_array_equal(signal.samples, after.signals[name].samples)


def test_a_byte_order_mark_is_no_part_of_the_start(folder: Path) -> None:
    before = empatica.read_session(folder)
    for file in (*empatica.FILES.values(), "tags.csv"):
        (folder / file).write_bytes(b"\xef\xbb\xbf" + (folder / file).read_bytes())
    after = empatica.read_session(folder)
    assert (after.start, after.tags, after.duration) == (before.start, before.tags, before.duration)


def test_a_blank_line_in_place_of_a_sample_is_interpolated(folder: Path) -> None:
    before = empatica.read_session(folder)
    for file, row in (("BVP.csv", 500), ("ACC.csv", 300)):
        new = lines(folder / file)
        new[2 + row] = new[3 + row] = ""
        rewrite(folder / file, [*new, "", ""])
    after = empatica.read_session(folder)
    assert after.duration == before.duration
    assert after.repairs == (
        "bvp: 2 blank line(s) in place of samples, interpolated",
        "acc: 2 blank line(s) in place of samples, interpolated",
    )
    for name, row in (("bvp", 500), ("acc", 300)):
        expected = before.signals[name].samples.copy()
        first, last = expected[:, row - 1], expected[:, row + 2]
        expected[:, row] = first + (last - first) / 3
        expected[:, row + 1] = first + (last - first) * 2 / 3
        np.testing.assert_allclose(after.signals[name].samples, expected, rtol=1e-5)


def test_many_blank_lines_are_no_session(folder: Path) -> None:
    new = lines(folder / "EDA.csv")
    new[10:40] = [""] * 30
    rewrite(folder / "EDA.csv", new)
    with pytest.raises(DatasetCorruptedError, match=r"EDA\.csv: expected .* incomplete line 11"):
        empatica.read_session(folder)


def test_a_last_number_without_an_end_of_line_is_left_out(folder: Path) -> None:
    path = folder / "TEMP.csv"
    path.write_text(path.read_text()[:-4])
    n_lines = len(lines(path))
    session = empatica.read_session(folder)
    assert session.repairs == (
        "temp: the last line has no end, as it may be cut off; it is left out",
    )
    assert session.duration <= (n_lines - 3) / 4
    assert session.signals["temp"].samples.min() > 20


# ---- damaged files


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "EDA.csv").unlink()
    for ask in (empatica.session_files, empatica.read_session):
        with pytest.raises(DatasetNotFoundError, match=r"no EDA\.csv in .* Export the session"):
            ask(folder, empatica.SIGNALS)
    (folder / "ACC.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no EDA\.csv, ACC\.csv in"):
        empatica.session_files(folder, empatica.SIGNALS)
    for name in ("BVP", "TEMP"):
        (folder / f"{name}.csv").unlink()
    for place in (folder, folder / "nowhere"):
        with pytest.raises(DatasetNotFoundError, match=r"no BVP\.csv, .* with some of BVP\.csv"):
            empatica.read_session(place)


def spoil(folder: Path, name: str, how: str) -> None:
    path = folder / f"{name}.csv"
    old = lines(path)
    if how == "empty":
        path.write_bytes(b"")
    elif how == "header cut off":
        path.write_text(old[0] + "\n")
    elif how == "no samples":
        rewrite(path, old[:2])
    elif how == "no header":
        rewrite(path, old[2:])
    elif how == "rate":
        rewrite(path, [old[0], old[1].replace(".000000", "1.000000"), *old[2:]])
    elif how == "text":
        rewrite(path, [*old[:50], "abc", *old[51:]])
    elif how == "binary":
        path.write_bytes(b"\xff\xfe\x00" * 100)
    elif how == "no start":
        rewrite(path, ["nan", *old[1:]])
    else:
        path.write_text(path.read_text()[: -len(old[-1]) - 1] + how)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, "empty") for name in ("ACC", "BVP", "EDA", "TEMP")),
        *(("EDA", how) for how in ("header cut off", "no samples", "no header", "rate", "text")),
        *(("ACC", how) for how in ("header cut off", "no samples", "no header", "rate", "text")),
        *(("ACC", how) for how in ("12", "12,", "12,-", "12,3", "12,3,")),
        *(("BVP", how) for how in ("-", "binary", "no start")),
    ],
)
def test_damaged_files_are_named(folder: Path, name: str, how: str) -> None:
    empatica.read_session(folder)
    spoil(folder, name, how)
    with pytest.raises(DatasetCorruptedError, match=f"{name}.csv: expected ") as caught:
        empatica.read_session(folder)
    assert "xport the session again" in str(caught.value)


def test_a_truncated_last_line_is_named_by_number(folder: Path) -> None:
    n_lines = len(lines(folder / "ACC.csv"))
    spoil(folder, "ACC", "12,3")
    with pytest.raises(DatasetCorruptedError, match=f"an incomplete line {n_lines}"):
        empatica.read_session(folder)


def test_a_file_much_shorter_than_the_others(folder: Path) -> None:
    rewrite(folder / "TEMP.csv", lines(folder / "TEMP.csv")[:120])
    with pytest.raises(
        DatasetCorruptedError, match=r"end within 15 s .* found TEMP\.csv .* before .*again"
    ):
        empatica.read_session(folder)


def test_files_of_two_sessions(folder: Path) -> None:
    new = lines(folder / "EDA.csv")
    new[0] = f"{START - 3600}.000000"
    rewrite(folder / "EDA.csv", new)
    with pytest.raises(
        DatasetCorruptedError, match=r"start within 15 s .* found EDA\.csv 3600 s before"
    ):
        empatica.read_session(folder)

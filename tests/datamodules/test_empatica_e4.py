import csv
import shutil
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.cache import store_subject
from datamodules.datamodule import EmotionDataModule, Selection
from datamodules.empatica_e4 import CONDITIONS, EMPATICA_E4, EmpaticaE4Reader
from datamodules.errors import (
    AffectbenchError,
    DatasetCorruptedError,
    DatasetNotFoundError,
    IncompatibleRunError,
)
from datamodules.protocol import Protocol
from datamodules.signals.recording import Fault, Recording
from datamodules.synthesis import empatica_e4 as synthesis

MINUTES = 0.2


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empatica_e4")
    synthesis.write(folder, 6, seed=1, minutes=MINUTES)
    return folder


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    for number in range(1, 7):
        (tmp_path / f"P0{number}").symlink_to(written / f"P0{number}")
    (tmp_path / "labels.csv").write_bytes((written / "labels.csv").read_bytes())
    return tmp_path


def read(root: Path, subject: str = "P01") -> Recording:
    (found,) = EmpaticaE4Reader(root).read(subject)
    return found


def table(root: Path) -> list[list[str]]:
    return [line.split(",") for line in (root / "labels.csv").read_text().splitlines()]


def rewrite(root: Path, rows: list[list[str]]) -> None:
    (root / "labels.csv").write_text("".join(",".join(row) + "\n" for row in rows))


# ---- the files


def test_files(written: Path) -> None:
    names = [*(f"P0{number}" for number in range(1, 7)), "labels.csv"]
    assert sorted(path.name for path in written.iterdir()) == names
    assert (written / "P01" / "tags.csv").read_bytes() == b""
    assert (written / "P02" / "tags.csv").read_bytes().count(b"\r\n") == 3
    assert float((written / "P01" / "TEMP.csv").read_text().split("\n")[2]) > 380
    rows = table(written)
    assert rows[0] == ["subject", "start", "stop", "condition"]
    assert len(rows) == 1 + 6 * 3


def test_the_order_of_the_conditions_differs(written: Path) -> None:
    orders = {
        tuple(segment.annotations["condition"] for segment in read(written, subject).segments)
        for subject in EmpaticaE4Reader(written).subjects
    }
    assert len(orders) > 2
    assert all(sorted(order) == sorted(CONDITIONS) for order in orders)


def test_a_subject_does_not_depend_on_how_many_there_are(written: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=1, minutes=MINUTES)
    for path in (tmp_path / "P01").iterdir():
        assert path.read_bytes() == (written / "P01" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 99 subjects, found 0"),
        ({"n_subjects": 100}, "expected 1 to 99 subjects, found 100"),
        ({"n_subjects": 1, "effect": -1.0}, "expected an effect of 0 or more"),
        ({"n_subjects": 1, "minutes": 0.05}, "expected 0.1 minutes or more, found 0.05"),
    ],
)
def test_impossible_requests(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", ["P02", "labels.csv"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir()
    with pytest.raises(AffectbenchError, match=f"expected no {there} "):
        synthesis.write(tmp_path, 2, minutes=MINUTES)
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "write_session", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path, 1, minutes=MINUTES)
    assert list(tmp_path.iterdir()) == []


# ---- the reader


def test_segments_are_the_rows_of_the_table(written: Path) -> None:
    for subject in EmpaticaE4Reader(written).subjects:
        recording = read(written, subject)
        start = float((written / subject / "EDA.csv").read_text().split("\n")[0])
        expected = [
            (float(row[1]) - start, float(row[2]) - start, row[3])
            for row in table(written)
            if row[0] == subject
        ]
        assert len(expected) == 3
        assert [
            (s.start, s.stop, s.annotations["condition"]) for s in recording.segments
        ] == expected
        assert [s.trial for s in recording.segments] == [1, 2, 3]


def test_subjects_are_in_the_order_of_the_table(root: Path) -> None:
    head, *rows = table(root)
    rewrite(root, [head, *rows[3:6], *rows[:3]])
    assert EmpaticaE4Reader(root).subjects == ("P02", "P01")


def test_numbers_are_names_too(root: Path, written: Path) -> None:
    (root / "007").symlink_to(written / "P01")
    head, *rows = table(root)
    rewrite(root, [head, *[["007", *row[1:]] for row in rows[:3]]])
    assert EmpaticaE4Reader(root).subjects == ("007",)
    assert read(root, "007").subject == "007"


def test_rows_may_be_in_any_order_and_have_more_columns(root: Path) -> None:
    before = read(root).segments
    head, *rows = table(root)
    rewrite(root, [["note", *head], *[["x", *row] for row in reversed(rows)]])
    assert read(root).segments == before


def test_repaired_files_are_on_record(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "copy")
    path = tmp_path / "copy" / "P01" / "EDA.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:30], "", *lines[31:]]) + "\n")
    fault, recording = EmpaticaE4Reader(tmp_path / "copy").read("P01")
    reason = "eda: 1 blank line(s) in place of samples, interpolated"
    assert fault == Fault("1", 0, reason, omitted=False)
    assert isinstance(recording, Recording)


def test_missing_files(root: Path) -> None:
    (root / "P03").unlink()
    with pytest.raises(
        DatasetNotFoundError, match=r"no folder 'P03' and no 'P03\.zip' in"
    ) as caught:
        EmpaticaE4Reader(root).files("P03")
    assert "found P01, P02, P04, P05, P06. Correct the name" in str(caught.value)
    assert [path.name for path in EmpaticaE4Reader(root).files("P01")] == [
        *("BVP.csv", "EDA.csv", "TEMP.csv", "ACC.csv", "HR.csv", "labels.csv")
    ]
    with pytest.raises(DatasetNotFoundError, match="no row of 'P07': expected one of P01, "):
        EmpaticaE4Reader(root).files("P07")
    (root / "labels.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no labels\.csv .* subject, start, stop, cond"):
        _ = EmpaticaE4Reader(root).subjects


def test_a_misspelt_subject_gets_a_list_of_folders_and_archives(root: Path) -> None:
    for number in range(30):
        (root / f"Q{number:02d}").mkdir()
    (root / "A1.zip").write_bytes(b"")
    (root / ".hidden").mkdir()
    head, *rows = table(root)
    rewrite(root, [head, *rows, ["p01", *rows[0][1:]]])
    with pytest.raises(
        DatasetNotFoundError, match=r"no folder 'p01'.* found A1\.zip, P01, "
    ) as caught:
        list(EmpaticaE4Reader(root).read("p01"))
    assert "Q12 and 17 more." in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["P01", "5", "9", "baseline"], "P01: expected rows within the recording .* ISO 8601"),
        (["P01", "1700009000", "1700009100", "stress"], "found 1700009000 to 1700009100"),
        (["P01", "1700000040", "1700000035", "stress"], "P01: expected start < stop"),
        (["P01", "1700000040", "1700000040", "stress"], "P01: expected start < stop"),
        (["P01", "1700000040", "1700000050", "joy"], "conditions among .* found joy.* option"),
        (["P01", "1700000040", "1700000050", ""], "line 2: .* found empty cells"),
        (["P01", "", "1700000050", "stress"], "found empty cells"),
        (["", "1700000040", "1700000050", "stress"], "found empty cells"),
        (["P01", "soon", "1700000050", "stress"], "line 2: expected a time .* found 'soon'"),
        (["P01", "nan", "1700000050", "stress"], "line 2: .* found empty cells"),
        (["P01", "1700000040", "inf", "stress"], "line 2: expected a time .* found 'inf'"),
        (["P01", "2023-11-14T22:14:00", "1700000050", "stress"], "a time zone, .* found '2023"),
        (["P01", "2023-11-14T22:14Z", "2023-11", "stress"], "a time zone, .* found '2023-11'"),
    ],
)
def test_rows_that_cannot_be(root: Path, row: list[str], message: str) -> None:
    rewrite(root, [*table(root)[:1], row])
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read(root)
    assert "labels.csv" in str(caught.value)


def test_rows_that_reach_past_an_end_are_cut_there_and_doubted(root: Path) -> None:
    recording = read(root)
    head, *rows = table(root)
    start = float((root / "P01" / "EDA.csv").read_text().split("\n")[0])
    early = ["P01", str(start - 7), rows[0][2], rows[0][3]]
    late = ["P01", rows[2][1], str(start + recording.duration + 3600), rows[2][3]]
    rewrite(root, [head, early, rows[1], late])
    *faults, found = EmpaticaE4Reader(root).read("P01")
    assert isinstance(found, Recording)
    assert [segment.start for segment in found.segments] == [
        0.0,
        *(segment.start for segment in recording.segments[1:]),
    ]
    assert [segment.stop for segment in found.segments] == [
        *(segment.stop for segment in recording.segments[:2]),
        recording.duration,
    ]
    words = "labels.csv: a row reaches to {} the recording; it is cut there"
    assert faults == [
        Fault("1", 1, words.format("7.0 s before"), omitted=False, doubtful=True),
        Fault("1", 3, words.format("3600.0 s after"), omitted=False, doubtful=True),
    ]


def test_times_may_be_written_as_iso_8601_with_a_time_zone(root: Path) -> None:
    before = read(root).segments
    head, *rows = table(root)
    zone = timezone(timedelta(hours=5, minutes=30))
    for row in rows[:2]:
        row[1:3] = [datetime.fromtimestamp(float(t), zone).isoformat() for t in row[1:3]]
    assert "+05:30" in rows[0][1]
    rows[2][1] = datetime.fromtimestamp(float(rows[2][1]), UTC).isoformat().replace("+00:00", "Z")
    rewrite(root, [head, *rows])
    assert read(root).segments == before


@pytest.mark.parametrize(
    ("start", "stop", "condition", "message"),
    [
        (0, 0, "{}", "a row twice"),
        (0, 0, "other", "rows that overlap: "),
        (1, 0, "{}", "rows that overlap: "),
        (-5, -1, "other", "rows that overlap: "),
        (1, -1, "other", "rows that overlap: "),
    ],
)
def test_rows_at_one_time_are_refused(
    root: Path, start: int, stop: int, condition: str, message: str
) -> None:
    head, *rows = table(root)
    subject, begin, end, name = rows[0]
    other = next(c for c in CONDITIONS if c != name) if condition == "other" else name
    more = [subject, str(int(begin) + start), str(int(end) + stop), other]
    rewrite(root, [head, *rows, more])
    with pytest.raises(DatasetCorruptedError, match=f"labels.csv, P01: .* found {message}"):
        read(root)


def test_rows_may_touch_and_people_share_a_time(root: Path, written: Path) -> None:
    (root / "P07").symlink_to(written / "P01")
    head, *rows = table(root)
    rows[1][1] = rows[0][2]
    rewrite(root, [head, *rows[:3], *(["P07", *row[1:]] for row in rows[:3])])
    assert read(root).segments == read(root, "P07").segments
    assert read(root).segments[0].stop == read(root).segments[1].start


def test_a_table_without_rows(root: Path) -> None:
    rewrite(root, table(root)[:1])
    with pytest.raises(DatasetCorruptedError, match=r"labels\.csv: expected a row for each"):
        _ = EmpaticaE4Reader(root).subjects


# ---- conditions by other names


def renamed(root: Path, names: dict[str, str]) -> None:
    head, *rows = table(root)
    rewrite(root, [head, *([*row[:3], names.get(row[3], row[3])] for row in rows)])


def test_conditions_have_the_names_of_the_user(root: Path) -> None:
    before = read(root).segments
    renamed(root, {"baseline": "rest", "stress": "TSST part 1"})
    with pytest.raises(DatasetCorruptedError, match=r"found TSST part 1, rest\. If they"):
        read(root)
    mapping = "rest=baseline,TSST part 1=stress"
    (found,) = EmpaticaE4Reader(root, mapping).read("P01")
    assert isinstance(found, Recording)
    assert found.segments == before


def test_conditions_may_be_left_out(root: Path) -> None:
    before = read(root).segments
    renamed(root, {"amusement": "break"})
    (found,) = EmpaticaE4Reader(root, "break=unused").read("P01")
    assert isinstance(found, Recording)
    kept = [s for s in before if s.annotations["condition"] != "amusement"]
    assert [(s.start, s.annotations) for s in found.segments] == [
        (s.start, s.annotations) for s in kept
    ]
    everything = "baseline=unused,stress=unused,break=unused"
    with pytest.raises(DatasetCorruptedError, match="found conditions that are all unused"):
        _ = EmpaticaE4Reader(root, everything).subjects


@pytest.mark.parametrize(
    "mapping",
    [
        *("rest", "rest=calm", "=stress", "rest=", "rest=baseline,rest=stress", "a=stress,"),
        *("../a=stress", "a/b=stress", "rest:baseline", "x" * 140 + "=stress"),
    ],
)
def test_mappings_that_cannot_be(root: Path, mapping: str) -> None:
    with pytest.raises(IncompatibleRunError, match=r"option conditions: expected .* as in rest="):
        EmpaticaE4Reader(root, mapping)


def test_a_mapping_is_part_of_the_entry_in_the_cache(root: Path, tmp_path: Path) -> None:
    entries = {
        store_subject(tmp_path / "cache", EmpaticaE4Reader(root, mapping), {}, "P01").folder
        for mapping in ("", "stress=baseline")
    }
    assert len(entries) == 2


# ---- people with several sessions, archives, sensors that were off


def test_a_person_may_have_several_sessions(root: Path) -> None:
    head, *rows = table(root)
    people = dict(zip(("P01", "P02", "P03"), ("Ann", "Bob", "Ann"), strict=True))
    named = [[*row, people[row[0]]] for row in rows[:9]]
    rewrite(root, [[*head, "person"], *named[6:], *named[:6]])
    reader = EmpaticaE4Reader(root)
    assert reader.subjects == ("Ann", "Bob")
    recordings = list(reader.read("Ann"))
    assert [(r.subject, r.session) for r in recordings if isinstance(r, Recording)] == [
        ("Ann", "P01"),
        ("Ann", "P03"),
    ]
    alone = EmpaticaE4Reader(root)
    folders = {path.parent.name for path in alone.files("Ann")}
    assert folders == {"P01", "P03", root.name}
    (bob,) = reader.read("Bob")
    assert isinstance(bob, Recording)
    assert (bob.subject, bob.session, len(bob.segments)) == ("Bob", "P02", 3)


def test_a_person_is_on_one_side_of_a_split(root: Path, tmp_path: Path) -> None:
    head, *rows = table(root)
    named = [[*row, f"person{int(row[0][1:]) // 2}"] for row in rows]
    rewrite(root, [[*head, "person"], *named])
    module = EmotionDataModule(EMPATICA_E4, root, cache_dir=tmp_path / "cache")
    assert module.subjects == ("person0", "person1", "person2", "person3")


@pytest.mark.parametrize(
    ("person", "message"),
    [("", "empty cells"), ("../x", "expected a person named by"), ("Bob", "found P01 of Ann and")],
)
def test_people_that_cannot_be(root: Path, person: str, message: str) -> None:
    head, *rows = table(root)
    named = [[*row, "Ann"] for row in rows[:2]] + [[*rows[2], person]]
    rewrite(root, [[*head, "person"], *named])
    with pytest.raises(DatasetCorruptedError, match=message):
        _ = EmpaticaE4Reader(root).subjects


def test_the_portals_archives_are_read_in_place(root: Path, written: Path) -> None:
    before = read(root)
    (root / "P01").unlink()
    with zipfile.ZipFile(root / "P01.zip", "w") as archive:
        for path in (written / "P01").iterdir():
            archive.write(path, path.name)
    after = read(root)
    assert after.segments == before.segments
    for name, signal in before.signals.items():
        np.testing.assert_array_equal(after.signals[name].samples, signal.samples)
    assert EmpaticaE4Reader(root).files("P01") == (root / "P01.zip", root / "labels.csv")
    assert not (root / "P01").exists()


def test_a_sensor_that_was_off_leaves_the_others(root: Path, written: Path) -> None:
    (root / "P01").unlink()
    shutil.copytree(written / "P01", root / "P01")
    (root / "P01" / "BVP.csv").unlink()
    assert set(read(root).signals) == {"eda", "temp", "acc"}
    module = EmotionDataModule(
        EMPATICA_E4,
        root,
        Selection(signals=["bvp"]),
        Protocol(split="leave_one_subject_out"),
        cache_dir=root / "cache",
    )
    with pytest.raises(DatasetCorruptedError, match="P01, session 1: expected a signal 'bvp'"):
        module.prepare_data()


@pytest.mark.parametrize(
    "name",
    [
        *("../P01", "./P01", "P01/", "a/b", "a\\b", "/tmp/P01", ".", "..", ".P01", "P01.", "-P01"),
        *("P 01", "P01\n", "=cmd|'/C calc'!A0", "<script>", "P\x0001", "\u00fc", "x" * 65),
    ],
)
def test_a_subject_is_the_name_of_a_folder_and_no_path(root: Path, name: str) -> None:
    head, *rows = table(root)
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows, [name, *rows[0][1:]]])
    with pytest.raises(DatasetCorruptedError, match=r"labels\.csv: expected a subject named by"):
        _ = EmpaticaE4Reader(root).subjects


@pytest.mark.parametrize("name", ["a", "007", "P01_2", "site-1.P01", "_", "x" * 64])
def test_other_names_are_taken(root: Path, written: Path, name: str) -> None:
    (root / name).symlink_to(written / "P01")
    head, *rows = table(root)
    rewrite(root, [head, *rows, [name, *rows[0][1:]]])
    assert read(root, name).subject == name


@pytest.mark.parametrize("content", ["", "subject,start,stop\nP01,1,2\n"])
def test_tables_that_cannot_be(root: Path, content: str) -> None:
    (root / "labels.csv").write_text(content)
    with pytest.raises(DatasetCorruptedError, match=r"labels\.csv: expected the columns"):
        _ = EmpaticaE4Reader(root).subjects


def test_classes(written: Path) -> None:
    segments = {
        str(segment.annotations["condition"]): segment for segment in read(written).segments
    }
    labels = {
        name: {condition: task.label("P01", segments[condition]) for condition in CONDITIONS}
        for name, task in EMPATICA_E4.tasks.items()
    }
    assert labels["stress"] == {"baseline": 0, "stress": 1, "amusement": 0}
    assert labels["affect"] == {"baseline": 0, "stress": 1, "amusement": 2}

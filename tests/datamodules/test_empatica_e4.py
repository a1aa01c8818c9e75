import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from datamodules.empatica_e4 import CONDITIONS, EMPATICA_E4, EmpaticaE4Reader
from datamodules.errors import AffectbenchError, DatasetCorruptedError, DatasetNotFoundError
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
    with pytest.raises(DatasetNotFoundError, match=r"no BVP\.csv, .*P03"):
        EmpaticaE4Reader(root).files("P03")
    assert [path.name for path in EmpaticaE4Reader(root).files("P01")] == [
        *("BVP.csv", "EDA.csv", "TEMP.csv", "ACC.csv", "labels.csv")
    ]
    (root / "labels.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no labels\.csv .* subject, start, stop, cond"):
        _ = EmpaticaE4Reader(root).subjects


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["P01", "5", "9", "baseline"], "P01: expected start < stop within the recording .* UTC s"),
        (["P01", "1700000040", "1700000035", "stress"], "P01: expected start < stop"),
        (["P01", "1700000040", "1700009000", "stress"], "found 1700000040 to 1700009000"),
        (["P01", "1699999990", "1700000040", "stress"], "P01: expected start < stop"),
        (["P01", "1700000040", "1700000050", "joy"], r"conditions among .* found \['joy'\]"),
        (["P01", "1700000040", "1700000050", ""], "found empty cells"),
        (["P01", "", "1700000050", "stress"], "found empty cells"),
        (["", "1700000040", "1700000050", "stress"], "found empty cells"),
        (["P01", "soon", "1700000050", "stress"], "expected the columns .* found otherwise"),
    ],
)
def test_rows_that_cannot_be(root: Path, row: list[str], message: str) -> None:
    rewrite(root, [*table(root)[:1], row])
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read(root)
    assert "labels.csv" in str(caught.value)


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
    with pytest.raises(DatasetCorruptedError, match=r"labels\.csv: expected subjects named as"):
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

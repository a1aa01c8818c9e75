import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datamodules.cache import store_subject
from datamodules.errors import AffectbenchError, DatasetCorruptedError, DatasetNotFoundError
from datamodules.signals.preprocessing import BVP_BEATS, EDA_PARTS
from datamodules.signals.recording import Fault, Recording
from datamodules.stress_predict import STRESS_PREDICT, SUBJECTS, StressPredictReader
from datamodules.synthesis import stress_predict as synthesis

SCALE = 0.05
LABEL_FILE = "Processed_data/Improved_All_Combined_hr_rsp_binary.csv"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stress_predict")
    synthesis.write(folder, 3, seed=4, scale=SCALE)
    return folder


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt: the sessions are links, the labels a file."""
    (tmp_path / "Raw_data").symlink_to(written / "Raw_data")
    (tmp_path / "Processed_data").mkdir()
    (tmp_path / LABEL_FILE).write_bytes((written / LABEL_FILE).read_bytes())
    return tmp_path


def read(root: Path, subject: str = "S02") -> Recording:
    (found,) = StressPredictReader(root).read(subject)
    return found


def plain_labels(root: Path, subject: str) -> list[tuple[float, str]]:
    """Start of each labelled second from the start of the recording, and its condition."""
    start = float((root / "Raw_data" / subject / "BVP.csv").read_text().split("\n")[0])
    found = []
    for line in (root / LABEL_FILE).read_text().splitlines()[1:]:
        participant, _, _, time, label = line.split(",")
        if int(participant) == int(subject[1:]):
            found.append((float(time) - start, "stress" if label == "1" else "no_stress"))
    return found


def check_labels(root: Path, recording: Recording) -> None:
    """Segments say of every labelled second what the table says, and of no other."""
    found = []
    for segment in recording.segments:
        seconds = np.arange(segment.start, segment.stop - 1e-9)
        found += [(float(second), segment.annotations["condition"]) for second in seconds]
    expected = [
        (second, condition)
        for second, condition in plain_labels(root, recording.subject)
        if second < recording.duration
    ]
    assert found == expected
    assert recording.segments[-1].stop <= recording.duration


# ---- the files


def test_files_are_named_as_published(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == ["Processed_data", "Raw_data"]
    assert sorted(path.name for path in (written / "Raw_data").iterdir()) == ["S02", "S03", "S04"]
    assert sorted(path.name for path in (written / "Raw_data" / "S03").iterdir()) == [
        *("ACC.csv", "BVP.csv", "EDA.csv", "HR.csv", "IBI.csv", "TEMP.csv"),
        *("info.txt", "tags_S03.csv"),
    ]


def test_the_label_table_looks_as_published(written: Path) -> None:
    raw = (written / LABEL_FILE).read_bytes()
    assert raw.startswith(b"Participant,HR,respr,Time(sec),Label\r\n2,")
    assert raw.endswith(b"\r\n")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    pattern = r"\d+,(\d+(\.\d{1,2})?)?,\d+\.\d{7},\d{10},[01]"
    rows = raw.decode().splitlines()[1:]
    assert [row for row in rows if not re.fullmatch(pattern, row)] == []
    assert [row.split(",")[1] for row in rows].count("") == 6


def test_labels_begin_nine_seconds_after_the_recording(written: Path) -> None:
    for subject in ("S02", "S03", "S04"):
        labels = plain_labels(written, subject)
        assert [second for second, _ in labels] == list(range(9, 9 + len(labels)))


def test_heart_rate_of_the_table_is_that_of_the_watch(written: Path) -> None:
    watch = (written / "Raw_data" / "S02" / "HR.csv").read_text().splitlines()[2:]
    rows = [line.split(",") for line in (written / LABEL_FILE).read_text().splitlines()[1:]]
    table = [row[1] for row in rows if row[0] == "2"]
    assert table[0] == table[1]
    n_both = min(len(watch), len(table) - 3)
    assert [float(value) for value in table[1 : n_both + 1]] == [
        float(value) for value in watch[:n_both]
    ]


def test_tags_are_the_borders_of_the_phases_or_none(written: Path) -> None:
    labels = plain_labels(written, "S02")
    changes = [
        second
        for (second, now), (_, before) in zip(labels[1:], labels[:-1], strict=True)
        if now != before
    ]
    raw = (written / "Raw_data" / "S02" / "tags_S02.csv").read_bytes()
    assert [float(tag) - synthesis.FIRST_START for tag in raw.split(b"\r\n")[:-1]] == changes
    assert (written / "Raw_data" / "S03" / "tags_S03.csv").read_bytes() == b""


def test_a_subject_does_not_depend_on_how_many_there_are(written: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=4, scale=SCALE)
    for path in (tmp_path / "Raw_data" / "S02").iterdir():
        assert path.read_bytes() == (written / "Raw_data" / "S02" / path.name).read_bytes()
    assert (written / LABEL_FILE).read_bytes().startswith((tmp_path / LABEL_FILE).read_bytes())
    other = tmp_path / "other"
    synthesis.write(other, 1, seed=5, scale=SCALE)
    for name in ("BVP.csv", "EDA.csv"):
        ours, theirs = (folder / "Raw_data" / "S02" / name for folder in (tmp_path, other))
        assert ours.read_bytes() != theirs.read_bytes()


def test_the_effect_is_planted(tmp_path: Path) -> None:
    def rise(effect: float) -> float:
        root = tmp_path / str(effect)
        synthesis.write(root, 2, effect=effect, scale=0.2)
        rises = []
        for subject in ("2", "3"):
            rows = [line.split(",") for line in (root / LABEL_FILE).read_text().splitlines()[1:]]
            by_label: dict[str, list[float]] = {"0": [], "1": []}
            for row in rows:
                if row[0] == subject and row[1]:
                    by_label[row[4]].append(float(row[1]))
            rises.append(np.mean(by_label["1"]) - np.mean(by_label["0"]))
        return float(np.mean(rises))

    assert rise(1.0) > rise(0.0) + 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 34 subjects, found 0"),
        ({"n_subjects": 35}, "expected 1 to 34 subjects, found 35"),
        ({"n_subjects": 1, "effect": -0.5}, "expected an effect of 0 or more, found -0.5"),
        ({"n_subjects": 1, "effect": float("nan")}, "expected an effect"),
        ({"n_subjects": 1, "scale": 0.0}, "expected a scale above 0, found 0"),
    ],
)
def test_impossible_requests(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "Raw_data" / "S03").mkdir(parents=True)
    with pytest.raises(AffectbenchError, match=r"expected no S03 .* Name another folder"):
        synthesis.write(tmp_path / "a", 2, scale=SCALE)
    assert [path.name for path in (tmp_path / "a" / "Raw_data").iterdir()] == ["S03"]
    (tmp_path / "b" / "Processed_data").mkdir(parents=True)
    (tmp_path / "b" / LABEL_FILE).write_text("mine")
    with pytest.raises(AffectbenchError, match="expected no Processed_data/Improved"):
        synthesis.write(tmp_path / "b", 2, scale=SCALE)
    assert (tmp_path / "b" / LABEL_FILE).read_text() == "mine"
    assert not (tmp_path / "b" / "Raw_data").exists()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "write_session", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path / "c", 1, scale=SCALE)
    assert list((tmp_path / "c" / "Raw_data").iterdir()) == []


# ---- the reader


def test_subjects() -> None:
    assert SUBJECTS[0] == "S02"
    assert SUBJECTS[-1] == "S35"
    assert len(SUBJECTS) == 34
    assert tuple(f"S{number:02d}" for number in synthesis.NUMBERS) == SUBJECTS


@pytest.mark.parametrize("subject", ["S02", "S03", "S04"])
def test_segments_are_the_labels_of_a_plain_loop(written: Path, subject: str) -> None:
    recording = read(written, subject)
    assert recording.subject == subject
    check_labels(written, recording)
    assert [segment.annotations["condition"] for segment in recording.segments] == [
        "no_stress",
        "stress",
    ] * 3 + ["no_stress"]
    assert [segment.trial for segment in recording.segments] == list(range(1, 8))


def test_a_gap_in_the_labels_ends_a_segment(root: Path) -> None:
    lines = (root / LABEL_FILE).read_bytes().split(b"\r\n")
    (root / LABEL_FILE).write_bytes(b"\r\n".join([*lines[:11], *lines[13:]]))
    fault, recording = StressPredictReader(root).read("S02")
    assert isinstance(recording, Recording)
    reason = "Improved_All_Combined_hr_rsp_binary.csv: 2 rows are missing in between"
    assert fault == Fault("1", 0, reason, omitted=False, doubtful=True)
    check_labels(root, recording)
    assert len(recording.segments) == 8
    assert [(s.start, s.stop) for s in recording.segments[:1]] == [(9.0, 19.0)]
    assert recording.segments[1].start == 21.0


def test_labels_before_and_after_the_recording_are_cut(root: Path) -> None:
    lines = (root / LABEL_FILE).read_text().splitlines()
    start = synthesis.FIRST_START
    early = [f"2,,12.0,{start + second},0" for second in range(-5, 9)]
    late = int([line for line in lines if line.startswith("2,")][-1].split(",")[3])
    more = [f"2,,12.0,{late + second},0" for second in range(1, 30)]
    own = [line for line in lines[1:] if line.startswith("2,")]
    (root / LABEL_FILE).write_text("\n".join([lines[0], *early, *own, *more]) + "\n")
    recording = read(root)
    assert recording.segments[0].start == 0.0
    assert recording.segments[-1].stop == recording.duration
    assert len(recording.segments) == 7


def test_files_name_everything_that_is_read(written: Path) -> None:
    names = [path.name for path in StressPredictReader(written).files("S02")]
    signals = ["BVP.csv", "EDA.csv", "TEMP.csv", "ACC.csv", "HR.csv"]
    assert names == [*signals, Path(LABEL_FILE).name]


def test_repaired_files_are_on_record(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "copy")
    path = tmp_path / "copy" / "Raw_data/S02" / "EDA.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:30], "", *lines[31:]]) + "\n")
    fault, recording = StressPredictReader(tmp_path / "copy").read("S02")
    reason = "eda: 1 blank line(s) in place of samples, interpolated"
    assert fault == Fault("1", 0, reason, omitted=False)
    assert isinstance(recording, Recording)


def test_missing_files(root: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no BVP\.csv, .*S05"):
        StressPredictReader(root).files("S05")
    (root / LABEL_FILE).unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no Processed_data.*whole repository"):
        StressPredictReader(root).files("S02")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Time(sec)", b"Time", r"Improved.*csv: expected whole numbers in columns"),
        (b",0\r\n", b",2\r\n", r"Improved.*csv, participant 2: expected .* found labels \[2\]"),
        (b",0\r\n", b",\r\n", r"Improved.*csv: expected whole numbers"),
        (b"1644227590", b"1644227588", r"Improved.*csv, participant 2: expected rising times"),
        (b"2,", b"9,", r"Improved.*csv: expected rows of participant 2, found none"),
        (b"16442", b"16542", r"S02: expected label times within the recording.*1644227574"),
    ],
)
def test_spoilt_labels(root: Path, old: bytes, new: bytes, message: str) -> None:
    (root / LABEL_FILE).write_bytes((root / LABEL_FILE).read_bytes().replace(old, new))
    with pytest.raises(DatasetCorruptedError, match=message):
        read(root)


@pytest.mark.parametrize("kept", ["first", "last"])
def test_a_label_table_that_was_cut_off(root: Path, kept: str) -> None:
    head, *rows = (root / LABEL_FILE).read_bytes().splitlines(keepends=True)
    own = [row for row in rows if row.startswith(b"3,")]
    others = [row for row in rows if not row.startswith(b"3,")]
    for lost in (20, 45):
        part = own[:-lost] if kept == "first" else own[lost:]
        (root / LABEL_FILE).write_bytes(b"".join([head, *others, *part]))
        if lost == 20:
            assert read(root, "S03").segments
            continue
        with pytest.raises(DatasetCorruptedError, match=r"participant 3: .* was cut off; fetch"):
            read(root, "S03")
    assert read(root).segments


def test_an_empty_label_table(root: Path) -> None:
    (root / LABEL_FILE).write_bytes(b"")
    with pytest.raises(DatasetCorruptedError, match=r"Improved.*csv: expected whole numbers"):
        read(root)


def test_changed_labels_make_a_new_entry(root: Path, tmp_path: Path) -> None:
    first = store_subject(tmp_path / "cache", StressPredictReader(root), {}, "S02")
    with (root / LABEL_FILE).open("a") as file:
        file.write("9,,12.0,1644227590,0\n")
    second = store_subject(tmp_path / "cache", StressPredictReader(root), {}, "S02")
    assert first.folder != second.folder


# ---- real recordings


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("AFFECTBENCH_DATA")
    if not folder or not (Path(folder) / "stress_predict").is_dir():
        pytest.skip("AFFECTBENCH_DATA names no folder with stress_predict in it")
    return Path(folder) / "stress_predict"


@pytest.mark.data
def test_the_published_recordings(real: Path) -> None:
    table = pd.read_csv(real / LABEL_FILE)
    counts = table.groupby("Participant")["Label"].value_counts()
    reader = StressPredictReader(real)
    task = STRESS_PREDICT.tasks["stress"]
    assert len(reader.subjects) == 34
    for subject in reader.subjects:
        (recording,) = reader.read(subject)
        assert len(recording.segments) == 7, subject
        check_labels(real, recording)
        seconds = {0: 0.0, 1: 0.0}
        for segment in recording.segments:
            label = task.label("S2", segment)
            assert label is not None
            seconds[label] += segment.duration
        # What is labelled after the end of the shortest file is lost: some seconds of rest.
        assert seconds[1] == counts[int(subject[1:]), 1], subject
        assert 0 <= counts[int(subject[1:]), 0] - seconds[0] < 15, subject
        assert set(recording.signals) == set(STRESS_PREDICT.signals) - {*EDA_PARTS, *BVP_BEATS}
        for name, signal in recording.signals.items():
            channels, rate = STRESS_PREDICT.signals[name]
            assert len(signal.samples) == channels
            assert signal.sfreq == rate
            assert np.isfinite(signal.samples).all()
        assert recording.duration > 3000
        assert recording.signals["temp"].samples.max() < 45

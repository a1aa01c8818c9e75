import csv
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.cache import store_subject
from datamodules.errors import (
    AffectbenchError,
    DatasetCorruptedError,
    DatasetNotFoundError,
    IncompatibleRunError,
)
from datamodules.signals.recording import Fault, Recording, Segment
from datamodules.synthesis import wearable_stress as synthesis
from datamodules.wearable_stress import (
    FIRST,
    SECOND,
    SESSIONS,
    SUBJECTS,
    WEARABLE_STRESS,
    WearableStressReader,
)

SCALE = 0.01
DATA = "Wearable_Dataset"
VERSION_1 = [
    (1, 2, "baseline"),
    (3, 4, "stroop"),
    (4, 5, "rest"),
    (5, 6, "mental_arithmetic"),
    (6, 7, "rest"),
    (7, 8, "own_opinion"),
    (9, 10, "opposite_opinion"),
    (11, 12, "subtraction"),
]
VERSION_2 = [
    (2, 3, "mental_arithmetic"),
    (3, 4, "rest"),
    (4, 5, "own_opinion"),
    (6, 7, "opposite_opinion"),
    (7, 8, "rest"),
    (8, 9, "subtraction"),
]
"""Presses and conditions by the publisher's pictures, without the baseline of version 2."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 36 people, in sessions that are as short as they may be."""
    folder = tmp_path_factory.mktemp("wearable_stress")
    synthesis.write(folder, 36, seed=4, scale=SCALE)
    return folder


@pytest.fixture
def copy_of(written: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one person that may be spoilt."""

    def copied(subject: str) -> Path:
        for path in written.glob("*.csv"):
            shutil.copy(path, tmp_path)
        for path in written.glob(f"{DATA}/*/{subject}*"):
            shutil.copytree(path, tmp_path / path.relative_to(written))
        return tmp_path

    return copied


def read(root: Path, subject: str) -> tuple[list[Recording], list[Fault]]:
    items = list(WearableStressReader(root).read(subject))
    recordings = [item for item in items if isinstance(item, Recording)]
    return recordings, [item for item in items if isinstance(item, Fault)]


def seconds(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime(2000, 1, 1)).total_seconds()


def start_of(folder: Path) -> float:
    return seconds((folder / "BVP.csv").read_text().splitlines()[0])


def presses_of(folder: Path) -> list[float]:
    start = start_of(folder)
    return [seconds(line) - start for line in (folder / "tags.csv").read_text().splitlines()]


def spans(segments: tuple[Segment, ...]) -> list[tuple[float, float, object]]:
    return [(s.start, s.stop, s.annotations["condition"]) for s in segments]


def rows(path: Path) -> np.ndarray:
    return np.loadtxt(path, skiprows=2, delimiter=",", ndmin=2)


# ---- the files


def test_files_are_named_as_published(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [
        *("Stress_Level_v1.csv", "Stress_Level_v2.csv"),
        *(DATA, "subject-info.csv"),
    ]
    folders = {p.name: sorted(q.name for q in p.iterdir()) for p in (written / DATA).iterdir()}
    assert {name: len(people) for name, people in folders.items()} == {
        **{"STRESS": 37, "AEROBIC": 31, "ANAEROBIC": 32},
    }
    assert {"f14_a", "f14_b"} < set(folders["STRESS"])
    assert {"S11_a", "S11_b"} < set(folders["AEROBIC"])
    assert {"S16_a", "S16_b"} < set(folders["ANAEROBIC"])
    assert not {"S12", "f14"} & set(folders["AEROBIC"])
    for folder in (written / DATA).glob("*/*"):
        names = sorted(path.name for path in folder.iterdir())
        assert names == [f"{n}.csv" for n in ("ACC", "BVP", "EDA", "HR", "IBI", "TEMP", "tags")]


@pytest.mark.parametrize(
    ("name", "first", "second", "row"),
    [
        ("ACC", "DATE,DATE,DATE", "32.0,32.0,32.0", r"-?\d+\.0,-?\d+\.0,-?\d+\.0"),
        ("BVP", "DATE", "64.0", r"-?\d+\.\d{1,2}"),
        ("EDA", "DATE", "4.0", r"\d+\.\d{1,6}(e-05)?"),
        ("TEMP", "DATE", "4.0", r"\d+\.\d{1,2}"),
        ("HR", "DATE", "1.0", r"\d+\.\d{1,2}"),
        ("IBI", "DATE,DATE", r"\d+\.\d+,\d\.\d{6}", r"\d+\.\d+,\d\.\d{6}"),
        ("tags", "DATE", "DATE", "DATE"),
    ],
)
def test_files_look_as_published(
    written: Path, name: str, first: str, second: str, row: str
) -> None:
    raw = (written / DATA / "STRESS" / "S03" / f"{name}.csv").read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n") > 10
    assert raw.endswith(b"\r\n")
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    lines = raw.decode("ascii").splitlines()
    for line, pattern in zip(lines, [first, second, *[row] * len(lines)], strict=False):
        assert re.fullmatch(pattern.replace("DATE", date), line), line


def test_the_tables_of_reported_stress_look_as_published(written: Path) -> None:
    for name, head, people in (
        (
            "Stress_Level_v1.csv",
            ",Baseline,Stroop,First Rest,TMCT,Second Rest,Real Opinion,Opposite Opinion,Subtract",
            SUBJECTS[:18],
        ),
        (
            "Stress_Level_v2.csv",
            ",Baseline,TMCT,First Rest,Real Opinion,Opposite Opinion,Second Rest,Subtract",
            SUBJECTS[18:],
        ),
    ):
        first, *lines = (written / name).read_bytes().decode().split("\r\n")[:-1]
        assert first == head
        assert [line.split(",")[0] for line in lines] == list(people)
        assert all(re.fullmatch(r"[Sf]\d\d(,\d{1,2}\.00){7,8}", line) for line in lines)


def test_a_person_does_not_depend_on_how_many_there_are(written: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=4, scale=SCALE)
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(paths) == 3 * 7 + 3
    for path in paths:
        assert path.read_bytes() == (written / path.relative_to(tmp_path)).read_bytes(), path


def test_the_effect_is_planted(tmp_path: Path) -> None:
    def rise(effect: float) -> float:
        root = tmp_path / str(effect)
        synthesis.write(root, 2, effect=effect, scale=0.1)
        rises = []
        for subject in ("S01", "S02"):
            rates = {"stress": [], "no_stress": []}
            folder = root / DATA / "STRESS" / subject
            heart = rows(folder / "HR.csv")[:, 0]
            marks = [0.0, *presses_of(folder)]
            for first, last, condition in VERSION_1:
                calm = condition in ("baseline", "rest")
                part = heart[int(marks[first]) : int(marks[last]) - 10]
                rates["no_stress" if calm else "stress"] += part.tolist()
            rises.append(np.mean(rates["stress"]) - np.mean(rates["no_stress"]))
        return float(np.mean(rises))

    assert rise(1.0) > rise(0.0) + 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 36 subjects, found 0"),
        ({"n_subjects": 37}, "expected 1 to 36 subjects, found 37"),
        ({"n_subjects": 1, "effect": -0.5}, "expected an effect of 0 or more, found -0.5"),
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
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Stress_Level_v2.csv").write_text("mine")
    with pytest.raises(AffectbenchError, match=r"expected no Stress_Level_v2\.csv"):
        synthesis.write(tmp_path / "a", 1, scale=SCALE)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["Stress_Level_v2.csv"]

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "write_dated_session", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path / "b", 1, scale=SCALE)
    assert list((tmp_path / "b").iterdir()) == []


# ---- conditions from the presses


def test_people_and_their_sessions() -> None:
    assert len(SUBJECTS) == len(set(SUBJECTS)) == 36
    assert (SUBJECTS[0], SUBJECTS[17], SUBJECTS[18], SUBJECTS[35]) == ("S01", "S18", "f01", "f18")
    assert [len(people) for people in SESSIONS.values()] == [36, 30, 31]


def test_phases_of_version_1_lie_between_the_presses(written: Path) -> None:
    recordings, faults = read(written, "S04")
    assert faults == []
    assert [recording.session for recording in recordings] == ["STRESS", "AEROBIC", "ANAEROBIC"]
    marks = [np.nan, *presses_of(written / DATA / "STRESS" / "S04")]
    assert spans(recordings[0].segments) == [(marks[a], marks[b], name) for a, b, name in VERSION_1]
    assert [segment.trial for segment in recordings[0].segments] == list(range(1, 9))


def test_phases_of_version_2_lie_between_the_presses(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.wearable_stress.BASELINE_SECONDS", 20.0)
    recordings, faults = read(written, "f03")
    assert faults == []
    marks = [np.nan, *presses_of(written / DATA / "STRESS" / "f03")]
    assert spans(recordings[0].segments) == [
        (marks[1] - 20, marks[1], "baseline"),
        *((marks[a], marks[b], name) for a, b, name in VERSION_2),
    ]


def test_a_baseline_that_is_shorter_than_three_minutes_begins_with_the_file(written: Path) -> None:
    recordings, _ = read(written, "f03")
    first = recordings[0].segments[0]
    assert first.start == 0.0
    assert first.stop == presses_of(written / DATA / "STRESS" / "f03")[0] < 180


@pytest.mark.parametrize(
    ("subject", "session", "count"),
    [
        *(("S04", "AEROBIC", 11), ("S04", "ANAEROBIC", 6)),
        *(("f03", "AEROBIC", 7), ("f03", "ANAEROBIC", 10)),
        *(("S03", "AEROBIC", 6), ("S06", "ANAEROBIC", 4)),
    ],
)
def test_exercise_is_from_press_to_press(
    written: Path, subject: str, session: str, count: int
) -> None:
    recordings, _ = read(written, subject)
    (recording,) = (item for item in recordings if item.session == session)
    presses = presses_of(written / DATA / session / subject)
    expected = pairwise(presses)
    assert spans(recording.segments) == [(a, b, session.lower()) for a, b in expected]
    assert len(recording.segments) == count


@pytest.mark.parametrize("subject", ["S04", "f03", "f14"])
def test_reported_stress_is_that_of_the_table(written: Path, subject: str) -> None:
    version = "v1" if subject[0] == "S" else "v2"
    with (written / f"Stress_Level_{version}.csv").open() as file:
        (row,) = (row for row in csv.reader(file) if row[0] == subject)
    recordings, _ = read(written, subject)
    stress = [item for item in recordings if item.session == "STRESS"]
    reported = [s.annotations["self_report"] for item in stress for s in item.segments]
    assert reported == [float(cell) for cell in row[1:]]
    for recording in recordings[len(stress) :]:
        assert all("self_report" not in segment.annotations for segment in recording.segments)


def test_classes_of_the_tasks() -> None:
    stressors = ("stroop", "mental_arithmetic", "own_opinion", "opposite_opinion", "subtraction")
    expected = {
        **dict.fromkeys(("baseline", "rest"), (0, 0)),
        **dict.fromkeys(stressors, (1, 1)),
        **dict.fromkeys(("aerobic", "anaerobic"), (None, 2)),
    }
    for condition, classes in expected.items():
        segment = Segment(0.0, 30.0, 1, {"condition": condition})
        found = [
            WEARABLE_STRESS.tasks[name].label("S01", segment) for name in ("stress", "activity")
        ]
        assert tuple(found) == classes, condition
    report = WEARABLE_STRESS.tasks["self_report"]
    levels = {
        level: report.label("S01", Segment(0.0, 1.0, 1, {"self_report": level}))
        for level in (0.0, 5.0, 5.5, 10.0)
    }
    assert levels == {0.0: 0, 5.0: 0, 5.5: 1, 10.0: 1}
    assert report.label("S01", Segment(0.0, 1.0, 1, {"condition": "aerobic"})) is None


# ---- the published faults


def test_a_session_that_repeats_itself_is_read_once(written: Path) -> None:
    recordings, faults = read(written, "S02")
    assert "repeat" in faults[0].reason
    assert (faults[0].session, faults[0].omitted) == ("STRESS", False)
    eda = rows(written / DATA / "STRESS" / "S02" / "EDA.csv")[:, 0]
    half = len(eda) // 2
    np.testing.assert_array_equal(eda[:half], eda[half:])
    samples = recordings[0].signals["eda"].samples[0]
    assert samples[1:].tolist() == eda[1:half].astype(np.float32).tolist()
    for name, signal in recordings[0].signals.items():
        assert signal.duration == pytest.approx(half / 4, abs=0.25), name
    assert len(recordings[0].segments) == 8


def test_without_a_repetition_nothing_is_cut_off(copy_of: Callable[[str], Path]) -> None:
    root = copy_of("S02")
    path = root / DATA / "STRESS" / "S02" / "EDA.csv"
    lines = path.read_text().splitlines()
    lines[-40] = "3.5"
    path.write_text("\n".join(lines) + "\n")
    recordings, faults = read(root, "S02")
    assert not any("repeat" in fault.reason for fault in faults)
    assert recordings[0].duration > 0.4 * len(lines) / 2


def test_a_session_with_covered_sensors_is_left_out(written: Path) -> None:
    recordings, faults = read(written, "f07")
    assert [recording.session for recording in recordings] == ["AEROBIC", "ANAEROBIC"]
    assert {(f.session, f.omitted, f.reason) for f in faults} == {
        ("STRESS", True, "bvp, temp: the sensors were covered")
    }
    assert [fault.trial for fault in faults] == list(range(1, 8))


def test_a_baseline_in_a_file_of_its_own(written: Path) -> None:
    recordings, faults = read(written, "f14")
    assert [fault.reason for fault in faults] == [
        "the connection was lost: two files, which are two recordings"
    ]
    first, second = recordings
    folders = [written / DATA / "STRESS" / f"f14_{part}" for part in "ab"]
    assert (first.session, second.session) == ("STRESS", "STRESS")
    assert (first.offset, second.offset) == (0.0, start_of(folders[1]) - start_of(folders[0]))
    assert spans(first.segments) == [(0.0, first.duration, "baseline")]
    marks = [np.nan, *presses_of(folders[1])]
    assert spans(second.segments) == [(marks[a], marks[b], name) for a, b, name in VERSION_2]
    assert [s.trial for recording in recordings for s in recording.segments] == list(range(1, 8))


@pytest.mark.parametrize(("subject", "session"), [("S11", "AEROBIC"), ("S16", "ANAEROBIC")])
def test_a_stage_that_lost_the_connection_is_in_both_files(
    written: Path, subject: str, session: str
) -> None:
    recordings, _ = read(written, subject)
    first, second = (item for item in recordings if item.session == session)
    before, after = (presses_of(written / DATA / session / f"{subject}_{part}") for part in "ab")
    ends = [*before, first.duration]
    assert spans(first.segments) == [(a, b, session.lower()) for a, b in pairwise(ends)]
    starts = [0.0, *after]
    assert spans(second.segments) == [(a, b, session.lower()) for a, b in pairwise(starts)]
    trials = [s.trial for item in (first, second) for s in item.segments]
    assert trials == list(range(1, len(trials) + 1))


@pytest.mark.parametrize(
    ("subject", "session", "reason"),
    [
        ("S12", "AEROBIC", "the protocol was not performed"),
        ("S03", "AEROBIC", "the protocol ended early, at 90 rpm"),
        ("S07", "AEROBIC", "the protocol ended early, at 95 rpm"),
        ("S06", "ANAEROBIC", "the protocol ended early, without the last sprint"),
        ("S01", "ANAEROBIC", "IBI.csv is empty; it is not read"),
    ],
)
def test_what_cannot_be_repaired_is_on_record(
    written: Path, subject: str, session: str, reason: str
) -> None:
    _, faults = read(written, subject)
    assert Fault(session, 0, reason, omitted=False) in faults


@pytest.mark.parametrize(
    ("subject", "session"),
    [("S07", "AEROBIC"), ("S09", "AEROBIC"), ("S02", "ANAEROBIC"), ("S05", "ANAEROBIC")],
)
def test_stages_with_impossible_temperatures_are_left_out(
    written: Path, subject: str, session: str
) -> None:
    folder = written / DATA / session / subject
    hot = rows(folder / "TEMP.csv")[:, 0] > 45
    assert 0 < hot.mean() <= 1
    presses = presses_of(folder)
    spoilt = {
        trial
        for trial, (a, b) in enumerate(pairwise(presses), start=1)
        if any(hot[int(4 * a) : int(4 * b) + 1])
    }
    recordings, faults = read(written, subject)
    assert {f.trial for f in faults if f.reason == "temp: above 45 degrees"} == spoilt
    kept = [item for item in recordings if item.session == session]
    assert {s.trial for item in kept for s in item.segments} == {*range(1, len(presses))} - spoilt
    for recording in kept:
        temp = recording.signals["temp"].samples[0]
        assert temp.max() < 45
        cool = rows(folder / "TEMP.csv")[: len(temp), 0][~hot[: len(temp)]]
        np.testing.assert_array_equal(temp[~hot[: len(temp)]], cool.astype(np.float32))


# ---- the folder


def test_the_folder_above_will_do(written: Path, tmp_path: Path) -> None:
    (tmp_path / "physionet").symlink_to(written)
    direct, above = read(written, "S04")[0], read(tmp_path, "S04")[0]
    assert [spans(a.segments) for a in direct] == [spans(b.segments) for b in above]
    (tmp_path / "another").symlink_to(written)
    with pytest.raises(DatasetNotFoundError, match=r"no .* in"):
        WearableStressReader(tmp_path).files("S04")


def test_files_name_everything_that_is_read(written: Path) -> None:
    paths = WearableStressReader(written).files("f14")
    names = [path.relative_to(written).as_posix() for path in paths]
    kinds = [f"{name}.csv" for name in ("BVP", "EDA", "TEMP", "ACC", "HR", "tags")]
    folders = [f"{DATA}/STRESS/f14_a", f"{DATA}/STRESS/f14_b"]
    assert names == ["Stress_Level_v2.csv", *(f"{f}/{kind}" for f in folders for kind in kinds)]
    assert len(WearableStressReader(written).files("S01")) == 1 + 3 * 6


def test_missing_files_and_people(copy_of: Callable[[str], Path]) -> None:
    root = copy_of("S04")
    reader = WearableStressReader(root)
    with pytest.raises(DatasetNotFoundError, match="no person 'S4': expected one of S01 to S18"):
        reader.files("S4")
    with pytest.raises(DatasetNotFoundError, match=r"no BVP\.csv, .*S05"):
        reader.files("S05")
    (root / DATA / "AEROBIC" / "S04" / "tags.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no Wearable_Dataset/AEROBIC/S04/tags\.csv"):
        reader.files("S04")
    (root / "Stress_Level_v1.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no Stress_Level_v1\.csv, .*tags\.csv"):
        reader.files("S04")


def in_table(old: str, new: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / "Stress_Level_v1.csv"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return spoil


def without_presses(count: int) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / DATA / "STRESS" / "S04" / "tags.csv"
        path.write_text("\n".join(path.read_text().splitlines()[:-count]) + "\n")

    return spoil


def half_a_press(root: Path) -> None:
    path = root / DATA / "STRESS" / "S04" / "tags.csv"
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_presses(1), r"S04/tags\.csv: expected 13 presses of the button, found 12"),
        (half_a_press, r"S04/tags\.csv: expected 13 presses of the button, found 12"),
        (in_table("Stroop", "Strop"), r"Stress_Level_v1\.csv: expected one row of S04 with the "),
        (in_table("S04", "S99"), r"Stress_Level_v1\.csv: expected one row of S04"),
        (in_table("S04,", "S04,x"), r"Stress_Level_v1\.csv: expected one row of S04"),
        (in_table("S04,", "S04,1"), r"Stress_Level_v1\.csv, S04: expected reported stress from 0"),
        (in_table("S05", "S04"), r"Stress_Level_v1\.csv: expected one row of S04"),
    ],
)
def test_spoilt_tables(
    copy_of: Callable[[str], Path], spoil: Callable[[Path], None], message: str
) -> None:
    root = copy_of("S04")
    spoil(root)
    with pytest.raises(DatasetCorruptedError, match=message):
        read(root, "S04")


def test_a_phase_without_a_report_has_no_class(copy_of: Callable[[str], Path]) -> None:
    root = copy_of("S04")
    path = root / "Stress_Level_v1.csv"
    path.write_text(re.sub(r"S04,[\d.]+,", "S04,,", path.read_text()))
    segments = read(root, "S04")[0][0].segments
    assert ["self_report" in segment.annotations for segment in segments] == [False] + [True] * 7


def test_other_presses_make_a_new_entry(copy_of: Callable[[str], Path], tmp_path: Path) -> None:
    root, cache = copy_of("S04"), tmp_path / "cache"
    first = store_subject(cache, WearableStressReader(root), {}, "S04")
    path = root / DATA / "STRESS" / "S04" / "tags.csv"
    path.write_bytes(path.read_bytes() + b"\r\n")
    second = store_subject(cache, WearableStressReader(root), {}, "S04")
    assert first.folder != second.folder
    assert first.content == second.content


# ---- real recordings


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("AFFECTBENCH_DATA")
    if not folder or not (Path(folder) / "wearable_stress").is_dir():
        pytest.skip("AFFECTBENCH_DATA names no folder with wearable_stress in it")
    return Path(folder) / "wearable_stress"


@pytest.mark.data
def test_the_published_recordings(real: Path) -> None:
    """Counts of another program: 3522 windows of 30 s every 15 s, of 35 people, 18 % stress.

    That one took the baseline of f14 from the second file, where there is time for three windows
    less than in the first, which the publisher names.
    """
    reader = WearableStressReader(real)
    windows: Counter[int] = Counter()
    people, kinds = set(), Counter[str]()
    for subject in reader.subjects:
        recordings, faults = read(real, subject)
        kinds.update(fault.reason for fault in faults)
        for recording in recordings:
            assert set(recording.signals) == set(
                WEARABLE_STRESS.recorded([*WEARABLE_STRESS.signals])
            )
            for name, signal in recording.signals.items():
                assert (len(signal.samples), signal.sfreq) == WEARABLE_STRESS.signals[name]
            assert recording.signals["temp"].samples.max() < 45
            for segment in recording.segments:
                label = WEARABLE_STRESS.tasks["stress"].label(subject, segment)
                if label is not None:
                    people.add(subject)
                    windows[label] += max(0, int((segment.duration - 30) // 15) + 1)
    assert sorted(set(SUBJECTS) - people) == ["f07"]
    assert windows.total() == 3522 + 3
    assert round(windows[1] / windows.total(), 2) == 0.18
    assert kinds == {
        "bvp, temp: the sensors were covered": 7,
        "temp: above 45 degrees": 19,
        "IBI.csv is empty; it is not read": 1,
        "the connection was lost: two files, which are two recordings": 3,
        "the files repeat themselves from the middle on; this is cut off": 1,
        "the protocol ended early, at 90 rpm": 1,
        "the protocol ended early, at 95 rpm": 1,
        "the protocol ended early, without the last sprint": 1,
        "the protocol was not performed": 1,
    }


def test_a_version_has_its_people_alone(written: Path) -> None:
    people = [WearableStressReader(written, version).subjects for version in (1, 2)]
    assert people == [FIRST, SECOND]
    assert not {*people[0]} & {*people[1]}
    assert (*people[0], *people[1]) == WearableStressReader(written).subjects
    with pytest.raises(IncompatibleRunError, match="expected 1, 2, or 0 for both, found 3"):
        WearableStressReader(written, 3)
    other = WearableStressReader(written, 2)
    with pytest.raises(DatasetNotFoundError, match="no person 'S01': expected one of f01 to f18"):
        other.files("S01")


def test_exercise_is_all_no_stress_and_no_part_of_stress() -> None:
    exercise = WEARABLE_STRESS.task("exercise")
    assert exercise.classes == WEARABLE_STRESS.task("stress").classes
    for condition in ("aerobic", "anaerobic", "baseline", "rest", "stroop"):
        segment = Segment(0.0, 60.0, 1, {"condition": condition})
        cycled = condition.endswith("aerobic")
        assert exercise.label("S01", segment) == (0 if cycled else None)
        assert (WEARABLE_STRESS.task("stress").label("S01", segment) is None) == cycled

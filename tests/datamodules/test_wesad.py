import io
import pickle
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.cache import store_subject
from datamodules.errors import AffectbenchError, DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.pickles import load_arrays
from datamodules.formats.wesad_quest import read_intervals
from datamodules.signals.recording import Fault, Recording, Segment
from datamodules.synthesis import wesad as synthesis
from datamodules.wesad import SUBJECTS, WESAD, WESADReader

MINUTES = 0.1

# Written by cPickle of Python 2.7.18 with numpy 1.16.6, protocol 0:
# {"signal": {"chest": {"ACC": [[-1.0, 0.5]], "ECG": [[2.5]]}, "wrist": {"ACC": [[1.0]]}},
#  "label": [0, 7], "subject": "S2"}, arrays of float64, labels of int32.
CPICKLE = (
    b"(dp1\nS'signal'\np2\n(dp3\nS'chest'\np4\n(dp5\nS'ACC'\np6\ncnumpy.core.multiarray\n"
    b"_reconstruct\np7\n(cnumpy\nndarray\np8\n(I0\ntS'b'\ntRp9\n(I1\n(I1\nI2\ntcnumpy\ndtype\n"
    b"p10\n(S'f8'\nI0\nI1\ntRp11\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0\\xbf\\x00\\x00\\x00\\x00\\x00\\x00\\xe0?'\n"
    b"tbsS'ECG'\np12\ng7\n(g8\n(I0\ntS'b'\ntRp13\n(I1\n(I1\nI1\ntg11\nI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\x04@'\ntbssS'wrist'\np14\n(dp15\ng6\ng7\n(g8\n(I0\n"
    b"tS'b'\ntRp16\n(I1\n(I1\nI1\ntg11\nI00\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?'\n"
    b"tbsssS'label'\np17\ng7\n(g8\n(I0\ntS'b'\ntRp18\n(I1\n(I2\ntg10\n(S'i4'\nI0\nI1\ntRp19\n"
    b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x00\\x00\\x00\\x00\\x07\\x00\\x00\\x00'\n"
    b"tbsS'subject'\np20\nS'S2'\np21\ns."
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wesad")
    synthesis.write(folder, 2, seed=3, minutes=MINUTES)
    return folder


@pytest.fixture(scope="module")
def plain(root: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pickle.loads((root / "S2" / "S2.pkl").read_bytes(), encoding="latin1")


@pytest.fixture(scope="module")
def recording(root: Path) -> Recording:
    (found,) = WESADReader(root).read("S2")
    return found


def schedule(text: str) -> dict[str, tuple[int, int]]:
    """Conditions of a questionnaire file: start and end in seconds, read digit by digit."""
    rows = {line.split(";")[0]: line.split(";")[1:] for line in text.splitlines()[:4]}

    def seconds(written: str) -> int:
        minutes, _, fraction = written.partition(".")
        return 60 * int(minutes) + int(fraction.ljust(2, "0") if fraction else "0")

    return {
        name: (seconds(start), seconds(end))
        for name, start, end in zip(rows["# ORDER"], rows["# START"], rows["# END"], strict=True)
        if name
    }


# ---- the files


def test_bytes_are_those_of_python_2() -> None:
    file = io.BytesIO()
    synthesis.write_python2(
        {
            "signal": {
                "chest": {"ACC": np.array([[-1.0, 0.5]]), "ECG": np.array([[2.5]])},
                "wrist": {"ACC": np.array([[1.0]])},
            },
            "label": np.array([0, 7], np.int32),
            "subject": "S2",
        },
        file,
    )
    assert file.getvalue() == CPICKLE


def test_the_default_encoding_fails_as_with_the_published_files(root: Path) -> None:
    raw = (root / "S2" / "S2.pkl").read_bytes()
    assert raw.startswith(b"(dp1\nS'signal'\n")
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(raw)


def test_layout_of_the_pickle(plain: Any) -> None:
    assert plain["subject"] == "S2"
    chest, wrist = plain["signal"]["chest"], plain["signal"]["wrist"]
    assert set(chest) == {"ACC", "ECG", "EMG", "EDA", "Temp", "Resp"}
    assert set(wrist) == {"ACC", "BVP", "EDA", "TEMP"}
    seconds = len(plain["label"]) // 700
    assert plain["label"].dtype == np.int32
    for key, values in chest.items():
        assert values.shape == (700 * seconds, 3 if key == "ACC" else 1)
        assert values.dtype == (np.float32 if key == "Temp" else np.float64)
    for key, rate in {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4}.items():
        assert wrist[key].shape == (rate * seconds, 3 if key == "ACC" else 1)
        assert wrist[key].dtype == np.float64
    assert (wrist["ACC"] == np.round(wrist["ACC"])).all()
    assert np.median(np.linalg.norm(wrist["ACC"], axis=1)) == pytest.approx(64, abs=3)
    assert np.median(np.linalg.norm(chest["ACC"], axis=1)) == pytest.approx(1, abs=0.05)


def test_our_unpickler_gives_the_same_bits(root: Path, plain: Any) -> None:
    ours = load_arrays(root / "S2" / "S2.pkl")
    assert list(ours) == list(plain)
    np.testing.assert_array_equal(ours["label"], plain["label"], strict=True)
    for device, entries in plain["signal"].items():
        assert list(ours["signal"][device]) == list(entries)
        for key, values in entries.items():
            np.testing.assert_array_equal(ours["signal"][device][key], values, strict=True)


@pytest.mark.parametrize("subject", ["S2", "S3"])
def test_labels_are_the_schedule_less_twenty_seconds(root: Path, subject: str) -> None:
    text = (root / subject / f"{subject}_quest.csv").read_text()
    label = load_arrays(root / subject / f"{subject}.pkl")["label"]
    planned = schedule(text)
    codes = {"Base": 1, "TSST": 2, "Fun": 3, "Medi 1": 4, "Medi 2": 4, "bRead": 5, "sRead": 6}
    codes["fRead"] = 7
    assert set(codes) - set(planned) == ({"bRead"} if subject == "S2" else set())
    expected = np.zeros(len(label), int)
    for name, (start, end) in planned.items():
        expected[(start + 10) * 700 : (end - 10) * 700] = codes[name]
        assert end - start > 20
    np.testing.assert_array_equal(label, expected)


def test_conditions_come_in_two_orders(root: Path) -> None:
    for subject, names in {
        "S2": ["Base", "TSST", "Medi 1", "Fun", "Medi 2"],
        "S3": ["Base", "Fun", "Medi 1", "TSST", "Medi 2"],
    }.items():
        planned = schedule((root / subject / f"{subject}_quest.csv").read_text())
        assert list(planned)[:5] == names
        starts = [planned[name][0] for name in names]
        assert starts == sorted(starts)


@pytest.mark.parametrize("number", [2, 5, 14])
def test_questionnaire_file(number: int) -> None:
    rng = np.random.default_rng(0)
    order, intervals, _ = synthesis._schedule(rng, number, 60)
    text = synthesis._quest(rng, number, order, intervals)
    rows = [line.split(";") for line in text.splitlines()]
    assert text.isascii()
    assert text.endswith("\n")
    assert [len(row) for row in rows] == [27] * 24
    names = [row[0] for row in rows]
    assert names[:4] == ["# Subj", "# ORDER", "# START", "# END"]
    assert names[4:] == (
        ["", *["# PANAS"] * 5, "", *["# STAI"] * 5, "", *["# DIM"] * 5, "", "# SSSQ"]
    )
    answered = [sum(bool(answer) for answer in row[1:]) for row in rows[5:10]]
    assert answered == [26 if name == "TSST" else 24 for name in order]
    assert ("Nan" in text) == (number == 5)
    if number == 14:
        assert order.index("Medi 2") < order.index("Medi 1")
    for row in rows[5:]:
        highest = {"# PANAS": 5, "# STAI": 4, "# DIM": 9, "# SSSQ": 5, "": 0}[row[0]]
        assert all(1 <= int(a) <= highest for a in row[1:] if a not in ("", "Nan"))


@pytest.mark.parametrize("number", [2, 5, 14])
def test_the_questionnaire_file_is_read_back(number: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(number)
    order, planned, _ = synthesis._schedule(rng, number, 60)
    path = tmp_path / f"S{number}_quest.csv"
    path.write_text(synthesis._quest(rng, number, order, planned))
    rows = [line.split(";") for line in path.read_text().splitlines() if line.startswith("# DIM")]
    times = {interval.name: (interval.start, interval.stop) for interval in planned}
    assert [
        (interval.name, interval.start, interval.stop, dict(interval.ratings))
        for interval in read_intervals(path)
    ] == [
        (name, *times[name], {"valence": float(row[1]), "arousal": float(row[2])})
        for name, row in zip(order, rows, strict=True)
    ]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(170, "2.5"), (1740, "29"), (3030, "50.3"), (428, "7.08"), (125, "2.05"), (600, "10")],
)
def test_times_drop_trailing_zeros(seconds: int, written: str) -> None:
    assert synthesis.clock(seconds) == written


def test_a_subject_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=3, minutes=MINUTES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S2"]
    names = ["S2.pkl", "S2_quest.csv", "S2_readme.txt"]
    assert sorted(path.name for path in (tmp_path / "S2").iterdir()) == names
    for name in names:
        assert (tmp_path / "S2" / name).read_bytes() == (root / "S2" / name).read_bytes()


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "S3").mkdir()
    with pytest.raises(AffectbenchError, match="expected no S3"):
        synthesis.write(tmp_path, 2, minutes=MINUTES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S3"]

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "_readme", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path, 1, minutes=MINUTES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S3"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 15 subjects, found 0"),
        ({"n_subjects": 16}, "expected 1 to 15 subjects, found 16"),
        ({"n_subjects": 1, "effect": -1.0}, "expected an effect of 0 or more"),
        ({"n_subjects": 1, "minutes": 0.0}, "expected 0.1 minutes or more"),
    ],
)
def test_impossible_requests(tmp_path: Path, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **request_)
    assert not (tmp_path / "new").exists()


# ---- the reader


def test_subjects_in_natural_order() -> None:
    assert SUBJECTS[0] == "S2"
    assert SUBJECTS[8:11] == ("S10", "S11", "S13")
    assert len(SUBJECTS) == 15
    assert tuple(f"S{number}" for number in synthesis.NUMBERS) == SUBJECTS


@pytest.mark.parametrize("subject", ["S1", "S12", "S18", "2"])
def test_subjects_that_do_not_exist(root: Path, subject: str) -> None:
    for ask in (WESADReader(root).files, lambda name: list(WESADReader(root).read(name))):
        with pytest.raises(DatasetNotFoundError, match=f"no subject '{subject}'"):
            ask(subject)


def test_a_subject_that_is_not_there(root: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no S17/S17\.pkl .* of whom 2 of 15 are"):
        WESADReader(root).files("S17")


def test_signals_are_the_published_numbers_in_single_precision(
    recording: Recording, plain: Any
) -> None:
    places = {
        "bvp": ("wrist", "BVP"),
        "eda": ("wrist", "EDA"),
        "temp": ("wrist", "TEMP"),
        "ecg": ("chest", "ECG"),
        "emg": ("chest", "EMG"),
        "chest_eda": ("chest", "EDA"),
        "chest_temp": ("chest", "Temp"),
        "resp": ("chest", "Resp"),
        "chest_acc": ("chest", "ACC"),
    }
    for name, (device, key) in places.items():
        values = plain["signal"][device][key]
        np.testing.assert_array_equal(
            recording.signals[name].samples, values.astype(np.float32).T, strict=True
        )
    counts = plain["signal"]["wrist"]["ACC"]
    np.testing.assert_allclose(recording.signals["acc"].samples, counts.T / 64, atol=1e-6)
    assert np.abs(recording.signals["acc"].samples).max() <= 2.0
    assert set(recording.signals) == {*places, "acc"}
    for signal in recording.signals.values():
        assert signal.samples.flags.c_contiguous
        assert signal.duration == pytest.approx(recording.duration)


def test_declared_signals_are_those_read(recording: Recording) -> None:
    found = {n: (len(s.samples), s.sfreq) for n, s in recording.signals.items()}
    assert found == {n: WESAD.signals[n] for n in WESAD.recorded([*found])}
    assert set(WESAD.signals) - set(found) == {
        *("eda_tonic", "eda_phasic", "bvp_beats", "ecg_beats")
    }
    assert {name for name, (_, rate) in found.items() if rate == 700} == {
        "ecg",
        "emg",
        "chest_eda",
        "chest_temp",
        "resp",
        "chest_acc",
    }


def test_segments_are_the_runs_of_a_plain_loop(recording: Recording, plain: Any) -> None:
    names = [None, "baseline", "stress", "amusement", "meditation", "bRead", "sRead", "fRead"]
    runs: list[list[Any]] = []
    before = 0
    for index, code in enumerate(plain["label"].tolist()):
        if code and code != before:
            runs.append([names[code], index, index])
        if code:
            runs[-1][2] = index + 1
        before = code
    assert [s.annotations["condition"] for s in recording.segments] == [run[0] for run in runs]
    assert [s.trial for s in recording.segments] == list(range(1, len(runs) + 1))
    # a sample of the pulse has the label next to it
    nearest = [int(sample * 700 / 64 + 0.5) for sample in range(len(plain["label"]) * 64 // 700)]
    for segment, (_, first, end) in zip(recording.segments, runs, strict=True):
        inside = [sample for sample, label in enumerate(nearest) if first <= label < end]
        assert segment.start == inside[0] / 64
        assert segment.stop == (inside[-1] + 1) / 64
    assert recording.subject == "S2"
    assert recording.session == "1"


def test_the_cache_takes_it(root: Path, tmp_path: Path) -> None:
    stored = store_subject(tmp_path, WESADReader(root), {}, "S3")
    (one,) = stored.recordings
    assert [s.sfreq for s in stored.samples("ecg").recordings if s] == [700.0]
    assert [s.annotations["condition"] for s in one.segments] == [
        *("baseline", "bRead", "amusement", "fRead", "meditation"),
        *("stress", "sRead", "meditation"),
    ]


@pytest.mark.parametrize("subject", ["S2", "S3"])
def test_ratings_are_those_of_the_line_of_the_condition(root: Path, subject: str) -> None:
    (found,) = WESADReader(root).read(subject)
    text = (root / subject / f"{subject}_quest.csv").read_text()
    rows = [line.split(";") for line in text.splitlines() if line.startswith("# DIM")]
    names = {"Base": "baseline", "TSST": "stress", "Fun": "amusement"}
    order = [names.get(name, "meditation") for name in list(schedule(text))[:5]]
    expected = [(name, float(row[1]), float(row[2])) for name, row in zip(order, rows, strict=True)]
    annotated = [segment.annotations for segment in found.segments]
    assert [
        (one["condition"], one["valence"], one["arousal"]) for one in annotated if len(one) > 1
    ] == expected
    alone = [one["condition"] for one in annotated if len(one) == 1]
    assert alone == (["sRead", "fRead"] if subject == "S2" else ["bRead", "fRead", "sRead"])


def test_a_subject_without_questionnaires(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "S2", tmp_path / "S2")
    reader = WESADReader(tmp_path)
    assert [path.name for path in reader.files("S2")] == ["S2.pkl", "S2_quest.csv"]
    rated = store_subject(tmp_path / "cache", reader, {}, "S2")
    (tmp_path / "S2" / "S2_quest.csv").unlink()
    assert [path.name for path in reader.files("S2")] == ["S2.pkl"]
    plain = store_subject(tmp_path / "cache", reader, {}, "S2")
    assert plain.content != rated.content
    assert plain.faults == rated.faults == ()
    for before, after in zip(
        rated.recordings[0].segments, plain.recordings[0].segments, strict=True
    ):
        assert after == replace(before, annotations={"condition": before.annotations["condition"]})


@pytest.mark.parametrize(
    ("task", "expected"),
    [("stress", [0, 1, 0, None, None]), ("affect", [0, 1, 2, None, None])],
)
def test_tasks(task: str, expected: list[int | None]) -> None:
    conditions = ["baseline", "stress", "amusement", "meditation", "sRead"]
    segments = [Segment(0.0, 1.0, 1, {"condition": name}) for name in conditions]
    assert [WESAD.tasks[task].label("S2", segment) for segment in segments] == expected
    assert next(iter(WESAD.tasks)) == "stress"


def test_the_datamodule_knows_its_inputs_before_any_file(tmp_path: Path, build: Any) -> None:
    module = build(WESAD, tmp_path, "affect", signals=["bvp", "acc"], window=30.0)
    shapes = {name: (spec.n_channels, spec.n_times) for name, spec in module.inputs.items()}
    assert shapes == {"bvp": (1, 1920), "acc": (3, 960)}
    assert module.n_classes == 3
    assert module.dataset.name == "wesad"
    with pytest.raises(DatasetNotFoundError, match=r"no S2/S2\.pkl"):
        module.prepare_data()


# ---- files that are not the publisher's


def small(seconds: int = 4) -> dict[str, Any]:
    """Contents of a subject's file that the reader accepts."""
    rates = {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4}
    label = np.zeros(700 * seconds, np.int32)
    label[700:] = 2
    return {
        "signal": {
            "chest": {
                key: np.ones((700 * seconds, 3 if key == "ACC" else 1))
                for key in ("ACC", "ECG", "EMG", "EDA", "Temp", "Resp")
            },
            "wrist": {
                key: np.ones((rate * seconds, 3 if key == "ACC" else 1))
                for key, rate in rates.items()
            },
        },
        "label": label,
        "subject": "S2",
    }


def read_small(root: Path, content: object) -> Recording:
    (root / "S2").mkdir()
    (root / "S2" / "S2.pkl").write_bytes(pickle.dumps(content, protocol=3))
    (found,) = WESADReader(root).read("S2")
    return found


def test_a_small_file_is_read(tmp_path: Path) -> None:
    found = read_small(tmp_path, small())
    assert [(s.start, s.stop) for s in found.segments] == [(1.0, 4.0)]
    assert found.signals["acc"].samples[0, 0] == 1 / 64
    assert found.signals["chest_acc"].samples[0, 0] == 1


def test_segments_end_where_the_shortest_signal_does(tmp_path: Path) -> None:
    content = small()
    wrist = content["signal"]["wrist"]
    wrist["EDA"] = wrist["EDA"][:14]
    content["label"][-200:] = 3
    found = read_small(tmp_path, content)
    assert found.duration == 3.5
    assert [(s.start, s.stop, s.annotations["condition"]) for s in found.segments] == [
        (1.0, 3.5, "stress")
    ]


def with_schedule(root: Path, order: list[str], codes: list[int]) -> tuple[Recording, list[Fault]]:
    """A file with a second of each code, and a schedule whose answers rise from 1 on."""
    content = small(2 * len(codes))
    content["label"] = np.repeat([code for pair in codes for code in (pair, 0)], 700)
    times = [f"{minute}.0{minute}" for minute in range(1, 6)]
    lines = [
        ["# ORDER", *order],
        ["# START", *times],
        ["# END", *(time.replace(".0", ".5") for time in times)],
        *(["# DIM", str(row), str(row + 3)] for row in range(1, 6)),
    ]
    (root / "S2").mkdir()
    (root / "S2" / "S2.pkl").write_bytes(pickle.dumps(content, protocol=3))
    (root / "S2" / "S2_quest.csv").write_text("\n".join(";".join(line) for line in lines))
    *faults, found = WESADReader(root).read("S2")
    assert isinstance(found, Recording)
    return found, [fault for fault in faults if isinstance(fault, Fault)]


@pytest.mark.parametrize(
    ("order", "codes"),
    [
        (["Base", "TSST", "Medi 1", "Fun", "Medi 2"], [1, 2, 4, 3, 4]),
        (["Base", "Fun", "Medi 1", "TSST", "Medi 2"], [1, 3, 4, 2, 4]),
        (["Base", "TSST", "Medi 2", "Fun", "Medi 1"], [1, 2, 4, 3, 4]),  # S14
    ],
)
def test_the_first_meditation_is_the_first_scheduled(
    tmp_path: Path, order: list[str], codes: list[int]
) -> None:
    found, faults = with_schedule(tmp_path, order, codes)
    ratings = [(s.annotations["valence"], s.annotations["arousal"]) for s in found.segments]
    assert ratings == [(1.0, 4.0), (2.0, 5.0), (3.0, 6.0), (4.0, 7.0), (5.0, 8.0)]
    assert faults == []


def test_a_condition_that_the_schedule_has_more_often_is_not_rated(tmp_path: Path) -> None:
    order = ["Base", "TSST", "Medi 1", "Fun", "Medi 2"]
    found, faults = with_schedule(tmp_path, order, [1, 2, 4, 2, 3])
    rated = {s.trial: s.annotations.get("valence") for s in found.segments}
    assert rated == {1: 1.0, 2: None, 3: None, 4: None, 5: 4.0}
    reason = "ratings: the schedule has {} another number of times; not added"
    assert faults == [
        Fault("1", 2, reason.format("stress"), omitted=False),
        Fault("1", 4, reason.format("stress"), omitted=False),
        Fault("1", 3, reason.format("meditation"), omitted=False),
    ]


def write_labelled(root: Path, codes: Sequence[int]) -> None:
    """Write 15 minutes of three people; samples say their label, of blocks with these codes."""
    content = small(900)
    label = np.zeros(700 * 900, np.int32)
    for code, first in zip(codes, (60, 350, 650), strict=True):
        label[700 * first + 123 : 700 * (first + 200) + 456] = code
    content["label"] = label
    for key, rate in {"BVP": 64, "EDA": 4}.items():
        times = np.arange(rate * 900) / rate
        content["signal"]["wrist"][key] = label[np.rint(700 * times).astype(int), None] * 1.0
    content["signal"]["chest"] = {
        key: np.ones((700 * 900, 3 if key == "ACC" else 1), np.float16)
        for key in content["signal"]["chest"]
    }
    content["signal"]["chest"]["ECG"] = label[:, None].astype(np.float16)
    for subject in ("S2", "S3", "S4"):
        (root / subject).mkdir()
        raw = pickle.dumps({**content, "subject": subject}, protocol=3)
        (root / subject / f"{subject}.pkl").write_bytes(raw)


def test_conditions_are_told_apart_inside_a_class(tmp_path: Path, build: Any) -> None:
    """Baseline and amusement are one class of stress; amusement comes first here."""
    write_labelled(tmp_path, (3, 1, 2))
    for task in ("stress", "affect"):
        module = build(
            WESAD,
            tmp_path,
            task,
            signals=["bvp"],
            subjects=["S2", "S3", "S4"],
            scaling="none",
            cache_dir=tmp_path / "cache",
        )
        module.prepare_data()
        module.setup()
        rows = torch.arange(len(module.windows("train")))
        samples = module.train_dataloader().dataset[rows].signals["bvp"]
        code = samples[:, 0, 100].long()  # baseline 1, stress 2, amusement 3
        assert set(code.tolist()) == {1, 2, 3}
        assert module.conditions().tolist() == (code - 1).tolist()


def test_windows_of_every_rate_lie_in_their_condition(tmp_path: Path, build: Any) -> None:
    """A whole stride at 64 Hz would be 5 s off."""
    write_labelled(tmp_path, (1, 2, 3))
    module = build(
        WESAD,
        tmp_path,
        "affect",
        signals=["bvp", "eda", "ecg"],
        subjects=["S2", "S3", "S4"],
        window=60.0,
        scaling="none",
        cache_dir=tmp_path / "cache",
    )
    module.prepare_data()
    module.setup()
    for batch in module.test_dataloader():
        assert len(batch.target) == 9
        for signal in batch.signals.values():
            expected = batch.target[:, None, None] + 1
            assert (signal[:, :, 1:-1] == expected).all()


def spoil(*keys: str, **change: Any) -> dict[str, Any]:
    content: dict[str, Any] = small()
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    value = inner.pop(keys[-1])
    if "key" in change:
        inner[change["key"]] = value
    elif "value" in change:
        inner[keys[-1]] = change["value"]
    elif "at" in change:
        value[-1] = change["at"]
        inner[keys[-1]] = value
    return content


SPOILT = {
    "chest spelled as wrist": (
        spoil("signal", "chest", "Temp", key="TEMP"),
        r"expected a key 'signal/chest/Temp', found \[.*'TEMP'\]",
    ),
    "wrist spelled as chest": (
        spoil("signal", "wrist", "TEMP", key="Temp"),
        "expected a key 'signal/wrist/TEMP'",
    ),
    "no wrist": (spoil("signal", "wrist"), "expected a key 'signal/wrist', found .*chest"),
    "no label": (spoil("label"), "expected a key 'label', found .*signal"),
    "no dict": ([1, 2], "expected a key 'subject', found .*list"),
    "someone else": (spoil("subject", value="S3"), "expected the data of S2, found subject 'S3'"),
    "time last": (
        spoil("signal", "wrist", "BVP", value=np.ones((1, 256))),
        r"signal/wrist/BVP: expected numbers of shape \(T, 1\) .* found float64 \(1, 256\)",
    ),
    "flat": (
        spoil("signal", "chest", "ECG", value=np.ones(2800)),
        r"signal/chest/ECG: .* found float64 \(2800,\)",
    ),
    "two axes": (
        spoil("signal", "wrist", "ACC", value=np.ones((128, 2))),
        r"signal/wrist/ACC: expected numbers of shape \(T, 3\)",
    ),
    "empty": (
        spoil("signal", "wrist", "EDA", value=np.ones((0, 1))),
        "signal/wrist/EDA: expected numbers .* with T > 0",
    ),
    "text": (spoil("signal", "chest", "EMG", value="none"), "signal/chest/EMG: .* found a str"),
    "nan": (
        spoil("signal", "chest", "Resp", at=np.nan),
        "signal/chest/Resp: expected finite values, found 1 NaN or infinite of 2800",
    ),
    "beyond single precision": (
        spoil("signal", "wrist", "BVP", at=1e300),
        "signal/wrist/BVP: expected finite values",
    ),
    "one second short": (
        spoil("signal", "wrist", "BVP", value=np.ones((190, 1))),
        "expected channels of one duration, to 1 s, found .*signal/wrist/BVP 2.97 s",
    ),
    "label short": (
        spoil("label", value=np.ones(2000, np.int32)),
        "expected channels of one duration, .*label 2.86 s",
    ),
    "code": (spoil("label", at=8), r"label: expected codes 0 to 7, found \[8\]"),
    "negative code": (spoil("label", at=-1), r"label: expected codes 0 to 7, found \[-1\]"),
    "fractions": (
        spoil("label", value=np.ones(2800)),
        r"label: expected whole numbers of shape \(T,\) .* found float64",
    ),
    "label column": (
        spoil("label", value=np.ones((2800, 1), np.int32)),
        r"label: expected whole numbers of shape \(T,\) .* \(2800, 1\)",
    ),
    "nothing labelled": (
        spoil("label", value=np.zeros(2800, np.int32)),
        "label: expected conditions, found only 0",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    content, message = SPOILT[name]
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read_small(tmp_path, content)
    assert "S2.pkl" in str(caught.value)

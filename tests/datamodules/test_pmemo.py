import csv
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from datamodules import pmemo
from datamodules.cache import store_subject
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import AffectbenchError, DatasetCorruptedError, DatasetNotFoundError
from datamodules.pmemo import PMEMO, PMEmoReader
from datamodules.signals.recording import STATIC_RATE, Fault, Recording, Segment
from datamodules.synthesis import pmemo as synthesis

STATIC, DYNAMIC = "annotations/static_annotations.csv", "annotations/dynamic_annotations.csv"
FEATURES = "features/static_features.csv"
SUBJECTS = synthesis.LISTENERS[:4]
FEW = 20
"""Features in files made by hand."""


def write_rows(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))


def write_eda(root: Path, song: int, traces: Mapping[str, Sequence[Any]], rate: float = 50) -> None:
    """Columns of traces; the first one says how long they are."""
    n_times = len(next(iter(traces.values())))
    rows = [
        [f"{row / rate:g}", *(trace[row] for trace in traces.values())] for row in range(n_times)
    ]
    write_rows(root / "EDA" / f"{song}_EDA.csv", [["time(s)", *traces], *rows])


def trace(seconds: float, level: float = 1.0) -> list[Any]:
    return [f"{level + row / 1000:.3f}" for row in range(round(seconds * 50))]


def write_static(root: Path, ratings: Mapping[int, tuple[Any, Any]]) -> None:
    """Valence and arousal of songs; the file has them in the other order."""
    rows = [[song, arousal, valence] for song, (valence, arousal) in ratings.items()]
    write_rows(root / STATIC, [["musicId", "Arousal(mean)", "Valence(mean)"], *rows])


def write_features(root: Path, songs: Sequence[int]) -> None:
    rows = [[song, *(f"{song}.{column:04d}" for column in range(FEW))] for song in songs]
    names = [f"f[{column}]" for column in range(FEW)]
    write_rows(root / FEATURES, [["musicId", *names], *rows])


def frames(first: float, last: float, value: Callable[[float], float]) -> list[list[Any]]:
    """Rows of a song's dynamic annotations, without its number; arousal is 1 less valence."""
    times = np.arange(first, last + 0.1, 0.5).tolist()
    return [[time, 1 - value(time), value(time)] for time in times]


def write_dynamic(root: Path, songs: Mapping[int, Sequence[Sequence[Any]]]) -> None:
    rows = [[song, *row] for song, own in songs.items() for row in own]
    header = ["musicId", "frameTime", "Arousal(mean)", "Valence(mean)"]
    write_rows(root / DYNAMIC, [header, *rows])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three songs of 40 s, two listeners; song 10 has only one of them. There are few features."""
    monkeypatch.setattr(pmemo, "N_FEATURES", FEW)
    monkeypatch.setattr(pmemo, "MUSIC_CHANNELS", pmemo.MUSIC_CHANNELS[:FEW])
    write_eda(tmp_path, 2, {"200376": trace(40), "100083": trace(40, 2)})
    write_eda(tmp_path, 10, {"100083": trace(40, 3)})
    write_eda(tmp_path, 1000, {"100083": trace(40, 4), "200376": trace(40, 5)})
    write_static(tmp_path, {1000: (0.25, 0.75), 2: (0.5, 0.9), 10: (0.6, 0.1)})
    write_features(tmp_path, [1000, 10, 2])
    write_dynamic(tmp_path, {s: frames(15.5, 40, lambda time: 0.5) for s in (2, 10, 1000)})
    return tmp_path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pmemo")
    synthesis.write(folder, len(SUBJECTS), seed=3, n_songs=8)
    return folder


def read(
    root: Path, subject: str = "100083", dynamic: bool = False
) -> tuple[dict[str, Recording], list[Fault]]:
    """Recordings by stimulus, and the faults."""
    found = list(PMEmoReader(root, dynamic).read(subject))
    recordings = [item for item in found if isinstance(item, Recording)]
    faults = [item for item in found if isinstance(item, Fault)]
    by_song = {str(r.segments[0].stimulus): r for r in recordings}
    assert len(by_song) == len(recordings)
    return by_song, faults


def columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def numbers(cells: Sequence[str]) -> list[float]:
    return [float(cell) if cell else np.nan for cell in cells]


# ---- who is there, and which files are theirs


def test_listeners_are_in_the_headers_and_songs_in_order_of_number(root: Path) -> None:
    reader = PMEmoReader(root)
    assert reader.subjects == ("100083", "200376")
    names = [path.relative_to(root).as_posix() for path in reader.files("100083")]
    assert names == ["EDA/2_EDA.csv", "EDA/10_EDA.csv", "EDA/1000_EDA.csv", STATIC, FEATURES]
    names = [path.relative_to(root).as_posix() for path in PMEmoReader(root, True).files("200376")]
    assert names == ["EDA/2_EDA.csv", "EDA/1000_EDA.csv", DYNAMIC, FEATURES]


def test_a_listener_is_the_last_six_characters_of_a_header(root: Path) -> None:
    path = root / "EDA" / "10_EDA.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"100083", b'"EDA_110414"'))
    assert PMEmoReader(root).subjects == ("100083", "110414", "200376")
    recordings, _ = read(root, "110414")
    assert list(recordings) == ["10"]


def test_other_files_in_the_folder_are_none_of_ours(root: Path) -> None:
    for name in ("._2_EDA.csv", "EDA.csv", "02_EDA.csv", "2_EDA.csv.bak", "readme.txt"):
        (root / "EDA" / name).write_text("something else")
    assert len(PMEmoReader(root).files("100083")) == 5


def test_a_reader_can_be_pickled(root: Path) -> None:
    reader = PMEmoReader(root, dynamic=True)
    assert reader.subjects
    again = pickle.loads(pickle.dumps(reader))
    assert again == reader
    assert again.subjects == reader.subjects


def test_what_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no listener '1' .* 2 of 457 .* to 200376"):
        PMEmoReader(root).files("1")
    (root / FEATURES).unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no features/static_f.* 2 of 457 .*Unpack"):
        PMEmoReader(root).files("100083")
    (root / DYNAMIC).unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no annotations/dynamic_a.*\.csv"):
        PMEmoReader(root, dynamic=True).files("100083")
    (root / "EDA" / "none").mkdir()
    for folder in (root / "nowhere", root / "annotations"):
        with pytest.raises(DatasetNotFoundError, match=r"no EDA/<musicId>_EDA\.csv .* 794"):
            _ = PMEmoReader(folder).subjects


# ---- what a recording holds


@pytest.mark.parametrize("subject", SUBJECTS)
def test_recordings_are_the_published_numbers(written: Path, subject: str) -> None:
    recordings, _ = read(written, subject)
    static, features = columns(written / STATIC), columns(written / FEATURES)
    songs = list(map(int, recordings))
    assert songs == sorted(songs)
    assert len(songs) >= 6
    for stimulus, recording in recordings.items():
        cells = columns(written / "EDA" / f"{stimulus}_EDA.csv")[subject]
        eda, music = recording.signals["eda"], recording.signals["music"]
        expected = np.array(numbers(cells), np.float32)
        assert np.isnan(expected[eda.samples.shape[1] :]).all()
        np.testing.assert_array_equal(eda.samples[0], expected[: eda.samples.shape[1]])
        assert (eda.sfreq, eda.unit, eda.channels) == (50.0, "uS", ("eda",))
        row = features["musicId"].index(stimulus)
        vector = [float(own[row]) for name, own in features.items() if name != "musicId"]
        np.testing.assert_array_equal(music.samples[:, 0], np.array(vector, np.float32))
        assert music.samples.shape == (6373, 1)
        assert music.sfreq == STATIC_RATE
        row = static["musicId"].index(stimulus)
        ratings = {
            "valence": float(static["Valence(mean)"][row]),
            "arousal": float(static["Arousal(mean)"][row]),
        }
        expected_segment = Segment(0.0, eda.duration, int(stimulus), ratings, stimulus)
        assert recording.segments == (expected_segment,)
        assert (recording.subject, recording.session) == (subject, "1")


def test_a_listener_gets_the_own_column(root: Path) -> None:
    first, _ = read(root)
    second, _ = read(root, "200376")
    assert list(first) == ["2", "10", "1000"]
    assert list(second) == ["2", "1000"]
    levels = [float(r.signals["eda"].samples[0, 0]) for r in (*first.values(), *second.values())]
    assert levels == [2.0, 3.0, 4.0, 1.0, 5.0]
    assert first["2"].signals["music"].samples[7, 0] == np.float32(2.0007)
    np.testing.assert_array_equal(
        first["1000"].signals["music"].samples, second["1000"].signals["music"].samples
    )


def test_ties_are_low(root: Path) -> None:
    recordings, _ = read(root)
    labels = {
        name: {s: task.label("100083", r.segments[0]) for s, r in recordings.items()}
        for name, task in PMEMO.tasks.items()
    }
    assert labels["valence"] == {"2": 0, "10": 1, "1000": 0}
    assert labels["arousal"] == {"2": 1, "10": 0, "1000": 1}


# ---- trials that are left out or repaired


def test_songs_without_annotation_or_features(root: Path) -> None:
    write_static(root, {1000: (0.2, 0.3), 10: ("", 0.3)})
    write_features(root, [2, 10])
    recordings, faults = read(root)
    assert not recordings
    assert faults == [
        Fault("1", 2, "no annotation of the song"),
        Fault("1", 10, "no annotation of the song"),
        Fault("1", 1000, "music: no features of the song"),
    ]


@pytest.mark.parametrize("cell", ["", "nan", "inf", "1e300"])
def test_features_that_single_precision_does_not_hold(root: Path, cell: str) -> None:
    lines = (root / FEATURES).read_text()
    (root / FEATURES).write_text(lines.replace(",10.0019\n", f",{cell}\n"))
    recordings, faults = read(root)
    assert list(recordings) == ["2", "1000"]
    assert faults == [Fault("1", 10, "music: missing or infinite features")]


@pytest.mark.parametrize(
    ("damage", "n_times", "reason", "omitted"),
    [
        ({1999: ""}, 1999, "eda: ends in empty cells", False),
        ({row: "" for row in range(750, 2000)}, 750, "eda: ends in empty cells", False),
        ({row: "" for row in range(749, 2000)}, 0, "eda: shorter than 15 s", True),
        (dict.fromkeys(range(2000), ""), 0, "eda: shorter than 15 s", True),
        ({700: "nan"}, 0, "eda: missing or infinite samples before the end", True),
        ({0: ""}, 0, "eda: missing or infinite samples before the end", True),
        ({1999: "inf"}, 0, "eda: missing or infinite samples before the end", True),
        ({10: "", 1999: ""}, 0, "eda: missing or infinite samples before the end", True),
    ],
)
def test_missing_samples(
    root: Path, damage: Mapping[int, str], n_times: int, reason: str, omitted: bool
) -> None:
    spoilt = trace(40)
    for row, cell in damage.items():
        spoilt[row] = cell
    write_eda(root, 2, {"200376": spoilt, "100083": trace(40)})
    recordings, faults = read(root, "200376")
    assert faults == [Fault("1", 2, reason, omitted)]
    if n_times:
        eda = recordings["2"].signals["eda"]
        np.testing.assert_array_equal(eda.samples[0], np.array(spoilt[:n_times], np.float32))
        assert recordings["2"].segments[0].stop == n_times / 50
    assert list(recordings) == (["2"] if n_times else []) + ["1000"]
    others, faults = read(root)
    assert len(others) == 3
    assert not faults


def test_short_and_long_trials(root: Path) -> None:
    write_eda(root, 2, {"100083": trace(14.98)})
    write_eda(root, 10, {"100083": trace(15)})
    write_eda(root, 1000, {"100083": trace(90.02)})
    recordings, faults = read(root)
    spans = {song: (r.segments[0].start, r.segments[0].stop) for song, r in recordings.items()}
    assert spans == {"10": (0.0, 15.0), "1000": (0.0, 90.0)}
    assert faults == [
        Fault("1", 2, "eda: shorter than 15 s"),
        Fault("1", 1000, "eda: only 90 s of it are used", omitted=False),
    ]
    low, high = PMEMO.trial_seconds
    assert all(low <= stop - start <= high for start, stop in spans.values())


def test_nobody_can_be_used(root: Path, tmp_path: Path) -> None:
    write_static(root, {3: (0.2, 0.3)})
    with pytest.raises(DatasetCorruptedError, match="all 3 trials are left out: no annotation"):
        store_subject(tmp_path / "cache", PMEmoReader(root), {}, "100083")


# ---- dynamic ratings


@pytest.mark.parametrize("first", [15.0, 15.5])
def test_dynamic_ratings_begin_with_second_15_of_the_trace(root: Path, first: float) -> None:
    """Frames end at their times: 15.5 to 30.0 s rate the seconds from 15 to 30."""
    write_eda(root, 10, {"100083": trace(62)})
    write_dynamic(root, {10: frames(first, 62, lambda time: time / 100)})
    recordings, faults = read(root, dynamic=True)
    assert [fault.trial for fault in faults] == [200, 100000]
    segments = recordings["10"].segments
    assert [(s.start, s.stop, s.trial) for s in segments] == [
        (15.0, 30.0, 1001),
        (30.0, 45.0, 1002),
        (45.0, 60.0, 1003),
    ]
    for segment in segments:
        own = [segment.start + 0.5 * (number + 1) for number in range(30)]
        mean = sum(own) / 30 / 100
        assert segment.annotations["valence"] == pytest.approx(mean)
        assert segment.annotations["arousal"] == pytest.approx(1 - mean)
        assert segment.stimulus == "10"
        assert segment.duration == PMEMO.trial_seconds[0]
    assert recordings["10"].signals["eda"].duration == 62.0


def test_times_of_frames_need_not_be_exact_nor_in_order(root: Path) -> None:
    exact = frames(15.5, 40, lambda time: time / 100)
    rng = np.random.default_rng(0)
    noisy = [[time + rng.uniform(-0.01, 0.01), *ratings] for time, *ratings in exact]
    write_dynamic(root, {2: exact, 10: [noisy[row] for row in rng.permutation(len(noisy))]})
    recordings, _ = read(root, dynamic=True)
    (plain,), (mixed,) = recordings["2"].segments, recordings["10"].segments
    assert mixed.annotations["valence"] == pytest.approx(plain.annotations["valence"], abs=1e-12)


def test_a_segment_needs_all_its_frames(root: Path) -> None:
    full = frames(15.5, 60, lambda time: 0.3)
    write_eda(root, 2, {"100083": trace(61)})
    write_eda(root, 10, {"100083": trace(61)})
    gap, empty = [row for row in full if row[0] != 30.0], [list(row) for row in full]
    empty[40][1] = ""
    write_dynamic(root, {2: gap, 10: empty})
    recordings, faults = read(root, dynamic=True)
    trials = {song: [s.trial for s in r.segments] for song, r in recordings.items()}
    assert trials == {"2": [202, 203], "10": [1001, 1003]}
    assert faults == [
        Fault("1", 201, "dynamic ratings are missing"),
        Fault("1", 1002, "dynamic ratings are missing"),
        Fault("1", 100000, "no annotation of the song"),
    ]


@pytest.mark.parametrize(
    ("seconds", "last", "n_segments"),
    [(29.98, 40.0, 0), (30.0, 40.0, 1), (40.0, 29.5, 0), (40.0, 30.0, 1), (44.98, 60.0, 1)],
)
def test_a_segment_is_within_trace_and_ratings(
    root: Path, seconds: float, last: float, n_segments: int
) -> None:
    write_eda(root, 10, {"100083": trace(seconds)})
    write_dynamic(root, {10: frames(15.5, last, lambda time: 0.3)})
    recordings, faults = read(root, dynamic=True)
    assert len(recordings) == n_segments
    short = Fault("1", 1000, "shorter than the 30 s of a rated segment")
    assert (short in faults) == (n_segments == 0)


def test_a_trimmed_trace_with_dynamic_ratings(root: Path) -> None:
    write_eda(root, 10, {"100083": [*trace(39), *[""] * 50]})
    recordings, faults = read(root, dynamic=True)
    assert faults == [Fault("1", 1001, "eda: ends in empty cells", omitted=False)]
    assert recordings["10"].duration == 39.0


# ---- damaged files


def cut_off(content: bytes) -> bytes:
    return content[: content.rindex(b",")]


def swap(old: bytes, new: bytes, count: int = -1) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, count)

    return change


def blank(content: bytes) -> bytes:
    """All cells behind the first column are empty."""
    header, *rows = content.splitlines()
    empty = [row.split(b",")[0] + b"," * row.count(b",") for row in rows]
    return b"\n".join([header, *empty]) + b"\n"


def without_a_feature(content: bytes) -> bytes:
    return b"".join(line.rpartition(b",")[0] + b"\n" for line in content.splitlines())


def in_quarters(content: bytes) -> bytes:
    """Times as if at 200 Hz."""
    header, *rows = content.splitlines()
    split = [row.partition(b",") for row in rows]
    return b"\n".join([header, *(b"%g,%s" % (float(t) / 4, rest) for t, _, rest in split), b""])


EDA = "EDA/2_EDA.csv"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (EDA, lambda content: b"", r"2_EDA\.csv: expected a column of times"),
        (EDA, lambda content: content.splitlines()[0], r"2_EDA\.csv: expected column names and"),
        (EDA, cut_off, r"2_EDA\.csv, line 2001: expected 3 cells, found 2"),
        (EDA, swap(b"\n5,", b"\n5,7,"), r"2_EDA\.csv, line 252: expected 3 cells, found 4"),
        (EDA, swap(b"\n5,", b"\n\n5,"), r"2_EDA\.csv, line 252: expected 3 cells, found 1"),
        (EDA, swap(b"200376", b"subject", 1), r"2_EDA\.csv: .* six digits, .*'subject'"),
        (EDA, swap(b"200376", b"100083", 1), r"2_EDA\.csv: expected .* one for each listener"),
        (EDA, swap(b"time(s),", b"", 1), r"2_EDA\.csv, line 2: expected 2 cells, found 3"),
        (EDA, swap(b",1.100,", b",high,"), r"2_EDA\.csv: expected numbers, found .*high"),
        (EDA, blank, r"2_EDA\.csv: expected numbers, found empty cells only"),
        (EDA, in_quarters, r"2_EDA\.csv: time\(s\): expected times at 50 Hz .*0 to 9\.995"),
        (EDA, swap(b"\n5,", b"\n,"), r"2_EDA\.csv: time\(s\): expected times at 50 Hz"),
        (EDA, swap(b"\n5,1.250,2.250", b""), r"2_EDA\.csv: time\(s\): .* without a gap"),
        (STATIC, lambda content: b"", r"static_ann.*csv: expected column names and rows"),
        (STATIC, cut_off, r"static_ann.*csv, line 4: expected 3 cells, found 2"),
        (STATIC, swap(b"Valence(mean)", b"Valence"), r"static_ann.*csv: expected columns.*'Val"),
        (STATIC, swap(b"musicId", b"song"), r"static_ann.*csv: expected columns.*'song'"),
        (STATIC, swap(b"0.25", b"low"), r"static_ann.*csv: expected numbers, found .*low"),
        (STATIC, swap(b"0.25", b"5.25"), r"static_ann.*csv: expected ratings from 0 to 1, .*5\.25"),
        (STATIC, swap(b"\n10,", b"\n2,"), r"static_ann.*csv: musicId: expected one row a song"),
        (STATIC, swap(b"\n10,", b"\n,"), r"static_ann.*csv: musicId: expected whole numbers"),
        (STATIC, blank, r"static_ann.*csv: expected numbers, found empty cells only"),
        (FEATURES, lambda content: b"", r"static_f.*csv: expected column names and rows"),
        (FEATURES, cut_off, r"static_f.*csv, line 4: expected 21 cells, found 20"),
        (
            FEATURES,
            without_a_feature,
            r"static_f.*csv: expected musicId and 20 features, .* and 19",
        ),
        (FEATURES, swap(b"musicId", b"song"), r"static_f.*csv: expected musicId .* found song and"),
        (FEATURES, swap(b",2.0009,", b",x,"), r"static_f.*csv: expected numbers, found .*'x'"),
        (FEATURES, swap(b"\n10,", b"\n2,"), r"static_f.*csv: musicId: expected one row a song"),
        (FEATURES, swap(b"\n10,", b"\n1.5,"), r"static_f.*csv: musicId: expected whole numbers"),
        (FEATURES, blank, r"static_f.*csv: expected numbers, found empty cells only"),
        (DYNAMIC, lambda content: b"", r"dynamic_ann.*csv: expected column names and rows"),
        (DYNAMIC, cut_off, r"dynamic_ann.*csv, line 151: expected 4 cells, found 3"),
        (DYNAMIC, swap(b"frameTime", b"time"), r"dynamic_ann.*csv: expected columns.*'time'"),
        (DYNAMIC, swap(b",16.0,", b",16.5,"), r"dynamic_ann.*: frameTime: expected 2 frames a s"),
        (DYNAMIC, swap(b",16.0,", b",,"), r"dynamic_ann.*: frameTime: expected 0 to 1500 s"),
        (DYNAMIC, swap(b",16.0,", b",16000,"), r"dynamic_ann.*: frameTime: expected 0 to 1500 s"),
        (DYNAMIC, swap(b",0.5", b","), r"dynamic_ann.*csv: expected ratings .* empty cells only"),
        (DYNAMIC, swap(b",0.5", b",-0.5"), r"dynamic_ann.*csv: expected ratings from 0 to 1"),
    ],
)
def test_damaged_files(
    root: Path, name: str, change: Callable[[bytes], bytes], message: str
) -> None:
    (root / name).write_bytes(change((root / name).read_bytes()))
    with pytest.raises(DatasetCorruptedError, match=message):
        read(root, dynamic=name == DYNAMIC)


def cut(path: Path, count: int) -> bytes:
    """The file without its last bytes; returns its last line."""
    content = path.read_bytes().rstrip()
    path.write_bytes(content[: len(content) - count])
    return path.read_bytes().splitlines()[-1]


@pytest.mark.parametrize(
    ("count", "last"), [(0, b"10,0.6,0.9125"), (3, b"10,0.6,0.9"), (5, b"10,0.6,0")]
)
def test_a_rating_that_may_be_cut_off_is_none(root: Path, count: int, last: bytes) -> None:
    write_static(root, {1000: (0.25, 0.75), 2: (0.5, 0.9), 10: (0.9125, 0.6)})
    assert cut(root / STATIC, count) == last
    recordings, faults = read(root)
    assert set(recordings) == {"2", "1000"}
    reason = "annotations: the last line has no end, as it may be cut off; it is left out"
    assert faults == [Fault("1", 10, reason)]


def test_features_that_may_be_cut_off_are_none(root: Path) -> None:
    last = cut(root / FEATURES, 1)
    assert last.startswith(b"2,")
    recordings, faults = read(root)
    assert set(recordings) == {"10", "1000"}
    reason = "music: the last line has no end, as it may be cut off; it is left out"
    assert faults == [Fault("1", 2, reason)]


def test_a_sample_that_may_be_cut_off_is_none(root: Path) -> None:
    before, _ = read(root)
    cut(root / EDA, 2)
    after, faults = read(root)
    reason = "eda: the last line has no end, as it may be cut off; it is left out"
    assert faults == [Fault("1", 2, reason, omitted=False)]
    np.testing.assert_array_equal(
        after["2"].signals["eda"].samples, before["2"].signals["eda"].samples[:, :-1]
    )
    assert after["2"].segments[0].stop == before["2"].segments[0].stop - 0.02


def test_a_frame_that_may_be_cut_off_is_none(root: Path) -> None:
    before, _ = read(root, dynamic=True)
    cut(root / DYNAMIC, 1)
    after, faults = read(root, dynamic=True)
    assert after["1000"].segments == before["1000"].segments
    reason = "annotations: the last line has no end, as it may be cut off; it is left out"
    trial = before["1000"].segments[0].trial
    assert faults == [Fault("1", trial, reason, omitted=False)]


def test_line_ends_and_blanks_at_the_end_do_not_matter(root: Path) -> None:
    expected, _ = read(root)
    for name in (EDA, STATIC, FEATURES):
        content = (root / name).read_bytes().replace(b"\n", b"\r\n")
        (root / name).write_bytes(content + b"\r\n")
    found, _ = read(root)
    for song, recording in expected.items():
        assert found[song].segments == recording.segments
        for name, signal in recording.signals.items():
            np.testing.assert_array_equal(found[song].signals[name].samples, signal.samples)


# ---- tables that listeners share


def test_a_file_is_parsed_once_until_it_changes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    table = pmemo._table

    def counted(path: Path, *rest: Any) -> Any:
        parsed.append(path.name)
        return table(path, *rest)

    monkeypatch.setattr(pmemo, "_table", counted)
    reader = PMEmoReader(root)
    for subject in ("100083", "200376", "100083"):
        list(reader.read(subject))
    names = ["10_EDA.csv", "1000_EDA.csv", "2_EDA.csv", Path(STATIC).name, Path(FEATURES).name]
    assert sorted(parsed) == sorted(names)
    write_eda(root, 2, {"100083": trace(41, 7)})
    assert 41.0 in [r.duration for r in reader.read("100083") if isinstance(r, Recording)]
    assert len(parsed) == len(names) + 1


def test_a_pickled_reader_leaves_its_tables_behind(root: Path) -> None:
    reader = PMEmoReader(root)
    before = len(pickle.dumps(reader))
    recordings = list(reader.read("100083"))
    assert recordings
    copy = pickle.loads(pickle.dumps(reader))
    assert len(pickle.dumps(reader)) < before + 2000  # the paths of the songs
    assert len(list(copy.read("100083"))) == len(recordings)


def test_shared_tables_cannot_be_changed(root: Path) -> None:
    recordings, _ = read(root)
    for signal in recordings["2"].signals.values():
        with pytest.raises(ValueError, match="read-only"):
            signal.samples[0, 0] = 1.0


# ---- made-up files


def test_files_are_named_as_published(written: Path) -> None:
    parts = ["EDA", "annotations", "features", "metadata.csv"]
    assert sorted(path.name for path in written.iterdir()) == parts
    assert sorted(path.name for path in (written / "annotations").iterdir()) == [
        *("dynamic_annotations.csv", "dynamic_annotations_std.csv"),
        *("static_annotations.csv", "static_annotations_std.csv"),
    ]
    features = [path.name for path in (written / "features").iterdir()]
    assert sorted(features) == ["dynamic_features.csv", "static_features.csv"]
    metadata = columns(written / "metadata.csv")
    names = ["musicId", "fileName", "title", "artist", "album", "duration"]
    assert list(metadata) == [*names, "chorus_start_time", "chorus_end_time"]
    eda = {path.name for path in (written / "EDA").iterdir()}
    assert eda == {f"{song}_EDA.csv" for song in metadata["musicId"]}
    assert columns(written / FEATURES)["musicId"] == metadata["musicId"]
    assert len(columns(written / "features" / "dynamic_features.csv")) == 262


def test_songs_have_gaps_and_some_are_not_annotated(written: Path) -> None:
    ids = list(map(int, columns(written / "metadata.csv")["musicId"]))
    static, dynamic = columns(written / STATIC), columns(written / DYNAMIC)
    assert len(ids) == 8
    assert ids == sorted(ids)
    assert max(np.diff(ids)) > 1
    assert len(static["musicId"]) == 7
    assert set(static["musicId"]) == set(dynamic["musicId"]) < set(map(str, ids))
    songs = synthesis._draw_songs(np.random.default_rng(0), 794)
    assert len(set(songs.ids.tolist())) == 794
    assert (int(songs.ids.min()) >= 1, int(songs.ids.max()) <= 1000) == (True, True)
    assert int(songs.rated.sum()) == 767
    for kind in ("Arousal", "Valence"):
        ratings = static[f"{kind}(mean)"]
        assert all(0 <= float(rating) <= 1 for rating in ratings)
        assert len({float(rating) > 0.5 for rating in ratings}) == 2


def test_traces_and_frames_of_a_song(written: Path) -> None:
    metadata, dynamic = columns(written / "metadata.csv"), columns(written / DYNAMIC)
    firsts = set()
    for song, duration in zip(metadata["musicId"], metadata["duration"], strict=True):
        table = columns(written / "EDA" / f"{song}_EDA.csv")
        name, *listeners = table
        times = numbers(table[name])
        assert times == [round(row / 50, 2) for row in range(len(times))]
        assert times[-1] == pytest.approx(float(duration) + 0.06, abs=0.011)
        assert 20 <= float(duration) <= 60
        assert set(listeners) <= set(SUBJECTS)
        own = [
            float(time)
            for other, time in zip(dynamic["musicId"], dynamic["frameTime"], strict=True)
            if other == song
        ]
        if own:
            firsts.add(own[0])
            assert own == [own[0] + 0.5 * row for row in range(len(own))]
            assert float(duration) - 0.5 < own[-1] <= float(duration)
    assert firsts == {15.0, 15.5}


def test_features_span_orders_of_magnitude_under_names_of_their_own(written: Path) -> None:
    table = columns(written / FEATURES)
    assert len(table) == 6374
    sizes = np.abs([numbers(cells) for name, cells in table.items() if name != "musicId"])
    typical = np.median(sizes, axis=1)
    assert 0 < np.mean(typical == 0) < 0.05
    assert typical.max() / typical[typical > 0].min() > 1e10
    assert np.isfinite(sizes.astype(np.float32)).all()


def test_some_traces_end_in_empty_cells_and_songs_have_different_listeners(tmp_path: Path) -> None:
    synthesis.write(tmp_path, 6, seed=1)
    tables = [columns(path) for path in (tmp_path / "EDA").iterdir()]
    assert len(tables) == 24
    assert len({len(table) for table in tables}) > 1
    last = [cells[-1] for table in tables for cells in table.values()]
    assert 0 < last.count("") < 0.25 * len(last)
    heard = [len(PMEmoReader(tmp_path).files(s)) - 2 for s in PMEmoReader(tmp_path).subjects]
    assert len(heard) == 6
    assert all(18 <= count <= 22 for count in heard)


def test_a_listener_does_not_depend_on_how_many_there_are(written: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=3, n_songs=8)
    for path in tmp_path.rglob("*.csv"):
        other = written / path.relative_to(tmp_path)
        if path.parent.name == "EDA":
            assert columns(path)[SUBJECTS[0]] == columns(other)[SUBJECTS[0]]
        else:
            assert path.read_bytes() == other.read_bytes()
    synthesis.write(tmp_path / "other", 1, seed=4, n_songs=8)
    assert (tmp_path / "other" / STATIC).read_bytes() != (tmp_path / STATIC).read_bytes()


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_without_effect_nothing_knows_the_ratings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effect: float
) -> None:
    draw = synthesis.draw_stimuli
    one, other = tmp_path / "one", tmp_path / "other"
    synthesis.write(one, 2, effect=effect, n_songs=6)
    monkeypatch.setattr(synthesis, "draw_stimuli", lambda rng, n_songs: 1 - draw(rng, n_songs))
    synthesis.write(other, 2, effect=effect, n_songs=6)
    unlike = {
        path.relative_to(one).as_posix()
        for path in one.rglob("*.csv")
        if path.read_bytes() != (other / path.relative_to(one)).read_bytes()
    }
    eda = {f"EDA/{path.name}" for path in (one / "EDA").iterdir()}
    assert unlike == {STATIC, DYNAMIC} | ({FEATURES} | eda if effect else set())


def test_the_effect_is_in_the_features(tmp_path: Path) -> None:
    def accuracy(effect: float) -> float:
        """Share of songs whose valence is told from the features of the others."""
        root = tmp_path / f"{effect}"
        synthesis.write(root, 1, effect=effect)
        static, features = columns(root / STATIC), columns(root / FEATURES)
        vectors = np.array([numbers(own) for name, own in features.items() if name != "musicId"]).T
        rows = [features["musicId"].index(song) for song in static["musicId"]]
        high = np.array(static["Valence(mean)"], float) > 0.5
        model = make_pipeline(StandardScaler(), RidgeClassifier(1000.0))
        told = cross_val_predict(model, vectors[rows], high, cv=LeaveOneOut())
        return float(np.mean(told == high))

    assert accuracy(3.0) > 0.8
    assert accuracy(0.0) < 0.6


def test_the_effect_is_in_the_skin(tmp_path: Path) -> None:
    def correlation(effect: float) -> float:
        """Mean over listeners of that between a song's arousal and the level of the trace."""
        root = tmp_path / f"{effect}"
        synthesis.write(root, 6, effect=effect)
        found = []
        for subject in PMEmoReader(root).subjects:
            recordings, _ = read(root, subject)
            pairs = [
                (r.segments[0].annotations["arousal"], r.signals["eda"].samples.mean())
                for r in recordings.values()
            ]
            found.append(np.corrcoef(np.array(pairs, float).T)[0, 1])
        return float(np.mean(found))

    assert correlation(3.0) > 0.4
    assert abs(correlation(0.0)) < 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 457 subjects, found 0"),
        ({"n_subjects": 458}, "expected 1 to 457 subjects, found 458"),
        ({"effect": -1.0}, "expected an effect of 0 or more"),
        ({"n_songs": 3}, "expected 4 to 794 songs, found 3"),
        ({"n_songs": 795}, "expected 4 to 794 songs, found 795"),
    ],
)
def test_impossible_requests(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EDA", "annotations", "features", "metadata.csv"):
        (tmp_path / name / name).mkdir(parents=True)
        with pytest.raises(AffectbenchError, match=f"expected no {name} in .*Name another folder"):
            synthesis.write(tmp_path / name, 1, n_songs=4)
        assert [path.name for path in (tmp_path / name).iterdir()] == [name]

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "_metadata", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path / "new", 1, n_songs=4)
    assert list((tmp_path / "new").iterdir()) == []


# ---- the datamodule


@pytest.fixture(scope="module", params=[False, True], ids=["songs", "dynamic"])
def module(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, build: Any
) -> EmotionDataModule:
    folder = tmp_path_factory.mktemp("module")
    synthesis.write(folder / "raw", 3, n_songs=6)
    found = build(
        PMEMO,
        folder / "raw",
        split="leave_one_subject_out",
        window=60.0,
        stride=5.0,
        batch_size=4,
        cache_dir=folder / "cache",
        options={"dynamic": request.param},
    )
    found.prepare_data()
    found.setup()
    return found


def test_batches(module: EmotionDataModule) -> None:
    assert module.subjects == SUBJECTS[:3]
    shapes = {"eda": (1, 750), "music": (6373, 1), "eda_tonic": (1, 750), "eda_phasic": (1, 750)}
    for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
        batch = next(iter(loader))
        assert list(batch.signals) == list(shapes)
        for name, window in batch.signals.items():
            assert window.shape == (4, *shapes[name])
            assert window.dtype == torch.float32
            assert torch.isfinite(window).all()
        assert set(batch.target.tolist()) <= {0, 1}


def test_every_listener_is_scored_on_every_trial(module: EmotionDataModule) -> None:
    (subject,) = module.fold.members.test
    reader = module.reader
    trials = {
        segment.trial
        for found in reader.read(subject)
        if isinstance(found, Recording)
        for segment in found.segments
    }
    assert set(module.windows("test").trial.tolist()) == trials


def test_trials_are_called_by_their_song_across_listeners(module: EmotionDataModule) -> None:
    for recording in module.fold.archive.recordings:
        for segment in recording.segments:
            number = segment.trial // 100 if module.reader.dynamic else segment.trial
            assert segment.stimulus == str(number)


def write_songs(root: Path, vectors: Mapping[int, int]) -> None:
    """Songs that one listener heard; songs with one number here have equal features."""
    for song in vectors:
        write_eda(root, song, {"100083": trace(40)})
    write_static(root, dict.fromkeys(vectors, (0.25, 0.75)))
    rows = [[song, *(f"{n}.{c}" for c in range(FEW))] for song, n in vectors.items()]
    write_rows(root / FEATURES, [["musicId", *(f"f[{c}]" for c in range(FEW))], *rows])


def stimuli(root: Path) -> dict[int, str]:
    recordings = [r for r in PMEmoReader(root).read("100083") if isinstance(r, Recording)]
    return {s.trial: s.stimulus for r in recordings for s in r.segments}


def test_a_song_under_two_numbers_is_one_stimulus(root: Path) -> None:
    write_songs(root, {2: 1, 10: 1, 1000: 2, 90: 3, 92: 4, 966: 5})
    names = {2: "2", 10: "2", 1000: "1000", 90: "90", 92: "90", 966: "966"}
    assert stimuli(root) == names


def test_equal_features_and_published_pairs_join_whole_groups_of_numbers(root: Path) -> None:
    write_songs(root, {2: 1, 10: 7, 1000: 3, 90: 1, 92: 4, 95: 4})
    assert stimuli(root) == {2: "2", 10: "10", 1000: "1000", 90: "2", 92: "2", 95: "2"}


def test_the_published_pairs_are_eleven() -> None:
    numbers = [number for pair in pmemo.SAME_SONGS for number in pair]
    assert len(pmemo.SAME_SONGS) == 11
    assert len(set(numbers)) == 22
    assert all(first < second for first, second in pmemo.SAME_SONGS)
    assert 1 <= min(numbers) <= max(numbers) <= 1000


def test_songs_and_listeners_are_kept_apart_by_default() -> None:
    assert PMEMO.splits == (
        "subject_stimulus_k_fold",
        "leave_one_subject_out",
        "subject_k_fold",
        "subject_hold_out",
    )
    assert PMEMO.unit is None
    assert PMEMO.trial_seconds == (15.0, 90.0)

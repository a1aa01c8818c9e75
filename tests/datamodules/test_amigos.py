from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from datamodules.amigos import (
    AMIGOS,
    LONG_VIDEOS,
    SHORT_VIDEOS,
    SUBJECTS,
    AMIGOSReader,
)
from datamodules.cache import store_subject
from datamodules.errors import AffectbenchError, DatasetCorruptedError, DatasetNotFoundError
from datamodules.signals.recording import Fault, Recording
from datamodules.stored import as_recording
from datamodules.synthesis import amigos as synthesis

Arrays = dict[str, Any]

PARTS = ("train", "val", "test")
STRING_ORDER = sorted(map(str, (4, 5, 9, 10, 13, 18, 19, 20, 23, 30, 31, 34, 36, 58, 80, 138)))
CELLS = [*STRING_ORDER, "N1", "P1", "B1", "U1"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("amigos")
    synthesis.write(folder, 3, seed=1, n_videos=4)
    return folder


def both(found: Any) -> tuple[list[Recording], list[Fault]]:
    found = list(found)
    return (
        [one for one in found if isinstance(one, Recording)],
        [one for one in found if isinstance(one, Fault)],
    )


def trials(recordings: list[Recording]) -> list[int]:
    return [recording.segments[0].trial for recording in recordings]


# ---- the files


def test_layout_of_a_file(root: Path) -> None:
    name = "data_preprocessed/Data_Preprocessed_P02/Data_Preprocessed_P02.mat"
    content = loadmat(root / name)
    joined, assessed = content["joined_data"], content["labels_selfassessment"]
    external, videos = content["labels_ext_annotation"], content["VideoIDs"]
    for cells in (joined, assessed, external, videos):
        assert cells.shape == (1, 20)
        assert cells.dtype == object
    assert [video.tolist() for video in videos[0]] == [[name] for name in CELLS]
    assert {cell.shape[1] for cell in joined[0, :4]} == {17}
    assert all(56 * 128 <= len(cell) <= 65 * 128 for cell in joined[0, :4])
    assert len({len(cell) for cell in joined[0, :4]}) > 1
    assert {cell.shape for cell in joined[0, 4:]} == {(0, 0)}
    assert {cell.shape for cell in assessed[0, :4]} == {(1, 12)}
    assert {cell.shape for cell in assessed[0, 4:]} == {(1, 0)}
    assert [cell.shape for cell in external[0, :5]] == [(6, 3), (4, 3), (7, 3), (5, 3), (1, 0)]
    for cell in (joined[0, 0], assessed[0, 0], external[0, 0]):
        assert cell.dtype == np.float64
    assert (np.abs(external[0, 0][:, 1:]) <= 1).all()
    nan = np.isnan(joined[0, 2])
    assert nan[:, 16].all()
    assert not nan[:, :16].any()


def test_a_subject_is_the_same_in_one_folder_and_however_many_there_are(
    root: Path, tmp_path: Path
) -> None:
    synthesis.write(tmp_path, 1, seed=1, n_videos=4, nested=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["Data_Preprocessed_P01.mat"]
    flat, nested = (loadmat(AMIGOSReader(where).files("P01")[0]) for where in (tmp_path, root))
    for cell in range(4):
        np.testing.assert_array_equal(flat["joined_data"][0, cell], nested["joined_data"][0, cell])


def test_who_lacks_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "_trial", lambda *_: np.zeros((640, 17)))
    stimuli, lengths = np.full((20, 2), 0.5), np.ones(20)

    def shapes(name: str) -> list[tuple[Any, Any, Any]]:
        made = synthesis._content(np.random.default_rng(0), name, stimuli, lengths, 1.0, 20)
        keys = ("joined_data", "labels_selfassessment", "labels_ext_annotation")
        return [tuple(made[key][0, cell].shape for key in keys) for cell in range(20)]

    for name in SUBJECTS:
        seen = [signals == (640, 17) for signals, _, _ in shapes(name)]
        rated = [answers == (1, 12) for _, answers, _ in shapes(name)]
        pieces = sum(external[0] for _, _, external in shapes(name) if external != (1, 0))
        without = name in ("P08", "P24", "P28")
        assert seen == [True] * 16 + [not without] * 4
        assert rated == [True] * 16 + [not without and name != "P32"] * 4
        assert pieces == (0 if without else 340)


def test_what_moves_people_is_rated_in_the_order_of_the_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(synthesis, "_trial", lambda *_: np.zeros((640, 17)))
    stimuli = np.tile([0.1, 0.9], (20, 1))  # valence, arousal
    made = synthesis._content(np.random.default_rng(0), "P01", stimuli, np.ones(20), 1.0, 20)
    answers = np.vstack(list(made["labels_selfassessment"][0]))
    assert (answers[:, 0] > 5).all()
    assert (answers[:, 1] < 5).all()
    assert set(np.unique(answers[:, 5:])) == {0.0, 1.0}
    external = np.vstack(list(made["labels_ext_annotation"][0]))
    assert (external[:, 1] < 0).all()
    assert (external[:, 2] > 0).all()


def test_without_an_effect_ratings_say_nothing() -> None:
    def made(level: float, effect: float) -> Any:
        rng = np.random.default_rng(5)
        stimuli, lengths = np.full((20, 2), level), np.full(20, 8.0)
        return synthesis._content(rng, "P04", stimuli, lengths, effect, 1)

    low, high = made(0.1, 0.0), made(0.9, 0.0)
    assert (low["labels_selfassessment"][0, 0] < high["labels_selfassessment"][0, 0])[0, :2].all()
    np.testing.assert_array_equal(low["joined_data"][0, 0], high["joined_data"][0, 0])
    changed = made(0.1, 1.0)["joined_data"][0, 0] != made(0.9, 1.0)["joined_data"][0, 0]
    assert changed.any(axis=0).all()
    assert not changed[:600, :14].any()  # before the video


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Data_Preprocessed_P02.mat").touch()
    with pytest.raises(AffectbenchError, match=r"expected no Data_Preprocessed_P02\.mat"):
        synthesis.write(tmp_path, 2, n_videos=1, nested=False)

    def fail(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("scipy.io.savemat", fail)
    for nested in (False, True):
        with pytest.raises(OSError, match="no space left"):
            synthesis.write(tmp_path, 1, n_videos=1, nested=nested)
    assert [p.name for p in tmp_path.rglob("*.mat")] == ["Data_Preprocessed_P02.mat"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 40 subjects, found 0"),
        ({"n_subjects": 41}, "expected 1 to 40 subjects, found 41"),
        ({"effect": -1.0}, "expected an effect of 0 or more"),
        ({"n_videos": 21}, "expected 1 to 20 videos .* found 21"),
        ({"seconds": (60.0, 50.0)}, "lengths above 0 s"),
        ({"long_seconds": 0.0}, "lengths above 0 s"),
    ],
)
def test_impossible_requests(tmp_path: Path, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **request_)
    assert not (tmp_path / "new").exists()


# ---- the reader, on files made by hand


def content() -> Arrays:
    """Column c of cell k holds 100 k + c, but the resistance, 500 kOhm; three cells are there."""
    cells = {
        name: np.empty((1, 20), object)
        for name in ("joined_data", "labels_selfassessment", "VideoIDs")
    }
    for cell, video in enumerate(CELLS):
        there = cell in (0, 1, 17)
        samples = np.tile(100.0 * cell + np.arange(17), (55 * 128 + 64, 1))
        samples[:, 16] = 5e5
        cells["joined_data"][0, cell] = samples if there else np.empty((0, 0))
        answers = np.array([[2.0, 8.0, 3.0, 4.0, 1.0, 1, 0, 0, 1, 0, 0, 0]])
        cells["labels_selfassessment"][0, cell] = answers if there else np.empty((1, 0))
        cells["VideoIDs"][0, cell] = video
    return cells


def read(root: Path, value: Arrays, **options: Any) -> tuple[list[Recording], list[Fault]]:
    savemat(root / "Data_Preprocessed_P10.mat", value)
    return both(AMIGOSReader(root, **options).read("P10"))


def test_subjects_in_natural_order() -> None:
    assert SUBJECTS[0] == "P01"
    assert SUBJECTS[8:11] == ("P09", "P10", "P11")
    assert SUBJECTS[-1] == "P40"
    assert len(SUBJECTS) == 40
    assert [*SHORT_VIDEOS, *LONG_VIDEOS] == CELLS


def test_stored_gsr_is_the_numbers_of_the_file(tmp_path: Path) -> None:
    converted, _ = read(tmp_path, content())
    stored, _ = read(tmp_path, content(), stored_gsr=True)
    assert stored[0].signals["eda"].unit == "Ohm"
    np.testing.assert_array_equal(
        stored[0].signals["eda"].samples[0], np.full(55 * 128 + 64, 5e5, np.float32)
    )
    assert converted[0].signals["eda"].unit == "uS"


def test_time_comes_first_and_columns_are_where_the_readme_says(tmp_path: Path) -> None:
    recordings, faults = read(tmp_path, content())
    assert trials(recordings) == [1, 2]
    assert [(fault.trial, fault.reason) for fault in faults] == [
        (trial, "no signals; no ratings") for trial in range(3, 17)
    ]
    for number, recording in enumerate(recordings):
        assert (recording.subject, recording.session) == ("P10", "1")
        (segment,) = recording.segments
        assert (segment.start, segment.stop) == (5.0, 55.5)
        signals = recording.signals
        assert list(signals) == ["eeg", "ecg", "eda"]
        for name, columns in {"eeg": range(14), "ecg": range(14, 16)}.items():
            assert signals[name].samples.shape == (len(columns), 55 * 128 + 64)
            expected = 100 * number + np.array(columns)
            np.testing.assert_array_equal(signals[name].samples[:, [0, -1]].T, [expected] * 2)
        np.testing.assert_array_equal(np.unique(signals["eda"].samples), [2.0])
        assert {signal.sfreq for signal in signals.values()} == {128.0}
    assert recordings[0].signals["eda"].unit == "uS"
    assert recordings[0].signals["ecg"].channels == ("right", "left")
    assert " ".join(recordings[0].signals["eeg"].channels) == (
        "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4"
    )


def test_arousal_comes_first_in_the_self_assessment(tmp_path: Path) -> None:
    value = content()
    value["labels_selfassessment"][0, 1] = np.array([[5.9, 5.0, 3, 4, 1, *[0] * 7]])
    (first, second), _ = read(tmp_path, value)
    assert dict(first.segments[0].annotations) == {
        "arousal": 2.0,
        "valence": 8.0,
        "dominance": 3.0,
        "liking": 4.0,
        "familiarity": 1.0,
        "neutral": 1.0,
        "disgust": 0.0,
        "happiness": 0.0,
        "surprise": 1.0,
        "anger": 0.0,
        "fear": 0.0,
        "sadness": 0.0,
    }
    assert first.segments[0].stimulus == "10"
    for task, expected in {"valence": [1, 0], "arousal": [0, 1]}.items():
        found = AMIGOS.tasks[task]
        assert [found.label("P10", one.segments[0]) for one in (first, second)] == expected
    assert list(AMIGOS.tasks) == ["valence", "arousal"]


def test_names_of_videos_decide_not_their_order(tmp_path: Path) -> None:
    value = content()
    videos = value["VideoIDs"]
    videos[0, 0], videos[0, 17] = "P1", "10"
    videos[0, 1], videos[0, 2] = "138", "13"
    (second, other), faults = read(tmp_path, value)
    assert (second.segments[0].trial, second.segments[0].stimulus) == (2, "138")
    assert (other.segments[0].trial, other.segments[0].stimulus) == (18, "10")
    assert [fault.trial for fault in faults] == list(range(3, 17))
    recordings, _ = read(tmp_path, value, long_videos=True)
    assert trials(recordings) == [1, 2, 18]
    assert recordings[0].segments[0].stimulus == "P1"


def test_empty_cells_without_a_name_go_by_their_place(tmp_path: Path) -> None:
    value = content()
    for cell in (15, 16):
        value["VideoIDs"][0, cell] = np.empty((0,))
    assert [fault.trial for fault in read(tmp_path, value)[1]] == list(range(3, 17))
    faults = read(tmp_path, value, long_videos=True)[1]
    assert [fault.trial for fault in faults if "name" in fault.reason] == [16, 17]


def test_long_videos_are_read_if_asked_for(tmp_path: Path) -> None:
    recordings, faults = read(tmp_path, content(), long_videos=True)
    assert trials(recordings) == [1, 2, 18]
    assert recordings[2].segments[0].stimulus == "P1"
    assert [fault.trial for fault in faults] == [*range(3, 17), 17, 19, 20]


def test_a_baseline_is_taken_away_if_asked_for(tmp_path: Path) -> None:
    value = content()
    value["joined_data"][0, 0][:640, 0] = np.linspace(6, 8, 640)
    value["joined_data"][0, 0][640:, 15] = 20.0
    (first, _), _ = read(tmp_path, value, subtract_baseline=True)
    np.testing.assert_allclose(first.signals["eeg"].samples[0, 640:], -7.0, atol=1e-5)
    np.testing.assert_allclose(first.signals["ecg"].samples[1, 640:], 5.0, atol=1e-5)
    np.testing.assert_allclose(first.signals["eda"].samples, 0.0, atol=1e-6)


def nan_eda(value: Arrays) -> None:
    value["joined_data"][0, 0][:, 16] = np.nan


def nan_in_one_eeg_channel(value: Arrays) -> None:
    value["joined_data"][0, 0][700:800, 3] = np.nan


def nan_everywhere(value: Arrays) -> None:
    value["joined_data"][0, 0][:] = np.nan


def no_signals(value: Arrays) -> None:
    value["joined_data"][0, 0] = np.empty((0, 0))


def no_assessment(value: Arrays) -> None:
    value["labels_selfassessment"][0, 0] = np.empty((1, 0))


def no_assessment_at_all(value: Arrays) -> None:
    value["labels_selfassessment"][0, 0] = np.empty((0, 0))


def nan_valence(value: Arrays) -> None:
    value["labels_selfassessment"][0, 0][0, 1] = np.nan


def arousal_of_zero(value: Arrays) -> None:
    value["labels_selfassessment"][0, 0][0, 0] = 0.0


def short(value: Arrays) -> None:
    value["joined_data"][0, 0] = value["joined_data"][0, 0][: 55 * 128 - 1]


def no_name(value: Arrays) -> None:
    value["VideoIDs"][0, 0] = np.empty((0,))


UNUSABLE: dict[Callable[[Arrays], None], str] = {
    nan_eda: "eda: all of the samples NaN or infinite",
    nan_in_one_eeg_channel: "eeg: under 1 % of the samples NaN or infinite",
    nan_everywhere: "; ".join(
        f"{name}: all of the samples NaN or infinite" for name in ("eeg", "ecg", "eda")
    ),
    no_signals: "no signals",
    no_assessment: "no ratings",
    no_assessment_at_all: "no ratings",
    nan_valence: "valence: no rating from 1 to 9",
    arousal_of_zero: "arousal: no rating from 1 to 9",
    short: "shorter than 50 s",
    no_name: "no name of the video",
}


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__)
def test_trials_that_cannot_be_used_are_named(
    spoil: Callable[[Arrays], None], tmp_path: Path
) -> None:
    value = content()
    spoil(value)
    recordings, faults = read(tmp_path, value)
    assert trials(recordings) == [2]
    assert (faults[0].trial, faults[0].session, faults[0].omitted) == (1, "1", True)
    assert faults[0].reason == UNUSABLE[spoil]
    assert len(faults) == 15


def test_a_video_of_exactly_the_shortest_length_is_read(tmp_path: Path) -> None:
    value = content()
    value["joined_data"][0, 0] = value["joined_data"][0, 0][: 55 * 128]
    (first, _), _ = read(tmp_path, value)
    assert first.segments[0].duration == 50.0 == AMIGOS.trial_seconds[0]


def test_resistances_below_those_of_skin_are_repaired_and_put_on_record(tmp_path: Path) -> None:
    value = content()
    value["joined_data"][0, 0][1000:2000, 16] = -5000.0
    value["joined_data"][0, 1][1000:1400, 16] = [0.0] * 200 + [-5000.0] * 200
    recordings, faults = read(tmp_path, value)
    assert trials(recordings) == [1, 2]
    moved, repaired = [fault for fault in faults if not fault.omitted]
    assert (moved.trial, repaired.trial) == (1, 2)
    assert moved.reason.startswith("eda: 10 to 50 % of the samples below 10000 Ohm")
    assert repaired.reason.startswith("eda: 1 to 10 % of the samples below 10000 Ohm")
    first, second = (one.signals["eda"].samples[0] for one in recordings)
    np.testing.assert_allclose(first[[999, 1000, 1999, 2000]], [1e6 / 6.05e5, 10, 10, 1e6 / 6.05e5])
    np.testing.assert_allclose(second, 2.0, rtol=1e-6)


# ---- files that are not there, or not the publisher's


@pytest.mark.parametrize(
    "folder", ["", "Data_Preprocessed_P10", "a/Matlab Preprocessed Data/Data_Preprocessed_P10"]
)
def test_files_are_found_at_any_depth(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    path = tmp_path / folder / "Data_Preprocessed_P10.mat"
    savemat(path, content())
    (tmp_path / "Data_Original_P10.mat").touch()
    assert AMIGOSReader(tmp_path).files("P10") == (path,)
    with pytest.raises(
        DatasetNotFoundError,
        match=r"no Data_Preprocessed_P01\.mat anywhere in .* of whom 1 of 40 are there",
    ):
        AMIGOSReader(tmp_path).files("P01")


def test_two_files_of_one_subject(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Data_Preprocessed_P10.mat").touch()
    with pytest.raises(DatasetNotFoundError, match=r"found 2: a/Data_.*, b/Data_.* Take away"):
        AMIGOSReader(tmp_path).files("P10")


@pytest.mark.parametrize("subject", ["P1", "P00", "P41", "p01"])
def test_subjects_that_do_not_exist(root: Path, subject: str) -> None:
    with pytest.raises(DatasetNotFoundError, match=f"no subject '{subject}'"):
        list(AMIGOSReader(root).read(subject))


def cells_of(count: int) -> Any:
    found = np.empty((1, count), object)
    found[0] = [np.zeros((2, 17))] * count
    return found


def change(name: str, cell: int, value: Any) -> Arrays:
    made = content()
    made[name][0, cell] = value
    return made


SPOILT = {
    "no signals": (
        {key: value for key, value in content().items() if key != "joined_data"},
        "expected a variable 'joined_data', found VideoIDs, labels_selfassessment",
    ),
    "sixteen cells": (
        {**content(), "joined_data": cells_of(16)},
        r"joined_data: expected cells of shape \(1, 20\), found object \(1, 16\)",
    ),
    "no cells": (
        {**content(), "labels_selfassessment": np.zeros((1, 20))},
        r"labels_selfassessment: expected cells of shape \(1, 20\), found float64 \(1, 20\)",
    ),
    "channels first": (
        change("joined_data", 1, np.zeros((17, 8000))),
        r"joined_data, cell 2: expected numbers of shape \(T, 17\), found float64 \(17, 8000\)",
    ),
    "eeg alone": (
        change("joined_data", 1, np.zeros((8000, 14))),
        r"joined_data, cell 2: .* found float64 \(8000, 14\)",
    ),
    "text for signals": (change("joined_data", 0, "none"), r"joined_data, cell 1: .* found <U4"),
    "five answers": (
        change("labels_selfassessment", 0, np.ones((1, 5))),
        r"labels_selfassessment, cell 1: expected numbers of shape \(1, 12\), found .* \(1, 5\)",
    ),
    "unknown video": (
        change("VideoIDs", 4, "7"),
        "VideoIDs, cell 5: expected one of 10, .* found 7",
    ),
    "numbers for videos": (
        change("VideoIDs", 4, np.zeros((2, 2))),
        r"VideoIDs, cell 5: .* found float64 \(2, 2\)",
    ),
    "a video twice": (
        change("VideoIDs", 4, "10"),
        "VideoIDs: expected a different video in each cell, found 10, 13, 138, 18, 10",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    value, message = SPOILT[name]
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read(tmp_path, value)
    assert "Data_Preprocessed_P10.mat" in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_files_cut_short(root: Path, tmp_path: Path, share: float) -> None:
    (path,) = AMIGOSReader(root).files("P01")
    raw = path.read_bytes()
    (tmp_path / path.name).write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(DatasetCorruptedError, match=r"Data_Preprocessed_P01\.mat: expected a "):
        list(AMIGOSReader(tmp_path).read("P01"))


# ---- to batches


def test_made_up_subjects_with_their_faults(root: Path) -> None:
    found = {name: both(AMIGOSReader(root).read(name)) for name in ("P01", "P02", "P03")}
    assert {name: trials(recordings) for name, (recordings, _) in found.items()} == {
        "P01": [1, 2, 3, 4],
        "P02": [1, 2, 4],
        "P03": [1, 3, 4],
    }
    missing = [(trial, "no signals; no ratings") for trial in range(5, 17)]
    reasons = {name: [(f.trial, f.reason) for f in faults] for name, (_, faults) in found.items()}
    assert reasons["P02"] == [(3, "eda: all of the samples NaN or infinite"), *missing]
    assert reasons["P03"] == [(2, "eeg: under 1 % of the samples NaN or infinite"), *missing]
    assert reasons["P01"][1:] == missing
    assert [fault.omitted for fault in found["P01"][1]] == [False] + [True] * 12
    for recordings, _ in found.values():
        for recording in recordings:
            assert 51 <= recording.segments[0].duration <= 60.1
            assert recording.signals["eda"].samples.min() > 0


def test_the_datamodule_knows_its_inputs_before_any_file(tmp_path: Path, build: Any) -> None:
    module = build(AMIGOS, tmp_path, "arousal", signals=["eeg", "ecg"], window=4.0)
    shapes = {name: (spec.n_channels, spec.n_times) for name, spec in module.inputs.items()}
    assert shapes == {"eeg": (14, 512), "ecg": (2, 512)}
    assert (module.n_classes, module.dataset.name) == (2, "amigos")
    assert AMIGOS.splits == (
        "subject_stimulus_k_fold",
        "leave_one_subject_out",
        "subject_k_fold",
        "subject_hold_out",
    )


def test_from_files_to_batches(root: Path, tmp_path: Path, build: Any) -> None:
    module = build(
        AMIGOS,
        root,
        signals=["eeg", "ecg", "eda"],
        split="leave_one_subject_out",
        subjects=["P01", "P02", "P03"],
        window=50.0,
        stride=50.0,
        batch_size=2,
        cache_dir=tmp_path,
    )
    module.prepare_data()
    module.setup()
    counts = {"P01": 4, "P02": 3, "P03": 3}
    loaders = (module.train_dataloader(), module.val_dataloader(), module.test_dataloader())
    for part, loader in zip(PARTS, loaders, strict=True):
        batch = next(iter(loader))
        assert batch.signals["eeg"].shape == (2, 14, 6400)
        assert batch.signals["ecg"].shape == (2, 2, 6400)
        assert batch.signals["eda"].shape == (2, 1, 6400)
        assert all(signal.isfinite().all() for signal in batch.signals.values())
        (subject,) = getattr(module.fold.members, part)
        assert len(module.windows(part)) == counts[subject]
        assert set(module.windows(part).start) == {5.0}
    stored = store_subject(tmp_path / "amigos", module.reader, module.dataset.preprocessing, "P02")
    assert len(stored.faults) == 13
    found = {
        name: (len(s.channels), s.sfreq) for name, s in as_recording(stored, 0).signals.items()
    }
    assert found == dict(AMIGOS.signals)

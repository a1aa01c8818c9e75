import json
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import seed_v
from datamodules.cache import store_subject
from datamodules.errors import (
    AffectbenchError,
    DatasetCorruptedError,
    DatasetNotFoundError,
    IncompatibleRunError,
)
from datamodules.seed_v import (
    CHANNELS,
    EEG_FEATURES,
    EMOTIONS,
    LABELS,
    SEED_V,
    SUBJECTS,
    SEEDVReader,
)
from datamodules.signals.recording import Fault, Recording, Segment
from datamodules.stored import as_recording
from datamodules.synthesis import seed_v as synthesis

EEG, EYE, RAW = "EEG_DE_features", "Eye_movement_features", "EEG_raw"

# From the publisher's table: rows of 4 s in each trial, and the labels.
ROWS = [
    *(18, 24, 59, 46, 36, 64, 74, 17, 66, 35, 43, 43, 58, 60, 38),
    *(59, 47, 16, 31, 32, 14, 60, 57, 30, 24, 46, 29, 23, 54, 19),
    *(72, 16, 41, 22, 13, 59, 21, 18, 57, 71, 55, 29, 51, 32, 44),
]
PUBLISHED = [4, 1, 3, 2, 0] * 3 + [2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0] * 2

Table = dict[int, Any]


def read_all(root: Path, subject: str = "1", **options: Any) -> list[Recording | Fault]:
    return list(SEEDVReader(root, **options).read(subject))


def recordings(found: list[Recording | Fault]) -> list[Recording]:
    return [one for one in found if isinstance(one, Recording)]


def faults(found: list[Recording | Fault]) -> list[Fault]:
    return [one for one in found if isinstance(one, Fault)]


def unpickled(path: Path) -> tuple[Table, Table]:
    """What the publisher's own example does."""
    with np.load(path) as archive:
        return pickle.loads(archive["data"]), pickle.loads(archive["label"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seed_v")
    synthesis.write(folder, 3, seed=1)
    return folder


# ---- the tables


def test_tables_are_the_publishers() -> None:
    labels = [label for session in "123" for label in LABELS[session]]
    assert labels == PUBLISHED
    for block in np.reshape(labels, (9, 5)):
        assert sorted(block) == [0, 1, 2, 3, 4]
    spans = [
        stop - start
        for session in "123"
        for start, stop in zip(seed_v.STARTS[session], seed_v.STOPS[session], strict=True)
    ]
    assert [span // 4 for span in spans] == ROWS
    assert [sum(ROWS[k : k + 15]) for k in (0, 15, 30)] == [681, 541, 601]
    for session in "123":
        times = np.column_stack([seed_v.STARTS[session], seed_v.STOPS[session]]).ravel()
        assert (np.diff(times) > 0).all()
    assert min(ROWS) - 1 == seed_v.SHORTEST_ROWS
    assert max(ROWS) == seed_v.LONGEST_ROWS


def test_subjects_in_natural_order() -> None:
    assert SUBJECTS[:3] == ("1", "2", "3")
    assert SUBJECTS[8:10] == ("9", "10")
    assert len(SUBJECTS) == 16


def test_columns_are_all_bands_of_a_channel_then_the_next() -> None:
    assert len(CHANNELS) == len(set(CHANNELS)) == 62
    assert EEG_FEATURES[:6] == (
        *("FP1 delta", "FP1 theta", "FP1 alpha", "FP1 beta", "FP1 gamma"),
        "FPZ delta",
    )
    assert EEG_FEATURES[-1] == "CB2 gamma"
    assert not {"M1", "M2", "VEO", "HEO"} & set(CHANNELS)


# ---- the files


def test_archives_hold_strings_of_bytes_that_hold_pickles(root: Path) -> None:
    for folder, width in ((EEG, 310), (EYE, 33)):
        with np.load(root / folder / "2_123.npz") as archive:
            assert sorted(archive.files) == ["data", "label"]
            for member in (archive["data"], archive["label"]):
                assert member.shape == ()
                assert member.dtype.kind == "S"
                raw = member.item()
                assert raw.startswith(b"\x80\x02}")
                assert b"cnumpy.core.multiarray\n" in raw
                assert b"_core" not in raw
        data, label = unpickled(root / folder / "2_123.npz")
        assert list(data) == list(label) == list(range(45))
        for key, rows in data.items():
            assert rows.shape[1:] == (width,)
            assert rows.dtype == label[key].dtype == np.float64
            assert label[key].tolist() == [float(PUBLISHED[key])] * len(rows)


def test_rows_of_eeg_and_eye_and_what_is_missing(root: Path) -> None:
    for subject in ("1", "2", "3"):
        eeg, _ = unpickled(root / EEG / f"{subject}_123.npz")
        eye, _ = unpickled(root / EYE / f"{subject}_123.npz")
        assert [len(rows) for rows in eeg.values()] == ROWS
        fewer = [len(eeg[key]) - len(eye[key]) for key in eeg]
        assert set(fewer) == {0, 1}
        assert all(np.isfinite(rows).all() for rows in eeg.values())
        gaps = [np.isnan(rows).mean(axis=0).max() for rows in eye.values()]
        assert 0 < sum(gap > 0 for gap in gaps) < 10
        assert max(gaps) < 0.5


def test_times_are_written_as_the_publisher_does(root: Path) -> None:
    text = (root / "trial_start_end_timestamp.txt").read_text()
    found = re.findall(r"Session (\d):\s*start_second: (\[.*?\])\s*end_second: (\[.*?\])", text)
    assert [session for session, *_ in found] == ["1", "2", "3"]
    for session, starts, stops in found:
        assert tuple(json.loads(starts)) == seed_v.STARTS[session]
        assert tuple(json.loads(stops)) == seed_v.STOPS[session]


def test_a_subject_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=1)
    for folder in (EEG, EYE):
        assert sorted(path.suffix for path in (tmp_path / folder).iterdir()) == [".ipynb", ".npz"]
        name = f"{folder}/1_123.npz"
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes()
    assert not (tmp_path / RAW).exists()
    first, second = (unpickled(root / EEG / f"{s}_123.npz")[0][0] for s in ("1", "2"))
    assert not np.allclose(first, second)


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / EYE).mkdir()
    with pytest.raises(AffectbenchError, match=f"expected no {EYE}"):
        synthesis.write(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [EYE]
    (tmp_path / EYE).rmdir()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "write_new", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 16 subjects, found 0"),
        ({"n_subjects": 17}, "expected 1 to 16 subjects, found 17"),
        ({"n_subjects": 1, "effect": -1.0}, "expected an effect of 0 or more"),
    ],
)
def test_impossible_requests(tmp_path: Path, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **request_)
    assert not (tmp_path / "new").exists()


def test_without_effect_nothing_depends_on_the_emotion(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(effect: float) -> np.ndarray:
        eeg, eye = synthesis._features(0, 4, effect)
        return np.concatenate([*(eeg[k][0] for k in eeg), *(eye[k][0] for k in eye)])

    silent, shown = made(0.0), made(1.0)
    for session in "123":
        monkeypatch.setitem(LABELS, session, LABELS[session][1:] + LABELS[session][:1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(made(0.0), silent)
    assert not np.allclose(made(1.0), shown, equal_nan=True)


def test_emotions_are_told_apart_on_new_people(root: Path) -> None:
    """Nearest class mean of trial means, relative to the person's own mean."""
    for signal, least in (("eeg_de", 0.5), ("eye", 0.3)):
        means, labels = [], []
        for subject in ("1", "2", "3"):
            found = recordings(read_all(root, subject))
            trials = np.array([one.signals[signal].samples.mean(axis=1) for one in found])
            means.append(trials - trials.mean(axis=0))
            labels.append([one.segments[0].annotations["condition"] for one in found])
        right = []
        for tested in range(3):
            rest = [other for other in range(3) if other != tested]
            known = np.concatenate([means[other] for other in rest])
            names = np.concatenate([labels[other] for other in rest])
            centres = np.array([known[names == name].mean(axis=0) for name in EMOTIONS])
            distance = np.square(means[tested][:, None] - centres).sum(axis=2)
            guessed = np.array(EMOTIONS)[distance.argmin(axis=1)]
            right.append(np.mean(guessed == np.array(labels[tested])))
        assert np.mean(right) > least, signal


# ---- the reader


def test_one_recording_a_trial(root: Path) -> None:
    found = recordings(read_all(root, "2"))
    eeg, _ = unpickled(root / EEG / "2_123.npz")
    eye, _ = unpickled(root / EYE / "2_123.npz")
    assert [(one.session, one.segments[0].trial) for one in found] == [
        (session, trial) for session in "123" for trial in range(1, 16)
    ]
    for key, one in enumerate(found):
        assert one.subject == "2"
        (segment,) = one.segments
        n_rows = min(len(eeg[key]), len(eye[key]))
        assert (segment.start, segment.stop) == (0.0, 4.0 * n_rows)
        assert segment.annotations == {
            "condition": ["disgust", "fear", "sad", "neutral", "happy"][PUBLISHED[key]],
        }
        assert segment.stimulus == f"{one.session}/{segment.trial}"
        assert set(one.signals) == {"eeg_de", "eye"}
        entropy, eyes = one.signals["eeg_de"], one.signals["eye"]
        assert entropy.sfreq == eyes.sfreq == 0.25
        assert one.duration == entropy.duration == eyes.duration == segment.stop
        expected = eeg[key][:n_rows].astype(np.float32)
        np.testing.assert_array_equal(entropy.samples, expected.T, strict=True)
        assert entropy.samples.flags.c_contiguous
        whole = np.isfinite(eye[key][:n_rows]).all(axis=0)
        np.testing.assert_array_equal(
            eyes.samples[whole], eye[key][:n_rows, whole].astype(np.float32).T
        )
        assert np.isfinite(eyes.samples).all()
    assert [one.offset for one in found[:3]] == [30.0, 132.0, 287.0]
    assert [one.offset for one in found[29:32]] == [2741.0, 30.0, 353.0]


def test_columns_of_a_table_become_channels_in_bands(tmp_path: Path) -> None:
    """As the publisher says: reshape to (rows, 62, 5)."""
    data = tables(14, 310)
    cube = np.random.default_rng(0).normal(size=(14, 62, 5))
    data[0] = cube.reshape(14, 310)
    put(tmp_path, data, tables(14, 33))
    first = recordings(read_all(tmp_path))[0].signals["eeg_de"]
    bands = ("delta", "theta", "alpha", "beta", "gamma")
    for channel, band in ((0, 0), (0, 4), (1, 0), (23, 2), (61, 4)):
        row = first.channels.index(f"{CHANNELS[channel]} {bands[band]}")
        np.testing.assert_array_equal(first.samples[row], cube[:, channel, band].astype("f4"))


def test_what_was_repaired_is_on_record(root: Path) -> None:
    found = read_all(root, "1")
    eye, _ = unpickled(root / EYE / "1_123.npz")
    gaps = [key for key, rows in eye.items() if np.isnan(rows).any()]
    assert {(fault.session, fault.trial) for fault in faults(found)} == {
        (str(key // 15 + 1), key % 15 + 1) for key in gaps
    }
    assert len({fault.reason for fault in faults(found)}) == 1
    assert not any(fault.omitted for fault in faults(found))
    assert len(recordings(found)) == 45


def test_other_files_do_not_disturb(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    for name in (f"{EEG}/example.npz", f"{EEG}/10_123.npz.part", f"{EYE}/0_123.npz"):
        (tmp_path / "copy" / name).write_bytes(b"")
    reader = SEEDVReader(tmp_path / "copy")
    assert [path.name for path in reader.files("1")] == ["1_123.npz"] * 2
    assert len(recordings(list(reader.read("1")))) == 45


def test_archives_are_found_by_number_not_by_their_place_in_the_folder(tmp_path: Path) -> None:
    for folder in (EEG, EYE):
        (tmp_path / folder).mkdir()
        for number in range(1, 17):
            (tmp_path / folder / f"{number}_123.npz").touch()
    for subject in SUBJECTS:
        names = [path.name for path in SEEDVReader(tmp_path).files(subject)]
        assert names == [f"{subject}_123.npz"] * 2


@pytest.mark.parametrize("subject", ["0", "17", "01", "S1"])
def test_subjects_that_do_not_exist(root: Path, subject: str) -> None:
    for ask in (SEEDVReader(root).files, lambda name: list(SEEDVReader(root).read(name))):
        with pytest.raises(DatasetNotFoundError, match=f"no subject '{subject}'"):
            ask(subject)


@pytest.mark.parametrize("folder", [EEG, EYE])
def test_a_subject_that_is_not_there(root: Path, tmp_path: Path, folder: str) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no EEG_DE_features/10_123\.npz .* 3 of 16"):
        SEEDVReader(root).files("10")
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy" / folder / "2_123.npz").unlink()
    with pytest.raises(DatasetNotFoundError, match=rf"no {folder}/2_123\.npz .* 2 of 16 are"):
        SEEDVReader(tmp_path / "copy").files("2")


# ---- rows that differ, rows that are missing


def tables(n_rows: int, width: int) -> Table:
    """Rows that say which they are, 12 or more for a usable trial."""
    row = np.arange(float(n_rows))[:, None] + np.zeros(width)
    return {key: row + 100.0 * key for key in range(45)}


def put(root: Path, eeg: Any, eye: Any, eeg_label: Any = None, eye_label: Any = None) -> Path:
    """Archives of subject 1; labels as they should be unless given."""
    for folder, data, label in ((EEG, eeg, eeg_label), (EYE, eye, eye_label)):
        if label is None:
            label = {key: np.full(len(rows), float(PUBLISHED[key])) for key, rows in data.items()}
        (root / folder).mkdir()
        members = {"data": pickle.dumps(data, protocol=3), "label": pickle.dumps(label, 3)}
        np.savez(root / folder / "1_123.npz", **{k: np.array(v) for k, v in members.items()})
    return root


def trial_of(root: Path, key: int = 6) -> tuple[Recording | None, list[Fault]]:
    """What the reader makes of a trial; the seventh lasts for 74 rows."""
    found = read_all(root)
    place = str(key // 15 + 1), key % 15 + 1
    ours = [one for one in recordings(found) if (one.session, one.segments[0].trial) == place]
    return (ours[0] if ours else None), [f for f in faults(found) if (f.session, f.trial) == place]


@pytest.mark.parametrize(
    ("n_eeg", "n_eye", "expected", "told"),
    [
        (74, 74, 74, False),
        (74, 73, 73, False),
        (73, 74, 73, False),
        (75, 75, 74, False),
        (74, 72, 72, True),
        (80, 80, 74, True),
        (20, 20, 20, True),
        (12, 12, 12, True),
    ],
)
def test_tables_are_cut_to_what_they_and_the_film_share(
    tmp_path: Path, n_eeg: int, n_eye: int, expected: int, told: bool
) -> None:
    eeg, eye = tables(14, 310), tables(14, 33)
    eeg[6], eye[6] = tables(n_eeg, 310)[6], tables(n_eye, 33)[6]
    one, found = trial_of(put(tmp_path, eeg, eye))
    assert one is not None
    for signal in one.signals.values():
        np.testing.assert_array_equal(signal.samples[0], 600 + np.arange(expected))
    assert one.segments[0].stop == 4.0 * expected
    reason = "eeg_de, eye and film differ by more than a row; cut to the shortest"
    assert found == ([Fault("1", 7, reason, omitted=False)] if told else [])


def test_the_shortest_film_may_lack_a_row(tmp_path: Path) -> None:
    eye = tables(13, 33)
    eye[34] = eye[34][:12]
    one, found = trial_of(put(tmp_path, tables(13, 310), eye), key=34)
    assert one is not None
    assert one.segments[0].stop == 48.0
    assert not found


def test_a_trial_shorter_than_any_film_is_left_out(tmp_path: Path) -> None:
    eye = tables(14, 33)
    eye[6] = eye[6][:11]
    one, found = trial_of(put(tmp_path, tables(14, 310), eye))
    assert one is None
    assert found == [Fault("1", 7, "eeg_de and eye: fewer than 12 rows in common")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_gaps_of_eye_features_are_interpolated(tmp_path: Path, value: float) -> None:
    eye = tables(74, 33)
    rng = np.random.default_rng(0)
    eye[6] = rng.normal(size=(74, 33))
    lost = rng.random((74, 33)) < 0.3
    lost[:3, 5] = lost[-4:, 6] = True  # nothing to lean on at one side
    lost[:, 7] = False
    spoilt = np.where(lost, value, eye[6])
    one, found = trial_of(put(tmp_path, tables(74, 310), eye | {6: spoilt}))
    assert one is not None
    for column, samples in enumerate(one.signals["eye"].samples):
        there = np.flatnonzero(~lost[:, column]).tolist()
        for row in range(74):
            left = max([k for k in there if k <= row], default=there[0])
            right = min([k for k in there if k >= row], default=there[-1])
            share = (row - left) / (right - left) if left < row < right else 0.0
            wanted = (1 - share) * eye[6][left, column] + share * eye[6][right, column]
            assert samples[row] == pytest.approx(wanted, abs=1e-5)
    (fault,) = found
    assert fault.reason.startswith("eye: a feature is NaN in up to half of the rows; interpolated")
    assert not fault.omitted


@pytest.mark.parametrize(("lost", "usable"), [(37, True), (38, False), (74, False)])
def test_half_of_a_feature_has_to_be_there(tmp_path: Path, lost: int, usable: bool) -> None:
    eye = tables(74, 33)
    eye[6][:lost, 4] = np.nan
    one, found = trial_of(put(tmp_path, tables(74, 310), eye))
    assert (one is not None) == usable
    (fault,) = found
    assert fault.omitted != usable
    if not usable:
        assert fault.reason == "eye: a feature is NaN in more than half of the rows"


def test_nan_in_eeg_is_not_filled_in(tmp_path: Path) -> None:
    eeg = tables(74, 310)
    eeg[6][10, 200] = np.nan
    eeg[8][0, 0] = np.inf
    eeg[44][-1, 0] = np.nan  # beyond the 44 rows of the film
    found = read_all(put(tmp_path, eeg, tables(74, 33)))
    left_out = [fault for fault in faults(found) if fault.omitted]
    assert left_out == [
        Fault("1", 7, "eeg_de: NaN or infinite"),
        Fault("1", 9, "eeg_de: NaN or infinite"),
    ]
    assert len(recordings(found)) == 43


def test_nan_everywhere_leaves_no_subject(tmp_path: Path) -> None:
    eeg = {key: np.full((14, 310), np.nan) for key in range(45)}
    reader = SEEDVReader(put(tmp_path, eeg, tables(14, 33)))
    message = (
        r"1: expected at least one recording in EEG_DE_features/1_123\.npz and "
        r"Eye_movement_features/1_123\.npz, found none; all 45 trials are left out: eeg_de: NaN"
    )
    with pytest.raises(DatasetCorruptedError, match=message):
        store_subject(tmp_path / "cache", reader, {}, "1")


# ---- files that are not the publisher's


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (Path("evil"),)


def changed(table: Table, key: int, value: Any) -> Table:
    return {**table, key: value}


def labels(n_rows: int = 14) -> Table:
    return {key: np.full(n_rows, float(label)) for key, label in enumerate(PUBLISHED)}


DATA = {
    "three axes": (
        changed(tables(14, 310), 16, np.zeros((14, 62, 5))),
        r"session 2, trial 2: data: expected numbers of shape \(rows, 310\) with rows > 0, "
        r"found float64 \(14, 62, 5\)",
    ),
    "time last": (
        changed(tables(14, 310), 0, np.zeros((310, 14))),
        r"session 1, trial 1: data: .* found float64 \(310, 14\)",
    ),
    "no rows": (changed(tables(14, 310), 44, np.zeros((0, 310))), r"session 3, trial 15: data: "),
    "text": (changed(tables(14, 310), 3, "none"), "session 1, trial 4: data: .* found a str"),
    "a trial less": (
        {key: rows for key, rows in tables(14, 310).items() if key != 7},
        "data: expected a dict of the trials 0 to 44, found",
    ),
    "a trial more": (
        changed(tables(14, 310), 45, np.zeros((14, 310))),
        "data: expected a dict of the trials 0 to 44, found",
    ),
    "names of trials": (
        {str(key): rows for key, rows in tables(14, 310).items()},
        "data: expected a dict of the trials 0 to 44, found",
    ),
    "a list": (list(tables(14, 310).values()), "data: expected a dict .* found a list"),
}
LABEL = {
    "another emotion": (
        changed(labels(), 17, np.full(14, 2.0)),
        r"session 2, trial 3: label: expected 3 \(neutral\) in every row, as the publisher's table "
        r"has it, found \[2.0\]",
    ),
    "two emotions": (
        changed(labels(), 2, np.r_[np.full(13, 3.0), 2.0]),
        r"session 1, trial 3: label: expected 3 \(neutral\) .* found \[2.0, 3.0\]",
    ),
    "a fraction": (changed(labels(), 0, np.full(14, 4.5)), r"trial 1: label: .* found \[4.5\]"),
    "NaN": (changed(labels(), 0, np.full(14, np.nan)), r"trial 1: label: .* found \[nan\]"),
    "one for a trial": (
        changed(labels(), 1, np.full(1, 1.0)),
        r"session 1, trial 2: label: expected a number for each of 14 rows, found float64 \(1,\)",
    ),
    "a column": (
        changed(labels(), 1, np.full((14, 1), 1.0)),
        r"session 1, trial 2: label: expected a number .* found float64 \(14, 1\)",
    ),
    "a number": (changed(labels(), 1, 1.0), "session 1, trial 2: label: .* found a float"),
    "session 1 everywhere": (
        {key: np.full(14, float(PUBLISHED[key % 15])) for key in range(45)},
        r"session 2, trial 1: label: expected 2 \(sad\) in every row",
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_what_is_wrong_with_data_is_named(name: str, tmp_path: Path) -> None:
    content, message = DATA[name]
    put(tmp_path, content, tables(14, 33), labels())
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read_all(tmp_path)
    assert f"{EEG}/1_123.npz" in str(caught.value)


@pytest.mark.parametrize("name", LABEL)
@pytest.mark.parametrize("folder", [EEG, EYE])
def test_what_is_wrong_with_labels_is_named(name: str, folder: str, tmp_path: Path) -> None:
    content, message = LABEL[name]
    which = {"eeg_label" if folder == EEG else "eye_label": content}
    put(tmp_path, tables(14, 310), tables(14, 33), **which)
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read_all(tmp_path)
    assert f"{folder}/1_123.npz" in str(caught.value)


def test_labels_may_be_whole_numbers(tmp_path: Path) -> None:
    whole = {key: label.astype(np.int64) for key, label in labels().items()}
    put(tmp_path, tables(14, 310), tables(14, 33), whole, whole)
    conditions = [
        one.segments[0].annotations["condition"] for one in recordings(read_all(tmp_path))
    ]
    assert conditions[:5] == ["happy", "fear", "neutral", "sad", "disgust"]


def spoil_archive(path: Path, how: str) -> None:
    raw = path.read_bytes()
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    if how == "cut short":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "one byte":
        at = raw.index(b"multiarray")
        path.write_bytes(raw[:at] + b"M" + raw[at + 1 :])
    elif how == "no bytes":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("<html>please sign in</html>")
    elif how == "one array":
        with path.open("wb") as file:
            np.save(file, members["data"])
    elif how == "no label":
        np.savez(path, data=members["data"], labels=members["label"])
    elif how == "pickled by numpy":
        np.savez(path, **{**members, "data": np.array([{0: 1}], dtype=object)})
    elif how == "array of bytes":
        np.savez(path, **{**members, "data": np.frombuffer(members["data"].item(), np.uint8)})
    elif how == "pickle cut short":
        np.savez(path, **{**members, "data": np.array(members["data"].item()[:-200] + b".")})
    elif how == "code":
        np.savez(path, **{**members, "data": np.array(pickle.dumps({0: Evil()}, protocol=2))})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut short", "expected an archive of numpy, found one that cannot be read"),
        ("one byte", "expected an archive of numpy, .* Bad CRC-32"),
        ("no bytes", r"expected an archive of numpy, .* \(EOFError: "),
        ("text", "expected an archive of numpy, .* Fetch the file anew"),
        ("one array", "expected an archive of numpy, .* no archive but a single array"),
        ("no label", r"expected members data and label, found \['data', 'labels'\]"),
        ("pickled by numpy", "expected an archive of numpy, .* allow_pickle=False"),
        ("array of bytes", r"data: expected one string of bytes, found uint8 \("),
        ("pickle cut short", "data: expected a whole pickle"),
        ("code", "data: expected a pickle of arrays and plain values, .* nothing was run"),
    ],
)
@pytest.mark.parametrize("folder", [EEG, EYE])
def test_damaged_archives(
    how: str, message: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, tables(14, 310), tables(14, 33))
    spoil_archive(tmp_path / folder / "1_123.npz", how)
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read_all(tmp_path)
    assert f"{folder}/1_123.npz" in str(caught.value)
    assert not Path("evil").exists()


# ---- raw recordings, of films of four seconds

SHORT = {session: tuple(k + 4 * trial for trial in range(15)) for k, session in enumerate("123")}


@pytest.fixture
def short_films(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    for session, starts in SHORT.items():
        monkeypatch.setitem(seed_v.STARTS, session, starts)  # type: ignore[arg-type]
        stops = tuple(start + 4 for start in starts)
        monkeypatch.setitem(seed_v.STOPS, session, stops)  # type: ignore[arg-type]
    monkeypatch.setattr(seed_v, "SHORTEST_ROWS", 1)
    monkeypatch.setattr(synthesis, "N_SHORT", 0)
    monkeypatch.setattr(synthesis, "N_GAPS", 0)
    monkeypatch.setattr(synthesis, "TAIL", 1)


@pytest.fixture(scope="module")
def short_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seed_v_raw")
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        synthesis.write(folder, 1, raw=True)
    return folder


def counts(path: Path) -> np.ndarray:
    """Samples of a raw recording as they are in the file, shape (T, 66)."""
    raw = path.read_bytes()
    first = 900 + 75 * 66
    n_times = int.from_bytes(raw[864:868], "little")
    return np.frombuffer(raw, "<i4", n_times * 66, first).reshape(n_times, 66)


def test_raw_files_have_the_publishers_names(short_root: Path) -> None:
    names = sorted(path.name for path in (short_root / RAW).glob("*.cnt"))
    assert names == ["1_1_20180804.cnt", "1_2_20180810.cnt", "1_3_20180808.cnt"]
    assert len(list((short_root / RAW).iterdir())) == 4
    dates = np.array(synthesis.DATES)
    assert dates.shape == (16, 3)
    out_of_order = [row + 1 for row, (a, b, c) in enumerate(dates.tolist()) if not a < b < c]
    assert out_of_order == [1, 5, 8, 9, 11, 12, 13, 15, 16]


@pytest.mark.usefixtures("short_films")
def test_raw_trials_are_cut_at_their_sessions_times(short_root: Path) -> None:
    """Microvolts from the layout of the file, baseline and calibration included."""
    found = recordings(read_all(short_root, raw=True))
    assert len(found) == 45
    order = [*range(32), *range(33, 42), *range(43, 64)]  # without M1 and M2, before VEO and HEO
    for key, date in ((0, 20180804), (16, 20180810), (44, 20180808)):
        one = found[key]
        path = short_root / RAW / f"1_{one.session}_{date}.cnt"
        raw, whole = path.read_bytes(), counts(path)
        names = [raw[900 + 75 * k :][:10].rstrip(b"\0").decode() for k in range(66)]
        assert [names[k] for k in order] == list(CHANNELS)
        first = SHORT[one.session][key % 15] * 1000
        head = [raw[900 + 75 * k : 975 + 75 * k] for k in order]
        baseline = np.array([np.frombuffer(h, "<i2", 1, 47)[0] for h in head])
        factor = [
            np.frombuffer(h, "<f4", 1, 59)[0] * np.frombuffer(h, "<f4", 1, 71)[0] for h in head
        ]
        expected = (whole[first : first + 4000, order] - baseline) * factor / 204.8
        signal = one.signals["eeg"]
        assert (signal.sfreq, signal.channels, signal.unit) == (1000.0, CHANNELS, "uV")
        assert signal.samples.shape == (62, 4000)
        np.testing.assert_allclose(signal.samples, expected.T, atol=1e-4)
        assert 2 < signal.samples.std() < 50
        assert one.duration == 4.0
        assert one.offset == SHORT[one.session][key % 15]


@pytest.mark.usefixtures("short_films")
def test_raw_eeg_is_filtered_and_resampled_trial_by_trial(short_root: Path, tmp_path: Path) -> None:
    reader = SEEDVReader(short_root, raw=True)
    stored = store_subject(tmp_path, reader, SEED_V.preprocessing, "1")
    found = {
        name: (len(s.channels), s.sfreq) for name, s in as_recording(stored, 0).signals.items()
    }
    studied = ("eeg_study", "eeg_study_pooled")
    assert found == {k: v for k, v in SEED_V.signals.items() if k not in studied}
    assert {s.n_times for s in stored.samples("eeg").recordings if s} == {800}
    samples = as_recording(stored, 7, ("eeg",)).signals["eeg"].samples
    spectrum = np.abs(np.fft.rfft(samples, axis=1)).mean(axis=0)
    frequency = np.fft.rfftfreq(800, 1 / 200)
    assert spectrum[frequency > 95].max() < spectrum[(frequency > 2) & (frequency < 60)].min() / 5
    assert spectrum[frequency < 0.6].max() < spectrum[(frequency > 1.1) & (frequency < 3)].min() / 2


@pytest.mark.usefixtures("short_films")
def test_the_effect_on_raw_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "SESSIONS", ("1",))
    monkeypatch.setattr(synthesis, "CHANNELS", CHANNELS[:2])

    def made(effect: float) -> np.ndarray:
        folder = tmp_path / f"{effect}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        synthesis._write_raw(folder, 0, 3, effect)
        (path,) = folder.glob("3_1_20180414.cnt")
        return counts(path)

    monkeypatch.setattr(synthesis, "DATES", (*[((0,))] * 2, (20180414,)))
    silent, shown = made(0.0), made(1.0)
    monkeypatch.setitem(LABELS, "1", LABELS["2"])  # type: ignore[arg-type]
    np.testing.assert_array_equal(made(0.0), silent)
    assert not np.array_equal(made(1.0), shown)


@pytest.mark.usefixtures("short_films")
def test_raw_eeg_as_a_study_has_it(short_root: Path, tmp_path: Path) -> None:
    reader = SEEDVReader(short_root, study=True, session=2)
    stored = store_subject(tmp_path, reader, SEED_V.preprocessing, "1")
    assert [one.session for one in stored.recordings] == ["2"] * 15
    found = {
        name: (len(s.channels), s.sfreq) for name, s in as_recording(stored, 0).signals.items()
    }
    assert found == {k: v for k, v in SEED_V.signals.items() if k != "eeg"}
    signals = as_recording(stored, 7).signals
    samples, pooled = (signals[name].samples for name in list(found)[2:])
    np.testing.assert_allclose(samples.std(axis=0), 1.0, rtol=1e-4)
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(pooled[1, 5], samples[3:6, 15:18].mean(), atol=1e-6)


def test_a_session_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleRunError, match="session 1, 2 or 3, or 0 for all, found 4"):
        SEEDVReader(tmp_path, session=4)
    with pytest.raises(AffectbenchError, match="session 1, 2 or 3"):
        synthesis.write(tmp_path / "new", 1, raw=True, session=4)


@pytest.mark.usefixtures("short_films")
def test_one_raw_session_alone_is_as_among_all(short_root: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, raw=True, session=2)
    (path,) = (tmp_path / RAW).glob("*.cnt")
    assert path.read_bytes() == (short_root / RAW / path.name).read_bytes()


def test_raw_recordings_are_not_asked_for_by_default(root: Path) -> None:
    assert len(SEEDVReader(root).files("1")) == 2
    assert "eeg" not in recordings(read_all(root))[0].signals
    message = r"no EEG_raw/1_1_<date>\.cnt in .* 0 of 48 are there\. .* without the option raw"
    with pytest.raises(DatasetNotFoundError, match=message):
        SEEDVReader(root, raw=True).files("1")


def raw_names(root: Path, *names: str) -> SEEDVReader:
    for folder, name in [(EEG, "1_123.npz"), (EYE, "1_123.npz"), *((RAW, name) for name in names)]:
        (root / folder).mkdir(exist_ok=True)
        (root / folder / name).touch()
    return SEEDVReader(root, raw=True)


def test_the_session_in_the_name_decides_not_the_date(tmp_path: Path) -> None:
    reader = raw_names(
        tmp_path,
        *("1_3_20180808.cnt", "1_1_20180804.cnt", "1_2_20180810.cnt"),
        *("11_1_20180510.cnt", "1_1_20180804.txt", "load_data.ipynb"),
    )
    names = [path.name for path in reader.files("1")[2:]]
    assert names == ["1_1_20180804.cnt", "1_2_20180810.cnt", "1_3_20180808.cnt"]


def test_a_session_without_its_raw_recording(tmp_path: Path) -> None:
    reader = raw_names(tmp_path, "1_1_20180804.cnt", "1_3_20180808.cnt", "12_2_20180508.cnt")
    with pytest.raises(DatasetNotFoundError, match=r"no EEG_raw/1_2_<date>\.cnt .* 3 of 48"):
        reader.files("1")


def test_two_raw_recordings_of_a_session(tmp_path: Path) -> None:
    names = ("1_1_20180804.cnt", "1_2_20180808.cnt", "1_2_20180810.cnt", "1_3_20180808.cnt")
    message = "expected one raw recording of subject 1, session 2, found 1_2_20180808.cnt, 1_2_2018"
    with pytest.raises(DatasetCorruptedError, match=message):
        raw_names(tmp_path, *names).files("1")


@pytest.mark.usefixtures("short_films")
def test_a_raw_recording_that_ends_before_the_last_film(
    short_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = (*SHORT["2"][:-1], 59)
    monkeypatch.setitem(seed_v.STARTS, "2", late)  # type: ignore[arg-type]
    monkeypatch.setitem(seed_v.STOPS, "2", (*late[1:], 63))  # type: ignore[arg-type]
    with pytest.raises(
        DatasetCorruptedError, match=r"1_2_20180810\.cnt: expected a recording of at"
    ):
        read_all(short_root, raw=True)


# ---- the datamodule


def test_the_datamodule_knows_its_inputs_before_any_file(tmp_path: Path, build: Any) -> None:
    module = build(SEED_V, tmp_path, signals=["eeg_de", "eye"], window=40.0, stride=20.0)
    shapes = {name: (spec.n_channels, spec.n_times) for name, spec in module.inputs.items()}
    assert shapes == {"eeg_de": (310, 10), "eye": (33, 10)}
    assert module.n_classes == 5
    assert module.dataset.name == "seed_v"
    assert SEED_V.window_inputs(["eeg"], 40.0)["eeg"].n_times == 8000
    with pytest.raises(DatasetNotFoundError, match=r"no EEG_DE_features/1_123\.npz"):
        module.prepare_data()


def test_the_task() -> None:
    (task,) = SEED_V.tasks.values()
    segments = [Segment(0.0, 4.0, 1, {"condition": name}) for name in (*EMOTIONS, "anger")]
    assert [task.label("1", segment) for segment in segments] == [0, 1, 2, 3, 4, None]
    assert task.classes == ("disgust", "fear", "sad", "neutral", "happy")


def test_declarations() -> None:
    assert SEED_V.trial_seconds == (48.0, 296.0)
    assert SEED_V.splits[0] == "subject_stimulus_k_fold"
    assert set(SEED_V.splits) == {
        *("leave_one_subject_out", "subject_k_fold", "subject_hold_out"),
        *("subject_stimulus_k_fold", "trial_k_fold", "session_out"),
    }
    assert SEED_V.optional == {
        "eeg": "raw",
        "eeg_study": "study",
        "eeg_study_pooled": "study",
    }
    assert replace(SEEDVReader(Path()), raw=True).raw


def test_batches_of_every_part(root: Path, tmp_path: Path, build: Any) -> None:
    module = build(
        SEED_V,
        root,
        signals=["eeg_de", "eye"],
        subjects=["3", "1", "2"],
        split="leave_one_subject_out",
        window=40.0,
        stride=20.0,
        batch_size=8,
        cache_dir=tmp_path,
    )
    module.prepare_data()
    module.setup()
    assert module.subjects == ("1", "2", "3")
    loaders = (module.train_dataloader(), module.val_dataloader(), module.test_dataloader())
    for loader in loaders:
        batch = next(iter(loader))
        assert batch.signals["eeg_de"].shape == (8, 310, 10)
        assert batch.signals["eye"].shape == (8, 33, 10)
        for window in batch.signals.values():
            assert torch.isfinite(window).all()
        targets = {int(target) for batch in loader for target in batch.target}
        assert targets == {0, 1, 2, 3, 4}
    test = module.windows("test")
    assert len(set(test.recording.tolist())) == 45

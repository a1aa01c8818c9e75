import io
import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from datamodules.cache import store_subject
from datamodules.deap import DEAP, SUBJECTS, DEAPReader
from datamodules.errors import (
    AffectbenchError,
    DatasetCorruptedError,
    DatasetNotFoundError,
    IncompatibleRunError,
)
from datamodules.formats.pickles import load_arrays
from datamodules.signals.recording import Fault, Recording, Segment
from datamodules.stored import as_recording
from datamodules.synthesis import deap as synthesis
from datamodules.synthesis.pickles import write_python2_binary

PARTS = ("train", "val", "test")

# Written by cPickle of Python 2.7.18 with numpy 1.16.6, protocol 2:
# {"labels": [[7.71, 7.6]], "data": [[[0, 1, 2], [3, 4, 5]]]}, arrays of float64.
CPICKLE = (
    b"\x80\x02}q\x01(U\x06labelsq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
    b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x06U\x02f8K\x00K\x01"
    b"\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x10\xd7\xa3p=\n"
    b"\xd7\x1e@ffffff\x1e@tbU\x04dataq\x08h\x03h\x04K\x00\x85U\x01b\x87Rq\t(K\x01K\x01K\x02K\x03"
    b"\x87h\x07\x89U0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00"
    b"\x00\x00\x00\x00@\x00\x00\x00\x00\x00\x00\x08@\x00\x00\x00\x00\x00\x00\x10@\x00\x00\x00"
    b"\x00\x00\x00\x14@tbu."
)
# The same of {"labels": zeros (1, 4), "data": zeros (1, 40, 8064)}, up to the last zeros.
LARGE = (
    b"tbU\x04dataq\x08h\x03h\x04K\x00\x85U\x01b\x87Rq\t(K\x01K\x01K(M\x80\x1f\x87h\x07\x89"
    b"T\x00`'\x00\x00"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deap")
    synthesis.write(folder, 3, seed=1, n_videos=3)
    return folder


def plain(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's own, on names of its old modules
        return pickle.loads(path.read_bytes(), encoding="latin1")


def both(found: Any) -> tuple[list[Recording], list[Fault]]:
    found = list(found)
    return (
        [one for one in found if isinstance(one, Recording)],
        [one for one in found if isinstance(one, Fault)],
    )


# ---- the files


def test_bytes_are_those_of_python_2() -> None:
    file = io.BytesIO()
    write_python2_binary(
        {"labels": np.array([[7.71, 7.6]]), "data": np.arange(6.0).reshape(1, 2, 3)}, file
    )
    assert file.getvalue() == CPICKLE
    file = io.BytesIO()
    write_python2_binary({"labels": np.zeros((1, 4)), "data": np.zeros((1, 40, 8064))}, file)
    assert LARGE in file.getvalue()


@pytest.mark.parametrize(
    "value", [3, {"only": "one"}, np.zeros(3, np.float32), np.zeros((2, 3)).T, np.zeros((1,) * 4)]
)
def test_nothing_else_is_pickled(value: object) -> None:
    with pytest.raises(TypeError, match="expected"):
        write_python2_binary(value, io.BytesIO())


def test_the_default_encoding_fails_as_with_the_published_files(root: Path) -> None:
    with pytest.raises(UnicodeDecodeError):
        pickle.loads((root / "data_preprocessed_python" / "s01.dat").read_bytes())


def test_our_unpickler_gives_the_same_bits(root: Path) -> None:
    path = root / "data_preprocessed_python" / "s01.dat"
    ours, theirs = load_arrays(path), plain(path)
    assert list(ours) == list(theirs) == ["labels", "data"]
    for key, values in theirs.items():
        np.testing.assert_array_equal(ours[key], values, strict=True)
        assert values.dtype == np.float64


def test_a_subject_of_full_size(tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1)
    (path,) = tmp_path.rglob("*.dat")
    assert path.relative_to(tmp_path).as_posix() == "data_preprocessed_python/s01.dat"
    assert path.stat().st_size == pytest.approx(103.2e6, rel=1e-3)
    content = load_arrays(path)
    assert content["data"].shape == (40, 40, 8064)
    assert content["labels"].shape == (40, 4)
    assert 1 <= content["labels"].min() < 5 < content["labels"].max() <= 9
    recordings, faults = both(DEAPReader(tmp_path).read("s01"))
    assert [one.segments[0].trial for one in recordings] == list(range(1, 41))
    assert faults == []
    alpha = [band_power(one.signals["eeg"].samples[:, 384:], 8, 12) for one in recordings]
    arousal = [float(one.segments[0].annotations["arousal"]) for one in recordings]
    assert np.corrcoef(np.log(alpha), arousal)[0, 1] < -0.8


def band_power(samples: np.ndarray[Any, Any], low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(samples.shape[1], 1 / 128)
    return float(power[:, (frequency >= low) & (frequency < high)].mean())


def test_without_an_effect_ratings_say_nothing() -> None:
    low, high = np.full((2, 2), 0.1), np.full((2, 2), 0.9)

    def made(stimuli: np.ndarray[Any, Any], effect: float) -> Mapping[str, np.ndarray[Any, Any]]:
        return synthesis._subject(np.random.default_rng(5), "s01", stimuli, effect)

    assert (made(low, 0.0)["labels"] < made(high, 0.0)["labels"])[:, :2].all()
    np.testing.assert_array_equal(made(low, 0.0)["data"], made(high, 0.0)["data"])
    changed = (made(low, 1.0)["data"] != made(high, 1.0)["data"]).any(axis=(0, 2))
    assert changed[[*range(32), 34, 35, 36, 37, 38, 39]].all()
    assert not changed[32:34].any()


def test_a_subject_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=1, n_videos=3)
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert written == ["s01.dat"]
    name = "data_preprocessed_python/s01.dat"
    assert (tmp_path / name).read_bytes() == (root / name).read_bytes()


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data_preprocessed_python"
    folder.mkdir()
    (folder / "s02.dat").touch()
    with pytest.raises(AffectbenchError, match=r"expected no data_preprocessed_python/s02\.dat"):
        synthesis.write(tmp_path, 2, n_videos=1)
    assert [path.name for path in folder.iterdir()] == ["s02.dat"]

    def fail(_: object, file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "write_python2_binary", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path, 1, n_videos=1)
    assert [path.name for path in folder.iterdir()] == ["s02.dat"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 32 subjects, found 0"),
        ({"n_subjects": 33}, "expected 1 to 32 subjects, found 33"),
        ({"effect": -1.0}, "expected an effect of 0 or more"),
        ({"n_videos": 41}, "1 to 40 videos, found 'python' and 41"),
        ({"container": "bdf"}, "expected a container among python, matlab"),
    ],
)
def test_impossible_requests(tmp_path: Path, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **request_)
    assert not (tmp_path / "new").exists()


# ---- the reader, on files made by hand


def content(n_videos: int = 2) -> dict[str, Any]:
    """Channel c of video v holds 1000 v + c, but the resistance, which is 500 kOhm."""
    data = np.zeros((n_videos, 40, 8064))
    data += 1000 * np.arange(n_videos)[:, None, None] + np.arange(40)[:, None]
    data[:, 36] = 5e5
    return {"labels": np.full((n_videos, 4), [2.0, 3.0, 4.0, 6.0]), "data": data}


def put(root: Path, value: Any, name: str = "s01") -> Path:
    path = root / "data_preprocessed_python" / f"{name}.dat"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))
    return path


def read(root: Path, value: Any, **options: Any) -> tuple[list[Recording], list[Fault]]:
    put(root, value)
    return both(DEAPReader(root, n_videos=2, **options).read("s01"))


def test_subjects_in_natural_order() -> None:
    assert SUBJECTS[0] == "s01"
    assert SUBJECTS[8:11] == ("s09", "s10", "s11")
    assert SUBJECTS[-1] == "s32"
    assert len(SUBJECTS) == 32


def test_channels_are_where_the_readme_says(tmp_path: Path) -> None:
    recordings, faults = read(tmp_path, content())
    assert faults == []
    assert [one.subject for one in recordings] == ["s01", "s01"]
    assert [one.session for one in recordings] == ["1", "1"]
    readme = {  # counted from 1, as in the readme
        "eeg": (1, "uV", ("Fp1", "AF3", "F3", "F7")),
        "eog": (33, "uV", ("hEOG", "vEOG")),
        "emg": (35, "uV", ("zEMG", "tEMG")),
        "eda": (37, "uS", ("eda",)),
        "resp": (38, "a.u.", ("resp",)),
        "bvp": (39, "a.u.", ("bvp",)),
        "temp": (40, "degC", ("temp",)),
    }
    for video, recording in enumerate(recordings):
        assert set(recording.signals) == set(readme)
        for name, (first, unit, channels) in readme.items():
            signal = recording.signals[name]
            assert (signal.sfreq, signal.unit) == (128.0, unit)
            assert signal.channels[: len(channels)] == channels
            assert signal.samples.shape == (32 if name == "eeg" else len(channels), 8064)
            expected = 1000 * video + first - 1 + np.arange(len(signal.samples))
            if name == "eda":
                expected = np.array([2.0])
            np.testing.assert_array_equal(signal.samples[:, [0, -1]].T, [expected, expected])
    named = recordings[0].signals["eeg"].channels
    assert [named.index(name) for name in ("Oz", "Pz", "Fp2", "Cz", "O2")] == [14, 15, 16, 23, 31]


def test_the_baseline_is_before_the_segment(tmp_path: Path) -> None:
    value = content()
    value["data"][:, :32, :384] = -1.0
    for recording in read(tmp_path, value)[0]:
        (segment,) = recording.segments
        assert (segment.start, segment.stop) == (3.0, 63.0)
        eeg = recording.signals["eeg"]
        first = round(segment.start * eeg.sfreq)
        assert (eeg.samples[:, first - 1] == -1).all()
        assert (eeg.samples[:, first] != -1).all()


def test_the_stimulus_is_the_video_whose_number_the_row_has(root: Path) -> None:
    for subject in ("s01", "s02"):
        recordings, _ = both(DEAPReader(root, n_videos=3).read(subject))
        names = {s.trial: s.stimulus for r in recordings for s in r.segments}
        assert names
        assert names.items() <= {1: "1", 2: "2", 3: "3"}.items()


def test_a_baseline_is_taken_away_if_asked_for(tmp_path: Path) -> None:
    value = content()
    value["data"][:, 0, :384] = np.linspace(6, 8, 384)
    value["data"][:, 37, 384:] = 5.0
    value["data"][:, 36, :384] = 2.5e5
    (first, _), faults = read(tmp_path, value, subtract_baseline=True)
    assert faults == []
    np.testing.assert_allclose(first.signals["eeg"].samples[0, 384:], -7.0, atol=1e-5)
    np.testing.assert_allclose(first.signals["resp"].samples[0, 384:], 5.0 - 37.0, atol=1e-5)
    np.testing.assert_allclose(first.signals["eda"].samples[0, 384:], 2.0 - 4.0, atol=1e-5)
    assert first.segments[0].start == 3.0


def test_ratings_are_not_rounded_and_ties_are_low(tmp_path: Path) -> None:
    value = content()
    value["labels"] = np.array([[5.9, 5.0, 9.0, 1.0], [5.01, 4.99, 3.3, 7.04]])
    recordings, _ = read(tmp_path, value)
    segments = [recording.segments[0] for recording in recordings]
    assert segments[0].annotations == {
        "valence": 5.9,
        "arousal": 5.0,
        "dominance": 9.0,
        "liking": 1.0,
    }
    assert [segment.trial for segment in segments] == [1, 2]

    def labels(task: str) -> list[int | None]:
        return [DEAP.tasks[task].label("s01", segment) for segment in segments]

    assert labels("valence") == [1, 1]
    assert labels("arousal") == [0, 0]
    assert list(DEAP.tasks) == ["valence", "arousal"]
    assert DEAP.tasks["valence"].classes == ("low", "high")
    unrated = Segment(0.0, 1.0, 1, {"liking": 3.0})
    assert DEAP.tasks["valence"].label("s01", unrated) is None


def test_resistances_that_are_not_of_skin_are_kept_and_put_on_record(tmp_path: Path) -> None:
    value = content()
    wave = 3000 * np.sin(np.arange(8064) / 500)
    value["data"][0, 36] = wave
    value["data"][1, 36, 4000:] = 2.5e5
    value["data"][1, 36, 3997:4000] = [0.0, -1e5, 3.0]
    recordings, faults = read(tmp_path, value)
    assert [(fault.trial, fault.omitted, fault.session) for fault in faults] == [
        (1, False, "1"),
        (2, False, "1"),
    ]
    assert "eda: all of the samples below 10000 Ohm" in faults[0].reason
    assert "eda: under 1 % of the samples below 10000 Ohm" in faults[1].reason
    eda = recordings[0].signals["eda"].samples[0]
    np.testing.assert_allclose(eda, 1e6 / (wave - wave.min() + 1e5), rtol=1e-6)
    repaired = recordings[1].signals["eda"].samples[0]
    np.testing.assert_allclose(repaired[3995:4002], [2, 2, 2.5, 3, 3.5, 4, 4], rtol=1e-6)


def test_stored_gsr_is_the_numbers_of_the_file(tmp_path: Path) -> None:
    value = content()
    value["data"][0, 36] = wave = 3000 * np.sin(np.arange(8064) / 500)
    recordings, faults = read(tmp_path, value, stored_gsr=True)
    assert faults == []
    eda = recordings[0].signals["eda"]
    assert eda.unit == "Ohm"
    np.testing.assert_array_equal(eda.samples[0], wave.astype(np.float32))


def test_trials_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    value = content()
    value["data"][0, 36] = np.nan
    value["data"][0, 5, 100] = np.inf
    value["labels"][0, 1] = np.nan
    value["data"][1, 36, 7] = np.inf
    recordings, faults = read(tmp_path, value)
    assert recordings == []
    assert [(fault.trial, fault.omitted) for fault in faults] == [(1, True), (2, True)]
    assert faults[0].reason == (
        "eeg: under 1 % of the samples NaN or infinite; eda: all of the samples NaN or infinite; "
        "arousal: no rating from 1 to 9"
    )
    assert faults[1].reason == "eda: under 1 % of the samples NaN or infinite"


def test_ratings_that_no_task_needs_may_be_missing(tmp_path: Path) -> None:
    value = content()
    value["labels"][0, 3] = np.nan
    value["labels"][1, 0] = 9.5
    (recording,), (fault,) = read(tmp_path, value)
    assert recording.segments[0].annotations == {"valence": 2.0, "arousal": 3.0, "dominance": 4.0}
    assert (fault.trial, fault.reason) == (2, "valence: no rating from 1 to 9")


def test_both_containers_and_both_roots_hold_the_same(tmp_path: Path) -> None:
    for container in ("python", "matlab"):
        synthesis.write(tmp_path, 1, container=container, n_videos=2)
    inside = tmp_path / "data_preprocessed_python"
    readers = [
        DEAPReader(tmp_path, n_videos=2),
        DEAPReader(inside, n_videos=2),
        DEAPReader(tmp_path, "matlab", n_videos=2),
    ]
    assert [reader.files("s01")[0].name for reader in readers] == ["s01.dat", "s01.dat", "s01.mat"]
    found = [both(reader.read("s01")) for reader in readers]
    for recordings, faults in found[1:]:
        assert faults == found[0][1]
        for one, other in zip(found[0][0], recordings, strict=True):
            assert one.segments == other.segments
            for name, signal in one.signals.items():
                np.testing.assert_array_equal(
                    signal.samples, other.signals[name].samples, strict=True
                )


# ---- files that are not there, or not the publisher's


@pytest.mark.parametrize("subject", ["s1", "s33", "S01"])
def test_subjects_that_do_not_exist(root: Path, subject: str) -> None:
    for ask in (DEAPReader(root).files, lambda name: list(DEAPReader(root).read(name))):
        with pytest.raises(DatasetNotFoundError, match=f"no subject '{subject}'"):
            ask(subject)


def test_a_subject_that_is_not_there(root: Path) -> None:
    with pytest.raises(
        DatasetNotFoundError,
        match=r"no data_preprocessed_python/s07\.dat in .* of whom 3 of 32 .* container='matlab'",
    ):
        DEAPReader(root).files("s07")


@pytest.mark.parametrize("options", [{"container": "bdf"}, {"n_videos": 0}, {"n_videos": 41}])
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(IncompatibleRunError, match="expected container among python, matlab"):
        DEAPReader(tmp_path, **options)


SPOILT = {
    "no labels": ({"data": content()["data"]}, "expected a key 'labels', found .*data"),
    "no dict": ([1, 2], "expected a key 'data', found a list"),
    "bytes as keys": ({b"data": 1, b"labels": 2}, "expected a key 'data'"),
    "too few videos": (content(1), r"data: .* \(2, 40, 8064\), found float64 \(1, 40, 8064\)"),
    "baseline cut off": (
        {**content(), "data": content()["data"][:, :, 384:]},
        r"data: .* found float64 \(2, 40, 7680\)",
    ),
    "channels last": (
        {**content(), "data": content()["data"].transpose(0, 2, 1)},
        r"data: .* found float64 \(2, 8064, 40\)",
    ),
    "eeg alone": (
        {**content(), "data": content()["data"][:, :32]},
        r"data: .* found float64 \(2, 32, 8064\)",
    ),
    "text": ({**content(), "data": "none"}, "data: .* found a str"),
    "truth values": ({**content(), "data": content()["data"] > 0}, "data: .* found bool"),
    "three ratings": (
        {**content(), "labels": content()["labels"][:, :3]},
        r"labels: .* \(2, 4\), found float64 \(2, 3\)",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    value, message = SPOILT[name]
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        read(tmp_path, value)
    assert "s01.dat" in str(caught.value)


def test_a_file_of_three_videos_is_not_taken_for_forty(root: Path) -> None:
    with pytest.raises(DatasetCorruptedError, match=r"expected numbers of shape \(40, 40, 8064\)"):
        list(DEAPReader(root).read("s01"))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_files_cut_short(root: Path, tmp_path: Path, share: float) -> None:
    raw = (root / "data_preprocessed_python" / "s01.dat").read_bytes()
    (tmp_path / "s01.dat").write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(DatasetCorruptedError, match=r"s01\.dat: expected a whole pickle"):
        list(DEAPReader(tmp_path, n_videos=3).read("s01"))


def test_matlab_files_cut_short_or_without_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "s01.mat"
    savemat(path, {"data": content()["data"]})
    reader = DEAPReader(tmp_path, "matlab", n_videos=2)
    with pytest.raises(DatasetCorruptedError, match=r"s01\.mat: expected a variable 'labels'"):
        list(reader.read("s01"))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DatasetCorruptedError, match=r"s01\.mat: expected a whole Matlab file"):
        list(reader.read("s01"))


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_a_pickle_that_runs_something_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetCorruptedError, match=r"refused and nothing was run"):
        read(tmp_path, {**content(), "more": Evil()})
    assert not (tmp_path / "harm").exists()


# ---- to batches


def test_made_up_subjects_with_their_faults(root: Path) -> None:
    found = {name: both(DEAPReader(root, n_videos=3).read(name)) for name in ("s01", "s02", "s03")}
    assert [len(recordings) for recordings, _ in found.values()] == [3, 3, 3]
    assert [[fault.trial for fault in faults] for _, faults in found.values()] == [
        [],
        [1, 2, 3],
        [2],
    ]
    (dropout,) = found["s03"][1]
    assert "under 1 % of the samples" in dropout.reason
    content = load_arrays(root / "data_preprocessed_python" / "s01.dat")
    eda = found["s01"][0][0].signals["eda"].samples
    np.testing.assert_allclose(eda[0], 1e6 / content["data"][0, 36], rtol=1e-6)


def test_the_datamodule_knows_its_inputs_before_any_file(tmp_path: Path, build: Any) -> None:
    module = build(DEAP, tmp_path, "arousal", signals=["eeg", "eda_phasic"], window=4.0)
    shapes = {name: (spec.n_channels, spec.n_times) for name, spec in module.inputs.items()}
    assert shapes == {"eeg": (32, 512), "eda_phasic": (1, 512)}
    assert (module.n_classes, module.dataset.name) == (2, "deap")
    assert DEAP.splits == (
        "subject_stimulus_k_fold",
        "leave_one_subject_out",
        "subject_k_fold",
        "subject_hold_out",
        "trial_k_fold",
    )


def test_from_files_to_batches(root: Path, tmp_path: Path, build: Any) -> None:
    module = build(
        DEAP,
        root,
        signals=["eeg", "eda"],
        split="leave_one_subject_out",
        subjects=["s01", "s02", "s03"],
        window=20.0,
        stride=20.0,
        batch_size=2,
        cache_dir=tmp_path,
        options={"n_videos": 3},
    )
    module.prepare_data()
    module.setup()
    loaders = (module.train_dataloader(), module.val_dataloader(), module.test_dataloader())
    for part, loader in zip(PARTS, loaders, strict=True):
        batch = next(iter(loader))
        assert batch.signals["eeg"].shape == (2, 32, 2560)
        assert batch.signals["eda"].shape == (2, 1, 2560)
        assert all(signal.isfinite().all() for signal in batch.signals.values())
        windows = module.windows(part)
        assert len(windows) == 9
        np.testing.assert_array_equal(np.unique(windows.start), [3.0, 23.0, 43.0])
    stored = store_subject(tmp_path / "deap", module.reader, module.dataset.preprocessing, "s03")
    assert [fault.trial for fault in stored.faults] == [2]
    found = {
        name: (len(s.channels), s.sfreq) for name, s in as_recording(stored, 0).signals.items()
    }
    assert found == dict(DEAP.signals)

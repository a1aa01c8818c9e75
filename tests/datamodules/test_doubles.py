"""Doubles: files that are copied under a second name, and trials that are stored twice."""

import pickle
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import archive as archive_module
from datamodules.archive import Archive
from datamodules.catalogue import DATASETS
from datamodules.doubles import check_parts, check_people, find_doubles
from datamodules.errors import LeakError
from datamodules.repeats import Repeat, find_repeats
from datamodules.resident import Resident
from datamodules.signals.recording import Recording
from datamodules.stored import StoredSubject
from datamodules.synthesis import deap
from datamodules.synthesis.pickles import write_python2_binary
from datamodules.tasks import ConditionTask
from datamodules.windows import WindowIndex, index_windows

AMIGOS = "data_preprocessed/Data_Preprocessed_P{0}/Data_Preprocessed_P{0}.mat"
FILES = {
    "wesad": {"S2/S2.pkl": "S3/S3.pkl"},
    "deap": {"data_preprocessed_python/s01.dat": "data_preprocessed_python/s02.dat"},
    "amigos": {AMIGOS.format("01"): AMIGOS.format("02")},
    "seed_v": {
        f"{folder}/1_123.npz": f"{folder}/2_123.npz"
        for folder in ("EEG_DE_features", "Eye_movement_features")
    },
    "empatica_e4": {
        f"P01/{name}.csv": f"P02/{name}.csv" for name in ("ACC", "BVP", "EDA", "TEMP", "tags")
    },
}
"""A subject's files, and the names under which they are copied over those of the next subject."""


@pytest.mark.parametrize("name", FILES)
def test_a_file_under_another_name(name: str, small_datasets: Any, tmp_path: Path) -> None:
    honest = small_datasets.module(name)
    honest.setup()
    root = tmp_path / "raw"
    shutil.copytree(small_datasets.root(name), root)
    for source, target in FILES[name].items():
        shutil.copyfile(root / source, root / target)
    if name == "wesad":
        path = root / "S3" / "S3.pkl"
        content = pickle.loads(path.read_bytes(), encoding="latin1")
        path.write_bytes(pickle.dumps({**content, "subject": "S3"}, protocol=3))
    if name == "empatica_e4":
        rows = (root / "labels.csv").read_text().splitlines()
        rows = [row for row in rows if not row.startswith("P02")]
        copies = [row.replace("P01", "P02") for row in rows if row.startswith("P01")]
        (root / "labels.csv").write_text("\n".join([*rows, *copies]) + "\n")

    one, other, _ = honest.subjects
    copied = small_datasets.module(name, root=root, cache_dir=tmp_path / "cache")
    with pytest.raises(LeakError, match=rf"leak: {one} and {other} share .* of \w+.*--subject"):
        copied.setup()
    for name in (one, other):
        rest = tuple(stored for stored in copied._stored if stored.subject != name)
        check_people(Archive(rest))


def test_a_trial_that_is_stored_twice(tmp_path: Path, build: Callable[..., Any]) -> None:
    folder = tmp_path / "raw" / "data_preprocessed_python"
    deap.write(tmp_path / "raw", 1, n_videos=5)
    (path,) = folder.iterdir()

    def outcomes(cache: str) -> list[str]:
        found = []
        for fold in range(5):
            module = build(
                DATASETS["deap"],
                tmp_path / "raw",
                signals=["bvp"],
                split="trial_k_fold",
                fold=fold,
                window=20.0,
                cache_dir=tmp_path / cache,
                options={"n_videos": 5},
                subjects=["s01"],
            )
            module.prepare_data()
            try:
                module.setup()
                found.append("")
            except LeakError as error:
                found.append(str(error))
        return found

    assert outcomes("honest") == [""] * 5
    content = pickle.loads(path.read_bytes(), encoding="latin1")
    content["data"][4] = content["data"][0]
    with path.open("wb") as file:
        write_python2_binary(content, file)
    refusals = outcomes("doubled")
    # Where both are trained on, nothing leaks.
    assert 2 <= sum(map(bool, refusals)) <= 4
    expected = (
        r"leak: s01, session 1, has the same \w+ at .* s, in (\w+), as session 1 at .*, in (\w+)"
    )
    for refusal in filter(None, refusals):
        match = re.match(expected, refusal)
        assert match
        assert match[1] != match[2]


# ---- on samples that are known

TASK = ConditionTask("stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test")
SPANS = [(0.0, 300.0, "rest"), (300.0, 600.0, "stress")]


@pytest.fixture
def twice(archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]) -> Archive:
    """S1, whose second session has the first five minutes of the first one, 100 s later; and S2."""
    first, second = (make_recording("S1", SPANS, seed, session=str(seed)) for seed in (1, 2))
    for name, signal in second.signals.items():
        begin, count = round(100 * signal.sfreq), round(300 * signal.sfreq)
        signal.samples[:, begin : begin + count] = first.signals[name].samples[:, :count]
    return archive_of({"S1": (first, second), "S2": (make_recording("S2", SPANS, 3),)})


def windows(archive: Archive, recording: int, first: float, last: float) -> WindowIndex:
    index = index_windows(archive, TASK, 10.0, 10.0, None, in_units=False)
    rows = (index.recording == recording) & (index.start >= first) & (index.start < last)
    return index.take(np.flatnonzero(rows))


def test_what_is_shared(twice: Archive) -> None:
    (double,) = find_doubles(twice.recordings, twice.repeats)
    assert (double.subject, double.other) == ("S1", "S1")
    assert (double.first[0], double.second[0]) == ("1", "2")
    assert 0 <= double.first[1] < 60
    assert double.second[1] == double.first[1] + 100
    assert all(200 < seconds <= 300 for seconds in double.seconds.values())
    assert re.match(
        r"S1 has \d\.\d min of \w+, \d\.\d min of \w+ twice \(session 1 at ", str(double)
    )
    check_people(twice)


@pytest.mark.parametrize(
    ("train", "test", "leaks"),
    [
        ((0, 0, 300), (1, 100, 400), True),
        ((1, 100, 400), (0, 0, 300), True),
        ((0, 140, 150), (1, 240, 250), True),
        ((0, 140, 150), (1, 140, 150), False),
        ((0, 140, 150), (1, 250, 400), False),
        ((0, 0, 300), (1, 410, 600), False),
        ((0, 310, 600), (1, 0, 600), False),
        ((0, 0, 300), (2, 0, 600), False),
    ],
)
def test_a_stretch_in_two_parts(
    twice: Archive, train: tuple[int, int, int], test: tuple[int, int, int], leaks: bool
) -> None:
    parts = {"train": windows(twice, *train), "test": windows(twice, *test)}
    assert all(map(len, parts.values()))
    if not leaks:
        check_parts(twice, parts)
        return
    first, second = (train, test) if train[0] == 0 else (test, train)
    sides = {train: "train", test: "test"}
    message = rf"S1, session 1, has the same \w+ at .*, in {sides[first]}, as session 2 at .* s, in"
    with pytest.raises(LeakError, match=f"{message} {sides[second]}"):
        check_parts(twice, parts)


def test_a_stretch_twice_in_one_part_is_no_leak(twice: Archive) -> None:
    everything = index_windows(twice, TASK, 10.0, 10.0, None, in_units=False)
    own = everything.take(np.flatnonzero(everything.recording < 2))
    check_parts(twice, {"train": own, "test": windows(twice, 2, 0, 600)})


def test_pairs_are_named_and_counted_together(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    def trials(name: str, seed: int) -> tuple[Recording, ...]:
        return tuple(
            make_recording(name, SPANS, 10 * seed + session, session=str(session))
            for session in range(3)
        )

    people = {f"S{seed}": trials(f"S{seed}", seed) for seed in range(14)}
    people |= {
        f"copy{seed}": tuple(replace(r, subject=f"copy{seed}") for r in people[f"S{seed}"])
        for seed in range(7)
    }
    archive = archive_of(people)
    doubles = find_doubles(archive.recordings, archive.repeats)
    assert {(d.subject, d.other) for d in doubles} == {(f"S{k}", f"copy{k}") for k in range(7)}
    assert all(1500 < d.seconds["fast"] <= 1801.5 for d in doubles)
    with pytest.raises(LeakError, match=r"S4 and copy4 share [^;]*;[^;]*; \.\.\.: expected"):
        check_people(archive)


def test_recordings_are_compared_once_for_all_folds(
    small_datasets: Any, resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(subjects: Sequence[StoredSubject]) -> tuple[Repeat, ...]:
        calls.append(len(subjects))
        return find_repeats(subjects)

    monkeypatch.setattr(archive_module, "find_repeats", counted)
    for fold in range(3):
        small_datasets.module("synthetic", fold=fold, split="leave_one_subject_out").setup()
    assert calls == [3]

"""Repeats: copies whole, moved and cut are found where they are; other people are not."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import repeats as module
from datamodules.archive import Archive
from datamodules.cache import store_subject
from datamodules.catalogue import DATASETS
from datamodules.doubles import find_doubles
from datamodules.repeats import find_repeats
from datamodules.signals.recording import STATIC_RATE, Recording, Signal
from datamodules.stored import StoredSubject

ArchiveOf = Callable[[Mapping[str, tuple[Recording, ...]]], Archive]
RATES = {"eda": (1, 4.0), "bvp": (1, 16.0), "eeg": (3, 32.0)}
MINUTES = 20


@pytest.fixture
def person(make_recording: Callable[..., Recording]) -> Callable[..., Recording]:
    """Twenty minutes of somebody, who is new for each name and seed."""

    def made(name: str, seed: int, minutes: float = MINUTES, **more: Any) -> Recording:
        return make_recording(name, [(0.0, 60.0 * minutes, "rest")], seed, rates=RATES, **more)

    return made


def part(recording: Recording, name: str, first: float, last: float) -> Recording:
    """A stretch of a recording, as a recording of somebody."""
    signals = {
        key: replace(
            signal,
            samples=signal.samples[:, round(first * signal.sfreq) : round(last * signal.sfreq)],
        )
        for key, signal in recording.signals.items()
    }
    return Recording(name, recording.session, signals, ())


def stored(
    recordings: Mapping[str, tuple[Recording, ...]], list_reader: Any, cache: Path
) -> tuple[StoredSubject, ...]:
    reader = list_reader(recordings)
    return tuple(store_subject(cache, reader, {}, name) for name in reader.subjects)


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 1200), (1, 1200), (30, 1200), (600, 1200), (0, 600), (401.25, 501.25)],
    ids=["whole", "a second", "half a minute", "first half cut", "second half cut", "100 s"],
)
def test_a_copy_is_found_where_it_is(
    archive_of: ArchiveOf, person: Callable[..., Recording], first: float, last: float
) -> None:
    original = person("S1", 1)
    people = [original, person("S2", 2), part(original, "S3", first, last), person("S4", 4)]
    repeats = archive_of({one.subject: (one,) for one in people}).repeats
    assert {repeat.signal for repeat in repeats} == set(RATES)
    for repeat in repeats:
        assert (repeat.recording, repeat.other) == (0, 2)
        assert repeat.shift == -first
        # Blocks begin some seconds apart, and the last one ends before the stretch does.
        assert first <= repeat.start < first + 40
        assert last - 40 < repeat.stop <= last + 0.5
        assert 0.6 * (last - first) < repeat.seconds <= repeat.stop - repeat.start


def test_a_copy_begins_later_in_its_recording(
    archive_of: ArchiveOf, person: Callable[..., Recording]
) -> None:
    original, other = person("S1", 1), person("S2", 2)
    for name, signal in other.signals.items():
        first = round(300 * signal.sfreq)
        minutes = original.signals[name].samples[:, : round(180 * signal.sfreq)]
        signal.samples[:, first : first + minutes.shape[1]] = minutes
    repeats = archive_of({"S1": (original,), "S2": (other,)}).repeats
    assert {(repeat.signal, repeat.shift) for repeat in repeats} == {(s, 300.0) for s in RATES}
    assert all(repeat.start < 30 and 140 < repeat.stop <= 180 for repeat in repeats)


def test_one_signal_is_enough(archive_of: ArchiveOf, person: Callable[..., Recording]) -> None:
    original, other = person("S1", 1), person("S2", 2)
    mixed = replace(other, signals={**other.signals, "bvp": original.signals["bvp"]})
    repeats = archive_of({"S1": (original,), "S2": (mixed,)}).repeats
    assert [repeat.signal for repeat in repeats] == ["bvp"]


def test_a_minute_is_a_repeat_and_half_of_it_is_not(
    archive_of: ArchiveOf, person: Callable[..., Recording]
) -> None:
    for seconds, expected in ((30, 0), (90, len(RATES))):
        original, other = person("S1", 1), person("S2", 2)
        for name, signal in other.signals.items():
            count = round(seconds * signal.sfreq)
            signal.samples[:, :count] = original.signals[name].samples[:, :count]
        assert len(archive_of({"S1": (original,), "S2": (other,)}).repeats) == expected


def test_a_trial_that_is_stored_twice(
    archive_of: ArchiveOf, person: Callable[..., Recording]
) -> None:
    trials = [person("S1", number, 0.5, session=str(number)) for number in range(6)]
    trials[4] = replace(trials[1], session="4")
    repeats = archive_of({"S1": tuple(trials)}).repeats
    assert {(r.recording, r.other, r.shift) for r in repeats} == {(1, 4, 0.0)}
    assert "eeg" in {repeat.signal for repeat in repeats}


def test_a_recording_that_repeats_itself(
    archive_of: ArchiveOf, person: Callable[..., Recording]
) -> None:
    original = person("S1", 1)
    twice = {
        name: replace(signal, samples=np.tile(signal.samples[:, : round(400 * signal.sfreq)], 2))
        for name, signal in original.signals.items()
    }
    repeats = archive_of({"S1": (replace(original, signals=twice, segments=()),)}).repeats
    assert {(r.signal, r.recording, r.other, r.shift) for r in repeats} == {
        (name, 0, 0, 400.0) for name in RATES
    }


def test_channels_that_are_equal_are_no_repeat(
    archive_of: ArchiveOf, person: Callable[..., Recording]
) -> None:
    original = person("S1", 1)
    original.signals["eeg"].samples[1:] = original.signals["eeg"].samples[0]
    assert not archive_of({"S1": (original,)}).repeats


def test_a_recording_of_one_block(
    archive_of: ArchiveOf, make_recording: Callable[..., Recording]
) -> None:
    """The block of the whole recording may be one that begins where the samples say so."""
    for seed in range(300):
        short = make_recording("S1", [(0.0, 7.5, "rest")], seed, rates={"eda": (1, 8.0)})
        assert short.signals["eda"].samples.shape == (1, 64)
        assert not archive_of({"S1": (short,)}).repeats


def test_many_copies(
    archive_of: ArchiveOf, person: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = person("S1", 1, 3)
    people = {f"S{n}": (replace(original, subject=f"S{n}"),) for n in range(6)}
    pairs = {(r.recording, r.other) for r in archive_of(people).repeats}
    assert pairs == {(a, b) for a in range(6) for b in range(6) if a < b}
    monkeypatch.setattr(module, "NEIGHBOURS", 2)
    pairs = {(r.recording, r.other) for r in archive_of(people).repeats}
    assert pairs == {(a, b) for a in range(6) for b in range(6) if 0 < b - a <= 2}


def test_what_people_have_in_common_is_no_repeat(
    archive_of: ArchiveOf, make_recording: Callable[..., Recording]
) -> None:
    """The same song, a sensor that was not worn, a temperature in steps, a hand that rests."""

    def made(name: str, seed: int) -> Recording:
        rng = np.random.default_rng(seed)
        own = make_recording(name, [(0.0, 1200.0, "rest")], seed, rates={"bvp": (1, 16.0)})
        samples = {
            "music": (np.random.default_rng(0).normal(size=(300, 1)), STATIC_RATE),
            "eda": (np.repeat([[0.0, 0.0013]], 2401, axis=0).reshape(1, -1), 4.0),
            "temp": (np.round(33 + np.arange(4802)[None] / 4000, 2), 4.0),
            "acc": (rng.integers(-2, 3, (3, 4802)) / 64, 4.0),
        }
        more = {
            key: Signal(
                values.astype(np.float32), rate, tuple(map(str, range(len(values)))), "a.u."
            )
            for key, (values, rate) in samples.items()
        }
        return replace(own, signals={**own.signals, **more})

    people = {f"S{seed}": (made(f"S{seed}", seed),) for seed in range(4)}
    assert not archive_of(people).repeats


def test_recordings_without_a_block(
    archive_of: ArchiveOf, make_recording: Callable[..., Recording]
) -> None:
    short = make_recording("S1", [(0.0, 3.0, "rest")], 1, rates={"eda": (1, 4.0)})
    assert archive_of({"S1": (short,), "S2": (replace(short, subject="S2"),)}).repeats == ()
    assert find_repeats(()) == ()


# ---- the catalogue, and real recordings


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset(name: str, small_datasets: Any, tmp_path: Path, list_reader: Any) -> None:
    """Nothing is shared by made-up people; a person under a second name is found."""
    datamodule = small_datasets.module(name)
    people = {
        subject: tuple(r for r in datamodule.reader.read(subject) if isinstance(r, Recording))
        for subject in datamodule.subjects
    }
    assert not find_repeats(stored(people, list_reader, tmp_path / "people"))
    copied = next(iter(people))
    people["copy"] = tuple(replace(recording, subject="copy") for recording in people[copied])
    repeats = find_repeats(stored(people, list_reader, tmp_path / "copied"))
    count = len(people[copied])
    total = sum(map(len, people.values()))
    assert {(r.recording, r.other) for r in repeats} == {
        (row, total - count + row) for row in range(count)
    }


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("AFFECTBENCH_DATA")
    if not folder:
        pytest.skip("AFFECTBENCH_DATA names no folder")
    return Path(folder)


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in DATASETS if DATASETS[name].has_files])
def test_published_people_share_nothing(name: str, real: Path, tmp_path: Path) -> None:
    if not (real / name).is_dir():
        pytest.skip(f"no {name} in {real}")
    reader = DATASETS[name].make_reader(real / name)
    people = tuple(store_subject(tmp_path, reader, {}, subject) for subject in reader.subjects)
    recordings = [recording for subject in people for recording in subject.recordings]
    doubles = find_doubles(recordings, find_repeats(people))
    assert not [str(double) for double in doubles if double.subject != double.other]


@pytest.mark.data
def test_a_published_person_under_a_second_name(
    real: Path, tmp_path: Path, list_reader: Any
) -> None:
    """Without the first ten minutes and a half, against all others."""
    if not (real / "stress_predict").is_dir():
        pytest.skip(f"no stress_predict in {real}")
    reader = DATASETS["stress_predict"].make_reader(real / "stress_predict")
    people = [store_subject(tmp_path, reader, {}, subject) for subject in reader.subjects]
    for number, subject in enumerate(reader.subjects):
        (recording,) = reader.read(subject)
        last = min(signal.duration for signal in recording.signals.values())
        later = {"copy": (part(recording, "copy", 630.5, last),)}
        repeats = find_repeats([*people, *stored(later, list_reader, tmp_path / subject)])
        assert {(r.recording, r.other, r.shift) for r in repeats} == {(number, 34, -630.5)}
        assert "bvp" in {repeat.signal for repeat in repeats}

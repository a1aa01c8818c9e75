import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from datamodules import cache
from datamodules.archive import Archive
from datamodules.cache import store_subject, written_folder
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.signals.preprocessing import Derived, Preprocessing
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.signals.steps import Step
from datamodules.stored import StoredSubject, as_recording, samples_file, signal_folder


@dataclass(frozen=True)
class FileReader:
    """Reads one row of numbers a subject: eda at 4 Hz."""

    root: Path
    factor: float = 1.0

    @property
    def subjects(self) -> tuple[str, ...]:
        return ("S1", "S2")

    def files(self, subject: str) -> tuple[Path, ...]:
        path = self.root / f"{subject}.txt"
        if not path.is_file():
            raise DatasetNotFoundError(f"no {path}")
        return (path,)

    def read(self, subject: str) -> Iterator[Recording]:
        numbers = np.loadtxt(self.root / f"{subject}.txt", dtype=np.float32, ndmin=2)
        signal = Signal(numbers * np.float32(self.factor), 4.0, ("eda",), "uS")
        segment = Segment(0.25, 1.0, 3, {"condition": "stress", "valence": 5.5})
        yield Recording(subject, "1", {"eda": signal}, (segment,))


@dataclass(frozen=True)
class Doubled(Step):
    """A step."""

    times: float = 2.0

    def __call__(self, signal: Signal) -> Signal:
        return replace(signal, samples=signal.samples * np.float32(self.times))


class Halved(Doubled):
    """Another."""


class NeverReader(FileReader):
    """As if it were the same class, but it may not read."""

    def read(self, subject: str) -> Iterator[Recording]:
        raise AssertionError("a raw file was read again")


@pytest.fixture
def reader(tmp_path: Path) -> FileReader:
    root = tmp_path / "raw"
    root.mkdir()
    (root / "S1.txt").write_text("1 2 3 4 5")
    (root / "S2.txt").write_text("6 7 8 9")
    return FileReader(root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "mine"


def eda_of(stored: StoredSubject) -> list[float]:
    """Values of the file of ``eda``."""
    values: list[float] = np.load(samples_file(signal_folder(stored.folder, "eda"))).tolist()
    return values


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_is_stored_is_what_was_read(reader: FileReader, folder: Path) -> None:
    stored = store_subject(folder, reader, {}, "S1")
    found = as_recording(stored, 0)
    (read,) = reader.read("S1")
    np.testing.assert_array_equal(found.signals["eda"].samples, [[1, 2, 3, 4, 5]], strict=False)
    assert found.signals["eda"].samples.dtype == np.float32
    assert (found.subject, found.session) == ("S1", "1")
    assert found.segments == read.segments
    assert found.signals["eda"].sfreq == 4.0
    assert (found.signals["eda"].channels, found.signals["eda"].unit) == (("eda",), "uS")
    assert stored.files["S1.txt"]["bytes"] == 9
    assert stored.files["S1.txt"]["sha256"] == (
        "2deb4db564eb7bf637bbcd3cf2d964639e63825caaa233dd8d759708b272dd55"
    )


def test_the_second_time_no_raw_file_is_read(
    reader: FileReader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store_subject(folder, reader, {}, "S1")
    monkeypatch.setattr(FileReader, "read", NeverReader.read)
    second = store_subject(folder, reader, {}, "S1")
    assert second == first
    assert entries(folder) == [first.folder.name, f"{first.folder.name}.eda"]
    with pytest.raises(AssertionError, match="read again"):
        store_subject(folder, reader, {}, "S2")


@pytest.mark.parametrize("change", ["size", "time", "option", "step", "step's name", "reader"])
def test_whatever_made_an_entry_makes_another(
    reader: FileReader, folder: Path, change: str
) -> None:
    steps: dict[str, list[Doubled]] = {"eda": [Doubled()]}
    first = store_subject(folder, reader, steps, "S1")
    path = reader.root / "S1.txt"
    samples = [2, 4, 6, 8, 10]
    if change == "size":
        times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        path.write_text("1 2 3 4 5 6")
        os.utime(path, ns=times)
        samples.append(12)
    elif change == "time":
        path.write_text("1 2 3 4 9")
        os.utime(path, ns=(1, 1))
        samples[-1] = 18
    elif change == "option":
        reader = replace(reader, factor=3.0)
        samples = [6, 12, 18, 24, 30]
    elif change == "step":
        steps = {"eda": [Doubled(3.0)]}
        samples = [3, 6, 9, 12, 15]
    elif change == "step's name":
        steps = {"eda": [Halved()]}
    else:

        class FileReader2(FileReader):
            pass

        reader = FileReader2(reader.root)
    second = store_subject(folder, reader, steps, "S1")
    assert second.folder != first.folder
    assert len(entries(folder)) == 4
    assert eda_of(second) == samples
    assert eda_of(first) == [2, 4, 6, 8, 10]
    assert second.content == first.content
    same = second.samples("eda").content == first.samples("eda").content
    assert same == (change in ("step's name", "reader"))


def test_another_place_is_no_change(reader: FileReader, folder: Path, tmp_path: Path) -> None:
    first = store_subject(folder, reader, {}, "S1")
    moved = reader.root.rename(tmp_path / "elsewhere")
    assert store_subject(folder, FileReader(moved), {}, "S1").folder == first.folder


def test_source_code_is_part_of_the_key(
    reader: FileReader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store_subject(folder, reader, {}, "S1")
    monkeypatch.setattr(cache, "code_digest", lambda modules, *_: f"new {sorted(modules)}")
    assert store_subject(folder, reader, {}, "S1").folder != first.folder


def test_steps_change_only_their_signal(reader: FileReader, folder: Path) -> None:
    stored = store_subject(folder, reader, {"bvp": [Doubled()]}, "S1")
    assert eda_of(stored) == [1, 2, 3, 4, 5]
    stored = store_subject(folder, reader, {"eda": [Doubled(), Doubled(5.0)]}, "S1")
    assert eda_of(stored) == [10, 20, 30, 40, 50]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_write_leaves_nothing(
    reader: FileReader,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    real = FileReader.read

    def stops(self: FileReader, subject: str) -> Iterator[Recording]:
        yield from real(self, subject)
        assert len(entries(folder)) == 2
        raise error

    monkeypatch.setattr(FileReader, "read", stops)
    with pytest.raises(error):
        store_subject(folder, reader, {}, "S1")
    assert entries(folder) == []
    monkeypatch.setattr(FileReader, "read", real)
    assert eda_of(store_subject(folder, reader, {}, "S1")) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(
    reader: FileReader, folder: Path, value: float
) -> None:
    (reader.root / "S1.txt").write_text(f"1 2 {value} 4 5")
    with pytest.raises(DatasetCorruptedError, match="S1: eda: expected finite samples"):
        store_subject(folder, reader, {}, "S1")
    assert entries(folder) == []


def test_errors_of_a_reader_name_the_subject(
    reader: FileReader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (reader.root / "S1.txt").write_text("one two")
    with pytest.raises(DatasetCorruptedError, match=r"^S1: .*one"):
        store_subject(folder, reader, {}, "S1")
    monkeypatch.setattr(FileReader, "read", lambda self, subject: iter(()))
    with pytest.raises(DatasetCorruptedError, match="S2: expected at least one recording"):
        store_subject(folder, reader, {}, "S2")
    (reader.root / "S2.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no .*S2\.txt"):
        store_subject(folder, reader, {}, "S2")
    assert entries(folder) == []


def test_the_slower_of_two_takes_what_is_there(
    reader: FileReader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FileReader.read
    quicker = []

    def overtaken(self: FileReader, subject: str) -> Iterator[Recording]:
        if not quicker:
            quicker.append(None)
            quicker.append(store_subject(folder, reader, {}, subject))
        yield from real(self, subject)

    monkeypatch.setattr(FileReader, "read", overtaken)
    slower = store_subject(folder, reader, {}, "S1")
    assert slower == quicker[1]
    assert entries(folder) == [slower.folder.name, f"{slower.folder.name}.eda"]


def test_a_folder_that_cannot_be_named_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"), written_folder(tmp_path / "taken") as temporary:
        (temporary / "x").write_text("")
    assert entries(tmp_path) == ["taken"]


AT_ONCE = """
import json, sys, time
from pathlib import Path
from datamodules.archive import Archive
from datamodules.cache import store_subject
from datamodules.synthetic import SyntheticReader

folder, mine, other = (Path(argument) for argument in sys.argv[1:])
reader = SyntheticReader(n_subjects=2, phase=60.0)
mine.touch()
while not other.exists():
    time.sleep(0.001)
for signals in (["bvp"], None):
    both = [store_subject(folder, reader, {}, name, signals) for name in ("S1", "S2")]
archive = Archive(tuple(both))
print(json.dumps([archive.key, *(float(abs(piece).sum()) for piece in archive.samples("acc"))]))
"""


def test_two_processes_at_once(folder: Path, tmp_path: Path) -> None:
    flags = [str(tmp_path / "one"), str(tmp_path / "two")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(folder), *order],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in (flags, flags[::-1])
    ]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    (one, _), (other, _) = answers
    assert json.loads(one) == json.loads(other)
    found = [(name.split("-")[0], *name.split(".")[1:]) for name in entries(folder)]
    signals = [(), ("acc",), ("bvp",), ("eda",), ("temp",)]
    assert found == [(subject, *signal) for subject in ("S1", "S2") for signal in signals]


# ---- trials that are recordings of their own

TRIALS = (3, 1, 2, 10)


@dataclass(frozen=True)
class TrialReader:
    """Trials of 2 s in two files of the same name; some are left out, some are repaired."""

    root: Path
    omitted: tuple[int, ...] = ()
    repaired: tuple[int, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        return ("S1",)

    def files(self, subject: str) -> tuple[Path, ...]:
        return tuple(self.root / session / "trials.txt" for session in "ab")

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        for path in self.files(subject):
            session = path.parent.name
            numbers = np.loadtxt(path, dtype=np.float32, ndmin=2)
            for place, trial in enumerate(TRIALS):
                if trial in self.omitted:
                    yield Fault(session, trial, f"eda: shorter than {trial % 2 + 1} s")
                    continue
                if trial in self.repaired:
                    yield Fault(session, trial, "eda: a spike", omitted=False)
                stimulus = f"clip {trial}" if session == "b" else ""
                signal = Signal(numbers + np.float32(trial), 4.0, ("eda",), "uS")
                segment = Segment(0.0, 2.0, trial, {"valence": 5.0}, stimulus)
                yield Recording(subject, session, {"eda": signal}, (segment,), 10.0 * place)


@pytest.fixture
def trial_reader(tmp_path: Path) -> TrialReader:
    for session, first in (("a", 0), ("b", 100)):
        (tmp_path / "raw" / session).mkdir(parents=True)
        numbers = " ".join(str(first + n) for n in range(8))
        (tmp_path / "raw" / session / "trials.txt").write_text(numbers)
    return TrialReader(tmp_path / "raw")


def test_a_trial_is_a_recording(trial_reader: TrialReader, folder: Path) -> None:
    stored = store_subject(folder, trial_reader, {}, "S1")
    assert stored.subject == "S1"
    assert [found.session for found in stored.recordings] == ["a"] * 4 + ["b"] * 4
    assert [found.offset for found in stored.recordings] == [0.0, 10.0, 20.0, 30.0] * 2
    keys = ["a/3", "a/1", "a/2", "a/10", "clip 3", "clip 1", "clip 2", "clip 10"]
    assert [found.trial_key(*found.segments) for found in stored.recordings] == keys
    archive = Archive((stored,))
    assert archive.trial_keys.tolist() == keys
    expected = [[first + n + t for n in range(8)] for first in (0, 100) for t in TRIALS]
    assert [piece[0].tolist() for piece in archive.samples("eda")] == expected
    for number, read in enumerate(trial_reader.read("S1")):
        assert isinstance(read, Recording)
        found = as_recording(stored, number)
        assert (found.session, found.offset) == (read.session, read.offset)
        assert found.segments == read.segments
        np.testing.assert_array_equal(found.signals["eda"].samples, read.signals["eda"].samples)


def test_files_of_one_name_are_told_apart(trial_reader: TrialReader, folder: Path) -> None:
    stored = store_subject(folder, trial_reader, {}, "S1")
    assert list(stored.files) == ["a/trials.txt", "b/trials.txt"]
    assert [found["bytes"] for found in stored.files.values()] == [15, 31]
    digests = [found["sha256"] for found in stored.files.values()]
    assert digests == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in trial_reader.files("S1")
    ]
    # In each other's place they are another dataset, although names and sizes are the same.
    one, two = trial_reader.files("S1")
    aside = one.rename(one.with_name("aside"))
    two.rename(one)
    aside.rename(two)
    assert store_subject(folder, trial_reader, {}, "S1").folder != stored.folder


def test_faults_are_kept(trial_reader: TrialReader, folder: Path) -> None:
    reader = replace(trial_reader, omitted=(1,), repaired=(2, 10))
    stored = store_subject(folder, reader, {}, "S1")
    expected = tuple(found for found in reader.read("S1") if isinstance(found, Fault))
    assert len(expected) == 6
    assert stored.faults == expected
    assert store_subject(folder, reader, {}, "S1").faults == expected
    assert [found.segments[0].trial for found in stored.recordings] == [3, 2, 10] * 2
    # Numbers in file names are those of recordings, not of trials.
    assert [float(as_recording(stored, n).signals["eda"].samples[0, 0]) for n in range(6)] == [
        *(3, 2, 10, 103, 102, 110)
    ]
    assert store_subject(folder, trial_reader, {}, "S1").faults == ()


def test_all_trials_left_out(trial_reader: TrialReader, folder: Path) -> None:
    reader = replace(trial_reader, omitted=TRIALS)
    with pytest.raises(
        DatasetCorruptedError,
        match=r"^S1: .* found none; all 8 trials are left out: "
        r"eda: shorter than 1 s; eda: shorter than 2 s$",
    ):
        store_subject(folder, reader, {}, "S1")
    assert entries(folder) == []


# ---- derived signals


@dataclass(frozen=True)
class Halving(Step):
    """A step that takes every other sample."""

    def shape(self, n_channels: int, sfreq: float) -> tuple[int, float]:
        return n_channels, sfreq / 2

    def __call__(self, signal: Signal) -> Signal:
        return replace(
            signal, samples=np.ascontiguousarray(signal.samples[:, ::2]), sfreq=signal.sfreq / 2
        )


def samples_of(reader: FileReader, folder: Path, steps: Preprocessing) -> dict[str, list[float]]:
    stored = store_subject(folder, reader, steps, "S1")
    archive = Archive((stored,))
    return {name: archive.samples(name)[0][0].tolist() for name in stored.signals}


def test_derived_signals_come_after_the_steps_of_their_source(
    reader: FileReader, folder: Path
) -> None:
    steps: Preprocessing = {
        "eda": (Doubled(),),
        "eda_ten": Derived("eda", (Doubled(), Doubled(2.5))),
        "eda_slow": Derived("eda_ten", (Halving(),)),
    }
    assert samples_of(reader, folder, steps) == {
        "eda": [2, 4, 6, 8, 10],
        "eda_ten": [10, 20, 30, 40, 50],
        "eda_slow": [10, 30, 50],
    }
    archive = Archive((store_subject(folder, reader, steps, "S1"),))
    kept = [archive.stored(name)[0] for name in ("eda", "eda_ten", "eda_slow")]
    assert [(signal.sfreq, signal.n_times) for signal in kept] == [(4, 5), (4, 5), (2, 3)]


def test_derived_signals_that_are_named_before_the_steps_of_their_source(
    reader: FileReader, folder: Path
) -> None:
    steps: Preprocessing = {"eda_ten": Derived("eda", (Doubled(5.0),)), "eda": (Doubled(),)}
    assert samples_of(reader, folder, steps) == {
        "eda": [2, 4, 6, 8, 10],
        "eda_ten": [10, 20, 30, 40, 50],
    }


def test_without_its_source_a_derived_signal_is_not_there(reader: FileReader, folder: Path) -> None:
    assert list(samples_of(reader, folder, {"quick": Derived("bvp", (Doubled(),))})) == ["eda"]


def test_how_a_signal_is_derived_is_part_of_the_key(reader: FileReader, folder: Path) -> None:
    folders = {
        store_subject(folder, reader, steps, "S1").folder
        for steps in (
            {"eda": (Doubled(),)},
            {"eda": Derived("eda", (Doubled(),))},
            {"two": Derived("eda", (Doubled(),))},
            {"two": Derived("eda", (Doubled(3.0),))},
            {"two": Derived("eda", (Doubled(), Doubled()))},
        )
    }
    assert len(folders) == 5


def test_a_stimulus_is_kept_and_one_that_is_none_leaves_no_trace(
    trial_reader: TrialReader, folder: Path
) -> None:
    stored = store_subject(folder, trial_reader, {}, "S1")
    names = {(r.session, s.trial): s.stimulus for r in stored.recordings for s in r.segments}
    assert all(name == (f"clip {trial}" if a == "b" else "") for (a, trial), name in names.items())
    described = json.loads((stored.folder / "meta.json").read_text())["recordings"]
    shown = {r["session"] for r in described for s in r["segments"] if "stimulus" in s}
    assert shown == {"b"}


# ---- some signals, and others later


@dataclass(frozen=True)
class ManyReader(FileReader):
    """Two trials of ``eda`` and ``bvp``; the second has no ``bvp``, and some have ``temp``."""

    def read(self, subject: str) -> Iterator[Recording]:
        with (self.root / "read").open("a") as file:
            file.write(subject + " ")
        for trial in (1, 2):
            rng = np.random.default_rng([trial, int(subject[1])])
            signals = {
                name: Signal(rng.normal(size=(1, 240)).astype(np.float32), 4.0, (name,), "a.u.")
                for name in ("eda", *(["bvp"] if trial == 1 else []))
            }
            yield Recording(subject, str(trial), signals, (Segment(0.0, 60.0, trial, {}),))


@dataclass(frozen=True)
class Forbidden(Step):
    """A step that nobody may take."""

    def __call__(self, signal: Signal) -> Signal:
        raise AssertionError("taken")


MANY: Preprocessing = {
    "bvp_double": Derived("bvp", (Doubled(),)),
    "eda_forbidden": Derived("eda", (Forbidden(),)),
}


@pytest.fixture
def many(reader: FileReader) -> ManyReader:
    return ManyReader(reader.root)


def reads(reader: FileReader) -> list[str]:
    path = reader.root / "read"
    return path.read_text().split() if path.exists() else []


def test_only_signals_that_are_asked_for_are_prepared(many: ManyReader, folder: Path) -> None:
    stored = store_subject(folder, many, MANY, "S1", ("bvp_double",))
    assert entries(folder) == [stored.folder.name, f"{stored.folder.name}.bvp_double"]
    assert stored.signals == ("eda", "bvp", "bvp_double", "eda_forbidden")
    assert [r.signals for r in stored.recordings] == [
        ("eda", "bvp", "bvp_double", "eda_forbidden"),
        ("eda", "eda_forbidden"),
    ]
    first, second = stored.samples("bvp_double").recordings
    assert first is not None
    assert first.n_times == 240
    assert second is None
    again = store_subject(folder, many, MANY, "S1", ("bvp_double",))
    assert (again, reads(many)) == (stored, ["S1"])


def test_others_come_later_and_change_nothing(many: ManyReader, folder: Path) -> None:
    first = store_subject(folder, many, MANY, "S1", ())
    assert entries(folder) == [first.folder.name]
    store_subject(folder, many, MANY, "S1", ("eda",))
    before = {path: path.stat() for path in folder.rglob("*")}
    later = store_subject(folder, many, MANY, "S1", ("eda", "bvp", "bvp_double", "absent"))
    assert later == first
    assert reads(many) == ["S1"] * 3
    assert {path: path.stat() for path in before} == before
    at_once = store_subject(folder.with_name("other"), many, MANY, "S1", ("bvp", "eda"))
    for name in ("eda", "bvp"):
        assert at_once.samples(name).content == later.samples(name).content
        one, other = (signal_folder(s.folder, name) for s in (at_once, later))
        for path in one.iterdir():
            assert path.read_bytes() == (other / path.name).read_bytes()
    assert at_once.content == first.content
    assert store_subject(folder, many, MANY, "S1", ("absent", "eda")) == first
    assert reads(many) == ["S1"] * 4


def test_what_a_description_says_is_the_same_whichever_signals_are_prepared(
    many: ManyReader, folder: Path
) -> None:
    """Segments, what is lacking, and the blocks by which copies are found."""
    steps = {name: entry for name, entry in MANY.items() if name != "eda_forbidden"}
    stored = [
        store_subject(folder.with_name(str(number)), many, steps, "S1", signals)
        for number, signals in enumerate([(), ("eda",), None])
    ]
    one, *others = (
        {path.name: path.read_bytes() for path in subject.folder.iterdir()} for subject in stored
    )
    assert others == [one, one]
    assert stored[0].hashed == (("eda", 4.0), ("bvp", 4.0))


def test_recordings_that_are_not_those_of_before_are_refused(
    many: ManyReader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_subject(folder, many, MANY, "S1", ("eda",))
    before = entries(folder)
    real = ManyReader.read
    monkeypatch.setattr(ManyReader, "read", lambda self, name: list(real(self, name))[:1])
    with pytest.raises(DatasetCorruptedError, match=r"S1: expected the recordings .* Delete "):
        store_subject(folder, many, MANY, "S1", ("bvp",))
    assert entries(folder) == before


def test_a_signal_that_nobody_asks_for_must_be_numbers_all_the_same(
    reader: FileReader, folder: Path
) -> None:
    (reader.root / "S1.txt").write_text("1 2 nan 4 5")
    with pytest.raises(DatasetCorruptedError, match="S1: eda: expected finite samples"):
        store_subject(folder, reader, {}, "S1", ())


def test_a_step_that_leaves_less_than_it_says(reader: FileReader, folder: Path) -> None:
    class Cutting(Doubled):
        def __call__(self, signal: Signal) -> Signal:
            return replace(signal, samples=signal.samples[:, :3])

    with pytest.raises(DatasetCorruptedError, match=r"expected 1\.25 s after its steps, found"):
        store_subject(folder, reader, {"eda": [Cutting()]}, "S1")

"""Subjects that are read side by side: what lies in the cache, who is left out, what remains."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from datamodules import preparing
from datamodules.cache import subject_folder
from datamodules.catalogue import DATASETS
from datamodules.crew import Crew
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError, MachineError
from datamodules.preparing import IMPORTED, MEMORY, WORTH, SubjectsRead, processes, store_subjects
from datamodules.signals.recording import Recording, Segment, Signal

SUBJECTS = ("S1", "S2", "S3", "S4", "S5")


@dataclass(frozen=True)
class FatefulReader:
    """Reads a number a subject; what else comes to pass is written in its file."""

    root: Path

    @property
    def subjects(self) -> tuple[str, ...]:
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        path = self.root / f"{subject}.txt"
        if not path.is_file():
            raise DatasetNotFoundError(f"no {path}")
        return (path,)

    def read(self, subject: str) -> Iterator[Recording]:
        seed, *fate = (self.root / f"{subject}.txt").read_text().split()
        (self.root / f"{subject}-{os.getpid()}.read").touch()
        samples = np.random.default_rng(int(seed)).normal(size=(2, 400)).astype(np.float32)
        segment = Segment(0.0, 60.0, 1, {"condition": "stress"})
        signals = {"eda": Signal(samples, 4.0, ("a", "b"), "uS")}
        match fate:
            case ["killed"]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["crashes"]:
                os.kill(os.getpid(), signal.SIGSEGV)
            case ["crashes", "once"]:
                if len(list(self.root.glob(f"{subject}-*.read"))) == 1:
                    os.kill(os.getpid(), signal.SIGSEGV)
            case ["refused"]:
                raise ValueError("no numbers")
            case ["mistaken"]:
                raise ZeroDivisionError("of the reader")
            case ["unreadable"]:
                raise PermissionError(13, "no right", "some file")
            case ["waits"]:
                time.sleep(600)
        yield Recording(subject, "1", signals, (segment,))


DATASET = replace(DATASETS["noise"], name="fateful", reader=FatefulReader, preprocessing={})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes however little there is to read, and two of them."""
    monkeypatch.setattr(preparing, "WORTH", 1)
    monkeypatch.setattr(preparing, "cores", lambda: 2)


Written = Callable[..., FatefulReader]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(**fates: str) -> FatefulReader:
        root = tmp_path / "raw"
        root.mkdir()
        for number, subject in enumerate(SUBJECTS):
            text = f"{number} {fates.get(subject, '')}"
            (root / f"{subject}.txt").write_text(text.ljust(100 + number * 10))
        return FatefulReader(root)

    return write


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def readers_of(reader: FatefulReader, subject: str) -> list[str]:
    """Processes that have read a subject, as their number."""
    return [path.stem.split("-")[1] for path in reader.root.glob(f"{subject}-*.read")]


def test_the_same_bytes_whoever_reads(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, told = written(), list[SubjectsRead]()
    together, failed = store_subjects(
        DATASET, reader, SUBJECTS, tmp_path / "together", told=told.append
    )
    assert (list(together), failed) == (list(SUBJECTS), {})
    assert told == [SubjectsRead(number, 5) for number in range(1, 6)]
    assert str(told[1]) == "2 of 5 subjects read"
    numbers = {number for subject in SUBJECTS for number in readers_of(reader, subject)}
    assert str(os.getpid()) not in numbers
    assert 1 <= len(numbers) <= 2
    monkeypatch.setattr(preparing, "cores", lambda: 1)
    told.clear()
    alone, _ = store_subjects(DATASET, reader, SUBJECTS, tmp_path / "alone", told=told.append)
    assert told == [SubjectsRead(number, 5) for number in range(1, 6)]
    assert {str(os.getpid())} < {n for subject in SUBJECTS for n in readers_of(reader, subject)}
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
    assert [s.content for s in together.values()] == [s.content for s in alone.values()]


def test_only_who_is_not_in_the_cache_is_read(written: Written, tmp_path: Path) -> None:
    reader, told = written(), list[SubjectsRead]()
    store_subjects(DATASET, reader, SUBJECTS[1:3], tmp_path)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "fateful").rglob("*")}
    stored, _ = store_subjects(DATASET, reader, SUBJECTS, tmp_path, told=told.append)
    assert list(stored) == list(SUBJECTS)
    assert told == [SubjectsRead(number, 3) for number in range(1, 4)]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert all(len(readers_of(reader, subject)) == 1 for subject in SUBJECTS)


def test_the_largest_are_read_first(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = []
    read = Crew.read

    def watched(self: Crew, subjects: list[str], most: int) -> object:
        orders.append((subjects, most))
        return read(self, subjects, most)

    monkeypatch.setattr(Crew, "read", watched)
    store_subjects(DATASET, written(), SUBJECTS, tmp_path)
    assert orders == [(list(reversed(SUBJECTS)), 2)]


@pytest.mark.parametrize(
    ("fate", "message"),
    [
        ("refused", "^S3: no numbers$"),
        ("crashes", r"^S3: .* has died \(signal 11\), twice"),
    ],
)
def test_a_subject_that_fails_is_left_out(
    written: Written, tmp_path: Path, fate: str, message: str
) -> None:
    reader, told = written(S3=fate), list[SubjectsRead]()
    stored, failed = store_subjects(DATASET, reader, SUBJECTS, tmp_path, told=told.append)
    assert list(stored) == ["S1", "S2", "S4", "S5"]
    with pytest.raises(DatasetCorruptedError, match=message):
        raise failed["S3"]
    assert told == [SubjectsRead(number, 5) for number in range(1, 6)]
    kept = tuple(subject_folder(tmp_path / "fateful", reader, {}, name).name for name in stored)
    names = {path.name for path in (tmp_path / "fateful").iterdir()}
    others = {name for name in names if not name.startswith(kept)}
    # A process that crashes cannot tidy up: what it was writing is hidden, and swept after a day.
    assert all(name.startswith(".S3-") for name in others)
    assert bool(others) == (fate == "crashes")


def test_a_process_that_dies_once_costs_nobody(written: Written, tmp_path: Path) -> None:
    reader = written(S4="crashes once")
    stored, failed = store_subjects(DATASET, reader, SUBJECTS, tmp_path)
    assert (list(stored), failed) == (list(SUBJECTS), {})
    assert len(readers_of(reader, "S4")) == 2


def test_who_is_missing_is_left_out_in_the_words_of_the_reader(
    written: Written, tmp_path: Path
) -> None:
    reader = written()
    (reader.root / "S2.txt").unlink()
    stored, failed = store_subjects(DATASET, reader, SUBJECTS, tmp_path)
    assert list(stored) == ["S1", "S3", "S4", "S5"]
    assert [str(error) for error in failed.values()] == [f"no {reader.root / 'S2.txt'}"]


@pytest.mark.parametrize(
    ("fate", "error", "message"),
    [
        ("killed", MachineError, r"S5: .* was killed \(signal 9\); the machine may be out of"),
        ("unreadable", MachineError, "some file: expected to read it, found no right"),
        ("mistaken", ZeroDivisionError, "of the reader"),
    ],
)
def test_what_is_no_fault_of_a_subject_ends_the_call(
    written: Written, tmp_path: Path, fate: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store_subjects(DATASET, written(S5=fate), SUBJECTS, tmp_path)


def test_a_reader_that_other_processes_do_not_have_reads_here(
    written: Written, tmp_path: Path
) -> None:
    class Local(FatefulReader):
        """Found in no module."""

    reader = Local(written().root)
    stored, failed = store_subjects(DATASET, reader, SUBJECTS, tmp_path)
    assert (list(stored), failed) == (list(SUBJECTS), {})
    assert {number for s in SUBJECTS for number in readers_of(reader, s)} == {str(os.getpid())}


@pytest.mark.parametrize(
    ("sizes", "cores", "expected"),
    [
        ([], 8, 1),
        ([WORTH - 1], 8, 1),
        ([WORTH], 8, 1),
        ([WORTH, 1], 8, 2),
        ([WORTH] * 5, 3, 3),
        ([2**30] * 5, 8, 2),  # 4 GiB hold 400 MiB and 1.5 GiB twice
        ([2**29] * 5, 8, 3),
        ([MEMORY] * 5, 8, 1),
    ],
)
def test_no_more_processes_than_pay_or_fit(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], cores: int, expected: int
) -> None:
    monkeypatch.setattr(preparing, "WORTH", WORTH)
    monkeypatch.setattr(preparing, "cores", lambda: cores)
    count = processes(sizes)
    assert count == expected
    if count > 1:
        assert count * (IMPORTED + 1.5 * max(sizes)) <= 4 * 2**30


CALL = """
import signal
import sys
from pathlib import Path
from datamodules import preparing
from tests.datamodules.test_preparing import DATASET, SUBJECTS, FatefulReader

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a call in the background ignores it
    preparing.WORTH, preparing.cores = 1, lambda: 2
    assert "torch" not in sys.modules
    reader = FatefulReader(Path(sys.argv[1]))
    preparing.store_subjects(DATASET, reader, SUBJECTS, Path(sys.argv[2]), told=print)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_it_leaves_nothing_half_written(
    written: Written, tmp_path: Path, number: signal.Signals
) -> None:
    """After Ctrl-C nothing remains, not even hidden; after a kill nothing that is believed."""
    reader = written(S4="waits", S5="waits")
    (tmp_path / "call.py").write_text(CALL)
    call = subprocess.Popen(
        [sys.executable, str(tmp_path / "call.py"), str(reader.root), str(tmp_path / "cache")],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    while not (readers_of(reader, "S5") and readers_of(reader, "S4")):
        assert call.poll() is None
        time.sleep(0.05)
    children = [int(number) for name in ("S4", "S5") for number in readers_of(reader, name)]
    call.send_signal(number)
    call.wait(300)
    names = [path.name for path in (tmp_path / "cache" / "fateful").iterdir()]
    if number == signal.SIGINT:
        assert names == []
        assert not any(Path(f"/proc/{child}").exists() for child in children)
    else:
        assert all(name.startswith(".") for name in names)
        for child in children:
            os.kill(child, signal.SIGTERM)

"""Errors of the machine at every call of the file system, while a subject is read and stored."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.archive import Archive
from datamodules.cache import is_as_written, read_subject, store_subject
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, MachineError
from datamodules.machine import OF_FILES, caching, reading, refuse_machine
from datamodules.preparing import store_subjects
from datamodules.signals.recording import Recording, Segment, Signal
from tests.datamodules.failing_disk import FailingDisk

MACHINE = (
    errno.EIO,
    errno.ENOSPC,
    errno.EACCES,
    errno.EPERM,
    errno.EDQUOT,
    errno.EROFS,
    errno.EMFILE,
    errno.ENOMEM,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EBUSY,
)


@dataclass(frozen=True)
class TwoSignalReader:
    """Two sessions of two signals, in files of their own."""

    root: Path

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in self.root.iterdir()))

    def files(self, subject: str) -> tuple[Path, ...]:
        return tuple(sorted((self.root / subject).iterdir()))

    def read(self, subject: str) -> Iterator[Recording]:
        for path in self.files(subject):
            eda = np.array([path.read_text().split()], np.float32)
            signals = {
                "eda": Signal(eda, 4.0, ("eda",), "uS"),
                "acc": Signal(np.repeat(eda, 3, 0) * np.float32(2), 4.0, ("x", "y", "z"), "g"),
            }
            segment = Segment(0.0, 2.0, 1, {"condition": "rest"})
            yield Recording(subject, path.stem, signals, (segment,))


@pytest.fixture
def reader(tmp_path: Path) -> TwoSignalReader:
    for subject in ("S1", "S2"):
        (tmp_path / "raw" / subject).mkdir(parents=True)
        for session in "ab":
            numbers = np.random.default_rng(ord(session)).normal(size=40)
            np.savetxt(tmp_path / "raw" / subject / f"{session}.txt", numbers[None])
    return TwoSignalReader(tmp_path / "raw")


def stored(folder: Path, reader: TwoSignalReader) -> Archive:
    """Everybody's ``eda``, and then their other signal."""
    first = [store_subject(folder, reader, {}, name, ("eda",)) for name in reader.subjects]
    subjects = tuple(store_subject(folder, reader, {}, s.subject, checked=True) for s in first)
    return Archive(subjects)


@pytest.mark.parametrize("filled", [False, True])
def test_at_every_call_of_caching(tmp_path: Path, reader: TwoSignalReader, filled: bool) -> None:
    expected = stored(tmp_path / "sound", reader)
    call = 0
    while True:
        folder, number = tmp_path / f"cache-{call}", MACHINE[call % len(MACHINE)]
        if filled:
            stored(folder, reader)
        with FailingDisk(folder, call, number) as disk:
            try:
                stored(folder, reader)
                raised = None
            except MachineError as error:
                raised = error
        if not disk.fired:
            break
        if raised is None:  # a folder that is there already, and numpy's look at a file's name
            assert disk.calls[call].split(" ")[0] in ("mkdir", "stat")
        else:
            assert str(folder) in str(raised)
            assert "nothing was kept that is not whole" in str(raised)
        again = stored(folder, reader)
        assert again.key == expected.key
        for subject in again.subjects:
            assert is_as_written(subject, ("eda", "acc"))
        for signal in ("eda", "acc"):
            for one, other in zip(again.samples(signal), expected.samples(signal), strict=True):
                np.testing.assert_array_equal(one, other)
        call += 1
    assert call > (10 if filled else 25)


def test_at_every_call_of_reading(tmp_path: Path, reader: TwoSignalReader) -> None:
    call = 0
    while True:
        folder, number = tmp_path / f"cache-{call}", MACHINE[call % len(MACHINE)]
        with FailingDisk(reader.root, call, number) as disk:
            try:
                store_subject(folder, reader, {}, "S1")
                raised = None
            except MachineError as error:
                raised = error
        if not disk.fired:
            break
        assert raised is not None, f"{disk.calls[call]} was passed over"
        assert str(reader.root / "S1") in str(raised)
        assert not folder.exists() or not list(folder.iterdir())
        call += 1
    assert call > 8


@pytest.mark.parametrize("number", errno.errorcode, ids=errno.errorcode.get)
def test_every_number_of_an_error(number: int, tmp_path: Path) -> None:
    """Whatever the cache meets is the machine's; of the raw files, what is not theirs."""
    with pytest.raises(MachineError, match="write and read the cache"), caching(tmp_path):
        raise OSError(number, "reason")
    expected = DatasetCorruptedError if number in OF_FILES else MachineError
    with pytest.raises(expected, match="reason"), reading("S1"):
        raise OSError(number, "reason")
    assert number not in MACHINE or expected is MachineError


def test_what_a_library_makes_of_an_error(tmp_path: Path) -> None:
    hidden = ValueError("no archive")  # as of zipfile
    hidden.__context__ = OSError(errno.EACCES, "no right", "some.npz")
    with pytest.raises(MachineError, match=r"some\.npz: expected to read it, found no right"):
        refuse_machine(hidden, tmp_path)
    refuse_machine(ValueError("no archive"), tmp_path)
    refuse_machine(OSError("no number, as of a format"), tmp_path)


@pytest.mark.parametrize("fault", ["of the file", "of the machine"])
def test_one_that_cannot_be_read_leaves_nobody_out(
    reader: TwoSignalReader, tmp_path: Path, fault: str
) -> None:
    dataset = replace(DATASETS["noise"], name="two", reader=TwoSignalReader, preprocessing={})
    stored_first, failed = store_subjects(dataset, reader, ("S1", "S2"), tmp_path / "cache")
    assert list(stored_first) == ["S1", "S2"]
    assert not failed
    before = sorted(path.name for path in (tmp_path / "cache" / "two").iterdir())
    path = reader.root / "S2" / "b.txt"
    if fault == "of the file":
        path.unlink()
        path.mkdir()
        _, failed = store_subjects(dataset, reader, ("S1", "S2"), tmp_path / "cache")
        assert list(failed) == ["S2"]
        assert isinstance(failed["S2"], DatasetCorruptedError)
    else:
        path.write_text("no numbers")
        disk = FailingDisk(reader.root / "S2", 3, errno.EACCES)
        with disk, pytest.raises(MachineError, match="nobody is left out"):
            store_subjects(dataset, reader, ("S1", "S2"), tmp_path / "cache")
        assert disk.fired
    assert sorted(path.name for path in (tmp_path / "cache" / "two").iterdir()) == before


READ = [name for name, dataset in DATASETS.items() if dataset.has_files]


@pytest.mark.parametrize("name", READ)
def test_no_reader_takes_the_machine_for_a_recording(
    name: str, small_datasets: Any, tmp_path: Path
) -> None:
    """Some calls of every reader: the first of each kind, and others evenly spaced."""
    dataset: Dataset = DATASETS[name]
    root = small_datasets.root(name)
    options = small_datasets.entries[name].options if name in small_datasets.entries else {}

    def read(call: int | None, number: int) -> tuple[FailingDisk, BaseException | None]:
        with FailingDisk(root, call, number) as disk:
            try:
                reader = dataset.make_reader(root, **options)
                subject = dataset.check_subjects(reader, None)[0]
                with reading(subject):
                    reader.files(subject)
                for _ in read_subject(reader, {}, subject):
                    pass
            except Exception as error:
                return disk, error
        return disk, None

    read(None, errno.EIO)  # modules that are loaded with the first file
    disk, _ = read(None, errno.EIO)
    kinds: dict[str, int] = {}
    for position, call in enumerate(disk.calls):
        kinds.setdefault(call.split(" ")[0] + Path(call).suffix, position)
    spaced = range(0, len(disk.calls), max(1, len(disk.calls) // 10))
    for turn, call in enumerate(sorted({*kinds.values(), *spaced})):
        disk, error = read(call, MACHINE[turn % len(MACHINE)])
        assert disk.fired
        assert isinstance(error, MachineError), (disk.calls[call], error)

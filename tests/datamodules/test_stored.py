"""What is damaged in the cache is found, and written anew; what is whole is left alone."""

import copy
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datamodules.cache import is_as_written, store_subject
from datamodules.samples import DamagedError
from datamodules.signals.recording import Recording
from datamodules.stored import (
    StoredSubject,
    as_meta,
    as_recording,
    open_signal,
    open_subject,
    signal_folder,
)
from tests.datamodules.failing_disk import FailingDisk

OTHERS = (None, True, 0, 2.5, "x", [], {})
"""Values of every type that JSON has."""


@pytest.fixture
def reader(list_reader: Callable[..., Any], make_recording: Callable[..., Recording]) -> Any:
    spans = [(0.0, 70.0, "rest"), (70.0, 140.0, "stress")]
    return list_reader({"S1": (make_recording("S1", spans), make_recording("S1", spans, 1, "2"))})


class Entry:
    """A subject in the cache, and a copy of what was written."""

    def __init__(self, folder: Path, reader: Any) -> None:
        self.cache, self.reader = folder / "cache", reader
        self.subject = self.opened()
        self.name = self.subject.folder.name
        self.copy = folder / "copy"
        shutil.copytree(self.cache, self.copy)
        self.time = self.cache.stat().st_mtime_ns

    def opened(self) -> StoredSubject:
        return store_subject(self.cache, self.reader, {}, "S1", checked=True)

    def path(self, name: str) -> str:
        """Return the place in the cache of a file of the subject, or of a signal: slow/meta.json"""
        signal, _, file = name.rpartition("/")
        return f"{self.name}.{signal}/{file}" if signal else f"{self.name}/{file}"

    def sound(self, name: str) -> bytes:
        """Return what was written."""
        return (self.copy / self.path(name)).read_bytes()

    def damage(self, name: str, content: bytes) -> None:
        """Overwrite a file, at another time than all writes before."""
        path = self.cache / self.path(name)
        path.write_bytes(content)
        self.time += 1_000_000_000
        os.utime(path, ns=(self.time, self.time))

    def restored(self) -> bool:
        """Return whether all files are what they were, and nothing else is there."""
        here, there = (
            {
                path.relative_to(root): path.read_bytes()
                for path in root.rglob("*")
                if path.is_file()
            }
            for root in (self.cache, self.copy)
        )
        folders = [{path.name for path in root.iterdir()} for root in (self.cache, self.copy)]
        return here == there and folders[0] == folders[1]


@pytest.fixture
def entry(tmp_path: Path, reader: Any) -> Entry:
    return Entry(tmp_path, reader)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value in a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        yield (*path, key)
        if isinstance(member, dict | list):
            yield from places(member, (*path, key))


@pytest.mark.parametrize(("name", "least"), [("meta.json", 400), ("slow/meta.json", 150)])
def test_every_value_of_a_description(
    entry: Entry, caplog: pytest.LogCaptureFixture, name: str, least: int
) -> None:
    """Removed, renamed, or another: it is read anew, with one line that says so."""
    meta = json.loads(entry.sound(name))
    count = 0
    for *path, key in places(meta):
        for other in (*OTHERS, "removed", "renamed"):
            changed = copy.deepcopy(meta)
            holder = changed
            for step in path:
                holder = holder[step]
            if other == "renamed" and isinstance(holder, dict):
                holder[f"{key}_"] = holder.pop(key)
            elif other == "removed":
                del holder[key]
            else:
                holder[key] = other
            if changed == meta and json.dumps(changed) == json.dumps(meta):
                continue
            entry.damage(name, json.dumps(changed).encode())
            caplog.clear()
            assert entry.opened() == entry.subject
            assert entry.restored(), (path, key, other)
            (record,) = caplog.records
            assert record.levelno == logging.WARNING
            assert "read anew" in record.getMessage()
            assert str((entry.cache / entry.path(name)).parent) in record.getMessage()
            count += 1
    assert count > least


@pytest.mark.parametrize("name", ["meta.json", "fast/meta.json"])
def test_any_bytes_of_a_description(entry: Entry, name: str) -> None:
    sound = entry.sound(name)
    contents = [sound[:length] for length in range(0, len(sound), 97)]
    contents += [b"[" * 100_000, b"null", b"7", b"\xff" + sound, sound + b"}", sound + sound]
    contents += [bytes(len(sound)), sound.replace(b"1", b"2", 1)]
    for content in contents:
        entry.damage(name, content)
        assert entry.opened() == entry.subject
        assert entry.restored(), content[:50]


def test_a_description_with_a_new_seal_is_believed(entry: Entry) -> None:
    """The seal is against accidents: who writes it as well is believed."""
    meta = json.loads(entry.sound("meta.json"))
    del meta["seal"]
    entry.damage("meta.json", as_meta({**meta, "content": "other"}).encode())
    assert open_subject(entry.subject.folder).content == "other"


@pytest.mark.parametrize("name", ["blocks.npy", "fast/samples.npy", "slow/samples.npy"])
def test_any_bytes_of_an_array(entry: Entry, name: str) -> None:
    sound = entry.sound(name)
    contents = [sound[:length] for length in range(0, len(sound), len(sound) // 9)]
    contents += [sound + b"\0", bytes(len(sound)), sound[:128] + bytes(len(sound) - 128)]
    for place in range(0, len(sound), max(1, len(sound) // 60)):
        contents.append(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
    for content in contents:
        entry.damage(name, content)
        with pytest.raises(DamagedError, match=name.rpartition("/")[2]):
            open_all(entry.subject.folder)
        assert not is_as_written(entry.subject, ("fast", "slow"))
        assert entry.opened() == entry.subject
        assert entry.restored()


FILES = ["meta.json", "blocks.npy", "fast/meta.json", "slow/samples.npy"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_or_a_folder(entry: Entry, name: str) -> None:
    path = entry.cache / entry.path(name)
    path.unlink()
    assert entry.opened() == entry.subject
    assert entry.restored()
    path.unlink()
    path.mkdir()
    assert entry.opened() == entry.subject
    assert entry.restored()


def test_only_what_is_asked_for_is_read(entry: Entry) -> None:
    entry.damage("slow/samples.npy", bytes(100))
    assert is_as_written(entry.subject, ("fast",))
    assert store_subject(entry.cache, entry.reader, {}, "S1", ("fast",), True) == entry.subject
    assert not entry.restored()
    assert as_recording(entry.subject, 1, ("fast",)).signals.keys() == {"fast"}
    with pytest.raises(DamagedError):
        as_recording(entry.subject, 1)


def test_only_what_is_damaged_is_written(entry: Entry) -> None:
    sound = {path: path.stat() for path in entry.cache.rglob("*") if ".slow" not in str(path)}
    entry.damage("slow/samples.npy", bytes(100))
    entry.opened()
    assert {path: path.stat() for path in sound} == sound
    entry.damage("meta.json", b"")
    entry.opened()
    assert entry.restored()
    signals = {path: about for path, about in sound.items() if ".fast" in str(path)}
    assert {path: path.stat() for path in signals} == signals


def test_the_whole_entry_is_left_alone(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat() for path in entry.cache.rglob("*")}
    monkeypatch.setattr(type(entry.reader), "read", None)
    assert entry.opened() is entry.opened()
    assert {path: path.stat() for path in entry.cache.rglob("*")} == before


def test_a_kill_at_any_call_leaves_nothing_that_is_believed(entry: Entry) -> None:
    """While damaged entries are written anew."""

    class Killing(FailingDisk):
        def call(self, name: str, path: object) -> None:
            try:
                super().call(name, path)
            except OSError:
                os._exit(9)

    call = 0
    while True:
        entry.damage("fast/samples.npy", bytes(1000 + call))
        entry.damage("meta.json", bytes(1000 + call))
        if not (child := os.fork()):
            with Killing(entry.cache, call, 0):
                entry.opened()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert entry.opened() == entry.subject
        for left in entry.cache.glob(".*"):  # hidden, and swept after a day
            shutil.rmtree(left)
        assert entry.restored()
        call += 1
        if not status:
            break
        assert status == 9
    assert call > 30


def open_all(folder: Path) -> None:
    open_subject(folder)
    for name in ("fast", "slow"):
        open_signal(signal_folder(folder, name), checked=True)

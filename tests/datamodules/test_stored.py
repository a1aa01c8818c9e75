"""What is damaged in the cache is found, and written anew; what is whole is left alone."""

import copy
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.archive import Archive
from datamodules.cache import store_subject
from datamodules.samples import DamagedError
from datamodules.signals.recording import Recording
from datamodules.stored import StoredSubject, as_meta, as_recording, open_subject
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
        self.folder = self.subject.folder
        self.copy = folder / "copy"
        shutil.copytree(self.folder, self.copy)
        self.time = self.folder.stat().st_mtime_ns

    def opened(self) -> StoredSubject:
        return store_subject(self.cache, self.reader, {}, "S1", ("fast", "slow"))

    def damage(self, name: str, content: bytes) -> None:
        """Overwrite a file, at another time than all writes before."""
        path = self.folder / name
        path.write_bytes(content)
        self.time += 1_000_000_000
        os.utime(path, ns=(self.time, self.time))

    def restored(self) -> bool:
        """Return whether all files are what they were, and nothing else is there."""
        names = {path.name for path in self.copy.iterdir()}
        return [path.name for path in self.cache.iterdir()] == [self.folder.name] and all(
            (self.folder / name).read_bytes() == (self.copy / name).read_bytes()
            for name in names | {path.name for path in self.folder.iterdir()}
        )


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


def test_every_value_of_a_description(entry: Entry, caplog: pytest.LogCaptureFixture) -> None:
    """Removed, renamed, or another: it is read anew, with one line that says so."""
    meta = json.loads((entry.copy / "meta.json").read_text())
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
            entry.damage("meta.json", json.dumps(changed).encode())
            caplog.clear()
            assert entry.opened() == entry.subject
            assert entry.restored(), (path, key, other)
            (record,) = caplog.records
            assert record.levelno == logging.WARNING
            assert "read anew" in record.getMessage()
            assert str(entry.folder) in record.getMessage()
            count += 1
    assert count > 500


def test_any_bytes_of_a_description(entry: Entry) -> None:
    sound = (entry.copy / "meta.json").read_bytes()
    contents = [sound[:length] for length in range(0, len(sound), 97)]
    contents += [b"[" * 100_000, b"null", b"7", b"\xff" + sound, sound + b"}", sound + sound]
    contents += [bytes(len(sound)), sound.replace(b'"S1"', b'"S2"', 1)]
    for content in contents:
        entry.damage("meta.json", content)
        assert entry.opened() == entry.subject
        assert entry.restored(), content[:50]


def test_a_description_with_a_new_seal_is_believed(entry: Entry) -> None:
    """The seal is against accidents: who writes it as well is believed."""
    meta = json.loads((entry.copy / "meta.json").read_text())
    del meta["seal"]
    entry.damage("meta.json", as_meta({**meta, "content": "other"}).encode())
    assert open_subject(entry.folder).content == "other"


@pytest.mark.parametrize("name", ["blocks.npy", "0.fast.npy", "1.slow.npy"])
def test_any_bytes_of_an_array(entry: Entry, name: str) -> None:
    sound = (entry.copy / name).read_bytes()
    contents = [sound[:length] for length in range(0, len(sound), len(sound) // 9)]
    contents += [sound + b"\0", bytes(len(sound)), sound[:128] + bytes(len(sound) - 128)]
    for place in range(0, len(sound), max(1, len(sound) // 60)):
        contents.append(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
    for content in contents:
        entry.damage(name, content)
        with pytest.raises(DamagedError, match=name):
            open_subject(entry.folder, ("fast", "slow"))
        assert entry.opened() == entry.subject
        assert entry.restored()


@pytest.mark.parametrize("name", ["meta.json", "blocks.npy", "0.fast.npy", "1.slow.npy"])
def test_a_file_that_is_gone_or_a_folder(entry: Entry, name: str) -> None:
    (entry.folder / name).unlink()
    assert entry.opened() == entry.subject
    assert entry.restored()
    (entry.folder / name).unlink()
    (entry.folder / name).mkdir()
    assert entry.opened() == entry.subject
    assert entry.restored()


def test_only_what_is_asked_for_is_read(entry: Entry) -> None:
    entry.damage("1.slow.npy", bytes(100))
    assert open_subject(entry.folder, ("fast",)) == entry.subject
    assert not entry.restored()
    with pytest.raises(DamagedError):
        as_recording(entry.subject, 1)


def test_the_whole_entry_is_left_alone(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat() for path in entry.folder.iterdir()}
    monkeypatch.setattr(type(entry.reader), "read", None)
    assert entry.opened() is entry.opened()
    assert {path: path.stat() for path in entry.folder.iterdir()} == before


def test_a_kill_at_any_call_leaves_nothing_that_is_believed(entry: Entry) -> None:
    """While a damaged entry is written anew, and joined."""

    def joined() -> Archive:
        archive = Archive(entry.cache, (entry.opened(),))
        archive.join("fast")
        return archive

    class Killing(FailingDisk):
        def call(self, name: str, path: object) -> None:
            try:
                super().call(name, path)
            except OSError:
                os._exit(9)

    expected = np.array(joined().samples("fast"))
    call = 0
    while True:
        entry.damage("0.fast.npy", bytes(1000 + call))
        shutil.rmtree(entry.cache / f"all-{joined_key(entry)}", ignore_errors=True)
        if not (child := os.fork()):
            with Killing(entry.cache, call, 0):
                joined()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        np.testing.assert_array_equal(joined().samples("fast"), expected)
        assert entry.folder.is_dir()
        for path in entry.copy.iterdir():
            assert (entry.folder / path.name).read_bytes() == path.read_bytes()
        call += 1
        if not status:
            break
        assert status == 9
    assert call > 30


def joined_key(entry: Entry) -> str:
    return Archive(entry.cache, (entry.subject,)).key

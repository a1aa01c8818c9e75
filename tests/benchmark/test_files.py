"""Files that are written at once: all or nothing, and a full disk that is named."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.files import (
    DiskFullError,
    full_disk,
    is_full,
    room_at,
    write_bytes,
    write_json,
    write_text,
)

DIED = 9
EVENTS = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename"}
"""Events that Python reports before it changes or opens a file; replacing is renaming."""


def in_child(work: Callable[[], object]) -> int:
    """Return the exit status of a copy of this process that does some work."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_before(call: int) -> None:
    """End this process just before a call to the file system, counted from 0."""
    left = call

    def count() -> None:
        nonlocal left
        if left == 0:
            os._exit(DIED)
        left -= 1

    sys.addaudithook(lambda event, arguments: count() if event in EVENTS else None)


def test_write_text_survives_death_at_every_call(tmp_path):
    path = tmp_path / "board.csv"
    path.write_text("old")
    for call in range(100):

        def work(call: int = call) -> None:
            die_before(call)
            write_text(path, "new")

        if (status := in_child(work)) == 0:
            break
        assert status == DIED
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert call >= 3


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (write_text, "one\n", b"one\n"),
        (write_json, {"b": 1, "a": [2]}, b'{\n "a": [\n  2\n ],\n "b": 1\n}\n'),
        (write_bytes, b"\x00\xff", b"\x00\xff"),
    ],
)
def test_content_and_mode(tmp_path, write, value, expected):
    path = tmp_path / "file"
    write(path, value)
    assert path.read_bytes() == expected
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made(tmp_path):
    write_json(tmp_path / "a" / "b" / "file.json", 1)
    assert json.loads((tmp_path / "a" / "b" / "file.json").read_text()) == 1


def test_content_is_flushed_before_it_has_its_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    fsync = os.fsync

    def seen_fsync(descriptor):
        seen.append((path.exists(), Path(f"/proc/self/fd/{descriptor}").read_text()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    write_text(path, "all of it")
    assert seen == [(False, "all of it")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, number):
    path = tmp_path / "file"
    write_text(path, "old")

    def full(descriptor):
        raise OSError(number, "no room")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="no room to write") as caught:
        write_text(path, "new")
    assert str(tmp_path) in str(caught.value)
    assert caught.value.status == 1
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_stay_what_they_are(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(NotADirectoryError), room_at(tmp_path):
        (tmp_path / "taken" / "below").mkdir()
    assert not is_full(PermissionError(errno.EACCES, "no"))
    assert not is_full(ValueError("full"))
    assert is_full(OSError(errno.ENOSPC, "no room"))


def test_the_fullest_of_several_disks_is_named(tmp_path, monkeypatch):
    free = {tmp_path / "roomy": 5 * 2**20, tmp_path / "tight": 2**20}
    for folder in free:
        folder.mkdir()
    monkeypatch.setattr(
        "benchmark.files.shutil.disk_usage", lambda path: SimpleNamespace(free=free[path])
    )
    error = full_disk(tmp_path / "roomy" / "not" / "there", tmp_path / "tight" / "file")
    assert str(error).startswith(f"{tmp_path / 'tight'}: no room to write, 1.0 MiB are free")

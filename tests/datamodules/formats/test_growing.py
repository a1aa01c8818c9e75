import os
from pathlib import Path

import pytest

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.growing import CHUNK, GrowingLines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "EDA.csv"


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_a_line_comes_once_when_it_has_an_end(path: Path) -> None:
    lines = GrowingLines(path)
    assert lines.read() == b""
    append(path, b"1.2")
    assert lines.read() == b""
    append(path, b"5\n2.5\n3")
    assert lines.read() == b"1.25\n2.5\n"
    assert lines.read() == b""
    append(path, b"\n4\n")
    assert lines.read(most=1) == b"3\n"
    assert lines.read() == b"4\n"
    assert lines.n_lines == 4


def test_a_long_file_is_read_in_chunks(path: Path) -> None:
    content = b"".join(b"%d\n" % number for number in range(5000))
    append(path, content)
    lines, parts = GrowingLines(path), []
    while part := lines.read():
        assert len(part) <= CHUNK
        parts.append(part)
    assert b"".join(parts) == content
    assert len(parts) > 3


def changed_before(path: Path) -> None:
    path.write_bytes(b"1\n3\n3\n4\n")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"1\n2\n3\n4\n")
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(b"1\n"), "2 bytes where 4 had been"),
        (replaced, "another file in its place"),
        (changed_before, "lines that were there are others now"),
        (Path.unlink, "it is gone"),
        (lambda path: append(path, b"1" * CHUNK), "a line of 1024 characters or more"),
    ],
)
def test_a_file_that_is_not_only_appended_to_is_refused(path: Path, change, words: str) -> None:
    append(path, b"1\n2\n")
    lines = GrowingLines(path)
    assert lines.read() == b"1\n2\n"
    change(path)
    with pytest.raises(DatasetCorruptedError, match=words) as raised:
        lines.read()
    assert str(path) in str(raised.value)


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(DatasetCorruptedError, match="something else than a file"):
        GrowingLines(path).read()


def test_an_incomplete_line_that_vanishes_is_seen(path: Path) -> None:
    append(path, b"1\n2")
    lines = GrowingLines(path)
    lines.read()
    path.write_bytes(b"1\n")
    with pytest.raises(DatasetCorruptedError, match="2 bytes where 3 had been"):
        lines.read()

import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.errors import DatasetCorruptedError
from datamodules.formats import packed
from datamodules.formats.packed import Files, leads_out


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def test_a_folder_and_an_archive_are_alike(tmp_path: Path) -> None:
    members = ("b.csv", b"2\n"), ("a.csv", b"1\n" * 1000), ("deeper/c.csv", b"3\n")
    folder = tmp_path / "folder"
    for name, content in members:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    places = folder, archive(tmp_path / "archive.zip", *members)
    for place in places:
        files = Files(place)
        assert files.names() == ("a.csv", "b.csv")
        assert [files.read(name) for name in files.names()] == [b"1\n" * 1000, b"2\n"]
    assert [Files(place).is_packed for place in places] == [False, True]
    assert Files(tmp_path / "nowhere").names() == Files(tmp_path / "no.zip").names() == ()


def test_a_folder_may_be_called_as_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").mkdir()
    (tmp_path / "a.zip" / "a.csv").write_bytes(b"1")
    assert Files(tmp_path / "a.zip").read("a.csv") == b"1"


def lied(path: Path) -> Path:
    """The size of its only member, in both headers, is a tenth of what it is."""
    archive(path, ("a.csv", bytes(1000)))
    raw = path.read_bytes()
    assert raw.count((1000).to_bytes(4, "little")) == 2
    path.write_bytes(raw.replace((1000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    return path


def changed(path: Path) -> Path:
    """A byte of a member, stored as it is, is another one."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.csv", b"1234567890" * 10)
    path.write_bytes(path.read_bytes().replace(b"90123", b"90423"))
    return path


def locked(path: Path) -> Path:
    """Its member has the mark of a password."""
    archive(path, ("a.csv", b"1"))
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    return path


def cut_off(path: Path) -> Path:
    path.write_bytes(archive(path, ("a.csv", bytes(99))).read_bytes()[:-30])
    return path


def text(path: Path) -> Path:
    path.write_bytes(b"a,b\n")
    return path


def linked(path: Path) -> Path:
    member = zipfile.ZipInfo("a.csv")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(member, "/etc/hostname")
    return path


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no archive": (text, "not a zip file"),
    "cut off": (cut_off, "not a zip file"),
    "above": (lambda p: archive(p, ("../a.csv", b"1"), ("a.csv", b"1")), "'../a.csv', which leads"),
    "absolute": (lambda p: archive(p, ("/tmp/a.csv", b"1")), "'/tmp/a.csv', which leads out"),
    "of Windows": (lambda p: archive(p, ("C:a.csv", b"1")), "'C:a.csv', which leads out"),
    "longer than it says": (lied, "a.csv"),
    "another byte": (changed, "a.csv: Bad CRC-32"),
    "a password": (locked, "a.csv: .*password"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(name: str, tmp_path: Path) -> None:
    make, message = HOSTILE[name]
    files = Files(make(tmp_path / "some.zip"))
    with pytest.raises(DatasetCorruptedError, match=rf"some\.zip: expected .*{message}"):
        files.read("a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["some.zip"]


def test_a_file_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = archive(tmp_path / "some.zip", ("a.csv", b"1"), ("a.csv", b"2"))
    with pytest.raises(DatasetCorruptedError, match="found a file twice"):
        Files(path).names()


def test_a_link_is_a_file_that_says_where_to(tmp_path: Path) -> None:
    assert Files(linked(tmp_path / "some.zip")).read("a.csv") == b"/etc/hostname"


def test_more_than_a_recording_has_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "some.zip", ("a.csv", bytes(60)), ("b.csv", bytes(60)))
    monkeypatch.setattr(packed, "MOST_BYTES", 120)
    assert Files(path).read("a.csv") == bytes(60)
    monkeypatch.setattr(packed, "MOST_BYTES", 119)
    monkeypatch.setattr(zlib, "decompressobj", None)
    with pytest.raises(DatasetCorruptedError, match="found 120 bytes, more than 119"):
        Files(path).read("a.csv")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("a.csv", False), ("b/a.csv", False), ("..", True), ("b/../a", True), ("/a", True)),
        *(("b\\a", True), ("C:/a", True), ("a..csv", False)),
    ],
)
def test_paths_that_lead_out(name: str, expected: bool) -> None:
    assert leads_out(name) is expected


def test_what_stands_in_for_a_file_is_not_absent(tmp_path):
    (tmp_path / "EDA.csv").mkdir()
    (tmp_path / "BVP.csv").symlink_to(tmp_path / "BVP.csv")
    (tmp_path / "notes").mkdir()
    assert Files(tmp_path).names() == ("BVP.csv", "EDA.csv")
    for name in ("BVP.csv", "EDA.csv"):
        with pytest.raises((OSError, DatasetCorruptedError)):
            Files(tmp_path).read(name)

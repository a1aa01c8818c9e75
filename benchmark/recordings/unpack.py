"""Archives of datasets: unpacked with limits, and reduced to what is on record."""

import gzip
import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.recordings.fetch import UnexpectedBytesError, sha256_of, showing
from datamodules.download import PackedFiles
from datamodules.formats.packed import leads_out

UNSOUND = tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError
"""Exceptions that a damaged archive raises; the last one, if it has a password."""


def check_digest(source: PackedFiles, digest: str) -> None:
    """Raise UnexpectedBytesError if a digest is not that on record."""
    if digest != source.sha256:
        raise UnexpectedBytesError(
            source.url, f"the sha256 {source.sha256} of the {source.checked}", digest
        )


def unpack(source: PackedFiles, archive: Path, folder: Path, console: Console) -> Path:
    """Unpack an archive, and return the dataset's folder in it, with only the kept parts.

    Raises:
        UnexpectedBytesError: The archive is not the one on record, or not sound.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, source.unpacked, console)
        else:
            _unpack_tar(archive, folder, source.unpacked)
    except UNSOUND as error:
        raise UnexpectedBytesError(source.url, "a sound archive", error) from error
    return _kept(source, folder)


def _unpack_tar(archive: Path, folder: Path, limit: int) -> None:
    size = 0
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            size += member.size
            if size > limit:
                raise tarfile.TarError(f"more than {limit} bytes")
            if not (member.isfile() or member.isdir()):
                raise tarfile.TarError(f"{member.name!r}, which is neither file nor folder")
            tar.extract(member, folder, filter="data")


def _unpack_zip(archive: Path, folder: Path, limit: int, console: Console) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        size = sum(member.file_size for member in members)
        if size > limit:
            raise zipfile.BadZipFile(f"{size} bytes, more than {limit}")
        with showing(console, "unpacked", size) as advance:
            for member in members:
                _check_member(member)
                packed.extract(member, folder)
                advance(member.file_size)


def _check_member(member: zipfile.ZipInfo) -> None:
    name, mode = member.filename, stat.S_IFMT(member.external_attr >> 16)
    if leads_out(name):
        raise zipfile.BadZipFile(f"{name!r}, which leads out of the folder")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise zipfile.BadZipFile(f"{name!r}, which is neither file nor folder")


def _kept(source: PackedFiles, folder: Path) -> Path:
    """Return the dataset's folder in an unpacked archive, with only the kept parts in it."""
    inside = folder / source.inside
    missing = [part for part in source.parts if not (inside / part).exists()]
    if missing:
        raise UnexpectedBytesError(source.url, f"{source.inside}/{missing[0]} in it", "none")
    for part in inside.iterdir():
        if part.name not in source.parts:
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    if source.checked == "files":
        check_digest(source, tree_digest(inside, source.parts))
    return inside


def tree_digest(folder: Path, parts: Sequence[str]) -> str:
    """Return the sha256 over path and sha256 of every file in parts of a folder, by path."""
    total = hashlib.sha256()
    for part in parts:
        root = folder / part
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                total.update(f"{name} {sha256_of(path)}\n".encode())
    return total.hexdigest()

"""Download of datasets that may be fetched without an agreement: resume, check, unpack.

The bytes of an archive lie beside the dataset's folder until it is complete: ``.wesad.part``, with
``.wesad.part.json`` to resume from. Nothing is unpacked into the folder itself before the archive
is known to be the one on record.
"""

import gzip
import hashlib
import json
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PureWindowsPath
from typing import Literal, NoReturn
from urllib import request
from urllib.error import HTTPError, URLError

from rich import progress
from rich.console import Console

from benchmark.errors import BenchmarkError
from datamodules.catalogue import DATASETS
from datamodules.wesad import SUBJECTS as WESAD_SUBJECTS

TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as lost."""
ATTEMPTS = 5
"""Number of attempts in a row without new bytes after which the download is given up."""
PAUSE = 2.0
"""Seconds before another attempt; doubled after each further attempt without new bytes."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of faults that may be gone at the next attempt."""
CHUNK = 1 << 16
"""Number of bytes read at once, and the most that a lost connection costs."""
MEGABYTE = 1_000_000
UNSOUND = tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError
"""Exceptions that a damaged archive raises; the last one, if it has a password."""
STEP = 50 * MEGABYTE
"""Number of bytes between two lines of progress where the length is unknown."""


class ArchiveError(BenchmarkError):
    """An archive that is not the one on record, and is not kept."""

    def __init__(self, source: "Download", expected: str, actual: object) -> None:
        super().__init__(
            f"{source.url}: expected {expected}, found {actual}. Nothing was kept; try again, as "
            "it may have been damaged on its way, or changed by its publisher."
        )


class _LostError(Exception):
    """A lost connection, or a passing fault of the server; another attempt may succeed."""


@dataclass(frozen=True)
class Download:
    """An archive that may be fetched without an agreement.

    Args:
        url: Address of a .zip or .tar.gz; ``http`` or ``https``.
        inside: Folder in the archive that holds the dataset.
        parts: Files and folders of it that are kept; none may be missing.
        sha256: Digest of the archive or of the files, as ``checked`` says.
        checked: The archive, or the kept files as ``tree_digest`` computes it, where the server
            packs anew and promises no stable bytes.
        unpacked: Largest number of bytes in it. More is refused, and as much disk must be free.
        terms: Terms of the publisher.
    """

    url: str
    inside: str
    parts: tuple[str, ...]
    sha256: str
    checked: Literal["archive", "files"]
    unpacked: int
    terms: str


STRESS_PREDICT_COMMIT = "f49d2eae603f90c3f0140fbbbae7c0480d651023"
WESAD_SHARE = "https://uni-siegen.sciebo.de/s/HGdUkoNlW1Ub0Gx/download"
"""The authors' share, to which their page at the University of Siegen leads. The archive of the UCI
repository is none: 261 bytes that name a share which no longer exists."""
WESAD_SHA256 = "5e15d2606adf16d819ba535c1786d92e94bae5ff5392f7ae01fb63f9938fd71c"
"""Digest of the authors' WESAD.zip, 2,249,444,501 bytes. The publisher gives no checksum;
independent projects that fetched the file computed this one, alike, and put it on public record."""
DOWNLOADS: Mapping[str, Download] = {
    "stress_predict": Download(
        url="https://codeload.github.com/italha-d/Stress-Predict-Dataset/tar.gz/"
        + STRESS_PREDICT_COMMIT,
        inside=f"Stress-Predict-Dataset-{STRESS_PREDICT_COMMIT}",
        parts=("Raw_data", "Processed_data", "LICENSE"),
        sha256="b1664f80ed77429cdc5a0273cff4e9aeec6ac9933b8912681be760d6dd8cad53",
        checked="files",
        unpacked=200 * MEGABYTE,  # the kept files are 96 MB
        terms="MIT licence; cite Iqbal et al., Sensors 22(21):8135, 2022",
    ),
    "wesad": Download(
        url=WESAD_SHARE,
        inside="WESAD",
        parts=(*WESAD_SUBJECTS, "wesad_readme.pdf"),
        sha256=WESAD_SHA256,
        checked="archive",
        unpacked=18_000 * MEGABYTE,  # on record: 76 files of 17,578,304,666 bytes
        terms="for scientific, non-commercial use; cite Schmidt et al., ICMI 2018",
    ),
}


def download(dataset: str, root: Path, console: Console) -> None:
    """Fetch a dataset from where an earlier call stopped; check it, and unpack it.

    Args:
        dataset: Catalogue key.
        root: Folder to make; it may exist if it is empty.
        console: Console for the progress: a bar on a terminal, otherwise a line each 10 %.

    Raises:
        BenchmarkError: The dataset may not be fetched, exists already, does not fit on the disk,
            or the connection was lost too often.
        ArchiveError: The archive is not the one on record. Nothing is left behind.
    """
    module = DATASETS[dataset]
    if dataset not in DOWNLOADS:
        raise BenchmarkError(
            f"{module.title} is not downloaded by this command. {module.access} "
            f"It then expects {module.layout}."
        )
    source, root = DOWNLOADS[dataset], root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BenchmarkError(f"{root} is not empty: expected a folder to be made")
    console.out(f"{module.title}: {source.terms}", highlight=False)
    archive = root.with_name(f".{root.name}.part")
    unpacking = root.with_name(f".{root.name}.unpacking")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        _fetch(source, archive, console)
        if source.checked == "archive":
            _check_digest(source, _sha256(archive))
        _check_room(root.parent, source.unpacked)
        shutil.rmtree(unpacking, ignore_errors=True)  # of a process that was killed
        _unpack(source, archive, unpacking, console)
        _kept(source, unpacking).rename(root)
        _discard(archive)
    except ArchiveError:
        _discard(archive)
        raise
    except OSError as error:
        raise BenchmarkError(f"{root} cannot be written: {error}") from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


@dataclass(frozen=True)
class _Note:
    """Identity of an archive's bytes, in a file beside it, so that the same ones are resumed.

    ``validator`` is the server's ETag or date of change, ``size`` the number of bytes, if known.
    """

    validator: str | None = None
    size: int | None = None

    @classmethod
    def of(cls, response: HTTPResponse) -> "_Note":
        etag = response.headers.get("ETag")
        if etag is None or etag.startswith("W/"):  # a weak one stays when bytes change
            etag = response.headers.get("Last-Modified")
        part = response.headers.get("Content-Range", "").rpartition("/")[2]
        size = part if response.status == 206 else response.headers.get("Content-Length", "")
        return cls(etag, int(size) if size.isdecimal() else None)

    @classmethod
    def load(cls, archive: Path) -> "_Note":
        try:
            return cls(**json.loads(Path(f"{archive}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, archive: Path) -> None:
        Path(f"{archive}.json").write_text(json.dumps(asdict(self)))


def _discard(archive: Path) -> None:
    archive.unlink(missing_ok=True)
    Path(f"{archive}.json").unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch(source: Download, archive: Path, console: Console) -> None:
    if not source.url.startswith(("http://", "https://")):
        raise BenchmarkError(f"{source.url}: expected an http or https address")
    furthest, barren = _size(archive), 0
    while True:
        try:
            return _receive(source, archive, console)
        except _LostError as error:
            reached = _size(archive)
            barren = 0 if reached > furthest else barren + 1
            furthest = max(furthest, reached)
            if barren == ATTEMPTS:
                raise BenchmarkError(
                    f"{source.url}: the download failed: {error}. What came is kept, "
                    f"{reached / MEGABYTE:.1f} MB in {archive}: the same command goes on from "
                    "there, if the server allows it."
                ) from error
            console.out(f"interrupted: {error}; trying again", highlight=False)
            time.sleep(PAUSE * 2 ** max(barren - 1, 0))


def _receive(source: Download, archive: Path, console: Console) -> None:
    """Attempt once to fetch the missing bytes, or all bytes if the server's file has changed."""
    note, have = _Note.load(archive), _size(archive)
    if have and have == note.size:
        return
    headers = {"User-Agent": "affectbench"}
    if have and note.validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": note.validator}
    with _open(request.Request(source.url, headers=headers), archive) as response:
        current = _Note.of(response)
        if response.status == 206:
            fits = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            same = current.validator in (None, note.validator)
            if not fits or not same or note.size not in (None, current.size):
                _discard(archive)
                raise _LostError("the server sent another part than was asked for")
        else:
            if have:
                console.out("the server sends all of it anew", highlight=False)
            have = 0
            _discard(archive)  # before the note, so that no old half is taken for a new one
            current.save(archive)
        _check_room(archive.parent, source.unpacked + (current.size or 0) - have)
        keep, show = archive.open("ab"), _progress(console, "downloaded", current.size, have)
        with keep as file, show as advance:
            for chunk in _chunks(response):
                file.write(chunk)
                have += len(chunk)
                if have > source.unpacked:
                    raise ArchiveError(source, f"at most {source.unpacked} bytes", "more")
                advance(len(chunk))
    if current.size is None:
        _Note(current.validator, have).save(archive)
    elif have != current.size:
        raise _LostError(f"{have} of {current.size} bytes came")


class _NoFTP(request.FTPHandler):
    """A server may redirect to http, https and ftp; only the first two are for us."""

    def ftp_open(self, req: request.Request) -> NoReturn:
        raise URLError("the server names an ftp address")


def _open(query: request.Request, archive: Path) -> HTTPResponse:
    opener = request.build_opener(_NoFTP)
    try:
        response: HTTPResponse = opener.open(query, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416:
            _discard(archive)
        elif error.code not in PASSING:
            text = f"{query.full_url}: the server answers {error}: see the publisher's page"
            raise BenchmarkError(text) from error
        raise _LostError(str(error)) from error
    except (OSError, HTTPException) as error:
        raise _LostError(str(getattr(error, "reason", error))) from error
    return response


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(CHUNK):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _LostError(str(error)) from error


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BenchmarkError(
            f"{folder}: expected {needed / MEGABYTE:.0f} MB of free disk, found "
            f"{free / MEGABYTE:.0f} MB. Make room, or choose another --root."
        )


@contextmanager
def _progress(
    console: Console, label: str, total: int | None, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of bytes of each step."""
    if console.is_terminal:
        sizes = progress.DownloadColumn(), progress.TransferSpeedColumn()
        left = progress.TimeRemainingColumn()
        with progress.Progress(label, progress.BarColumn(), *sizes, left, console=console) as bar:
            task = bar.add_task(label, total=total, completed=done)
            yield lambda count: bar.advance(task, count)
        return

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if total is None and done // STEP > before // STEP:
            console.out(f"{label}: {done / MEGABYTE:.0f} MB", highlight=False)
        elif total and (tenth := 10 * done // total) > 10 * before // total:
            console.out(f"{label}: {tenth * 10} % of {total / MEGABYTE:.1f} MB", highlight=False)

    yield advance


def _check_digest(source: Download, digest: str) -> None:
    if digest != source.sha256:
        raise ArchiveError(source, f"the sha256 {source.sha256} of the {source.checked}", digest)


def _unpack(source: Download, archive: Path, folder: Path, console: Console) -> None:
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, source.unpacked, console)
        else:
            _unpack_tar(archive, folder, source.unpacked)
    except UNSOUND as error:
        raise ArchiveError(source, "a sound archive", error) from error


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
        with _progress(console, "unpacked", size) as advance:
            for member in members:
                _check_member(member)
                packed.extract(member, folder)
                advance(member.file_size)


def _check_member(member: zipfile.ZipInfo) -> None:
    name, mode = member.filename, stat.S_IFMT(member.external_attr >> 16)
    if name[:1] == "/" or ".." in name.split("/") or PureWindowsPath(name).drive or "\\" in name:
        raise zipfile.BadZipFile(f"{name!r}, which leads out of the folder")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise zipfile.BadZipFile(f"{name!r}, which is neither file nor folder")


def _kept(source: Download, folder: Path) -> Path:
    """Return the dataset's folder in an unpacked archive, with only the kept parts in it."""
    inside = folder / source.inside
    missing = [part for part in source.parts if not (inside / part).exists()]
    if missing:
        raise ArchiveError(source, f"{source.inside}/{missing[0]} in it", "none")
    for part in inside.iterdir():
        if part.name not in source.parts:
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    if source.checked == "files":
        _check_digest(source, tree_digest(inside, source.parts))
    return inside


def tree_digest(folder: Path, parts: Sequence[str]) -> str:
    """Return the sha256 over path and sha256 of every file in parts of a folder, by path."""
    total = hashlib.sha256()
    for part in parts:
        root = folder / part
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                total.update(f"{name} {_sha256(path)}\n".encode())
    return total.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

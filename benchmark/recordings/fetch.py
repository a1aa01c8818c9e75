"""One file by http: resume where a lost connection left it, bounded in size, with progress.

The bytes lie under a temporary name until they are complete, with a note beside them that says
which bytes they are the beginning of.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NoReturn
from urllib import request
from urllib.error import HTTPError, URLError

from rich import progress
from rich.console import Console

from benchmark.errors import BenchmarkError

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
STEP = 50 * MEGABYTE
"""Number of bytes between two lines of progress where the length is unknown."""


class UnexpectedBytesError(BenchmarkError):
    """A file that is not the one on record, and is not kept."""

    def __init__(self, url: str, expected: str, actual: object) -> None:
        super().__init__(
            f"{url}: expected {expected}, found {actual}. Nothing was kept; try again, as "
            "it may have been damaged on its way, or changed by its publisher."
        )


class _LostError(Exception):
    """A lost connection, or a passing fault of the server; another attempt may succeed."""


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


def discard(archive: Path) -> None:
    """Remove the bytes of a file and the note beside them."""
    archive.unlink(missing_ok=True)
    Path(f"{archive}.json").unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def fetch(url: str, limit: int, archive: Path, console: Console, shown: bool = True) -> None:
    """Fetch a file, from where an earlier call stopped.

    Args:
        url: Its address.
        limit: Largest number of bytes.
        archive: Place of its bytes, of those that are there already too.
        console: Console for the progress: a bar on a terminal, otherwise a line each 10 %.
        shown: Whether progress is shown.

    Raises:
        BenchmarkError: An address that is none, no room on the disk, or a connection that was lost
            too often.
        UnexpectedBytesError: More bytes than the limit.
    """
    if not url.startswith(("http://", "https://")):
        raise BenchmarkError(f"{url}: expected an http or https address")
    furthest, barren = _size(archive), 0
    while True:
        try:
            return _receive(url, limit, archive, console, shown)
        except _LostError as error:
            reached = _size(archive)
            barren = 0 if reached > furthest else barren + 1
            furthest = max(furthest, reached)
            if barren == ATTEMPTS:
                raise BenchmarkError(
                    f"{url}: the download failed: {error}. What came is kept, "
                    f"{reached / MEGABYTE:.1f} MB in {archive}: the same command goes on from "
                    "there, if the server allows it."
                ) from error
            console.out(f"interrupted: {error}; trying again", highlight=False)
            time.sleep(PAUSE * 2 ** max(barren - 1, 0))


def _receive(url: str, limit: int, archive: Path, console: Console, shown: bool) -> None:
    """Attempt once to fetch the missing bytes, or all bytes if the server's file has changed."""
    note, have = _Note.load(archive), _size(archive)
    if have and have == note.size:
        return
    headers = {"User-Agent": "affectbench"}
    if have and note.validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": note.validator}
    with _open(request.Request(url, headers=headers), archive) as response:
        current = _Note.of(response)
        if response.status == 206:
            fits = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            same = current.validator in (None, note.validator)
            if not fits or not same or note.size not in (None, current.size):
                discard(archive)
                raise _LostError("the server sent another part than was asked for")
        else:
            if have:
                console.out("the server sends all of it anew", highlight=False)
            have = 0
            discard(archive)  # before the note, so that no old half is taken for a new one
            current.save(archive)
        check_room(archive.parent, limit + (current.size or 0) - have)
        show = showing(console, "downloaded", current.size, have) if shown else _silence()
        keep = archive.open("ab")
        with keep as file, show as advance:
            for chunk in _chunks(response):
                file.write(chunk)
                have += len(chunk)
                if have > limit:
                    raise UnexpectedBytesError(url, f"at most {limit} bytes", "more")
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
            discard(archive)
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


def check_room(folder: Path, needed: int) -> None:
    """Raise BenchmarkError if a disk has fewer free bytes than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BenchmarkError(
            f"{folder}: expected {needed / MEGABYTE:.0f} MB of free disk, found "
            f"{free / MEGABYTE:.0f} MB. Make room, or choose another --root."
        )


@contextmanager
def showing(
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


@contextmanager
def _silence() -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def sha256_of(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

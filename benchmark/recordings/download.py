"""Download of datasets that may be fetched without an agreement: resume, check, unpack.

The bytes of an archive lie beside the dataset's folder until it is complete: ``.wesad.part``, with
``.wesad.part.json`` to resume from. Nothing is unpacked into the folder itself before the archive
is known to be the one on record. Files that a publisher lists one by one go into the folder as
soon as each is known to be the one of the list; what is there already is not fetched again.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from rich import progress
from rich.console import Console

from benchmark.errors import BenchmarkError
from benchmark.recordings.fetch import (
    MEGABYTE,
    UnexpectedBytesError,
    check_room,
    discard,
    fetch,
    sha256_of,
)
from benchmark.recordings.unpack import check_digest, unpack
from datamodules.catalogue import DATASETS
from datamodules.download import ListedFiles, PackedFiles
from datamodules.formats.packed import leads_out

LINE = re.compile(r"([0-9a-f]{64}) [ *]?(\S.*)")
"""A line of a list of files, as sha256sum writes it, or with one blank."""
LONGEST_LIST = 10_000_000
"""Largest number of bytes of a list."""
ON_RECORD = "and is what is on record"
AS_LISTED = "and each file is that of the publisher's list, of which no digest is on record"


def download(dataset: str, root: Path, console: Console) -> str:
    """Fetch a dataset from where an earlier call stopped, and check it.

    Args:
        dataset: Catalogue key.
        root: Folder to make; it may exist if it is empty, or has nothing but files of the list.
        console: Console for the progress: a bar on a terminal, otherwise a line each 10 %.

    Returns:
        What was checked, as the end of a sentence.

    Raises:
        BenchmarkError: The dataset may not be fetched, exists already, does not fit on the disk,
            or the connection was lost too often.
        UnexpectedBytesError: A file is not the one on record. It is not kept.
    """
    module = DATASETS[dataset]
    source, root = module.download, root.resolve()
    if source is None:
        raise BenchmarkError(
            f"{module.title} is not downloaded by this command. {module.access} "
            f"It then expects {module.layout}."
        )
    try:
        if isinstance(source, ListedFiles):
            return _listed(source, root, console, module.title)
        return _packed(source, root, console, module.title)
    except OSError as error:
        raise BenchmarkError(f"{root} cannot be written: {error}") from error


def is_complete(dataset: str, root: Path) -> bool:
    """Return whether a folder holds what ``download`` would fetch, by the names of its files."""
    source = DATASETS[dataset].download
    if isinstance(source, ListedFiles):
        listing = root / source.listing
        if not listing.is_file():
            return False
        return all((root / name).is_file() for name in _digests(source, listing))
    return root.is_dir() and any(root.iterdir())


def missing(roots: Mapping[str, Path]) -> dict[str, Path]:
    """Return those of some datasets that may be fetched and are not complete.

    Args:
        roots: Folder by dataset.
    """
    return {
        name: root
        for name, root in roots.items()
        if DATASETS[name].download is not None and not is_complete(name, root)
    }


def would_fetch(dataset: str, root: Path) -> str:
    """Return a line about what ``download`` would fetch; raises LookupError where it would not."""
    source = DATASETS[dataset].download
    if source is None:
        raise LookupError(f"{dataset} is not downloaded")
    room = source.unpacked / MEGABYTE
    return f"{dataset}: to be fetched to {root}, at most {room:.0f} MB ({source.terms})"


def _packed(source: PackedFiles, root: Path, console: Console, title: str) -> str:
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BenchmarkError(f"{root} is not empty: expected a folder to be made")
    console.out(f"{title}: {source.terms}", highlight=False)
    archive = root.with_name(f".{root.name}.part")
    unpacking = root.with_name(f".{root.name}.unpacking")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        fetch(source.url, source.unpacked, archive, console)
        if source.checked == "archive":
            check_digest(source, sha256_of(archive))
        check_room(root.parent, source.unpacked)
        shutil.rmtree(unpacking, ignore_errors=True)  # of a process that was killed
        unpack(source, archive, unpacking, console).rename(root)
        discard(archive)
    except UnexpectedBytesError:
        discard(archive)
        raise
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)
    return ON_RECORD


def _listed(source: ListedFiles, root: Path, console: Console, title: str) -> str:
    console.out(f"{title}: {source.terms}", highlight=False)
    root.mkdir(parents=True, exist_ok=True)
    listing = root / source.listing
    _fetch_list(source, listing, console)
    digests = _digests(source, listing)
    missing = [name for name, digest in digests.items() if not _is_there(root / name, digest)]
    if missing:
        console.out(f"{len(missing)} of {len(digests)} files are to be fetched", highlight=False)
        check_room(root, source.unpacked)
    fetched = 0
    with _counting(console, len(missing)) as advance:
        for name in missing:
            fetched += _fetch_file(source, root / name, name, digests[name], console)
            if fetched > source.unpacked:
                raise UnexpectedBytesError(source.url, f"at most {source.unpacked} bytes", "more")
            advance()
    return AS_LISTED if source.sha256 is None else ON_RECORD


def _fetch_list(source: ListedFiles, listing: Path, console: Console) -> None:
    """Fetch the list, unless the one on record is there."""
    if source.sha256 is not None and _has_digest(listing, source.sha256):
        return
    part = _part_of(listing)
    discard(part)  # a list is short, and may have changed
    fetch(source.url + source.listing, LONGEST_LIST, part, console, shown=False)
    if source.sha256 is not None and not _has_digest(part, source.sha256):
        actual = sha256_of(part)
        discard(part)
        raise UnexpectedBytesError(
            source.url + source.listing, f"the sha256 {source.sha256}", actual
        )
    part.replace(listing)
    discard(part)


def _digests(source: ListedFiles, listing: Path) -> Mapping[str, str]:
    """Return the digests of the files that are kept, by path.

    Raises:
        BenchmarkError: A list that is none, that leads out of the folder, or lacks a part.
    """
    lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
    matches = [LINE.fullmatch(line) for line in lines if line.strip()]
    named = {match[2]: match[1] for match in matches if match}
    tops = {name.partition("/")[0] for name in named}
    lost = [part for part in source.parts if part not in tops]
    if len(named) != len(matches) or lost or any(map(leads_out, named)):
        raise BenchmarkError(
            f"{listing}: expected a line of SHA-256 and path for each file of "
            f"{', '.join(source.parts)}, found otherwise. Take it away and try again."
        )
    return {n: digest for n, digest in named.items() if n.partition("/")[0] in source.parts}


def _is_there(path: Path, digest: str) -> bool:
    """Return whether a file is there; raises BenchmarkError if it is another one."""
    if not path.exists():
        return False
    if not path.is_file() or not _has_digest(path, digest):
        raise BenchmarkError(
            f"{path}: expected the publisher's file or none, found another. It is left alone: take "
            "it away and try again, or choose another --root."
        )
    return True


def _fetch_file(source: ListedFiles, path: Path, name: str, digest: str, console: Console) -> int:
    """Fetch a file of the list, and return its number of bytes."""
    url, part = source.url + quote(name), _part_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fetch(url, source.unpacked, part, console, shown=False)
    if not _has_digest(part, digest):
        actual = sha256_of(part)
        discard(part)
        raise UnexpectedBytesError(url, f"the sha256 {digest}", actual)
    part.rename(path)
    discard(part)
    return path.stat().st_size


def _part_of(path: Path) -> Path:
    """Return the temporary name of a file."""
    return path.with_name(f".{path.name}.part")


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest


@contextmanager
def _counting(console: Console, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function that is called after each file."""
    if console.is_terminal and total:
        columns = progress.MofNCompleteColumn(), progress.TimeRemainingColumn()
        with progress.Progress("files", progress.BarColumn(), *columns, console=console) as bar:
            task = bar.add_task("files", total=total)
            yield lambda: bar.advance(task)
        return
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if (tenth := 10 * done // total) > 10 * (done - 1) // total:
            console.out(f"fetched: {tenth * 10} % of {total} files", highlight=False)

    yield advance

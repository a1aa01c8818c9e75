"""Digests that name what is stored: of values and of files."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path


def digest(value: object) -> str:
    """Return the hexadecimal digest (16 digits) of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the sha256 of a file. It is computed again only after the file has changed."""
    stat = path.stat()
    return _file_digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

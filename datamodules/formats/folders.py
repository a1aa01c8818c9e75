"""Folders of a dataset: what is in them by name.

``Path.glob`` passes over a folder that it may not look into, so that its files seem to be missing.
"""

import os
from fnmatch import fnmatchcase
from pathlib import Path


def listed(folder: Path, pattern: str, deep: bool = False) -> list[Path]:
    """Return files and folders whose names match a pattern, in order; none if there is no folder.

    Args:
        folder: Where to look.
        pattern: Name with ``*`` and the like.
        deep: Whether to look into the folders in it too.

    Raises:
        OSError: A folder that cannot be looked into.
    """
    if not folder.is_dir():
        return []
    paths: list[Path] = []
    for here, folders, files in os.walk(folder, onerror=_raise):
        paths += (Path(here, name) for name in (*folders, *files) if fnmatchcase(name, pattern))
        if not deep:
            break
    return sorted(paths)


def _raise(error: OSError) -> None:
    raise error

"""Where an open dataset can be fetched, and how to know that it is the publisher's."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PackedFiles:
    """An archive that may be fetched without an agreement.

    Args:
        url: Address of a .zip or .tar.gz; ``http`` or ``https``.
        inside: Folder in the archive that holds the dataset.
        parts: Files and folders of it that are kept; none may be missing.
        sha256: Digest of the archive or of the files, as ``checked`` says.
        checked: The archive, or the kept files by path and digest, where the server packs anew and
            promises no stable bytes.
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


@dataclass(frozen=True)
class ListedFiles:
    """Files that may be fetched without an agreement, one by one, by the publisher's list.

    Each line of the list holds the SHA-256 of a file and its path.

    Args:
        url: Address of the folder, which ends in a slash; ``http`` or ``https``.
        parts: Files and folders of the list that are fetched; none may be missing.
        sha256: Digest of the list; None where none is on record, so that the list is taken as the
            server gives it.
        unpacked: Largest number of bytes of all files. More is refused, and as much disk must be
            free.
        terms: Terms of the publisher.
        listing: Name of the list.
    """

    url: str
    parts: tuple[str, ...]
    sha256: str | None
    unpacked: int
    terms: str
    listing: str = "SHA256SUMS.txt"


Download = PackedFiles | ListedFiles

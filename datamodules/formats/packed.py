"""Files that lie in a folder, or at the top of a zip archive, which is read in place.

Nothing of an archive is written to disk. It may come from anybody: one with a path that leads out
of a folder, with a file twice, with a password, or with more bytes than a recording has is refused.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from datamodules.errors import DatasetCorruptedError

SUFFIX = ".zip"
MOST_BYTES = 500_000_000
"""Largest size of all files of an archive together: some days of an Empatica E4, of which a day has
5.5 million lines of BVP.csv and half as many of ACC.csv, of about ten characters each."""
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # a password, or a method of compression that is not known
    ValueError,
)
"""Errors of ``zipfile`` on archives that are damaged or not plain."""


@dataclass(frozen=True)
class Files:
    """The files of a folder, or at the top of an archive.

    Args:
        place: A folder, or a file whose name ends in ``.zip``.
    """

    place: Path

    @property
    def is_packed(self) -> bool:
        """Whether they are in an archive."""
        return self.place.suffix == SUFFIX and self.place.is_file()

    def names(self) -> tuple[str, ...]:
        """Return the names of the files, sorted; none if there is no such place.

        What is named like a CSV file and is none, as a folder or a link that leads nowhere, is
        among them: whoever reads it is told, in place of taking it to be absent.

        Raises:
            DatasetCorruptedError: An archive that is damaged or hostile.
        """
        if self.is_packed:
            with self._opened() as archive:
                return tuple(sorted(n for n in archive.namelist() if "/" not in n))
        if not self.place.is_dir():
            return ()
        entries = self.place.iterdir()
        return tuple(sorted(p.name for p in entries if p.suffix == ".csv" or p.is_file()))

    def path(self, name: str) -> Path:
        """Return the path of a file, for messages: inside an archive, it cannot be opened."""
        return self.place / name

    def read(self, name: str) -> bytes:
        """Return the contents of a file.

        Raises:
            DatasetCorruptedError: An archive that is damaged or hostile.
        """
        if not self.is_packed:
            return self.path(name).read_bytes()
        with self._opened() as archive:
            member = archive.getinfo(name)
            try:
                with archive.open(member) as file:
                    content = file.read(member.file_size + 1)
                    rest = file.read(1)  # the checksum is compared at the end
            except BROKEN as error:
                raise self._refusal(f"{name}: {error}") from error
        if rest or len(content) != member.file_size:
            raise self._refusal(f"{name}, which is not as long as the archive says")
        return content

    def _opened(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(self.place)
        except BROKEN as error:
            raise self._refusal(str(error)) from error
        members = archive.infolist()
        names = [member.filename for member in members]
        size = sum(member.file_size for member in members)
        leading = [name for name in names if leads_out(name)]
        fault = None
        if leading:
            fault = f"{leading[0]!r}, which leads out of it"
        elif len(set(names)) < len(names):
            fault = "a file twice"
        elif size > MOST_BYTES:
            fault = f"{size} bytes, more than {MOST_BYTES}"
        if fault:
            archive.close()
            raise self._refusal(fault)
        return archive

    def _refusal(self, reason: str) -> DatasetCorruptedError:
        return DatasetCorruptedError(
            f"{self.place}: expected an archive of plain files, found {reason}. Export the session "
            "again."
        )


def leads_out(name: str) -> bool:
    """Return whether a path of an archive or of a list may lead out of its folder."""
    parts = name.split("/")
    return name[:1] == "/" or ".." in parts or bool(PureWindowsPath(name).drive) or "\\" in name

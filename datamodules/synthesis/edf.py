"""Files of the formats EDF+ and BDF, written by hand: whole numbers behind a header.

write_edf(path, channels, digital, 500, datetime(2011, 1, 1))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

Digital = npt.NDArray[np.int32]

BITS_24 = (-(2**23), 2**23 - 1)
"""Range of the whole numbers of BDF."""
BITS_16 = (-(2**15), 2**15 - 1)
"""Range of the whole numbers of EDF."""
ANNOTATION_TIMES = 57
"""Room for the annotations of a record, counted in samples of two bytes."""


@dataclass(frozen=True)
class Channel:
    """The header of a channel, whose whole numbers stand for ``low`` to ``high`` in its unit."""

    label: str
    unit: str
    low: float
    high: float
    transducer: str = ""
    filtering: str = ""
    bits: tuple[int, int] = BITS_24

    def digital(self, samples: npt.NDArray[np.float64]) -> Digital:
        """Return physical values, shape (T,), as whole numbers."""
        lowest, highest = self.bits
        steps = (samples - self.low) * ((highest - lowest) / (self.high - self.low)) + lowest
        return np.clip(np.round(steps), lowest, highest).astype(np.int32)


def write_bdf(
    path: Path, channels: Sequence[Channel], digital: Digital, rate: int, start: datetime
) -> None:
    """Write a plain .bdf file as BioSemi's programs do, in records of one second.

    Args:
        path: The new file.
        channels: Headers of the n channels.
        digital: Whole numbers of 24 bits, shape (n, seconds x rate).
        rate: Samples a second.
        start: Date and time for the header.
    """
    records = _records(digital, rate)
    first = (b"\xffBIOSEMI".decode("latin1"), "", "", "24BIT")
    head = _head(first, channels, [rate] * len(channels), len(records), start, "Reserved")
    four_bytes = np.ascontiguousarray(records, dtype="<i4").view(np.uint8)
    with path.open("wb") as file:
        file.write(head)
        file.write(four_bytes.reshape(-1, 4)[:, :3].tobytes())


def write_edf(
    path: Path,
    channels: Sequence[Channel],
    digital: Digital,
    rate: int,
    start: datetime,
    person: str = "X X X X",
    recorder: str = "Startdate X X X X",
) -> None:
    """Write a continuous EDF+ file in records of one second, with annotations of their starts.

    Args:
        path: The new file.
        channels: Headers of the n channels.
        digital: Whole numbers of 16 bits, shape (n, seconds x rate).
        rate: Samples a second.
        start: Date and time for the header.
        person: The header's identification of the person.
        recorder: The header's identification of the recording.
    """
    records = _records(digital, rate)
    notes = Channel("EDF Annotations", "", -1, 1, bits=BITS_16)
    counts = [*[rate] * len(channels), ANNOTATION_TIMES]
    first = ("0", person, recorder, "EDF+C")
    head = _head(first, [*channels, notes], counts, len(records), start, "")
    with path.open("wb") as file:
        file.write(head)
        for second, record in enumerate(records.astype("<i2")):
            file.write(record.tobytes())
            file.write(f"+{second}\x14\x14".encode("ascii").ljust(2 * ANNOTATION_TIMES, b"\0"))


def _records(digital: Digital, rate: int) -> Digital:
    """Return whole numbers by record of one second, shape (records, n, rate)."""
    n_channels, n_times = digital.shape
    return digital.reshape(n_channels, n_times // rate, rate).transpose(1, 0, 2)


def _head(
    first: tuple[str, str, str, str],
    channels: Sequence[Channel],
    counts: Sequence[int],
    n_records: int,
    start: datetime,
    reserved: str,
) -> bytes:
    """Return the header of a file and of its channels."""
    version, person, recorder, kind = first
    fields = [
        (version, 8),
        (person, 80),
        (recorder, 80),
        (f"{start:%d.%m.%y}", 8),
        (f"{start:%H.%M.%S}", 8),
        (256 * (len(channels) + 1), 8),
        (kind, 44),
        (n_records, 8),
        (1, 8),
        (len(channels), 4),
        *((channel.label, 16) for channel in channels),
        *((channel.transducer, 80) for channel in channels),
        *((channel.unit, 8) for channel in channels),
        *((channel.low, 8) for channel in channels),
        *((channel.high, 8) for channel in channels),
        *((channel.bits[0], 8) for channel in channels),
        *((channel.bits[1], 8) for channel in channels),
        *((channel.filtering, 80) for channel in channels),
        *((count, 8) for count in counts),
        *((reserved, 32) for _ in channels),
    ]
    return "".join(f"{value!s:<{width}}" for value, width in fields).encode("latin1")

"""Channels of EDF, EDF+ and BDF files, in the units of their headers.

MNE reads the samples. It gives everything that is a voltage in volts, and leaves other units as
they are; the header, 256 bytes and 256 a channel, says which unit that was.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError
from datamodules.machine import extra, refuse_machine

Samples = npt.NDArray[np.float64]

BLOCK = 256
"""Bytes of the header of the file, and of that of a channel."""
FIELDS = {
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "physical_low": 8,
    "physical_high": 8,
    "digital_low": 8,
    "digital_high": 8,
    "filtering": 80,
    "n_times": 8,
    "reserved": 32,
}
"""Bytes of the fields of a channel's header; each field is written for all channels in turn."""
VOLTS: Mapping[str, float] = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "nV": 1e-9}
"""Volts by unit, for the units that MNE converts."""
BYTES = {".edf": 2, ".bdf": 3}
"""Bytes of a sample, by the ending of a file's name."""
BROKEN = (AssertionError, RuntimeError, ValueError, ArithmeticError, LookupError, OSError)
"""Errors of MNE on headers that make no sense."""


@dataclass(frozen=True, eq=False)
class Channel:
    """A channel.

    Attributes:
        samples: Values in the header's unit, shape (T,).
        unit: The header's unit, without blanks.
        digital: Whole numbers from which the values were computed, shape (T,).
    """

    samples: Samples
    unit: str
    digital: npt.NDArray[np.int32]


@dataclass(frozen=True)
class _Header:
    """Fields of the header of a channel."""

    unit: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    n_times: int

    @property
    def step(self) -> float:
        """Physical difference of two whole numbers."""
        return (self.physical[1] - self.physical[0]) / (self.digital[1] - self.digital[0])


def read_channels(path: Path, labels: Sequence[str]) -> tuple[Mapping[str, Channel], float]:
    """Return channels by label, and their rate in Hz.

    Args:
        path: A file whose name ends in ``.edf`` or ``.bdf``.
        labels: Labels of the channels, as in the header; the file may have others.

    Raises:
        DatasetCorruptedError: The file is shorter than its header says, is no such file, or has
            not these channels at one rate.
        MissingExtraError: MNE is not installed.
    """
    with extra("mne", "eeg", f"{path}: to read EDF and BDF files"):
        import mne  # an extra
    try:
        headers, rate_of = _headers(path)
        missing = [label for label in labels if label not in headers]
        if missing:
            raise DatasetCorruptedError(
                f"{path}: expected a channel {', '.join(missing)}, found {', '.join(headers)}"
            )
        rates = {headers[label].n_times * rate_of for label in labels}
        if len(rates) != 1:
            raise DatasetCorruptedError(
                f"{path}: expected one rate for all channels, found {sorted(rates)} Hz"
            )
        read = mne.io.read_raw_bdf if path.suffix == ".bdf" else mne.io.read_raw_edf
        with warnings.catch_warnings():
            # of dates, of names of channels, and of filters that differ: none is used
            warnings.simplefilter("ignore", RuntimeWarning)
            raw = read(
                path,
                include=list(labels),
                stim_channel=None,
                encoding="latin1",  # of annotations, in which any byte is allowed
                verbose="ERROR",
            )
            values = raw.get_data(picks=list(labels))
    except BROKEN as error:
        refuse_machine(error, path)
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DatasetCorruptedError(
            f"{path}: expected a whole {path.suffix} file, found one that cannot be read "
            f"({reason}). Fetch it anew from its publisher."
        ) from error
    channels = {}
    for label, samples in zip(labels, values, strict=True):
        header = headers[label]
        samples = samples / VOLTS.get(header.unit, 1.0)
        steps = (samples - header.physical[0]) / header.step + header.digital[0]
        channels[label] = Channel(samples, header.unit, np.rint(steps).astype(np.int32))
    return channels, rates.pop()


def _headers(path: Path) -> tuple[dict[str, _Header], float]:
    """Return the headers of channels by label, and records a second.

    Raises:
        ValueError: A header that makes no sense, or a file that is shorter than it says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(BLOCK)
        count = int(head[252:256] or b"0")
        fields = file.read(BLOCK * count)
    columns, begin = {}, 0
    for name, width in FIELDS.items():
        stops = range(begin + width, begin + width * (count + 1), width)
        columns[name] = [fields[stop - width : stop].decode("latin1").strip() for stop in stops]
        begin += width * count
    headers = {
        label: _Header(
            unit,
            (float(columns["physical_low"][row]), float(columns["physical_high"][row])),
            (float(columns["digital_low"][row]), float(columns["digital_high"][row])),
            int(columns["n_times"][row]),
        )
        for row, (label, unit) in enumerate(zip(columns["label"], columns["unit"], strict=True))
    }
    n_records, seconds = int(head[236:244]), float(head[244:252])
    in_record = sum(int(n_times) for n_times in columns["n_times"]) * BYTES[path.suffix]
    expected = BLOCK * (1 + count) + n_records * in_record
    if not (headers and n_records > 0 and seconds > 0) or size < expected:
        raise ValueError(f"{size} bytes, where the header says {expected}")
    return headers, 1 / seconds

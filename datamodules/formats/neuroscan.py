"""Continuous EEG in the .cnt files of Neuroscan's recorders, read stretch by stretch."""

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from datamodules.errors import DatasetCorruptedError
from datamodules.machine import extra, refuse_machine
from datamodules.signals.recording import Signal

HEADER, CHANNEL_HEADER, SAMPLE = 900, 75, 4
"""Bytes of the file's header, of each channel's, and of a sample."""
N_CHANNELS_AT, N_TIMES_AT = 370, 864
"""Positions in the header: number of channels (unsigned, 16 bits), number of samples (32 bits)."""
AT_ONCE = 30_000
"""Number of samples that are read at once; MNE takes 3 kB of memory for each."""
UNUSED = (r"\s*Could not parse meas date", r"(Omitted|Limited) \d+ annotation")
"""Warnings of MNE about parts that are not used here: the date, which it cannot read in the
published files of SEED-V (two independent readers silence it), and events outside the recording."""
BROKEN = (RuntimeError, ValueError, ArithmeticError, LookupError, OSError, struct.error)
"""Errors of MNE on headers and event tables that make no sense."""


class NeuroscanFile:
    """A recording of 32-bit samples, read stretch by stretch.

    Args:
        path: A ``.cnt`` file.
        channels: Names of the channels to read, in the order of the output; the file may have
            others.
        sfreq: Rate in Hz that the recording must have.

    Raises:
        DatasetCorruptedError: The file is cut short, is no such recording, or has not these
            channels at this rate.
        MissingExtraError: MNE is not installed.
    """

    def __init__(self, path: Path, channels: Sequence[str], sfreq: float) -> None:
        with extra("mne", "eeg", f"{path}: to read Neuroscan files"):
            import mne  # an extra

        self.path, self.channels, self.sfreq = path, tuple(channels), sfreq
        _check_size(path)
        with _reported(path), warnings.catch_warnings():
            for message in UNUSED:
                warnings.filterwarnings("ignore", message)
            # Old headers have a mark of bad channels inside the name, where any name of five
            # letters sets it.
            self.raw = mne.io.read_raw_cnt(
                path, data_format="int32", header="new", verbose="WARNING"
            )
        missing = [name for name in self.channels if name not in self.raw.ch_names]
        rate = float(self.raw.info["sfreq"])
        if missing or rate != sfreq:
            raise DatasetCorruptedError(
                f"{path}: expected {len(self.channels)} channels by name at {sfreq:g} Hz, found "
                f"{rate:g} Hz; channels missing: {', '.join(missing) or 'none'}"
            )

    def read(self, start: float, stop: float) -> Signal:
        """Return a stretch in microvolts, shape (C, T); times in seconds from the file's start.

        Raises:
            DatasetCorruptedError: The recording ends before the stretch does.
        """
        first, last = round(start * self.sfreq), round(stop * self.sfreq)
        if last > self.raw.n_times:
            raise DatasetCorruptedError(
                f"{self.path}: expected a recording of at least {stop:g} s, found "
                f"{self.raw.n_times / self.sfreq:g} s. Fetch the file anew from its publisher."
            )
        samples = np.empty((len(self.channels), last - first), dtype=np.float32)
        for begin in range(first, last, AT_ONCE):
            end = min(begin + AT_ONCE, last)
            with _reported(self.path):
                volts = self.raw.get_data(picks=list(self.channels), start=begin, stop=end)
            samples[:, begin - first : end - first] = 1e6 * volts
        return Signal(samples, self.sfreq, self.channels, "uV")


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn MNE's errors on a damaged file into one error that names the file."""
    try:
        yield
    except BROKEN as error:
        refuse_machine(error, path)
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DatasetCorruptedError(
            f"{path}: expected a Neuroscan recording of 32-bit samples, found one that cannot be "
            f"read ({reason}). Fetch the file anew from its publisher."
        ) from error


def _check_size(path: Path) -> None:
    """Refuse a file that is shorter than its header says, before MNE guesses its length."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER)
    if len(header) < HEADER:
        raise DatasetCorruptedError(
            f"{path}: expected a header of {HEADER} bytes, found {size} bytes in all. Fetch the "
            "file anew from its publisher."
        )
    (n_channels,) = struct.unpack_from("<H", header, N_CHANNELS_AT)
    (n_times,) = struct.unpack_from("<i", header, N_TIMES_AT)
    expected = HEADER + n_channels * (CHANNEL_HEADER + SAMPLE * n_times)
    if n_times <= 0 or n_channels == 0 or size < expected:
        raise DatasetCorruptedError(
            f"{path}: expected at least {expected} bytes for {n_times} samples of {n_channels} "
            f"channels, found {size}. Fetch the file anew from its publisher."
        )

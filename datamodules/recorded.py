"""Recorded: the samples of a signal of all recordings, of which windows are gathered.

They are memory-mapped, a file a subject, or on a device, end to end. Measured side by side on
batches of 64 windows, in one thread: of 32 channels of EEG, 4 s at 128 Hz, a window copied out of
its own file takes as long as all of a batch read out of one array (0.55 and 0.58 ms a batch); of
one channel of 240 samples it takes 0.03 ms a batch longer. So nothing is stored end to end.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.samples import Samples


class Recorded(ABC):
    """Samples of a signal of all recordings.

    Attributes:
        device: Device that windows are gathered on.
        nbytes: Size of the samples.
    """

    device: torch.device
    nbytes: int

    @abstractmethod
    def windows(
        self, recording: Tensor, first: Tensor, n_times: int, recorded: Tensor | None
    ) -> Tensor:
        """Return a copy of the samples of some windows, shape (B, C, T).

        Args:
            recording: Position of the recording of each window, shape (B,).
            first: First sample of each, counted through all recordings, shape (B,).
            n_times: T.
            recorded: Number of samples of each that are recorded, after the last of which it is
                repeated, shape (B,); None: all are.
        """


class Mapped(Recorded):
    """Samples that are memory-mapped; each window is copied by itself.

    Args:
        pieces: Samples of each recording, shape (C, T).
        offsets: Number of samples before each recording, shape (recordings,).
    """

    device = torch.device("cpu")

    def __init__(self, pieces: Sequence[Samples], offsets: npt.NDArray[np.int64]) -> None:
        self.pieces, self.offsets = pieces, torch.from_numpy(offsets)
        self.nbytes = sum(piece.nbytes for piece in pieces)

    def windows(
        self, recording: Tensor, first: Tensor, n_times: int, recorded: Tensor | None
    ) -> Tensor:
        starts = (first - self.offsets[recording]).tolist()
        batch = np.empty((len(starts), len(self.pieces[0]), n_times), np.float32)
        counts = [n_times] * len(starts) if recorded is None else recorded.tolist()
        places = zip(batch, recording.tolist(), starts, counts, strict=True)
        for window, place, start, count in places:
            window[:, :count] = self.pieces[place][:, start : start + count]
            if count < n_times:
                window[:, count:] = window[:, count - 1 : count]
        return torch.from_numpy(batch)


class Constant(Recorded):
    """A signal that is not there: one value a channel in its place.

    Args:
        values: Shape (C, 1).
        device: Device that windows are gathered on; None: the CPU.
    """

    def __init__(self, values: Tensor, device: torch.device | None) -> None:
        self.values = values.to(device or torch.device("cpu"))
        self.device, self.nbytes = self.values.device, self.values.nbytes

    def windows(
        self, recording: Tensor, first: Tensor, n_times: int, recorded: Tensor | None
    ) -> Tensor:
        return self.values.repeat(len(first), 1, n_times)


class Joined(Recorded):
    """Samples on a device, end to end; a batch is one indexed read.

    Args:
        array: Samples of all recordings, float32 of shape (C, T of all).
    """

    def __init__(self, array: Tensor) -> None:
        self.array, self.device, self.nbytes = array, array.device, array.nbytes

    @classmethod
    def of(cls, pieces: Sequence[Samples], device: torch.device) -> Self:
        """Return recordings, shape (C, T) each, on a device."""
        lengths = [piece.shape[1] for piece in pieces]
        array = torch.empty((len(pieces[0]), sum(lengths)), device=device)
        for part, piece in zip(array.split(lengths, dim=1), pieces, strict=True):
            part.copy_(torch.from_numpy(piece))
        return cls(array)

    def windows(
        self, recording: Tensor, first: Tensor, n_times: int, recorded: Tensor | None
    ) -> Tensor:
        if recorded is None:
            # Only along the first axis does index_select read a strided view without a copy of it.
            return self.array.unfold(1, n_times, 1).transpose(0, 1).index_select(0, first)
        steps = torch.arange(n_times, device=self.device)
        index = first[:, None] + torch.minimum(steps, recorded[:, None] - 1)
        return self.array[:, index].transpose(0, 1).contiguous()

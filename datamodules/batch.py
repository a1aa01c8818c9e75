"""SignalSpec and Batch: all that a model ever sees of a dataset, and what signals' names mean."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.serialization import add_safe_globals

from datamodules.signals.kinds import BREATHING_RATES as BREATHING_RATES
from datamodules.signals.kinds import EEG_BANDS as EEG_BANDS
from datamodules.signals.kinds import HEART_RATES as HEART_RATES
from datamodules.signals.kinds import kind_of as kind_of


@dataclass(frozen=True)
class SignalSpec:
    """Shape of a signal in a window.

    Args:
        n_channels: C.
        n_times: T, samples in a window.
        sfreq: Sampling rate in Hz.
    """

    n_channels: int
    n_times: int
    sfreq: float


Inputs = Mapping[str, SignalSpec]

LENGTH = "length"
"""Name of what is no signal: the share of each window that is recorded, shape (B, 1, 1).

It is there only where whole trials are padded and a mask is asked for."""


class Batch(NamedTuple):
    """B windows.

    Attributes:
        signals: By name, float32 of shape (B, C, T); C and T differ from signal to signal.
        target: Class index, int64 of shape (B,).
        subject: Position of the subject in the datamodule's ``subjects``, int64 of shape (B,).
        trial: The publisher's trial number, int64 of shape (B,).
        row: Position of each window among those of its part, int64 of shape (B,); None from loaders
            that do not count.
    """

    signals: dict[str, Tensor]
    target: Tensor
    subject: Tensor
    trial: Tensor
    row: Tensor | None = None


class Front(NamedTuple):
    """What a network does first with signals, where nothing of it is learned or drawn at random.

    Attributes:
        key: Equal for all that measure the same.
        measure: Takes the signals of a batch.
        scaled: Takes what was measured, and by signal a shift and a scale of shape (C, 1), or None
            for each; the network takes what it returns in place of (signals - shift) / scale.
    """

    key: Hashable
    measure: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
    scaled: Callable[..., Mapping[str, Tensor]]


class Chunk:
    """Batches for several training steps in a row, each gathered when its turn comes.

    Args:
        gather: Makes a batch of rows.
        rows: Of each batch.
    """

    def __init__(self, gather: Callable[[Tensor], Batch], rows: Sequence[Tensor]) -> None:
        self.gather, self.rows = gather, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.gather, self.rows)


add_safe_globals([SignalSpec])

"""The door between data and models: shapes of signals, the meaning of their names, and Batch."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.serialization import add_safe_globals

from datamodules.inputs import LENGTH as LENGTH
from datamodules.inputs import Inputs as Inputs
from datamodules.inputs import SignalSpec as SignalSpec
from datamodules.signals.kinds import BREATHING_RATES as BREATHING_RATES
from datamodules.signals.kinds import EEG_BANDS as EEG_BANDS
from datamodules.signals.kinds import kind_of as kind_of


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
    """First steps of a network on signals, where nothing is learned or drawn at random.

    Attributes:
        key: Key that is equal for all that measure the same.
        measure: Function of the signals of a batch.
        scaled: Function of what was measured, and by signal of a shift and a scale of shape (C, 1),
            or None for each; the network takes its value in place of (signals - shift) / scale.
    """

    key: Hashable
    measure: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
    scaled: Callable[..., Mapping[str, Tensor]]


class Chunk:
    """Batches for several training steps in a row, each gathered when its turn comes.

    Args:
        gather: Function that makes a batch of rows.
        rows: Rows of each batch.
    """

    def __init__(self, gather: Callable[[Tensor], Batch], rows: Sequence[Tensor]) -> None:
        self.gather, self.rows = gather, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.gather, self.rows)


add_safe_globals([SignalSpec, (SignalSpec, f"{__name__}.SignalSpec")])
"""Checkpoints hold shapes of signals; in older ones they are named after this file."""

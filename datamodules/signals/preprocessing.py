"""Step: what is done to a whole continuous signal before windows are cut from it."""

from typing import Protocol

from datamodules.signals.recording import Signal


class Step(Protocol):
    """A frozen dataclass that maps a signal to a signal of the same duration.

    Its ``repr`` is part of the cache key: two steps that print alike must do alike.
    """

    def __call__(self, signal: Signal) -> Signal: ...

"""Signals that ask a process to end: it ends as after Ctrl-C, with its own exit status.

A second one changes nothing: workers are being ended. A signal that the caller had ignored, as
``nohup`` does, stays ignored.
"""

import signal
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal that asks this process to end.

    Attributes:
        status: Exit status that shells know it by.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.status = 128 + number


def stop_on_signals() -> None:
    """Raise Stopped in the main thread when such a signal comes."""
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)

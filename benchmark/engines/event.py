"""Event: how an attempt at a run ended, as an engine reports it."""

from dataclasses import dataclass

from benchmark.files import DiskFullError
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.errors import MachineError

LOST, OUT_OF_MEMORY, DISK_FULL, MACHINE = "lost", "out of memory", "disk full", "machine"
"""How an attempt may end besides ``"done"`` and ``"failed"``; nothing is committed then."""


@dataclass(frozen=True)
class Finished:
    """Event of a run that has ended.

    Args:
        run: The run.
        status: ``"done"`` or ``"failed"``; between worker and queue also ``LOST``,
            ``OUT_OF_MEMORY``, or ``DISK_FULL`` and ``MACHINE``, which end the call.
        error: One line; empty if done.
        score: Mean macro F1 of its test subjects; None if failed, or if another runner did it.
        seconds: Time of preparing, training and predicting.
        busy: Time in seconds that the worker spent on it in all.
    """

    run: Run
    status: str
    error: str
    score: float | None
    seconds: float
    busy: float = 0.0


def stopped(run: Run, error: MachineError) -> Finished:
    """Return the event of an attempt that the machine made an end to."""
    status = DISK_FULL if isinstance(error, DiskFullError) else MACHINE
    return Finished(run, status, str(error), None, 0.0)


def summarise(result: Result) -> Finished:
    """Return the event of a result, with its score if that was derived."""
    scores = result.scores.values() if isinstance(result, Scored) else ()
    values = [score["macro_f1"] for score in scores]
    score = sum(values) / len(values) if values else None
    seconds = sum(result.seconds.values())
    return Finished(result.run, result.status, result.error, score, seconds)

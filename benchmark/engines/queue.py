"""Queue: the next run of an engine, and the fate of runs whose worker was lost."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from benchmark.engines.engine import Terms
from benchmark.engines.event import DISK_FULL, LOST, MACHINE, OUT_OF_MEMORY, Finished, summarise
from benchmark.execution.circumstances import commit
from benchmark.execution.places import Places
from benchmark.files import DiskFullError
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import scored
from benchmark.store import DamagedError, Store
from datamodules.errors import MachineError

ATTEMPTS = 2
"""Number of times that a run is tried whose worker died, hung or ran out of memory."""


class Queue:
    """Runs that wait for a worker, and those that wait for their teachers or members.

    Args:
        runs: Runs in the order in which they should start; one that needs others among them waits
            for them.
        places: Folders; results are in the store at ``places.runs``.
        finished: Function that takes the event of each run.
        terms: End of the call, and the durations of past runs.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        places: Places,
        finished: Callable[[Finished], None],
        terms: Terms,
    ) -> None:
        self.waiting = deque(runs)
        self._unfinished = {run.id for run in runs}
        self._attempts: Counter[str] = Counter()
        self.costs = terms.costs
        self._store = Store(places.runs)
        self._finished = finished
        self._end = terms.end

    def next(self, delay: float = 0.0) -> tuple[Run, bool] | None:
        """Return the first run for which there is time and that waits for no other.

        Args:
            delay: Seconds before it will start.

        Returns:
            The run, which counts as being done from now on, and whether it is its last attempt;
            None if no run can start now.
        """
        while run := self._ready(delay):
            self.waiting.remove(run)
            if self._store.status(run) == "done":  # by another runner meanwhile
                self._report(_summary(run, self._store))
                continue
            self._attempts[run.id] += 1
            return run, self._attempts[run.id] == ATTEMPTS
        return None

    def ended(self, event: Finished) -> None:
        """Record how an attempt ended; a run that was lost waits again, or is given up.

        Raises:
            MachineError: No room for its result, or a file that the machine cannot read or write.
        """
        if event.status == DISK_FULL:
            raise DiskFullError(event.error)
        if event.status == MACHINE:
            raise MachineError(event.error)
        if event.status not in (LOST, OUT_OF_MEMORY):
            self._report(event)
        elif self._attempts[event.run.id] == ATTEMPTS:
            self._report(_given_up(event, self._store))
        elif event.status == LOST:
            self.waiting.appendleft(event.run)
        else:  # when others have ended, there may be more memory
            self.waiting.append(event.run)

    def back(self, run: Run) -> None:
        """Take a run back that was given out and not begun."""
        self._attempts[run.id] -= 1
        self.waiting.appendleft(run)

    def _ready(self, delay: float) -> Run | None:
        for run in self.waiting:
            waits = any(needed.id in self._unfinished for needed in run.needs)
            if not waits and self._in_time(run, delay):
                return run
        return None

    def _in_time(self, run: Run, delay: float) -> bool:
        seconds = delay + (self.costs.seconds(run) or 0.0)
        return self._end is None or time.monotonic() + seconds < self._end

    def _report(self, event: Finished) -> None:
        self._unfinished.discard(event.run.id)
        if event.status == "done":
            self.costs.add(event.run, event.seconds)
        self._finished(event)


def _given_up(event: Finished, store: Store) -> Finished:
    """Commit the failure of a run that no worker could finish."""
    error = f"{event.error} ({ATTEMPTS} attempts)"
    store.save(Result(event.run, "failed", error=error, commit=commit()))
    return _summary(event.run, store)  # done, if it was lost after its result was on the disk


def _summary(run: Run, store: Store) -> Finished:
    """Return the event of a run that has ended, with its score if that can be derived."""
    try:
        result = scored(store, run)
    except DamagedError:
        result = None
    kept = result or store.result(run)
    assert kept is not None
    return summarise(kept)

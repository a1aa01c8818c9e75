"""Queue: which run is next, and what becomes of one whose worker was lost; every engine has one."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmark.engines.worker import DISK_FULL, LOST, OUT_OF_MEMORY, Finished, told
from benchmark.execution.execute import Places, commit
from benchmark.plan.order import Costs
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import DiskFullError, Store

ATTEMPTS = 2
"""A run whose worker died, hung or ran out of memory is tried so many times before it failed."""


class Queue:
    """Runs that wait for a worker, and those that wait for their teachers.

    Args:
        runs: In the order in which they should start; one that has teachers among them waits for
            them.
        places: Where results are.
        finished: Called after each run.
        max_seconds: No run is given out that would end later than this, counted from now.
        costs: What is known of how long runs take; those that end are added. A run of unknown cost
            is given out while there is any time.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        places: Places,
        finished: Callable[[Finished], None],
        max_seconds: float | None = None,
        costs: Costs | None = None,
    ) -> None:
        self.waiting = deque(runs)
        self._unfinished = {run.id for run in runs}
        self._attempts: Counter[str] = Counter()
        self.costs = costs or Costs()
        self._store = Store(places.runs)
        self._finished = finished
        self._end = None if max_seconds is None else time.monotonic() + max_seconds

    def next(self, delay: float = 0.0) -> tuple[Run, bool] | None:
        """The first run for which there is time and whose teachers are all done.

        Args:
            delay: Seconds before it will start.

        Returns:
            None if there is none now; else the run, which counts as being done from now on, and
            whether it is its last attempt.
        """
        while run := self._ready(delay):
            self.waiting.remove(run)
            if self._store.status(run) == "done":  # by another runner meanwhile
                result = self._store.result(run)
                assert result is not None
                self._report(told(result))
                continue
            self._attempts[run.id] += 1
            return run, self._attempts[run.id] == ATTEMPTS
        return None

    def ended(self, event: Finished) -> None:
        """Learn how an attempt ended; a run that was lost waits again, or is given up.

        Raises:
            DiskFullError: There was no room for its result.
        """
        if event.status == DISK_FULL:
            raise DiskFullError(event.error)
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
            taught = not any(teacher.id in self._unfinished for teacher in run.teachers)
            if taught and self._in_time(run, delay):
                return run
        return None

    def _in_time(self, run: Run, delay: float) -> bool:
        takes = delay + (self.costs.seconds(run) or 0.0)
        return self._end is None or time.monotonic() + takes < self._end

    def _report(self, event: Finished) -> None:
        self._unfinished.discard(event.run.id)
        if event.status == "done":
            self.costs.add(event.run, event.seconds)
        self._finished(event)


def _given_up(event: Finished, store: Store) -> Finished:
    """Commit the failure of a run that no worker came to the end of."""
    error = f"{event.error} ({ATTEMPTS} attempts)"
    store.save(Result(event.run, "failed", error=error, commit=commit()))
    found = store.result(event.run)  # done, if it was lost after its last word to the disk
    return told(found) if found else replace(event, status="failed", error=error)

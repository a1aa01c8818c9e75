"""Engine: has runs done by workers, wherever these are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Protocol, Self

from benchmark.engines.event import Finished
from benchmark.errors import BenchmarkError
from benchmark.execution.places import Places
from benchmark.plan.order import Costs
from benchmark.run import Run


class EngineError(BenchmarkError):
    """An engine that is not available, or cannot do what is asked of it."""


@dataclass(frozen=True)
class Terms:
    """Terms on which runs are done: their limits, and who hears of them while they go on.

    Args:
        timeout: Seconds after which the worker of a run is killed; None: never.
        end: Time, as ``time.monotonic`` has it, by which every run should have ended: no run is
            started that would take longer; None: there is no end.
        costs: Durations of past runs; those of this call are added. A run of unknown duration is
            started while there is any time.
        workers: Called with the number of workers when they begin on some of the runs.
        watch: Called with the number of a worker, its device, and the run that it does from now on;
            None: it has no run.
        output: Pipe that takes the output of workers; None: stdout and stderr stay as they are.
    """

    timeout: float | None = None
    end: float | None = None
    costs: Costs = field(default_factory=Costs)
    workers: Callable[[int], None] = lambda _: None
    watch: Callable[[int, str, Run | None], None] = lambda *_: None
    output: Connection | None = None


class Engine(Protocol):
    """Has runs done by workers; a context that ends them when it is left.

    The order of runs, the wait of students for their teachers, and of
    ensembles for their members, and the attempts after a loss are
    those of ``benchmark.engines.queue.Queue``, which every engine asks for the next run and tells
    of every end. Wherever a run is done, torch has ``server.THREADS`` threads, as with others
    numbers differ.
    """

    @property
    def slots(self) -> Sequence[str]:
        """Device of each worker that can do a run at the same time."""
        ...

    def run_all(
        self,
        runs: Sequence[Run],
        places: Places,
        finished: Callable[[Finished], None],
        terms: Terms,
    ) -> list[Run]:
        """Do runs, and commit every result to the store.

        Args:
            runs: Runs in the order in which they should start; one that needs others among them
                waits for them.
            places: Folders, and how runs are executed; the device is set by the worker.
            finished: Function that takes the event of each run, called in this process.
            terms: Limits, and who hears of runs while they go on.

        Returns:
            Runs that were not started.

        Raises:
            MachineError: No room for a result, or a file that the machine cannot read or write; the
                runs in flight are given up.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

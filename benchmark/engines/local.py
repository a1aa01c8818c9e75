"""Many runs on the devices of one machine: worker processes that take runs one after another.

Workers are forked from a server process that has torch, lightning and this project imported, so a
worker starts in hundredths of a second; on macOS each imports them itself. Each is bound to one
device and one torch thread and lives for many runs; while it does a short one it is handed the
next, so that it never waits. A worker that dies, hangs or runs out of memory costs one attempt of
one run; a worker whose runner dies ends. A full or broken disk ends the call.

Of the workers' time 0.7 % was not inside runs in a suite of 500 small runs (``cnn``, one epoch on
synthetic data, 0.4 s each), 4.2 % where runs took 0.1 s (``lda`` and ``majority``), on two cores
that others used as well, as ``affectbench status --timing`` says.

A worker of several devices is a process a device, which train one run together (see
``benchmark.execution.parallel``) and end with it; a new group does the next.
"""

import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess, SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmark.engines.devices import chosen, phases, workers
from benchmark.engines.engine import Engine, EngineError, Terms
from benchmark.engines.event import LOST, OUT_OF_MEMORY, Finished
from benchmark.engines.placement import AUTO, Placement
from benchmark.engines.queue import Queue
from benchmark.engines.server import Context, start_server
from benchmark.engines.worker import GRACE, work
from benchmark.execution.parallel import Group, spreads
from benchmark.execution.places import Places
from benchmark.run import Run
from benchmark.store import Store
from datamodules.temporary import owned

Process = ForkServerProcess | SpawnProcess
"""A worker's process."""
STARTS = 50
"""Maximum number of attempts to start a worker; retried every 0.1 s."""
SHORT = 1.0
"""Seconds; a worker gets its next run in advance while it does one that is not longer than this."""


@dataclass
class _Worker:
    device: str
    members: list[tuple[Process, Connection]]
    number: int = 0
    meeting: Path | None = None
    runs: deque[Run] = field(default_factory=deque)
    started: float = 0.0

    @property
    def process(self) -> Process:
        return self.members[0][0]

    @property
    def connection(self) -> Connection:
        return self.members[0][1]

    @property
    def run(self) -> Run | None:
        """The run that it does now; those that it got in advance come behind."""
        return self.runs[0] if self.runs else None

    @property
    def alone(self) -> bool:
        return len(self.members) == 1


class LocalEngine(Engine):
    """Worker processes on the devices of this machine.

    Args:
        placement: Devices, and how many workers share them.

    Raises:
        EngineError: The address of a cluster.
        DeviceError: Devices that do not exist, or cannot be shared out in that way.
    """

    def __init__(self, placement: Placement) -> None:
        if placement.address:
            raise EngineError("--ray-address is for --engine ray; ask for both, or neither")
        self.placement = placement
        self.devices = chosen(placement.devices)
        jobs = None if placement.jobs == AUTO else placement.jobs
        self._slots = workers(self.devices, jobs, placement.per_run)

    @property
    def slots(self) -> Sequence[str]:
        return self._slots

    def run_all(
        self,
        runs: Sequence[Run],
        places: Places,
        finished: Callable[[Finished], None],
        terms: Terms,
    ) -> list[Run]:
        """Do runs as ``Engine`` says; where memory must be measured first, in two phases."""
        jobs, per_run = self.placement.jobs, self.placement.per_run
        left: list[Run] = []
        for part, devices in phases(runs, self.devices, jobs, per_run, Store(places.runs)):
            left += run_all(part, places, devices, finished, terms)
        return left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: workers end with ``run_all``."""


def run_all(
    runs: Sequence[Run],
    places: Places,
    devices: Sequence[str],
    finished: Callable[[Finished], None],
    terms: Terms,
) -> list[Run]:
    """Do runs on workers, one for each device named, and commit every result.

    Args:
        runs: As of ``Engine.run_all``.
        places: As of ``Engine.run_all``.
        devices: Value of CUDA_VISIBLE_DEVICES in each worker, or ``"cpu"``. A name given twice
            makes two workers, several names joined by commas make one worker of several devices.
            After a worker ran out of memory, its device has one worker less for the rest of the
            call.
        finished: As of ``Engine.run_all``.
        terms: As of ``Engine.run_all``.

    Returns:
        Runs that were not started.

    Raises:
        MachineError: No room for a result, or a file that the machine cannot read or write; the
            runs in flight are given up.
    """
    context = start_server()
    alive, lifeline = context.Pipe(duplex=False)
    queue = Queue(runs, places, finished, terms)

    def ready(worker: _Worker) -> tuple[Run, bool] | None:
        """Return a run for a worker that has none, or only a short one."""
        before = (queue.costs.seconds(worker.run) if worker.run else 0.0) or 0.0
        if worker.run and not (worker.alone and 0 < before <= SHORT):
            return None
        return queue.next(before)

    def start(device: str, number: int) -> _Worker:
        return _start(context, device, places, alive, terms.output, number)

    def tell(worker: _Worker) -> None:
        worker.started = time.monotonic()
        terms.watch(worker.number, worker.device, worker.run)

    few = devices[: max(1, len(runs))]
    staff = [start(device, number) for number, device in enumerate(few)]
    terms.workers(len(staff))
    try:
        while True:
            for held in range(2):  # all workers have one before any is handed a second
                for worker in staff:
                    if len(worker.runs) == held and (job := ready(worker)):
                        worker.runs.append(job[0])
                        _send(worker, *job)
                        if not held:
                            tell(worker)
            busy = [worker for worker in staff if worker.run]
            if not busy:
                break
            everyone = [member for worker in busy for member in worker.members]
            pipes = [item for process, pipe in everyone for item in (pipe, process.sentinel)]
            wait(pipes, _patience(busy, terms.timeout))
            for worker in busy:
                event = _event(worker, terms.timeout)
                if event is None:
                    continue
                worker.runs.popleft()
                replaced = event.status in (LOST, OUT_OF_MEMORY)
                if not replaced:
                    queue.ended(event)
                if replaced or (not worker.alone and spreads(event.run)):
                    for run in reversed(worker.runs):  # it had not begun them
                        queue.back(run)
                    worker.runs.clear()
                    _end(worker)
                    place = staff.index(worker)
                    same = [w.device for w in staff].count(worker.device)
                    if event.status == OUT_OF_MEMORY and same > 1:
                        del staff[place]
                    else:
                        staff[place] = start(worker.device, worker.number)
                tell(worker)
                if replaced:  # now that no process of the worker can commit its result
                    queue.ended(event)
    finally:
        for worker in staff:
            _terminate(worker)
        for worker in staff:
            _end(worker)
        lifeline.close()
    return list(queue.waiting)


def _patience(busy: Sequence[_Worker], timeout: float | None) -> float | None:
    """Return the seconds until the time of the first of some workers is over."""
    if timeout is None:
        return None
    return max(0.0, min(worker.started for worker in busy) + timeout - time.monotonic())


def _event(worker: _Worker, timeout: float | None) -> Finished | None:
    """Return how a worker's run ended; None while it goes on."""
    assert worker.run is not None
    for process, connection in worker.members:  # the first is asked first
        if connection.poll():
            answer = _received_from(process, connection)
            if answer is not None:
                return answer
    cause = ""
    dead = [process for process, _ in worker.members if not process.is_alive()]
    if dead:
        cause = _cause_of_death(dead[0].exitcode)
    elif timeout is not None and time.monotonic() - worker.started > timeout:
        for process, _ in worker.members:
            process.kill()
        cause = f"the run had not ended after {timeout / 60:g} minutes; --timeout sets how long"
    return Finished(worker.run, LOST, cause, None, 0.0) if cause else None


def _cause_of_death(exitcode: int | None) -> str:
    cause = f"signal {-exitcode}" if exitcode and exitcode < 0 else f"exit status {exitcode}"
    hint = "; the machine may be out of memory" if exitcode == -signal.SIGKILL else ""
    return f"the worker died ({cause}){hint}"


def _start(
    context: Context,
    device: str,
    places: Places,
    alive: Connection,
    output: Connection | None = None,
    number: int = 0,
) -> _Worker:
    size = len(device.split(","))
    meeting = Path(tempfile.mkdtemp(prefix=owned())) if size > 1 else None
    members = []
    for rank in range(size):
        group = Group(rank, size, meeting) if meeting else None
        ours, theirs = context.Pipe()
        arguments = (theirs, alive, device, replace(places, group=group), output)
        process = context.Process(target=work, args=arguments, daemon=True)
        _start_process(process)
        theirs.close()
        members.append((process, ours))
    return _Worker(device, members, number, meeting)


def _start_process(process: Process) -> None:
    for left in reversed(range(STARTS)):
        try:
            process.start()
            break
        except OSError:  # the server has died, but is not gone yet; then another takes its place
            if not left:
                raise
            time.sleep(0.1)


def _terminate(worker: _Worker) -> None:
    for process, _ in worker.members:
        process.terminate()


def _end(worker: _Worker) -> None:
    """Let a worker clean up and end, and kill it if it does not."""
    _terminate(worker)
    for process, connection in worker.members:
        process.join(GRACE)
        process.kill()
        process.join()
        connection.close()
    if worker.meeting:
        shutil.rmtree(worker.meeting, ignore_errors=True)


def _send(worker: _Worker, run: Run, last: bool) -> None:
    for process, connection in worker.members if spreads(run) else worker.members[:1]:
        try:
            connection.send((run, last))
        except (BrokenPipeError, ConnectionResetError):
            process.join()  # it died while idle; the loop finds it dead and starts another


def _received_from(process: Process, connection: Connection) -> Finished | None:
    """Return the event that a worker sends; None if it died before the message was complete."""
    try:
        answer: Finished = connection.recv()
    except (EOFError, OSError):  # a reset, if it died before it read what it was sent
        process.join()
        return None
    return answer

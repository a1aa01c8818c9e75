"""Many runs on the devices of one machine: worker processes that take runs one after another.

Workers are forked from a server process that has torch, lightning and this project imported, so a
worker starts in hundredths of a second. Each is bound to one device and one torch thread and lives
for many runs. A worker that dies, hangs or runs out of memory costs one attempt of one run; a
worker whose runner dies ends. A full disk ends the call.
"""

import ctypes
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess

from benchmark.results import DiskFullError, Store
from benchmark.run import Result, Run
from benchmark.schedule import Costs
from benchmark.train import Places, commit, execute, out_of_memory

ATTEMPTS = 2
"""A run whose worker died, hung or ran out of memory is tried so many times before it failed."""
GRACE = 10.0
"""Seconds that a worker has to clean up after itself when it is told to end."""
STARTS = 50
"""A worker is tried to be started so often, a tenth of a second apart."""
LOST, OUT_OF_MEMORY, DISK_FULL = "lost", "out of memory", "disk full"
"""How an attempt may end besides ``"done"`` and ``"failed"``; nothing is committed then."""
THREADS = 1
"""Torch threads of a worker: small models side by side lose time with more, and numbers change."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Settings of malloc, numbered as in glibc's malloc.h."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Finished:
    """Told of each run as it ends.

    Args:
        run: Which one.
        status: ``"done"`` or ``"failed"``.
        error: One line; empty if done.
        score: Mean macro F1 of its test subjects; None if failed.
        seconds: That preparing, training and predicting took.
        busy: Seconds that the worker spent on it in all.
    """

    run: Run
    status: str
    error: str
    score: float | None
    seconds: float
    busy: float = 0.0


def start_server() -> ForkServerContext:
    """Start the process that workers are forked from; its imports go on in the background."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(THREADS)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.train"])
    from multiprocessing.forkserver import ensure_running

    ensure_running()
    return context


@dataclass
class _Worker:
    device: str
    process: ForkServerProcess
    connection: Connection
    run: Run | None = None
    last: bool = True
    started: float = 0.0


def run_all(
    runs: Sequence[Run],
    places: Places,
    devices: Sequence[str],
    finished: Callable[[Finished], None],
    timeout: float | None = None,
    max_seconds: float | None = None,
    costs: Costs | None = None,
) -> list[Run]:
    """Do runs on workers, one a device named, and commit every result.

    Args:
        runs: In the order in which they should start; one that has teachers among them waits for
            them.
        places: Where; its device is set by the worker.
        devices: ``"cpu"`` or the number of a GPU; a name given twice makes two workers. After one
            of them ran out of memory, the device has one worker less for the rest of the call.
        finished: Called in this process after each run.
        timeout: Seconds after which the worker of a run is killed.
        max_seconds: No run is started that would end later than this, counted from now.
        costs: What is known of how long runs take; the runs of this call are added. A run of
            unknown cost is started while there is any time.

    Returns:
        Runs that were not started.

    Raises:
        DiskFullError: No room for a result; the runs in flight are given up.
    """
    context = start_server()
    alive, lifeline = context.Pipe(duplex=False)
    waiting = deque(runs)
    unfinished = {run.id for run in runs}
    attempts: Counter[str] = Counter()
    store, costs = Store(places.runs), costs or Costs()
    end = None if max_seconds is None else time.monotonic() + max_seconds

    def fits(run: Run) -> bool:
        return end is None or time.monotonic() + (costs.seconds(run) or 0.0) < end

    def report(event: Finished) -> None:
        unfinished.discard(event.run.id)
        if event.status == "done":
            costs.add(event.run, event.seconds)
        finished(event)

    workers = [_start(context, device, places, alive) for device in devices[: max(1, len(waiting))]]
    try:
        while True:
            for worker in workers:
                while not worker.run and (ready := _next(waiting, unfinished, fits)):
                    waiting.remove(ready)
                    if store.status(ready) == "done":  # by another runner meanwhile
                        report(_told(_on_record(store, ready)))
                        continue
                    attempts[ready.id] += 1
                    worker.run, worker.last = ready, attempts[ready.id] == ATTEMPTS
                    worker.started = time.monotonic()
                    _send(worker)
            busy = [worker for worker in workers if worker.run]
            if not busy:
                break
            pipes = [item for w in busy for item in (w.connection, w.process.sentinel)]
            wait(pipes, _patience(busy, timeout))
            for worker in busy:
                event = _event(worker, timeout)
                if event is None:
                    continue
                worker.run = None
                if event.status == DISK_FULL:
                    raise DiskFullError(event.error)
                if event.status not in (LOST, OUT_OF_MEMORY):
                    report(event)
                    continue
                if event.status == LOST:
                    waiting.appendleft(event.run)
                else:  # when others have ended, there may be more memory
                    waiting.append(event.run)
                _end(worker)
                place = workers.index(worker)
                if event.status == LOST or [w.device for w in workers].count(worker.device) == 1:
                    workers[place] = _start(context, worker.device, places, alive)
                else:
                    del workers[place]
                if attempts[event.run.id] == ATTEMPTS:
                    waiting.remove(event.run)
                    report(_given_up(event, places))
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _end(worker)
        lifeline.close()
    return list(waiting)


def _patience(busy: Sequence[_Worker], timeout: float | None) -> float | None:
    """Seconds until the first of some workers has had its time."""
    if timeout is None:
        return None
    return max(0.0, min(worker.started for worker in busy) + timeout - time.monotonic())


def _event(worker: _Worker, timeout: float | None) -> Finished | None:
    """How a worker's run ended; None while it goes on."""
    assert worker.run is not None
    if worker.connection.poll():
        answer = _received_from(worker)
        if answer is not None:
            return answer
    cause = ""
    if not worker.process.is_alive():
        cause = _cause_of_death(worker.process.exitcode)
    elif timeout is not None and time.monotonic() - worker.started > timeout:
        worker.process.kill()
        worker.process.join()
        cause = f"the run had not ended after {timeout / 60:g} minutes; --timeout sets how long"
    return Finished(worker.run, LOST, cause, None, 0.0) if cause else None


def _cause_of_death(exitcode: int | None) -> str:
    cause = f"signal {-exitcode}" if exitcode and exitcode < 0 else f"exit status {exitcode}"
    hint = "; the machine may be out of memory" if exitcode == -signal.SIGKILL else ""
    return f"the worker died ({cause}){hint}"


def _given_up(event: Finished, places: Places) -> Finished:
    """Commit the failure of a run that no worker came to the end of."""
    error = f"{event.error} ({ATTEMPTS} attempts)"
    store = Store(places.runs)
    store.save(Result(event.run, "failed", error=error, commit=commit()))
    found = store.result(event.run)  # done, if it was lost after its last word to the disk
    return _told(found) if found else replace(event, status="failed", error=error)


def _told(result: Result) -> Finished:
    values = [score["macro_f1"] for score in result.scores.values()]
    score = sum(values) / len(values) if values else None
    seconds = sum(result.seconds.values())
    return Finished(result.run, result.status, result.error, score, seconds)


def _next(waiting: deque[Run], unfinished: set[str], fits: Callable[[Run], bool]) -> Run | None:
    """The first run for which there is time and whose teachers are all done."""
    for run in waiting:
        if fits(run) and not any(teacher.id in unfinished for teacher in run.teachers):
            return run
    return None


def _on_record(store: Store, run: Run) -> Result:
    result = store.result(run)
    assert result is not None
    return result


def _start(context: ForkServerContext, device: str, places: Places, alive: Connection) -> _Worker:
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, alive, device, places), daemon=True)
    for left in reversed(range(STARTS)):
        try:
            process.start()
            break
        except OSError:  # the server has died, but is not gone yet; then another takes its place
            if not left:
                raise
            time.sleep(0.1)
    there.close()
    return _Worker(device, process, here)


def _end(worker: _Worker) -> None:
    """Let a worker clean up and end, and see to it that it does."""
    worker.process.terminate()
    worker.process.join(GRACE)
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _send(worker: _Worker) -> None:
    try:
        worker.connection.send((worker.run, worker.last))
    except (BrokenPipeError, ConnectionResetError):
        worker.process.join()  # it died while idle; the loop finds it dead and starts another


def _received_from(worker: _Worker) -> Finished | None:
    """What a worker says; None if it died instead, perhaps in the middle of a word."""
    try:
        answer: Finished = worker.connection.recv()
    except (EOFError, OSError):  # a reset, if it died before it read what it was sent
        worker.process.join()
        return None
    return answer


def _work(connection: Connection, alive: Connection, device: str, places: Places) -> None:
    """Life of a worker: take a run, do it, say so, until the runner is gone."""
    threading.Thread(target=_end_with_runner, args=(alive,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # temporary files go on the way out
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    import torch

    torch.set_num_threads(THREADS)
    give_back = _keep_pages()
    places = replace(places, device="cpu" if device == "cpu" else "cuda")
    for run, last in _received(connection):
        started = time.perf_counter()
        try:
            event = _told(execute(run, places, THREADS, last))
        except DiskFullError as error:
            event = Finished(run, DISK_FULL, str(error), None, 0.0)
        except Exception as error:
            if not out_of_memory(error):
                raise
            event = Finished(run, OUT_OF_MEMORY, str(error), None, 0.0)
        give_back()
        connection.send(replace(event, busy=time.perf_counter() - started))


def _keep_pages() -> Callable[[], object]:
    """Have malloc keep what is freed, as the next training step asks for as much again.

    Otherwise the pages of large tensors go back to the system and are faulted in anew at every
    step: half of the time of Attention-LRCN. No number changes. Only glibc can be told.

    Returns:
        Gives back what is free at last.
    """
    if platform.libc_ver()[0] != "glibc":
        return lambda: None
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    return lambda: libc.malloc_trim(0)


def _received(connection: Connection) -> Iterator[tuple[Run, bool]]:
    while True:
        try:
            yield connection.recv()
        except EOFError:
            return


def _end_with_runner(alive: Connection) -> None:
    """Wait for the runner's end of the pipe to close, which happens however it dies."""
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        sys.stderr.flush()
        os._exit(1)

"""Many runs on the devices of one machine: worker processes that take runs one after another.

Workers are forked from a server process that has torch, lightning and this project imported, so a
worker starts in hundredths of a second. Each is bound to one device and one torch thread and lives
for many runs. A worker that dies costs one attempt of one run; a worker whose runner dies ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess

from benchmark.results import Store
from benchmark.run import Result, Run
from benchmark.train import Places, commit, execute

ATTEMPTS = 2
"""A run whose worker died is tried so many times in all before it counts as failed."""
THREADS = 1
"""Torch threads of a worker: small models side by side lose time with more, and numbers change."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Finished:
    """Told of each run as it ends."""

    run: Run
    status: str
    error: str
    score: float | None
    seconds: float


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


def run_all(
    runs: Sequence[Run],
    places: Places,
    devices: Sequence[str],
    finished: Callable[[Finished], None],
) -> None:
    """Do runs on workers, one a device named, and commit every result.

    Args:
        runs: In the order in which they should start; one that has teachers among them waits for
            them.
        places: Where; its device is set by the worker.
        devices: ``"cpu"`` or the number of a GPU; a name given twice makes two workers.
        finished: Called in this process after each run.
    """
    context = start_server()
    alive, lifeline = context.Pipe(duplex=False)
    waiting = deque(runs)
    unfinished = {run.id for run in runs}

    def report(event: Finished) -> None:
        unfinished.discard(event.run.id)
        finished(event)

    attempts: dict[str, int] = {}
    workers = [_start(context, device, places, alive) for device in devices[: max(1, len(waiting))]]
    try:
        while waiting or any(worker.run for worker in workers):
            for worker in workers:
                ready = None if worker.run else _next(waiting, unfinished)
                if ready:
                    waiting.remove(ready)
                    worker.run = ready
                    attempts[worker.run.id] = attempts.get(worker.run.id, 0) + 1
                    _send(worker)
            busy = [worker for worker in workers if worker.run]
            wait([item for w in busy for item in (w.connection, w.process.sentinel)])
            for worker in busy:
                run = worker.run
                if run is None:
                    continue
                if worker.connection.poll():
                    answer = _received_from(worker)
                    if answer is not None:
                        report(answer)
                        worker.run = None
                        continue
                if not worker.process.is_alive():
                    workers[workers.index(worker)] = _start(context, worker.device, places, alive)
                    if attempts[run.id] < ATTEMPTS:
                        waiting.appendleft(run)
                    else:
                        report(_died(run, places, worker.process.exitcode))
    finally:
        lifeline.close()
        for worker in workers:
            worker.connection.close()
            worker.process.terminate()
            worker.process.join()


def _next(waiting: deque[Run], unfinished: set[str]) -> Run | None:
    """The first run whose teachers are all done."""
    for run in waiting:
        if not any(teacher.id in unfinished for teacher in run.teachers):
            return run
    return None


def _start(context: ForkServerContext, device: str, places: Places, alive: Connection) -> _Worker:
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, alive, device, places), daemon=True)
    process.start()
    there.close()
    return _Worker(device, process, here)


def _send(worker: _Worker) -> None:
    try:
        worker.connection.send(worker.run)
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


def _died(run: Run, places: Places, exitcode: int | None) -> Finished:
    cause = f"signal {-exitcode}" if exitcode and exitcode < 0 else f"exit status {exitcode}"
    hint = "; the machine may be out of memory" if exitcode == -signal.SIGKILL else ""
    error = f"the worker died ({cause}) {ATTEMPTS} times{hint}"
    Store(places.runs).save(Result(run, "failed", error=error, commit=commit()))
    return Finished(run, "failed", error, None, 0.0)


def _work(connection: Connection, alive: Connection, device: str, places: Places) -> None:
    """Life of a worker: take a run, do it, say so, until the runner is gone."""
    threading.Thread(target=_end_with_runner, args=(alive,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    import torch

    torch.set_num_threads(THREADS)
    places = replace(places, device="cpu" if device == "cpu" else "cuda")
    for run in _received(connection):
        result = execute(run, places, THREADS)
        values = [score["macro_f1"] for score in result.scores.values()]
        score = sum(values) / len(values) if values else None
        connection.send(
            Finished(run, result.status, result.error, score, sum(result.seconds.values()))
        )


def _received(connection: Connection) -> Iterator[Run]:
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

"""Worker: the process that takes runs one after another, and what it says of each."""

import ctypes
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import torch

from benchmark.engines.server import THREADS
from benchmark.execution.execute import Places, execute, follow, out_of_memory
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import DiskFullError

GRACE = 10.0
"""Seconds that a worker has to clean up after itself when it is told to end."""
LOST, OUT_OF_MEMORY, DISK_FULL = "lost", "out of memory", "disk full"
"""How an attempt may end besides ``"done"`` and ``"failed"``; nothing is committed then."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Settings of malloc, numbered as in glibc's malloc.h."""


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


def told(result: Result) -> Finished:
    """What is told of a result."""
    values = [score["macro_f1"] for score in result.scores.values()]
    score = sum(values) / len(values) if values else None
    seconds = sum(result.seconds.values())
    return Finished(result.run, result.status, result.error, score, seconds)


def work(
    connection: Connection,
    alive: Connection,
    device: str,
    places: Places,
    output: Connection | None,
) -> None:
    """Take a run, do it, say so, until the runner is gone.

    Args:
        connection: Runs come in here, and what became of them goes out.
        alive: Closes when the runner is gone.
        device: What CUDA_VISIBLE_DEVICES is set to, before CUDA is touched; or ``"cpu"``.
        places: Where; the device is set here.
        output: Takes the place of stdout and stderr; None leaves them as they are.
    """
    threading.Thread(target=_end_with_runner, args=(alive,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # temporary files go on the way out
    if output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    on_cpu = device.startswith("cpu")
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if on_cpu else device
    torch.set_num_threads(THREADS)
    give_back = _keep_pages()
    places = replace(places, device="cpu" if on_cpu else "cuda")
    for run, last in _received(connection):
        started = time.perf_counter()
        try:
            if places.group and places.group.rank:
                follow(run, places)
                continue
            event = told(execute(run, places, THREADS, last))
        except DiskFullError as error:
            event = Finished(run, DISK_FULL, str(error), None, 0.0)
        except Exception as error:
            if out_of_memory(error):
                event = Finished(run, OUT_OF_MEMORY, str(error), None, 0.0)
            elif places.group and places.group.rank:
                time.sleep(GRACE)  # where it is the run's fault, the first of the group says so
                said = f"process {places.group.rank}: {type(error).__name__}: {error}"
                event = Finished(run, LOST, said, None, 0.0)
            else:
                raise
        give_back()
        connection.send(replace(event, busy=time.perf_counter() - started))


def _keep_pages() -> Callable[[], object]:
    """Have malloc keep what is freed, as the next training step asks for as much again.

    Otherwise the pages of large tensors go back to the system and are faulted in anew at every
    step: a third of the time of Attention-LRCN (``python -m tests.benchmarks.speed settings``). No
    number changes. Only glibc can be told.

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

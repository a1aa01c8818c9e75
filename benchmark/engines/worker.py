"""Worker: a process that does runs one after another, and reports how each ended."""

import ctypes
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

import torch

from benchmark.engines.event import LOST, OUT_OF_MEMORY, Finished, stopped, summarise
from benchmark.engines.server import THREADS
from benchmark.execution.execute import execute, follow, out_of_memory
from benchmark.execution.places import Places
from benchmark.run import Run
from datamodules.errors import MachineError

GRACE = 10.0
"""Seconds that a worker has to clean up after itself when it must end."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Settings of malloc, numbered as in glibc's malloc.h."""


def work(
    connection: Connection,
    alive: Connection,
    device: str,
    places: Places,
    output: Connection | None,
) -> None:
    """Receive runs, do them and send an event for each, until the runner is gone.

    Args:
        connection: Connection that brings runs and takes events.
        alive: Connection that closes when the runner is gone.
        device: Value of CUDA_VISIBLE_DEVICES, set before CUDA is used; or ``"cpu"``.
        places: Folders, and how runs are executed; the device is set here.
        output: Connection that replaces stdout and stderr; None leaves them as they are.
    """
    threading.Thread(target=_end_with_runner, args=(alive,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # temporary files go on the way out
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
            event = summarise(execute(run, places, last))
        except MachineError as error:
            event = stopped(run, error)
        except Exception as error:
            if out_of_memory(error):
                event = Finished(run, OUT_OF_MEMORY, str(error), None, 0.0)
            elif places.group and places.group.rank:
                time.sleep(GRACE)  # where it is the run's fault, the first of the group says so
                message = f"process {places.group.rank}: {type(error).__name__}: {error}"
                event = Finished(run, LOST, message, None, 0.0)
            else:
                raise
        give_back()
        try:
            connection.send(replace(event, busy=time.perf_counter() - started))
        except OSError:  # the runner is gone; the result is committed
            return


def _keep_pages() -> Callable[[], object]:
    """Have malloc keep freed memory, as the next training step asks for as much again.

    Otherwise the pages of large tensors go back to the system and are faulted in anew at every
    step: a third of the time of Attention-LRCN (``python -m tests.benchmarks.speed settings``). No
    number changes. Only glibc can be told.

    Returns:
        Function that gives free memory back to the system.
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
        except (EOFError, OSError):  # a reset, if the runner died with something unread
            return


def _end_with_runner(alive: Connection) -> None:
    """Wait for the runner's end of the pipe to close, which happens however it dies."""
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        sys.stderr.flush()
        os._exit(1)

"""Server: the process from which workers are forked, with all imports done.

On macOS there is none, and each worker is started anew: its libraries start threads of their own,
and a process that is forked from one with such threads may crash.
"""

import atexit
import gc
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Literal

Context = ForkServerContext | SpawnContext
"""What starts workers."""
THREADS = 1
"""Threads of a worker: small models side by side lose time with more, and numbers change."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def start_method(platform: str) -> Literal["forkserver", "spawn"]:
    """Return how workers are started on a platform, by its name in ``sys.platform``."""
    return "spawn" if platform == "darwin" else "forkserver"


START_METHOD = start_method(sys.platform)
"""How workers are started here."""


def start_server() -> Context:
    """Start the server, unless it runs or there is none; its imports go on in the background."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(THREADS)
    if "CUDA_VISIBLE_DEVICES" not in os.environ:  # otherwise numbers mean what the user meant
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # numbers of nvidia-smi
    if START_METHOD == "spawn":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.engines.preloaded"])
    from multiprocessing.forkserver import ensure_running

    ensure_running()
    return context


@contextmanager
def importing() -> Iterator[None]:
    """Import in a block without garbage collection, as imports make little garbage.

    Nothing is collected at the end of the process either, which takes long where torch is loaded.
    In a process that has frozen objects before, what is imported is frozen too: a collection
    after the block then does not go over all of torch.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count():
            gc.freeze()
        if enabled:
            gc.enable()
    atexit.register(gc.freeze)

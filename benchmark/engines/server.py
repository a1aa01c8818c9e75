"""Server: the process that workers are forked from, with all that they need imported."""

import atexit
import gc
import multiprocessing
import os
import sys
from importlib import import_module
from multiprocessing.context import ForkServerContext
from types import ModuleType

THREADS = 1
"""Threads of a worker: small models side by side lose time with more, and numbers change."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def start_server() -> ForkServerContext:
    """Start the server, unless it runs; its imports go on in the background."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(THREADS)
    if "CUDA_VISIBLE_DEVICES" not in os.environ:  # else numbers mean what whoever set it meant
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # numbers of nvidia-smi
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.engines.preloaded"])
    from multiprocessing.forkserver import ensure_running

    ensure_running()
    return context


def imported(name: str) -> ModuleType:
    """Import a module without looking for garbage, of which an import makes little.

    At the end of the process none is looked for either, which takes long where torch is loaded.
    """
    if name in sys.modules:
        return sys.modules[name]
    was = gc.isenabled()
    gc.disable()
    try:
        module = import_module(name)
    finally:
        if was:
            gc.enable()
    atexit.register(gc.freeze)
    return module

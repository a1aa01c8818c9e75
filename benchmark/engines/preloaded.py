"""Modules that the server imports, so that workers have them when they are forked."""

import gc

from benchmark.engines.server import importing

with importing():
    import benchmark.engines.worker

__all__ = ["benchmark"]
gc.freeze()  # workers share it for good

"""What the server imports, so that workers have it when they are forked."""

import gc

from benchmark.engines.server import imported

imported("benchmark.engines.worker")
gc.freeze()  # workers share it for good

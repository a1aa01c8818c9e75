"""What the server imports, so that workers have it when they are forked."""

import gc

from benchmark.server import imported

imported("benchmark.worker")
gc.freeze()  # workers share it for good

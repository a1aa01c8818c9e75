"""Tests run side by side: one thread a process, and no example is judged by the clock.

This file is read before anything that starts threads is imported.
"""

import os
from collections.abc import Iterator

import hypothesis
import pytest

from benchmark.engines.server import THREAD_VARIABLES, THREADS, importing

os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(THREADS)))
hypothesis.settings.register_profile(
    "side by side", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("side by side")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all tests, and what they import, without garbage collection."""
    with importing():
        return (yield)

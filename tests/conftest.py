"""One thread a process, as tests run side by side; a collection that looks for no garbage.

This file is read before anything that starts threads is imported.
"""

import os
from collections.abc import Iterator

import pytest

from benchmark.engines.server import THREAD_VARIABLES, THREADS, importing

os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(THREADS)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all tests, and what they import, as a command does."""
    with importing():
        return (yield)

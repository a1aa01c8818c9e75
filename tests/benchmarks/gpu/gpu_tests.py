"""The tests that need a GPU."""

import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.gpu.scale import Scale
from tests.benchmarks.speed.table import Row


def rows(scale: Scale) -> Iterator[Row]:
    """Yield whether they pass; on a CPU all are skipped, which is no failure."""
    words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(words, capture_output=True, text=True)
    (scale.out / "tests.txt").write_text(done.stdout + done.stderr)
    last = (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")
    yield Row("tests marked gpu", "see tests.txt", last, "", "", "pass", done.returncode == 0)

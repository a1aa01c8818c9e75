"""The same bits twice with ``--deterministic``, and ``affectbench verify``."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.benchmarks.gpu.scale import Scale
from tests.benchmarks.speed.table import Row

SUITE = """\
datasets: [synthetic]
models: [{models}]
recipe: fast
options:
  synthetic: {{phase: 60.0}}
recipes:
{recipes}
"""


def rows(scale: Scale) -> Iterator[Row]:
    models = scale.models()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipes = "\n".join(f"  {model}: {{max_epochs: 2}}" for model in models)
        suite = folder / "suite.yaml"
        suite.write_text(SUITE.format(models=", ".join(models), recipes=recipes))
        calls = []
        for call in ("first", "second"):
            done = _affectbench(
                folder, "run", str(suite), "--runs", call, "--deterministic", device=scale.device
            )
            (scale.out / f"repeated_{call}.txt").write_text(done.stdout + done.stderr)
            calls.append(sorted((folder / call).glob("*/*/*/predictions.npz")))
        differing = sorted(
            {one.parts[-3] for one, other in zip(*calls, strict=True) if not _same(one, other)}
        )
        yield Row(
            f"{len(calls[0])} runs with --deterministic",
            "the same again",
            f"{len(differing)} models",
            ", ".join(differing),
            "",
            "0",
            bool(calls[0]) and not differing,
        )
        for model in models:
            paths = [path for path in calls[0] if path.parts[-3] == model]
            if not paths:
                yield Row(f"verify {model}", "", "no run", "", "", "equal", False)
                continue
            run = paths[0].parent.name.rpartition("-")[2]
            done = _affectbench(folder, "verify", run, "--runs", "first", "--deterministic")
            yield Row(f"verify {model}", "", "", "", "", "equal", done.returncode == 0)


def _same(one: Path, other: Path) -> bool:
    with np.load(one) as first, np.load(other) as second:
        return all(np.array_equal(first[name], second[name]) for name in first.files)


def _affectbench(folder: Path, *words: str, device: str = "") -> subprocess.CompletedProcess[str]:
    """Call the command in a folder, with the code of this checkout."""
    root = str(Path(__file__).parents[3])
    devices = ["--devices", "cpu" if device == "cpu" else "0"] if device else []
    return subprocess.run(
        [sys.executable, "-m", "benchmark.cli", *words, *devices],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )

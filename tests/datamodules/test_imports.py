"""Importing a dataset, a format, a step or a writer loads nothing that takes long to load."""

import subprocess
import sys
from pathlib import Path

import pytest

import datamodules
from datamodules.catalogue import DATASETS

PACKAGE = Path(datamodules.__file__).parent
LEAVES = [
    *(dataset.reader.__module__ for dataset in DATASETS.values()),
    *(f"datamodules.{name}" for name in ("catalogue", "cache", "archive")),
    *(
        f"datamodules.{room}.{path.stem}"
        for room in ("formats", "signals", "synthesis")
        for path in sorted((PACKAGE / room).glob("[!_]*.py"))
    ),
]
HEAVY = {
    *("torch", "lightning", "pandas.core", "sklearn", "numba", "cvxopt", "rich", "mne.io"),
    *("scipy.signal", "scipy.io", "scipy.stats", "scipy.sparse"),
}
"""A library that is imported lazily is listed before it is loaded; then a part of it tells."""
NEEDED = {
    "datamodules.signals.cvxeda_reference": {"cvxopt", "scipy.sparse"},
    "datamodules.signals.interior_point": {"numba", "scipy.sparse"},
}
"""Solvers, of which only a decomposition imports one."""


def loaded_by(module: str) -> set[str]:
    """Names of the modules that a fresh process has loaded after it imported one."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_leaves_are_all_listed():
    assert len(LEAVES) == len(set(LEAVES)) > 30
    assert {"datamodules.formats.tables", "datamodules.synthesis.pmemo"} <= set(LEAVES)


@pytest.mark.parametrize("module", LEAVES)
def test_a_leaf_loads_nothing_heavy(module):
    loaded = loaded_by(module)
    assert module in loaded
    assert loaded & (HEAVY - NEEDED.get(module, set())) == set()


def test_heavy_modules_would_be_seen():
    assert {"pandas.core", "scipy.signal"} <= loaded_by("pandas, scipy.signal")

"""Circumstances of a run that its result records: commit, versions, device and memory."""

import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGES = ("torch", "lightning", "torchmetrics", "numpy", "scipy", "scikit-learn", "affectbench")
"""Packages whose versions numbers may depend on."""


@cache
def commit() -> str:
    """Return the commit of this project, with ``+`` for changed files; "" outside a checkout."""
    here = Path(__file__)

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here.parent), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no", ":/*.py", ":/*.yaml")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return ""


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def device_name(device: str) -> str:
    """Return the name of a GPU, or the machine that the CPU belongs to."""
    return torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})"


def peak_memory(device: str) -> int:
    """Return the peak of the memory of the GPU or, on the CPU, of the process, in bytes."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts kilobytes, macOS bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

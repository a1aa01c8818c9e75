r"""What a GPU does with this project, in one call. Run by hand, at the top of the repository:

    python -m tests.benchmarks.gpu [--device cuda|cpu] [--minutes 8] [--out FOLDER] [PART ...]

Prints a table, and writes ``table.csv`` and profiles to a folder. Parts, in this order:

tests      all tests that need a GPU
equality   each model on the CPU and on the device: same weights, same batch, five steps of training
reading    recordings that lie on the device against batches that are sent there
steps      a training step in float32, in bf16-mixed, and replayed as a CUDA graph
packing    runs of one worker against those of 8 and 16 on the same device; equal results
stacked    the folds of a network trained as one stack (vmap) against one after another
epoch      where the time of a run goes, by Lightning's parts and by operators
repeated   ``--deterministic`` twice, and ``affectbench verify``

A part begins only if time is left; one that does not, and one that fails, says so in the table.
``--device cpu`` tries the script itself, with a fraction of the work: its figures say nothing.
Needs neither mne, wandb, cvxopt nor skops. It has not met a GPU yet.
"""

import argparse
import csv
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from tests.benchmarks.gpu import (
    epoch,
    equality,
    gpu_tests,
    packing,
    reading,
    repeated,
    stacked,
    steps,
)
from tests.benchmarks.gpu.scale import Scale
from tests.benchmarks.speed.table import HEAD, NO_AIM, Row, machine, show

PARTS: dict[str, Callable[[Scale], Iterator[Row]]] = {
    "tests": gpu_tests.rows,
    "equality": equality.rows,
    "reading": reading.rows,
    "steps": steps.rows,
    "packing": packing.rows,
    "stacked": stacked.rows,
    "epoch": epoch.rows,
    "repeated": repeated.rows,
}


def main(words: list[str] | None = None) -> int:
    """Print and write the rows of the parts; 1 if one failed or was not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    options = parser.parse_args(words)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"expected some of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("expected a CUDA device, found none; --device cpu tries the script itself")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    scale = Scale(options.device, options.out.resolve())
    print(f"{machine()}; {scale.name}")
    print(show(HEAD))
    end = time.monotonic() + 60 * options.minutes
    failed = False
    with (options.out / "table.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["part", *asdict(HEAD)])
        table.writeheader()
        for name in options.parts or PARTS:
            for row in _rows(name, scale, end):
                print(show(row), flush=True)
                table.writerow({"part": name, **asdict(row)})
                file.flush()
                failed |= not row.reached
    return int(failed)


def _rows(part: str, scale: Scale, end: float) -> Iterator[Row]:
    """Yield the rows of a part, and a row that says what went wrong."""
    if time.monotonic() > end:
        yield Row(part, "", "", "", "", "not reached: no time left", False)
        return
    start = time.monotonic()
    try:
        yield from PARTS[part](scale)
    except Exception:  # the other parts are still wanted: the lease of a GPU is short
        (scale.out / f"{part}.txt").write_text(traceback.format_exc())
        yield Row(part, f"see {part}.txt", "", "", "", "failed", False)
    yield Row(part, "whole part", f"{time.monotonic() - start:.1f} s", "", "", NO_AIM, True)


if __name__ == "__main__":
    raise SystemExit(main())

"""What this project costs beside the plain way of doing the same. Run by hand, at the top:

    OMP_NUM_THREADS=1 python -m tests.benchmarks.speed [PART ...]

Prints a table; parts are steps, cell, data_path, commands and boards. Every ratio is measured side
by side in one run:

steps      CPU time of a training step through EmotionClassifier, datamodule, metrics, epoch's
           logging and Trainer as ``affectbench run`` builds them, against a loop that gathers
           shuffled batches by index, with unfused Adam; median of five ratios, three epochs each
cell       15 subjects, leave one out: ``affectbench run`` from an empty cache to the board on two
           workers, and ``defaults.py`` once a fold, by the clock; and from taking a run, or
           starting a process, until training starts
data_path  from recordings in the cache to the first batch, and a table of windows with
           spectrograms, made of 512 windows and multiplied; memory while all batches are gathered
commands   CPU time of processes
boards     the same, once
"""

import sys

import torch

from tests.benchmarks.speed import cell, commands, data_path, steps
from tests.benchmarks.speed.table import HEAD, machine, show

PARTS = {
    "steps": steps.rows,
    "cell": cell.rows,
    "data_path": data_path.rows,
    "commands": commands.rows,
    "boards": commands.board_rows,
}


def main(names: list[str]) -> int:
    """Print the rows of the parts; 1 if an aim is missed."""
    if unknown := set(names) - set(PARTS):
        print(f"expected some of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
        return 2
    torch.set_num_threads(1)
    print(machine())
    print(show(HEAD))
    reached = True
    for name in names or PARTS:
        for row in PARTS[name]():
            print(show(row), flush=True)
            reached &= row.reached
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

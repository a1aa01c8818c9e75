"""What this project costs beside the plain way of doing the same. Run by hand, at the top:

    OMP_NUM_THREADS=1 python -m tests.benchmarks.speed [PART ...]

Prints a table; parts are steps, cell, data_path, commands and boards. Every ratio is measured side
by side in one run:

steps      CPU time of a training step through EmotionClassifier, datamodule, metrics, epoch's
           logging and Trainer as ``affectbench run`` builds them, against a loop that gathers
           shuffled batches by index, with unfused Adam; median of five ratios, three epochs each
cell       15 subjects, leave one out: ``affectbench run`` from an empty cache to the board on two
           workers, and ``defaults.py`` on three folds, their median times 15; and from taking a
           run, or starting a process, until training starts
data_path  from recordings in the cache to the first batch, and a table of windows with
           spectrograms, made of 512 windows and multiplied; memory while all batches are gathered
commands   CPU time of processes
boards     the same, once

On two cores of an AMD EPYC that other work kept busy (load 18), Python 3.11, torch 2.13, Lightning
2.6.6, part by part:

    training step, mlp            1.09 of a bare loop's     aim 1.25
    training step, small_cnn      1.00                      aim 1.1
    training step, small_lstm     1.00                      aim 1.1
    cell, by the clock            355 s, 1959 s: 5.5 times sooner; the aim, 8 times, was missed
    cell, CPU time                62 s, 264 s: 4.3 times less
    start of a run                152 ms, 36.8 s: 242 times sooner, aim 100
    32 490 windows ready          27 ms, 9.8 s: 366 times sooner, aim 100
    memory to gather them         12 MiB; recordings and a batch are 18 MiB, the table 2.9 GiB
    --help, status, logs          0.04 s, 0.14 s, 0.13 s; importing torch and lightning 4.7 s
    leaderboard, 10 000 results   5.4 s, aim 20

The two sides of the cell ran one after the other, and other parts of this table beside the second,
ours. Whether an idle machine reaches its aim has not been measured.
"""

import sys

import torch

from tests.benchmarks.speed import cell, commands, data_path, settings, steps
from tests.benchmarks.speed.table import HEAD, machine, show

PARTS = {
    "steps": steps.rows,
    "cell": cell.rows,
    "settings": settings.rows,
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

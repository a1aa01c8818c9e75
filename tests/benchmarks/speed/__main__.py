"""What this project costs beside the plain way of doing the same. Run by hand, at the top:

    OMP_NUM_THREADS=1 python -m tests.benchmarks.speed [PART ...]

Prints a table; parts are steps, cell, settings, data_path, preparing, torcheeg, commands and
boards. Every ratio is measured side by side in one run:

steps      CPU time of a training step through EmotionClassifier, datamodule, metrics, epoch's
           logging and Trainer as ``affectbench run`` builds them, against a loop that gathers
           shuffled batches by index, with unfused Adam; median of five ratios, three epochs each
cell       15 subjects, leave one out: ``affectbench run`` from an empty cache to the board on two
           workers, and ``defaults.py`` on one fold, times 15; median of three ratios, in turn; and
           from taking a run, or starting a process, until training starts
settings   CPU time of a training step on noise, with what a worker or a model sets and without
data_path  from recordings in the cache to the first batch, and a table of windows with
           spectrograms, made of 512 windows and multiplied; memory while all batches are gathered
preparing  recordings of DEAP in full size: CPU time and bytes of one signal against all of them,
           and a pass in batches, out of a file a person against out of one array; WESAD read by as
           many processes as there are cores, against one after another
torcheeg   EEG of four people of DEAP, prepared and read in batches, beside TorchEEG (LMDB), if
           TORCHEEG_PYTHON names a Python that has it; median of three
commands   CPU time of processes, and the wait for the first line of ``run``
boards     the same, once

Measured before datasets and protocols became values and the runner was divided into rooms, and
not repeated as a whole since, on two cores of an AMD EPYC that did nothing else, Python 3.11,
torch 2.13, Lightning 2.6.6:

    training step, mlp            0.86 to 0.87 of a bare loop's     aim 1.25
    training step, small_cnn      0.97 to 1.00              aim 1.1
    training step, small_lstm     0.99 to 1.03              aim 1.1
    cell, by the clock            19.2 to 19.8 s, 161 to 171 s: 8.4, 8.7 and 8.8 times sooner, aim 8
                                  (8.0 to 8.3 while numba was still imported at the start)
    cell, CPU time                35 s, 151 s: 4.3 times less
    start of a run                18 ms, 2.9 s: 159 times sooner, aim 100
    freed pages kept              cnn 1.28 to 1.41, rtcan_1d 0.94 to 1.12, attention_lrcn 1.43 to
                                  1.59 times sooner
    weights channels last         attention_lrcn 1.42 to 1.50 times sooner
    bf16-mixed, beside 32-true    attention_lrcn takes 0.58 to 0.61 of the time
    32 490 windows ready          12 ms, 3.8 s: 325 times sooner, aim 100
    memory to gather them         18 MiB; recordings and a batch are 18 MiB, the table 2.9 GiB
    --help, status, logs          0.04 s, 0.09 s, 0.10 s; importing torch and lightning 3.6 s
    leaderboard, 10 000 results   4.2 to 4.9 s, aim 20
    report, 12 boards             6.0 to 6.8 s, aim 10

``affectbench run quick`` from an empty folder took 56 and 63 s at commit 293fa86, before this
benchmark was there, and 50 s twice after it, in turn on the same two cores; 63 % of it was
EmotionKD.

Since then a call of 15 small runs takes 6.3 s, the former version 6.0 s (means of 5, in turn), as
code is digested. With nothing to do a call takes 3.5 to 3.8 s, the former version 3.7 to 4.2 s. A
cell was 8.7 times sooner again. Boards compare all pairs of rows by exchanges and simulate their
power: the leaderboard of 10 000 results, of 40 rows a board, takes 19 s (CPU 18.5, 26.1 before, in
turn), within its aim, and the report of 12 boards 17 s (CPU 16.1, 21.8 before), which misses its
aim.

Measured anew when each signal was stored once and runs kept predictions of their validation people,
on the same machine, which did the plain way of a cell 1.3 times slower than before:

    training step, mlp            0.93 of a bare loop's             aim 1.25
    training step, small_cnn      1.01                              aim 1.1
    training step, small_lstm     1.02                              aim 1.1
    cell, by the clock            29.5 s, 224 s: 7.7 times sooner, which misses its aim of 8
    start of a run                34 ms, 3.5 s: 101 times sooner, aim 100
    32 490 windows ready          31 ms, 6.9 s: 225 times sooner, aim 100
    EEG of 4 people of DEAP       1.24 s CPU, TorchEEG 1.1.3 3.09 s; by the clock .87 and 4.46 s;
                                  166 and 634 MB; a pass .05 and .49 s: all four aims reached
    leaderboard, 10 000 results   36.6 s from an empty cache, uncertainty of each row among it,
                                  which misses its aim of 20
    report, 12 boards             19.0 s, which misses its aim of 10

Boards since keep what takes long to compute, compare all pairs at once and check a run once a row;
the files are the same. In turn with the version before, on two cores that others used, a
leaderboard of 10 000 results took 34.1 s of computing in place of 42.8 s from an empty cache, 7.9 s
in place of 16.4 and 17.1 s from a full one, and a report of 12 boards 10.6 s in place of 22.6 s. On
the quiet machine:

    leaderboard, 10 000 results   27.0 s from an empty cache, which misses its aim of 20; 6.9 s from
                                  a full one
    report, 12 boards             8.9 s, aim 10
    one signal of DEAP of all     2 people's EEG .48 s, everything 1.68 s (CPU), aim .6 of it
    their EEG in the cache        1.003 times the bytes of its samples, aim 1.02
    a pass in batches             21 ms, out of one array 25 ms, aim 1.2 times as long
    4 quarter people of WESAD     4.7 s by two processes, 5.8 s one after another
"""

import sys

import torch

from tests.benchmarks.speed import (
    beside_torcheeg,
    cell,
    commands,
    data_path,
    preparing,
    settings,
    steps,
)
from tests.benchmarks.speed.table import HEAD, machine, show

PARTS = {
    "steps": steps.rows,
    "cell": cell.rows,
    "settings": settings.rows,
    "data_path": data_path.rows,
    "preparing": preparing.rows,
    "torcheeg": beside_torcheeg.rows,
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

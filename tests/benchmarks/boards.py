"""What all leaderboards of ten thousand results cost. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/boards.py

Writes made-up results, result.json alone, into a temporary folder: five datasets of 25 subjects,
two tasks, one seed, leave-one-subject-out, 40 rows; then times ``affectbench leaderboard`` on them
in a process of its own, imports included, twice, and compares the bytes.

On a core of an AMD EPYC that other work kept busy, Python 3.11, 10 000 results: 5.9 s and 5.7 s of
computing, 51 s and 49 s by the clock.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.boards.cohort import SCORES
from benchmark.result import Result
from benchmark.run import Run

DATASETS = ("wesad", "deap", "amigos", "mahnob_hci", "pmemo")
TASKS = ("valence", "arousal")
SUBJECTS = tuple(f"S{number:02d}" for number in range(25))
MODELS = ("majority", "lda", "random_forest", *(f"model_{number:02d}" for number in range(37)))


def write(
    root: Path,
    datasets: Sequence[str] = DATASETS,
    tasks: Sequence[str] = TASKS,
    models: Sequence[str] = MODELS,
) -> int:
    """Made-up results; returns how many."""
    rng = np.random.default_rng(0)
    count = 0
    for dataset in datasets:
        for task in tasks:
            hard = rng.normal(0.6, 0.08, len(SUBJECTS))
            for model in models:
                good = rng.normal(0.0, 0.03)
                for fold, subject in enumerate(SUBJECTS):
                    run = Run(
                        dataset,
                        task,
                        "leave_one_subject_out",
                        fold,
                        0,
                        model,
                        ("eda", "bvp"),
                        SUBJECTS,
                        "a" * 16,
                        recipe=tuple((f"value_{number}", number) for number in range(12)),
                    )
                    score = float(hard[fold] + good + rng.normal(0, 0.04))
                    result = Result(
                        run,
                        "done",
                        scores={subject: dict.fromkeys(SCORES, score)},
                        n_units={subject: 40},
                        units={subject: subject},
                        confusion={subject: [[12, 8], [7, 13]]},
                        parameters=1000,
                        seconds={"prepare": 1.0, "train": 1.0, "predict": 1.0},
                        device="none",
                        versions={"python": "3"},
                        raw="r" * 16,
                    )
                    path = root / run.folder
                    path.mkdir(parents=True)
                    (path / "result.json").write_text(json.dumps(result.as_dict()))
                    count += 1
    return count


def _cpu_seconds() -> float:
    """Of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the seconds of each call."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        print(f"{write(root / 'runs')} results")
        files = []
        for call in ("first", "second"):
            words = ["leaderboard", "--runs", str(root / "runs")]
            words += ["--leaderboards", str(root / call)]
            start, before = time.perf_counter(), _cpu_seconds()
            subprocess.run(
                [sys.executable, "-m", "benchmark.cli", *words],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            cost = _cpu_seconds() - before
            print(f"{call}: {time.perf_counter() - start:.1f} s, {cost:.1f} s of them computing")
            files.append({path.name: path.read_bytes() for path in (root / call).iterdir()})
        print("identical bytes" if files[0] == files[1] else "DIFFERENT bytes")


if __name__ == "__main__":
    main()

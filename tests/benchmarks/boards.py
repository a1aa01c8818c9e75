"""What all leaderboards of ten thousand results cost. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/boards.py

Writes made-up results with predictions of 40 score units of 5 windows each into a temporary folder:
five datasets of 25 subjects, two tasks, one seed, leave-one-subject-out, 40 rows; then times
``affectbench leaderboard`` on them in a process of its own, imports included, twice, and compares
the bytes. The first call derives every score, the second takes them from the cache.

Measured on a quiet machine with two cores, Python 3.11: 19.3 s for the first call, 13.4 s for the
second; 28.6 and 16.7 s before recipes, headers of arrays and exchanges were gone through once, in
turn on the same machine. Of 40 rows a board compares 780 pairs under 100,000 exchanges, and
simulates its power; before that was so, the calls took 15.1 and 5.6 s.

Results have validation people since. On the same machine, which was busy, they took 0.9 s of
computing in the second call. The first took 36.1 s in place of 21.4 s, before means of them were
computed by plain sums, which saved 3 s of both calls.

Since p-values are kept, and pairs are compared at once, the second call takes 7.9 s of computing in
place of 16.4 and 17.1 s, and the first 30.8 to 34.1 s in place of 42.8 s: in turn, on the same
machine, which had four to eight processes to run at a time. When it was quiet they took 6.9 and
27.0 s.
"""

import hashlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.result import Result
from benchmark.run import Run
from datamodules.protocol import Protocol
from lightning_modules.recipe import Recipe

DATASETS = ("wesad", "deap", "amigos", "mahnob_hci", "pmemo")
TASKS = ("valence", "arousal")
SUBJECTS = tuple(f"S{number:02d}" for number in range(25))
MODELS = ("majority", "lda", "random_forest", *(f"model_{number:02d}" for number in range(37)))
UNITS, WINDOWS = 40, 5
"""Score units of a subject, and windows of each."""
VALIDATED = 5
"""Validation people of a run."""


def write(
    root: Path,
    datasets: Sequence[str] = DATASETS,
    tasks: Sequence[str] = TASKS,
    models: Sequence[str] = MODELS,
) -> int:
    """Write made-up results, and return their number."""
    rng = np.random.default_rng(0)
    count = 0
    for dataset in datasets:
        for task in tasks:
            hard = rng.normal(0.6, 0.3, len(SUBJECTS))
            labels = rng.integers(0, 2, (len(SUBJECTS), UNITS))
            for model in models:
                good = rng.normal(0.0, 0.1)
                for fold, subject in enumerate(SUBJECTS):
                    run = Run(
                        dataset,
                        task,
                        Protocol(),
                        fold,
                        0,
                        model,
                        ("eda", "bvp"),
                        SUBJECTS,
                        "a" * 16,
                        recipe=Recipe("made up", lr=0.01, max_epochs=7, batch_size=32),
                    )
                    content = _predictions(rng, [subject], labels[[fold]], hard[fold] + good)
                    others = [(fold + k) % len(SUBJECTS) for k in range(1, VALIDATED + 1)]
                    people = [SUBJECTS[other] for other in others]
                    validation = _predictions(rng, people, labels[others], hard[fold] + good)
                    result = Result(
                        run,
                        "done",
                        files={
                            "predictions.npz": hashlib.sha256(content).hexdigest(),
                            "validation.npz": hashlib.sha256(validation).hexdigest(),
                        },
                        parameters=1000,
                        seconds={"prepare": 1.0, "train": 1.0, "predict": 1.0},
                        device="none",
                        versions={"python": "3"},
                        raw="r" * 16,
                    )
                    path = root / run.folder
                    path.mkdir(parents=True)
                    (path / "predictions.npz").write_bytes(content)
                    (path / "validation.npz").write_bytes(validation)
                    (path / "result.json").write_text(json.dumps(result.as_dict()))
                    count += 1
    return count


def _predictions(
    rng: np.random.Generator, subjects: Sequence[str], labels: np.ndarray, skill: float
) -> bytes:
    """Return the bytes of predictions of some subjects, a row a window."""
    n = len(subjects) * UNITS * WINDOWS
    label = labels.ravel().repeat(WINDOWS)
    right = 1 / (1 + np.exp(-rng.normal(skill, 1.0, n)))
    columns = {
        "subject": np.array(subjects).repeat(UNITS * WINDOWS),
        "session": np.array(["1"] * n),
        "trial": np.tile(np.arange(UNITS), len(subjects)).repeat(WINDOWS),
        "unit": np.zeros(n, dtype=np.int64),
        "start": np.arange(n) * 10.0,
        "label": label,
        "probabilities": np.where(
            label[:, None] == np.arange(2), right[:, None], 1 - right[:, None]
        ),
    }
    file = io.BytesIO()
    np.savez(file, **columns)
    return file.getvalue()


def _cpu_seconds() -> float:
    """Return the CPU seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the seconds of each call."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        print(f"{write(root / 'runs')} results", flush=True)
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
            spent = time.perf_counter() - start
            print(f"{call}: {spent:.1f} s, {cost:.1f} s of them computing", flush=True)
            files.append({path.name: path.read_bytes() for path in (root / call).iterdir()})
        print("identical bytes" if files[0] == files[1] else "DIFFERENT bytes")


if __name__ == "__main__":
    main()

"""How fast and how exact the solver of cvxEDA is, beside cvxopt's. Run by hand, in minutes:

    OMP_NUM_THREADS=1 python tests/benchmarks/cvxeda.py

One thread: median CPU seconds of calls that take turns, with all set-up cached for both solvers.
Two threads: wall seconds of all trials, once by cvxopt, in one thread, as it does not let another
run, and the median of passes by our own in two.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from datamodules.signals import cvxeda, cvxeda_reference
from datamodules.signals.cvxeda import Boundary, Decomposition
from datamodules.synthesis.physiology import Phase, session

CASES = (("60 s at 50 Hz", 60, 50.0), ("100 min at 4 Hz", 6000, 4.0), ("1 h at 25 Hz", 3600, 25.0))
REPEATS = (15, 7, 3)
BOUNDARIES: tuple[Boundary, ...] = ("free", "rest")
N_TRIALS, N_PASSES = 400, 7


def made_up(seconds: float, sfreq: float, seed: int = 0) -> npt.NDArray[np.float64]:
    phases = [Phase("", seconds / 2, 0.0), Phase("", seconds / 2, 1.0)]
    made = session(np.random.default_rng(seed), phases, rates={"eda": sfreq})
    return made.signals["eda"].samples[0].astype(np.float64)


def timed(
    clock: Callable[[], float], work: Callable[[], Decomposition]
) -> tuple[float, Decomposition]:
    start = clock()
    result = work()
    return clock() - start, result


def one_thread(seconds: float, sfreq: float, boundary: Boundary, repeats: int) -> str:
    eda = made_up(seconds, sfreq)
    slow, fast = [], []
    for turn in range(repeats + 1):
        slow_seconds, reference = timed(
            time.process_time,
            lambda: cvxeda.decompose(eda, sfreq, boundary=boundary, solver=cvxeda_reference.solve),
        )
        fast_seconds, exact = timed(
            time.process_time, lambda: cvxeda.decompose(eda, sfreq, boundary=boundary)
        )
        if turn:  # the first one sets up
            slow.append(slow_seconds)
            fast.append(fast_seconds)
    return row(
        len(eda),
        statistics.median(slow),
        statistics.median(fast),
        [exact.objective / reference.objective],
        [np.abs(exact.phasic - reference.phasic).max() / eda.std()],
        f"{reference.iterations} / {exact.iterations}",
    )


def two_threads(boundary: Boundary) -> str:
    sfreq = 50.0
    trials = made_up(60.0 * N_TRIALS, sfreq).reshape(N_TRIALS, -1)

    def exact(eda: npt.NDArray[np.float64]) -> Decomposition:
        return cvxeda.decompose(eda, sfreq, boundary=boundary)

    start = time.perf_counter()
    references = [
        cvxeda.decompose(eda, sfreq, boundary=boundary, solver=cvxeda_reference.solve)
        for eda in trials
    ]
    slow = time.perf_counter() - start
    passes = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(N_PASSES):  # the first ones until both threads have a core of their own
            start = time.perf_counter()
            found = list(pool.map(exact, trials))
            passes.append(time.perf_counter() - start)
    objectives = [
        ours.objective / theirs.objective for ours, theirs in zip(found, references, strict=True)
    ]
    differences = [
        np.abs(ours.phasic - theirs.phasic).max() / eda.std()
        for eda, ours, theirs in zip(trials, found, references, strict=True)
    ]
    return row(trials.shape[1], slow, statistics.median(passes), objectives, differences, "")


def row(
    n_times: int,
    slow: float,
    fast: float,
    objectives: Sequence[float],
    differences: Sequence[float],
    iterations: str,
) -> str:
    return (
        f"{n_times:>7} {slow:>9.4f} {fast:>9.5f} {slow / fast:>6.1f} "
        f"{max(objectives) - 1:>+10.1e} {max(differences):>9.1e}  {iterations}"
    )


def main() -> None:
    print(
        f"{'case':<28} {'n':>7} {'cvxopt s':>9} {'ours s':>9} {'ratio':>6} "
        f"{'objective':>10} {'phasic':>9}  iterations"
    )
    for (name, seconds, sfreq), repeats in zip(CASES, REPEATS, strict=True):
        for boundary in BOUNDARIES:
            line = one_thread(seconds, sfreq, boundary, repeats)
            print(f"{name + ', ' + boundary:<28} {line}", flush=True)
    for boundary in BOUNDARIES:
        name = f"{N_TRIALS} trials, 2 threads, {boundary}"
        print(f"{name:<28} {two_threads(boundary)}", flush=True)


if __name__ == "__main__":
    main()

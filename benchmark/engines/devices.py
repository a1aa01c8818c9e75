"""Devices: which there are, how much memory they have, and how many workers each takes."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from benchmark.errors import BenchmarkError
from benchmark.plan.order import Kind, kind
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store

Jobs = int | Literal["auto"] | None
"""Workers a device; None: one a GPU, one a core of the CPU."""

CONTEXT = 2**30
"""Bytes of a GPU for each worker's CUDA context and libraries; an allowance, not measured."""
SLACK = 1.3
"""Times the measured peak that a worker may take, as memory is handed out in blocks."""
SHARE = 0.9
"""Of the memory that is free now, to leave some for others."""


class DeviceError(BenchmarkError):
    """Devices that are not there, or cannot be shared out as asked."""


@dataclass(frozen=True)
class Memory:
    """Of a GPU, in bytes.

    Args:
        used: By all processes.
        total: That it has.
    """

    used: int
    total: int

    @property
    def free(self) -> int:
        """Bytes that no process has."""
        return self.total - self.used


def memory(names: Sequence[str]) -> dict[str, Memory]:
    """Memory of GPUs by name; empty if there is no nvidia-smi to ask.

    The driver's tool is asked, since a look through CUDA would cost a context on every GPU.

    Args:
        names: As in CUDA_VISIBLE_DEVICES.
    """
    found: dict[str, Memory] = {}
    if not shutil.which("nvidia-smi"):
        return found
    for name in names:
        asked = ["nvidia-smi", f"--id={name}", "--query-gpu=memory.used,memory.total"]
        done = subprocess.run(
            [*asked, "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False
        )
        values = done.stdout.strip().split(",")
        if done.returncode or len(values) != 2 or not all(v.strip().isdecimal() for v in values):
            return {}
        used, total = (int(value) * 2**20 for value in values)
        found[name] = Memory(used, total)
    return found


def gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them.

    Counting them makes no CUDA context.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else map(str, range(torch.cuda.device_count()))
    return [name.strip() for name in names][: torch.cuda.device_count()]


def chosen(names: str) -> list[str]:
    """Devices of ``--devices``: ``cpu``, ``auto``, or numbers among ``gpus``; empty: the CPU.

    Raises:
        DeviceError: One that is not there, or the same one twice.
    """
    there = gpus()
    if names == "cpu" or (names == "auto" and not there):
        return []
    if names == "auto":
        return there
    numbers = names.split(",")
    for number in numbers:
        if not number.isdecimal() or int(number) >= len(there) or numbers.count(number) > 1:
            raise DeviceError(
                f"no device {number!r}: expected cpu, auto, or some of the {len(there)} GPU(s) by "
                "number, each once"
            )
    return [there[int(number)] for number in numbers]


def workers(devices: Sequence[str], jobs: int | None, per_run: int = 1) -> list[str]:
    """What each worker is bound to, as ``run_all`` takes it.

    Args:
        devices: GPUs; none: the CPU.
        jobs: Workers a device; None: 1, on the CPU as many processes as there are cores.
        per_run: Devices of one worker; on the CPU processes.

    Raises:
        DeviceError: Devices that cannot be shared out.
    """
    if jobs is not None and jobs < 1:
        raise DeviceError(f"expected at least one job a device, found {jobs}")
    if per_run < 1:
        raise DeviceError(f"expected at least one device a run, found {per_run}")
    if not devices:
        count = jobs or max(1, len(os.sched_getaffinity(0)) // per_run)
        return [",".join(["cpu"] * per_run)] * count
    if len(devices) % per_run:
        raise DeviceError(
            f"expected a number of devices that {per_run} a run divide, found {len(devices)}"
        )
    groups = [devices[first : first + per_run] for first in range(0, len(devices), per_run)]
    return [",".join(group) for group in groups for _ in range(jobs or 1)]


def jobs_that_fit(free: float, peak: float, cores: int, devices: int) -> int:
    """Workers that a device takes, at least one.

    Args:
        free: Bytes of the fullest device.
        peak: Most bytes that a run takes.
        cores: Of the machine; a worker keeps one busy.
        devices: That share the cores.
    """
    return max(1, min(int(SHARE * free / (CONTEXT + SLACK * peak)), cores // devices))


def peaks(results: Iterable[Result]) -> dict[Kind, int]:
    """Most bytes that finished runs of each kind took on a GPU."""
    found: dict[Kind, int] = {}
    for result in results:
        if result.status == "done" and not result.device.startswith("cpu"):
            of = kind(result.run)
            found[of] = max(found.get(of, 0), result.peak_memory)
    return found


def to_measure(runs: Sequence[Run], measured: Mapping[Kind, int]) -> list[Run]:
    """One run of each kind of which none is measured, with the teachers it waits for."""
    asked = {run.id: run for run in runs}
    wanted: dict[str, Run] = {}
    seen = set(measured)
    for run in runs:
        if kind(run) in seen:
            continue
        seen.add(kind(run))
        for needed in (*run.teachers, run):
            if needed.id in asked:
                wanted[needed.id] = asked[needed.id]
    return list(wanted.values())


def phases(
    runs: Sequence[Run], devices: Sequence[str], jobs: Jobs, per_run: int, store: Store
) -> Iterator[tuple[list[Run], list[str]]]:
    """Parts of a call, one after another: runs, and the workers that do them.

    With ``auto``, runs whose memory is not known are measured first, one worker a device; the rest
    is then packed by the largest.

    Args:
        runs: In the order in which they should start.
        devices: GPUs; none: the CPU.
        jobs: Workers a device.
        per_run: Devices of one worker.
        store: Where memory is on record.

    Raises:
        DeviceError: The memory of a GPU is not to be had.
    """
    if jobs != "auto" or not devices:
        yield list(runs), workers(devices, None if jobs == "auto" else jobs, per_run)
        return
    first = to_measure(runs, peaks(store.results()))
    if first:
        yield first, workers(devices, 1, per_run)
    done = {run.id for run in first}
    rest = [run for run in runs if run.id not in done]
    if rest:
        free = memory(devices)
        if not free:
            raise DeviceError(
                "--jobs-per-device auto: expected nvidia-smi to say how much memory is free on "
                f"{', '.join(devices)}, found no answer. Give a number of jobs"
            )
        kinds = {kind(run) for run in rest}
        peak = max((v for k, v in peaks(store.results()).items() if k in kinds), default=0)
        least = min(found.free for found in free.values())
        fit = jobs_that_fit(least, peak, len(os.sched_getaffinity(0)), len(devices))
        yield rest, workers(devices, fit, per_run)

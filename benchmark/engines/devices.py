"""Devices of this machine: their names, their memory, and the number of workers on each."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from benchmark.engines.placement import AUTO, CPU, Jobs
from benchmark.errors import BenchmarkError
from benchmark.plan.order import Kind, kind
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store
from datamodules.preparing import cores

CONTEXT = 2**30
"""Bytes of a GPU for the CUDA context and libraries of a worker; an allowance, not measured."""
SLACK = 1.3
"""Factor by which a worker may exceed the measured peak, as memory comes in blocks."""
SHARE = 0.9
"""Share of the free memory that is used; the rest is left for others."""


class DeviceError(BenchmarkError):
    """Devices that do not exist, or cannot be shared out as asked."""


@dataclass(frozen=True)
class Memory:
    """Memory of a GPU, in bytes.

    Args:
        used: Memory that all processes use.
        total: Memory in all.
    """

    used: int
    total: int

    @property
    def free(self) -> int:
        """Memory that no process uses."""
        return self.total - self.used


def memory(names: Sequence[str]) -> dict[str, Memory]:
    """Return the memory of GPUs by name; empty if there is no nvidia-smi.

    The driver's tool is asked, since a look through CUDA would cost a context on every GPU.

    Args:
        names: Names as in CUDA_VISIBLE_DEVICES.
    """
    by_name: dict[str, Memory] = {}
    if not shutil.which("nvidia-smi"):
        return by_name
    for name in names:
        words = ["nvidia-smi", f"--id={name}", "--query-gpu=memory.used,memory.total"]
        answer = subprocess.run(
            [*words, "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False
        )
        values = answer.stdout.strip().split(",")
        if answer.returncode or len(values) != 2 or not all(v.strip().isdecimal() for v in values):
            return {}
        used, total = (int(value) * 2**20 for value in values)
        by_name[name] = Memory(used, total)
    return by_name


def gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them.

    Counting them makes no CUDA context.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else map(str, range(torch.cuda.device_count()))
    return [name.strip() for name in names][: torch.cuda.device_count()]


def chosen(names: str) -> list[str]:
    """Return the GPUs that ``--devices`` names; empty: the CPU.

    Args:
        names: ``cpu``, ``auto``, or numbers of GPUs joined by commas.

    Raises:
        DeviceError: A GPU that does not exist, or the same one twice.
    """
    available = gpus()
    if names == CPU or (names == AUTO and not available):
        return []
    if names == AUTO:
        return available
    numbers = names.split(",")
    for number in numbers:
        if not number.isdecimal() or int(number) >= len(available) or numbers.count(number) > 1:
            raise DeviceError(
                f"no device {number!r}: expected cpu, auto, or some of the {len(available)} GPU(s) "
                "by number, each once"
            )
    return [available[int(number)] for number in numbers]


def workers(devices: Sequence[str], jobs: int | None, per_run: int = 1) -> list[str]:
    """Return the device, or devices, of each worker, as ``run_all`` takes them.

    Args:
        devices: Names of GPUs; none: the CPU.
        jobs: Workers on each device; None: 1, on the CPU as many processes as there are cores.
        per_run: Devices of one worker; on the CPU, its processes.

    Raises:
        DeviceError: Devices that cannot be shared out.
    """
    if jobs is not None and jobs < 1:
        raise DeviceError(f"expected at least one job a device, found {jobs}")
    if per_run < 1:
        raise DeviceError(f"expected at least one device a run, found {per_run}")
    if not devices:
        if per_run > cores():
            raise DeviceError(
                f"expected --devices-per-run of at most {cores()} on the CPU, one process for each "
                f"core, found {per_run}"
            )
        count = jobs or max(1, cores() // per_run)
        return [",".join(["cpu"] * per_run)] * count
    if len(devices) % per_run:
        raise DeviceError(
            f"expected a number of devices that {per_run} a run divide, found {len(devices)}"
        )
    groups = [devices[first : first + per_run] for first in range(0, len(devices), per_run)]
    return [",".join(group) for group in groups for _ in range(jobs or 1)]


def jobs_that_fit(free: float, peak: float, cores: int, devices: int) -> int:
    """Return the number of workers for which a device has room, at least one.

    Args:
        free: Free bytes of the fullest device.
        peak: Largest number of bytes that a run takes.
        cores: Cores of the machine; each worker keeps one busy.
        devices: Number of devices that share the cores.
    """
    return max(1, min(int(SHARE * free / (CONTEXT + SLACK * peak)), cores // devices))


def peaks(results: Iterable[Result]) -> dict[Kind, int]:
    """Return the largest number of bytes that finished runs of each kind took on a GPU."""
    largest: dict[Kind, int] = {}
    for result in results:
        if result.status == "done" and not result.device.startswith("cpu"):
            of = kind(result.run)
            largest[of] = max(largest.get(of, 0), result.peak_memory)
    return largest


def to_measure(runs: Sequence[Run], measured: Mapping[Kind, int]) -> list[Run]:
    """Return one run of each kind that was never measured, with the runs it waits for."""
    by_id = {run.id: run for run in runs}
    chosen_runs: dict[str, Run] = {}
    seen = set(measured)
    for run in runs:
        if kind(run) in seen:
            continue
        seen.add(kind(run))
        for needed in (*run.needs, run):
            if needed.id in by_id:
                chosen_runs[needed.id] = by_id[needed.id]
    return list(chosen_runs.values())


def _all_results(store: Store) -> Iterator[Result]:
    """Yield all results, those of inner runs of studies among them."""
    yield from store.results()
    yield from store.inner_results()


def phases(
    runs: Sequence[Run], devices: Sequence[str], jobs: Jobs, per_run: int, store: Store
) -> Iterator[tuple[list[Run], list[str]]]:
    """Yield the parts of a call, one after another: runs, and the workers that do them.

    With ``auto``, runs of unknown memory are measured first, with one worker on each device; the
    others are then packed by the largest.

    Args:
        runs: Runs in the order in which they should start.
        devices: Names of GPUs; none: the CPU.
        jobs: Workers on each device.
        per_run: Devices of one worker.
        store: Store of the results, which record memory.

    Raises:
        DeviceError: The memory of a GPU is unknown.
    """
    if jobs != AUTO or not devices:
        yield list(runs), workers(devices, None if jobs == AUTO else jobs, per_run)
        return
    first = to_measure(runs, peaks(_all_results(store)))
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
        peak = max((v for k, v in peaks(_all_results(store)).items() if k in kinds), default=0)
        least = min(gpu.free for gpu in free.values())
        fit = jobs_that_fit(least, peak, cores(), len(devices))
        yield rest, workers(devices, fit, per_run)

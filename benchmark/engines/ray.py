"""Many runs on the machines of a Ray cluster: one Ray task a run, in workers that live on.

Ray finds a worker for each run; which run is next, and whether a lost one is tried again, is
decided by the queue that the local engine has too. Ray carries only the event of each run: results
go to the store, so the folders of results, cache and data must be shared by all machines, and the
project must be installed on each of them.

References:
    Ray's documentation: docs.ray.io/en/latest/ray-core/fault_tolerance/tasks.html (a task whose
    worker or node dies raises where its outcome is asked for), and
    ray-core/scheduling/accelerators.html (fractional GPUs; ``max_calls=0`` lets a worker that has
    used a GPU live on).
"""

import faulthandler
import logging
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from benchmark.engines.devices import chosen, workers
from benchmark.engines.engine import Engine, EngineError, Terms
from benchmark.engines.event import LOST, OUT_OF_MEMORY, Finished, stopped, summarise
from benchmark.engines.placement import AUTO, CPU, Placement
from benchmark.engines.queue import Queue
from benchmark.engines.server import THREAD_VARIABLES, THREADS
from benchmark.execution.execute import execute, out_of_memory
from benchmark.execution.places import Places
from benchmark.files import write_text
from benchmark.run import Run
from datamodules.errors import MachineError

PATIENCE = 5.0
"""Seconds after which the cluster is asked again for its room for runs."""
REACH = 10.0
"""Seconds that the head of a cluster has to answer."""
OBJECTS = 100 * 2**20
"""Bytes of the object store of a Ray of this machine alone; results do not go through it."""
GRAIN = 10_000
"""Number of parts in which Ray counts a GPU."""

NO_SETTING = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}
"""A worker may get another GPU for another run, but CUDA reads the visible ones only once."""


class RayEngineError(EngineError):
    """A cluster that does not exist, or cannot do runs."""


@dataclass(frozen=True)
class Demand:
    """Resources that a run takes of a machine, in Ray's units."""

    num_cpus: float
    num_gpus: float

    def slots(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """Return the number of runs that fit at once on nodes, as Ray lists them."""
        count = 0
        for node in nodes:
            has = node["Resources"] if node["Alive"] else {}
            room = [has.get("CPU", 0.0) / self.num_cpus]
            if self.num_gpus:  # part of a run does not fit on the rest of one GPU and of the next
                room.append(has.get("GPU", 0.0) * math.floor(1 / self.num_gpus))
            count += math.floor(min(room))
        return count


class RayEngine(Engine):
    """Machines that Ray has put together, or a Ray of this machine alone, which ends with it.

    Args:
        placement: Address of the cluster; None starts a Ray that listens on this machine's loopback
            alone, whatever addresses are in files and variables. ``"cpu"``, or ``"auto"`` for GPUs
            if the cluster has any. Number of runs at a time on each GPU; None: one.

    Raises:
        EngineError: A placement that Ray cannot work on.
        RayEngineError: Ray is not installed, or there is no cluster, or it has no such devices.
    """

    def __init__(self, placement: Placement) -> None:
        address, devices, jobs = placement.address, placement.devices, placement.jobs
        if jobs == AUTO or placement.per_run != 1:
            raise EngineError(
                "--engine ray puts each run on one device: expected a number of --jobs-per-device, "
                "and no --devices-per-run"
            )
        if address and devices not in (AUTO, CPU):
            raise EngineError(
                "Ray chooses the GPUs of a cluster: expected --devices auto or cpu, found "
                f"{devices}"
            )
        local = [] if address else workers(chosen(devices), jobs)
        self._ray = _imported(address is None)
        if address:
            _reach(address)  # Ray itself tries for ever
            choice: dict[str, Any] = {"address": address}
        else:
            gpus = [name for name in dict.fromkeys(local) if name != CPU]
            if gpus:
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
            choice = {
                "address": "local",
                "include_dashboard": False,
                "num_cpus": len(local),
                "num_gpus": len(gpus),
                "object_store_memory": OBJECTS,
            }
        self._ray.init(**choice, log_to_driver=False, logging_level=logging.ERROR)
        if devices == CPU and address and jobs is not None:
            raise RayEngineError(
                "expected --jobs-per-device for GPUs only: a core of a Ray cluster takes one run"
            )
        on_gpus = devices != CPU and bool(self._ray.cluster_resources().get("GPU"))
        self.device = "cuda" if on_gpus else CPU
        self.demand = Demand(1, math.floor(GRAIN / (jobs or 1)) / GRAIN if on_gpus else 0)
        if not self._room():
            raise RayEngineError(
                f"no room for a run on the Ray cluster at {address!r}: expected a machine with a "
                f"{'GPU and a core' if on_gpus else 'core'}; --devices says on what runs are done"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ray.shutdown()

    @property
    def slots(self) -> Sequence[str]:
        """One for each run that fits now; Ray chooses the devices, which have no names here."""
        return [CPU] * self._room()

    def _room(self) -> int:
        """Return the number of runs that fit at once on the machines that are there now."""
        return self.demand.slots(self._ray.nodes())

    def run_all(
        self,
        runs: Sequence[Run],
        places: Places,
        finished: Callable[[Finished], None],
        terms: Terms,
    ) -> list[Run]:
        """Do runs as ``Engine`` says, one task a run.

        A run that ran out of memory on a part of a GPU has a whole one when it is tried again.
        Folders must be the same on every machine.

        Raises:
            RayEngineError: A machine does not share the folder of results.
            MachineError: No room for a result, or a file that the machine cannot read or write; the
                runs in flight are given up.
        """
        ray = self._ray
        work = ray.remote(max_calls=0, max_retries=0)(_work)
        variables = {"env_vars": {**dict.fromkeys(THREAD_VARIABLES, str(THREADS)), **NO_SETTING}}
        queue = Queue(runs, places, finished, terms)
        places = replace(
            places,
            data=places.data.absolute(),
            cache=places.cache.absolute(),
            runs=places.runs.absolute(),
            device=self.device,
        )
        mark = places.runs / f".shared-{uuid.uuid4().hex}"
        write_text(mark, "")
        terms.workers(min(max(1, self._room()), len(runs)))
        flying: dict[Any, tuple[Run, float, int]] = {}
        hungry: set[str] = set()
        try:
            while True:
                room = max(1, self._room()) - len(flying)
                while room > 0 and (job := queue.next()):
                    run, last = job
                    one_gpu = {"num_gpus": 1} if run.id in hungry and self.demand.num_gpus else {}
                    demand = {**vars(self.demand), **one_gpu}
                    task = work.options(name=run.label, runtime_env=variables, **demand)
                    taken = {number for _, _, number in flying.values()}
                    number = min(set(range(len(flying) + 1)) - taken)
                    sent = task.remote(run, places, last, terms.timeout, mark)
                    flying[sent] = run, time.monotonic(), number
                    terms.watch(number, "ray", run)
                    room -= 1
                if not flying:
                    break
                for task in ray.wait(list(flying), timeout=PATIENCE)[0]:
                    run, started, number = flying.pop(task)
                    terms.watch(number, "ray", None)
                    event = self._event(task, run, started, terms.timeout)
                    if event.status == OUT_OF_MEMORY:
                        hungry.add(event.run.id)
                    queue.ended(event)
        finally:
            for task in flying:
                ray.cancel(task, force=True)
            mark.unlink(missing_ok=True)
        return list(queue.waiting)

    def _event(self, task: Any, run: Run, started: float, timeout: float | None) -> Finished:
        """Return how a task ended."""
        errors = self._ray.exceptions
        try:
            event: Finished = self._ray.get(task)
        except errors.OutOfMemoryError as error:
            return Finished(run, OUT_OF_MEMORY, _first_line(error), None, 0.0)
        except errors.RayTaskError as error:
            if isinstance(error.cause, RayEngineError):
                raise error.cause from None
            if isinstance(error.cause, ImportError) or "failed to import" in str(error.cause):
                raise RayEngineError(
                    f"a machine of the cluster cannot do runs: {error.cause}. Install the same "
                    "affectbench on every machine"
                ) from error
            return Finished(run, LOST, f"the worker failed: {error.cause!r}", None, 0.0)
        except errors.RayError as error:
            message = f"the worker was lost: {_first_line(error)}"
            if timeout is not None and time.monotonic() - started > timeout:
                minutes = f"{timeout / 60:g} minutes"
                message = f"the run had not ended after {minutes}; --timeout sets how long"
            return Finished(run, LOST, message, None, 0.0)
        return event


def _work(run: Run, places: Places, last: bool, timeout: float | None, mark: Path) -> Finished:
    """Do one run in a worker of Ray's."""
    if not mark.is_file():
        raise RayEngineError(
            f"{os.uname().nodename} does not see {mark.parent} as this machine does: expected a "
            "folder that all machines share. Name one with --runs"
        )
    torch.set_num_threads(THREADS)
    if places.device == "cuda":
        import ray

        torch.cuda.set_device(_number(ray.get_gpu_ids()[0], os.environ.get("CUDA_VISIBLE_DEVICES")))
    if timeout is not None:  # a thread in C, which ends the process also when Python hangs
        faulthandler.dump_traceback_later(timeout, exit=True, file=2)
    started = time.perf_counter()
    try:
        event = summarise(execute(run, places, last))
    except MachineError as error:
        event = stopped(run, error)
    except Exception as error:
        if not out_of_memory(error):
            raise
        event = Finished(run, OUT_OF_MEMORY, str(error), None, 0.0)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return replace(event, busy=time.perf_counter() - started)


def _reach(address: str) -> None:
    """Check that a cluster listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH).close()
    except (OSError, ValueError) as error:
        raise RayEngineError(
            f"no Ray cluster at {address!r}: expected the address that ray start --head printed, "
            f"as host:port; found: {error}"
        ) from error


def _number(name: str | int, visible: str | None) -> int:
    """Return the number that torch gives a GPU, from Ray's name and the visible devices."""
    return visible.split(",").index(str(name)) if visible else int(name)


def _imported(alone: bool) -> Any:
    """Import Ray, with its reports to its makers switched off."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if alone:
        # Where Ray makes no clusters, as on laptops with other systems, it keeps to the loopback.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", uuid.uuid4().hex)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise RayEngineError(
            "--engine ray needs Ray, which is not installed: pip install 'affectbench[ray]'"
        ) from error
    return ray


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]

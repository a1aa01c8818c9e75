"""Many runs on the machines of a Ray cluster: one Ray task a run, in workers that live on.

Ray finds a worker for each run; which run is next, and what becomes of a lost one, is decided by
the queue that the local engine has too. Nothing but a few words on how a run ended goes through
Ray: results go to the store, so the folders of results, cache and data must be shared by all
machines, and the project installed on each of them.

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
from typing import Any, Self

import torch

from benchmark.engines.queue import Queue
from benchmark.engines.server import THREAD_VARIABLES, THREADS
from benchmark.engines.worker import DISK_FULL, LOST, OUT_OF_MEMORY, Finished, told
from benchmark.errors import BenchmarkError
from benchmark.execution.execute import Places, execute, out_of_memory
from benchmark.plan.order import Costs
from benchmark.run import Run
from benchmark.store import DiskFullError, write_text

PATIENCE = 5.0
"""Seconds after which the cluster is asked again how many runs it has room for."""
REACH = 10.0
"""Seconds that the head of a cluster has to answer."""
OBJECTS = 100 * 2**20
"""Bytes that a Ray of this machine alone may keep for itself; results do not go through it."""
GRAIN = 10_000
"""Ray counts GPUs in so many parts of one."""

NO_SETTING = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}
"""A worker meets another GPU with another run, but CUDA reads what it may see only once."""


class RayEngineError(BenchmarkError):
    """A cluster that is not there, or cannot do runs."""


@dataclass(frozen=True)
class Demand:
    """What a run takes of a machine, in Ray's units."""

    num_cpus: float
    num_gpus: float

    def slots(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """So many runs fit on some nodes, as Ray lists them, at once."""
        count = 0
        for node in nodes:
            has = node["Resources"] if node["Alive"] else {}
            room = [has.get("CPU", 0.0) / self.num_cpus]
            if self.num_gpus:  # part of a run does not fit on the rest of one GPU and of the next
                room.append(has.get("GPU", 0.0) * math.floor(1 / self.num_gpus))
            count += math.floor(min(room))
        return count


class Cluster:
    """Machines that Ray has put together, or a Ray of this machine alone, which ends with it.

    Args:
        address: Where the cluster's head listens, as ``host:port``; None starts a Ray that listens
            on this machine's loopback alone. Addresses in files and variables do not count.
        device: ``"cpu"``, or ``"auto"`` for GPUs if the cluster has any.
        jobs: Runs at a time on each GPU; None: one.
        own: What the workers of a Ray of this machine alone are bound to, as in the local engine.

    Raises:
        RayEngineError: Ray is not installed, or there is no cluster, or it has no such devices.
    """

    def __init__(
        self, address: str | None, device: str, jobs: int | None, own: Sequence[str] = ()
    ) -> None:
        self._ray = _imported(address is None)
        if address:
            _reach(address)  # Ray itself tries for ever
            choice: dict[str, Any] = {"address": address}
        else:
            gpus = [name for name in dict.fromkeys(own) if name != "cpu"]
            if gpus:
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
            choice = {
                "address": "local",
                "include_dashboard": False,
                "num_cpus": len(own),
                "num_gpus": len(gpus),
                "object_store_memory": OBJECTS,
            }
        self._ray.init(**choice, log_to_driver=False, logging_level=logging.ERROR)
        if device == "cpu" and address and jobs is not None:
            raise RayEngineError(
                "expected --jobs-per-device for GPUs only: a core of a Ray cluster takes one run"
            )
        on_gpus = device != "cpu" and bool(self._ray.cluster_resources().get("GPU"))
        device = "cuda" if on_gpus else "cpu"
        self.device = device
        self.demand = Demand(1, math.floor(GRAIN / (jobs or 1)) / GRAIN if device == "cuda" else 0)
        if not self.slots():
            raise RayEngineError(
                f"no room for a run on the Ray cluster at {address!r}: expected a machine with a "
                f"{'GPU and a core' if device == 'cuda' else 'core'}; --devices says on what runs "
                "are done"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def slots(self) -> int:
        """So many runs fit at once on the machines that are there now."""
        return self.demand.slots(self._ray.nodes())

    def run_all(
        self,
        runs: Sequence[Run],
        places: Places,
        finished: Callable[[Finished], None],
        timeout: float | None = None,
        max_seconds: float | None = None,
        costs: Costs | None = None,
        watch: Callable[[int, str, Run | None], None] | None = None,
    ) -> list[Run]:
        """Do runs on the cluster, and commit every result.

        A run that ran out of memory on a part of a GPU has a whole one when it is tried again.

        Args:
            runs: In the order in which they should start; one that has teachers among them waits
                for them.
            places: Where, on every machine alike; its device is set by the worker.
            finished: Called in this process after each run.
            timeout: Seconds after which the worker of a run ends itself.
            max_seconds: No run is started that would end later than this, counted from now.
            costs: What is known of how long runs take; the runs of this call are added.
            watch: Called in this process with the number of a place and what Ray has in it now.

        Returns:
            Runs that were not started.

        Raises:
            RayEngineError: A machine does not share the folder of results.
            DiskFullError: No room for a result; the runs in flight are given up.
        """
        ray = self._ray
        work = ray.remote(max_calls=0, max_retries=0)(_work)
        variables = {"env_vars": {**dict.fromkeys(THREAD_VARIABLES, str(THREADS)), **NO_SETTING}}
        queue = Queue(runs, places, finished, max_seconds, costs)
        places = replace(
            places,
            data=places.data.absolute(),
            cache=places.cache.absolute(),
            runs=places.runs.absolute(),
            device=self.device,
        )
        mark = places.runs / f".shared-{uuid.uuid4().hex}"
        write_text(mark, "")
        watch = watch or (lambda *_: None)
        flying: dict[Any, tuple[Run, float, int]] = {}
        hungry: set[str] = set()
        try:
            while True:
                room = max(1, self.slots()) - len(flying)
                while room > 0 and (job := queue.next()):
                    run, last = job
                    whole = {"num_gpus": 1} if run.id in hungry and self.demand.num_gpus else {}
                    demand = {**vars(self.demand), **whole}
                    task = work.options(name=run.label, runtime_env=variables, **demand)
                    taken = {number for _, _, number in flying.values()}
                    number = min(set(range(len(flying) + 1)) - taken)
                    sent = task.remote(run, places, last, timeout, mark)
                    flying[sent] = run, time.monotonic(), number
                    watch(number, "ray", run)
                    room -= 1
                if not flying:
                    break
                for task in ray.wait(list(flying), timeout=PATIENCE)[0]:
                    run, started, number = flying.pop(task)
                    watch(number, "ray", None)
                    event = self._event(task, run, started, timeout)
                    if event.status == OUT_OF_MEMORY:
                        hungry.add(event.run.id)
                    queue.ended(event)
        finally:
            for task in flying:
                ray.cancel(task, force=True)
            mark.unlink(missing_ok=True)
        return list(queue.waiting)

    def _event(self, task: Any, run: Run, started: float, timeout: float | None) -> Finished:
        """How a task ended."""
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
            said = f"the worker was lost: {_first_line(error)}"
            if timeout is not None and time.monotonic() - started > timeout:
                minutes = f"{timeout / 60:g} minutes"
                said = f"the run had not ended after {minutes}; --timeout sets how long"
            return Finished(run, LOST, said, None, 0.0)
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
        event = told(execute(run, places, THREADS, last))
    except DiskFullError as error:
        event = Finished(run, DISK_FULL, str(error), None, 0.0)
    except Exception as error:
        if not out_of_memory(error):
            raise
        event = Finished(run, OUT_OF_MEMORY, str(error), None, 0.0)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return replace(event, busy=time.perf_counter() - started)


def _reach(address: str) -> None:
    """See that somebody listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH).close()
    except (OSError, ValueError) as error:
        raise RayEngineError(
            f"no Ray cluster at {address!r}: expected the address that ray start --head printed, "
            f"as host:port; found: {error}"
        ) from error


def _number(name: str | int, visible: str | None) -> int:
    """Number that torch gives a GPU, by Ray's name for it and those that the process may see."""
    return visible.split(",").index(str(name)) if visible else int(name)


def _imported(alone: bool) -> Any:
    """Ray, told before it is imported to say nothing to anybody."""
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

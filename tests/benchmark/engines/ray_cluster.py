"""A Ray cluster of three nodes on loopback; a suite is done on it while it loses parts of itself.

Run as ``python ray_cluster.py SUITE``, in a network namespace of its own where there may be one:
kills a worker, and then a whole node, in the middle of a run each. Prints what the command says,
and last what was killed, as JSON. Ends with the command's exit status.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": os.urandom(16).hex(),
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}

from ray.cluster_utils import Cluster  # reads these

PATIENCE = 240.0
"""Seconds after which something that should have happened counts as stuck."""


def raylet_of(node):
    return node.all_processes["raylet"][0].process.pid


def worker_in_a_run(raylet):
    """Process of a node's worker that is doing a run now."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for entry in Path("/proc").iterdir():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                busy = (entry / "cmdline").read_text().startswith("ray::synthetic")
            except (OSError, IndexError):
                continue
            if busy and stat[0] != "Z" and int(stat[1]) == raylet:
                return int(entry.name)
        time.sleep(0.02)
    raise TimeoutError(f"no worker of raylet {raylet} does a run")


def main(suite):
    temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a socket's path must be short
    os.environ["RAY_TMPDIR"] = temporary  # where a cluster's address is written, of all nodes
    Path(temporary, "ray").mkdir()
    node = {"num_cpus": 1, "temp_dir": temporary, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        first, second = (cluster.add_node(num_cpus=1) for _ in range(2))
        words = ["run", suite, "--engine", "ray", "--ray-address", cluster.address]
        command = subprocess.Popen([sys.executable, "-m", "benchmark.cli", *words])
        worker = worker_in_a_run(raylet_of(first))
        os.kill(worker, signal.SIGKILL)
        other = worker_in_a_run(raylet_of(second))
        cluster.remove_node(second, allow_graceful=False)
        status = command.wait(PATIENCE)
        gone = [not Path(f"/proc/{process}").exists() for process in (worker, other)]
        print(json.dumps({"gone": gone, "address": cluster.address}), flush=True)
    finally:
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

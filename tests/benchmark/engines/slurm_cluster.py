"""SLURM of two nodes on this machine; a suite is done as an array that loses a task.

Run as root, as ``python slurm_cluster.py SUITE PARTS``, in a network namespace of its own: starts
munged, slurmctld and two slurmd with a made-up GPU each, submits the array, kills its second task
after its first run, submits that task again, and last the leaderboards. Prints JSON: part and state
of every job, which of them was killed, and what it printed the first and the second time.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "benchmark" / "slurm" / "array.sbatch"
PATIENCE = 240.0
"""Seconds after which something that should have happened counts as stuck."""
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=1
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17001 CPUs=1 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=17002 CPUs=1 Gres=gpu:1
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def start(folder):
    """The daemons, as children of this process."""
    for name in ("state", "spool-n1", "spool-n2"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(host=socket.gethostname(), folder=folder)
    )
    (folder / "gres.conf").write_text("NodeName=n[1-2] Name=gpu File=/dev/null\n")
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    munge = ["munged", "--foreground", "--force"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    commands = [[*munge, f"--socket={folder}/munge.socket"], ["slurmctld", "-D", "-c"]]
    commands += [["slurmd", "-D", "-N", name] for name in ("n1", "n2")]
    daemons = []
    for command in commands:
        daemons.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=2))
        if command is commands[0]:
            wait_for((folder / "munge.socket").exists, "munged")
    wait_for(lambda: said("sinfo", "-h", "-t", "idle", "-o", "%D") == "2", "two idle nodes")
    return daemons


def wait_for(happened, what):
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {PATIENCE:.0f} s\n{said('squeue')}")
        time.sleep(0.02)
    return found


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def submit(*words):
    done = subprocess.run(
        ["sbatch", "--parsable", *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def jobs():
    """Number, part and state of every job."""
    found = {}
    for line in said("scontrol", "-o", "show", "job").splitlines():
        values = dict(re.findall(r"(\w+)=(\S*)", line))
        found[values["JobId"]] = values.get("ArrayTaskId"), values["JobState"]
    return found


def killed(part):
    """Kill a task of the array as soon as it has done its first run."""

    def begun():
        for number, (task, state) in jobs().items():
            log = Path(f"affectbench-{number}.log")
            if task == part and state == "RUNNING" and log.is_file() and "[1/" in log.read_text():
                return number
        return None

    number = wait_for(begun, f"run of part {part}")
    said("scancel", "--signal=KILL", "--full", number)
    return number


def main(suite, parts):
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder.chmod(0o755)
    words = [str(SCRIPT), parts, suite, "--devices", "cpu", "--jobs-per-device", "1"]
    daemons = []
    try:
        daemons = start(folder)
        submit(f"--array=1-{parts}", "--gres=gpu:1", *words)
        lost = killed("2")
        wait_for(lambda: jobs()[lost][1] in ("FAILED", "CANCELLED"), "end of the killed task")
        first = Path(f"affectbench-{lost}.log").read_text()
        again = submit("--array=2", "--gres=gpu:1", *words)
        boards = submit("--dependency=singleton", *words)
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        wait_for(lambda: jobs()[boards][1] in ended, "leaderboards")
        second = Path(f"affectbench-{again}.log").read_text()
        print(json.dumps({"jobs": jobs(), "lost": lost, "first": first, "second": second}))
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            daemon.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

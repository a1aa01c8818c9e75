"""``affectbench selftest``: whether the harness finds what is there, and nothing else."""

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmark.checks.selftest import as_record, selftest, table_of
from benchmark.cli.outcome import DONE, FAILED
from benchmark.engines.worker import Finished
from benchmark.execution.execute import commit, versions
from benchmark.store import write_json

EVERY = 50
"""Runs after which a line says how far it is."""


def run(arguments: argparse.Namespace) -> int:
    """Check the harness, print a table and keep the record beside the leaderboards."""
    started, done = time.monotonic(), 0
    devices = ["cpu"] * (arguments.jobs or len(os.sched_getaffinity(0)))

    def told(event: Finished, count: int) -> None:
        nonlocal done
        done += 1
        if done % EVERY == 0 or done == count:
            print(f"[{done}/{count}] runs, {time.monotonic() - started:.0f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="affectbench-selftest-") as scratch:
        checks = selftest(Path(scratch), devices, told)
    seconds = round(time.monotonic() - started, 1)
    print(table_of(checks))
    record = as_record(
        checks,
        commit=commit(),
        versions=versions(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        workers=len(devices),
    )
    path = arguments.leaderboards / "selftest.json"
    write_json(path, record)
    failed = [check.name for check in checks if not check.passed]
    print(f"{len(checks)} checks, {len(failed)} failed, {seconds:.0f} s; {path}")
    return FAILED if failed else DONE

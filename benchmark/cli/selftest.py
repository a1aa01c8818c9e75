"""``affectbench selftest``: check the harness on data with and without a planted effect."""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.arguments import add_folders, count
from benchmark.cli.command import DONE, FAILED, Command
from benchmark.engines.catalogue import make_engine
from benchmark.engines.placement import CPU, Placement
from benchmark.engines.server import importing, start_server
from benchmark.files import write_json
from datamodules.temporary import owned

if TYPE_CHECKING:
    from benchmark.engines.event import Finished

EVERY = 50
"""Number of runs after which a line says how many are done."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_folders(parser, "leaderboards")
    parser.add_argument("--jobs", type=count, metavar="N", help="workers; default: one a core")


def run(arguments: argparse.Namespace) -> int:
    """Check the harness, print a table and keep the record beside the leaderboards."""
    start_server()  # its imports go on while this process does its own
    with importing():  # torch
        from benchmark.checks.selftest import as_record, selftest, table_of
        from benchmark.execution.circumstances import commit, versions

    release = versions()["affectbench"]
    started, done = time.monotonic(), 0

    def finished(event: "Finished", count: int) -> None:
        nonlocal done
        done += 1
        if done % EVERY == 0 or done == count:
            print(f"[{done}/{count}] runs, {time.monotonic() - started:.0f} s", flush=True)

    with (
        make_engine("local", Placement(CPU, arguments.jobs)) as engine,
        tempfile.TemporaryDirectory(prefix=owned()) as scratch,
    ):
        checks = selftest(Path(scratch), engine, finished, release)
    seconds = round(time.monotonic() - started, 1)
    print(table_of(checks))
    record = as_record(
        checks,
        commit=commit(),
        versions=versions(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        workers=len(engine.slots),
    )
    path = arguments.leaderboards / "selftest.json"
    write_json(path, record)
    failed = [check.name for check in checks if not check.passed]
    print(f"{len(checks)} checks, {len(failed)} failed, {seconds:.0f} s; {path}")
    return FAILED if failed else DONE


COMMAND = Command(
    "check the harness on data with and without a planted effect",
    _arguments,
    run,
    ("affectbench selftest --jobs 4",),
)

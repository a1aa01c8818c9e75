"""``affectbench status``: how far the latest call is."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.cli.arguments import add_folders
from benchmark.cli.command import DONE, FAILED, Command
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.store import Call


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_folders(parser, "runs")
    parser.add_argument(
        "--timing", action="store_true", help="time of calls, and how much of it was inside runs"
    )


def status(arguments: argparse.Namespace) -> int:
    """Print how far the latest call is."""
    from benchmark.starting import starting_calls
    from benchmark.store import RESULT, Store  # imports numpy

    store = Store(arguments.runs)
    plan = store.plan()
    calls = starting_calls(arguments.runs)
    for called in calls:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(called))
        print(f"a call of {since} is starting: it checks recordings, and has no plan yet")
    if calls and not plan:
        return DONE
    if not plan:
        raise BenchmarkError(
            f"no runs in {str(arguments.runs)!r}: expected the folder of an affectbench run; "
            "name it with --runs"
        )
    boards: dict[str, dict[str, int]] = {}
    for run in plan:
        counts = boards.setdefault(run.board, {"done": 0, "failed": 0, "open": 0})
        state = store.status(run) or "open"
        counts[state] = counts.get(state, 0) + 1
    for board, counts in boards.items():
        parts = [f"{count} {state}" for state, count in counts.items()]
        if studies := store.open_studies().get(board):
            parts.append(f"{studies} studies that have not chosen yet, a run each")
        print(f"{board}: {', '.join(parts)}")
    if arguments.timing:
        _print_timing(store.calls())
    for path in store.conflicts():
        print(f"another result than {RESULT} beside it: {path}", file=sys.stderr)
    bad = any(counts["failed"] or "damaged" in counts for counts in boards.values())
    return FAILED if bad else DONE


def _print_timing(calls: Sequence["Call"]) -> None:
    for call in calls:
        wall = call.ended - call.begun
        print(
            f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(call.started))}: "
            f"{call.runs} runs on {call.workers} worker(s) in {wall:.1f} s, "
            f"{call.begun - call.started:.1f} s after the call; "
            f"{call.busy:.1f} s inside runs, {_overhead([call])}"
        )
    if len(calls) > 1:
        print(
            f"{sum(call.runs for call in calls)} runs in {len(calls)} call(s): {_overhead(calls)}"
        )


def _overhead(calls: Sequence["Call"]) -> str:
    """Return the share of the workers' time outside runs: from the first run on, and in all."""
    busy = sum(call.busy for call in calls)
    running = sum((call.ended - call.begun) * call.workers for call in calls)
    total = sum((call.ended - call.started) * call.workers for call in calls)
    shares = [100 * (1 - busy / wall) if wall else 0.0 for wall in (running, total)]
    return f"overhead {shares[0]:.1f} %, with the start {shares[1]:.1f} %"


COMMAND = Command(
    "say how far the latest call is",
    _arguments,
    status,
    ("affectbench status --timing",),
)

"""``affectbench verify``: do a finished run again and say whether it comes out as on record."""

import argparse

import torch

from benchmark.checks.verify import TOLERANCE, Verdict, read_run
from benchmark.checks.verify import verify as do_again
from benchmark.cli.outcome import DONE, FAILED
from benchmark.errors import BenchmarkError
from benchmark.execution.execute import Places
from benchmark.result import Result
from benchmark.store import Store

CPU = "cpu"


def verify(arguments: argparse.Namespace) -> int:
    """Do a finished run again."""
    folder = Store(arguments.runs).find_one(arguments.run).absolute()
    places = Places(
        arguments.data,
        arguments.cache,
        arguments.runs,
        logger="none",
        deterministic=arguments.deterministic,
    )
    tolerance = arguments.tolerance
    if tolerance is None:
        tolerance = 0.0 if arguments.deterministic else TOLERANCE
    device = _device(arguments.device, read_run(folder))
    found = do_again(folder, places, device, tolerance)
    print("\n".join(_report(found)))
    return DONE if found.equal else FAILED


def _device(asked: str | None, first: Result) -> str:
    """Where to do it: by default on what it was done on, if there is one."""
    count = torch.cuda.device_count()
    if asked is None:
        return CPU if first.device.startswith(CPU) or not count else "0"
    if asked != CPU and (not asked.isdecimal() or int(asked) >= count):
        raise BenchmarkError(
            f"no device {asked!r}: expected cpu, or one of the {count} GPU(s) by number"
        )
    return asked


def _report(found: Verdict) -> list[str]:
    first, again = found.first, found.again
    bits = "equal bits" if found.tolerance == 0 else f"{found.tolerance:g}"
    lines = [
        f"{first.run.label} ({first.run.id}): done again on {again.device}, "
        f"{sum(again.seconds.values()):.1f} s"
    ]
    if found.circumstances:
        lines += [f"{c.what}: {c.first} on record, {c.again} now" for c in found.circumstances]
    else:
        lines.append(
            f"commit {first.commit or 'unknown'}, versions, device and threads as on record"
        )
    if any(result.commit.endswith("+") for result in (first, again)):
        lines.append("commit with uncommitted changes (+): what they were is not on record")
    if again.status != "done":
        return [*lines, f"FAILED now: {again.error}"]
    if found.equal:
        how = "equal bits" if found.largest == 0 else f"largest difference {found.largest:.2g}"
        return [
            *lines,
            f"equal: predictions and scores of {', '.join(first.scores)}: {how} "
            f"(tolerance: {bits})",
        ]
    lines += [
        f"DIFFERS: {len(found.differences)} beyond the tolerance ({bits})",
        "",
        "| what | on record | again | difference |",
        "|---|---|---|---:|",
    ]
    for line in found.differences:
        size = "" if line.size != line.size else f"{line.size:.2g}"
        lines.append(f"| {line.what} | {line.first} | {line.again} | {size} |")
    return lines

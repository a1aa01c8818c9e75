"""``affectbench verify``: do a finished run again, and say whether it comes out as on record."""

import argparse
from typing import TYPE_CHECKING

from benchmark.cli.arguments import (
    add_encoders,
    add_folders,
    add_run,
    encoder_weights,
    not_negative,
)
from benchmark.cli.command import DONE, FAILED, Command
from benchmark.engines.catalogue import make_engine
from benchmark.engines.placement import CPU, Placement
from benchmark.engines.server import importing
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.checks.verify import Verdict
    from benchmark.result import Result


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_folders(parser, "data", "cache", "runs")
    add_encoders(parser)
    parser.add_argument(
        "--device", metavar="D", help="cpu or the number of a GPU; default: as it was done"
    )
    parser.add_argument(
        "--tolerance",
        type=not_negative,
        metavar="T",
        help="how far probabilities and scores may differ; default: 0.0001, 0 with --deterministic",
    )
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="use only algorithms that give the same bits each time, and expect equal bits",
    )


def verify(arguments: argparse.Namespace) -> int:
    """Do a finished run again."""
    with importing():  # torch
        from benchmark.checks.verify import TOLERANCE, read_run
        from benchmark.checks.verify import verify as do_again
        from benchmark.execution.places import Places
        from benchmark.store import Store

    folder = Store(arguments.runs).find_one(arguments.run).absolute()
    places = Places(
        arguments.data,
        arguments.cache,
        arguments.runs,
        logger="none",
        deterministic=arguments.deterministic,
        encoders=encoder_weights(arguments.encoder),
    )
    tolerance = arguments.tolerance
    if tolerance is None:
        tolerance = 0.0 if arguments.deterministic else TOLERANCE
    device = _device(arguments.device, read_run(folder))
    with make_engine("local", Placement(device, jobs=1)) as engine:
        verdict = do_again(folder, places, engine, tolerance)
    print("\n".join(_report(verdict)))
    return DONE if verdict.equal else FAILED


def _device(name: str | None, first: "Result") -> str:
    """Return the device to do it on: by default, the kind it was done on, if there is one."""
    import torch

    count = torch.cuda.device_count()
    if name is None:
        return CPU if first.device.startswith(CPU) or not count else "0"
    if name != CPU and (not name.isdecimal() or int(name) >= count):
        raise BenchmarkError(
            f"no device {name!r}: expected cpu, or one of the {count} GPU(s) by number"
        )
    return name


def _report(verdict: "Verdict") -> list[str]:
    """Return the lines that say what came out."""
    first, again = verdict.first, verdict.again
    bits = "equal bits" if verdict.tolerance == 0 else f"{verdict.tolerance:g}"
    lines = [
        f"{first.run.label} ({first.run.id}): done again on {again.device}, "
        f"{sum(again.seconds.values()):.1f} s"
    ]
    if verdict.circumstances:
        lines += [f"{c.what}: {c.first} on record, {c.again} now" for c in verdict.circumstances]
    else:
        lines.append(
            f"commit {first.commit or 'unknown'}, versions, device and threads as on record"
        )
    if any(result.commit.endswith("+") for result in (first, again)):
        lines.append("commit with uncommitted changes (+): what they were is not on record")
    if again.status != "done":
        return [*lines, f"FAILED now: {again.error}"]
    if verdict.equal:
        how = "equal bits" if verdict.largest == 0 else f"largest difference {verdict.largest:.2g}"
        return [
            *lines,
            f"equal: predictions and scores of {', '.join(first.scores)}: {how} "
            f"(tolerance: {bits})",
        ]
    lines += [
        f"DIFFERS: {len(verdict.differences)} beyond the tolerance ({bits})",
        "",
        "| what | on record | again | difference |",
        "|---|---|---|---:|",
    ]
    for line in verdict.differences:
        size = "" if line.size != line.size else f"{line.size:.2g}"
        lines.append(f"| {line.what} | {line.first} | {line.again} | {size} |")
    return lines


COMMAND = Command(
    "do a finished run again and compare",
    _arguments,
    verify,
    ("affectbench verify 3f2a",),
)

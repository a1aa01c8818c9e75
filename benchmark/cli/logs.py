"""``affectbench logs``: the log of a run, and why it failed."""

import argparse

from benchmark.cli.arguments import add_folders, add_run
from benchmark.cli.command import DONE, Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_folders(parser, "runs")


def logs(arguments: argparse.Namespace) -> int:
    """Print the log of a run."""
    from benchmark.store import Store  # imports numpy

    store = Store(arguments.runs)
    folder = store.find_one(arguments.run)
    result = store.load(folder)
    print(f"{result.run.label}: {result.status}")
    log = folder / "log.txt"
    try:
        said = log.read_text(errors="replace").rstrip()
    except FileNotFoundError:
        said = "no log: it said nothing"
    print(said)
    if result.status == "failed":
        print("\n".join(part for part in ("", result.error, result.traceback.rstrip()) if part))
    return DONE


COMMAND = Command(
    "print what a run said, and why it failed",
    _arguments,
    logs,
    ("affectbench logs 3f2a",),
)

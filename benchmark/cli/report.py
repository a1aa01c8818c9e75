"""``affectbench report``: all results on one page."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.arguments import add_folders
from benchmark.cli.command import DONE, FAILED, Command
from benchmark.engines.server import importing
from benchmark.files import write_text

if TYPE_CHECKING:
    from benchmark.store import Store


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_folders(parser, "runs", "leaderboards")
    page = Path("report.html")
    parser.add_argument("--out", type=Path, default=page, help=f"default: {page}")


def report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    store = write_report(arguments.runs, arguments.leaderboards, arguments.out)
    return FAILED if store.set_aside else DONE


def write_report(runs: Path, leaderboards: Path, out: Path) -> "Store":
    """Write the page of a store to a file, say so, and return the store."""
    with importing():  # pandas
        from benchmark.report.page import render
        from benchmark.store import Store

    store = Store(runs)
    page = render(store, leaderboards)
    write_text(out, page)
    print(f"{out}: {len(page.encode()) / 2**20:.2f} MiB; open it in a browser")
    return store


COMMAND = Command(
    "write all boards on one page that needs no network",
    _arguments,
    report,
    ("affectbench report --out report.html",),
)

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
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="write its plots there too, as SVG and as PNG"
    )


def report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    store = write_report(arguments.runs, arguments.leaderboards, arguments.out, arguments.plots)
    return FAILED if store.set_aside else DONE


def write_report(runs: Path, leaderboards: Path, out: Path, plots: Path | None = None) -> "Store":
    """Write the page of a store to a file, say so, and return the store.

    Args:
        runs: Folder of the store.
        leaderboards: Folder with tables that do not follow from the store.
        out: Path of the page.
        plots: Folder for its plots as files; None: none are written.
    """
    with importing():  # pandas
        from benchmark.drawing import SUFFIXES
        from benchmark.report.content import collect
        from benchmark.report.page import html
        from benchmark.report.plots import pictures
        from benchmark.store import Store

    store = Store(runs)
    content = collect(store, leaderboards)
    page = html(content)
    write_text(out, page)
    print(f"{out}: {len(page.encode()) / 2**20:.2f} MiB; open it in a browser")
    if plots is not None:
        for name, picture in pictures(content).items():
            for suffix in SUFFIXES:
                picture.write(plots / f"{name}{suffix}")
    return store


COMMAND = Command(
    "write all boards on one page that needs no network",
    _arguments,
    report,
    ("affectbench report --out report.html", "affectbench report --plots plots"),
)

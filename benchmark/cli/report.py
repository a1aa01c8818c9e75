"""``affectbench report``: everything that was found, on one page."""

import argparse

from benchmark.cli.outcome import DONE
from benchmark.report.page import render
from benchmark.store import Store, write_text


def report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    page = render(Store(arguments.runs), arguments.leaderboards)
    write_text(arguments.out, page)
    print(f"{arguments.out}: {len(page.encode()) / 2**20:.2f} MiB; open it in a browser")
    return DONE

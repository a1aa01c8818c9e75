"""Lines for whoever waits at a terminal: what a command does before it has anything to show."""

import sys


def say_doing(line: str) -> None:
    """Print what is begun now on stderr, if that is a terminal."""
    if line and sys.stderr.isatty():
        print(f"{line} ...", file=sys.stderr, flush=True)

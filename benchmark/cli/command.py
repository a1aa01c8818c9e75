"""Command: its arguments, and the function that does it; the exit statuses of all commands.

The parser is built at every call, so the files of commands import nothing heavy at the top. The
function of a command imports what it needs, inside ``importing``.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

DONE, FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130
"""Everything asked for is there; some of it is not; the call cannot be done; stopped by hand."""


@dataclass(frozen=True)
class Command:
    """A command of ``affectbench``.

    Args:
        about: One line for ``affectbench --help``.
        add_arguments: Function that adds the command's arguments to its parser.
        run: Function that does the command, and returns the exit status.
        examples: Calls, for the end of the command's own help.
        starting: Line for a terminal about what the command does first; empty: it takes no time.
    """

    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    examples: tuple[str, ...]
    starting: str = ""

    @property
    def epilog(self) -> str:
        """The examples, below a title."""
        return "\n".join(("examples:", *(f"  {example}" for example in self.examples)))

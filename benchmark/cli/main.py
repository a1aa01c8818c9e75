"""The command line: assembles the commands, and turns errors into messages and exit statuses."""

import argparse
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmark.cli import (
    catalogue,
    compare,
    data,
    datasheet,
    leaderboard,
    logs,
    predict,
    report,
    run,
    selftest,
    status,
    verify,
)
from benchmark.cli.command import DONE, INTERRUPTED, Command
from benchmark.files import full_disk, is_full
from datamodules.errors import AffectbenchError

COMMANDS: Mapping[str, Command] = {
    "list": catalogue.COMMAND,
    "data": data.COMMAND,
    "datasheet": datasheet.COMMAND,
    "run": run.COMMAND,
    "predict": predict.COMMAND,
    "status": status.COMMAND,
    "logs": logs.COMMAND,
    "leaderboard": leaderboard.COMMAND,
    "report": report.COMMAND,
    "selftest": selftest.COMMAND,
    "verify": verify.COMMAND,
    "compare": compare.COMMAND,
}


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 if everything asked for is there; 1 if runs failed, subjects were left out or a disk is
        full, what was finished is written; 2 for a call that cannot be done.
    """
    if words is None:  # the process is the command's own, and what it imports stays for good
        gc.freeze()
    arguments = _parser().parse_args(words, argparse.Namespace(called=time.time()))
    command: Command = arguments.command
    try:
        return command.run(arguments)
    except KeyboardInterrupt:
        print("interrupted; finished runs are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return DONE
    except Exception as error:
        if is_full(error):
            error = full_disk(Path(error.filename or "."))
        if not isinstance(error, AffectbenchError):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="affectbench",
        description="An honest benchmark of emotion recognition from physiological signals.",
    )
    parser.add_argument(
        "--version", action="version", version=f"affectbench {version('affectbench')}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.about)
        one.set_defaults(command=command)
        command.add_arguments(one)
    return parser

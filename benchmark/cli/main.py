"""The command line: assembles the commands, and turns errors into messages and exit statuses."""

import argparse
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points, version

from benchmark.cli import (
    catalogue,
    compare,
    data,
    datasheet,
    leaderboard,
    logs,
    new,
    predict,
    report,
    run,
    selftest,
    status,
    verify,
)
from benchmark.cli.command import DONE, INTERRUPTED, Command
from benchmark.cli.doing import say_doing
from benchmark.cli.mistakes import as_mistake, where_to_report
from benchmark.cli.signals import Stopped, stop_on_signals
from datamodules.errors import AffectbenchError

GROUP = "affectbench.plugins"
"""Entry points of installed packages that are loaded with every command."""
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
    "new": new.COMMAND,
}


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 if everything asked for is there; 1 if runs failed, subjects were left out or a disk is
        full, what was finished is written; 2 for a call that cannot be done; 128 and the number of
        the signal that ended it.
    """
    if words is None:  # the process is the command's own, and what it imports stays for good
        gc.freeze()
        stop_on_signals()
    arguments = _parser().parse_args(words, argparse.Namespace(called=time.time()))
    command: Command = arguments.command
    try:
        say_doing(command.starting)
        _load_plugins(arguments)
        return command.run(arguments)
    except Stopped as stop:
        print(f"stopped by {stop.name}; finished runs are kept", file=sys.stderr)
        return stop.status
    except KeyboardInterrupt:
        print("interrupted; finished runs are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return DONE
    except Exception as error:
        mistake = as_mistake(error)
        if mistake is None:
            error.add_note(where_to_report())
            raise
        print(f"{type(mistake).__name__}: {mistake}", file=sys.stderr)
        return mistake.status


def _load_plugins(arguments: argparse.Namespace) -> None:
    """Load the plug-ins of installed packages, those of the call, and heads of folder datasets."""
    installed = sorted(entry.value.partition(":")[0] for entry in entry_points(group=GROUP))
    folders = [getattr(arguments, name, None) for name in ("data", "root")]
    present = [folder for folder in folders if folder and folder.is_dir()]
    if installed or arguments.plugin or present:
        from benchmark.plugins import heads, load  # imports the catalogues

        load([*installed, *arguments.plugin])
        for head in (head for folder in present for head in heads(folder)):
            try:
                load([head])
            except AffectbenchError as error:  # other datasets can be used all the same
                print(f"left out: {error}", file=sys.stderr)


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
        one = commands.add_parser(
            name,
            help=command.about,
            description=f"{command.about[0].upper()}{command.about[1:]}.",
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(command=command)
        command.add_arguments(one)
        one.add_argument(
            "--plugin",
            action="append",
            default=[],
            metavar="FILE",
            help="Python file or module with models, datasets, distillers or probes of your own; "
            "may be given several times",
        )
    return parser

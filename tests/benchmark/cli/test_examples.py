"""Examples at the end of each command's help: they are calls that the program takes."""

import shlex

import pytest

from benchmark.cli.main import COMMANDS, _parser

EXAMPLES = [(name, call) for name, command in COMMANDS.items() for call in command.examples]


def test_every_command_has_an_example():
    assert [name for name in COMMANDS if name not in dict(EXAMPLES)] == []


@pytest.mark.parametrize(("name", "call"), EXAMPLES, ids=[call for _, call in EXAMPLES])
def test_an_example_is_a_call(name, call):
    program, command, *words = shlex.split(call.partition(" > ")[0])
    assert (program, command) == ("affectbench", name)
    assert _parser().parse_args([command, *words]).command is COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_the_examples(name, capsys):
    with pytest.raises(SystemExit):
        _parser().parse_args([name, "--help"])
    shown = capsys.readouterr().out.splitlines()
    first = shown.index("examples:")
    assert shown[first + 1 :] == [f"  {call}" for call in COMMANDS[name].examples]

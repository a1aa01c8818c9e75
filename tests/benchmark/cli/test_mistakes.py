"""What the user can mend is one line and exit status 2; everything else is a fault of ours."""

import errno
import os
import shutil
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

from benchmark.cli import main as module
from benchmark.cli.main import main
from benchmark.cli.mistakes import OURS, as_mistake, where_to_report
from benchmark.store import Store
from datamodules.errors import DatasetNotFoundError
from tests.benchmarks import faults

CLASSES = sorted(errno.errorcode)
"""Numbers of all errors of the system."""


def system_error(number: int, *paths: str) -> OSError:
    return OSError(number, os.strerror(number), *paths)


@pytest.mark.parametrize("number", CLASSES, ids=[errno.errorcode[number] for number in CLASSES])
def test_every_error_of_the_system(number, tmp_path, monkeypatch, capsys):
    """Each class of OSError is one line, but those of processes and pipes, which are ours."""
    error = system_error(number, str(tmp_path / "folder"))

    def run(arguments):
        raise error

    monkeypatch.setitem(module.COMMANDS, "status", _command(run))
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone
        assert main(["status"]) == 0
    elif isinstance(error, OURS):
        with pytest.raises(OSError, match=r"\[Errno") as caught:
            main(["status"])
        assert caught.value.__notes__ == [where_to_report()]
    else:
        assert main(["status"]) == (1 if number in (errno.ENOSPC, errno.EDQUOT) else 2)
        (line,) = capsys.readouterr().err.splitlines()
        assert str(tmp_path) in line or number in (errno.ENOSPC, errno.EDQUOT)
        assert "expected to read or write it, found: " in line or "no room" in line


def _command(run):
    """Return a command without arguments in the place of ``status``."""
    return type(module.COMMANDS["status"])("fail", lambda parser: None, run, ("status",))


def test_a_fault_says_where_to_report_it(monkeypatch, capsys):
    def run(arguments):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(module.COMMANDS, "status", _command(run))
    with pytest.raises(ZeroDivisionError) as caught:
        main(["status"])
    (note,) = caught.value.__notes__
    assert note.startswith("This is a fault of affectbench, and not of the call: please report it")
    urls = metadata("affectbench").get_all("Project-URL") or []
    tracker = [url for url in urls if url.startswith("Issues, ")]
    assert all(url.partition(", ")[2] in note for url in tracker)


def test_the_tracker_is_named(monkeypatch):
    about = {"Project-URL": ["Source, https://example.org/a", "Issues, https://example.org/b"]}
    found = type("Found", (), {"get_all": lambda self, name: about[name]})
    monkeypatch.setattr("benchmark.cli.mistakes.metadata", lambda name: found())
    assert where_to_report().endswith("to its developers at https://example.org/b.")


def test_messages_of_several_lines_are_one():
    mistake = as_mistake(DatasetNotFoundError("no data\n  at all"))
    assert str(mistake) == "no data at all"
    assert as_mistake(ValueError("no")) is None
    assert as_mistake(OSError("without a number")) is None
    two = as_mistake(
        system_error(errno.EACCES, "a").__class__(13, "Permission denied", "a", None, "b")
    )
    assert str(two).startswith("a to b: ")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    faults.make_place(folder)
    return folder


CASES = [
    pytest.param(case, id=f"{name}: {case.name}")
    for name in ("suite", "folders", "calls")
    for case in faults.CONTAINERS[name]()
]


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_exit_status_2(case, whole):
    kind, line = faults.try_case(case, whole)
    assert kind == ("silent" if case.silent else "message"), line
    assert "Traceback" not in line


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch, capsys, write_suite):
    """As for another user than root: every folder that a run makes is refused in turn."""
    monkeypatch.chdir(tmp_path)
    suite = str(write_suite(models=["majority"]))
    assert main(["run", suite, "--jobs-per-device", "1", "--runs", "first"]) == 0
    mkdir = os.mkdir
    for name in ("runs", "leaderboards"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)

        def refuse(path, *rest, name=name, **more):
            if name in Path(path).parts:
                raise PermissionError(13, "Permission denied", str(path))
            return mkdir(path, *rest, **more)

        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", refuse)
            capsys.readouterr()
            assert main(["run", suite, "--jobs-per-device", "1"]) == 2
            told = capsys.readouterr().err.strip().splitlines()
        assert told[-1].startswith(
            f"MachineError: {name}: expected to read or write it, found: Perm"
        )
        assert len(told) == 1
    assert len(Store(tmp_path / "runs").folders()) == 4


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"recipes": {"cnn": {"window": 1e9}}}, "window from 0.001 to 86400 seconds"),
        ({"recipes": {"cnn": {"stride": 1e-9}}}, "stride from 0.001 to 86400 seconds"),
        ({"splits": ["trial_k_fold"]}, "nothing of it applies"),
        ({"models": ["time"], "splits": ["trial_k_fold"]}, "nothing of it applies"),
    ],
    ids=repr,
)
def test_suites_that_mean_nothing(tmp_path, monkeypatch, write_suite, capsys, keys, said):
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(write_suite(**keys)), "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_a_key_twice_is_named_with_its_line(tmp_path, write_suite, capsys):
    path = write_suite()
    text = path.read_text()
    path.write_text(text + yaml.safe_dump({"models": ["lda"]}))
    assert main(["run", str(path), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert f"line {text.count(chr(10)) + 1}: expected each key once, found 'models' again" in said

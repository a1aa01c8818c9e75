"""Nothing that a store holds is believed: each value of each file is damaged, and each name."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmark.boards.board import write_leaderboards
from benchmark.cli.main import main
from benchmark.errors import BenchmarkError
from benchmark.run import Run
from benchmark.store import Store, load_run
from datamodules.errors import IncompatibleRunError
from datamodules.temporary import owned

DAMAGES = ("removed", "renamed", None, [], {}, "text", "../../../esc", float("nan"), -1, 1e300, [1])
PATHS = (
    "../../../esc",
    "/tmp/esc",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    ".hidden",
    "a\nb",
    "a\0b",
    "x" * 300,
)
PARTS: tuple[tuple[Any, ...], ...] = (
    *(("dataset",), ("task",), ("model",), ("distiller",), ("data",), ("code",), ("alone",)),
    *(("options", 0, 0), ("options", 0, 1), ("protocol", "split"), ("protocol", "rule")),
    *(("protocol", "padding"), ("protocol", "flags", 0), ("teachers", 0, "model")),
    *(("teachers", 0, "dataset"), ("teachers", 0, "task"), ("teachers", 0, "data")),
)
"""Places of all text of a run that may become part of a path."""


def places(values: object, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every key, also of those inside."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield (*above, name)
            yield from places(value, (*above, name))


def damaged(values: dict[str, Any], place: tuple[Any, ...], damage: object) -> dict[str, Any]:
    """Return values with one of them damaged."""
    new = copy.deepcopy(values)
    inner: Any = new
    for key in place[:-1]:
        inner = inner[key]
    if damage == "removed":
        del inner[place[-1]]
    elif damage == "renamed":
        inner[f"{place[-1]}_"] = inner.pop(place[-1])
    else:
        inner[place[-1]] = damage
    return new


@pytest.fixture
def folder(store: Store) -> Path:
    """Folder of one of the runs."""
    return store.folder(next(r.run for r in store.results() if r.run.model == "lda"))


def test_every_value_of_a_result(store, folder, tmp_path, caplog):
    """What is damaged is set aside by name; what is kept differs in nothing that is ranked."""
    path = folder / "result.json"
    values = json.loads(path.read_text())
    others = [result for result in store.results() if store.folder(result.run) != folder]
    whole = store.load(folder)
    counts = {"set aside": 0, "kept": 0}
    for place in places(values):
        for damage in DAMAGES:
            path.write_text(json.dumps(damaged(values, place, damage)))
            caplog.clear()
            reader = Store(store.root)
            results = list(reader.results())
            if len(results) == len(others):
                assert results == others
                assert reader.set_aside == [folder]
                (said,) = caplog.messages
                assert said.startswith(f"set aside: {path}: expected ")
                assert reader.status(whole.run) == "damaged"
                counts["set aside"] += 1
                continue
            (kept,) = [r for r in results if r not in others]
            assert kept.run == whole.run, (place, damage)
            assert kept.status == "done"
            assert place[0] in KEPT or kept == whole, (place, damage)
            counts["kept"] += 1
    assert counts["set aside"] > 3 * counts["kept"] > 100


KEPT = {
    *("chosen_with", "classes", "commit", "control", "deterministic", "device", "efficiency"),
    *("ended", "epochs", "error", "files", "labels", "notes", "raw", "seconds", "traceback"),
    *("trained_on", "versions"),
}
"""Values that this file alone holds and that are of the right type: there is nothing to compare."""


def test_boards_of_results_whose_other_values_are_damaged(store, folder, tmp_path):
    """Boards are written whatever a value is that cannot be checked."""
    path = folder / "result.json"
    values = json.loads(path.read_text())
    count = 0
    for place in [(name,) for name in KEPT] + [("seconds", "train")]:
        for damage in ("removed", [], {}, "text", 1e300, None):
            path.write_text(json.dumps(damaged(values, place, damage)))
            reader = Store(store.root)
            if len(list(reader.results())) == 24:
                assert len(write_leaderboards(reader, tmp_path / "boards")) == 1
                count += 1
    assert count > 10


def test_every_value_of_a_run(store, folder):
    """run.json is the run of its result, or is refused by name."""
    path = folder / "run.json"
    values, run = json.loads(path.read_text()), store.load(folder).run
    same = 0
    for place in places(values):
        for damage in DAMAGES:
            path.write_text(json.dumps(damaged(values, place, damage)))
            with suppress(BenchmarkError):
                read = load_run(folder)
                same += read == run
                assert read == run or read.id != run.id, (place, damage)
    assert same > 10


@pytest.mark.parametrize(
    ("place", "damage", "said"),
    [
        (("run", "protocol", "split"), "by_mood", "no split 'by_mood'"),
        (("run", "protocol", "flags"), ["read_minds"], "read_minds"),
        (("run", "protocol", "rule"), "by_mood", "no rule 'by_mood'"),
        (("run", "protocol", "mood"), 1, "no mood in Protocol"),
        (("run", "recipe", "warmup"), 1, "no warmup in ProbeRecipe"),
        (("run", "colour"), 1, "no colour in Run"),
    ],
)
def test_a_run_that_this_version_does_not_know(
    store, folder, tmp_path, capsys, caplog, place, damage, said
):
    path = folder / "result.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(damaged(values, place, damage)))
    words = ["--runs", str(store.root), "--leaderboards", str(tmp_path / "boards")]
    assert main(["leaderboard", *words]) == 1
    (line,) = caplog.messages
    assert said in line
    assert "Another version or other code wrote it" in line
    assert "Delete" not in line
    assert (tmp_path / "boards" / "runs.csv").read_text().count("\n") == 24  # and a head


def test_a_damaged_run_is_neither_done_again_nor_replaced(place, write_suite, capsys, caplog):
    suite = str(write_suite(models=["majority"]))
    assert main(["run", suite]) == 0
    path = sorted(Path("runs").glob("*/majority/1-*/result.json"))[0]
    path.write_text("{")
    files = {other: other.read_bytes() for other in path.parent.iterdir()}
    capsys.readouterr()
    assert main(["run", suite, "--retry-failed"]) == 1
    told = capsys.readouterr()
    assert "4 of them finished before, 0 to do" in told.out
    assert f"delete {path.parent} to have it done again" in told.err
    assert main(["status"]) == 1
    assert "3 done, 0 failed, 0 open, 1 damaged" in capsys.readouterr().out
    assert {other: other.read_bytes() for other in path.parent.iterdir()} == files
    shutil.rmtree(path.parent)
    assert main(["run", suite]) == 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_result_in_the_folder_of_another_run_is_set_aside(store, folder, caplog):
    """A copied result would count twice, or stand for what was never done."""
    other = next(result.run for result in store.results() if store.folder(result.run) != folder)
    shutil.copyfile(store.folder(other) / "result.json", folder / "result.json")
    assert store.status(store.load(store.folder(other)).run) == "done"
    assert len(list(store.results())) == 23
    assert store.set_aside == [folder]
    assert "expected the run that its folder is named after" in caplog.text


VALUES: dict[str, Any] = {
    "dataset": "synthetic",
    "task": "stress",
    "protocol": {"split": "subject_k_fold", "rule": "median", "flags": ["scale_on_all"]},
    "fold": 0,
    "seed": 0,
    "model": "cnn",
    "signals": ["eda"],
    "subjects": ["S1"],
    "data": "d" * 16,
    "options": [["phase", "long"]],
    "recipe": {},
    "code": "c" * 12,
    "distiller": "soft_targets",
    "alone": "a" * 12,
}
VALUES["teachers"] = [{**VALUES, "distiller": "", "teachers": []}]


def test_the_run_of_this_test_is_one():
    assert Run.from_dict(VALUES).folder.count("/") == 2
    assert all(damaged(VALUES, part, "x") != VALUES for part in PARTS)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PARTS), st.text() | st.sampled_from(PATHS))
@example(("dataset",), "../../../esc")
@example(("teachers", 0, "model"), "/tmp/esc")
def test_text_from_a_file_leads_nowhere_else(part, text):
    """Whatever a name is, a run is refused or lies three folders below its store."""
    try:
        run = Run.from_dict(damaged(VALUES, part, text))
    except (IncompatibleRunError, TypeError, ValueError):
        return
    root = Path("/store")
    for one in (run, *run.teachers):
        folder = Store(root).folder(one)
        assert folder.relative_to(root).parts == (one.board, one.name, f"0-0-{one.id}")
        assert not {".", ".."} & set(folder.parts)
        for name in (one.board, one.data, one.code):
            board = Path("/boards") / f"{name}.csv"
            assert board.parent == Path("/boards")
            assert not board.name.startswith(".") or not name
            assert board.name.isprintable()


@pytest.mark.parametrize("name", [name for name in PATHS if name])
@pytest.mark.parametrize("key", ["dataset", "task", "data"])
def test_boards_are_written_in_their_folder_alone(store, folder, tmp_path, key, name):
    path = folder / "result.json"
    values = json.loads(path.read_text())
    values["run"][key] = name
    path.write_text(json.dumps(values))
    before = {other for other in tmp_path.rglob("*") if store.root not in other.parents}
    write_leaderboards(Store(store.root), tmp_path / "boards")
    after = {other for other in tmp_path.rglob("*") if store.root not in other.parents}
    assert {other.parent for other in after - before} <= {tmp_path, tmp_path / "boards"}
    assert not Path("/tmp/esc").exists()


@pytest.mark.parametrize("text", ['["../../esc"]', "[1]", "{}1", '[["a"]]'])
def test_names_of_boards_are_checked(tmp_path, text):
    (tmp_path / "boards.json").write_text(text)
    with pytest.raises(BenchmarkError, match=r"boards\.json"):
        Store(tmp_path).boards()


def test_leftovers_of_killed_processes_go_with_the_next_call(place, write_suite):
    """A dry run changes nothing; a run removes what is a day old and nobody's."""
    suite = str(write_suite(models=["majority"]))
    assert main(["run", suite]) == 0
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (board,) = (path for path in Path("runs").glob("synthetic*") if path.is_dir())
    left = []
    for folder in (board, Path("runs"), Path("cache") / "synthetic", Path("leaderboards")):
        name = owned(".0-0-abc").replace(f"-{os.getpid()}-", f"-{ended.pid}-")
        left.append(folder / f"{name}x1")
        left[-1].mkdir()
        os.utime(left[-1], (0, 0))
    assert main(["run", suite, "--dry-run"]) == 0
    assert all(path.exists() for path in left)
    assert main(["run", suite]) == 0
    assert not any(path.exists() for path in left)
    assert len(Store(Path("runs")).folders()) == 4

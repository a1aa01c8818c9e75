"""Folders that others change while they are listed."""

import ast
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.boards.board import left_behind
from benchmark.files import matching, visible
from benchmark.plan.order import estimate
from benchmark.store import Store
from benchmark.tracking.wandb import WandbWriter

ROOT = Path(__file__).parents[2] / "benchmark"
LISTING = {"glob", "rglob", "iterdir", "scandir", "listdir", "walk"}
"""Functions that enter what vanishes, or fail over it."""
OF_OUR_OWN = {
    "files.py",  # the one place
    "plan/parse.py",  # the suites of the package
    "recordings/download.py",  # the user's own folder, before anything is fetched to it
    "recordings/unpack.py",  # a folder that this process unpacks
    "execution/checkpoint.py",  # checkpoints of the authors' code
    "tracking/tensorboard.py",  # a temporary folder of this process
}


def listings(path: Path) -> Iterator[str]:
    """Yield calls that list a folder."""
    for node in ast.walk(ast.parse(path.read_text())):
        called = node.func if isinstance(node, ast.Call) else None
        if not isinstance(called, ast.Attribute) or ast.unparse(called.value) == "ast":
            continue  # what walks over source walks over no folder
        if called.attr in LISTING:
            yield f"{path.name}:{called.lineno} {called.attr}"


def test_folders_that_others_change_are_listed_in_one_place():
    places = {path.relative_to(ROOT).as_posix(): path for path in ROOT.rglob("*.py")}
    assert set(places) >= OF_OUR_OWN
    assert list(listings(places["files.py"]))
    others = [
        call for name, path in places.items() if name not in OF_OUR_OWN for call in listings(path)
    ]
    assert others == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/lda/1", "a/cnn/0", "a/.cnn-of-here-1-x/0", ".a/cnn/0"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "result.json").touch()
    (tmp_path / "a" / "notes.json").touch()
    return tmp_path


def names(root: Path, pattern: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in matching(root, pattern)]


def test_hidden_ones_are_not_entered(tree):
    assert [path.name for path in visible(tree)] == ["a", "b"]
    assert names(tree, "*/*/*/result.json") == ["a/cnn/0/result.json", "b/lda/1/result.json"]
    assert names(tree, "*/notes.json") == ["a/notes.json"]
    assert names(tree, "a/*.json") == ["a/notes.json"]
    assert names(tree, "*/*/*/other.json") == names(tree / "nowhere", "*") == []
    assert visible(tree / "a" / "notes.json") == []


@pytest.mark.parametrize("function", ["listdir", "scandir"])
def test_what_vanishes_at_every_step_is_not_there(tree, monkeypatch, function):
    """Each folder in turn is gone just when it is listed."""
    for gone in ("", "a", "a/cnn", "b", "b/lda"):
        inner = getattr(os, function)

        def vanished(path: str, inner=inner, gone=gone):
            if Path(path) == tree / gone:
                raise FileNotFoundError(2, "No such file or directory", str(path))
            return inner(path)

        with monkeypatch.context() as patch:
            patch.setattr(os, function, vanished)
            left = names(tree, "*/*/*/result.json")
        expected = ["a/cnn/0/result.json", "b/lda/1/result.json"]
        if function == "listdir":  # pathlib's iterdir asks it
            expected = [name for name in expected if not name.startswith(gone)]
        assert left == expected


def test_an_error_that_is_not_of_vanishing_is_not_hidden(tree, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError):
        visible(tree)


def churn(folders: list[Path], stop: threading.Event) -> None:
    """Make and remove folders as a committing process does, until told to stop."""
    count = 0
    while not stop.is_set():
        count += 1
        for folder in folders:
            stage = folder / f".0-0-abc-of-here-1-{count}"
            plain = folder / f"gone{count}" / "0-0-abc"
            stage.mkdir()
            plain.mkdir(parents=True)
            (plain / "result.json").touch()
            for path in (plain / "result.json", plain, plain.parent, stage):
                path.unlink() if path.is_file() else path.rmdir()


def test_every_reader_of_a_store_while_others_commit(store, tmp_path):
    """A thread makes and removes run folders all the time; no reader sees more than is there."""
    expected = [result.run.id for result in store.results()]
    plan = [result.run for result in store.results()]
    boards = [path for path in store.root.iterdir() if path.is_dir()]
    wandb = WandbWriter("offline", "small", store.root, lambda line: None)
    stop = threading.Event()
    thread = threading.Thread(target=churn, args=([store.root, *boards], stop), daemon=True)
    thread.start()
    try:
        for _ in range(60):
            reader = Store(store.root)
            assert [result.run.id for result in reader.results()] == expected
            assert [reader.status(run) for run in plan] == ["done"] * len(plan)
            assert [path.name[-12:] for path in reader.find(expected[0])] == expected[:1]
            assert reader.conflicts() == []
            assert reader.not_applicable(plan[0].board) == {}
            assert estimate(plan, reader, 1).unknown == {}
            assert left_behind(reader, store.root, []) == []
            assert not wandb.has(plan[0])
        # a result that is cut short or empty for a moment is another process's, and is set aside
        assert all("gone" in str(folder) for folder in reader.set_aside)
    finally:
        stop.set()
        thread.join()

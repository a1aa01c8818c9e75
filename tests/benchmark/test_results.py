"""Store: nothing is half there, whenever the process dies."""

import dataclasses
import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmark.results import Store, StoreError, write_text
from benchmark.run import Result, Run

RUN = Run("synthetic", "stress", "leave_one_subject_out", 0, 0, "lda", ("eda",), ("S1",), "d" * 16)
DONE = Result(RUN, "done", {"S1": {"macro_f1": 0.25}}, {"S1": 2}, notes=("one",), epochs=(3, 2))
FAILED = Result(RUN, "failed", error="ValueError: no", traceback="Traceback: no")
PREDICTIONS = {
    "subject": np.array(["S1", "S1"]),
    "start": np.array([0.0, 60.0]),
    "label": np.array([0, 1]),
    "probabilities": np.array([[0.25, 0.75], [0.5, 0.5]]),
}
DIED = 9
EVENTS = {
    "open",
    "os.chmod",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "shutil.copyfile",
}
"""What Python reports of itself before it changes or opens a file; replacing is renaming."""


def die_before(call: int) -> None:
    """End this process just before its so-many-th call to the file system."""
    left = call

    def count() -> None:
        nonlocal left
        if left == 0:
            os._exit(DIED)
        left -= 1

    fsync = os.fsync

    def counted_fsync(descriptor: int) -> None:
        count()
        fsync(descriptor)

    os.fsync = counted_fsync
    sys.addaudithook(lambda event, arguments: count() if event in EVENTS else None)


def in_child(work: Callable[[], object]) -> int:
    """Exit status of a copy of this process that does some work: 0 if it came to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def content(store: Store) -> dict[str, bytes]:
    """Bytes of every finished file."""
    paths = (path for path in store.root.rglob("*") if path.is_file())
    return {
        path.relative_to(store.root).as_posix(): path.read_bytes()
        for path in paths
        if not path.name.startswith(".")
    }


def hidden(store: Store) -> list[str]:
    return [path.name for path in store.root.rglob(".*")]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "model.ckpt").write_bytes(bytes(range(256)) * 100)
    (folder / "log.txt").write_text("all well\n")
    return {path.name: path for path in folder.iterdir()}


def interrupted(
    tmp_path: Path, before: Result | None, save: Callable[[Store], bool]
) -> Iterator[tuple[int, Store, int]]:
    """A store in which saving died before each of its calls in turn, the last time not at all."""
    for call in range(1000):
        store = Store(tmp_path / f"died{call}")
        if before is not None:
            assert store.save(before)

        def work(store: Store = store, call: int = call) -> None:
            die_before(call)
            save(store)

        status = in_child(work)
        assert status in (0, DIED)
        yield call, store, status
        shutil.rmtree(store.root, ignore_errors=True)
        if status == 0:
            return
    raise AssertionError("saving never came to its end")


@pytest.mark.parametrize("before", [None, FAILED], ids=["new", "after a failed one"])
def test_save_survives_death_at_every_call(tmp_path, files, before):
    def save(store: Store) -> bool:
        return store.save(DONE, PREDICTIONS, files)

    undisturbed = Store(tmp_path / "undisturbed")
    if before is not None:
        undisturbed.save(before)
    assert save(undisturbed)
    expected = content(undisturbed)
    assert len(expected) == 5
    seen = set()
    for call, store, status in interrupted(tmp_path, before, save):
        found = store.status(RUN)
        seen.add(found)
        if status == 0:
            assert found == "done"
            assert call >= 5 * 4  # five files, each opened, flushed, renamed, and more
        if found == "done":
            assert content(store) == expected
        else:
            assert found in (None, before and "failed")
            assert [r.status for r in store.results()] == ([] if found is None else ["failed"])
            assert save(store) is True
            assert content(store) == expected
        assert list(store.results()) == [DONE]
        np.testing.assert_array_equal(
            store.predictions(RUN)["probabilities"], PREDICTIONS["probabilities"]
        )
    assert seen == {None, "done"} | ({"failed"} if before else set())


def test_saving_a_failure_survives_death_at_every_call(tmp_path, files):
    log = {"log.txt": files["log.txt"]}
    for _, store, _ in interrupted(tmp_path, None, lambda s: s.save(FAILED, None, log)):
        if store.status(RUN) is not None:
            assert list(store.results()) == [FAILED]
            assert (store.folder(RUN) / "log.txt").read_text() == "all well\n"


def test_result_comes_last(tmp_path, files, monkeypatch):
    there = []
    link = os.link

    def seen(source, target, **options):
        there.extend(p.name for p in Path(target).parent.iterdir() if p.name[0] != ".")
        link(source, target, **options)

    monkeypatch.setattr(os, "link", seen)
    Store(tmp_path).save(DONE, PREDICTIONS, files)
    assert sorted(there) == ["log.txt", "model.ckpt", "predictions.npz", "run.json"]


def test_every_file_is_flushed_before_it_has_its_name(tmp_path, files, monkeypatch):
    flushed: set[int] = set()
    named: list[tuple[str, bool]] = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def seen_fsync(descriptor):
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def seen_name(do):
        def act(source, target, **options):
            named.append((Path(target).name, Path(source).stat().st_ino in flushed))
            do(source, target, **options)

        return act

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_name(replace))
    monkeypatch.setattr(os, "link", seen_name(link))
    Store(tmp_path).save(DONE, PREDICTIONS, files)
    assert len(named) == 5
    assert [name for name, was in named if not was] == []


def test_done_is_never_replaced(tmp_path, files):
    store = Store(tmp_path / "runs")
    assert store.save(DONE, PREDICTIONS, files) is True
    before = content(store)
    assert store.save(dataclasses.replace(DONE, parameters=5), {}, {}) is False
    assert store.save(FAILED) is False
    assert content(store) == before


def test_failed_is_replaced(tmp_path):
    store = Store(tmp_path)
    assert store.save(FAILED) is True
    assert store.status(RUN) == "failed"
    other = dataclasses.replace(FAILED, error="ValueError: again")
    assert store.save(other) is True
    assert list(store.results()) == [other]
    assert store.save(DONE) is True
    assert list(store.results()) == [DONE]
    assert hidden(store) == []


def test_of_two_at_once_the_first_wins(tmp_path, monkeypatch):
    store = Store(tmp_path)
    link = os.link

    def beaten(source, target, **options):
        monkeypatch.setattr(os, "link", link)
        assert Store(tmp_path).save(DONE)
        link(source, target, **options)

    monkeypatch.setattr(os, "link", beaten)
    assert store.save(dataclasses.replace(DONE, parameters=5)) is False
    assert list(store.results()) == [DONE]
    assert hidden(store) == []


def test_full_disk_leaves_nothing_half(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.save(DONE, PREDICTIONS)
    assert store.status(RUN) is None
    assert content(store) == {}
    assert hidden(store) == []
    assert store.save(DONE, PREDICTIONS)


def test_predictions_round_trip(tmp_path):
    store = Store(tmp_path)
    store.save(DONE, PREDICTIONS)
    found = store.predictions(RUN)
    assert list(found) == list(PREDICTIONS)
    for name, column in PREDICTIONS.items():
        np.testing.assert_array_equal(found[name], column)
        assert found[name].dtype == column.dtype


def test_predictions_hold_no_objects(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle"):
        store.save(DONE, {"subject": np.array([object()])})
    assert store.status(RUN) is None


def test_status_of_what_has_not_happened(tmp_path):
    assert Store(tmp_path / "nowhere").status(RUN) is None
    assert list(Store(tmp_path / "nowhere").results()) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"status": "done"}', "\udcff\udcfe"], ids=repr
)
def test_broken_result_is_named(tmp_path, text):
    store = Store(tmp_path)
    store.save(DONE)
    path = store.folder(RUN) / "result.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(StoreError, match="Delete its folder") as caught:
        list(store.results())
    assert str(path) in str(caught.value)
    if text != '{"status": "done"}':
        with pytest.raises(StoreError, match="Delete its folder"):
            store.status(RUN)


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[{}]", '[{"dataset": "wesad", "colour": 1}]'])
def test_broken_plan_is_named(tmp_path, text):
    store = Store(tmp_path)
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(StoreError, match=r"plan\.json"):
        store.plan()


def test_broken_notes_and_reasons_are_named(tmp_path):
    store = Store(tmp_path)
    store.note_cells({"board": []}, {"board/motion": "no acc"})
    for path, read in (
        (tmp_path / "board" / "notes.json", store.notes),
        (tmp_path / "board" / "motion" / "not_applicable.json", store.not_applicable),
    ):
        path.write_text("{")
        with pytest.raises(StoreError, match="Delete it") as caught:
            read("board")
        assert str(path) in str(caught.value)


def test_plan_round_trip(tmp_path):
    store = Store(tmp_path)
    assert store.plan() == []
    runs = [RUN, dataclasses.replace(RUN, fold=1, options=(("phase", 60.0),))]
    store.save_plan(runs)
    assert store.plan() == runs


def test_cells_round_trip(tmp_path):
    store = Store(tmp_path)
    store.note_cells({"board": ["left out: S9: no file"]}, {"board/motion": "no acc"})
    assert store.notes("board") == ["left out: S9: no file"]
    assert store.not_applicable("board") == {"motion": "no acc"}
    assert store.notes("other") == []
    assert store.not_applicable("other") == {}
    assert list(store.results()) == []


def test_write_text_survives_death_at_every_call(tmp_path):
    path = tmp_path / "board.csv"
    path.write_text("old")
    for call in range(100):

        def work(call: int = call) -> None:
            die_before(call)
            write_text(path, "new")

        if in_child(work) == 0:
            break
        assert path.read_text() in ("old", "new")
    assert path.read_text() == "new"
    assert call >= 3


def test_finished_files_can_be_read_by_others(tmp_path, files):
    store = Store(tmp_path / "runs")
    store.save(DONE, PREDICTIONS, files)
    modes = {p.name: p.stat().st_mode & 0o777 for p in store.folder(RUN).iterdir()}
    assert set(modes.values()) == {0o644}

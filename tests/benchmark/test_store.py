"""Store: nothing is half there, whenever the process dies."""

import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.files import DiskFullError
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import (
    BROKEN,
    DamagedError,
    Store,
    StoreError,
    check_committed,
    load_run,
    parsed,
)
from datamodules.protocol import Protocol
from tests.benchmark.made_up import as_schema_1

RUN = Run("synthetic", "stress", Protocol(), 0, 0, "lda", ("eda",), ("S1",), "d" * 16)
DONE = Result(RUN, "done", notes=("one",), epochs=(3, 2))
FAILED = Result(RUN, "failed", error="ValueError: no", traceback="Traceback: no")
PREDICTIONS = {
    "subject": np.array(["S1", "S1"]),
    "start": np.array([0.0, 60.0]),
    "label": np.array([0, 1]),
    "probabilities": np.array([[0.25, 0.75], [0.5, 0.5]]),
}
OTHERS = {**PREDICTIONS, "probabilities": np.array([[0.5, 0.5], [0.25, 0.75]])}
"""What another process found for the same run."""
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


interruptions = [0]


def interrupt_before(call: int, work: Callable[[], object]) -> None:
    """Do some work just before this process's so-many-th call to the file system."""
    left = call

    def count() -> None:
        nonlocal left
        left -= 1
        if left == -1:
            interruptions[0] = 1
            work()

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
        if not any(part.startswith(".") for part in path.relative_to(store.root).parts)
    }


def kept(store: Store) -> list[Result]:
    """Results as they were given; the store adds the digests of the files."""
    results = list(store.results())
    for result in results:
        folder = store.folder(result.run)
        names = {path.name for path in folder.iterdir() if "conflict" not in path.name}
        assert set(result.files) == names - {"result.json"}
        for name, digest in result.files.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    return [dataclasses.replace(result, files={}) for result in results]


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
            assert call >= 5 * 2  # five files, each opened and flushed, and more
        if found == "done":
            assert content(store) == expected
        else:
            assert found in (None, before and "failed")
            assert [r.status for r in store.results()] == ([] if found is None else ["failed"])
            assert save(store) is True
            assert content(store) == expected
        assert kept(store) == [DONE]
        np.testing.assert_array_equal(
            store.predictions(RUN)["probabilities"], PREDICTIONS["probabilities"]
        )
    assert seen == {None, "done"} | ({"failed"} if before else set())


def test_saving_a_failure_survives_death_at_every_call(tmp_path, files):
    log = {"log.txt": files["log.txt"]}
    for _, store, _ in interrupted(tmp_path, None, lambda s: s.save(FAILED, None, log)):
        if store.status(RUN) is not None:
            assert kept(store) == [FAILED]
            assert (store.folder(RUN) / "log.txt").read_text() == "all well\n"


def test_all_files_are_flushed_before_the_run_has_them(tmp_path, files, monkeypatch):
    flushed: list[str] = []
    installed: list[list[str]] = []
    fsync, rename = os.fsync, os.rename

    def seen_fsync(descriptor):
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def seen_rename(source, target, **options):
        installed.append(sorted(path.name for path in Path(source).iterdir()))
        assert set(installed[-1]) <= set(flushed)
        assert flushed[-1] == Path(source).name
        rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    store = Store(tmp_path / "runs")
    store.save(DONE, PREDICTIONS, files)
    names = ["log.txt", "model.ckpt", "predictions.npz", "result.json", "run.json"]
    assert installed == [names]
    assert [name for name in flushed if name in names][-1] == "result.json"
    assert flushed[-1] == store.folder(RUN).parent.name


def test_done_is_never_replaced(tmp_path, files):
    store = Store(tmp_path / "runs")
    assert store.save(DONE, PREDICTIONS, files) is True
    before = content(store)
    assert store.save(dataclasses.replace(DONE, parameters=5), PREDICTIONS, {}) is False
    assert store.save(FAILED) is False
    assert content(store) == before


def test_failed_is_replaced(tmp_path):
    store = Store(tmp_path)
    assert store.save(FAILED) is True
    assert store.status(RUN) == "failed"
    other = dataclasses.replace(FAILED, error="ValueError: again")
    assert store.save(other) is True
    assert kept(store) == [other]
    assert store.save(DONE) is True
    assert kept(store) == [DONE]
    assert hidden(store) == []


def test_equal_second_is_ignored(tmp_path):
    store = Store(tmp_path)
    assert store.save(DONE, PREDICTIONS)
    slower = dataclasses.replace(
        DONE, seconds={"train": 9.0}, device="other", versions={"torch": "0"}, commit="c"
    )
    assert store.save(slower, PREDICTIONS) is False
    assert kept(store) == [DONE]
    assert store.conflicts() == []


@pytest.mark.parametrize("name", list(PREDICTIONS))
def test_different_second_is_kept_as_evidence(tmp_path, files, name):
    store = Store(tmp_path / "runs")
    assert store.save(DONE, PREDICTIONS, files)
    before = content(store)
    slower = dataclasses.replace(DONE, device="other")
    others = {**PREDICTIONS, name: PREDICTIONS[name][::-1].copy()}
    if name == "subject":
        others = {**PREDICTIONS, name: np.array(["S1", "S2"])}
    for _ in range(2):
        assert store.save(slower, others, {}) is False
    (path,) = store.conflicts()
    assert Result.from_dict(json.loads(path.read_text())) == slower
    with np.load(path.with_suffix(".npz")) as file:
        np.testing.assert_array_equal(file[name], others[name])
    assert {k: v for k, v in content(store).items() if "conflict" not in k} == before
    assert kept(store) == [DONE]


def test_equal_predictions_in_another_file_are_no_conflict(tmp_path):
    store = Store(tmp_path)
    assert store.save(DONE, PREDICTIONS)
    np.savez_compressed(store.folder(RUN) / "predictions.npz", **PREDICTIONS)
    assert store.save(DONE, PREDICTIONS) is False
    assert store.conflicts() == []


def test_conflict_survives_death_at_every_call(tmp_path, files):
    saved = Store(tmp_path / "saved")
    assert saved.save(DONE, PREDICTIONS)
    for call in range(1000):
        store = Store(tmp_path / f"died{call}")
        shutil.copytree(saved.root, store.root)

        def work(store: Store = store, call: int = call) -> None:
            die_before(call)
            store.save(DONE, OTHERS, files)

        status = in_child(work)
        assert status in (0, DIED)
        assert kept(store) == [DONE]
        assert not (store.folder(RUN) / "model.ckpt").exists()
        for path in store.conflicts():
            assert Result.from_dict(json.loads(path.read_text())) == DONE
            with np.load(path.with_suffix(".npz")) as file:
                np.testing.assert_array_equal(file["probabilities"], OTHERS["probabilities"])
        if status == 0:
            break
    assert call > 6
    assert len(store.conflicts()) == 1


@pytest.mark.parametrize("before", [None, FAILED], ids=["new", "after a failed one"])
def test_files_of_two_committers_never_mix(tmp_path, before):
    """Another process commits as a whole before each call of this one in turn."""
    sides = {}
    for name in ("ours", "theirs"):
        sides[name] = tmp_path / name / "model.ckpt"
        sides[name].parent.mkdir()
        sides[name].write_text(name)
    whole = {}
    for name, columns in (("ours", PREDICTIONS), ("theirs", OTHERS)):
        store = Store(tmp_path / f"{name} alone")
        store.save(DONE, columns, {"model.ckpt": sides[name]})
        whole[name] = content(store)
    winners = []
    for call in range(1000):
        store = Store(tmp_path / f"at{call}")
        if before is not None:
            store.save(before)

        def theirs(store: Store = store) -> bool:
            return store.save(DONE, OTHERS, {"model.ckpt": sides["theirs"]})

        def ours(store: Store = store, call: int = call, theirs: Any = theirs) -> int:
            interrupt_before(call, theirs)
            store.save(DONE, PREDICTIONS, {"model.ckpt": sides["ours"]})
            os._exit(interruptions[0])

        reached = in_child(ours)
        assert reached in (0, 1)
        if not reached:
            break
        assert len(store.conflicts()) == 1
        found = {k: v for k, v in content(store).items() if "conflict" not in k}
        winners.append("ours" if found == whole["ours"] else "theirs")
        assert found == whole[winners[-1]]
        assert hidden(store) == []
    assert set(winners) == {"ours", "theirs"}


def test_full_disk_leaves_nothing_half(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError, match="no room to write"):
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


@pytest.mark.parametrize("name", ["predictions.npz", "model.ckpt", "log.txt"])
def test_a_file_that_is_not_the_one_committed_is_refused(tmp_path, files, name):
    store = Store(tmp_path / "runs")
    store.save(DONE, PREDICTIONS, files)
    folder, result = store.folder(RUN), store.result(RUN)
    good = (folder / name).read_bytes()
    assert store.read(folder, result, name) == good
    check_committed(folder / name)
    (folder / name).write_bytes(good[:-1])
    said = r"expected the file that was committed \(SHA-256 [0-9a-f]{12}\.\.\.\), found another"
    with pytest.raises(DamagedError, match=said) as caught:
        store.read(folder, result, name)
    assert str(folder / name) in str(caught.value)
    with pytest.raises(DamagedError, match=said):
        check_committed(folder / name)
    (folder / name).unlink()
    with pytest.raises(DamagedError, match="found none"):
        store.read(folder, result, name)


def test_a_file_of_schema_1_is_believed(tmp_path, files):
    store = Store(tmp_path / "runs")
    store.save(DONE, PREDICTIONS, files)
    folder = store.folder(RUN)
    values = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(as_schema_1(values)))
    (folder / "model.ckpt").write_bytes(b"others")
    assert store.read(folder, store.result(RUN), "model.ckpt") == b"others"
    (folder / "predictions.npz").write_bytes(b"no zip")
    with pytest.raises(DamagedError, match="expected predictions, found otherwise"):
        store.predictions(RUN)


def test_a_file_away_from_its_result_is_not_checked(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"anything")
    check_committed(tmp_path / "model.ckpt")


def test_predictions_hold_no_objects(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle"):
        store.save(DONE, {"subject": np.array([object()])})
    assert store.status(RUN) is None


def test_status_of_what_has_not_happened(tmp_path):
    assert Store(tmp_path / "nowhere").status(RUN) is None
    assert list(Store(tmp_path / "nowhere").results()) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", "[" * 10**5, "9" * 6000, '{"status": "done"}', "\udcff\udcfe"],
    ids=lambda text: repr(text[:20]),
)
def test_broken_result_is_named_and_set_aside(tmp_path, text, caplog):
    store, other = Store(tmp_path), dataclasses.replace(DONE, run=dataclasses.replace(RUN, seed=1))
    store.save(DONE)
    store.save(other)
    path = store.folder(RUN) / "result.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert kept(store) == [other]
    assert store.status(RUN) == "damaged"
    assert store.status(other.run) == "done"
    assert store.set_aside == [path.parent]
    (said,) = caplog.messages  # once, however often it is met
    assert said.startswith(f"set aside: {path}: ")
    assert said.endswith("Delete its folder to have the run computed again.")
    before = content(store)
    with pytest.raises(StoreError, match="Delete its folder"):
        store.save(DONE)
    assert content(store) == before


@pytest.mark.parametrize(
    "changes",
    [{"protocol": {"split": "by_mood"}}, {"protocol": None}, {"recipe": {"depth": 3}}],
    ids=str,
)
def test_result_of_a_run_that_cannot_be_is_named(tmp_path, changes):
    store = Store(tmp_path)
    store.save(DONE)
    for path, read in (
        (store.folder(RUN) / "run.json", load_run),
        (store.folder(RUN) / "result.json", store.load),
    ):
        values = json.loads(path.read_text())
        run = values.get("run", values)
        run |= changes
        path.write_text(json.dumps(values))
        with pytest.raises(StoreError, match=path.name):
            read(path.parent)


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


def test_finished_files_can_be_read_by_others(tmp_path, files):
    store = Store(tmp_path / "runs")
    store.save(DONE, PREDICTIONS, files)
    modes = {p.name: p.stat().st_mode & 0o777 for p in store.folder(RUN).iterdir()}
    assert set(modes.values()) == {0o644}


CLASSES = sorted(errno.errorcode)
"""Numbers of all errors of the system."""


def refuse_at(call: int, number: int) -> list[int]:
    """Raise an error of the system at one of this process's calls to the file system, once."""
    left = [call]

    def count() -> None:
        left[0] -= 1
        if left[0] == -1:
            raise OSError(number, os.strerror(number), "/planted")

    fsync = os.fsync

    def counted_fsync(descriptor: int) -> None:
        count()
        fsync(descriptor)

    os.fsync = counted_fsync
    sys.addaudithook(lambda event, arguments: count() if event in EVENTS else None)
    return left


@pytest.mark.parametrize("before", [None, FAILED], ids=["new", "after a failed one"])
def test_an_error_at_every_call_leaves_nothing_half(tmp_path, files, before):
    """Each class of error at each call, class by class in turn: what is kept is whole."""
    expected = Store(tmp_path / "undisturbed")
    expected.save(DONE, PREDICTIONS, files)
    numbers = [number for number in CLASSES if number not in (errno.EEXIST, errno.ENOTEMPTY)]
    raised, call = set(), 0
    for call in range(200):
        number = numbers[(call + (70 if before else 0)) % len(numbers)]
        store = Store(tmp_path / "at" / f"{call}-{number}")
        if before is not None:
            store.save(before)

        def work(store: Store = store, call: int = call, number: int = number) -> None:
            left = refuse_at(call, number)
            try:
                store.save(DONE, PREDICTIONS, files)
            except DiskFullError:
                os._exit(3 if number in (errno.ENOSPC, errno.EDQUOT) else 4)
            except OSError as error:
                os._exit(3 if error.errno == number else 4)
            except StoreError as error:  # the look at what is there already
                os._exit(3 if os.strerror(number) in str(error) else 4)
            os._exit(0 if left[0] < 0 else 5)

        status = in_child(work)
        assert status in (0, 3, 5), (call, errno.errorcode[number])
        raised |= {number} if status == 3 else set()
        found = store.status(RUN)
        assert found in ("done", None, "failed" if before else None)
        assert status == 3 or found == "done"
        if found == "done":
            assert content(store) == content(expected)
        assert store.save(DONE, PREDICTIONS, files) is (found != "done")
        assert kept(store) == [DONE]
        shutil.rmtree(store.root)
        if status == 5:
            break
    assert status == 5
    assert call > 10
    assert len(raised) > 10


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def test_predictions_are_read_as_numpy_reads_them(tmp_path):
    columns = {
        "texts": np.array(["a", "ünïcode"]),
        "numbers": np.arange(6.0).reshape(2, 3),
        "turned": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        "none": np.empty((0, 2), dtype=np.float32),
        "one": np.array(7),
    }
    file = io.BytesIO()
    np.savez(file, **columns)
    ours = parsed(file.getvalue(), tmp_path)
    with np.load(io.BytesIO(file.getvalue())) as theirs:
        assert list(ours) == list(theirs)
        for name, column in ours.items():
            np.testing.assert_array_equal(column, theirs[name])
            assert column.dtype == theirs[name].dtype


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_predictions_are_read_however_they_are_packed(tmp_path, kind):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr("label.npy", npy(np.arange(100)))
        archive.writestr("start.npy", npy(np.arange(3.0)))
    for before in (b"", b"something else"):
        columns = parsed(before + file.getvalue(), tmp_path)
        np.testing.assert_array_equal(columns["label"], np.arange(100))
        np.testing.assert_array_equal(columns["start"], np.arange(3.0))


def test_every_bit_of_an_archive_counts(tmp_path):
    """What is read of a changed archive is what zipfile reads of it."""
    content = zipped(label=npy(np.arange(2)))
    read = 0
    for place, bit in product(range(len(content)), (1, 32)):
        changed = bytearray(content)
        changed[place] ^= bit
        try:
            with zipfile.ZipFile(io.BytesIO(changed)) as archive:
                theirs = [archive.read(name) for name in archive.namelist()]
        except (*BROKEN, ValueError, OSError, EOFError, KeyError):
            theirs = None
        try:
            ours = list(parsed(bytes(changed), tmp_path).values())
        except DamagedError:
            ours = None
        same = [npy(column) for column in ours] if ours is not None else None
        assert same == theirs, (place, bit)
        read += ours is not None
    assert read > 10  # times, versions and comments say nothing of what is in it


@pytest.mark.parametrize(
    "content",
    [
        npy(np.array([{}], dtype=object), allow_pickle=True),
        npy(np.arange(3))[:-1],
        npy(np.arange(3)) + b" ",
        npy(np.arange(3), version=(2, 0)),
        npy(np.arange(3)).replace(b"(3,), } ", b"(-3,), }"),
        npy(np.arange(3)).replace(b"(3,)", b"(3, "),
        npy(np.arange(3))[:9],
        b"",
    ],
)
def test_a_column_that_is_not_as_its_header_says(tmp_path, content):
    with pytest.raises(DamagedError, match="predictions"):
        parsed(zipped(label=content), tmp_path)

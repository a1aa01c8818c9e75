"""Numbers that are kept between calls: asked for once, not believed where anything has changed."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.boards import computed as module
from benchmark.boards import decisions, power
from benchmark.boards.board import write_leaderboards
from benchmark.boards.computed import CACHE, Computed
from benchmark.boards.scores import Cache
from benchmark.store import Store
from tests.benchmark.boards.test_paired import made_up, results
from tests.benchmark.made_up import stored

SHIFTS = {"cnn": 0.1, "lstm": 0.05, "lda": 0.0, "random_forest": -0.05, "majority": -0.3}
SCORES = np.array([[0.5, 0.25], [1.0, 0.75]])


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """Names of the computations that boards had done."""
    names: list[str] = []
    for where, name in ((decisions, "step_down"), (decisions, "compare"), (power, "found_by")):
        original = getattr(where, name)

        def counted(*given, original=original, name=name):
            names.append(name)
            return original(*given)

        monkeypatch.setattr(where, name, counted)
    return names


def written(store: Store, folder: Path) -> dict[str, bytes]:
    """Return the leaderboards of a store, by name of the file."""
    write_leaderboards(store, folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def filled(folder: Path, **more: float) -> Store:
    rng = np.random.default_rng(3)
    return stored(folder, results(made_up(rng, SHIFTS | more)))


def never() -> list[float]:
    raise AssertionError("expected what was kept")


def test_numbers_come_back_to_the_last_digit(tmp_path):
    numbers = [0.1 + 0.2, 1 / 3, np.inf, 1e-300]
    first = Computed(tmp_path)
    assert first.values("a", SCORES, lambda: numbers) == numbers
    assert first.values("a", SCORES, never) == numbers
    first.write()
    assert Computed(tmp_path).values("a", SCORES, never) == numbers


@pytest.mark.parametrize(
    ("name", "scores"), [("b", SCORES), ("a", SCORES + 1e-16), ("a", SCORES.reshape(1, 4))]
)
def test_numbers_of_anything_else_are_computed(tmp_path, name, scores):
    first = Computed(tmp_path)
    first.values("a", SCORES, lambda: [1.0])
    first.write()
    assert Computed(tmp_path).values(name, scores, lambda: [2.0]) == [2.0]


def test_without_a_store_nothing_is_read_or_written():
    computed = Computed()
    assert computed.values("a", SCORES, lambda: [1.0]) == [1.0]
    computed.write()


def test_boards_compute_once_and_write_the_same(tmp_path, calls):
    store = filled(tmp_path / "runs")
    first = written(store, tmp_path / "first")
    assert calls.count("step_down") == calls.count("found_by") == 1
    assert "compare" in calls
    path = store.root / CACHE
    before = path.stat().st_mtime_ns
    calls.clear()
    assert written(store, tmp_path / "second") == first
    assert calls == []
    assert path.stat().st_mtime_ns == before
    path.unlink()
    assert written(store, tmp_path / "third") == first
    assert "step_down" in calls


def test_a_row_more_is_computed_and_what_is_of_no_use_is_dropped(tmp_path, calls):
    store = filled(tmp_path / "runs")
    written(store, tmp_path / "first")
    before = Cache.from_text((store.root / CACHE).read_text()).entries
    calls.clear()
    rng = np.random.default_rng(5)
    stored(store.root, results(made_up(rng, {"dnn": 0.2})))
    ours = written(store, tmp_path / "second")
    assert calls.count("step_down") == calls.count("found_by") == 1
    after = Cache.from_text((store.root / CACHE).read_text()).entries
    assert before.keys() - after.keys()
    (store.root / CACHE).unlink()
    assert written(store, tmp_path / "third") == ours
    assert Cache.from_text((store.root / CACHE).read_text()).entries == after


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"values": [0', '"values": [1', 1),
        lambda text: "[]",
        lambda text: "\udcff",
    ],
)
def test_a_spoilt_cache_is_not_believed(tmp_path, calls, spoil):
    store = filled(tmp_path / "runs")
    first = written(store, tmp_path / "first")
    path = store.root / CACHE
    good = path.read_text()
    path.write_text(spoil(good), errors="surrogateescape")
    assert path.read_bytes() != good.encode()
    calls.clear()
    assert written(store, tmp_path / "second") == first
    assert calls.count("step_down") == 1
    assert path.read_text() == good


@pytest.mark.parametrize("what", ["code", "numpy"])
def test_numbers_of_other_code_are_computed_anew(tmp_path, calls, monkeypatch, what):
    store = filled(tmp_path / "runs")
    first = written(store, tmp_path / "first")
    calls.clear()
    if what == "code":
        monkeypatch.setattr(module, "code_digest", lambda *_: "other")
    else:
        monkeypatch.setattr(module.np, "__version__", "0")
    assert written(store, tmp_path / "second") == first
    assert calls.count("step_down") == 1


def test_boards_need_no_cache_to_be_written(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(module, "write_text", refuse)
    store = filled(tmp_path / "runs")
    assert written(store, tmp_path / "boards")
    assert not (store.root / CACHE).exists()

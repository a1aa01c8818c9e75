"""Stopwatch, the parts of a run, and the table over runs."""

import json
import time

import pytest

from benchmark.execution.execute import execute
from benchmark.execution.profile import PROFILE, Stopwatch, part_of, summary
from benchmark.store import Store


def test_a_part_does_not_count_what_is_inside_it(monkeypatch):
    times = iter([0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    watch = Stopwatch()
    with watch.profile("outer"):  # from 0
        with watch.profile("inner"):  # from 1
            pass  # to 3
        with watch.profile("[Strategy]SingleDeviceStrategy.backward"):  # from 7
            pass  # to 15
    assert watch.seconds == {"outer": 1 + 4 + 16, "inner": 2, "backward": 8}
    assert list(json.loads(watch.as_text())) == ["outer", "backward", "inner"]


def test_calls_of_an_object_are_counted_and_still_answer(monkeypatch):
    times = iter([0.0, 5.0, 5.0, 6.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))

    class Logger:
        def save(self, number: int) -> int:
            return number + 1

    watch, logger = Stopwatch(), Logger()
    watch.count(logger, "logging", "save")
    assert [logger.save(3), logger.save(4)] == [4, 5]
    assert watch.seconds == {"logging": 6.0}


@pytest.mark.parametrize(
    ("action", "part"),
    [
        ("[_TrainingEpochLoop].train_dataloader_next", "gathering"),
        ("[LightningModule]CNN.optimizer_step", "optimizer"),
        ("[LightningModule]CNN.on_train_batch_start", "trainer"),
        ("run_training_epoch", "trainer"),
        ("store", "store"),
    ],
)
def test_names_of_lightning_become_parts(action, part):
    assert part_of(action) == part


def test_a_run_says_where_its_time_went(workshop, tmp_path):
    cnn, lda = (run for run in workshop.plan(["cnn", "lda"]) if run.fold == 0)
    started = time.perf_counter()
    for run in (cnn, lda):
        assert execute(run, workshop.places(tmp_path, profile=True)).status == "done"
    elapsed = time.perf_counter() - started
    store = Store(tmp_path)
    parts = [json.loads((store.folder(run) / PROFILE).read_text()) for run in (cnn, lda)]
    steps = {"gathering", "forward", "backward", "optimizer", "validation", "metrics"}
    assert {*steps, "logging", "setup", "predicting", "store"} <= set(parts[0])
    assert {"probe", "store"} <= set(parts[1])
    assert sum(sum(own.values()) for own in parts) <= elapsed
    table = summary(store, [cnn, lda], 100.0)
    assert table.splitlines()[0] == "where the time of 2 run(s) went"
    assert "100.00 s" in table.splitlines()[1]
    assert "reading and preprocessing" in table.splitlines()[1]


def test_unless_asked_there_is_no_profile(workshop, tmp_path):
    (run, *_) = workshop.plan(["cnn"])
    execute(run, workshop.places(tmp_path))
    assert not (Store(tmp_path).folder(run) / PROFILE).exists()
    assert "0 run(s)" in summary(Store(tmp_path), [run], 1.0)

"""Contract of every engine, and of one without workers that shows what a new engine must do."""

import importlib.util
import time

import pytest
import torch

from benchmark.engines.catalogue import ENGINES, make_engine
from benchmark.engines.engine import EngineError, Terms
from benchmark.engines.local import LocalEngine
from benchmark.engines.placement import Placement
from benchmark.engines.server import THREADS
from benchmark.plan.suite import Distillation
from benchmark.store import Store

needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs the extra ray")


@pytest.fixture(
    scope="module",
    params=["in process", *(pytest.param(n, marks=[needs_ray] * (n == "ray")) for n in ENGINES)],
)
def engine(request, in_process):
    if request.param == "in process":
        made = in_process()
    else:
        made = make_engine(
            request.param, Placement("cpu", jobs=2 if request.param == "local" else 1)
        )
    with made as entered:
        assert entered is made
        yield made


@pytest.fixture
def events():
    return []


def test_every_result_is_committed_and_every_end_reported_once(engine, workshop, tmp_path, events):
    runs = workshop.plan(["majority", "lda"])
    assert engine.run_all(runs, workshop.places(tmp_path), events.append, Terms()) == []
    assert {Store(tmp_path).status(run) for run in runs} == {"done"}
    assert sorted(event.run.id for event in events) == sorted(run.id for run in runs)
    assert {event.status for event in events} == {"done"}
    for event in events:
        assert event.error == ""
        assert event.score is not None


def test_students_wait_for_their_teachers(engine, workshop, tmp_path, events):
    pair = Distillation("soft_targets", "dnn", "lstm", ("eda",), ("temp",))
    recipes = {name: {"max_epochs": 1} for name in ("dnn", "lstm")}
    student = next(
        run for run in workshop.plan([], distillations=(pair,), recipes=recipes) if run.distiller
    )
    runs = [student, *student.teachers]
    engine.run_all(runs, workshop.places(tmp_path), events.append, Terms())
    assert [event.status for event in events] == ["done", "done"], [e.error for e in events]
    assert events[-1].run == student


def test_a_failure_is_a_result_and_no_end(engine, workshop, tmp_path, events):
    diverges = workshop.plan(["cnn"], recipes={"cnn": {"lr": 1e30, "stride": 30.0}})[0]
    healthy = workshop.plan(["majority"])[0]
    engine.run_all([diverges, healthy], workshop.places(tmp_path), events.append, Terms())
    assert {event.run: event.status for event in events} == {diverges: "failed", healthy: "done"}
    assert "training diverged" in Store(tmp_path).result(diverges).error


def test_nothing_is_started_after_the_end(engine, workshop, tmp_path, events):
    runs = list(workshop.plan(["majority"]))
    terms = Terms(end=time.monotonic() - 1)
    assert engine.run_all(runs, workshop.places(tmp_path), events.append, terms) == runs
    assert events == []
    assert list(Store(tmp_path).results()) == []


def test_a_run_that_is_done_meanwhile_is_reported_and_not_done_again(
    engine, workshop, finished, tmp_path, events
):
    result = next(finished.results())
    Store(tmp_path).save(result)
    engine.run_all([result.run], workshop.places(tmp_path), events.append, Terms())
    assert [(event.run, event.status) for event in events] == [(result.run, "done")]


def test_workers_are_counted_and_watched(engine, workshop, tmp_path, events):
    runs = workshop.plan(["majority"])
    counts, seen = [], []
    terms = Terms(workers=counts.append, watch=lambda *words: seen.append(words))
    engine.run_all(runs, workshop.places(tmp_path), events.append, terms)
    assert counts == [min(len(engine.slots), len(runs))]
    assert {run for _, _, run in seen} == {*runs, None}
    assert {number for number, _, _ in seen} <= set(range(len(engine.slots)))
    last = {number: run for number, _, run in seen}
    assert set(last.values()) == {None}


def test_runs_are_done_with_the_threads_of_a_worker(engine, workshop, tmp_path, events):
    run = workshop.plan(["majority"])[0]
    torch.set_num_threads(THREADS + 1)
    try:
        engine.run_all([run], workshop.places(tmp_path), events.append, Terms())
    finally:
        torch.set_num_threads(THREADS)
    assert Store(tmp_path).result(run).threads == THREADS


def test_durations_are_learned(engine, workshop, tmp_path, events):
    terms = Terms()
    run = workshop.plan(["majority"])[0]
    assert terms.costs.seconds(run) is None
    engine.run_all([run], workshop.places(tmp_path), events.append, terms)
    assert terms.costs.seconds(run) == pytest.approx(events[0].seconds)


def test_nothing_to_do(engine, workshop, tmp_path, events):
    assert engine.run_all([], workshop.places(tmp_path), events.append, Terms()) == []
    assert events == []


def test_an_engine_is_chosen_by_name_and_placement():
    engine = make_engine("local", Placement("cpu", jobs=3))
    assert isinstance(engine, LocalEngine)
    assert list(engine.slots) == ["cpu"] * 3
    with pytest.raises(EngineError, match="--ray-address is for --engine ray"):
        make_engine("local", Placement(address="head:6379"))
    with pytest.raises(EngineError, match="no --devices-per-run"):
        make_engine("ray", Placement(per_run=2))

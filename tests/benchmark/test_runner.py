"""Workers that die at the worst moments; test_end_to_end.py has the ordinary ones."""

import multiprocessing
import os
import signal

import pytest

from benchmark import runner
from benchmark.results import Store
from benchmark.runner import Finished, run_all, start_server


@pytest.fixture
def worker(workshop, tmp_path):
    context = start_server()
    alive, lifeline = context.Pipe(duplex=False)
    started = runner._start(context, "cpu", workshop.places(tmp_path), alive)
    yield started
    lifeline.close()
    started.connection.close()
    started.process.kill()
    started.process.join()


def test_worker_that_dies_before_it_reads_what_it_was_sent(worker, workshop):
    os.kill(worker.process.pid, signal.SIGSTOP)
    worker.run = workshop.plan(["majority"])[0]
    runner._send(worker)
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.join()
    assert worker.connection.poll()
    assert runner._received_from(worker) is None


def test_worker_that_dies_idle(worker, workshop):
    worker.process.kill()
    worker.process.join()
    worker.run = workshop.plan(["majority"])[0]
    runner._send(worker)
    assert runner._received_from(worker) is None


def test_worker_that_answers(worker, workshop):
    worker.run = workshop.plan(["majority"])[0]
    runner._send(worker)
    answer = runner._received_from(worker)
    assert isinstance(answer, Finished)
    assert (answer.run, answer.status) == (worker.run, "done")


def test_worker_ends_in_the_middle_of_a_run_when_the_runner_is_gone(workshop, tmp_path):
    context = start_server()
    alive, lifeline = context.Pipe(duplex=False)
    worker = runner._start(context, "cpu", workshop.places(tmp_path), alive)
    endless = {"cnn": {"max_epochs": 10**6, "patience": None, "stride": 30.0}}
    worker.run = workshop.plan(["cnn"], recipes=endless)[0]
    runner._send(worker)
    lifeline.close()
    worker.process.join(60)
    try:
        assert worker.process.exitcode == 1
    finally:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


def test_more_workers_than_runs(workshop, tmp_path):
    runs = workshop.plan(["majority"])[:2]
    told: list[Finished] = []
    run_all(runs, workshop.places(tmp_path), ["cpu"] * 3, told.append)
    assert {event.run for event in told} == set(runs)
    assert [event.status for event in told] == ["done", "done"]
    assert {Store(tmp_path).status(run) for run in runs} == {"done"}
    assert multiprocessing.active_children() == []


def test_run_that_kills_every_worker_is_a_failed_result(workshop, tmp_path, monkeypatch):
    killed = []
    send = runner._send

    def send_and_kill(worker):
        send(worker)
        if worker.run.fold == 1:
            killed.append(worker.process.pid)
            worker.process.kill()

    monkeypatch.setattr(runner, "_send", send_and_kill)
    runs = workshop.plan(["cnn"])
    told: list[Finished] = []
    run_all(runs, workshop.places(tmp_path), ["cpu"], told.append)
    store = Store(tmp_path)
    assert [store.status(run) for run in runs] == ["done", "failed", "done", "done"]
    assert len(killed) == len(set(killed)) == runner.ATTEMPTS
    (failed,) = [result for result in store.results() if result.status == "failed"]
    assert "signal 9" in failed.error
    assert "out of memory" in failed.error
    assert {event.run: event.status for event in told} == {r: store.status(r) for r in runs}

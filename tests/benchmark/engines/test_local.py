"""Workers that die at the worst moments, and runs that wait; test_end_to_end.py has the rest."""

import multiprocessing
import os
import signal
from multiprocessing import forkserver
from typing import Any

import pytest

from benchmark.engines import local as runner
from benchmark.engines.engine import Terms
from benchmark.engines.event import Finished
from benchmark.engines.local import run_all
from benchmark.engines.queue import ATTEMPTS
from benchmark.engines.server import start_server
from benchmark.plan.suite import Distillation
from benchmark.run import Run
from benchmark.store import Store


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
    runner._send(worker, workshop.plan(["majority"])[0], last=False)
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.join()
    assert worker.connection.poll()
    assert runner._received_from(*worker.members[0]) is None


def test_worker_that_dies_idle(worker, workshop):
    worker.process.kill()
    worker.process.join()
    runner._send(worker, workshop.plan(["majority"])[0], last=False)
    assert runner._received_from(*worker.members[0]) is None


def test_worker_that_answers(worker, workshop):
    runner._send(worker, workshop.plan(["majority"])[0], last=False)
    answer = runner._received_from(*worker.members[0])
    assert isinstance(answer, Finished)
    assert (answer.run, answer.status) == (workshop.plan(["majority"])[0], "done")


def test_worker_ends_in_the_middle_of_a_run_when_the_runner_is_gone(workshop, tmp_path):
    context = start_server()
    alive, lifeline = context.Pipe(duplex=False)
    worker = runner._start(context, "cpu", workshop.places(tmp_path), alive)
    endless = {"cnn": {"max_epochs": 10**6, "patience": None, "stride": 30.0}}
    runner._send(worker, workshop.plan(["cnn"], recipes=endless)[0], last=False)
    lifeline.close()
    worker.process.join(60)
    try:
        assert worker.process.exitcode == 1
    finally:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


def test_server_of_workers_killed(workshop, tmp_path):
    runs = workshop.plan(["majority", "cnn"])
    told: list[Finished] = []

    def kill_server(event):
        if not told:
            os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        told.append(event)

    run_all(runs, workshop.places(tmp_path), ["cpu", "cpu"], kill_server, Terms())
    assert {Store(tmp_path).status(run) for run in runs} == {"done"}
    assert sorted(event.run.id for event in told) == sorted(run.id for run in runs)


def test_run_that_does_not_end_is_killed_and_tried_again(workshop, tmp_path):
    endless = {"cnn": {"max_epochs": 10**6, "patience": None, "stride": 30.0}}
    run = workshop.plan(["cnn"], recipes=endless)[0]
    told: list[Finished] = []
    run_all([run], workshop.places(tmp_path), ["cpu"], told.append, Terms(timeout=1.5))
    (failed,) = Store(tmp_path).results()
    assert "had not ended after 0.025 minutes" in failed.error
    assert "2 attempts" in failed.error
    assert "--timeout" in failed.error
    assert [(event.run, event.status) for event in told] == [(run, "failed")]
    assert multiprocessing.active_children() == []


def test_out_of_memory_costs_the_device_a_worker_and_the_run_an_attempt(
    workshop, tmp_path, monkeypatch
):
    sent, n_workers = [], []
    send = runner._send

    def seen_send(worker, run, last):
        n_workers.append(len(multiprocessing.active_children()))
        sent.append((run, last))
        send(worker, run, last)

    monkeypatch.setattr(runner, "_send", seen_send)
    huge = workshop.plan(["mlstm_fcn"], arguments={"mlstm_fcn": {"cells": 10**8}})[0]
    runs = [huge, *workshop.plan(["majority"])]
    told: list[Finished] = []
    run_all(runs, workshop.places(tmp_path), ["cpu", "cpu"], told.append, Terms())
    store = Store(tmp_path)
    assert [store.status(run) for run in runs] == ["failed", "done", "done", "done", "done"]
    assert [(run, last) for run, last in sent if run == huge] == [(huge, False), (huge, True)]
    assert n_workers[0] == 2
    assert n_workers[-1] == 1
    assert {event.run: event.status for event in told} == {r: store.status(r) for r in runs}
    failed = store.result(huge)
    assert "allocate" in failed.error
    assert "Traceback" in failed.traceback


def test_more_workers_than_runs(workshop, tmp_path):
    runs = workshop.plan(["majority"])[:2]
    told: list[Finished] = []
    run_all(runs, workshop.places(tmp_path), ["cpu"] * 3, told.append, Terms())
    assert {event.run for event in told} == set(runs)
    assert [event.status for event in told] == ["done", "done"]
    assert {Store(tmp_path).status(run) for run in runs} == {"done"}
    assert multiprocessing.active_children() == []


def test_run_that_kills_every_worker_is_a_failed_result(workshop, tmp_path, monkeypatch):
    killed = []
    send = runner._send

    def send_and_kill(worker, run, last):
        send(worker, run, last)
        if run.fold == 1:
            killed.append(worker.process.pid)
            worker.process.kill()

    monkeypatch.setattr(runner, "_send", send_and_kill)
    monkeypatch.setattr(runner, "SHORT", 0.0)  # no run dies in the stead of another
    runs = workshop.plan(["cnn"])
    told: list[Finished] = []
    run_all(runs, workshop.places(tmp_path), ["cpu"], told.append, Terms())
    store = Store(tmp_path)
    assert [store.status(run) for run in runs] == ["done", "failed", "done", "done"]
    assert len(killed) == len(set(killed)) == ATTEMPTS
    (failed,) = [result for result in store.results() if result.status == "failed"]
    assert "signal 9" in failed.error
    assert "out of memory" in failed.error
    assert {event.run: event.status for event in told} == {r: store.status(r) for r in runs}


# --- runs that wait for their teachers


def taught_runs(workshop: Any, **recipe: Any) -> dict[str, Run]:
    """Two out-of-fold teachers and their student, by model, of the first fold."""
    pair = Distillation("soft_targets", "dnn", "lstm", ("eda",), ("temp",), out_of_fold=2)
    recipes = {"dnn": {"max_epochs": 1}, "lstm": {"max_epochs": 1, **recipe}}
    runs = workshop.plan([], distillations=(pair,), recipes=recipes)
    taught = next(run for run in runs if run.distiller)
    one, two = taught.teachers
    return {"taught": taught, "one": one, "two": two}


def test_taught_run_waits_for_its_teachers_whatever_the_order(workshop, tmp_path):
    runs = taught_runs(workshop)
    told: list[Finished] = []
    run_all(list(runs.values()), workshop.places(tmp_path), ["cpu"] * 2, told.append, Terms())
    assert [event.status for event in told] == ["done"] * 3, [event.error for event in told]
    assert told[-1].run == runs["taught"]


def test_teacher_that_fails_lets_its_student_fail_and_nothing_hangs(workshop, tmp_path):
    runs = taught_runs(workshop, lr=1e30)
    healthy = workshop.plan(["majority"])[0]
    told: list[Finished] = []
    places = workshop.places(tmp_path)
    run_all([*runs.values(), healthy], places, ["cpu"], told.append, Terms())
    status = {event.run: event.status for event in told}
    assert status == {**dict.fromkeys(runs.values(), "failed"), healthy: "done"}
    (error,) = [event.error for event in told if event.run == runs["taught"]]
    assert "expected a finished teacher, found none" in error
    assert "(failed)" in error
    assert [event.run for event in told][:3] == [runs["one"], runs["two"], runs["taught"]]


def test_teacher_whose_worker_dies_is_tried_again_before_its_student(
    workshop, tmp_path, monkeypatch
):
    runs = taught_runs(workshop)
    killed = []
    send = runner._send

    def send_and_kill_once(worker, run, last):
        send(worker, run, last)
        if run == runs["one"] and not killed:
            killed.append(worker.process.pid)
            worker.process.kill()

    monkeypatch.setattr(runner, "_send", send_and_kill_once)
    told: list[Finished] = []
    run_all(list(runs.values()), workshop.places(tmp_path), ["cpu"], told.append, Terms())
    assert len(killed) == 1
    assert [event.status for event in told] == ["done"] * 3
    assert told[-1].run == runs["taught"]

"""What is next and what becomes of a lost run, without any worker."""

import dataclasses
import time

import pytest

from benchmark.engines.engine import Terms
from benchmark.engines.event import DISK_FULL, LOST, MACHINE, OUT_OF_MEMORY, Finished
from benchmark.engines.queue import ATTEMPTS, Queue
from benchmark.execution.places import Places
from benchmark.files import DiskFullError
from benchmark.plan.order import Costs
from benchmark.run import Run
from benchmark.store import Store
from datamodules.errors import MachineError
from datamodules.protocol import Protocol


def run(model: str, *teachers: Run) -> Run:
    return Run("d", "t", Protocol(), 0, 0, model, ("eda",), ("S1",), "x", teachers=teachers)


@pytest.fixture
def told():
    return []


@pytest.fixture
def queue_of(tmp_path, told):
    def queue(*runs, **terms):
        places = Places(tmp_path, tmp_path, tmp_path)
        return Queue(runs, places, told.append, Terms(**terms))

    return queue


def ended(of: Run, status: str = "done") -> Finished:
    return Finished(of, status, "" if status == "done" else "why", None, 1.0)


def test_next_is_the_first_whose_teachers_are_all_done(queue_of):
    one, two, other = run("cnn"), run("lstm"), run("lda")
    taught, by_both = run("dnn", one), run("dnn", one, two)
    queue = queue_of(by_both, taught, other, one, two)
    assert [queue.next()[0] for _ in range(3)] == [other, one, two]
    assert queue.next() is None
    queue.ended(ended(one))
    assert queue.next()[0] == taught
    assert queue.next() is None
    queue.ended(ended(two))
    assert queue.next()[0] == by_both
    assert queue.next() is None
    assert not queue.waiting


def test_an_ensemble_waits_for_those_that_it_consists_of(queue_of):
    one, two, other = run("cnn"), run("lstm"), run("lda")
    mean = dataclasses.replace(run("ensemble"), members=(one, two, other), weights=(1, 0, 2))
    queue = queue_of(mean, one, two, other)
    assert [queue.next()[0] for _ in range(3)] == [one, two, other]
    queue.ended(ended(one))
    assert queue.next() is None
    queue.ended(ended(other))
    assert queue.next()[0] == mean


def test_teachers_that_are_no_part_of_the_call_are_not_waited_for(queue_of):
    taught = run("dnn", run("cnn"))
    assert queue_of(taught).next()[0] == taught


def test_lost_run_is_next_and_one_out_of_memory_last_until_they_are_given_up(
    queue_of, told, tmp_path
):
    first, second, third = run("cnn"), run("lstm"), run("lda")
    queue = queue_of(first, second, third)
    assert queue.next() == (first, False)
    queue.ended(ended(first, LOST))
    assert queue.next() == (first, True)
    assert queue.next() == (second, False)
    queue.ended(ended(second, OUT_OF_MEMORY))
    assert [queue.next() for _ in range(3)] == [(third, False), (second, True), None]
    assert told == []
    queue.ended(ended(first, LOST))
    assert [(event.run, event.status) for event in told] == [(first, "failed")]
    assert Store(tmp_path).result(first).error == told[0].error == f"why ({ATTEMPTS} attempts)"
    assert not queue.waiting


def test_student_of_a_teacher_that_is_given_up_is_given_out(queue_of):
    teacher = run("cnn")
    taught = run("dnn", teacher)
    queue = queue_of(taught, teacher)
    for _ in range(ATTEMPTS):
        assert queue.next()[0] == teacher
        assert queue.next() is None
        queue.ended(ended(teacher, LOST))
    assert queue.next()[0] == taught


def test_run_that_another_has_done_meanwhile_is_told_and_not_given_out(
    workshop, finished, tmp_path
):
    (result, *_) = finished.results()
    told = []
    queue = Queue([result.run], workshop.places(tmp_path), told.append, Terms())
    Store(tmp_path).save(result)
    assert queue.next() is None
    assert [(event.run, event.status) for event in told] == [(result.run, "done")]


def test_run_lost_for_good_after_its_last_word_is_done(workshop, finished, tmp_path):
    (result, *_) = finished.results()
    told = []
    queue = Queue([result.run], workshop.places(tmp_path), told.append, Terms())
    queue.next()
    queue.ended(ended(result.run, LOST))
    queue.next()
    Store(tmp_path).save(result)
    queue.ended(ended(result.run, LOST))
    assert [event.status for event in told] == ["done"]


def test_run_too_long_for_the_time_left_is_not_given_out(queue_of):
    long, short = run("cnn"), run("lda")
    costs = Costs()
    costs.add(long, 1e6)
    costs.add(short, 1.0)
    queue = queue_of(long, short, end=time.monotonic() + 1000, costs=costs)
    assert queue.next(delay=1000.0) is None
    assert queue.next()[0] == short
    assert queue.next() is None
    assert list(queue.waiting) == [long]


def test_run_that_was_not_begun_loses_no_attempt(queue_of):
    first, second = run("cnn"), run("lda")
    queue = queue_of(first, second)
    assert queue.next() == (first, False)
    assert queue.next() == (second, False)
    queue.back(second)
    assert queue.next() == (second, False)


def test_full_disk_ends_it(queue_of, told):
    only = run("cnn")
    queue = queue_of(only)
    queue.next()
    with pytest.raises(DiskFullError, match="why"):
        queue.ended(ended(only, DISK_FULL))
    with pytest.raises(MachineError, match="why"):
        queue.ended(ended(only, MACHINE))
    assert told == []

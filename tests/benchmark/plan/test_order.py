"""Order, parts and estimates of runs, by what is measured."""

import dataclasses
import time
from collections import Counter

import numpy as np
import pytest

from benchmark.engines import local as runner
from benchmark.engines.engine import Terms
from benchmark.engines.event import Finished
from benchmark.engines.local import run_all
from benchmark.plan.order import Costs, estimate, ordered, shard, windows
from benchmark.probes.catalogue import ProbeRecipe
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store
from datamodules.protocol import Protocol
from lightning_modules.recipe import Recipe

RECIPE = Recipe("none", window=60.0, stride=30.0, scaling="none")
RUN = Run(
    dataset="synthetic",
    task="stress",
    protocol=Protocol(),
    fold=0,
    seed=0,
    model="cnn",
    signals=("eda",),
    subjects=("S1", "S2"),
    data="d" * 16,
    recipe=RECIPE,
)


def of(model: str, fold: int = 0, **fields: object) -> Run:
    return dataclasses.replace(RUN, model=model, fold=fold, **fields)


def taught(student: Run, *teachers: Run) -> Run:
    return dataclasses.replace(student, distiller="d", teachers=teachers, alone=student.id)


def took(run: Run, seconds: float) -> Result:
    return Result(run, "done", seconds={"prepare": 0.0, "train": seconds})


def test_cost_is_the_median_of_finished_runs_of_the_kind():
    failed = Result(of("cnn", 3), "failed", seconds={"train": 1e6})
    costs = Costs([*(took(of("cnn", n), s) for n, s in enumerate((1.0, 9.0, 2.0))), failed])
    assert costs.seconds(of("cnn", 7, seed=5, task="other")) == 2.0
    assert costs.seconds(of("lstm")) is None
    assert costs.seconds(of("cnn", dataset="wesad")) is None
    longer = dataclasses.replace(RECIPE, max_epochs=9)
    assert costs.seconds(of("cnn", recipe=longer)) is None


@pytest.mark.parametrize(
    ("fields", "shared"),
    [
        ({"model": "lstm", "fold": 3, "seed": 4, "arguments": (("a", 1),)}, True),
        ({"recipe": Recipe("other", window=60.0, stride=30.0, scaling="none", lr=0.5)}, True),
        ({"recipe": dataclasses.replace(RECIPE, window=20.0)}, False),
        ({"recipe": dataclasses.replace(RECIPE, stride=20.0)}, False),
        ({"recipe": dataclasses.replace(RECIPE, scaling="standard")}, False),
        ({"recipe": ProbeRecipe()}, False),
        ({"protocol": Protocol(flags=("select_on_test",))}, True),
        ({"protocol": Protocol("subject_k_fold")}, False),
        ({"protocol": Protocol(folds=4)}, False),
        ({"protocol": Protocol(rule="median")}, False),
        ({"protocol": Protocol(padding="zero")}, False),
        ({"signals": ("bvp",)}, False),
        ({"window": 120.0}, False),
        ({"task": "other"}, False),
        ({"data": "e" * 16}, False),
        ({"options": (("effect", 0.0),)}, False),
    ],
)
def test_runs_that_share_windows(fields, shared):
    assert (windows(dataclasses.replace(RUN, **fields)) == windows(RUN)) == shared


def test_longest_first_unknown_before_all_and_windows_together():
    a, b, c, new = (of(model) for model in ("a", "b", "c", "new"))
    apart = [dataclasses.replace(run, signals=("bvp",)) for run in (a, c)]
    costs = Costs([took(a, 1.0), took(b, 3.0), took(c, 2.0)])
    assert windows(a) == windows(b) != windows(apart[0])
    assert ordered([apart[0], a, b, apart[1], c], costs) == [b, c, a, apart[1], apart[0]]
    assert ordered([a, b, new], costs) == [new, b, a]


def test_teacher_counts_for_its_student_too():
    teacher, middle = of("teacher"), of("middle")
    student = taught(of("student"), teacher)
    costs = Costs([took(teacher, 1.0), took(middle, 3.0), took(student, 4.0)])
    assert ordered([middle, student, teacher], costs) == [teacher, student, middle]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_are_a_partition_in_which_students_have_their_teachers(count):
    runs = []
    for fold in range(20):
        teachers = of("teacher", fold), of("other", fold)
        alone = of("student", fold)
        runs += [*teachers, alone, taught(alone, teachers[0]), taught(of("small", fold), *teachers)]
        runs.append(of("lda", fold))
    parts = [shard(runs, number, count) for number in range(1, count + 1)]
    assert Counter(run for part in parts for run in part) == Counter(runs)
    for part in parts:
        assert part == [run for run in runs if run in part]
        assert {t for run in part for t in run.teachers} <= set(part)
        assert len(part) >= len(runs) / count / 4
    assert [shard(runs[::-1], n, count)[::-1] for n in range(1, count + 1)] == parts


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_keep_together_what_is_to_be(count):
    """All members of an ensemble of a fold, one of which has a student."""
    runs = [of(model, fold) for fold in range(20) for model in ("cnn", "lda", "logistic", "time")]
    students = [taught(of("dnn", fold), of("cnn", fold)) for fold in range(20)]
    members = [[run for run in runs if run.fold == n and run.model != "time"] for n in range(20)]
    parts = [shard([*runs, *students], number, count, members) for number in range(1, count + 1)]
    assert Counter(run for part in parts for run in part) == Counter([*runs, *students])
    for group, student in zip(members, students, strict=True):
        assert sum(set(group) <= set(part) for part in parts) == 1
        assert all((student in part) == (group[0] in part) for part in parts)
    assert all(parts)


def test_estimate(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "file").write_bytes(bytes(5000))
    for fold, seconds in enumerate((1800.0, 3600.0, 9000.0)):
        store.save(took(of("cnn", fold), seconds), None, {"log.txt": tmp_path / "file"})
    todo = [of("cnn", 5), of("cnn", 6), of("lstm", 1), of("lstm", 2)]
    found = estimate(todo, store, workers=4)
    assert found.hours == pytest.approx(0.5)
    folder = store.folder(of("cnn", 0))
    each = sum(len(path.read_bytes()) for path in folder.iterdir())
    assert found.size == pytest.approx(2 * each, rel=0.01)
    assert found.unknown == {"lstm on synthetic": 2}
    assert estimate(todo, Store(tmp_path / "none"), 1).hours == 0.0


def test_no_run_is_started_that_would_end_too_late(workshop, tmp_path):
    long, *short = workshop.plan(["majority"])
    unknown = workshop.plan(["lda"])[0]
    slow = dataclasses.replace(long, arguments=(("slow", True),))
    costs = Costs([took(slow, 7200.0)])
    told: list[Finished] = []
    runs = [slow, *short, unknown]
    terms = Terms(end=time.monotonic() + 3600, costs=costs)
    left = run_all(runs, workshop.places(tmp_path), ["cpu"], told.append, terms)
    assert left == [slow]
    assert [(event.run, event.status) for event in told] == [
        (run, "done") for run in (*short, unknown)
    ]
    assert costs.seconds(unknown) is not None
    assert run_all(
        short, workshop.places(tmp_path / "other"), ["cpu"], told.append, Terms(end=0.0)
    ) == [*short]


def test_run_that_another_runner_finished_meanwhile_is_not_done_again(
    workshop, tmp_path, monkeypatch
):
    first, second, *_ = workshop.plan(["majority"])
    columns = {name: np.array(["1", "1"]) for name in ("subject", "session", "trial", "unit")}
    columns |= {"label": np.array([0, 0]), "probabilities": np.array([[1.0, 0.0]] * 2)}
    sent = []
    send = runner._send

    def send_while_another_finishes(worker, run, last):
        sent.append(run)
        Store(tmp_path).save(Result(second, "done"), columns)
        send(worker, run, last)

    monkeypatch.setattr(runner, "_send", send_while_another_finishes)
    told: list[Finished] = []
    assert run_all([first, second], workshop.places(tmp_path), ["cpu"], told.append, Terms()) == []
    assert sent == [first]
    assert {event.run: event.score for event in told}[second] == 1.0

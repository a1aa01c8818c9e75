"""Which devices there are, and how many workers each takes; no GPU is needed to count."""

import os
from collections import Counter

import pytest
import torch

from benchmark.engines import devices, worker
from benchmark.engines.devices import DeviceError, Memory
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store
from datamodules.protocol import Protocol

GIB = 2**30
NVIDIA_SMI = """#!/bin/sh
case "$1" in
    --id=2) echo "1024, 81920" ;;
    --id=GPU-5) echo "40960, 81920" ;;
    *) echo "No devices were found"; exit 6 ;;
esac
"""


def run(model: str, fold: int = 0, teachers: tuple[Run, ...] = ()) -> Run:
    return Run("d", "t", Protocol(), fold, 0, model, ("eda",), ("S1",), "x", teachers=teachers)


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    """Two GPUs that the user chose among more, and a driver's tool that knows them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(NVIDIA_SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")


def test_numbers_count_among_the_gpus_that_are_visible(two_gpus):
    assert devices.chosen("auto") == ["2", "GPU-5"]
    assert devices.chosen("1") == ["GPU-5"]
    assert devices.chosen("1,0") == ["GPU-5", "2"]
    assert devices.chosen("cpu") == []


def test_no_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices.chosen("auto") == []
    assert devices.workers([], None) == ["cpu"] * len(os.sched_getaffinity(0))


@pytest.mark.parametrize("names", ["2", "0,0", "-1", "gpu", "0,"])
def test_no_such_device(two_gpus, names):
    with pytest.raises(DeviceError, match=r"no device '.*': expected cpu, auto, or some of the 2"):
        devices.chosen(names)


def test_workers_of_one_device_and_of_several():
    four = ["0", "1", "2", "3"]
    assert devices.workers(four, 2) == ["0", "0", "1", "1", "2", "2", "3", "3"]
    assert devices.workers(four, None, 2) == ["0,1", "2,3"]
    assert devices.workers([], 3, 2) == ["cpu,cpu"] * 3
    with pytest.raises(DeviceError, match="3 a run divide, found 4"):
        devices.workers(four, 1, 3)
    with pytest.raises(DeviceError, match="at least one job"):
        devices.workers(four, 0)


def test_memory_is_what_the_driver_says(two_gpus):
    found = devices.memory(["2", "GPU-5"])
    assert found == {"2": Memory(GIB, 80 * GIB), "GPU-5": Memory(40 * GIB, 80 * GIB)}
    assert found["GPU-5"].free == 40 * GIB
    assert devices.memory(["7"]) == {}


@pytest.mark.parametrize(
    ("free", "peak"), [(0, 0), (1, 2), (10, 1), (40, 3.7), (80, 0.5), (80, 79), (141, 9)]
)
def test_as_many_as_there_is_room_for(free, peak):
    fit = devices.jobs_that_fit(free * GIB, peak * GIB, 10**6, 1)
    taken, count = 0.0, 0
    while taken + devices.CONTEXT + devices.SLACK * peak * GIB <= devices.SHARE * free * GIB:
        taken += devices.CONTEXT + devices.SLACK * peak * GIB
        count += 1
    assert fit == max(1, count)


def test_no_more_workers_than_cores():
    assert devices.jobs_that_fit(80 * GIB, 0, 16, 4) == 4
    assert devices.jobs_that_fit(80 * GIB, 0, 2, 4) == 1


def test_every_kind_is_measured_once_after_its_teachers():
    teacher = run("lstm", 1)
    known, unknown, taught = run("cnn"), run("lda"), run("dnn", 1, (teacher,))
    runs = [taught, known, run("cnn", 1), unknown, run("lda", 1), run("lstm"), teacher]
    result = Result(known, "done", device="NVIDIA", peak_memory=7)
    measured = devices.peaks([result, Result(unknown, "done", device="cpu (x86_64)")])
    assert list(measured.values()) == [7]
    asked = devices.to_measure(runs, measured)
    assert Counter(run.name.split("-")[0] for run in asked) == {"dnn": 1, "lstm": 1, "lda": 1} | (
        {"lstm": 2} if run("lstm") in asked else {}
    )
    assert asked.index(teacher) < asked.index(taught)


def test_measured_first_then_packed_by_the_largest(two_gpus, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64))
    store = Store(tmp_path / "runs")
    runs = [run(model, fold) for model in ("cnn", "lda") for fold in range(3)]
    parts = devices.phases(runs, ["2", "GPU-5"], "auto", 1, store)
    first, there = next(parts)
    assert first == [run("cnn"), run("lda")]
    assert there == ["2", "GPU-5"]
    for asked, peak in zip(first, (2 * GIB, 4 * GIB), strict=True):
        store.save(Result(asked, "done", device="NVIDIA", peak_memory=peak))
    ((rest, there),) = parts
    assert set(rest) == set(runs) - set(first)
    # 40 GiB are free on the fuller one, 36 of them to take; 1 + 1.3 * 4 GiB each
    assert Counter(there) == {"2": 5, "GPU-5": 5}


def test_no_tool_to_ask(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    store = Store(tmp_path)
    store.save(Result(run("cnn"), "done", device="NVIDIA", peak_memory=GIB))
    with pytest.raises(DeviceError, match="expected nvidia-smi"):
        list(devices.phases([run("cnn", 1)], ["0"], "auto", 1, store))


def test_auto_on_the_cpu_is_a_worker_a_core(tmp_path):
    ((runs, there),) = devices.phases([run("cnn")], [], "auto", 1, Store(tmp_path))
    assert runs == [run("cnn")]
    assert there == ["cpu"] * len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("device", "visible"), [("3", "3"), ("2,GPU-5", "2,GPU-5"), ("cpu", "")])
def test_worker_sees_its_device_before_cuda_is_touched(
    workshop, tmp_path, monkeypatch, device, visible
):
    seen = []

    def execute(*_):
        seen.append((os.environ["CUDA_VISIBLE_DEVICES"], torch.cuda.is_initialized()))
        return Result(asked, "done")

    class Channel:
        def __init__(self):
            self.runs = [(asked, True)]

        def recv(self):
            if not self.runs:
                raise EOFError
            return self.runs.pop()

        def send(self, event):
            seen.append(event.status)

    asked = run("cnn")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "9")
    monkeypatch.setattr(worker, "execute", execute)
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    monkeypatch.setattr(worker, "_end_with_runner", lambda alive: None)
    worker.work(Channel(), None, device, workshop.places(tmp_path), None)
    assert seen == [(visible, False), "done"]

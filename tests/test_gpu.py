"""What only a CUDA device can show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.engines.devices import gpus, memory, phases
from benchmark.engines.engine import Terms
from benchmark.engines.local import run_all
from benchmark.execution.assemble import make_datamodule
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import prepare
from benchmark.scored import scored
from benchmark.store import Store

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture
def run(tmp_path):
    prepared = {"synthetic": prepare("synthetic", Path(), tmp_path / "cache", {}, ())}
    recipes = {"cnn": {"max_epochs": 2}}
    return expand(Suite("gpu", ("synthetic",), models=("cnn",), recipes=recipes), prepared).runs[0]


def test_recordings_on_the_device_give_the_batches_of_the_memory_map(run, tmp_path):
    places = Places(tmp_path, tmp_path / "cache", tmp_path / "runs")
    module = make_datamodule(run, places)
    module.prepare_data()
    module.setup()
    rows = torch.arange(5)
    on_device = module.gathered("train", torch.device("cuda"))[rows]
    on_host = module.gathered("train")[rows]
    for name, window in on_host.signals.items():
        assert on_device.signals[name].is_cuda
        torch.testing.assert_close(on_device.signals[name].cpu(), window)
    assert torch.equal(on_device.target.cpu(), on_host.target)


def test_a_run_on_the_device_is_done_and_close_to_the_cpu(run, tmp_path):
    predictions = {}
    for device in ("cpu", "cuda"):
        places = Places(tmp_path, tmp_path / "cache", tmp_path / device, device)
        result = execute(run, places)
        assert result.status == "done", result.traceback
        predictions[device] = Store(places.runs).predictions(run)
    assert np.array_equal(predictions["cpu"]["start"], predictions["cuda"]["start"])
    assert np.array_equal(predictions["cpu"]["label"], predictions["cuda"]["label"])
    # Two epochs of rounding differences apart, not more.
    assert (
        np.abs(predictions["cpu"]["probabilities"] - predictions["cuda"]["probabilities"]).max()
        < 0.1
    )


def test_workers_packed_on_a_device_give_the_results_of_one(tmp_path):
    prepared = {"synthetic": prepare("synthetic", Path(), tmp_path / "cache", {}, ())}
    suite = Suite("gpu", ("synthetic",), models=("cnn",), recipes={"cnn": {"max_epochs": 2}})
    runs = expand(suite, prepared).runs
    stores = []
    for name, count in (("one", 1), ("packed", 4)):
        places = Places(tmp_path, tmp_path / "cache", tmp_path / name)
        run_all(runs, places, gpus()[:1] * count, lambda event: None, Terms())
        stores.append(Store(places.runs))
    for asked in runs:
        one, packed = (store.result(asked) for store in stores)
        assert one.status == packed.status == "done", packed.traceback
        assert not packed.device.startswith("cpu")
        found, expected = (store.predictions(asked)["probabilities"] for store in stores)
        np.testing.assert_allclose(found, expected, atol=0.1)


def test_memory_of_a_device_as_cuda_counts_it(run, tmp_path):
    (name, *_) = gpus()
    found = memory([name])[name]
    assert abs(found.total - torch.cuda.mem_get_info()[1]) < 2**30
    assert 0 < found.free < found.total


def test_as_many_workers_as_the_measured_run_leaves_room_for(run, tmp_path):
    places = Places(tmp_path, tmp_path / "cache", tmp_path / "runs")
    other = replace(run, seed=1)
    parts = phases([run, other], gpus()[:1], "auto", 1, Store(places.runs))
    counts = []
    for asked, there in parts:
        counts.append(len(there))
        run_all(asked, places, there, lambda event: None, Terms())
    first, second = counts
    assert first == 1 < second
    assert {Store(places.runs).status(asked) for asked in (run, other)} == {"done"}


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one CUDA device")
def test_a_run_over_two_devices_is_scored_on_the_units_of_one(run, tmp_path):
    results = []
    for device in (gpus()[0], ",".join(gpus()[:2])):
        places = Places(tmp_path, tmp_path / "cache", tmp_path / device)
        run_all([run], places, [device], lambda event: None, Terms())
        results.append(scored(Store(places.runs), run))
    assert [result.status for result in results] == ["done", "done"], results[1].traceback
    assert [result.devices for result in results] == [1, 2]
    assert results[0].units == results[1].units

"""What only a CUDA device can show."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data import prepare
from benchmark.plan import expand
from benchmark.results import Store
from benchmark.suite import Suite
from benchmark.train import Places, execute, make_datamodule

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
    on_device = module.dataset("train", torch.device("cuda"))[rows]
    on_host = module.dataset("train")[rows]
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

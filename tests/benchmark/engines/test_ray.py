"""What needs no cluster; test_engines.py has one."""

import sys

import pytest

from benchmark.cli.main import main
from benchmark.engines import ray as ray_engine
from benchmark.engines.placement import Placement
from benchmark.engines.ray import Demand, RayEngine, RayEngineError


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("demand", "nodes", "expected"),
    [
        (Demand(1, 0), [node(CPU=4.0), node(CPU=2.0, GPU=1.0)], 6),
        (Demand(1, 0), [node(CPU=4.0), node(alive=False, CPU=2.0)], 4),
        (Demand(1, 1), [node(CPU=8.0, GPU=2.0), node(CPU=8.0)], 2),
        (Demand(1, 0.3333), [node(CPU=8.0, GPU=2.0)], 6),
        (Demand(1, 0.3333), [node(CPU=5.0, GPU=2.0)], 5),
        (Demand(1, 0.4), [node(CPU=8.0, GPU=3.0)], 6),  # a fifth of each GPU is of no use
        (Demand(1, 0.5), [node(CPU=8.0)], 0),
    ],
)
def test_room_on_some_nodes(demand, nodes, expected):
    assert demand.slots(nodes) == expected


@pytest.mark.parametrize(
    ("name", "visible", "expected"),
    [(1, None, 1), ("1", "", 1), ("3", "2,3", 1), ("GPU-b", "GPU-a,GPU-b", 1)],
)
def test_number_of_a_gpu_counts_those_that_may_be_seen(name, visible, expected):
    assert ray_engine._number(name, visible) == expected


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with pytest.raises(RayEngineError, match=r"pip install 'affectbench\[ray\]'"):
        RayEngine(Placement("cpu"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1", "nowhere"])
def test_no_cluster_at_the_address(address):
    with pytest.raises(RayEngineError, match="expected the address that ray start --head printed"):
        ray_engine._reach(address)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ray-address", "head:6379"], "--ray-address is for --engine ray"),
        (
            ["--engine", "ray", "--ray-address", "head:6379", "--devices", "0,1"],
            "expected --devices auto or cpu, found 0,1",
        ),
        (["--engine", "ray", "--jobs-per-device", "auto"], "expected a number of --jobs-per"),
        (["--engine", "ray", "--devices-per-run", "2"], "no --devices-per-run"),
    ],
)
def test_calls_that_cannot_be_done(words, said, capsys):
    assert main(["run", "quick", *words]) == 2
    assert said in capsys.readouterr().err


def test_machine_that_does_not_share_the_folder_of_results(workshop, tmp_path):
    (run, *_) = workshop.plan(["majority"])
    with pytest.raises(RayEngineError, match="expected a folder that all machines share"):
        ray_engine._work(run, workshop.places(tmp_path), True, None, tmp_path / "other" / "mark")

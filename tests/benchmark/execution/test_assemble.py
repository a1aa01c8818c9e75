"""Datamodules as a run and its recipe ask for them."""

import dataclasses

import pytest
import torch

from benchmark.execution.assemble import CHUNK, make_datamodule, make_model, ready
from benchmark.execution.parallel import Group
from datamodules.errors import DatasetCorruptedError
from datamodules.fold import Windowing
from datamodules.protocol import Protocol


def of_run(run, **values):
    return dataclasses.replace(run, protocol=dataclasses.replace(run.protocol, **values))


@pytest.fixture
def network(workshop):
    recipe = {"window": 20.0, "stride": 7.0, "scaling": "min_max", "balance": "oversample"}
    return workshop.plan(["cnn"], recipes={"cnn": {**recipe, "batch_size": 9}})[0]


@pytest.fixture
def probe(workshop):
    return workshop.plan(["lda"], recipes={})[0]


def test_windows_are_those_of_the_recipe(network, workshop, tmp_path):
    module = make_datamodule(network, workshop.places(tmp_path))
    assert module.windowing == Windowing(20.0, 7.0, "min_max", oversample=True)
    assert (module.loading.batch_size, module.loading.chunk) == (9, CHUNK)
    assert module.protocol is network.protocol
    assert (module.signals, module.subjects) == (network.signals, network.subjects)
    assert module.seed == network.seed


def test_signals_of_teachers_may_be_asked_for(network, workshop, tmp_path):
    places = workshop.places(tmp_path)
    assert make_datamodule(network, places, ("temp",)).signals == ("temp",)
    assert make_datamodule(network, places, ()).signals == ()


@pytest.mark.parametrize("why", ["distiller", "group", "precision"])
def test_batches_come_one_by_one_where_they_must(network, workshop, tmp_path, why):
    places = workshop.places(tmp_path)
    if why == "group":
        places = workshop.places(tmp_path, group=Group(0, 2, tmp_path))
    elif why == "distiller":
        network = dataclasses.replace(network, distiller="label_smoothing")
    else:
        recipe = dataclasses.replace(network.recipe, precision="bf16-mixed")
        network = dataclasses.replace(network, recipe=recipe)
    assert make_datamodule(network, places).loading.chunk == 1


def test_a_probe_chooses_no_epoch_and_scales_nothing(network, probe, workshop, tmp_path):
    flags = ("scale_on_all", "select_on_test", "report_best_epoch")
    flawed = of_run(probe, flags=flags, validation=False)
    module = make_datamodule(flawed, workshop.places(tmp_path))
    assert module.protocol == Protocol(flags=("scale_on_all",), validation=False)
    assert module.windowing == Windowing(60.0, 30.0, "none")
    kept = make_datamodule(of_run(network, flags=flags), workshop.places(tmp_path))
    assert kept.protocol.flags == flags


def test_ready_sets_the_seed(network, workshop, tmp_path):
    places = workshop.places(tmp_path)
    weights = []
    for run in (network, network, dataclasses.replace(network, seed=1)):
        module = ready(run, places)
        weights.append(next(iter(make_model(run, module).parameters())))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_recordings_that_changed_are_refused(network, workshop, tmp_path):
    other = dataclasses.replace(network, data="0" * 16)
    with pytest.raises(DatasetCorruptedError, match=r"planned on \(0{16} \w{16}\), found others"):
        ready(other, workshop.places(tmp_path))
    other = dataclasses.replace(network, samples="0" * 16)
    with pytest.raises(DatasetCorruptedError, match=r"planned on \(\w{16} 0{16}\), found others"):
        ready(other, workshop.places(tmp_path))

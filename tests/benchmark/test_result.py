"""Result: what went in comes out."""

import dataclasses
import json
from dataclasses import replace

import pytest

from benchmark.result import Result
from benchmark.run import Run
from datamodules.protocol import Protocol
from lightning_modules.recipe import Recipe

RUN = Run(
    dataset="wesad",
    task="stress",
    protocol=Protocol(),
    fold=2,
    seed=1,
    model="cnn",
    signals=("eda", "bvp"),
    subjects=("S2", "S3", "S4"),
    data="0123456789abcdef",
    recipe=Recipe("a paper", lr=0.1),
)
TAUGHT = replace(
    RUN,
    distiller="soft_targets",
    distillation=(("soft", 0.5), ("temperature", 2.0)),
    teachers=tuple(replace(RUN, model="lstm", without=names) for names in (("S3",), ("S4",))),
    alone=RUN.id,
)


@pytest.mark.parametrize(
    "result",
    [
        Result(RUN, "failed", error="ValueError: no", traceback="Traceback\n  ...\n"),
        Result(
            TAUGHT,
            "done",
            files={"predictions.npz": "0123"},
            classes=("low", "high"),
            labels="ratings",
            devices=2,
            trained_on=(3, 4),
            deterministic=True,
            control=True,
            ended=12.5,
            parameters=12,
            efficiency={"macs": 99.0, "latency_ms": 0.25, "cpu_latency_ms": 0.5},
            seconds={"prepare": 0.5, "train": 1.25, "predict": 0.125},
            peak_memory=5,
            epochs=(20, 7),
            device="cpu",
            threads=2,
            versions={"torch": "2"},
            commit="abc+",
            raw="def",
            notes=("one", "two"),
        ),
    ],
    ids=["failed", "done"],
)
def test_result_round_trip(result):
    values = json.loads(json.dumps(result.as_dict()))
    assert values["id"] == result.run.id
    again = Result.from_dict(values)
    assert again == result
    assert again.run.id == result.run.id


def test_every_field_of_a_result_comes_back():
    values = Result(RUN, "done").as_dict()
    assert set(values) == {field.name for field in dataclasses.fields(Result)} | {"id", "schema"}

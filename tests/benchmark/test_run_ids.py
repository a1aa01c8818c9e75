"""Ids of runs: equal ids mean equal work, and a field that comes later changes none."""

import dataclasses
import hashlib
import json
from dataclasses import field, make_dataclass, replace
from typing import Any

import pytest

from benchmark.probes.catalogue import ProbeRecipe
from benchmark.run import Run
from datamodules.protocol import VERSION, Protocol
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
    recipe=Recipe("a paper"),
)
OTHERS: dict[type[Any], dict[str, Any]] = {
    Run: {
        "dataset": "synthetic",
        "task": "affect",
        "protocol": Protocol("subject_hold_out"),
        "fold": 3,
        "seed": 2,
        "model": "lda",
        "signals": ("bvp", "eda"),
        "subjects": ("S2", "S3"),
        "data": "fedcba9876543210",
        "options": (("effect", 0.0),),
        "recipe": Recipe("a paper", lr=0.2),
        "kind": "fast",
        "changed": ("lr",),
        "arguments": (("layers", "study_1"),),
        "distiller": "soft_targets",
        "distillation": (("temperature", 2.0),),
        "teachers": (RUN,),
        "without": ("S3",),
        "alone": "0123456789ab",
        "code": "0123456789ab",
        "window": 120.0,
        "budget": 20,
        "tuned": ("lr",),
        "chosen_by": ("0123456789ab",),
        "inner": True,
        "samples": "0123456789abcdef",
        "members": (RUN,),
        "weights": (2,),
        "pretrained": "0123456789abcdef",
        "pretrained_on": ("tueg",),
        "trained": (RUN,),
        "adapter": "head",
        "brought": (("bvp", 32.0, ""),),
    },
    Protocol: {
        "split": "session_out",
        "folds": 4,
        "rule": "median",
        "padding": "zero",
        "mask": True,
        "test_share": 0.3,
        "validation": False,
        "score_windows": True,
        "flags": ("random_windows",),
        "version": VERSION + 1,
        "stimulus_folds": 3,
        "partitions": 3,
        "corruption": "eda_detached",
        "calibration": "whole",
    },
    Recipe: {
        "window": 20.0,
        "stride": 5.0,
        "scaling": "none",
        "balance": "oversample",
        "optimizer": "sgd",
        "lr": 0.1,
        "lr_decay": 0.95,
        "plateau_factor": 0.5,
        "plateau_patience": 3,
        "plateau_on": "train_loss",
        "lr_min": 1e-6,
        "momentum": 0.9,
        "eps": 1e-7,
        "weight_decay": 0.01,
        "batch_size": 8,
        "max_epochs": 3,
        "patience": 5,
        "precision": "bf16-mixed",
        "refit": True,
        "plateau_delta": 1e-5,
        "select_on": "val_accuracy",
        "statistics": "training_windows",
        "modality_dropout": 0.3,
    },
    ProbeRecipe: {"window": 20.0, "stride": 5.0, "refit": True},
}
"""Another value of every field that counts."""
ORIGINS = {"source": "elsewhere", "tuned_on": ("wesad",)}
"""Another value of the fields of a recipe that say where its values are from."""


def digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# --- what counts


@pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.__name__)
def test_every_field_but_an_origin_has_another_value_here(kind):
    names = [one.name for one in dataclasses.fields(kind)]
    assert list(OTHERS[kind]) == [name for name in names if name not in ORIGINS]


def test_every_field_counts():
    runs = [RUN, *(replace(RUN, **{name: value}) for name, value in OTHERS[Run].items())]
    padded = Protocol("subject_k_fold", padding="mean")
    bare = {"calibration": {"padding": None}}  # a value that excludes padding
    protocols = [
        padded,
        *(replace(padded, **bare.get(n, {}), **{n: v}) for n, v in OTHERS[Protocol].items()),
    ]
    runs += [replace(RUN, protocol=protocol) for protocol in protocols]
    runs += [replace(RUN, recipe=Recipe("", **{n: v})) for n, v in OTHERS[Recipe].items()]
    probe = replace(RUN, model="prior", recipe=ProbeRecipe())
    recipes = [ProbeRecipe(**{n: v}) for n, v in OTHERS[ProbeRecipe].items()]
    runs += [probe, *(replace(probe, recipe=recipe) for recipe in recipes)]
    assert len(runs) == 1 + 33 + 1 + 14 + 23 + 1 + 3
    assert len({run.id for run in runs}) == len(runs)


def test_equal_runs_have_equal_ids():
    again = Run(**{one.name: getattr(RUN, one.name) for one in dataclasses.fields(Run)})
    assert again is not RUN
    assert again == RUN
    assert again.id == RUN.id
    assert hash(again) == hash(RUN)


def test_values_at_their_defaults_do_not_count():
    values = {
        "data": "0123456789abcdef",
        "dataset": "wesad",
        "fold": 2,
        "model": "cnn",
        "protocol": {"version": VERSION},
        "recipe": {},
        "seed": 1,
        "signals": ["eda", "bvp"],
        "subjects": ["S2", "S3", "S4"],
        "task": "stress",
    }
    assert RUN.id == digest(values)
    values["protocol"] = {"version": VERSION, "split": "subject_k_fold", "folds": 4}
    values["recipe"] = {"lr": 0.5, "patience": 3}
    run = replace(
        RUN,
        protocol=Protocol("subject_k_fold", 4),
        recipe=Recipe("elsewhere", lr=0.5, patience=3, window=60.0),
    )
    assert run.id == digest(values)
    values["recipe"] = {"stride": 15.0}
    assert replace(run, recipe=ProbeRecipe(60.0, 15.0)).id == digest(values)


def test_version_of_the_protocol_counts_even_at_its_default():
    later = replace(RUN, protocol=Protocol(version=VERSION + 1))
    assert later.id != RUN.id
    assert later.board == RUN.board


@pytest.mark.parametrize("name", ORIGINS)
def test_origin_of_a_recipe_does_not_count(name):
    elsewhere = replace(RUN, recipe=replace(RUN.recipe, **{name: ORIGINS[name]}))
    assert getattr(elsewhere.recipe, name) != getattr(RUN.recipe, name)
    assert elsewhere.id == RUN.id
    assert elsewhere == RUN
    taught = replace(RUN, distiller="features", teachers=(RUN,))
    assert replace(taught, teachers=(elsewhere,)).id == taught.id


def test_teachers_count_by_their_ids():
    teacher = replace(RUN, model="lstm", recipe=Recipe("its paper", lr=0.3))
    parts = tuple(replace(teacher, without=names) for names in (("S3",), ("S4",)))
    taught = replace(RUN, distiller="features", teachers=parts)
    ids = {RUN.id, taught.id, replace(taught, teachers=parts[::-1]).id}
    for name, value in OTHERS[Run].items():
        other = replace(teacher, **{name: value})
        ids.add(replace(taught, teachers=(other,)).id)
    assert len(ids) == 3 + len(OTHERS[Run])
    values = {
        **{name: getattr(RUN, name) for name in ("dataset", "task", "fold", "seed", "model")},
        **{name: getattr(RUN, name) for name in ("signals", "subjects", "data")},
        "protocol": {"version": VERSION},
        "recipe": {},
        "distiller": "features",
        "teachers": [one.id for one in parts],
    }
    assert taught.id == digest(values)


def test_members_count_by_their_ids_and_weights():
    """Also those that were not taken: a choice among others is another one."""
    members = (RUN, replace(RUN, model="lstm"))
    values = {
        **{name: getattr(RUN, name) for name in ("dataset", "task", "fold", "seed")},
        **{name: getattr(RUN, name) for name in ("signals", "subjects", "data")},
        "model": "ensemble",
        "protocol": {"version": VERSION},
        "recipe": {},
        "members": [one.id for one in members],
        "weights": [0, 3],
    }
    run = replace(RUN, model="ensemble", members=members, weights=(0, 3))
    assert run.id == digest(values)
    assert run.taken == {members[1]: 3}
    assert run.needs == (members[1],)
    ids = {replace(run, weights=weights).id for weights in ((0, 3), (1, 2), (1, 3))}
    assert len(ids | {replace(run, members=members[::-1]).id}) == 4
    again = Run.from_dict(json.loads(json.dumps(run.as_dict())))
    assert (again, again.id) == (run, run.id)


def test_a_run_that_tests_the_model_of_another_waits_for_that_one_alone():
    """A taught student that is tested again needs its teachers no more."""
    trained = replace(RUN, teachers=(replace(RUN, model="lstm"),))
    run = replace(trained, trained=(trained,))
    assert run.id != trained.id
    assert run.needs == (trained,)
    again = Run.from_dict(json.loads(json.dumps(run.as_dict())))
    assert (again, again.id) == (run, run.id)
    assert replace(run, trained=(replace(trained, seed=7),)).id != run.id
    twice = replace(run, trained=(trained, RUN))
    with pytest.raises(ValueError, match="expected one trained run or none, found 2"):
        Run.from_dict(json.loads(json.dumps(twice.as_dict())))


@pytest.mark.parametrize("weights", [(1,), (1, -1), (1, 1, 1)])
def test_weights_that_are_not_those_of_members_are_refused(weights):
    run = replace(RUN, members=(RUN, replace(RUN, model="lstm")), weights=weights)
    with pytest.raises(ValueError, match="expected a weight of 0 or more for each of 2 members"):
        Run.from_dict(json.loads(json.dumps(run.as_dict())))


def test_a_rate_that_cannot_be_is_refused():
    run = replace(RUN, brought=(("bvp", -64.0, ""),))
    with pytest.raises(ValueError, match="expected rates of 0 or more"):
        Run.from_dict(json.loads(json.dumps(run.as_dict())))


# --- fields that come later


def with_later_field(kind: type[Any], default: Any) -> type[Any]:
    """Return a dataclass with one more field, as if it had been added to the class itself."""
    return make_dataclass(kind.__name__, [("later", Any, default)], bases=(kind,), frozen=True)


def as_later(part: Any, default: Any) -> Any:
    """Return a dataclass value as one of a class with one more field, at its default."""
    values = {one.name: getattr(part, one.name) for one in dataclasses.fields(part)}
    return with_later_field(type(part), default)(**values)


TAUGHT = replace(RUN, distiller="features", teachers=(replace(RUN, model="lstm"),))
PROBE = replace(RUN, model="lda", recipe=ProbeRecipe(stride=15.0))


@pytest.mark.parametrize(
    "default", [field(default="none"), field(default_factory=list)], ids=["plain", "made"]
)
@pytest.mark.parametrize("run", [RUN, TAUGHT, PROBE], ids=["alone", "taught", "probe"])
def test_field_that_comes_later_changes_no_id(run, default):
    for name in ("protocol", "recipe"):
        same = as_later(getattr(run, name), default)
        assert same.later in ("none", [])
        assert replace(run, **{name: same}).id == run.id
        assert replace(run, **{name: replace(same, later=3)}).id != run.id
    same = as_later(run, default)
    assert same.id == run.id
    assert replace(same, later=3).id != run.id


def test_field_that_comes_later_is_read_from_older_files_too():
    later = with_later_field(Run, field(default="none"))
    again = later.from_dict(json.loads(json.dumps(TAUGHT.as_dict())))
    assert (again.later, again.teachers[0].later) == ("none", "none")
    assert again.id == TAUGHT.id

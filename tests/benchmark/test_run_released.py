"""Ids of runs that were released, and the defaults that are part of all of them, never change."""

import dataclasses
from dataclasses import MISSING, replace
from typing import Any

import pytest

from benchmark.probes.catalogue import ProbeRecipe
from benchmark.run import Run
from datamodules.protocol import VERSION, Protocol
from lightning_modules.recipe import Recipe

# --- defaults

DEFAULTS: dict[type[Any], dict[str, Any]] = {
    Run: {
        "dataset": MISSING,
        "task": MISSING,
        "protocol": MISSING,
        "fold": MISSING,
        "seed": MISSING,
        "model": MISSING,
        "signals": MISSING,
        "subjects": MISSING,
        "data": MISSING,
        "options": (),
        "recipe": ProbeRecipe(),
        "kind": "published",
        "changed": (),
        "arguments": (),
        "distiller": "",
        "distillation": (),
        "teachers": (),
        "without": (),
        "alone": "",
        "code": "",
        "window": 0.0,
        "budget": 0,
        "tuned": (),
        "chosen_by": (),
        "inner": False,
        "samples": "",
        "members": (),
        "weights": (),
        "pretrained": "",
        "pretrained_on": (),
        "trained": (),
        "adapter": "",
        "brought": (),
    },
    Protocol: {
        "split": "leave_one_subject_out",
        "folds": 5,
        "rule": "midpoint",
        "padding": None,
        "mask": False,
        "test_share": 0.2,
        "validation": True,
        "score_windows": False,
        "flags": (),
        "version": VERSION,
        "stimulus_folds": 4,
        "partitions": 1,
        "corruption": "",
        "calibration": "none",
    },
    Recipe: {
        "source": MISSING,
        "window": 60.0,
        "stride": 10.0,
        "scaling": "standard",
        "balance": "none",
        "optimizer": "adam",
        "lr": 0.001,
        "lr_decay": 1.0,
        "plateau_factor": 1.0,
        "plateau_patience": 10,
        "plateau_on": "val_loss",
        "lr_min": 0.0,
        "momentum": 0.0,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "batch_size": 64,
        "max_epochs": 20,
        "patience": None,
        "precision": "32-true",
        "refit": False,
        "plateau_delta": 1e-4,
        "select_on": "val_macro_f1",
        "statistics": "running",
        "modality_dropout": 0.0,
        "tuned_on": (),
    },
    ProbeRecipe: {"window": 60.0, "stride": 30.0, "refit": False},
}
"""Default of every field, or that there is none."""


def default_of(one: dataclasses.Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_defaults_stay_as_they_are(kind):
    """A value at its default is left out of an id, so that the default is part of all ids.

    Were a default to change, runs of before and after would have one id and be different work, and
    runs that spell out the old value would get another id for the same work. A published recipe is
    changed where it is defined, beside its model. A new field gets a line here, with the default
    under which everything stays as it was.
    """
    fields = dataclasses.fields(kind)
    assert {one.name: default_of(one) for one in fields} == DEFAULTS[kind]
    types = {one.name: type(default_of(one)) for one in fields}
    assert types == {name: type(value) for name, value in DEFAULTS[kind].items()}


# --- ids

HONEST = Protocol(
    split="leave_one_subject_out",
    folds=5,
    rule="midpoint",
    padding=None,
    mask=False,
    test_share=0.2,
    validation=True,
    score_windows=False,
    flags=(),
    version=1,
)
ADAM = Recipe(
    source="a paper",
    window=60.0,
    stride=10.0,
    scaling="standard",
    balance="none",
    optimizer="adam",
    lr=0.001,
    lr_decay=1.0,
    plateau_factor=1.0,
    plateau_patience=10,
    plateau_on="val_loss",
    lr_min=0.0,
    momentum=0.0,
    eps=1e-8,
    weight_decay=0.0,
    batch_size=64,
    max_epochs=20,
    patience=None,
    precision="32-true",
)
SGD = Recipe(
    source="another paper",
    window=19.0,
    stride=2.5,
    scaling="min_max",
    balance="oversample",
    optimizer="sgd",
    lr=0.01,
    lr_decay=0.95,
    plateau_factor=0.2,
    plateau_patience=4,
    plateau_on="train_loss",
    lr_min=1e-6,
    momentum=0.9,
    eps=1e-7,
    weight_decay=0.0005,
    batch_size=300,
    max_epochs=100,
    patience=15,
    precision="bf16-mixed",
)
NETWORK = Run(
    dataset="wesad",
    task="stress",
    protocol=HONEST,
    fold=0,
    seed=0,
    model="cnn",
    signals=("eda", "bvp", "temp"),
    subjects=("S2", "S3", "S4", "S5"),
    data="0123456789abcdef",
    options=(),
    recipe=ADAM,
    kind="published",
    changed=(),
    arguments=(),
    distiller="",
    distillation=(),
    teachers=(),
    without=(),
    alone="",
    code="",
)
FAST = replace(
    NETWORK,
    dataset="deap",
    task="valence",
    fold=31,
    seed=2,
    model="rtcan_1d",
    signals=("eda", "resp", "bvp"),
    subjects=("s01", "s02", "s03"),
    data="fedcba9876543210",
    options=(("keep_baseline", True),),
    recipe=SGD,
    kind="fast",
    changed=("lr", "window"),
    arguments=(("block_attention", False), ("output", "relu")),
    code="0a1b2c3d4e5f",
)
PROBE = replace(
    NETWORK, model="lda", signals=("eda", "bvp"), recipe=ProbeRecipe(window=60.0, stride=30.0)
)
SEES_NOTHING = replace(PROBE, model="majority", signals=())
CODED = replace(NETWORK, code="0a1b2c3d4e5f")
TEACHER = replace(CODED, model="attention_lrcn", signals=("bvp",))
TAUGHT = replace(
    CODED,
    changed=("max_epochs",),
    recipe=replace(ADAM, max_epochs=40),
    distiller="soft_targets",
    distillation=(("soft", 0.5), ("temperature", 2.0)),
    teachers=(TEACHER,),
    alone="27f5dce581c0",
    code="6a7b8c9d0e1f",
)
OUT_OF_FOLD = replace(
    TAUGHT,
    distillation=(),
    teachers=(
        replace(TEACHER, without=("S3",)),
        replace(TEACHER, without=("S4", "S5")),
    ),
)
SECOND = replace(HONEST, version=2)
GOLDEN = {
    "protocol 2": (replace(CODED, protocol=SECOND), "6c101e25cf27"),
    "probe under protocol 2": (replace(PROBE, protocol=SECOND), "ca840bd94794"),
    "people crossed with stimuli": (
        replace(
            FAST,
            protocol=replace(SECOND, split="subject_stimulus_k_fold", folds=5, stimulus_folds=3),
        ),
        "66caaa9fa7b0",
    ),
    "refitted": (
        replace(CODED, protocol=SECOND, recipe=replace(ADAM, refit=True), changed=("refit",)),
        "3afb27f1d7df",
    ),
    "probe, refitted": (
        replace(PROBE, protocol=SECOND, recipe=ProbeRecipe(60.0, 30.0, refit=True)),
        "9d8d05927828",
    ),
    "three partitions": (
        replace(CODED, protocol=replace(SECOND, split="subject_k_fold", partitions=3), fold=14),
        "6393acb582ab",
    ),
    "same stimuli": (
        replace(
            CODED,
            protocol=replace(SECOND, split="subject_stimulus_k_fold", flags=("same_stimuli",)),
        ),
        "6530642ed394",
    ),
    "network": (NETWORK, "0878c2d672b3"),
    "with code": (CODED, "27f5dce581c0"),
    "fast": (FAST, "7327f277f23b"),
    "probe": (PROBE, "a3311ce65b1e"),
    "probe, other windows": (replace(PROBE, recipe=ProbeRecipe(20.0, 5.0)), "29198c0498ef"),
    "probe that sees nothing": (SEES_NOTHING, "53af592521fd"),
    "k folds": (
        replace(CODED, protocol=replace(HONEST, split="subject_k_fold", folds=10)),
        "aa4fee775e8f",
    ),
    "hold-out, no validation": (
        replace(
            CODED,
            protocol=replace(
                HONEST, split="subject_hold_out", test_share=0.3, validation=False, rule="median"
            ),
        ),
        "31ed10a011c0",
    ),
    "masked": (replace(CODED, protocol=replace(HONEST, padding="edge", mask=True)), "882df4e18688"),
    "flags": (
        replace(
            FAST,
            protocol=replace(
                HONEST,
                split="subject_k_fold",
                folds=10,
                rule="kmeans",
                padding="zero",
                score_windows=True,
                flags=("random_trials", "labels_from_all_ratings", "pad_reveals_length"),
            ),
        ),
        "41be56b231f0",
    ),
    "later version": (replace(CODED, protocol=replace(HONEST, version=2)), "6c101e25cf27"),
    "teacher": (TEACHER, "1122fc343845"),
    "taught": (TAUGHT, "f4ab1ec7c2d6"),
    "taught out of fold": (OUT_OF_FOLD, "e96eb5f6659d"),
    "without a teacher": (
        replace(TAUGHT, distiller="label_smoothing", distillation=(), teachers=()),
        "fa0a576f9f49",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_ids_that_were_released_never_change(name):
    """An id names results in stores all over the world, and says that nothing is to do again.

    A change that makes this test fail makes every such result unknown, or is mistaken for work that
    was done. Once an id is released, it changes with the version of the protocol alone, which is
    written out in these runs: never put another id here for a run that stands here already.
    """
    run, expected = GOLDEN[name]
    assert run.id == expected

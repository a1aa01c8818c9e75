"""Recipe: its checks, and checkpoints that hold one."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import torch

from datamodules.batch import SignalSpec
from lightning_modules.cnn import CNN
from lightning_modules.recipe import Recipe

RECIPE = Recipe(source="this test", lr=0.5, patience=3)
CHOICES = {f.name: get_args(f.type) for f in fields(Recipe) if get_origin(f.type) is Literal}


def test_choices_are_found():
    assert set(CHOICES) == {
        "scaling",
        "balance",
        "optimizer",
        "plateau_on",
        "precision",
        "select_on",
        "statistics",
    }


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_one_of_its_type(name):
    for value in CHOICES[name]:
        assert getattr(replace(RECIPE, **{name: value}), name) == value
    for value in ("weights", None, 1):
        with pytest.raises(ValueError, match=f"expected {name} among .* found {value!r}"):
            replace(RECIPE, **{name: value})


@pytest.mark.parametrize("name", ["window", "stride", "lr", "lr_decay", "plateau_factor", "eps"])
def test_positive_numbers(name):
    assert getattr(replace(RECIPE, **{name: 2}), name) == 2
    for value in (0, 0.0, -1.0, "1", True, None, float("nan")):
        with pytest.raises(ValueError, match=f"{name} to be a positive number, found {value!r}"):
            replace(RECIPE, **{name: value})


@pytest.mark.parametrize("name", ["weight_decay", "momentum", "lr_min"])
def test_numbers_from_zero_up(name):
    assert getattr(replace(RECIPE, **{name: 0}), name) == 0
    for value in (-1e-9, "0", False, float("nan")):
        with pytest.raises(ValueError, match=f"{name} to be a number from 0 up, found {value!r}"):
            replace(RECIPE, **{name: value})


@pytest.mark.parametrize("name", ["batch_size", "max_epochs", "plateau_patience", "patience"])
def test_positive_whole_numbers(name):
    for value in (0, -2, 1.0, "1", True):
        with pytest.raises(ValueError, match=f"{name} to be a positive whole number, found"):
            replace(RECIPE, **{name: value})


def test_patience_may_be_endless():
    assert replace(RECIPE, patience=None).patience is None


def test_tuned_on_are_names():
    assert replace(RECIPE, tuned_on=("wesad",)).tuned_on == ("wesad",)
    assert replace(RECIPE, tuned_on=("wesad",)) == RECIPE
    for value in ("wesad", ["wesad"], (1,), None):
        with pytest.raises(ValueError, match="expected tuned_on to be a tuple of names, found"):
            replace(RECIPE, tuned_on=value)


@pytest.mark.parametrize("file", ["recipe", "base"])
def test_checkpoints_load_without_trust_whichever_file_defined_the_recipe(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = CNN({"eda": SignalSpec(1, 40, 4.0)}, 2, recipe=RECIPE)
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": "2.6.6",
    }
    monkeypatch.setattr(Recipe, "__module__", f"lightning_modules.{file}")
    torch.save(checkpoint, tmp_path / "model.ckpt")
    monkeypatch.undo()
    assert f"lightning_modules.{file}\nRecipe".encode() in (tmp_path / "model.ckpt").read_bytes()
    again = CNN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert again.recipe == RECIPE

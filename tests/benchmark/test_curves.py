"""Learning curves: one full row an epoch, and files of earlier versions."""

import csv

import pytest

from benchmark.curves import NAMES, curves_text, read_curves

EARLIER = "epoch,step,train_loss,val_loss\n0,3,,0.5\n0,3,0.75,\n1,7,,0.25\n1,7,0.5,\n2,11,,0.125\n"
"""Rows as Lightning's CSVLogger writes them."""


def test_what_is_written_is_read(tmp_path):
    row = {name: 0.1 * place for place, name in enumerate(NAMES)}
    curves = {2: {**row, "train_divergence": 1e-9}, 1: row, 3: {"val_loss": float("inf")}}
    text = curves_text(curves)
    assert read_curves(text) == curves
    lines = list(csv.reader(text.splitlines()))
    assert lines[0] == ["epoch", *NAMES, "train_divergence"]
    assert [line[0] for line in lines[1:]] == ["1", "2", "3"]


def test_halves_of_an_epoch_in_earlier_files_are_one():
    assert read_curves(EARLIER) == {
        1: {"train_loss": 0.75, "val_loss": 0.5},
        2: {"train_loss": 0.5, "val_loss": 0.25},
        3: {"val_loss": 0.125},
    }


def test_a_value_that_is_none_is_not_there():
    assert read_curves("epoch,train_loss,val_loss\n1,nan,0.5\n") == {1: {"val_loss": 0.5}}
    assert read_curves("") == {}


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "epoch,val_loss\none,0.5\n", "epoch,x\n1,y,z\n"])
def test_another_table_is_named(text):
    with pytest.raises(ValueError, match="expected learning curves, found"):
        read_curves(text)

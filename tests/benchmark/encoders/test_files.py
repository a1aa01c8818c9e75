"""Files of weights: known by what is in them, wherever they lie."""

import hashlib
import shutil

import pytest

from benchmark.encoders.files import Weights, WeightsError, weights_of


def test_digest_is_that_of_the_file_wherever_it_lies(weights, tmp_path):
    other = tmp_path / "elsewhere" / "other_name.pt"
    other.parent.mkdir()
    shutil.copy(weights, other)
    expected = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    assert Weights(str(weights)).digest == Weights(str(other)).digest == expected


def test_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pth: expected a file of weights, found none"):
        _ = Weights(str(tmp_path / "none.pth")).digest


def test_file_of_a_run_is_that_of_its_digest_alone(weights):
    encoders = {"tiny": Weights(str(weights))}
    assert weights_of(encoders, "tiny", encoders["tiny"].digest) == weights
    with pytest.raises(WeightsError, match="expected the file of weights 0123, found"):
        weights_of(encoders, "tiny", "0123")
    with pytest.raises(WeightsError, match=r"found none. Give it by --encoder tiny=FILE"):
        weights_of({}, "tiny", encoders["tiny"].digest)
